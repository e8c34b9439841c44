//! Asks a server which TLS it speaks: one connection a question, ended after its first answer. The handshake of today
//! is the host's (`lan.peek-tls`).

use std::net::SocketAddr;
use std::time::Duration;

use venom_sdk::{Error, Result, lan};

use super::hello::{self, MOST, Reply, Version, client_hello};
use super::suites::{self, ORDINARY, WEAK, Weakness};
use super::{Facts, Session, certificate};
use crate::check::{Look, evidence};
use crate::line::Trouble;
use crate::visit::Visit;

/// Most certificates of a chain that are read.
const CHAIN: usize = 8;
/// The alert of a server that has no such name (RFC 6066, section 3): it says nothing of versions and suites.
const UNRECOGNISED_NAME: u8 = 112;

/// Whether the server speaks TLS, and the best version up to 1.2 it agrees to.
pub(crate) async fn first(visit: &Visit<'_>) -> Result<Look<Option<Version>>, Trouble> {
    match ask(visit, Version::Tls12, &everything()).await {
        Ok(Reply::Hello { version, .. }) => Ok(Look::Seen(Some(version))),
        Ok(Reply::Alert(_)) => Ok(Look::Seen(None)),
        Ok(Reply::Other) => Ok(Look::Absent),
        Err(trouble) => visit.unknown(trouble),
    }
}

/// Which of the old kinds a server speaks that speaks TLS.
pub(crate) async fn look(visit: &Visit<'_>, best: Option<Version>) -> Result<Facts, Trouble> {
    let suites = everything();
    let ssl3 = offers(visit, Version::Ssl3, &suites).await?;
    let tls10 = offers(visit, Version::Tls10, &suites).await?;
    let tls11 = offers(visit, Version::Tls11, &suites).await?;
    let (weak, more_weak) = find_weak(visit).await?;
    // who hangs up may mean "no", or may have had enough of us: the question it answered before tells which
    let hung_up = [ssl3, tls10, tls11, more_weak].contains(&Answer::HungUp);
    let answers = !hung_up || still_answers(visit).await?;
    Ok(Facts {
        best,
        ssl3: ssl3.told(answers),
        tls10: tls10.told(answers),
        tls11: tls11.told(answers),
        weak,
        weak_done: more_weak.told(answers) == Some(false),
        session: None,
    })
}

/// What came of one question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Yes,
    No,
    /// As many do that will not, without an alert.
    HungUp,
    /// It could not be told.
    Unknown,
}

impl Answer {
    /// Given whether the server still `answers` what it answered before.
    fn told(self, answers: bool) -> Option<bool> {
        match self {
            Self::Yes => Some(true),
            Self::No => Some(false),
            Self::HungUp => answers.then_some(false),
            Self::Unknown => None,
        }
    }
}

async fn still_answers(visit: &Visit<'_>) -> Result<bool, Trouble> {
    match ask(visit, Version::Tls12, &everything()).await {
        Ok(reply) => Ok(reply != Reply::Other),
        Err(Trouble::Denied(place)) => Err(Trouble::Denied(place)),
        Err(_) => Ok(false),
    }
}

fn everything() -> Vec<u16> {
    ORDINARY.iter().copied().chain(WEAK.iter().map(|it| it.0)).collect()
}

async fn ask(visit: &Visit<'_>, version: Version, suites: &[u16]) -> Result<Reply, Trouble> {
    let mut line = visit.call().await?;
    line.say(&client_hello(version, suites, visit.hostname)).await?;
    line.hear_until(&mut Vec::new(), MOST, hello::reply).await
}

async fn offers(visit: &Visit<'_>, version: Version, suites: &[u16]) -> Result<Answer, Trouble> {
    match ask(visit, version, suites).await {
        Ok(Reply::Hello { version: chosen, .. }) if chosen == version => Ok(Answer::Yes),
        Ok(Reply::Alert(UNRECOGNISED_NAME)) => Ok(Answer::Unknown),
        Ok(_) => Ok(Answer::No),
        Err(trouble) => no_answer(trouble),
    }
}

fn no_answer(trouble: Trouble) -> Result<Answer, Trouble> {
    match trouble {
        Trouble::Denied(_) => Err(trouble),
        Trouble::Ended => Ok(Answer::HungUp),
        _ => Ok(Answer::Unknown),
    }
}

/// Offers nothing but weak suites, each time without the kinds it has agreed to, until it agrees to none. The answer is
/// whether there are more than those.
async fn find_weak(visit: &Visit<'_>) -> Result<(Vec<(Weakness, &'static str)>, Answer), Trouble> {
    let mut weak = Vec::new();
    loop {
        let is_left = |kind: Weakness| !weak.iter().any(|(found, _)| *found == kind);
        let left: Vec<u16> = WEAK.iter().filter(|it| is_left(it.2)).map(|it| it.0).collect();
        if left.is_empty() {
            return Ok((weak, Answer::No));
        }
        match ask(visit, Version::Tls12, &left).await {
            Ok(Reply::Hello { suite, .. }) => match suites::weak(suite) {
                Some((name, kind)) if is_left(kind) => weak.push((kind, name)),
                // it chose what it was not offered: nothing more can be learned from it
                _ => return Ok((weak, Answer::Unknown)),
            },
            Ok(Reply::Alert(UNRECOGNISED_NAME)) => return Ok((weak, Answer::Unknown)),
            Ok(Reply::Alert(_) | Reply::Other) => return Ok((weak, Answer::No)),
            Err(trouble) => return no_answer(trouble).map(|answer| (weak, answer)),
        }
    }
}

/// The handshake of today; `Ok(Err(why))` when the server would not.
pub(crate) fn peek(place: SocketAddr, hostname: Option<&str>, time: Duration) -> Result<Result<Session, String>> {
    let name = hostname.unwrap_or_default();
    match lan::peek_tls(place.ip(), place.port(), name, time) {
        Ok(session) => Ok(Ok(Session {
            version: session.version,
            chain: session
                .chain
                .iter()
                .take(CHAIN)
                .map(|der| certificate::read(der))
                .collect(),
        })),
        Err(error @ (Error::Denied(_) | Error::Limit(_) | Error::Cancelled)) => Err(error),
        Err(other) => Ok(Err(evidence(other.to_string().as_bytes()))),
    }
}
