//! Several nexuses on one Redis: calls find their spore, tasks outlive a nexus, all see the same.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use venom_broker::Broker;
use venom_broker::redis::{RedisBroker, RedisSettings};

use crate::harness::{Answer, FakeSpore, OPERATOR, TestNexus, echo, echo_task, settings, soon, until};
use crate::redis_server::RedisServer;
use crate::sse::Sse;

fn broker_at(url: &str) -> Arc<dyn Broker> {
    let settings = venom_broker::Settings {
        session_ttl: Duration::from_secs(1),
        ..venom_broker::Settings::default()
    };
    Arc::new(RedisBroker::new(RedisSettings::new(url), settings).unwrap())
}

/// A nexus on threads of its own, that can vanish as a killed process does: no goodbye to spores or broker.
async fn doomed(redis: &RedisServer) -> (TestNexus, tokio::runtime::Runtime) {
    let apart = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let url = redis.url();
    let starting = async move { TestNexus::start_all(settings(), None, Some(broker_at(&url))).await };
    let nexus = apart.spawn(starting).await.unwrap();
    until("the nexus to be ready", async || {
        (nexus.get("/readyz").await.status == 200).then_some(())
    })
    .await;
    (nexus, apart)
}

/// A nexus on this Redis, once its session lives.
async fn nexus(redis: &RedisServer) -> TestNexus {
    let nexus = TestNexus::start_all(settings(), None, Some(broker_at(&redis.url()))).await;
    until("the nexus to be ready", async || {
        (nexus.get("/readyz").await.status == 200).then_some(())
    })
    .await;
    nexus
}

async fn server() -> RedisServer {
    tokio::task::spawn_blocking(RedisServer::new).await.unwrap()
}

/// Two nexuses that know each other.
async fn two(redis: &RedisServer) -> (TestNexus, TestNexus) {
    let (one, two) = (nexus(redis).await, nexus(redis).await);
    for nexus in [&one, &two] {
        until("both nexuses", async || {
            (nexus.get("/api/v1/cluster").await.body["nexuses"] == 2).then_some(())
        })
        .await;
    }
    (one, two)
}

#[tokio::test]
async fn a_task_submitted_to_one_runs_on_a_spore_of_the_other() {
    let redis = server().await;
    let (one, two) = two(&redis).await;
    let mut spore = FakeSpore::v2(&two, &["EchoSkill"]).await;
    let id = one.submit(echo_task("over there")).await;
    let waiting = one
        .http
        .get(one.url(&format!("/api/v1/tasks/{id}?wait=20")))
        .bearer_auth(OPERATOR);
    let waiting = tokio::spawn(Answer::of(waiting));
    let call = spore.expect("EXECUTE_SKILL").await;
    // whoever asks the other nexus sees where it runs
    until("the node to be noted", async || {
        let view = one.get(&format!("/api/v1/tasks/{id}")).await.body;
        (view["assigned_node"] == *spore.node_id).then_some(())
    })
    .await;
    spore.respond(&call, json!("done there")).await;
    assert_eq!(soon("the result", waiting).await.unwrap().body["result"], "done there");
    one.stop().await;
    two.stop().await;
}

#[tokio::test]
async fn a_call_to_a_spore_of_the_other_nexus_is_routed_there_and_back() {
    let redis = server().await;
    let (one, two) = two(&redis).await;
    let mut spore = FakeSpore::v2(&two, &["EchoSkill"]).await;
    let path = format!("/api/v1/nodes/{}", spore.node_id);
    until("the node to be listed", async || {
        (one.get(&path).await.status == 200).then_some(())
    })
    .await;
    let execute = format!("{path}/execute");
    let calling = one.posting(&execute, echo(20.0));
    let call = spore.expect("EXECUTE_SKILL").await;
    spore.respond(&call, json!("from afar")).await;
    let answer = calling.await.unwrap();
    assert_eq!((answer.status, &answer.body["result"]), (200, &json!("from afar")));
    assert_eq!(answer.body["node_id"], *spore.node_id);

    let calling = one.posting("/api/v1/execute", echo(20.0));
    let call = spore.expect("EXECUTE_SKILL").await;
    spore.fail(&call, "denied", "not granted").await;
    let answer = calling.await.unwrap().body;
    assert_eq!(
        (&answer["success"], &answer["error_code"]),
        (&json!(false), &json!("denied"))
    );

    // a caller that goes away is heard over there
    let calling = one.posting(&execute, echo(20.0));
    let call = spore.expect("EXECUTE_SKILL").await;
    calling.abort();
    assert_eq!(spore.expect("CANCEL").await["request_id"], call["request_id"]);

    assert_eq!(
        one.post_empty(&format!("{path}/drain")).await.body["node"]["draining"],
        true
    );
    until("the drain to be seen there", async || {
        (two.get(&path).await.body["node"]["draining"] == true).then_some(())
    })
    .await;
    one.stop().await;
    two.stop().await;
}

#[tokio::test]
async fn a_task_that_runs_on_the_other_nexus_is_cancelled_from_here() {
    let redis = server().await;
    let (one, two) = two(&redis).await;
    let mut spore = FakeSpore::v2(&two, &["EchoSkill"]).await;
    let id = one.submit(echo_task("x")).await;
    let call = spore.expect("EXECUTE_SKILL").await;
    assert_eq!(one.delete(&format!("/api/v1/tasks/{id}")).await.status, 202);
    assert_eq!(spore.expect("CANCEL").await["request_id"], call["request_id"]);
    spore.fail(&call, "cancelled", "stopped").await;
    one.task_in(&id, "cancelled").await;
    one.stop().await;
    two.stop().await;
}

#[tokio::test]
async fn events_and_progress_of_the_other_nexus_are_heard_here() {
    let redis = server().await;
    let (one, two) = two(&redis).await;
    let mut events = Sse::open(&one, "/api/v1/events", None).await;
    let mut spore = FakeSpore::v2(&two, &["EchoSkill"]).await;
    // the other nexus knows within a renewal that somebody listens here
    let seen = async {
        loop {
            let id = two.submit(echo_task("x")).await;
            let call = spore.expect("EXECUTE_SKILL").await;
            let mut stream = Sse::open(&one, &format!("/api/v1/tasks/{id}/events"), None).await;
            let partial = json!({ "request_id": call["request_id"], "kind": "partial", "value": 7 });
            spore.say("PROGRESS", partial).await;
            while stream.said().await.unwrap().name != "partial" {}
            spore.respond(&call, json!("x")).await;
            let heard = tokio::time::timeout(Duration::from_millis(500), events.find("TASK_COMPLETED")).await;
            if heard.is_ok() {
                return;
            }
        }
    };
    soon("an event of the other nexus", seen).await;
    drop(events);
    one.stop().await;
    two.stop().await;
}

#[tokio::test]
async fn the_tasks_of_a_nexus_that_vanished_run_on_the_other() {
    let redis = server().await;
    let ((one, apart), two) = (doomed(&redis).await, nexus(&redis).await);
    let mut lost = FakeSpore::v2(&one, &["EchoSkill"]).await;
    let id = one.submit(echo_task("x")).await;
    lost.expect("EXECUTE_SKILL").await;
    apart.shutdown_background();
    let mut spore = FakeSpore::v2(&two, &["EchoSkill"]).await;
    let call = spore.expect("EXECUTE_SKILL").await;
    assert_eq!(call["task"]["task_id"], *id);
    spore.respond(&call, json!("taken over")).await;
    assert_eq!(two.task_in(&id, "completed").await["result"], "taken over");
    until("the lost nexus to be forgotten", async || {
        (two.get("/api/v1/cluster").await.body["nexuses"] == 1).then_some(())
    })
    .await;
    two.stop().await;
}
