//! Golden files: the exact bytes of every message, REST body and event. A change here is a change of the
//! wire, and other people's programs read it. `VENOM_BLESS=1` writes the files anew; look at the diff.

#[cfg(test)]
#[path = "golden_files/hive.rs"]
mod hive;

#[cfg(test)]
mod golden {
    use std::fmt::Debug;
    use std::path::PathBuf;

    use serde::Serialize;
    use serde::de::DeserializeOwned;
    use serde_json::value::RawValue;
    use venom_protocol::{
        Body, Cancel, Capabilities, Disconnect, ErrorCode, ErrorReport, Event, ExecuteAnswer, ExecuteRequest,
        ExecuteSkill, Handshake, Heartbeat, NodeAnswer, NodeId, NodeList, NodeView, Progress, ProgressUpdate,
        ReleaseAnswer, ReleaseAsk, ReleaseMark, RequestId, Requirements, Response, SkillReport, SkillState,
        StatusUpdate, Timestamp, UpdateReport, Welcome, decode_from_nexus, decode_from_spore, encode,
    };

    fn file(name: &str) -> PathBuf {
        PathBuf::from(env!("CARGO_MANIFEST_DIR"))
            .join("tests/golden")
            .join(format!("{name}.json"))
    }

    /// Compares with the file, byte by byte.
    fn same(name: &str, text: &str) {
        let path = file(name);
        if std::env::var_os("VENOM_BLESS").is_some() {
            std::fs::write(&path, format!("{text}\n")).unwrap();
        }
        let golden = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert_eq!(text, golden.trim_end(), "{name} changed on the wire");
    }

    fn frame<B: Body>(name: &str, body: &B) -> String {
        let text = encode(body, now()).unwrap();
        same(name, &text);
        text
    }

    /// What we send, read by the nexus and written again, is the same.
    pub(crate) fn from_spore<B: Body + Debug>(name: &str, body: &B) {
        let text = frame(name, body);
        let read = format!("{:?}", decode_from_spore(&text).unwrap());
        assert!(read.contains(&format!("{body:?}")), "{read}");
    }

    pub(crate) fn from_nexus<B: Body + Debug>(name: &str, body: &B) {
        let text = frame(name, body);
        let read = format!("{:?}", decode_from_nexus(&text).unwrap());
        assert!(read.contains(&format!("{body:?}")), "{read}");
    }

    pub(crate) fn body<T: Serialize + DeserializeOwned>(name: &str, value: &T) {
        let text = serde_json::to_string_pretty(value).unwrap();
        same(name, &text);
        let read: T = serde_json::from_str(&text).unwrap();
        assert_eq!(serde_json::to_string_pretty(&read).unwrap(), text);
    }

    pub(crate) fn now() -> Timestamp {
        Timestamp::parse("2026-03-01T12:00:00.123456Z").unwrap()
    }

    pub(crate) fn node() -> NodeId {
        "6fa459ea-ee8a-4ca4-894e-db77e160355e".parse().unwrap()
    }

    pub(crate) fn request() -> RequestId {
        "16fd2706-8baf-433b-82eb-8c7fada847da".parse().unwrap()
    }

    pub(crate) fn raw(json: &str) -> Box<RawValue> {
        RawValue::from_string(json.to_owned()).unwrap()
    }

    fn capabilities() -> Capabilities {
        Capabilities {
            skills: vec!["ShellSkill".to_owned(), "FileSkill".to_owned()],
            tags: vec!["gpu".to_owned(), "location:server_room".to_owned()],
            cpu_cores: 8,
            memory_mb: 15_934,
            has_gpu: true,
            has_docker: false,
            platform: "linux-x86_64".to_owned(),
        }
    }

    pub(crate) fn view() -> NodeView {
        NodeView {
            node_id: node(),
            node_name: "web-1".to_owned(),
            capabilities: capabilities(),
            last_heartbeat: now(),
            cpu_usage: 0.25,
            memory_usage: 0.5,
            active_tasks: 3,
            is_online: true,
            registered_at: now(),
            protocol: 2,
            draining: false,
            update: None,
        }
    }

    #[test]
    fn handshakes() {
        let v2 = Handshake {
            node_id: node(),
            node_name: "web-1".to_owned(),
            capabilities: capabilities(),
            token: "s3cret".to_owned(),
            protocol: Some(2),
            concurrency: Some(256),
            boot_id: Some("b1".to_owned()),
            version: Some("0.1.0".to_owned()),
        };
        from_spore("handshake_v2", &v2);
        let v1 = Handshake {
            protocol: None,
            concurrency: None,
            boot_id: None,
            version: None,
            ..v2
        };
        from_spore("handshake_v1", &v1);
        from_nexus(
            "welcome",
            &Welcome {
                protocol: 2,
                heartbeat_timeout: 60.0,
                version: "0.1.0".to_owned(),
            },
        );
    }

    #[test]
    fn calls_and_answers() {
        let v2 = ExecuteSkill {
            request_id: request(),
            node_id: node(),
            skill_name: "ShellSkill".to_owned(),
            method_name: "run".to_owned(),
            parameters: raw(r#"{"command":"echo  hé","n":9007199254740993}"#),
            timeout: 30.0,
            traceparent: Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_owned()),
            task: None,
        };
        from_nexus("execute_skill_v2", &v2);
        from_nexus(
            "execute_skill_v1",
            &ExecuteSkill {
                traceparent: None,
                task: None,
                ..v2
            },
        );
        from_nexus(
            "cancel",
            &Cancel {
                request_id: request(),
                reason: "the caller went away".to_owned(),
            },
        );
        let answered = Response {
            request_id: request(),
            node_id: node(),
            success: true,
            result: Some(raw(r#"{"lines":[1, 2.50]}"#)),
            error: None,
            execution_time: 0.25,
            error_code: None,
        };
        from_spore("response_success", &answered);
        let failed = Response {
            success: false,
            result: None,
            error: Some("denied: no grant for command `rm`".to_owned()),
            error_code: Some(ErrorCode::Denied),
            ..answered
        };
        from_spore("response_failure_v2", &failed);
        from_spore(
            "response_failure_v1",
            &Response {
                error_code: None,
                ..failed
            },
        );
    }

    #[test]
    fn news_of_a_spore() {
        let v2 = Heartbeat {
            node_id: node(),
            cpu_usage: 0.25,
            memory_usage: 0.5,
            active_tasks: 3,
            credits: Some(253),
        };
        from_spore("heartbeat_v2", &v2);
        from_spore("heartbeat_v1", &Heartbeat { credits: None, ..v2 });
        from_spore(
            "status",
            &StatusUpdate {
                node_id: node(),
                capabilities: capabilities(),
                draining: true,
            },
        );
        let partial = ProgressUpdate::Partial {
            value: serde_json::json!({"row": 1}),
        };
        from_spore(
            "progress_partial",
            &Progress {
                request_id: request(),
                update: partial,
            },
        );
        let report = ProgressUpdate::Report {
            done: 3,
            total: 10,
            note: "copying".to_owned(),
        };
        from_spore(
            "progress_report",
            &Progress {
                request_id: request(),
                update: report,
            },
        );
    }

    #[test]
    fn words_of_updates() {
        let ask = ReleaseAsk {
            channel: "stable".to_owned(),
            root_version: 1,
            release_sha256: Some("ab".repeat(32)),
            rollout_counter: 7,
        };
        from_spore("release_ask", &ask);
        let answer = ReleaseAnswer {
            channel: "stable".to_owned(),
            roots: vec!["{\"payloadType\":\"r\"}".to_owned()],
            release: Some("{}".to_owned()),
            rollout: Some("{}".to_owned()),
        };
        from_nexus("release_answer", &answer);
        let nothing_new = ReleaseAnswer {
            channel: "stable".to_owned(),
            ..ReleaseAnswer::default()
        };
        from_nexus("release_answer_nothing_new", &nothing_new);
        let skill = SkillReport {
            skill: "EchoSkill".to_owned(),
            state: SkillState::RolledBack,
            version: Some("1.0.0".to_owned()),
            bundle_sha256: Some("cd".repeat(32)),
            wanted_version: Some("2.0.0".to_owned()),
            wanted_sha256: Some("ef".repeat(32)),
            reason: Some("it trapped".to_owned()),
            since: now(),
        };
        let report = UpdateReport {
            node_id: node(),
            channel: "stable".to_owned(),
            root_version: 1,
            release: Some(ReleaseMark {
                epoch: 1,
                seq: 3,
                sha256: "ab".repeat(32),
            }),
            rollout_counter: 7,
            stale: Some("the release expired".to_owned()),
            alarm: Some("two releases 1.3".to_owned()),
            skills: vec![skill],
        };
        from_spore("update_report", &report);
    }

    #[test]
    fn words_of_either_end() {
        let goodbye = Disconnect {
            reason: "shutting down".to_owned(),
        };
        from_spore("disconnect", &goodbye);
        from_nexus("disconnect", &goodbye);
        let error = ErrorReport {
            error: "unknown message type `HELLO`".to_owned(),
        };
        from_spore("error", &error);
        from_nexus("error", &error);
    }

    #[test]
    fn rest_bodies() {
        let require = Requirements {
            gpu: true,
            capabilities: vec!["FileSkill".to_owned()],
            tags: vec!["rack:7".to_owned()],
            exclude_tags: Vec::new(),
            node_id: Some(node()),
        };
        let request_body = ExecuteRequest {
            skill_name: "EchoSkill".to_owned(),
            method_name: "echo".to_owned(),
            parameters: Some(raw(r#"{"text":"hi"}"#)),
            timeout: Some(5.0),
            tag: Some("rack:7".to_owned()),
            require: Some(require),
        };
        body("rest_execute_request", &request_body);
        let answer = ExecuteAnswer {
            status: "success".to_owned(),
            success: true,
            result: Some(raw(r#""hi""#)),
            error: None,
            error_code: None,
            execution_time: 0.001,
            node_id: Some(node()),
            request_id: request(),
            executed_by: None,
        };
        body("rest_execute_answer", &answer);
        let failed = ExecuteAnswer {
            success: false,
            result: None,
            error: Some("no method `ehco`".to_owned()),
            error_code: Some(ErrorCode::UnknownMethod),
            node_id: None,
            executed_by: Some("nexus".to_owned()),
            ..answer
        };
        body("rest_execute_answer_failed", &failed);
        body(
            "rest_node",
            &NodeAnswer {
                status: "success".to_owned(),
                node: view(),
            },
        );
        body(
            "rest_nodes",
            &NodeList {
                status: "success".to_owned(),
                count: 1,
                online_count: 1,
                nodes: vec![view()],
            },
        );
    }

    #[test]
    fn events() {
        let capabilities = capabilities();
        let connected = Event::node_connected(node(), "web-1", &capabilities.skills, &capabilities.tags);
        body(
            "event_node_connected",
            &Event {
                timestamp: now(),
                ..connected
            },
        );
        let disconnected = Event::node_disconnected(node(), "no frame for 60 s");
        body(
            "event_node_disconnected",
            &Event {
                timestamp: now(),
                ..disconnected
            },
        );
    }

    #[test]
    fn error_codes() {
        use ErrorCode as E;
        let all = [
            E::UnknownSkill,
            E::UnknownMethod,
            E::InvalidParams,
            E::Denied,
            E::NotFound,
            E::LimitExceeded,
            E::TimedOut,
            E::Cancelled,
            E::Trapped,
            E::Busy,
            E::Draining,
            E::Unavailable,
            E::NodeLost,
            E::SkillFailed,
        ];
        for code in all {
            assert_eq!(serde_json::to_string(&code).unwrap(), format!("\"{}\"", code.as_str()));
        }
        body("error_codes", &all.to_vec());
        assert_eq!(
            serde_json::from_str::<E>("\"from_the_future\"").unwrap(),
            E::SkillFailed
        );
    }

    #[test]
    fn no_golden_file_is_left_over() {
        let code = concat!(include_str!("golden.rs"), include_str!("golden_files/hive.rs"));
        for entry in std::fs::read_dir(file("x").parent().unwrap()).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            // files named python_* are what v1 peers write; `v1.rs` reads them
            assert!(
                name.starts_with("python_") || code.contains(&format!("\"{name}\"")),
                "{name}.json is tested by nothing"
            );
        }
    }
}
