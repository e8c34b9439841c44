//! The wire as spores see it: v1 and v2, tokens, bad input, silence, reconnects.

use std::time::Duration;

use futures_util::SinkExt;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;
use venom_nexus::NexusSettings;

use crate::harness::{FakeSpore, Frame, TestNexus, echo, new_id, settings, until};

async fn is_online(nexus: &TestNexus, node_id: &str) -> Value {
    nexus.get(&format!("/api/v1/nodes/{node_id}")).await.body["node"]["is_online"].clone()
}

#[tokio::test]
async fn a_v1_spore_gets_the_call_exactly_as_python_expects_it_and_its_answer_gets_back() {
    let nexus = TestNexus::start().await;
    let mut spore = FakeSpore::v1(&nexus, &["EchoSkill"]).await;
    let path = format!("/api/v1/nodes/{}/execute", spore.node_id);
    let calling = nexus.posting(&path, echo(5.0));
    let Frame::Json(frame) = spore.next().await else {
        panic!("no frame")
    };
    let mut names: Vec<_> = frame.as_object().unwrap().keys().cloned().collect();
    names.sort();
    assert_eq!(names, ["message_type", "payload", "timestamp"]);
    let call = &frame["payload"];
    assert_eq!(call["message_type"], "EXECUTE_SKILL");
    assert_eq!(call["node_id"], spore.node_id.as_str());
    assert_eq!(
        (&call["skill_name"], &call["method_name"]),
        (&json!("EchoSkill"), &json!("echo"))
    );
    assert_eq!(
        (&call["parameters"], call["timeout"].as_f64()),
        (&json!({ "text": "hi" }), Some(5.0))
    );
    assert!(call["timestamp"].is_string() && call["request_id"].is_string());

    let result = json!({ "nested": [1, 2.5, null, "ü"], "big": 12345678901234567890_u64 });
    spore.respond(call, result.clone()).await;
    let answer = calling.await.unwrap();
    assert_eq!(answer.status, 200);
    let expected = json!({ "status": "success", "success": true, "result": result, "error": null,
        "execution_time": 0.01, "node_id": spore.node_id, "request_id": call["request_id"] });
    assert_eq!(answer.body, expected);
    nexus.stop().await;
}

#[tokio::test]
async fn a_v1_spore_is_sent_nothing_but_calls_whatever_happens() {
    let nexus = TestNexus::start().await;
    let mut spore = FakeSpore::v1(&nexus, &["EchoSkill"]).await;
    let path = format!("/api/v1/nodes/{}/execute", spore.node_id);
    // each of these would be a WELCOME, an ERROR or a CANCEL to a v2 spore
    spore.heartbeat().await;
    spore.send_text("no json".to_owned()).await;
    spore.say("NO_SUCH_TYPE", json!({})).await;
    let timed_out = nexus.post(&path, &echo(0.05)).await;
    assert_eq!(timed_out.status, 504, "{timed_out:?}");
    spore.expect("EXECUTE_SKILL").await;
    let calling = nexus.posting(&path, echo(10.0));
    let call = spore.expect("EXECUTE_SKILL").await;
    spore.respond(&call, json!("done")).await;
    assert_eq!(calling.await.unwrap().body["result"], "done");
    nexus.ask_to_stop();
    spore.expect_close(1001, "").await;
    nexus.stopped().await;
}

#[tokio::test]
async fn a_v2_spore_is_welcomed_and_told_what_was_wrong() {
    let nexus = TestNexus::start_with(NexusSettings {
        heartbeat_timeout: Duration::from_secs(42),
        version: "9.9.9".to_owned(),
        ..settings()
    })
    .await;
    let mut spore = FakeSpore::connect(&nexus).await;
    let mut handshake = spore.handshake(&["EchoSkill"], &[]);
    handshake["protocol"] = json!(7);
    spore.say("HANDSHAKE", handshake).await;
    let welcome = spore.expect("WELCOME").await;
    assert_eq!(
        (&welcome["protocol"], &welcome["version"]),
        (&json!(2), &json!("9.9.9"))
    );
    assert_eq!(welcome["heartbeat_timeout"].as_f64(), Some(42.0));
    spore.say("NO_SUCH_TYPE", json!({})).await;
    let error = spore.expect("ERROR").await;
    assert!(error["error"].as_str().unwrap().contains("NO_SUCH_TYPE"), "{error}");
    nexus.stop().await;
}

#[tokio::test]
async fn a_wrong_token_closes_1008_and_registers_nothing() {
    let nexus = TestNexus::start().await;
    let mut spore = FakeSpore::connect(&nexus).await;
    let mut handshake = spore.handshake(&["EchoSkill"], &[]);
    handshake["token"] = json!("wrong");
    spore.say("HANDSHAKE", handshake).await;
    assert_eq!(
        spore.next().await,
        Frame::Close(1008, "Authentication failed".to_owned())
    );
    assert_eq!(nexus.get("/api/v1/nodes").await.body["count"], 0);
    assert_eq!(nexus.metric("venom_nexus_auth_failures_total").await, 1.0);
    nexus.stop().await;
}

#[tokio::test]
async fn without_a_token_registration_is_closed() {
    let nexus = TestNexus::start_with(NexusSettings {
        shared_token: None,
        ..settings()
    })
    .await;
    for token in ["", "spore-token"] {
        let mut spore = FakeSpore::connect(&nexus).await;
        let mut handshake = spore.handshake(&[], &[]);
        handshake["token"] = json!(token);
        spore.say("HANDSHAKE", handshake).await;
        spore.expect_close(1008, "Registration is closed").await;
    }
    nexus.stop().await;
}

#[tokio::test]
async fn with_the_node_role_off_every_link_closes_1003() {
    let nexus = TestNexus::start_with(NexusSettings {
        node_role: false,
        ..settings()
    })
    .await;
    FakeSpore::connect(&nexus).await.expect_close(1003, "").await;
    nexus.stop().await;
}

#[tokio::test]
async fn who_says_no_handshake_is_closed() {
    let nexus = TestNexus::start_with(NexusSettings {
        handshake_timeout: Duration::from_millis(50),
        ..settings()
    })
    .await;
    FakeSpore::connect(&nexus).await.expect_close(1008, "handshake").await;
    nexus.stop().await;
}

#[tokio::test]
async fn ten_invalid_messages_in_a_row_close_the_link_and_nine_do_not() {
    let nexus = TestNexus::start().await;
    let mut spore = FakeSpore::v1(&nexus, &[]).await;
    for _ in 0..9 {
        spore.send_text("{}".to_owned()).await;
    }
    spore.heartbeat().await;
    for _ in 0..9 {
        spore.send_text("{}".to_owned()).await;
    }
    let invalid = until("18 to be counted", async || {
        let count = nexus.metric("venom_nexus_frames_invalid_total").await;
        (count >= 18.0).then_some(count)
    });
    assert_eq!(invalid.await, 18.0);
    assert_eq!(is_online(&nexus, &spore.node_id).await, true);
    spore.send_text("{}".to_owned()).await;
    let Frame::Close(_, reason) = spore.next().await else {
        panic!("not closed")
    };
    assert!(reason.contains("10 invalid"), "{reason}");
    until("the node to be offline", async || {
        (is_online(&nexus, &spore.node_id).await == false).then_some(())
    })
    .await;
    nexus.stop().await;
}

#[tokio::test]
async fn a_frame_over_the_limit_closes_1009_and_the_nexus_goes_on() {
    let nexus = TestNexus::start().await;
    let mut spore = FakeSpore::v1(&nexus, &[]).await;
    let huge = "x".repeat(venom_protocol::MAX_FRAME_BYTES + 1);
    // the nexus may hang up before all of it is written
    let _ = spore.socket.send(Message::text(huge)).await;
    let closed = spore.next().await;
    assert!(matches!(closed, Frame::Close(1009, _) | Frame::Gone), "{closed:?}");
    until("the node to be offline", async || {
        (is_online(&nexus, &spore.node_id).await == false).then_some(())
    })
    .await;
    FakeSpore::v1(&nexus, &[]).await;
    nexus.stop().await;
}

#[tokio::test]
async fn a_silent_node_is_offline_but_listed_and_a_beating_one_is_not() {
    let nexus = TestNexus::start_with(NexusSettings {
        heartbeat_timeout: Duration::from_millis(300),
        ..settings()
    })
    .await;
    let silent = FakeSpore::v1(&nexus, &["EchoSkill"]).await;
    let mut beating = FakeSpore::v1(&nexus, &["EchoSkill"]).await;
    until("the silent one to be offline", async || {
        beating.heartbeat().await;
        (is_online(&nexus, &silent.node_id).await == false).then_some(())
    })
    .await;
    assert_eq!(is_online(&nexus, &beating.node_id).await, true);
    let all = nexus.get("/api/v1/nodes").await.body;
    assert_eq!((&all["count"], &all["online_count"]), (&json!(2), &json!(1)));
    let online = nexus.get("/api/v1/nodes?online_only=true").await.body;
    assert_eq!(online["nodes"][0]["node_id"], beating.node_id.as_str());
    assert_eq!(online["count"], 1);
    assert_eq!(online["nodes"][0]["cpu_usage"], 0.25);
    nexus.stop().await;
}

#[tokio::test]
async fn a_reconnect_with_the_same_id_is_the_same_node_and_takes_over() {
    let nexus = TestNexus::start().await;
    let mut old = FakeSpore::v1(&nexus, &["EchoSkill"]).await;
    let mut new = FakeSpore::v1_as(&nexus, old.node_id.clone(), &["EchoSkill", "ShellSkill"], &[]).await;
    let closed = old.next().await;
    assert!(matches!(closed, Frame::Close(..)), "{closed:?}");
    let path = format!("/api/v1/nodes/{}", new.node_id);
    until("the new skills to show", async || {
        let node = nexus.get(&path).await.body["node"].clone();
        (node["capabilities"]["skills"].as_array().unwrap().len() == 2 && node["is_online"] == true).then_some(())
    })
    .await;
    assert_eq!(nexus.get("/api/v1/nodes").await.body["count"], 1);
    let calling = nexus.posting(&format!("{path}/execute"), echo(10.0));
    let call = new.expect("EXECUTE_SKILL").await;
    new.respond(&call, json!(1)).await;
    assert_eq!(calling.await.unwrap().body["result"], 1);
    nexus.stop().await;
}

#[tokio::test]
async fn a_clone_of_a_live_v2_node_is_refused_and_the_first_stays() {
    let nexus = TestNexus::start().await;
    let mut first = FakeSpore::v2(&nexus, &["EchoSkill"]).await;
    let mut clone = FakeSpore::connect(&nexus).await;
    clone.node_id = first.node_id.clone();
    let mut handshake = clone.handshake(&["EchoSkill"], &[]);
    handshake["protocol"] = json!(2);
    handshake["boot_id"] = json!("another");
    clone.say("HANDSHAKE", handshake).await;
    let closed = clone.next().await;
    assert!(matches!(closed, Frame::Close(1008, _)), "{closed:?}");
    let calling = nexus.posting(&format!("/api/v1/nodes/{}/execute", first.node_id), echo(10.0));
    let call = first.expect("EXECUTE_SKILL").await;
    first.respond(&call, json!(1)).await;
    assert_eq!(calling.await.unwrap().status, 200);
    nexus.stop().await;
}

#[tokio::test]
async fn a_goodbye_unregisters_at_once() {
    let nexus = TestNexus::start().await;
    let mut spore = FakeSpore::v1(&nexus, &["EchoSkill"]).await;
    spore.say("DISCONNECT", json!({ "reason": "going home" })).await;
    // the socket stays open: it is the goodbye that counts
    until("the node to be offline", async || {
        (is_online(&nexus, &spore.node_id).await == false).then_some(())
    })
    .await;
    nexus.stop().await;
}

#[tokio::test]
async fn too_many_wrong_tokens_from_one_address_shut_out_even_the_right_one_for_a_while() {
    let mut settings = settings();
    settings.rate_limits.auth_failures_per_minute = 2;
    let nexus = TestNexus::start_with(settings).await;
    for reason in [
        "Authentication failed",
        "Authentication failed",
        "Too many wrong tokens",
    ] {
        let mut spore = FakeSpore::connect(&nexus).await;
        let mut handshake = spore.handshake(&[], &[]);
        handshake["token"] = json!(new_id());
        spore.say("HANDSHAKE", handshake).await;
        spore.expect_close(1008, reason).await;
    }
    let mut spore = FakeSpore::connect(&nexus).await;
    let handshake = spore.handshake(&[], &[]);
    spore.say("HANDSHAKE", handshake).await;
    spore.expect_close(1008, "Too many wrong tokens").await;
    nexus.stop().await;
}
