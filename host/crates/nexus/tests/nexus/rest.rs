//! Bad requests, one by one, and what each is told. Draining.

use bytesize::ByteSize;
use serde_json::json;
use venom_nexus::NexusSettings;

use crate::harness::{Answer, FakeSpore, OPERATOR, TestNexus, VIEWER, echo, new_id, settings, until};

const PATH: &str = "/api/v1/execute";

#[tokio::test]
async fn each_bad_body_is_told_what_is_wrong() {
    let nexus = TestNexus::start().await;
    let send = |body: String| {
        let request = nexus
            .http
            .post(nexus.url(PATH))
            .bearer_auth(OPERATOR)
            .header("content-type", "application/json");
        Answer::of(request.body(body))
    };
    for (body, words) in [
        ("{", "ends too early"),
        ("nonsense", "no JSON"),
        ("[]", "does not fit"),
        ("{}", "missing field `skill_name`"),
        (r#"{"skill_name":"S","method_name":1}"#, "expected a string"),
        (
            r#"{"skill_name":"S","method_name":"m","extra":1}"#,
            "unknown field `extra`",
        ),
        (
            r#"{"skill_name":"S","method_name":"m","parameters":[1]}"#,
            "no JSON object",
        ),
        (r#"{"skill_name":"S","method_name":"m","timeout":-1}"#, "timeout is -1"),
        (r#"{"skill_name":"S","method_name":"m","timeout":0}"#, "timeout is 0"),
        (r#"{"skill_name":"S","method_name":"m","timeout":1e9}"#, "at most 86400"),
        (r#"{"skill_name":"S","method_name":"m","timeout":"1"}"#, "expected f64"),
        (r#"{"skill_name":"","method_name":"m"}"#, "skill_name is empty"),
        (
            r#"{"skill_name":"S","method_name":"m","require":{"gpus":1}}"#,
            "unknown field `gpus`",
        ),
        (r#"{"skill_name":"S","method_name":"m"} x"#, "no JSON"),
    ] {
        send(body.to_owned()).await.assert_problem(400, PATH, words);
    }
    // never read, only passed on: it must not overflow a stack
    let deep = "[".repeat(100_000) + &"]".repeat(100_000);
    let deep = format!(r#"{{"skill_name":"S","method_name":"m","parameters":{{"x":{deep}}}}}"#);
    send(deep).await.assert_problem(503, PATH, "no node is online");
    let form = nexus.http.post(nexus.url(PATH)).bearer_auth(OPERATOR).body("{}");
    Answer::of(form).await.assert_problem(415, PATH, "Content-Type");
    nexus.stop().await;
}

#[tokio::test]
async fn a_body_over_the_limit_is_413_declared_or_not() {
    let nexus = TestNexus::start_with(NexusSettings {
        max_body: ByteSize::kib(1),
        ..settings()
    })
    .await;
    let mut body = echo(1.0);
    body["parameters"]["text"] = json!("x".repeat(2000));
    nexus.post(PATH, &body).await.assert_problem(413, PATH, "1024 bytes");
    let stream = futures_util::stream::iter((0..3).map(|_| Ok::<_, std::io::Error>("{ ".repeat(400))));
    let request = nexus
        .http
        .post(nexus.url(PATH))
        .bearer_auth(OPERATOR)
        .header("content-type", "application/json");
    Answer::of(request.body(reqwest::Body::wrap_stream(stream)))
        .await
        .assert_problem(413, PATH, "1024 bytes");
    nexus.stop().await;
}

#[tokio::test]
async fn wrong_routes_methods_and_queries_are_problems() {
    let nexus = TestNexus::start().await;
    nexus
        .get("/api/v1/nothing")
        .await
        .assert_problem(404, "/api/v1/nothing", "/docs");
    let answer = nexus.get(PATH).await;
    answer.assert_problem(405, PATH, "does not take GET");
    assert_eq!(answer.header("allow"), "POST");
    nexus
        .get("/api/v1/nodes?x=1")
        .await
        .assert_problem(400, "/api/v1/nodes", "unknown query parameter `x`");
    nexus
        .get("/api/v1/nodes?online_only=7")
        .await
        .assert_problem(400, "/api/v1/nodes", "online_only is `7`");
    for path in ["/ws/nodes", "/ws/events"] {
        let answer = nexus.get(path).await;
        assert!((400..=426).contains(&answer.status), "{answer:?}");
        assert_eq!(answer.header("content-type"), "application/problem+json");
    }
    let mut body = echo(1.0);
    body["tag"] = json!("gpu");
    let path = format!("/api/v1/nodes/{}/execute", new_id());
    nexus
        .post(&path, &body)
        .await
        .assert_problem(400, &path, "/api/v1/execute takes them");
    nexus.stop().await;
}

#[tokio::test]
async fn probes_are_open_and_say_what_they_must() {
    let nexus = TestNexus::start().await;
    let expected = json!({ "status": "ok", "component": "venom-nexus" });
    for path in ["/healthz", "/readyz"] {
        let answer = Answer::of(nexus.http.get(nexus.url(path))).await;
        assert_eq!((answer.status, answer.body), (200, expected.clone()));
    }
    nexus.stop().await;
}

#[tokio::test]
async fn metrics_are_open_metrics_text() {
    let nexus = TestNexus::start().await;
    let _spore = FakeSpore::v1(&nexus, &["EchoSkill"]).await;
    let answer = nexus.get("/metrics").await;
    assert!(
        answer
            .header("content-type")
            .starts_with("application/openmetrics-text"),
        "{answer:?}"
    );
    assert!(answer.body.as_str().unwrap().ends_with("# EOF\n"));
    assert_eq!(nexus.metric("venom_nexus_nodes_online").await, 1.0);
    assert_eq!(nexus.metric("venom_nexus_links").await, 1.0);
    assert!(nexus.metric("venom_nexus_frames_in_total").await >= 1.0);
    #[cfg(target_os = "linux")]
    assert!(nexus.metric("venom_nexus_resident_memory_bytes").await > 1e6);
    nexus.stop().await;
}

#[tokio::test]
async fn a_node_lists_all_the_contract_names() {
    let nexus = TestNexus::start().await;
    let spore = FakeSpore::v1_as(&nexus, new_id(), &["EchoSkill"], &["gpu"]).await;
    let answer = nexus.get(&format!("/api/v1/nodes/{}", spore.node_id)).await;
    assert_eq!(answer.body["status"], "success");
    let node = &answer.body["node"];
    for name in [
        "node_id",
        "node_name",
        "capabilities",
        "last_heartbeat",
        "cpu_usage",
        "memory_usage",
        "active_tasks",
        "is_online",
        "registered_at",
    ] {
        assert!(!node[name].is_null(), "{name} is missing in {node}");
    }
    assert_eq!(
        (&node["protocol"], &node["capabilities"]["tags"]),
        (&json!(1), &json!(["gpu"]))
    );
    let list = nexus.get("/api/v1/nodes").await.body;
    assert_eq!(
        (&list["status"], &list["count"], &list["online_count"]),
        (&json!("success"), &json!(1), &json!(1))
    );
    assert_eq!(list["nodes"][0]["node_id"], node["node_id"]);
    nexus.stop().await;
}

#[tokio::test]
async fn a_drained_node_finishes_what_it_has_and_gets_nothing_until_undrained() {
    let nexus = TestNexus::start().await;
    let mut spore = FakeSpore::v2(&nexus, &["EchoSkill"]).await;
    let node = format!("/api/v1/nodes/{}", spore.node_id);
    let running = nexus.posting(&format!("{node}/execute"), echo(30.0));
    let call = spore.expect("EXECUTE_SKILL").await;
    let drained = nexus.post_empty(&format!("{node}/drain")).await;
    assert_eq!((drained.status, &drained.body["node"]["draining"]), (200, &json!(true)));
    let refused = nexus.post(&format!("{node}/execute"), &echo(1.0)).await;
    refused.assert_problem(503, &format!("{node}/execute"), "draining");
    assert_eq!(refused.header("retry-after"), "1");
    spore.respond(&call, json!("finished")).await;
    assert_eq!(running.await.unwrap().body["result"], "finished");
    let undrained = nexus.post_empty(&format!("{node}/undrain")).await;
    assert_eq!(undrained.body["node"]["draining"], false);
    let calling = nexus.posting(&format!("{node}/execute"), echo(10.0));
    let call = spore.expect("EXECUTE_SKILL").await;
    spore.respond(&call, json!(1)).await;
    assert_eq!(calling.await.unwrap().status, 200);
    let nobody = format!("/api/v1/nodes/{}/drain", new_id());
    nexus.post_empty(&nobody).await.assert_problem(404, &nobody, "no node");
    nexus.stop().await;
}

#[tokio::test]
async fn a_v2_spore_can_say_what_it_has_now() {
    let nexus = TestNexus::start().await;
    let mut spore = FakeSpore::v2(&nexus, &["EchoSkill"]).await;
    let capabilities = json!({ "skills": ["EchoSkill", "NewSkill"], "tags": ["new"] });
    spore
        .say("STATUS", json!({ "capabilities": capabilities, "draining": false }))
        .await;
    until("the new skill to show", async || {
        let request = nexus
            .http
            .get(nexus.url(&format!("/api/v1/nodes/{}", spore.node_id)))
            .bearer_auth(VIEWER);
        (Answer::of(request).await.body["node"]["capabilities"]["skills"][1] == "NewSkill").then_some(())
    })
    .await;
    nexus.stop().await;
}
