//! The rules of a link, at both ends, and what v1 peers write (golden files `python_*`).

#[cfg(test)]
mod session {
    use venom_protocol::session::{
        MAX_CLOSE_REASON_BYTES, MAX_HANDSHAKE_BYTES, MAX_NAME_CHARS, MAX_SKILLS, MAX_TAGS, NexusEnd, NexusStep,
        SporeEnd, SporeStep,
    };
    use venom_protocol::{MAX_FRAME_BYTES, MAX_INVALID_IN_A_ROW, NodeId, close};

    const NODE: &str = "6fa459ea-ee8a-4ca4-894e-db77e160355e";
    const OTHER: &str = "16fd2706-8baf-433b-82eb-8c7fada847da";

    fn frame(message_type: &str, payload: &str) -> String {
        format!(r#"{{"message_type":"{message_type}","payload":{payload}}}"#)
    }

    /// A handshake with more fields, each `"name":value,`.
    fn handshake(more: &str) -> String {
        frame(
            "HANDSHAKE",
            &format!(r#"{{{more}"node_id":"{NODE}","node_name":"web-1"}}"#),
        )
    }

    fn beat(node: &str, cpu: &str) -> String {
        frame(
            "HEARTBEAT",
            &format!(r#"{{"node_id":"{node}","cpu_usage":{cpu},"memory_usage":0.5,"active_tasks":1}}"#),
        )
    }

    fn nexus(protocol: u32) -> NexusEnd {
        let mut end = NexusEnd::new();
        let step = end.on_text(&handshake(&format!(r#""protocol":{protocol},"#)));
        assert!(matches!(step, NexusStep::Handshake(_)), "{step:?}");
        end
    }

    fn spore(welcomed: bool) -> SporeEnd {
        let mut end = SporeEnd::new(NODE.parse().unwrap());
        if welcomed {
            let step = end.on_text(&frame(
                "WELCOME",
                r#"{"protocol":2,"heartbeat_timeout":60,"version":"1"}"#,
            ));
            assert!(matches!(step, SporeStep::Welcome(_)), "{step:?}");
        }
        end
    }

    fn call(node: &str, timeout: &str) -> String {
        frame(
            "EXECUTE_SKILL",
            &format!(
                r#"{{"request_id":"{OTHER}","node_id":"{node}","skill_name":"S","method_name":"m","parameters":{{}}{timeout}}}"#
            ),
        )
    }

    /// What was complained about, and whether to send it.
    fn complaint(step: NexusStep) -> (String, bool) {
        match step {
            NexusStep::Complain { error, send } => (error.error, send),
            other => panic!("expected a complaint, got {other:?}"),
        }
    }

    fn spore_complaint(step: SporeStep) -> (String, bool) {
        match step {
            SporeStep::Complain { error, send } => (error.error, send),
            other => panic!("expected a complaint, got {other:?}"),
        }
    }

    fn closed(step: NexusStep) -> (u16, String) {
        match step {
            NexusStep::Close { code, reason } => {
                assert!(reason.len() <= MAX_CLOSE_REASON_BYTES, "{reason}");
                (code, reason)
            }
            other => panic!("expected a close, got {other:?}"),
        }
    }

    #[test]
    fn the_version_is_agreed_upon() {
        for (said, agreed) in [
            ("", 1),
            (r#""protocol":null,"#, 1),
            (r#""protocol":0,"#, 1),
            (r#""protocol":1,"#, 1),
            (r#""protocol":2,"#, 2),
            (r#""protocol":99,"#, 2),
        ] {
            let mut end = NexusEnd::new();
            assert_eq!((end.protocol(), end.node_id()), (1, None));
            let NexusStep::Handshake(handshake) = end.on_text(&handshake(said)) else {
                panic!("{said}")
            };
            assert_eq!((handshake.protocol, end.protocol()), (Some(agreed), agreed), "{said}");
            assert_eq!(end.node_id(), Some(NODE.parse().unwrap()));
        }
    }

    #[test]
    fn nothing_counts_before_the_handshake() {
        let mut end = NexusEnd::new();
        let (what, send) = complaint(end.on_text(&beat(NODE, "0.5")));
        assert!(what.contains("HANDSHAKE must be the first") && !send, "{what}");
        assert_eq!(end.node_id(), None);
        for text in ["{", r#"{"message_type":"HELLO"}"#] {
            assert!(!complaint(end.on_text(text)).1, "nobody knows yet what the peer speaks");
        }
        assert!(
            matches!(end.on_text(&handshake("")), NexusStep::Handshake(_)),
            "late is not too late"
        );
    }

    #[test]
    fn a_bad_handshake_closes_with_its_reason_and_registers_nothing() {
        let long = "x".repeat(MAX_NAME_CHARS + 1);
        let many = |what: &str, count: usize| {
            let labels: Vec<String> = (0..count).map(|i| format!("\"l{i}\"")).collect();
            handshake(&format!(r#""capabilities":{{"{what}":[{}]}},"#, labels.join(",")))
        };
        let named = |name: &str| frame("HANDSHAKE", &format!(r#"{{"node_id":"{NODE}","node_name":{name}}}"#));
        let cases = [
            (named(&format!("\"{long}\"")), "node_name has over 128 characters"),
            (named(r#"" ""#), "node_name is empty"),
            (named(r#""a\u001b[31mb""#), "control characters"),
            (many("skills", MAX_SKILLS + 1), "1025 skills named, over 1024"),
            (many("tags", MAX_TAGS + 1), "257 tags named, over 256"),
            (handshake(r#""capabilities":{"tags":[""]},"#), "tag is empty"),
            (handshake(r#""concurrency":0,"#), "concurrency is 0"),
            (
                handshake(&format!(r#""boot_id":"{}","#, "b".repeat(1_025))),
                "boot_id is over 1024 bytes",
            ),
            (handshake(r#""protocol":-2,"#), "invalid value"),
            (frame("HANDSHAKE", "{}"), "missing field `node_id`"),
            (
                frame("HANDSHAKE", r#"{"node_id":"web-1","node_name":"n"}"#),
                "payload of HANDSHAKE does not fit",
            ),
            (
                frame(
                    "HANDSHAKE",
                    r#"{"node_id":"00000000-0000-0000-0000-000000000000","node_name":"n"}"#,
                ),
                "nil uuid",
            ),
        ];
        for (text, why) in cases {
            let mut end = NexusEnd::new();
            let (code, reason) = closed(end.on_text(&text));
            assert_eq!(code, close::POLICY);
            assert!(
                reason.starts_with("handshake refused: ") && reason.contains(why),
                "{reason} for {why}"
            );
            assert_eq!(end.node_id(), None);
            assert_eq!(closed(end.on_text(&handshake(""))).1, reason, "closed is closed");
            assert_eq!(closed(end.on_binary()).1, reason);
        }
    }

    #[test]
    fn strangers_may_not_send_much() {
        let mut end = NexusEnd::new();
        let padded = format!("{}{}", handshake(""), " ".repeat(MAX_HANDSHAKE_BYTES));
        assert_eq!(closed(end.on_text(&padded)).0, close::TOO_BIG);
        let mut end = nexus(2);
        assert!(matches!(
            end.on_text(&format!("{}{}", beat(NODE, "0"), " ".repeat(MAX_HANDSHAKE_BYTES))),
            NexusStep::Heartbeat(_)
        ));
        assert_eq!(closed(end.on_text(&" ".repeat(MAX_FRAME_BYTES + 1))).0, close::TOO_BIG);
    }

    #[test]
    fn a_second_handshake_is_a_complaint() {
        let mut end = nexus(2);
        let (what, send) = complaint(end.on_text(&handshake("")));
        assert!(what.contains("registers once") && send);
        assert_eq!(end.protocol(), 2, "and changes nothing");
    }

    #[test]
    fn only_v2_peers_are_told() {
        for protocol in [1, 2] {
            let mut end = nexus(protocol);
            for text in ["", "[]", "{}", r#"{"message_type":"HELLO"}"#, &frame("HEARTBEAT", "{}")] {
                assert_eq!(complaint(end.on_text(text)).1, protocol == 2, "{text}");
            }
            assert_eq!(complaint(end.on_binary()).1, protocol == 2);
        }
    }

    #[test]
    fn complaints_name_what_was_wrong_in_one_printable_line() {
        let mut end = nexus(2);
        let (what, _) = complaint(end.on_text("{\"message_type\":\"HE\\u001b\\nLLO\"}"));
        assert_eq!(what, "unknown message type `HE??LLO`");
        let (what, _) = complaint(end.on_text(&frame("HEARTBEAT", "{}")));
        assert!(
            what.starts_with("payload of HEARTBEAT does not fit: missing field `node_id`"),
            "{what}"
        );
        let (what, _) = complaint(end.on_text(&frame(&"X".repeat(9_000), "{}")));
        assert!(what.len() < 100, "{what}");
    }

    #[test]
    fn ten_invalid_in_a_row_close_and_a_valid_one_starts_over() {
        for valid_between in [false, true] {
            let mut end = nexus(1);
            for _ in 1..MAX_INVALID_IN_A_ROW {
                complaint(end.on_text("?"));
            }
            if valid_between {
                assert!(matches!(end.on_text(&beat(NODE, "0")), NexusStep::Heartbeat(_)));
                complaint(end.on_text("?"));
                continue;
            }
            let (code, reason) = closed(end.on_binary());
            assert_eq!(code, close::POLICY);
            assert!(
                reason.starts_with("10 invalid messages in a row, last: binary"),
                "{reason}"
            );
        }
    }

    #[test]
    fn nobody_speaks_for_another_node() {
        let mut end = nexus(2);
        let response = format!(r#"{{"request_id":"{OTHER}","node_id":"{OTHER}","success":true}}"#);
        let status = format!(r#"{{"node_id":"{OTHER}","capabilities":{{}},"draining":false}}"#);
        for text in [beat(OTHER, "0"), frame("RESPONSE", &response), frame("STATUS", &status)] {
            let (what, _) = complaint(end.on_text(&text));
            assert!(
                what.contains(&format!("for node {OTHER} on the link of node {NODE}")),
                "{what}"
            );
        }
    }

    #[test]
    fn v2_messages_of_a_v1_peer_are_complaints() {
        let progress = frame(
            "PROGRESS",
            &format!(r#"{{"request_id":"{OTHER}","kind":"report","done":1,"total":2,"note":""}}"#),
        );
        let status = frame(
            "STATUS",
            &format!(r#"{{"node_id":"{NODE}","capabilities":{{}},"draining":true}}"#),
        );
        let (mut v1, mut v2) = (nexus(1), nexus(2));
        for text in [&progress, &status] {
            let (what, send) = complaint(v1.on_text(text));
            assert!(what.contains("needs protocol 2") && !send, "{what}");
        }
        assert!(matches!(v2.on_text(&progress), NexusStep::Progress(_)));
        assert!(matches!(v2.on_text(&status), NexusStep::Status(status) if status.draining));
    }

    #[test]
    fn a_status_is_bounded_as_a_handshake_is() {
        let skills = vec!["\"s\""; MAX_SKILLS + 1].join(",");
        let status = format!(r#"{{"node_id":"{NODE}","capabilities":{{"skills":[{skills}]}},"draining":false}}"#);
        assert!(
            complaint(nexus(2).on_text(&frame("STATUS", &status)))
                .0
                .contains("1025 skills")
        );
    }

    #[test]
    fn shares_are_pulled_in_and_numbers_that_are_none_refused() {
        let mut end = nexus(1);
        for (said, read) in [("-0.5", 0.0), ("55", 1.0), ("0.25", 0.25), ("1e300", 1.0)] {
            let NexusStep::Heartbeat(heartbeat) = end.on_text(&beat(NODE, said)) else {
                panic!("{said}")
            };
            assert!((heartbeat.cpu_usage - read).abs() < 1e-9, "{said}");
        }
        for said in ["NaN", "1e999", "\"0.5\"", "null"] {
            complaint(end.on_text(&beat(NODE, said)));
        }
        for tasks in ["-1", "-0.5", "\"1\""] {
            let text = beat(NODE, "0").replace(r#""active_tasks":1"#, &format!(r#""active_tasks":{tasks}"#));
            complaint(end.on_text(&text));
        }
        let many = beat(NODE, "0").replace(r#""active_tasks":1"#, r#""active_tasks":1e12"#);
        assert!(matches!(end.on_text(&many), NexusStep::Heartbeat(heartbeat) if heartbeat.active_tasks == u32::MAX));
    }

    #[test]
    fn an_error_is_never_answered() {
        let error = frame("ERROR", r#"{"error":"what?"}"#);
        assert!(matches!(nexus(2).on_text(&error), NexusStep::PeerError(error) if error.error == "what?"));
        assert!(matches!(spore(true).on_text(&error), SporeStep::PeerError(error) if error.error == "what?"));
    }

    #[test]
    fn an_envelope_may_come_in_any_order_and_with_more() {
        let mut end = nexus(1);
        let payload = format!(r#"{{"node_id":"{NODE}","cpu_usage":0,"memory_usage":0,"active_tasks":0,"x":[[{{}}]]}}"#);
        let texts = [
            format!(r#"{{"v":3,"payload":{payload},"message_type":"HEARTBEAT"}}"#),
            format!(r#"{{"message_type":"HEARTBEAT","payload":{payload},"timestamp":17}}"#),
        ];
        for text in texts {
            assert!(matches!(end.on_text(&text), NexusStep::Heartbeat(_)), "{text}");
        }
        let twice = format!(r#"{{"message_type":"HEARTBEAT","payload":{payload},"payload":{payload}}}"#);
        assert!(complaint(end.on_text(&twice)).0.contains("duplicate field `payload`"));
        assert!(
            complaint(end.on_text(&format!("{} x", beat(NODE, "0"))))
                .0
                .contains("trailing")
        );
        for goodbye in [
            r#"{"message_type":"DISCONNECT"}"#,
            r#"{"payload":null,"message_type":"DISCONNECT"}"#,
            &frame("DISCONNECT", "null"),
        ] {
            assert!(matches!(end.on_text(goodbye), NexusStep::Goodbye(_)), "{goodbye}");
        }
    }

    #[test]
    fn python_peers_are_understood() {
        let mut end = NexusEnd::new();
        let NexusStep::Handshake(handshake) = end.on_text(include_str!("golden/python_handshake.json")) else {
            panic!()
        };
        assert_eq!(
            (handshake.capabilities.cpu_cores, handshake.capabilities.memory_mb),
            (0, 3_794)
        );
        assert_eq!(handshake.protocol, Some(1));
        let NexusStep::Heartbeat(heartbeat) = end.on_text(include_str!("golden/python_heartbeat.json")) else {
            panic!()
        };
        assert_eq!(
            (heartbeat.active_tasks, heartbeat.cpu_usage, heartbeat.memory_usage),
            (2, 0.0, 1.0)
        );
        let NexusStep::Response(response) = end.on_text(include_str!("golden/python_response.json")) else {
            panic!()
        };
        assert_eq!(
            response.result.unwrap().get(),
            r#""h\u00e9llo\n""#,
            "passed on as it came"
        );
        let NexusStep::Response(failed) = end.on_text(include_str!("golden/python_response_failed.json")) else {
            panic!()
        };
        assert!(!failed.success && failed.result.is_none() && failed.error.as_deref() == Some("command not found"));
        assert!(matches!(
            end.on_text(include_str!("golden/python_error.json")),
            NexusStep::PeerError(_)
        ));
        assert!(matches!(
            end.on_text(include_str!("golden/python_disconnect.json")),
            NexusStep::Goodbye(_)
        ));
    }

    #[test]
    fn a_spore_takes_calls_from_a_nexus_of_either_version() {
        for welcomed in [false, true] {
            let mut end = spore(welcomed);
            assert_eq!(end.protocol(), if welcomed { 2 } else { 1 });
            let SporeStep::Execute(call) = end.on_text(&call(NODE, "")) else {
                panic!()
            };
            assert!((call.timeout - 30.0).abs() < 1e-9, "the default");
            let cancel = end.on_text(&frame("CANCEL", &format!(r#"{{"request_id":"{OTHER}"}}"#)));
            assert_eq!(matches!(cancel, SporeStep::Cancel(_)), welcomed, "{cancel:?}");
        }
    }

    #[test]
    fn questions_are_for_those_who_speak_protocol_2() {
        let ask = |question: &str| {
            let ask = format!(r#"{{"ask_id":1,"request_id":"{OTHER}","skill":"S","question":{question}}}"#);
            frame("HIVE_ASK", &ask)
        };
        let status = ask(r#"{"kind":"status","task_id":"t"}"#);
        let (what, send) = complaint(nexus(1).on_text(&status));
        assert!(what.contains("HIVE_ASK needs protocol 2") && !send, "{what}");
        let mut end = nexus(2);
        assert!(matches!(end.on_text(&status), NexusStep::Ask(ask) if ask.ask_id == 1 && ask.skill == "S"));
        for wrong in [
            r#"{"kind":"buy"}"#,
            r#"{"kind":"status"}"#,
            r#"{"kind":"submit","tasks":{}}"#,
            r#"{"kind":"cache_get","key":"k"}"#,
            r#"{"kind":"await","task_ids":["t"],"timeout":"1"}"#,
            "7",
        ] {
            let (what, send) = complaint(end.on_text(&ask(wrong)));
            assert!(what.contains("HIVE_ASK") && send, "{wrong}: {what}");
        }
        let (what, _) = complaint(NexusEnd::new().on_text(&status));
        assert!(what.contains("before the handshake"), "{what}");
    }

    #[test]
    fn answers_and_broadcasts_come_after_a_welcome() {
        let done = r#"{"kind":"done","existed":true}"#;
        let answer = frame("HIVE_ANSWER", &format!(r#"{{"ask_id":1,"reply":{done}}}"#));
        let sent_at = r#""sent_at":"2026-03-01T12:00:00Z""#;
        let broadcast = frame("BROADCAST", &format!(r#"{{"command":"STATUS",{sent_at}}}"#));
        for (text, name) in [(&answer, "HIVE_ANSWER"), (&broadcast, "BROADCAST")] {
            let (what, send) = spore_complaint(spore(false).on_text(text));
            assert!(what.contains(&format!("{name} before WELCOME")) && !send, "{what}");
        }
        let mut end = spore(true);
        assert!(matches!(end.on_text(&answer), SporeStep::Answer(answer) if answer.ask_id == 1));
        let step = end.on_text(&broadcast);
        assert!(
            matches!(&step, SporeStep::Broadcast(broadcast) if broadcast.command == "STATUS" && broadcast.data.is_null()),
            "{step:?}"
        );
        for wrong in [
            frame("HIVE_ANSWER", r#"{"ask_id":-1,"reply":{"kind":"done","existed":true}}"#),
            frame(
                "HIVE_ANSWER",
                r#"{"ask_id":1,"reply":{"kind":"refused","refusal":"tired","reason":""}}"#,
            ),
            frame("HIVE_ANSWER", r#"{"ask_id":1}"#),
            frame("BROADCAST", r#"{"command":"STATUS"}"#),
            frame("BROADCAST", &format!(r#"{{"command":7,{sent_at}}}"#)),
        ] {
            let (_, send) = spore_complaint(end.on_text(&wrong));
            assert!(send, "{wrong}");
        }
        assert_eq!(end.protocol(), 2, "single nonsense changes nothing");
    }

    #[test]
    fn a_run_of_a_task_says_so_and_a_call_does_not() {
        let mut end = spore(true);
        let run = call(NODE, &format!(r#","task":{{"task_id":"{OTHER}","attempt":2}}"#));
        let SporeStep::Execute(run) = end.on_text(&run) else {
            panic!()
        };
        let task = run.task.expect("a task");
        assert_eq!(
            (task.task_id.to_string().as_str(), task.attempt, task.depth),
            (OTHER, 2, 0)
        );
        assert!(matches!(end.on_text(&call(NODE, "")), SporeStep::Execute(call) if call.task.is_none()));
    }

    #[test]
    fn a_spore_refuses_what_is_not_for_it() {
        let mut end = spore(true);
        let cases = [
            (call(OTHER, ""), "sent to node"),
            (call(NODE, r#","timeout":-1"#), "it must be over 0"),
            (call(NODE, r#","timeout":0"#), "it must be over 0"),
            (
                frame("WELCOME", r#"{"protocol":2,"heartbeat_timeout":60,"version":"1"}"#),
                "second WELCOME",
            ),
            (handshake(""), "unknown message type `HANDSHAKE`"),
        ];
        for (text, why) in cases {
            let (what, send) = spore_complaint(end.on_text(&text));
            assert!(what.contains(why) && send, "{what}");
        }
        let strange = spore(false).on_text(&frame(
            "WELCOME",
            r#"{"protocol":3,"heartbeat_timeout":60,"version":"1"}"#,
        ));
        let (what, send) = spore_complaint(strange);
        assert!(what.contains("protocol 3") && !send, "{what}");
    }

    #[test]
    fn a_spore_hangs_up_after_ten_too() {
        let mut end = spore(true);
        for _ in 1..MAX_INVALID_IN_A_ROW {
            spore_complaint(end.on_binary());
        }
        for _ in 0..2 {
            assert!(matches!(
                end.on_text("?"),
                SporeStep::Close {
                    code: close::POLICY,
                    ..
                }
            ));
        }
        assert!(matches!(
            spore(true).on_text(&" ".repeat(MAX_FRAME_BYTES + 1)),
            SporeStep::Close {
                code: close::TOO_BIG,
                ..
            }
        ));
    }

    #[test]
    fn ids_are_read_in_any_spelling() {
        let spelled = NODE.to_uppercase();
        assert!(matches!(
            nexus(1).on_text(&beat(&spelled, "0")),
            NexusStep::Heartbeat(_)
        ));
        assert_eq!(spelled.parse::<NodeId>().unwrap().to_string(), NODE);
    }
}
