//! Single documents: what must be refused whatever came before. Numbers are those of the list of adversarial cases.

use std::sync::LazyLock;

use serde_json::{Value, json};
use venom_bundle::{
    Channel, DocumentError, DocumentKind, EnvelopeError, JsonError, RolloutOrder, TrustedRelease, TrustedRoot,
    UnverifiedBundle, VerifyError,
};

use crate::support::{SEED, archive, component, envelope, envelope_of, good, host, key, signature};
use crate::swarm::*;

const KINDS: [DocumentKind; 4] = [
    DocumentKind::Root,
    DocumentKind::Release,
    DocumentKind::Rollout,
    DocumentKind::Host,
];

/// A good document of each kind, as JSON, and who signs it.
fn good_value(kind: DocumentKind) -> (Value, &'static [u8]) {
    let trusted = pinned().release(&signed_release(5), &Channel::default()).unwrap();
    match kind {
        DocumentKind::Root => (json!(next_root(&pinned(), |_| ())), &ROOTS),
        DocumentKind::Release => (json!(release(5)), &[RELEASE]),
        DocumentKind::Rollout => (json!(rollout(&trusted.digest(), 1)), &[ONLINE]),
        DocumentKind::Host => (json!(host_artefact()), &[RELEASE]),
    }
}

/// Reads bytes as a document of a kind, and gives its digest as text.
fn read(kind: DocumentKind, bytes: &[u8]) -> Result<String, DocumentError> {
    static PINNED: LazyLock<TrustedRoot> = LazyLock::new(pinned);
    read_under(&PINNED, kind, bytes)
}

fn read_under(root: &TrustedRoot, kind: DocumentKind, bytes: &[u8]) -> Result<String, DocumentError> {
    static RELEASED: LazyLock<TrustedRelease> =
        LazyLock::new(|| pinned().release(&signed_release(5), &Channel::default()).unwrap());
    Ok(match kind {
        DocumentKind::Root => root.rotate(bytes)?.digest().to_string(),
        DocumentKind::Release => root.release(bytes, &Channel::default())?.digest().to_string(),
        DocumentKind::Rollout => root.rollout(bytes, &RELEASED)?.digest().to_string(),
        DocumentKind::Host => root.host_artefact(bytes)?.digest().to_string(),
    })
}

/// The refusal of a good document that was changed before it was signed.
fn refusal(kind: DocumentKind, change: impl FnOnce(&mut Value)) -> String {
    let (mut value, seeds) = good_value(kind);
    change(&mut value);
    let result = read(kind, &raw(kind, value.to_string().as_bytes(), seeds));
    result.map_or_else(|error| error.to_string(), |_| "none".to_owned())
}

fn value_refusal(kind: DocumentKind, payload: &str) -> DocumentError {
    read(kind, &raw(kind, payload.as_bytes(), good_value(kind).1)).unwrap_err()
}

#[test]
fn the_documents_of_these_tests_are_good() {
    for kind in KINDS {
        assert_eq!(refusal(kind, |_| ()), "none", "{kind:?}");
    }
}

#[test]
fn case_01_no_flipped_bit_of_a_document_goes_unnoticed() {
    for kind in KINDS {
        let (value, seeds) = good_value(kind);
        let needed = if kind == DocumentKind::Root { 2 } else { 1 };
        let bytes = raw(kind, value.to_string().as_bytes(), &seeds[..needed]);
        read(kind, &bytes).unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(read(kind, &flipped).is_err(), "{kind:?}, bit {bit}");
        }
    }
}

#[test]
fn case_02_unknown_revoked_and_small_order_keys_sign_nothing() {
    for kind in KINDS {
        let payload = good_value(kind).0.to_string();
        let error = read(kind, &raw(kind, payload.as_bytes(), &[99, 98, 97])).unwrap_err();
        assert!(
            matches!(error, DocumentError::TooFewKeys { found: 0, .. }),
            "{kind:?}: {error}"
        );
        assert!(
            read(kind, &raw(kind, payload.as_bytes(), &[])).is_err(),
            "{kind:?} unsigned"
        );
    }
    // a key both listed and revoked: nobody may guess which of the two was meant
    for (role, seed) in [("root", ROOTS[0]), ("release", RELEASE), ("rollout", ONLINE)] {
        let id = key(seed).public().id().to_string();
        let text = refusal(DocumentKind::Root, |root| root["revoked"] = json!([id]));
        assert!(
            text.contains(&format!("roles.{role}")) && text.contains("revoked by this very root"),
            "{text}"
        );
    }
    // the key of order one, and that of order four
    for weak in [
        "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
    ] {
        for role in ["root", "release", "rollout"] {
            let text = refusal(DocumentKind::Root, |root| root["roles"][role]["keys"][0] = json!(weak));
            assert!(text.contains("weak public key"), "{text}");
        }
    }
}

#[test]
fn case_03_one_key_counts_once_however_it_is_written_or_named() {
    let payload = json!(next_root(&pinned(), |_| ())).to_string();
    let kind = DocumentKind::Root.payload_type();
    let own = key(ROOTS[0]).public().id().to_string();
    let other = key(ROOTS[1]).public().id().to_string();
    let mine = |id: &str| signature([ROOTS[0]; 32], id, kind, payload.as_bytes());
    let doubled = vec![mine(""), mine(&own), mine(&other), mine("x"), mine("")];
    let error = pinned()
        .rotate(&envelope(kind, payload.as_bytes(), doubled))
        .unwrap_err();
    assert!(
        matches!(
            error,
            DocumentError::TooFewKeys {
                found: 1,
                needed: 2,
                ..
            }
        ),
        "{error}"
    );
    // one key, listed in two of its forms
    let public = key(ROOTS[0]).public();
    let forms = [json!(public.to_base64()), json!(public.to_pem())];
    let text = refusal(DocumentKind::Root, |root| {
        root["roles"]["root"] = json!({"keys": forms, "threshold": 2});
    });
    assert!(text.contains("listed twice"), "{text}");
    let text = refusal(DocumentKind::Root, |root| {
        root["publishers"][0]["keys"] = json!([public.to_base64(), public.to_base64()]);
        root["publishers"][0]["threshold"] = json!(2);
    });
    assert!(text.contains("listed twice"), "{text}");
}

/// One key in all roles, as a newcomer has it: the type inside the signature is all that keeps the documents apart.
#[test]
fn case_04_no_document_passes_for_one_of_another_kind_though_the_key_is_the_same() {
    let seed = SEED[0];
    let mut all_in_one = root();
    let alone = role(&[seed], 1);
    (all_in_one.roles.root, all_in_one.roles.release) = (alone.clone(), alone.clone());
    all_in_one.roles.rollout = alone;
    let root = TrustedRoot::pin(&sign(all_in_one.unsigned(), &[seed])).unwrap();
    for kind in KINDS {
        let payload = good_value(kind).0.to_string();
        let document = raw(kind, payload.as_bytes(), &[seed]);
        for other in KINDS.into_iter().filter(|other| *other != kind) {
            let error = read_under(&root, other, &document).unwrap_err();
            assert!(
                matches!(error, DocumentError::WrongType { .. }),
                "{kind:?} as {other:?}: {error}"
            );
            // the same signature under the other name is one over other bytes
            let renamed = signature([seed; 32], "", kind.payload_type(), payload.as_bytes());
            let renamed = envelope(other.payload_type(), payload.as_bytes(), vec![renamed]);
            let error = read_under(&root, other, &renamed).unwrap_err();
            assert!(
                matches!(error, DocumentError::TooFewKeys { .. }),
                "{kind:?} as {other:?}: {error}"
            );
        }
        let bundle = UnverifiedBundle::parse(archive(&document, &component())).unwrap();
        let error = bundle.verify(&root.root().trust(&[]), &host()).unwrap_err();
        assert!(
            matches!(error, VerifyError::WrongType { .. }),
            "{kind:?} as a bundle: {error}"
        );
        let bundle = envelope_of(&good().to_bytes());
        let error = read_under(&root, kind, &bundle).unwrap_err();
        assert!(
            matches!(error, DocumentError::WrongType { .. }),
            "a bundle as {kind:?}: {error}"
        );
    }
    assert!(TrustedRoot::pin(&sign(release(1).unsigned(), &[seed])).is_err());
}

#[test]
fn case_05_documents_of_another_swarm_channel_epoch_or_release_are_refused() {
    let other = |key: &'static str, value: Value| move |document: &mut Value| document[key] = value;
    for kind in KINDS {
        let text = refusal(kind, other("swarm_id", json!("other-swarm")));
        assert!(
            text.contains("is for swarm `other-swarm`, here it is `test-swarm`"),
            "{text}"
        );
    }
    for kind in [DocumentKind::Release, DocumentKind::Rollout] {
        let text = refusal(kind, other("channel", json!("canary")));
        assert!(text.contains("is for channel `canary`, here it is `stable`"), "{text}");
    }
    for epoch in [0, 2] {
        let text = refusal(DocumentKind::Release, other("epoch", json!(epoch)));
        assert!(text.contains(&format!("is for epoch `{epoch}`")), "{text}");
    }
    let text = refusal(DocumentKind::Rollout, other("release_sha256", json!("0".repeat(64))));
    assert!(text.contains("is for release `000"), "{text}");
    assert_eq!(
        refusal(DocumentKind::Host, |host| drop(
            host.as_object_mut().unwrap().remove("swarm_id")
        )),
        "none"
    );
}

#[test]
fn case_18_documents_of_a_newer_format_ask_for_a_newer_host() {
    for kind in KINDS {
        let text = refusal(kind, |document| {
            document["format"] = json!(2);
            document["from_the_future"] = json!(true);
        });
        assert!(text.contains("`format`") && text.contains("update the host"), "{text}");
    }
}

#[test]
fn case_19_payloads_are_strict_json() {
    for kind in KINDS {
        let good = good_value(kind).0.to_string();
        let body = good.strip_suffix('}').unwrap();
        let json = |payload: &str| match value_refusal(kind, payload) {
            DocumentError::Json { source, .. } => source,
            other => panic!("{kind:?}: {other}"),
        };
        let twice = json(&format!("{body},\"format\":1}}"));
        assert!(matches!(twice, JsonError::DuplicateKey { key } if key == "format"));
        let disguised = json(&format!("{body},\"f\\u006frmat\":1}}"));
        assert!(matches!(disguised, JsonError::DuplicateKey { .. }));
        assert!(matches!(
            json(&format!("{body},\"x\":{}", "[".repeat(10_000))),
            JsonError::TooDeep
        ));
        assert!(matches!(
            json(&format!("{body},\"x\":9007199254740993}}")),
            JsonError::Number
        ));
        for trailing in [format!("{good}x"), format!("{good}{good}"), format!("{good}\0")] {
            assert!(matches!(json(&trailing), JsonError::Syntax(_)));
        }
        let mut bytes = good.clone().into_bytes();
        bytes.splice(1..1, *b"\"\xff\":1,");
        let error = read(kind, &raw(kind, &bytes, good_value(kind).1)).unwrap_err();
        assert!(
            matches!(
                &error,
                DocumentError::Json {
                    source: JsonError::Utf8 { at: 2 },
                    ..
                }
            ),
            "{error}"
        );
        let error = value_refusal(kind, &format!("{body},\"unknown\":1}}"));
        assert!(error.to_string().contains("unknown field `unknown`"), "{error}");
        for no_object in ["[]", "null", "1", "\"\"", ""] {
            let error = value_refusal(kind, no_object);
            assert!(
                matches!(error, DocumentError::Fields { .. } | DocumentError::Json { .. }),
                "{error}"
            );
        }
    }
}

#[test]
fn case_19_envelopes_are_strict_json_within_their_size() {
    for kind in KINDS {
        let (value, seeds) = good_value(kind);
        let good = raw(kind, value.to_string().as_bytes(), seeds);
        let refused = |bytes: &[u8]| match read(kind, bytes).unwrap_err() {
            DocumentError::Envelope { source, .. } => source,
            other => panic!("{kind:?}: {other}"),
        };
        let mut exact = good.clone();
        exact.resize(kind.max_bytes(), b' ');
        read(kind, &exact).unwrap();
        exact.push(b' ');
        assert!(matches!(refused(&exact), EnvelopeError::TooLarge { limit } if limit == kind.max_bytes()));
        let trailing = [good.as_slice(), b"x"].concat();
        assert!(matches!(refused(&trailing), EnvelopeError::Json(JsonError::Syntax(_))));
        let text = String::from_utf8(good.clone()).unwrap();
        let twice = text.replacen('{', "{\"payload\":\"\",", 1);
        assert!(matches!(
            refused(twice.as_bytes()),
            EnvelopeError::Json(JsonError::DuplicateKey { .. })
        ));

        let payload = value.to_string();
        let of = |count: usize| {
            let mut signatures: Vec<_> = seeds
                .iter()
                .map(|&it| signature([it; 32], "", kind.payload_type(), payload.as_bytes()))
                .collect();
            let nobody = signature([99; 32], "", kind.payload_type(), payload.as_bytes());
            signatures.resize(count, nobody);
            envelope(kind.payload_type(), payload.as_bytes(), signatures)
        };
        read(kind, &of(16)).unwrap();
        assert!(matches!(
            refused(&of(17)),
            EnvelopeError::TooManySignatures { count: 17 }
        ));
    }
    assert_eq!(KINDS.map(DocumentKind::max_bytes), [65_536, 262_144, 65_536, 65_536]);
}

/// Kind, key, value, and a word of the refusal.
#[test]
fn values_that_make_no_sense_are_named() {
    use DocumentKind::{Host, Release, Rollout, Root};
    let day = |days| json!(day(days));
    let before_2020 = json!("2019-12-31T23:59:59Z");
    for (kind, key, value, words) in [
        (Root, "created", before_2020.clone(), "before 2020"),
        (Root, "expires", day(1), "`expires`: is not after `created`"),
        (Root, "expires", day(-9), "`expires`: is not after `created`"),
        (Root, "expires", day(1 + 30 * 366 + 1), "`expires`: is more than"),
        (Root, "version", json!(0), "versions and epochs begin with 1"),
        (Root, "epoch", json!(0), "versions and epochs begin with 1"),
        (Root, "epoch", json!(3), "after 1 comes the same or one more"),
        (Root, "version", json!(-1), "expected fields"),
        (Release, "created", before_2020.clone(), "before 2020"),
        (Release, "created", day(3_650), "`expires`: is not after"),
        (Release, "expires", day(0), "`expires`: is not after `created`"),
        (Release, "expires", day(30 * 366 + 1), "`expires`: is more than"),
        (Release, "seq", json!(0), "begin with 1"),
        (Release, "seq", json!(1.5), "expected fields"),
        (Release, "prev_sha256", json!("ABC"), "no SHA-256 digest"),
        (Rollout, "issued", before_2020.clone(), "before 2020"),
        (Rollout, "expires", day(0), "`expires`: is not after `issued`"),
        (
            Rollout,
            "expires",
            day(32),
            "`expires`: is more than 31 days after `issued`",
        ),
        (Rollout, "counter", json!(0), "counters are 1 to 2^53"),
        (Rollout, "wave", json!(10_001), "is over 10000"),
        (Rollout, "state", json!("stop"), "unknown variant"),
        (Host, "created", before_2020, "before 2020"),
        (Host, "expires", day(0), "`expires`: is not after `created`"),
        (Host, "size", json!(0), "programs have 1 to"),
        (Host, "size", json!(512 * 1024 * 1024 + 1), "programs have 1 to"),
        (Host, "target", json!(""), "no target triple"),
        (Host, "target", json!("x86_64/../linux"), "no target triple"),
        (Host, "target", json!("a".repeat(65)), "no target triple"),
        (Host, "version", json!("1.0"), "expected fields"),
    ] {
        let text = refusal(kind, |document| document[key] = value.clone());
        assert!(text.contains(words), "{kind:?} {key} {value}: {text}");
    }
    assert_eq!(refusal(Rollout, |it| it["expires"] = day(31)), "none");
    assert_eq!(refusal(Release, |it| it["expires"] = day(30 * 366)), "none");
    let text = refusal(Release, |it| {
        (it["seq"], it["prev_sha256"]) = (json!(1), json!("0".repeat(64)));
    });
    assert!(text.contains("nothing comes before"), "{text}");
    let text = refusal(Release, |it| {
        (it["created"], it["expires"]) = (day(3_650), day(3_651));
    });
    assert!(text.contains("after the end of root 1"), "{text}");
}

#[test]
fn roles_must_be_such_that_somebody_can_sign() {
    let keys = |count: u8| json!((100..100 + count).map(|seed| key(seed).public()).collect::<Vec<_>>());
    for role in ["root", "release", "rollout"] {
        for (value, words) in [
            (json!({"keys": [], "threshold": 0}), "threshold is 1"),
            (json!({"keys": keys(2), "threshold": 0}), "threshold is 1"),
            (json!({"keys": keys(2), "threshold": 3}), "threshold is 1"),
            (json!({"keys": keys(17), "threshold": 1}), "more than 16 keys"),
        ] {
            let text = refusal(DocumentKind::Root, |root| root["roles"][role] = value.clone());
            assert!(
                text.contains(&format!("roles.{role}")) && text.contains(words),
                "{text}"
            );
        }
    }
    assert_eq!(
        refusal(DocumentKind::Root, |root| {
            root["roles"]["release"] = json!({"keys": keys(16), "threshold": 16});
        }),
        "none"
    );
    for (key, value, words) in [
        ("prefix", json!("echo"), "publishers[0].prefix"),
        ("threshold", json!(2), "publishers[0].threshold"),
        ("ceiling", json!({"http": ["a*b"]}), "publishers[0].ceiling.http[0]"),
        ("budgets", json!({"memory": 0}), "publishers[0].budgets.memory"),
    ] {
        let text = refusal(DocumentKind::Root, |root| root["publishers"][0][key] = value.clone());
        assert!(text.contains(words), "{text}");
    }
}

#[test]
fn entries_of_a_release_have_bounds() {
    let digest = "ab".repeat(32);
    let fallback = |version: &str| {
        let mut fallback = json!(bundle_ref());
        (fallback["version"], fallback["sha256"]) = (json!(version), json!("cd".repeat(32)));
        fallback
    };
    let with = |at: &str, value: Value| {
        refusal(DocumentKind::Release, |release| {
            *release["entries"][0].pointer_mut(at).unwrap() = value;
        })
    };
    let entry = |more: Value| {
        refusal(DocumentKind::Release, |release| {
            let entry = release["entries"][0].as_object_mut().unwrap();
            entry.extend(more.as_object().unwrap().clone());
        })
    };
    let largest = venom_bundle::MAX_BUNDLE_FILE_BYTES;
    assert_eq!(with("/bundle/size", json!(largest)), "none");
    for (text, words) in [
        (with("/skill", json!("echo")), "entries[0].skill"),
        (with("/bundle/size", json!(0)), "entries[0].bundle.size"),
        (with("/bundle/size", json!(largest + 1)), "entries[0].bundle.size"),
        (entry(json!({"floor": "1.2.4"})), "below the entry's own `floor`"),
        (
            entry(json!({"floor": "1.2.3", "fallback": fallback("1.2.2")})),
            "entries[0].fallback`: is below",
        ),
        (
            entry(json!({"floor": "1.2.3", "fallback": fallback("1.2.3-rc.1")})),
            "entries[0].fallback`: is below",
        ),
        (entry(json!({"fallback": bundle_ref()})), "is the bundle itself"),
        (entry(json!({"selector": {"percent": 0}})), "selector.percent"),
        (entry(json!({"selector": {"percent": 101}})), "selector.percent"),
        (entry(json!({"selector": {"percent": 256}})), "expected fields"),
        (entry(json!({"selector": {"tags": ["ok", " "]}})), "selector.tags[1]"),
        (entry(json!({"selector": {"tags": ["a\u{7}"]}})), "selector.tags[0]"),
        (
            entry(json!({"selector": {"tags": ["x".repeat(65)]}})),
            "selector.tags[0]",
        ),
        (
            entry(json!({"selector": {"tags": vec!["x"; 65]}})),
            "lists more than 64",
        ),
        (
            entry(json!({"selector": {"ids": vec![spore(); 1_025]}})),
            "lists more than 1024",
        ),
        (entry(json!({"selector": {"tag": []}})), "unknown field `tag`"),
        (
            entry(json!({"grants": {"http": [{"host": "a*"}]}})),
            "entries[0].grants.http[0].host",
        ),
        (
            entry(json!({"grants": {"fs": [{"host": "srv", "guest": "/a"}]}})),
            "entries[0].grants.fs[0].host",
        ),
        (
            entry(json!({"grants": {"secrets": {"T": {"env": "T", "audience": ["*"]}}}})),
            "entries[0].grants.secrets.T",
        ),
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
    assert_eq!(
        entry(json!({"floor": "1.2.3", "fallback": fallback("1.2.3+build")})),
        "none"
    );
    assert_eq!(entry(json!({"grants": {"http": [{"host": "a.example"}]}})), "none");

    let sources = |count: usize| json!(vec!["https://a.example/x"; count]);
    let source = |value: Value| {
        refusal(DocumentKind::Release, |release| {
            release["entries"][0]["bundle"]["sources"] = value
        })
    };
    assert_eq!(source(sources(8)), "none");
    assert!(source(sources(9)).contains("bundle.sources`: lists more than 8"));
    assert!(source(json!(["https://a.example/x", "http://a.example/x"])).contains("bundle.sources[1]"));

    let revoked = refusal(DocumentKind::Release, |release| {
        release["revoked"] = json!([good().digest()])
    });
    assert!(
        revoked.contains("entries[0].bundle") && revoked.contains("revoked by this very release"),
        "{revoked}"
    );
    let revoked = refusal(DocumentKind::Release, |release| {
        release["entries"][0]["fallback"] = fallback("1.0.0");
        release["revoked"] = json!(["cd".repeat(32)]);
    });
    assert!(revoked.contains("entries[0].fallback"), "{revoked}");
    assert_eq!(
        refusal(DocumentKind::Release, |release| release["revoked"] = json!([digest])),
        "none"
    );
}

#[test]
fn a_release_names_no_spores_twice_for_one_skill() {
    let twice = |first: Value, second: Value| {
        refusal(DocumentKind::Release, |release| {
            let mut other = release["entries"][0].clone();
            (release["entries"][0]["selector"], other["selector"]) = (first, second);
            release["entries"].as_array_mut().unwrap().push(other);
        })
    };
    let id = spore();
    for (first, second) in [
        (json!({}), json!({})),
        (json!({}), json!({"percent": 100})),
        (json!({"tags": ["a", "b"]}), json!({"tags": ["b", "a", "a"]})),
        (json!({"ids": [id]}), json!({"ids": [id, id]})),
    ] {
        let text = twice(first, second);
        assert!(
            text.contains("entries[1]") && text.contains("very same spores"),
            "{text}"
        );
    }
    for (first, second) in [
        (json!({"tags": ["a"]}), json!({})),
        (json!({"percent": 99}), json!({})),
        (json!({"tags": ["a"]}), json!({"tags": ["b"]})),
        (json!({"ids": [id]}), json!({})),
        (json!({"ids": [id]}), json!({"ids": [venom_protocol::NodeId::random()]})),
    ] {
        assert_eq!(twice(first, second), "none");
    }
    let too_many = refusal(DocumentKind::Release, |release| {
        let entry = release["entries"][0].clone();
        release["entries"] = json!(vec![entry; 513]);
    });
    assert!(too_many.contains("more than 512"), "{too_many}");
}

#[test]
fn what_readers_refuse_is_not_handed_out_for_signing() {
    let trusted = pinned().release(&signed_release(5), &Channel::default()).unwrap();
    let mut root = root();
    root.to_sign().unwrap();
    root.roles.release.threshold = 2;
    assert!(root.to_sign().is_err());
    let mut draft = release(1);
    draft.to_sign().unwrap();
    draft.entries[0].bundle.sources = vec![format!("https://a.example/{}", "x".repeat(2_000)); 8];
    draft.entries = (0..20).map(|_| draft.entries[0].clone()).collect();
    for (index, entry) in draft.entries.iter_mut().enumerate() {
        entry.skill = format!("EchoSkill{index}");
    }
    draft.check().unwrap();
    let error = draft.to_sign().unwrap_err();
    assert!(
        matches!(
            error,
            DocumentError::Envelope {
                source: EnvelopeError::TooLarge { .. },
                ..
            }
        ),
        "{error}"
    );
    let mut rollout = trusted.draft_rollout(1, RolloutOrder::Run, day(0), day(31));
    rollout.to_sign().unwrap();
    rollout.counter = 0;
    assert!(rollout.to_sign().is_err());
    let mut host = host_artefact();
    host.to_sign().unwrap();
    host.size = 0;
    assert!(host.to_sign().is_err());
}
