//! The best node, and the nexus itself when there is none.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use serde_json::json;
use serde_json::value::RawValue;
use tokio::sync::mpsc;
use venom_nexus::LocalSkills;
use venom_protocol::{CallError, ErrorCode};
use venom_runtime::{Call, Outcome, Usage};

use crate::harness::{FakeSpore, TestNexus, echo, new_id, settings, soon, until};

/// Answers with its parameters; `stuck` never answers and says when it is cancelled.
struct Here {
    cancelled: mpsc::Sender<()>,
}

impl LocalSkills for Here {
    fn has(&self, skill: &str) -> bool {
        skill == "EchoSkill"
    }

    fn call<'a>(&'a self, _skill: &'a str, call: Call) -> BoxFuture<'a, Outcome> {
        let cancelled = self.cancelled.clone();
        if call.method == "stuck" {
            let cancel = call.cancel.clone();
            tokio::spawn(async move {
                cancel.cancelled().await;
                cancelled.send(()).await.unwrap();
            });
            return Box::pin(std::future::pending());
        }
        Box::pin(async move {
            let result: Result<Box<RawValue>, CallError> = match call.method.as_str() {
                "echo" => Ok(call.params),
                other => Err(CallError::new(ErrorCode::UnknownMethod, format!("no method `{other}`"))),
            };
            Outcome {
                result,
                elapsed: Duration::from_millis(5),
                usage: Usage::default(),
            }
        })
    }
}

async fn with_local() -> (TestNexus, mpsc::Receiver<()>) {
    let (cancelled, was_cancelled) = mpsc::channel(1);
    (
        TestNexus::start_local(settings(), Some(Arc::new(Here { cancelled }))).await,
        was_cancelled,
    )
}

const PATH: &str = "/api/v1/execute";

#[tokio::test]
async fn the_least_loaded_node_with_skill_and_tag_runs_it_and_says_so() {
    let nexus = TestNexus::start().await;
    let mut plain = FakeSpore::v1_as(&nexus, new_id(), &["EchoSkill"], &[]).await;
    let mut tagged = FakeSpore::v1_as(&nexus, new_id(), &["EchoSkill"], &["location:cellar", "gpu"]).await;
    let mut busy = FakeSpore::v1_as(&nexus, new_id(), &["EchoSkill"], &["location:cellar", "gpu"]).await;
    busy.say(
        "HEARTBEAT",
        json!({ "cpu_usage": 0.9, "memory_usage": 0.9, "active_tasks": 9 }),
    )
    .await;
    until("the load to show", async || {
        let node = nexus.get(&format!("/api/v1/nodes/{}", busy.node_id)).await;
        (node.body["node"]["active_tasks"] == 9).then_some(())
    })
    .await;
    let mut body = echo(10.0);
    body["tag"] = json!("gpu");
    body["require"] = json!({ "tags": ["location:cellar"] });
    let calling = nexus.posting(PATH, body);
    let call = tagged.expect("EXECUTE_SKILL").await;
    tagged.respond(&call, json!("here")).await;
    let answer = calling.await.unwrap();
    assert_eq!((answer.status, &answer.body["executed_by"]), (200, &json!("node")));
    assert_eq!(answer.body["node_id"], tagged.node_id.as_str());

    let mut body = echo(10.0);
    body["require"] = json!({ "node_id": plain.node_id });
    let calling = nexus.posting(PATH, body);
    let call = plain.expect("EXECUTE_SKILL").await;
    plain.respond(&call, json!("there")).await;
    assert_eq!(calling.await.unwrap().body["node_id"], plain.node_id.as_str());
    nexus.stop().await;
}

#[tokio::test]
async fn with_no_node_the_nexus_runs_it_and_says_so() {
    let (nexus, _) = with_local().await;
    for tag in [json!(null), json!("no-node-has-this")] {
        let mut body = echo(10.0);
        body["tag"] = tag;
        let answer = nexus.post(PATH, &body).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(
            (&answer.body["executed_by"], &answer.body["node_id"]),
            (&json!("nexus"), &json!(null))
        );
        assert_eq!(
            (&answer.body["result"], &answer.body["success"]),
            (&json!({ "text": "hi" }), &json!(true))
        );
        assert_eq!(answer.body["execution_time"], 0.005);
    }
    assert_eq!(nexus.metric("venom_nexus_local_calls_total").await, 2.0);
    let mut body = echo(10.0);
    body["method_name"] = json!("missing");
    nexus
        .post(PATH, &body)
        .await
        .assert_problem(400, PATH, "no method `missing`");
    nexus.stop().await;
}

#[tokio::test]
async fn what_is_required_of_a_node_is_not_bent() {
    let (nexus, _) = with_local().await;
    for require in [
        json!({ "gpu": true }),
        json!({ "tags": ["x"] }),
        json!({ "node_id": new_id() }),
    ] {
        let mut body = echo(10.0);
        body["require"] = require;
        let answer = nexus.post(PATH, &body).await;
        assert!(
            (400..=503).contains(&answer.status) && answer.body["success"] == false,
            "{answer:?}"
        );
    }
    nexus.stop().await;
}

#[tokio::test]
async fn with_a_node_that_fits_the_nexus_does_not_run_it() {
    let (nexus, _) = with_local().await;
    let mut spore = FakeSpore::v1(&nexus, &["EchoSkill"]).await;
    let calling = nexus.posting(PATH, echo(10.0));
    let call = spore.expect("EXECUTE_SKILL").await;
    spore.respond(&call, json!("node")).await;
    assert_eq!(calling.await.unwrap().body["executed_by"], "node");
    nexus.stop().await;
}

#[tokio::test]
async fn a_skill_nobody_has_is_a_clear_error() {
    let (nexus, _) = with_local().await;
    let mut body = echo(10.0);
    body["skill_name"] = json!("NoSuchSkill");
    nexus
        .post(PATH, &body)
        .await
        .assert_problem(503, PATH, "no node is online");
    let _spore = FakeSpore::v1(&nexus, &["EchoSkill"]).await;
    nexus.post(PATH, &body).await.assert_problem(400, PATH, "no such skill");
    nexus.stop().await;
}

#[tokio::test]
async fn a_caller_that_goes_away_cancels_a_local_call_too() {
    let (nexus, mut was_cancelled) = with_local().await;
    let mut body = echo(60.0);
    body["method_name"] = json!("stuck");
    let calling = nexus.posting(PATH, body);
    until("the call to start", async || {
        (nexus.metric("venom_nexus_local_calls_total").await == 1.0).then_some(())
    })
    .await;
    calling.abort();
    soon("the call to be cancelled", was_cancelled.recv()).await.unwrap();
    nexus.stop().await;
}
