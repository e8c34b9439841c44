//! Certificates at their places: a pure rule from what was shown there and what was seen to what is shown there now.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use venom_protocol::CertificateSeen;
use venom_protocol::Timestamp;

use super::clean;
use super::range::Target;
use super::report::place;

/// Address (or name) and port.
pub(crate) type Place = (String, u16);

/// The certificate at one place.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Certificate {
    pub(crate) place: Place,
    /// SHA-256 of its DER in small hexadecimal digits; empty: not known.
    pub(crate) fingerprint: String,
    pub(crate) not_after: Option<Timestamp>,
    pub(crate) facts: CertificateFacts,
    pub(crate) first_seen: Timestamp,
    pub(crate) last_seen: Timestamp,
}

/// The part nobody searches by, kept as one JSON text.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct CertificateFacts {
    pub(crate) subject: Option<String>,
    pub(crate) issuer: Option<String>,
    pub(crate) serial: Option<String>,
    pub(crate) names: Vec<String>,
    pub(crate) not_before: Option<Timestamp>,
    pub(crate) key: Option<String>,
    pub(crate) signature_algorithm: Option<String>,
    pub(crate) self_signed: Option<bool>,
    pub(crate) extra: Map<String, Value>,
}

/// What is to be written.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Shown {
    pub(crate) certificates: Vec<Certificate>,
    pub(crate) added: u64,
    /// Place, what it showed before, what it shows.
    pub(crate) changed: Vec<(Place, String, String)>,
}

/// The certificates of a report, cleaned; in the order in which they came.
pub(crate) fn read(seen: &[CertificateSeen], target: &Target, at: Timestamp) -> Vec<Certificate> {
    seen.iter().map(|seen| clean_one(seen, target, at)).collect()
}

/// Takes them in. A place that shows several in one report (by name) shows the one that is known, else the first. Of a report that is late,
/// only places nobody knew count.
pub(crate) fn take_in(mut known: HashMap<Place, Certificate>, seen: Vec<Certificate>, is_late: bool) -> Shown {
    let mut shown = Shown::default();
    let mut order: Vec<Place> = Vec::new();
    let mut by_place: HashMap<Place, Vec<Certificate>> = HashMap::new();
    for certificate in seen {
        let place = certificate.place.clone();
        let there = by_place.entry(place.clone()).or_default();
        if there.is_empty() {
            order.push(place);
        }
        there.push(certificate);
    }
    for place in order {
        let there = by_place.remove(&place).unwrap_or_default();
        match known.remove(&place) {
            Some(_) if is_late => {}
            Some(before) => {
                let same = there.iter().find(|seen| is_same(&before, seen));
                if let Some(seen) = same {
                    shown.certificates.push(merge(&before, seen));
                } else if let Some(seen) = there.into_iter().next() {
                    shown.changed.push((place, before.line(), seen.line()));
                    shown.certificates.push(seen);
                }
            }
            None => {
                shown.added += 1;
                shown.certificates.extend(there.into_iter().next());
            }
        }
    }
    shown
}

impl Certificate {
    /// For people: subject, end and fingerprint, as far as they are known.
    fn line(&self) -> String {
        let until = self.not_after.map(|at| format!("until {}", at.0.strftime("%Y-%m-%d")));
        let print = self.fingerprint.get(..16).map(|start| format!("sha256 {start}…"));
        let words = [self.facts.subject.clone(), until, print];
        let words: Vec<String> = words.into_iter().flatten().collect();
        clean::line(&words.join(", "), clean::NAME)
    }
}

/// One certificate, unless something that is known of both differs.
fn is_same(known: &Certificate, seen: &Certificate) -> bool {
    if !known.fingerprint.is_empty() && !seen.fingerprint.is_empty() {
        return known.fingerprint == seen.fingerprint;
    }
    let agree = |known: &Option<String>, seen: &Option<String>| known.is_none() || seen.is_none() || known == seen;
    agree(&known.facts.serial, &seen.facts.serial)
        && agree(&known.facts.issuer, &seen.facts.issuer)
        && agree(&known.facts.subject, &seen.facts.subject)
        && (known.not_after.is_none() || seen.not_after.is_none() || known.not_after == seen.not_after)
}

/// Seen again: nothing unknown overwrites what is known.
fn merge(known: &Certificate, seen: &Certificate) -> Certificate {
    let text = |seen: &Option<String>, known: &Option<String>| seen.clone().or_else(|| known.clone());
    let (old, new) = (&known.facts, &seen.facts);
    Certificate {
        place: known.place.clone(),
        fingerprint: if seen.fingerprint.is_empty() {
            &known.fingerprint
        } else {
            &seen.fingerprint
        }
        .clone(),
        not_after: seen.not_after.or(known.not_after),
        facts: CertificateFacts {
            subject: text(&new.subject, &old.subject),
            issuer: text(&new.issuer, &old.issuer),
            serial: text(&new.serial, &old.serial),
            names: if new.names.is_empty() { &old.names } else { &new.names }.clone(),
            not_before: new.not_before.or(old.not_before),
            key: text(&new.key, &old.key),
            signature_algorithm: text(&new.signature_algorithm, &old.signature_algorithm),
            self_signed: new.self_signed.or(old.self_signed),
            extra: clean::extra(&new.extra, &old.extra),
        },
        first_seen: known.first_seen,
        last_seen: known.last_seen.max(seen.last_seen),
    }
}

fn clean_one(seen: &CertificateSeen, target: &Target, at: Timestamp) -> Certificate {
    let name = |text: &Option<String>| clean::name(text.as_deref());
    Certificate {
        place: (place(seen.ip.as_deref(), target), seen.port.unwrap_or(0)),
        fingerprint: seen.fingerprint_sha256.as_deref().map(fingerprint).unwrap_or_default(),
        not_after: seen.not_after,
        facts: CertificateFacts {
            subject: name(&seen.subject),
            issuer: name(&seen.issuer),
            serial: name(&seen.serial),
            names: clean::names(&seen.names),
            not_before: seen.not_before,
            key: name(&seen.key),
            signature_algorithm: name(&seen.signature_algorithm),
            self_signed: seen.self_signed,
            extra: clean::extra(&seen.extra, &Map::new()),
        },
        first_seen: at,
        last_seen: at,
    }
}

/// `AB:CD:…` as `abcd…`.
fn fingerprint(text: &str) -> String {
    let text = clean::line(text, clean::NAME).to_ascii_lowercase();
    text.trim_start_matches("sha256:").replace(':', "")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(fingerprint: &str, subject: Option<&str>) -> CertificateSeen {
        CertificateSeen {
            ip: Some("10.0.0.1".into()),
            port: Some(443),
            fingerprint_sha256: Some(fingerprint.into()).filter(|print: &String| !print.is_empty()),
            subject: subject.map(ToOwned::to_owned),
            ..CertificateSeen::default()
        }
    }

    fn take(known: &[Certificate], certificates: &[CertificateSeen], is_late: bool) -> Shown {
        let at = Timestamp::parse("2026-01-01T00:00:00Z").unwrap();
        let seen = read(certificates, &Target::parse("10.0.0.0/24"), at);
        let known = known.iter().map(|known| (known.place.clone(), known.clone())).collect();
        take_in(known, seen, is_late)
    }

    #[test]
    fn another_one_at_a_place_is_a_change_and_the_same_one_is_none() {
        let first = take(&[], &[seen("AA:BB", Some("cn=a"))], false);
        assert_eq!((first.added, first.changed.len()), (1, 0));
        let known = first.certificates;
        // the same, of which less is known now
        let again = take(&known, &[seen("aabb", None)], false);
        assert_eq!(
            (again.changed.len(), again.certificates[0].facts.subject.as_deref()),
            (0, Some("cn=a"))
        );
        assert_eq!(take(&known, &[seen("", Some("cn=a"))], false).changed, []);
        let other = take(&known, &[seen("ccdd", Some("cn=b"))], false);
        assert_eq!((other.added, other.changed.len()), (0, 1));
        assert_eq!(other.certificates[0].facts.subject.as_deref(), Some("cn=b"));
        // without a fingerprint, what differs tells
        assert_eq!(take(&known, &[seen("", Some("cn=b"))], false).changed.len(), 1);
    }

    #[test]
    fn a_place_that_shows_several_shows_the_known_one() {
        let known = take(&[], &[seen("bb", None), seen("aa", None)], false).certificates;
        assert_eq!(known[0].fingerprint, "bb");
        let again = take(&known, &[seen("aa", None), seen("bb", None)], false);
        assert_eq!(
            (again.changed.len(), again.certificates[0].fingerprint.as_str()),
            (0, "bb")
        );
    }

    #[test]
    fn a_late_report_only_adds_places() {
        let known = take(&[], &[seen("aa", None)], false).certificates;
        assert_eq!(take(&known, &[seen("bb", None)], true), Shown::default());
        assert_eq!(take(&[], &[seen("bb", None)], true).added, 1);
    }
}
