//! Module `dns`: two questions to a name server, over TCP: a name that is not its own, and its version. A zone transfer
//! is not tried: it would hand out what may be somebody's secret, which is more than a look.

use std::net::IpAddr;

use crate::check::{Check, Look, Severity, Verdict, evidence};
use crate::line::Trouble;
use crate::reader::Reader;
use crate::visit::Visit;

static OPEN_RECURSION: Check = Check {
    id: "dns.open-recursion",
    severity: Severity::Medium,
    title: "The name server looks up any name for anybody",
    remediation: "Let the server recurse for your own networks only (BIND: `allow-recursion`; Unbound: `access-control`), and keep port 53 closed towards the internet.",
};
static VERSION: Check = Check {
    id: "dns.version-disclosed",
    severity: Severity::Low,
    title: "The name server tells its version",
    remediation: "Switch the answer to version.bind off (BIND: `version none;`; Unbound: `hide-version: yes`; dnsmasq has no such setting).",
};

pub(crate) static CHECKS: [&Check; 2] = [&OPEN_RECURSION, &VERSION];

/// The port at which it is looked for.
pub(crate) const PORT: u16 = 53;

/// What a name server answered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    /// Whether it would look up `example.com`; none: it gave no answer to that.
    pub(crate) recurses: Option<bool>,
    /// Its version; none: it gave no answer to that, not even a refusal.
    pub(crate) version: Option<String>,
}

pub(crate) fn judge(facts: &Facts, ip: IpAddr) -> Verdict {
    let mut verdict = Verdict::default();
    match facts.recurses {
        // a resolver in a private network is there for those in it
        Some(true) if is_private(ip) => verdict.add_as(
            Severity::Info,
            &OPEN_RECURSION,
            "It was ready to look up example.com. That is its work if it is meant for this network.",
        ),
        Some(true) => verdict.add(
            &OPEN_RECURSION,
            "It was ready to look up example.com, at a public address.",
        ),
        Some(false) => {}
        None => verdict.open.push(&OPEN_RECURSION),
    }
    match &facts.version {
        Some(version) if !version.is_empty() => verdict.add(&VERSION, format!("version.bind is `{version}`.")),
        Some(_) => {}
        None => verdict.open.push(&VERSION),
    }
    verdict
}

fn is_private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_private() || ip.is_loopback() || ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unique_local() || ip.is_loopback() || ip.is_unicast_link_local(),
    }
}

const A: u16 = 1;
const TXT: u16 = 16;
const INTERNET: u16 = 1;
const CHAOS: u16 = 3;
const REFUSED: u8 = 5;
/// Largest answer that is listened to.
const MOST: usize = 4096;

pub(crate) async fn look(visit: &Visit<'_>) -> Result<Look<Facts>, Trouble> {
    let recursion = match ask(visit, &question(0x5601, &["example", "com"], A, INTERNET)).await {
        Ok(answer) => answer,
        Err(trouble) => return visit.unknown(trouble),
    };
    let Some(recursion) = recursion else {
        return Ok(Look::Absent);
    };
    let version = match ask(visit, &question(0x5602, &["version", "bind"], TXT, CHAOS)).await {
        Ok(answer) => answer.map(|answer| answer.text),
        Err(Trouble::Denied(place)) => return Err(Trouble::Denied(place)),
        Err(_) => None,
    };
    let recurses = recursion.recursion && !matches!(recursion.code, REFUSED);
    Ok(Look::Seen(Facts {
        recurses: Some(recurses),
        version,
    }))
}

/// None: what came is no answer to it.
async fn ask(visit: &Visit<'_>, question: &[u8]) -> Result<Option<Answer>, Trouble> {
    let mut line = visit.call().await?;
    line.say(question).await?;
    let asked = question.get(2..).unwrap_or_default();
    line.hear_until(&mut Vec::new(), MOST, |heard| answer(asked, heard))
        .await
}

/// A question with its length before it, as TCP wants it (RFC 7766).
fn question(id: u16, name: &[&str], kind: u16, class: u16) -> Vec<u8> {
    let mut message = Vec::new();
    // recursion desired, one question
    for word in [id, 0x0100, 1, 0, 0, 0] {
        message.extend_from_slice(&word.to_be_bytes());
    }
    for label in name {
        message.push(u8::try_from(label.len()).unwrap_or_default());
        message.extend_from_slice(label.as_bytes());
    }
    message.push(0);
    for word in [kind, class] {
        message.extend_from_slice(&word.to_be_bytes());
    }
    let mut framed = u16::try_from(message.len()).unwrap_or_default().to_be_bytes().to_vec();
    framed.extend_from_slice(&message);
    framed
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Answer {
    /// Whether it offers recursion.
    recursion: bool,
    code: u8,
    /// Of the first TXT record, empty if there is none.
    text: String,
}

/// None outside: there has to be more of it. None inside: this is no answer to what was asked.
fn answer(asked: &[u8], heard: &[u8]) -> Option<Option<Answer>> {
    let mut framed = Reader(heard);
    let length = framed.u16()?;
    if usize::from(length) > MOST {
        return Some(None);
    }
    let message = framed.take(length.into())?;
    Some(read(asked, message))
}

fn read(asked: &[u8], message: &[u8]) -> Option<Answer> {
    let mut reader = Reader(message);
    if reader.take(2)? != asked.get(..2)? {
        return None;
    }
    let flags = reader.u16()?;
    if flags & 0x8000 == 0 {
        return None;
    }
    let (questions, answers) = (reader.u16()?, reader.u16()?);
    reader.take(4)?;
    let [.., low] = flags.to_be_bytes();
    let text = texts(&mut reader, questions, answers).unwrap_or_default();
    Some(Answer {
        recursion: flags & 0x0080 != 0,
        code: low & 0x0f,
        text,
    })
}

/// The first TXT record's first string.
fn texts(reader: &mut Reader<'_>, questions: u16, answers: u16) -> Option<String> {
    for _ in 0..questions.min(4) {
        skip_name(reader)?;
        reader.take(4)?;
    }
    for _ in 0..answers.min(16) {
        skip_name(reader)?;
        let kind = reader.u16()?;
        reader.take(6)?;
        let length = reader.u16()?;
        let mut data = Reader(reader.take(length.into())?);
        if kind == TXT {
            let length = data.u8()?;
            return Some(evidence(data.take(length.into())?));
        }
    }
    None
}

fn skip_name(reader: &mut Reader<'_>) -> Option<()> {
    loop {
        match reader.u8()? {
            0 => return Some(()),
            // a pointer ends a name
            pointer if pointer & 0xc0 == 0xc0 => return reader.take(1).map(|_| ()),
            length => reader.take(length.into())?,
        };
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::check::ids;

    const PUBLIC: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
    const HOME: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));

    fn facts(recurses: bool, version: &str) -> Facts {
        Facts {
            recurses: Some(recurses),
            version: Some(version.to_owned()),
        }
    }

    #[test]
    fn recursion_and_version() {
        assert_eq!(judge(&facts(false, ""), PUBLIC), Verdict::default());
        let open = judge(&facts(true, ""), PUBLIC);
        assert_eq!(
            (ids(&open), open.issues[0].severity),
            (vec!["dns.open-recursion"], Severity::Medium)
        );
        assert_eq!(judge(&facts(true, ""), HOME).issues[0].severity, Severity::Info);
        assert_eq!(ids(&judge(&facts(false, "9.18.1"), HOME)), ["dns.version-disclosed"]);
        assert_eq!(judge(&Facts::default(), HOME).open, CHECKS);
    }

    /// An answer to `question` with these flags and one TXT record of this text, its name a pointer.
    fn answering(question: &[u8], flags: u16, text: &[u8]) -> Vec<u8> {
        let mut message = question[2..].to_vec();
        message[2..4].copy_from_slice(&flags.to_be_bytes());
        message[7] = u8::from(!text.is_empty());
        if !text.is_empty() {
            message.extend_from_slice(&[0xc0, 12, 0, 16, 0, 3, 0, 0, 0, 0, 0]);
            message.extend_from_slice(&[u8::try_from(text.len()).unwrap() + 1, u8::try_from(text.len()).unwrap()]);
            message.extend_from_slice(text);
        }
        let mut framed = u16::try_from(message.len()).unwrap().to_be_bytes().to_vec();
        framed.extend(message);
        framed
    }

    #[test]
    fn answers_are_read_at_every_length() {
        let asked = question(7, &["version", "bind"], TXT, CHAOS);
        let framed = answering(&asked, 0x8580, b"dnsmasq-2.89\n");
        let read = answer(&asked[2..], &framed);
        assert_eq!(
            read,
            Some(Some(Answer {
                recursion: true,
                code: 0,
                text: "dnsmasq-2.89".to_owned()
            }))
        );
        for length in 0..framed.len() {
            assert_eq!(answer(&asked[2..], &framed[..length]), None, "{length}");
        }
        let refused = answering(&asked, 0x8105, b"");
        assert_eq!(
            answer(&asked[2..], &refused),
            Some(Some(Answer {
                recursion: false,
                code: 5,
                text: String::new()
            }))
        );
        // another's answer, and a question
        assert_eq!(answer(&[0, 8], &framed), Some(None));
        assert_eq!(answer(&asked[2..], &answering(&asked, 0x0100, b"")), Some(None));
        assert_eq!(answer(&asked[2..], b"HTTP/1.1 400"), Some(None));
    }

    proptest! {
        #[test]
        fn nothing_a_server_says_makes_it_stumble(mut heard in prop::collection::vec(any::<u8>(), 0..200), framed: bool) {
            if framed && heard.len() > 2 {
                heard[0] = 0;
                heard[1] = u8::try_from(heard.len() - 2).unwrap();
            }
            let asked = question(7, &["version", "bind"], TXT, CHAOS);
            let _ = answer(&asked[2..], &heard);
            if heard.len() > 4 { heard[2..4].copy_from_slice(&[0, 7]); }
            if let Some(Some(answer)) = answer(&asked[2..], &heard) {
                prop_assert!(answer.text.chars().count() <= 201);
            }
        }
    }
}
