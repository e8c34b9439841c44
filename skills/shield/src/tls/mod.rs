//! Module `tls`: versions, cipher suites, certificates. This part is pure: facts in, verdict out.

pub(crate) mod certificate;
mod checks;
pub(crate) mod gather;
mod hello;
mod names;
mod suites;

use crate::check::{Severity, Verdict, evidence};
use crate::report::Moment;
use certificate::Key;
pub(crate) use checks::CHECKS;
use checks::of;
use hello::Version;
use suites::Weakness;

/// Checks that need the certificate, which only a handshake of today shows.
const BY_CERTIFICATE: [&str; 11] = [
    "tls.expired",
    "tls.expiring",
    "tls.not-yet-valid",
    "tls.self-signed",
    "tls.name-mismatch",
    "tls.weak-key",
    "tls.weak-signature",
    "tls.long-lived",
    "tls.chain-expired",
    "tls.unreadable",
    "tls.no-tls13",
];

/// Longest life of a certificate in days (CA/Browser Forum, ballot SC22).
const LONGEST_LIFE: i64 = 398;
/// Days before the end from which it is told, and from which it is urgent.
const SOON: i64 = 30;
const VERY_SOON: i64 = 7;

/// What a server offers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    /// The best version up to 1.2 it agreed to; none: it refused them all.
    pub(crate) best: Option<Version>,
    /// Old versions: offered, or not, or none when that could not be told.
    pub(crate) ssl3: Option<bool>,
    pub(crate) tls10: Option<bool>,
    pub(crate) tls11: Option<bool>,
    /// Weak suites it chose when offered nothing else.
    pub(crate) weak: Vec<(Weakness, &'static str)>,
    /// True: the search for weak suites came to its end.
    pub(crate) weak_done: bool,
    /// The handshake of today; none when it came to nothing.
    pub(crate) session: Option<Session>,
}

/// What a handshake of TLS 1.2 or 1.3 showed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Session {
    /// `TLSv1.3`.
    pub(crate) version: String,
    /// Certificates as they were sent.
    pub(crate) chain: Vec<Result<certificate::Facts, String>>,
}

/// `name`: how the server is reached; without it nobody knows which name its certificate should have.
pub(crate) fn judge(facts: &Facts, name: Option<&str>, now: Moment) -> Verdict {
    let mut verdict = Verdict::default();
    match &facts.session {
        Some(session) => judge_session(session, name, now, &mut verdict),
        None => verdict.open.extend(BY_CERTIFICATE.map(of)),
    }
    judge_versions(facts, &mut verdict);
    judge_suites(facts, &mut verdict);
    verdict
}

fn judge_session(session: &Session, name: Option<&str>, now: Moment, verdict: &mut Verdict) {
    let mut chain = session.chain.iter();
    match chain.next() {
        Some(Ok(leaf)) => judge_leaf(leaf, name, now, verdict),
        Some(Err(why)) => {
            verdict.add(of("tls.unreadable"), format!("The server's certificate: {why}"));
            verdict.open.extend(
                BY_CERTIFICATE
                    .iter()
                    .filter(|id| !["tls.unreadable", "tls.no-tls13", "tls.chain-expired"].contains(id))
                    .map(|id| of(id)),
            );
        }
        None => verdict.open.extend(
            BY_CERTIFICATE
                .iter()
                .filter(|id| **id != "tls.no-tls13")
                .map(|id| of(id)),
        ),
    }
    for sent in chain.filter_map(|sent| sent.as_ref().ok()) {
        if sent.not_after < now {
            let detail = format!("`{}`, sent along, ended on {}.", sent.subject, sent.not_after.date());
            verdict.add(of("tls.chain-expired"), detail);
        }
        // a root's own signature is nothing that anybody relies on
        if is_weak(&sent.signature) && !sent.self_signed {
            let detail = format!("`{}`, sent along, is signed with {}.", sent.subject, sent.signature);
            verdict.add(of("tls.weak-signature"), detail);
        }
    }
    if !session.version.is_empty() && session.version != "TLSv1.3" {
        verdict.add(
            of("tls.no-tls13"),
            format!("The server chose {}.", evidence(session.version.as_bytes())),
        );
    }
}

fn judge_leaf(leaf: &certificate::Facts, name: Option<&str>, now: Moment, verdict: &mut Verdict) {
    let whose = format!("`{}`", leaf.subject);
    let left = now.days_until(leaf.not_after);
    if leaf.not_after < now {
        verdict.add(
            of("tls.expired"),
            format!("{whose} ended on {}, {} days ago.", leaf.not_after.date(), -left),
        );
    } else if left <= SOON {
        let severity = if left <= VERY_SOON {
            Severity::Medium
        } else {
            Severity::Low
        };
        let detail = format!("{whose} ends on {}, in {left} days.", leaf.not_after.date());
        verdict.add_as(severity, of("tls.expiring"), detail);
    }
    verdict.add_if(leaf.not_before > now, of("tls.not-yet-valid"), || {
        format!("{whose} is valid from {}.", leaf.not_before.date())
    });
    verdict.add_if(leaf.self_signed, of("tls.self-signed"), || {
        format!("{whose} names itself as its issuer (SHA-256 {}).", leaf.fingerprint)
    });
    match name {
        Some(name) => verdict.add_if(!names::covers(&leaf.names, name), of("tls.name-mismatch"), || {
            let shown: Vec<_> = leaf.names.iter().take(5).map(|it| format!("`{it}`")).collect();
            let names = if shown.is_empty() {
                "no name at all".to_owned()
            } else {
                shown.join(", ")
            };
            format!(
                "It is reached as `{}`; the certificate is for {names}.",
                evidence(name.as_bytes())
            )
        }),
        None => verdict.open.push(of("tls.name-mismatch")),
    }
    let weak_key = match leaf.key {
        Key::Rsa(bits) => bits < 2048,
        Key::Ec(_, bits) => bits < 224,
        Key::Dsa(_) => true,
        Key::Ed25519 | Key::Other(_) => false,
    };
    verdict.add_if(weak_key, of("tls.weak-key"), || {
        format!("The key of {whose} is {}.", leaf.key.name())
    });
    verdict.add_if(is_weak(&leaf.signature), of("tls.weak-signature"), || {
        format!("{whose} is signed with {}.", leaf.signature)
    });
    let life = leaf.not_before.days_until(leaf.not_after);
    verdict.add_if(life > LONGEST_LIFE, of("tls.long-lived"), || {
        format!(
            "{whose} is valid for {life} days, from {} to {}.",
            leaf.not_before.date(),
            leaf.not_after.date()
        )
    });
}

fn is_weak(signature: &str) -> bool {
    let signature = signature.to_ascii_lowercase();
    ["md2", "md5", "sha1"].iter().any(|hash| signature.contains(hash))
}

fn judge_versions(facts: &Facts, verdict: &mut Verdict) {
    let old = [
        ("tls.ssl3", Version::Ssl3, facts.ssl3),
        ("tls.tls10", Version::Tls10, facts.tls10),
        ("tls.tls11", Version::Tls11, facts.tls11),
    ];
    for (id, version, offered) in old {
        match offered {
            Some(true) => verdict.add(of(id), format!("The server agreed to {}.", version.name())),
            Some(false) => {}
            None => verdict.open.push(of(id)),
        }
    }
    match facts.best {
        Some(best) if best < Version::Tls12 => verdict.add(
            of("tls.no-tls12"),
            format!("Asked for TLS 1.2, the server chose {}.", best.name()),
        ),
        Some(_) => {}
        // it refused every hello of ours, and nobody saw it speak anything
        None if facts.session.is_none() => verdict.open.push(of("tls.no-tls12")),
        None => {}
    }
}

fn judge_suites(facts: &Facts, verdict: &mut Verdict) {
    let kinds = [
        ("tls.cipher-anonymous", Weakness::Anonymous),
        ("tls.cipher-null", Weakness::Null),
        ("tls.cipher-export", Weakness::Export),
        ("tls.cipher-rc4", Weakness::Rc4),
        ("tls.cipher-des", Weakness::Des),
    ];
    for (id, weakness) in kinds {
        let found = facts.weak.iter().find(|(kind, _)| *kind == weakness);
        match found {
            Some((_, name)) => verdict.add(of(id), format!("The server agreed to {name}.")),
            None if facts.weak_done => {}
            None => verdict.open.push(of(id)),
        }
    }
}

#[cfg(test)]
mod tests;
