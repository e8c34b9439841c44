//! Hostile input, bounded: tens of thousands of damaged golden frames (fixed seed, so that a failure comes
//! again) and arbitrary text against both ends. The fuzz target in `fuzz/` does the same without a bound.

#[cfg(test)]
#[path = "hostile/check.rs"]
mod check;

#[cfg(test)]
mod hostile {
    use proptest::prelude::*;
    use proptest::test_runner::{FileFailurePersistence, RngSeed};
    use serde_json::value::RawValue;
    use venom_protocol::session::{NexusEnd, SporeEnd};
    use venom_protocol::{
        ExecuteSkill, FromNexus, FromSpore, NodeId, RequestId, Response, Timestamp, decode_from_nexus,
        decode_from_spore, encode,
    };

    use super::check::{self, Verdict};

    /// Changing it changes every case below.
    const SEED: u64 = 0x0B5E_55ED_F00D_CAFE;
    const ROUNDS: u32 = 40_000;

    /// xorshift64: enough to pick and damage.
    struct Chance(u64);

    impl Chance {
        fn below(&mut self, bound: usize) -> usize {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            (self.0 % bound.max(1) as u64) as usize
        }
    }

    const TOKENS: [&str; 22] = [
        "null",
        "true",
        "-1",
        "1e999",
        "-0.0",
        "9007199254740993",
        "18446744073709551616",
        "\"\"",
        "{}",
        "[]",
        "\\u0000",
        "\\ud800",
        "\u{202e}",
        "\"protocol\":2,",
        "\"protocol\":null,",
        ",",
        ":",
        "\"",
        "{",
        "}",
        "\\",
        "\u{1b}[2J",
    ];

    fn golden() -> Vec<String> {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden");
        let mut paths: Vec<_> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        paths.sort();
        paths
            .iter()
            .map(|path| std::fs::read_to_string(path).unwrap())
            .collect()
    }

    fn damaged(frame: &str, others: &[String], chance: &mut Chance) -> String {
        let mut bytes = frame.as_bytes().to_vec();
        for _ in 0..chance.below(4) {
            let at = chance.below(bytes.len());
            match chance.below(7) {
                0 if !bytes.is_empty() => bytes[at] ^= 1 << chance.below(8),
                1 => bytes.truncate(at),
                2 => drop(bytes.drain(at..(at + chance.below(12)).min(bytes.len()))),
                3 => drop(bytes.splice(at..at, TOKENS[chance.below(TOKENS.len())].bytes())),
                4 => {
                    let other = others[chance.below(others.len())].as_bytes();
                    bytes.extend_from_slice(&other[chance.below(other.len())..]);
                }
                5 => drop(bytes.splice(
                    at..at,
                    std::iter::repeat_n(b"[{\""[chance.below(3)], chance.below(3_000)),
                )),
                _ => {
                    // a value gives way to another: what stands between `:` and `,`
                    let from = bytes[at..].iter().position(|&b| b == b':').map_or(at, |p| at + p + 1);
                    let to = bytes[from..].iter().position(|&b| b == b',').map_or(from, |p| from + p);
                    bytes.splice(from..to, TOKENS[chance.below(TOKENS.len())].bytes());
                }
            }
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }

    #[test]
    fn damaged_frames_are_taken_refused_or_close_and_nothing_else() {
        let corpus = golden();
        let v1 = corpus
            .iter()
            .find(|text| text.contains("HANDSHAKE") && !text.contains("protocol"))
            .unwrap();
        let v2 = corpus
            .iter()
            .find(|text| text.contains("\"protocol\":2,\"concurrency\""))
            .unwrap();
        let mut chance = Chance(SEED);
        let (mut nexus, mut spore) = (NexusEnd::new(), SporeEnd::new(check::node()));
        let mut in_a_row = (0, 0);
        let mut seen = [[0_u32; 3]; 2];
        for round in 0..ROUNDS {
            let text = damaged(&corpus[chance.below(corpus.len())], &corpus, &mut chance);
            let verdict = check::nexus(&mut nexus, &text, &mut in_a_row.0);
            seen[0][verdict as usize] += 1;
            if verdict == Verdict::Closed {
                nexus = NexusEnd::new();
                in_a_row.0 = 0;
                // one in three stays a stranger
                if let Some(handshake) = [v1, v2].get(round as usize % 3) {
                    assert_eq!(check::nexus(&mut nexus, handshake, &mut in_a_row.0), Verdict::Taken);
                }
            }
            let verdict = check::spore(&mut spore, &text, &mut in_a_row.1);
            seen[1][verdict as usize] += 1;
            if verdict == Verdict::Closed {
                spore = SporeEnd::new(check::node());
                in_a_row.1 = 0;
            }
        }
        // the run is worth something only while all three happen often
        assert!(
            seen.iter().flatten().all(|&times| times > ROUNDS / 100),
            "taken, refused, closed: {seen:?}"
        );
    }

    #[test]
    fn depth_is_no_danger() {
        for depth in [1_000, 1_000_000] {
            let nested = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
            let ids = format!(r#""node_id":"{}","request_id":"{}""#, check::NODE, check::NODE);
            let answer =
                format!(r#"{{"message_type":"RESPONSE","payload":{{{ids},"success":true,"result":{nested}}}}}"#);
            let Ok(FromSpore::Response(response)) = decode_from_spore(&answer) else {
                panic!("passed on unread")
            };
            assert_eq!(response.result.unwrap().get().len(), 2 * depth);
            let partial =
                format!(r#"{{"message_type":"PROGRESS","payload":{{{ids},"kind":"partial","value":{nested}}}}}"#);
            assert!(
                decode_from_spore(&partial).is_err(),
                "this one is read, to a bounded depth"
            );
            let unknown = format!(r#"{{"x":{nested},"message_type":"DISCONNECT","payload":{{"y":{nested}}}}}"#);
            assert!(matches!(decode_from_spore(&unknown), Ok(FromSpore::Disconnect(_))));
        }
    }

    fn config() -> ProptestConfig {
        ProptestConfig {
            rng_seed: RngSeed::Fixed(SEED),
            failure_persistence: Some(Box::new(FileFailurePersistence::Direct(concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/tests/hostile.regressions"
            )))),
            ..ProptestConfig::with_cases(512)
        }
    }

    fn json() -> impl Strategy<Value = Box<RawValue>> {
        let leaf = prop_oneof![
            Just("null".to_owned()),
            any::<bool>().prop_map(|b| b.to_string()),
            any::<i128>().prop_map(|n| n.to_string()),
            any::<String>().prop_map(|s| serde_json::to_string(&s).unwrap()),
        ];
        let value = leaf.prop_recursive(4, 32, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(|items| format!("[{}]", items.join(" , "))),
                prop::collection::vec((any::<String>(), inner), 0..6).prop_map(|fields| {
                    let fields = fields
                        .iter()
                        .map(|(k, v)| format!("{}:{v}", serde_json::to_string(k).unwrap()));
                    format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
                }),
            ]
        });
        value.prop_map(|text| RawValue::from_string(text).unwrap())
    }

    /// Of few digits: `serde_json` reads those exactly, and others to the last bit but one.
    fn seconds() -> impl Strategy<Value = f64> {
        (1..1_000_000_000_u32).prop_map(|eighths| f64::from(eighths) / 8.0)
    }

    fn ids() -> impl Strategy<Value = (RequestId, NodeId)> {
        any::<[u128; 2]>().prop_map(|[a, b]| (RequestId(uuid::Uuid::from_u128(a)), NodeId(uuid::Uuid::from_u128(b))))
    }

    proptest! {
        #![proptest_config(config())]

        #[test]
        fn any_text_is_refused_in_words(texts in prop::collection::vec(any::<String>(), 1..20)) {
            let (mut nexus, mut spore, mut in_a_row) = (NexusEnd::new(), SporeEnd::new(check::node()), (0, 0));
            for text in &texts {
                prop_assert_ne!(check::nexus(&mut nexus, text, &mut in_a_row.0), Verdict::Taken);
                prop_assert_ne!(check::spore(&mut spore, text, &mut in_a_row.1), Verdict::Taken);
            }
        }

        #[test]
        fn calls_arrive_as_they_were_sent(
            (request_id, node_id) in ids(), skill_name: String, method_name: String, parameters in json(),
            timeout in seconds(), traceparent: Option<String>,
        ) {
            let sent = ExecuteSkill { request_id, node_id, skill_name, method_name, parameters, timeout, traceparent, task: None };
            let text = encode(&sent, Timestamp::now()).unwrap();
            let Ok(FromNexus::Execute(read)) = decode_from_nexus(&text) else { panic!("{text}") };
            prop_assert_eq!(format!("{read:?}"), format!("{sent:?}"));
        }

        #[test]
        fn answers_arrive_as_they_were_sent(
            (request_id, node_id) in ids(), success: bool, result in prop::option::of(json()), error: Option<String>,
            execution_time in seconds(),
        ) {
            let sent = Response { request_id, node_id, success, result, error, execution_time, error_code: None };
            let text = encode(&sent, Timestamp::now()).unwrap();
            let Ok(FromSpore::Response(read)) = decode_from_spore(&text) else { panic!("{text}") };
            // `null` and nothing are the same on the wire
            let sent = Response { result: sent.result.filter(|raw| raw.get() != "null"), ..sent };
            prop_assert_eq!(format!("{read:?}"), format!("{sent:?}"));
        }
    }
}
