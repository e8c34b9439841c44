//! Every check both ways.

use super::certificate::tests::{LEAF, OLD};
use super::*;
use crate::check::ids;

/// 2026-06-01.
const NOW: Moment = Moment(1_780_272_000);

fn leaf() -> certificate::Facts {
    certificate::Facts {
        not_before: Moment(NOW.0 - 86_400 * 100),
        not_after: Moment(NOW.0 + 86_400 * 100),
        ..certificate::read(LEAF).unwrap()
    }
}

fn with(leaf: certificate::Facts) -> Facts {
    Facts {
        best: Some(Version::Tls12),
        ssl3: Some(false),
        tls10: Some(false),
        tls11: Some(false),
        weak: Vec::new(),
        weak_done: true,
        session: Some(Session {
            version: "TLSv1.3".to_owned(),
            chain: vec![Ok(leaf)],
        }),
    }
}

fn fires(change: impl FnOnce(&mut certificate::Facts)) -> Vec<&'static str> {
    let mut leaf = leaf();
    change(&mut leaf);
    ids(&judge(&with(leaf), Some("leaf.example"), NOW))
}

#[test]
fn ids_are_unique_and_each_is_found() {
    for (index, check) in CHECKS.iter().enumerate() {
        assert_eq!(of(check.id), check);
        assert!(!CHECKS[..index].iter().any(|other| other.id == check.id));
    }
    assert!(BY_CERTIFICATE.iter().all(|id| of(id).id == *id));
}

#[test]
fn a_good_server_has_no_finding_and_nothing_open() {
    assert_eq!(judge(&with(leaf()), Some("leaf.example"), NOW), Verdict::default());
}

#[test]
fn times_of_a_certificate() {
    let days = |days: i64| Moment(NOW.0 + 86_400 * days);
    assert_eq!(fires(|it| it.not_after = Moment(NOW.0 - 1)), ["tls.expired"]);
    assert_eq!(fires(|it| it.not_after = NOW), ["tls.expiring"]);
    assert_eq!(fires(|it| it.not_after = days(31)), [""; 0]);
    assert_eq!(fires(|it| it.not_before = days(1)), ["tls.not-yet-valid"]);
    for (left, severity) in [
        (30, Severity::Low),
        (8, Severity::Low),
        (7, Severity::Medium),
        (0, Severity::Medium),
    ] {
        let verdict = judge(
            &with(certificate::Facts {
                not_after: days(left),
                ..leaf()
            }),
            Some("leaf.example"),
            NOW,
        );
        assert_eq!(
            (ids(&verdict), verdict.issues[0].severity),
            (vec!["tls.expiring"], severity),
            "{left}"
        );
    }
    let from = days(-100);
    assert_eq!(
        fires(|it| it.not_after = Moment(from.0 + 86_400 * 399)),
        ["tls.long-lived"]
    );
    assert_eq!(fires(|it| it.not_after = Moment(from.0 + 86_400 * 398)), [""; 0]);
}

#[test]
fn keys_signatures_and_issuers() {
    assert_eq!(fires(|it| it.self_signed = true), ["tls.self-signed"]);
    for weak in [Key::Rsa(2047), Key::Dsa(2048), Key::Ec("p192".to_owned(), 192)] {
        assert_eq!(fires(|it| it.key = weak), ["tls.weak-key"]);
    }
    for strong in [
        Key::Rsa(2048),
        Key::Ec("p256".to_owned(), 256),
        Key::Ed25519,
        Key::Other("1.2".to_owned()),
    ] {
        assert_eq!(fires(|it| it.key = strong), [""; 0]);
    }
    for weak in ["sha1WithRSAEncryption", "md5WithRSAEncryption", "ecdsa-with-SHA1"] {
        assert_eq!(fires(|it| it.signature = weak.to_owned()), ["tls.weak-signature"]);
    }
    assert_eq!(fires(|it| it.signature = "sha512WithRSAEncryption".to_owned()), [""; 0]);
}

#[test]
fn the_name_is_judged_only_when_it_is_known() {
    let verdict = judge(&with(leaf()), Some("other.example"), NOW);
    assert_eq!(ids(&verdict), ["tls.name-mismatch"]);
    assert!(
        verdict.issues[0].detail.contains("`other.example`") && verdict.issues[0].detail.contains("`leaf.example`")
    );
    let verdict = judge(&with(leaf()), None, NOW);
    assert_eq!((ids(&verdict), verdict.open), (vec![], vec![of("tls.name-mismatch")]));
}

#[test]
fn what_is_sent_along_is_judged_too() {
    let mut facts = with(leaf());
    let ended = certificate::Facts {
        not_after: Moment(0),
        signature: "sha1WithRSAEncryption".to_owned(),
        ..leaf()
    };
    let root = certificate::Facts {
        self_signed: true,
        not_after: Moment(NOW.0 + 1),
        ..ended.clone()
    };
    let chain = &mut facts.session.as_mut().unwrap().chain;
    chain.extend([Ok(ended), Ok(root)]);
    assert_eq!(
        ids(&judge(&facts, Some("leaf.example"), NOW)),
        ["tls.chain-expired", "tls.weak-signature"]
    );
}

#[test]
fn a_certificate_that_cannot_be_read_leaves_the_rest_open() {
    let mut facts = with(leaf());
    facts.session.as_mut().unwrap().chain = vec![certificate::read(&OLD[..100])];
    let verdict = judge(&facts, Some("leaf.example"), NOW);
    assert_eq!(ids(&verdict), ["tls.unreadable"]);
    assert!(verdict.open.contains(&of("tls.expired")) && !verdict.open.contains(&of("tls.unreadable")));
    facts.session = None;
    let open: Vec<_> = judge(&facts, None, NOW).open.iter().map(|check| check.id).collect();
    assert_eq!(open, BY_CERTIFICATE);
}

#[test]
fn versions() {
    let none = with(leaf());
    for (facts, id) in [
        (
            Facts {
                ssl3: Some(true),
                ..none.clone()
            },
            "tls.ssl3",
        ),
        (
            Facts {
                tls10: Some(true),
                ..none.clone()
            },
            "tls.tls10",
        ),
        (
            Facts {
                tls11: Some(true),
                ..none.clone()
            },
            "tls.tls11",
        ),
        (
            Facts {
                best: Some(Version::Tls11),
                ..none.clone()
            },
            "tls.no-tls12",
        ),
    ] {
        assert_eq!(ids(&judge(&facts, Some("leaf.example"), NOW)), [id]);
    }
    // it speaks 1.3 only
    assert!(
        judge(
            &Facts {
                best: None,
                ..none.clone()
            },
            Some("leaf.example"),
            NOW
        )
        .issues
        .is_empty()
    );
    // it refused what was asked by hand, and the handshake of today came to nothing
    let silent = Facts {
        best: None,
        session: None,
        ..none.clone()
    };
    assert!(
        judge(&silent, Some("leaf.example"), NOW)
            .open
            .contains(&of("tls.no-tls12"))
    );
    let unknown = Facts {
        tls10: None,
        ..none.clone()
    };
    assert_eq!(judge(&unknown, Some("leaf.example"), NOW).open, [of("tls.tls10")]);
    let mut older = none;
    older.session.as_mut().unwrap().version = "TLSv1.2".to_owned();
    assert_eq!(ids(&judge(&older, Some("leaf.example"), NOW)), ["tls.no-tls13"]);
}

#[test]
fn suites() {
    let ids_of = [
        (Weakness::Anonymous, "tls.cipher-anonymous"),
        (Weakness::Null, "tls.cipher-null"),
        (Weakness::Export, "tls.cipher-export"),
        (Weakness::Rc4, "tls.cipher-rc4"),
        (Weakness::Des, "tls.cipher-des"),
    ];
    for (kind, id) in ids_of {
        let facts = Facts {
            weak: vec![(kind, "TLS_X")],
            ..with(leaf())
        };
        let verdict = judge(&facts, Some("leaf.example"), NOW);
        assert_eq!((ids(&verdict), verdict.open), (vec![id], vec![]));
    }
    let broken_off = Facts {
        weak: vec![(Weakness::Rc4, "TLS_X")],
        weak_done: false,
        ..with(leaf())
    };
    let verdict = judge(&broken_off, Some("leaf.example"), NOW);
    assert_eq!((ids(&verdict), verdict.open.len()), (vec!["tls.cipher-rc4"], 4));
}
