//! What becomes of a call: answered once, timed out, abandoned, lost, refused.

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::{FakeSpore, OPERATOR, TestNexus, echo, new_id, soon, until};

fn path(spore: &FakeSpore) -> String {
    format!("/api/v1/nodes/{}/execute", spore.node_id)
}

async fn in_flight(nexus: &TestNexus) -> f64 {
    nexus.metric("venom_nexus_calls_in_flight").await
}

#[tokio::test]
async fn unknown_and_offline_nodes_and_unknown_skills_have_their_statuses() {
    let nexus = TestNexus::start().await;
    let nobody = new_id();
    for id in [nobody.as_str(), "no-uuid"] {
        let path = format!("/api/v1/nodes/{id}/execute");
        nexus.post(&path, &echo(1.0)).await.assert_problem(404, &path, id);
        let path = format!("/api/v1/nodes/{id}");
        nexus.get(&path).await.assert_problem(404, &path, id);
    }
    let mut spore = FakeSpore::v2(&nexus, &["OtherSkill"]).await;
    let answer = nexus.post(&path(&spore), &echo(1.0)).await;
    answer.assert_problem(400, &path(&spore), "OtherSkill");
    assert_eq!(
        (&answer.body["error_code"], &answer.body["success"]),
        (&json!("unknown_skill"), &json!(false))
    );
    spore.say("DISCONNECT", json!({})).await;
    let offline = until("the node to be offline", async || {
        let answer = nexus.post(&path(&spore), &echo(0.5)).await;
        (answer.body["type"] == "urn:venom:problem:node-offline").then_some(answer)
    })
    .await;
    offline.assert_problem(400, &path(&spore), "offline");
    nexus.stop().await;
}

#[tokio::test]
async fn a_call_over_its_time_is_504_and_a_v2_spore_is_told_to_stop() {
    let nexus = TestNexus::start().await;
    let mut spore = FakeSpore::v2(&nexus, &["EchoSkill"]).await;
    let answer = nexus.post(&path(&spore), &echo(0.05)).await;
    answer.assert_problem(504, &path(&spore), "");
    assert_eq!(answer.body["error_code"], "timed_out");
    let call = spore.expect("EXECUTE_SKILL").await;
    let cancel = spore.expect("CANCEL").await;
    assert_eq!(cancel["request_id"], call["request_id"]);
    assert_eq!(answer.body["request_id"], call["request_id"]);
    // too late: nobody gets this, and nothing breaks
    spore.respond(&call, json!("late")).await;
    let calling = nexus.posting(&path(&spore), echo(10.0));
    let call = spore.expect("EXECUTE_SKILL").await;
    spore.respond(&call, json!("in time")).await;
    assert_eq!(calling.await.unwrap().body["result"], "in time");
    assert_eq!(in_flight(&nexus).await, 0.0);
    assert_eq!(
        nexus.metric("venom_nexus_calls_total{outcome=\"timed_out\"}").await,
        1.0
    );
    nexus.stop().await;
}

#[tokio::test]
async fn a_caller_that_hangs_up_cancels_its_call() {
    let nexus = TestNexus::start().await;
    let mut spore = FakeSpore::v2(&nexus, &["EchoSkill"]).await;
    let mut caller = TcpStream::connect(nexus.address).await.unwrap();
    let body = echo(60.0).to_string();
    let request = format!(
        "POST {} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {OPERATOR}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        path(&spore),
        body.len()
    );
    caller.write_all(request.as_bytes()).await.unwrap();
    let call = spore.expect("EXECUTE_SKILL").await;
    drop(caller);
    let cancel = spore.expect("CANCEL").await;
    assert_eq!(cancel["request_id"], call["request_id"]);
    assert_eq!(in_flight(&nexus).await, 0.0);
    assert_eq!(
        nexus.metric("venom_nexus_calls_total{outcome=\"abandoned\"}").await,
        1.0
    );
    nexus.stop().await;
}

#[tokio::test]
async fn a_node_that_dies_while_it_runs_a_call_fails_it_at_once() {
    let nexus = TestNexus::start().await;
    let mut spore = FakeSpore::v2(&nexus, &["EchoSkill"]).await;
    let path = path(&spore);
    let calling = nexus.posting(&path, echo(60.0));
    spore.expect("EXECUTE_SKILL").await;
    drop(spore);
    let answer = soon("the call to fail", calling).await.unwrap();
    answer.assert_problem(502, &path, "");
    assert_eq!(answer.body["error_code"], "node_lost");
    nexus.stop().await;
}

#[tokio::test]
async fn only_the_node_that_was_asked_can_answer() {
    let nexus = TestNexus::start().await;
    let mut asked = FakeSpore::v1(&nexus, &["EchoSkill"]).await;
    let mut forger = FakeSpore::v1(&nexus, &["EchoSkill"]).await;
    let calling = nexus.posting(&path(&asked), echo(10.0));
    let call = asked.expect("EXECUTE_SKILL").await;
    forger.respond(&call, json!("forged")).await;
    // the forger's frame has been read once its next one counts
    forger.heartbeat().await;
    until("the heartbeat to count", async || {
        let node = nexus.get(&format!("/api/v1/nodes/{}", forger.node_id)).await;
        (node.body["node"]["cpu_usage"] == 0.25).then_some(())
    })
    .await;
    assert!(!calling.is_finished());
    asked.respond(&call, json!("genuine")).await;
    assert_eq!(calling.await.unwrap().body["result"], "genuine");
    nexus.stop().await;
}

#[tokio::test]
async fn a_skill_that_fails_is_200_and_a_call_that_cannot_be_is_not() {
    let nexus = TestNexus::start().await;
    let mut spore = FakeSpore::v2(&nexus, &["EchoSkill"]).await;
    for (code, status) in [
        ("skill_failed", 200),
        ("denied", 200),
        ("invalid_params", 400),
        ("timed_out", 504),
    ] {
        let calling = nexus.posting(&path(&spore), echo(10.0));
        let call = spore.expect("EXECUTE_SKILL").await;
        let answer = json!({ "request_id": call["request_id"], "success": false, "result": null,
            "error": "it broke", "error_code": code, "execution_time": 0.5 });
        spore.say("RESPONSE", answer).await;
        let answer = calling.await.unwrap();
        assert_eq!(answer.status, status, "{answer:?}");
        assert_eq!(
            (&answer.body["success"], &answer.body["error"]),
            (&json!(false), &json!("it broke"))
        );
        assert_eq!(answer.body["error_code"], code);
    }
    nexus.stop().await;
}

#[tokio::test]
async fn many_calls_at_once_each_get_their_own_answer() {
    let nexus = TestNexus::start().await;
    let mut spore = FakeSpore::v1(&nexus, &["EchoSkill"]).await;
    let calls: Vec<_> = (0..100)
        .map(|n| {
            let body = json!({ "skill_name": "EchoSkill", "method_name": "echo", "parameters": { "n": n } });
            nexus.posting(&path(&spore), body)
        })
        .collect();
    let mut asked = Vec::new();
    for _ in 0..100 {
        asked.push(spore.expect("EXECUTE_SKILL").await);
    }
    for call in asked.iter().rev() {
        assert_eq!(call["timeout"].as_f64(), Some(30.0));
        spore.respond(call, call["parameters"]["n"].clone()).await;
    }
    for (n, call) in calls.into_iter().enumerate() {
        assert_eq!(call.await.unwrap().body["result"], n);
    }
    assert_eq!(in_flight(&nexus).await, 0.0);
    nexus.stop().await;
}

#[tokio::test]
async fn a_traceparent_goes_to_the_spore_and_comes_back() {
    let nexus = TestNexus::start().await;
    let mut spore = FakeSpore::v2(&nexus, &["EchoSkill"]).await;
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let request = nexus.http.post(nexus.url(&path(&spore))).bearer_auth(OPERATOR);
    let request = request.header("traceparent", trace).json(&echo(10.0));
    let calling = tokio::spawn(crate::harness::Answer::of(request));
    let call = spore.expect("EXECUTE_SKILL").await;
    let passed_on = call["traceparent"].as_str().unwrap().to_owned();
    assert!(
        passed_on.starts_with("00-0af7651916cd43dd8448eb211c80319c-"),
        "{passed_on}"
    );
    spore.respond(&call, json!(1)).await;
    assert_eq!(calling.await.unwrap().header("traceparent"), passed_on);
    nexus.stop().await;
}

#[tokio::test]
async fn a_large_body_and_result_pass_unchanged() {
    let nexus = TestNexus::start().await;
    let mut spore = FakeSpore::v1(&nexus, &["EchoSkill"]).await;
    let text = "ä\"\\".repeat(500_000);
    let body = json!({ "skill_name": "EchoSkill", "method_name": "echo", "parameters": { "text": text } });
    let calling = nexus.posting(&path(&spore), body);
    let call = spore.expect("EXECUTE_SKILL").await;
    assert_eq!(call["parameters"]["text"], text.as_str());
    spore.respond(&call, json!(text)).await;
    assert_eq!(calling.await.unwrap().body["result"], text.as_str());
    nexus.stop().await;
}

#[tokio::test]
async fn a_body_that_stalls_is_408() {
    let nexus = TestNexus::start_with(venom_nexus::NexusSettings {
        read_timeout: std::time::Duration::from_millis(100),
        ..crate::harness::settings()
    })
    .await;
    let mut caller = TcpStream::connect(nexus.address).await.unwrap();
    let head = format!(
        "POST /api/v1/execute HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {OPERATOR}\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{{"
    );
    caller.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    soon("the nexus to give up", caller.read_to_end(&mut answer))
        .await
        .unwrap();
    assert!(
        String::from_utf8_lossy(&answer).starts_with("HTTP/1.1 408"),
        "{}",
        String::from_utf8_lossy(&answer)
    );
    nexus.stop().await;
}
