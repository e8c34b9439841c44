//! Everything that is wrong with a request gets its own message and status, and nothing else happens.

use anyhow::Result;
use futures_util::{SinkExt, StreamExt};
use reqwest::Method;
use serde_json::{Value, json};
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::Message;
use venom_bundle::capability::Policy;
use venom_protocol::NodeId;
use venom_runtime::{Backends, Runtime, RuntimeSettings, SkillSet};
use venom_tests::{Node, Publisher, SPORE_TOKEN, SkillName, TestHive, VIEWER_TOKEN, component, soon};

async fn hive() -> Result<(TestHive, Node)> {
    let hive = TestHive::start().await?;
    let node = hive.node()?.skill(SkillName::Echo).start().await?;
    Ok((hive, node))
}

async fn is_unharmed(hive: &TestHive, node: &Node) -> Result<()> {
    let answer = hive
        .client()?
        .call(node.id, "EchoSkill.say", json!({"text": "well"}))
        .await?;
    anyhow::ensure!(answer.result == json!("well"), "{answer:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_call_is_refused_with_what_is_wrong() -> Result<()> {
    let (hive, node) = hive().await?;
    let client = hive.client()?;
    let path = format!("/api/v1/nodes/{}/execute", node.id);
    let call = |change: Value| {
        let mut body = json!({"skill_name": "EchoSkill", "method_name": "say", "parameters": {"text": "x"}});
        for (key, value) in change.as_object().into_iter().flatten() {
            body[key] = value.clone();
        }
        body
    };
    let cases = [
        (call(json!({"skill_name": "NoSkill"})), "EchoSkill"),
        (call(json!({"method_name": "shout"})), "say"),
        (call(json!({"parameters": {"text": 7}})), "text"),
        (call(json!({"parameters": {}})), "text"),
        (call(json!({"parameters": {"text": "x", "times": -1}})), "times"),
        (call(json!({"parameters": [1, 2]})), "object"),
        (call(json!({"parameters": "{}"})), "object"),
        (call(json!({"timeout": -1})), "timeout"),
        (call(json!({"timeout": 0})), "timeout"),
        (call(json!({"timeout": "soon"})), "soon"),
        (call(json!({"skill_name": ""})), "skill_name"),
        (call(json!({"skill_name": "x".repeat(100_000)})), "skill_name"),
        (call(json!({"method_name": 5})), "string"),
        (call(json!({"surprise": true})), "surprise"),
        (json!([]), ""),
        (json!(null), ""),
    ];
    for (body, word) in cases {
        let answer = client.post(&path, &body).await?;
        let shown: String = body.to_string().chars().take(120).collect();
        assert!(
            [400, 422].contains(&answer.status.as_u16()),
            "{shown}: {} {}",
            answer.status,
            answer.body
        );
        assert!(answer.is_problem(), "{shown}: {}", answer.body);
        assert!(
            answer.detail().contains(word),
            "{shown}: `{}` does not say `{word}`",
            answer.detail()
        );
        assert!(
            answer.detail().len() < 2_000,
            "{shown}: {} bytes of detail",
            answer.detail().len()
        );
    }
    is_unharmed(&hive, &node).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_no_json_or_too_large_is_refused() -> Result<()> {
    let (hive, node) = hive().await?;
    let client = hive.client()?;
    let path = format!("/api/v1/nodes/{}/execute", node.id);
    let send = |content_type: &str, body: Vec<u8>| {
        client.send(
            client
                .request(Method::POST, &path)
                .header("content-type", content_type)
                .body(body),
        )
    };
    let nested = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let huge = format!(
        r#"{{"skill_name":"EchoSkill","method_name":"say","parameters":{{"text":"{}"}}}}"#,
        "x".repeat(9 << 20)
    );
    let cases = [
        ("application/json", b"{\"skill_name\":".to_vec(), 400),
        ("application/json", Vec::new(), 400),
        ("application/json", b"\xff\xfe\x00".to_vec(), 400),
        ("application/json", nested.into_bytes(), 400),
        ("text/plain", b"{}".to_vec(), 415),
        ("application/json", huge.into_bytes(), 413),
    ];
    for (content_type, body, status) in cases {
        let bytes = body.len();
        let answer = send(content_type, body).await?;
        assert_eq!(
            answer.status.as_u16(),
            status,
            "{content_type}, {bytes} bytes: {}",
            answer.body
        );
        assert!(answer.is_problem(), "{}", answer.body);
    }
    is_unharmed(&hive, &node).await
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_is_told_so() -> Result<()> {
    let (hive, node) = hive().await?;
    let node_path = format!("/api/v1/nodes/{}", node.id);
    for token in [None, Some("wrong"), Some(SPORE_TOKEN)] {
        let client = hive.client_with(token)?;
        for path in ["/api/v1/nodes", node_path.as_str()] {
            let answer = client.get(path).await?;
            assert_eq!(answer.status, 401, "{token:?} {path}: {}", answer.body);
            assert!(answer.is_problem());
        }
        let answer = client
            .execute(node.id, "EchoSkill.say", json!({"text": "x"}), 5.0)
            .await?;
        assert_eq!(answer.status, 401, "{token:?}");
    }
    let viewer = hive.client_with(Some(VIEWER_TOKEN))?;
    assert_eq!(viewer.get("/api/v1/nodes").await?.status, 200);
    let answer = viewer
        .execute(node.id, "EchoSkill.say", json!({"text": "x"}), 5.0)
        .await?;
    assert_eq!(answer.status, 403, "{}", answer.body);
    assert!(answer.is_problem());
    is_unharmed(&hive, &node).await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_exist_is_404_and_wrong_methods_are_405() -> Result<()> {
    let (hive, node) = hive().await?;
    let client = hive.client()?;
    let unknown = NodeId::random();
    assert_eq!(client.get(&format!("/api/v1/nodes/{unknown}")).await?.status, 404);
    let call = client
        .execute(unknown, "EchoSkill.say", json!({"text": "x"}), 5.0)
        .await?;
    assert_eq!(call.status, 404, "{}", call.body);
    assert!(call.is_problem());
    assert_eq!(client.get("/api/v1/nothing").await?.status, 404);
    let garbage = client.get("/api/v1/nodes/..%2f..%2fetc").await?;
    assert!([400, 404].contains(&garbage.status.as_u16()), "{}", garbage.status);
    let wrong = client.send(client.request(Method::DELETE, "/api/v1/nodes")).await?;
    assert_eq!(wrong.status, 405);
    is_unharmed(&hive, &node).await
}

#[tokio::test(flavor = "multi_thread")]
async fn nonsense_on_the_node_socket_registers_nothing_and_harms_nobody() -> Result<()> {
    let (hive, node) = hive().await?;
    let id = NodeId::random();
    let handshake = |payload: Value| json!({"message_type": "HANDSHAKE", "payload": payload}).to_string();
    let frames = [
        Message::text("{"),
        Message::text(""),
        Message::text("\"HANDSHAKE\""),
        Message::text(handshake(
            json!({"node_id": "not-an-id", "node_name": "x", "token": SPORE_TOKEN}),
        )),
        Message::text(handshake(
            json!({"node_id": id, "token": SPORE_TOKEN, "capabilities": "all"}),
        )),
        Message::text(json!({"message_type": "HEARTBEAT", "payload": {"node_id": id}}).to_string()),
        Message::text(
            json!({"message_type": "RESPONSE", "payload": {"request_id": id, "node_id": id, "success": true}})
                .to_string(),
        ),
        Message::binary(vec![0; 64]),
        Message::text("[".repeat(200_000)),
        Message::text("x".repeat(17 << 20)),
    ];
    for frame in frames {
        let kind: String = frame.to_string().chars().take(60).collect();
        let (mut socket, _) = connect_async(format!("ws://{}/ws/nodes", hive.address())).await?;
        for _ in 0..12 {
            if socket.send(frame.clone()).await.is_err() {
                break;
            }
        }
        soon("the end of the link", async {
            while let Some(Ok(message)) = socket.next().await {
                if message.is_close() {
                    break;
                }
            }
        })
        .await
        .map_err(|error| error.context(kind))?;
    }
    let listed = hive.client()?.get("/api/v1/nodes").await?;
    assert_eq!(listed.body["count"], 1, "{}", listed.body);
    is_unharmed(&hive, &node).await
}

#[tokio::test(flavor = "multi_thread")]
async fn bundles_that_are_not_as_signed_are_refused_and_the_good_one_loads() -> Result<()> {
    let (publisher, stranger) = (Publisher::new()?, Publisher::new()?);
    let directory = tempfile::tempdir()?;
    let good = publisher.bundle(SkillName::Echo)?;
    let mut altered = publisher.bundle(SkillName::File)?;
    let middle = altered.len() / 2;
    altered[middle] ^= 1;
    let mut cut = publisher.bundle(SkillName::File)?;
    cut.truncate(middle);
    let files: [(&str, Vec<u8>); 8] = [
        ("good", good),
        ("altered", altered),
        ("cut", cut),
        ("empty", Vec::new()),
        ("stranger", stranger.bundle(SkillName::Shell)?),
        ("core-module", b"\0asm\x01\0\0\0".to_vec()),
        ("component", component("echo-skill")?),
        ("text", b"#!/bin/sh\necho hi\n".to_vec()),
    ];
    for (name, bytes) in &files {
        std::fs::write(directory.path().join(format!("{name}.venom")), bytes)?;
    }
    let trust = publisher.trust();
    let report = tokio::task::spawn_blocking(move || -> Result<_> {
        let runtime = Runtime::new(RuntimeSettings {
            slots: 4,
            ..RuntimeSettings::default()
        })?;
        let skills = SkillSet::empty();
        Ok(skills.load_directory(
            &runtime,
            directory.path(),
            &trust,
            &Policy::default(),
            &Backends::local(),
        ))
    })
    .await??;
    assert_eq!(report.loaded, ["EchoSkill"]);
    assert_eq!(report.refused.len(), files.len() - 1, "{:?}", report.refused);
    for refused in &report.refused {
        assert!(refused.reason.len() > 10, "{refused:?} gives no reason");
    }
    Ok(())
}
