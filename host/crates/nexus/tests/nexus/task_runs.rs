//! The life of a task on this nexus: run, retried, moved, cancelled, unblocked, never lost.

use serde_json::{Value, json};

use crate::harness::{FakeSpore, TestNexus, echo_task, settings, sqlite_in, until};
use crate::sse::Sse;

#[tokio::test]
async fn a_task_runs_and_its_result_is_kept() {
    let nexus = TestNexus::with_tasks().await;
    let id = nexus.submit(echo_task("hi")).await;
    let mut spore = FakeSpore::v2(&nexus, &["EchoSkill"]).await;
    let call = spore.expect("EXECUTE_SKILL").await;
    assert_eq!(call["parameters"], json!({ "text": "hi" }));
    assert_eq!(call["task"], json!({ "task_id": id, "attempt": 1, "depth": 0 }));
    let running = nexus.task_in(&id, "running").await;
    assert_eq!(running["assigned_node"], *spore.node_id);
    let waiting = tokio::spawn({
        let request = nexus
            .http
            .get(nexus.url(&format!("/api/v1/tasks/{id}?wait=20")))
            .bearer_auth(crate::harness::VIEWER);
        crate::harness::Answer::of(request)
    });
    spore.respond(&call, json!({ "said": "hi" })).await;
    let done = waiting.await.unwrap().body;
    assert_eq!(
        (&done["status"], &done["result"]),
        (&json!("completed"), &json!({ "said": "hi" }))
    );
    assert_eq!(
        (&done["attempt"], &done["assigned_node"]),
        (&json!(1), &json!(spore.node_id))
    );
    let listed = nexus.get("/api/v1/tasks?status=completed").await.body;
    assert_eq!(
        (&listed["count"], &listed["tasks"][0]["task_id"]),
        (&json!(1), &json!(id))
    );
    assert_eq!(
        nexus.metric("venom_nexus_task_runs_total{outcome=\"completed\"}").await,
        1.0
    );
    nexus.stop().await;
}

#[tokio::test]
async fn a_failed_run_is_tried_again_elsewhere_and_then_dead_lettered_and_requeued() {
    let nexus = TestNexus::with_tasks().await;
    let mut one = FakeSpore::v2(&nexus, &["EchoSkill"]).await;
    let mut task = echo_task("x");
    task["max_retries"] = json!(1);
    task["backoff"] = json!({ "base": 0.01 });
    let id = nexus.submit(task).await;
    let call = one.expect("EXECUTE_SKILL").await;
    let mut two = FakeSpore::v2(&nexus, &["EchoSkill"]).await;
    one.fail(&call, "skill_failed", "no luck").await;
    let call = two.expect("EXECUTE_SKILL").await;
    assert_eq!(call["task"]["attempt"], 2);
    two.fail(&call, "skill_failed", "no luck either").await;
    let failed = nexus.task_in(&id, "failed").await;
    assert!(failed["error"].as_str().unwrap().contains("no luck either"), "{failed}");
    let queues = nexus.get("/api/v1/queues").await.body;
    assert_eq!(
        (&queues["tasks_failed"], &queues["dead_letters"]),
        (&json!(1), &json!(1))
    );
    let again = nexus.post_empty("/api/v1/queues/dead/requeue").await.body;
    assert_eq!((&again["requeued"], &again["left"]), (&json!(1), &json!(0)));
    let (spore, call) = either(&mut one, &mut two).await;
    assert_eq!(call["task"]["attempt"], 1);
    spore.respond(&call, json!("at last")).await;
    assert_eq!(nexus.task_in(&id, "completed").await["result"], "at last");
    let path = format!("/api/v1/tasks/{id}/requeue");
    nexus.post_empty(&path).await.assert_problem(409, &path, "completed");
    nexus.stop().await;
}

/// The one of two that gets the call.
async fn either<'a>(one: &'a mut FakeSpore, two: &'a mut FakeSpore) -> (&'a mut FakeSpore, Value) {
    tokio::select! {
        call = one.expect("EXECUTE_SKILL") => (one, call),
        call = two.expect("EXECUTE_SKILL") => (two, call),
    }
}

#[tokio::test]
async fn a_callers_fault_is_not_tried_again() {
    let nexus = TestNexus::with_tasks().await;
    let mut spore = FakeSpore::v2(&nexus, &["EchoSkill"]).await;
    let id = nexus.submit(echo_task("x")).await;
    let call = spore.expect("EXECUTE_SKILL").await;
    spore.fail(&call, "unknown_method", "no method echo").await;
    let failed = nexus.task_in(&id, "failed").await;
    assert_eq!(
        (&failed["attempt"], &failed["error_code"]),
        (&json!(1), &json!("unknown_method"))
    );
    nexus.stop().await;
}

#[tokio::test]
async fn a_lost_node_moves_its_task_at_once() {
    let nexus = TestNexus::with_tasks().await;
    let mut one = FakeSpore::v2(&nexus, &["EchoSkill"]).await;
    let id = nexus.submit(echo_task("x")).await;
    one.expect("EXECUTE_SKILL").await;
    let mut two = FakeSpore::v2(&nexus, &["EchoSkill"]).await;
    // no goodbye: as a killed process
    drop(one);
    let call = two.expect("EXECUTE_SKILL").await;
    two.respond(&call, json!("moved")).await;
    let done = nexus.task_in(&id, "completed").await;
    assert_eq!(
        (&done["losses"], &done["assigned_node"]),
        (&json!(1), &json!(two.node_id))
    );
    nexus.stop().await;
}

#[tokio::test]
async fn a_waiting_task_is_cancelled_at_once_and_a_running_one_on_its_node() {
    let nexus = TestNexus::with_tasks().await;
    let waiting = nexus.submit(echo_task("x")).await;
    let answer = nexus.delete(&format!("/api/v1/tasks/{waiting}")).await;
    assert_eq!((answer.status, &answer.body["status"]), (200, &json!("cancelled")));
    let mut spore = FakeSpore::v2(&nexus, &["EchoSkill"]).await;
    let running = nexus.submit(echo_task("x")).await;
    let call = spore.expect("EXECUTE_SKILL").await;
    assert_eq!(call["task"]["task_id"], *running, "the cancelled one was never sent");
    let answer = nexus.delete(&format!("/api/v1/tasks/{running}")).await;
    assert_eq!(answer.status, 202);
    let cancel = spore.expect("CANCEL").await;
    assert_eq!(cancel["request_id"], call["request_id"]);
    spore.fail(&call, "cancelled", "stopped").await;
    nexus.task_in(&running, "cancelled").await;
    nexus.stop().await;
}

#[tokio::test]
async fn dependents_wait_get_results_and_fail_with_what_they_need() {
    let nexus = TestNexus::with_tasks().await;
    let mut spore = FakeSpore::v2(&nexus, &["EchoSkill"]).await;
    let graph = json!({ "tasks": [
        { "ref": "first", "skill_name": "EchoSkill", "method_name": "one" },
        { "ref": "second", "skill_name": "EchoSkill", "method_name": "two", "depends_on": ["first"],
          "parameters": { "x": { "$result": "first", "path": "/n" } } },
        { "skill_name": "EchoSkill", "method_name": "three", "depends_on": ["second"] },
    ]});
    let ids = nexus.post("/api/v1/tasks", &graph).await.body["task_ids"].clone();
    let id = |place: usize| ids[place].as_str().unwrap();
    let call = spore.expect("EXECUTE_SKILL").await;
    assert_eq!(call["method_name"], "one");
    assert_eq!(
        nexus.get(&format!("/api/v1/tasks/{}", id(1))).await.body["status"],
        "blocked"
    );
    spore.respond(&call, json!({ "n": 42 })).await;
    let call = spore.expect("EXECUTE_SKILL").await;
    assert_eq!(
        (&call["method_name"], &call["parameters"]),
        (&json!("two"), &json!({ "x": 42 }))
    );
    spore.fail(&call, "invalid_params", "not that").await;
    let failed = nexus.task_in(id(2), "failed").await;
    assert!(failed["error"].as_str().unwrap().contains(id(1)), "{failed}");
    nexus.stop().await;
}

#[tokio::test]
async fn a_delayed_task_waits_for_its_time() {
    let nexus = TestNexus::with_tasks().await;
    let mut spore = FakeSpore::v2(&nexus, &["EchoSkill"]).await;
    let mut later = echo_task("later");
    later["delay"] = json!(0.3);
    let id = nexus.submit(later).await;
    let view = nexus.get(&format!("/api/v1/tasks/{id}")).await.body;
    assert_eq!(view["status"], "pending");
    assert!(view["due_at"].is_string(), "{view}");
    nexus.submit(echo_task("now")).await;
    let call = spore.expect("EXECUTE_SKILL").await;
    assert_eq!(call["parameters"]["text"], "now");
    spore.respond(&call, json!(1)).await;
    let call = spore.expect("EXECUTE_SKILL").await;
    assert_eq!(call["parameters"]["text"], "later");
    nexus.stop().await;
}

#[tokio::test]
async fn no_spore_gets_more_than_its_credits_and_the_urgent_go_first() {
    let nexus = TestNexus::with_tasks().await;
    let mut tasks: Vec<Value> = (0..6).map(|n| echo_task(&format!("low {n}"))).collect();
    let mut urgent = echo_task("urgent");
    urgent["priority"] = json!("high_priority");
    tasks.push(urgent);
    nexus.post("/api/v1/tasks", &json!({ "tasks": tasks })).await;
    // concurrency 4
    let mut spore = FakeSpore::v2(&nexus, &["EchoSkill"]).await;
    let mut calls = Vec::new();
    for _ in 0..4 {
        calls.push(spore.expect("EXECUTE_SKILL").await);
    }
    assert!(
        calls.iter().any(|call| call["parameters"]["text"] == "urgent"),
        "{calls:?}"
    );
    assert_eq!(nexus.get("/api/v1/queues").await.body["tasks_running"], 4);
    for call in &calls {
        spore.respond(call, json!(null)).await;
    }
    for _ in 0..3 {
        let call = spore.expect("EXECUTE_SKILL").await;
        spore.respond(&call, json!(null)).await;
    }
    until("all to complete", async || {
        (nexus.get("/api/v1/queues").await.body["tasks_completed"] == 7).then_some(())
    })
    .await;
    nexus.stop().await;
}

#[tokio::test]
async fn a_map_runs_each_item_and_reduces_the_results() {
    let nexus = TestNexus::with_tasks().await;
    let mut spore = FakeSpore::v2(&nexus, &["EchoSkill", "SumSkill"]).await;
    let map = json!({ "skill_name": "EchoSkill", "method_name": "echo", "items": [1, { "item": 2 }, "x"],
        "reduce": { "skill_name": "SumSkill", "method_name": "sum" }, "wait_timeout": 20, "max_retries": 0 });
    let mapping = nexus.posting("/api/v1/map", map);
    for _ in 0..3 {
        let call = spore.expect("EXECUTE_SKILL").await;
        match &call["parameters"]["item"] {
            Value::Number(n) => spore.respond(&call, json!(n)).await,
            _ => spore.fail(&call, "skill_failed", "no number").await,
        }
    }
    let call = spore.expect("EXECUTE_SKILL").await;
    assert_eq!(
        (&call["skill_name"], &call["parameters"]),
        (&json!("SumSkill"), &json!({ "results": [1, 2] }))
    );
    spore.respond(&call, json!(3)).await;
    let result = mapping.await.unwrap().body;
    let summary = json!({ "total_tasks": 3, "completed": 2, "failed": 1, "pending": 0, "success_rate": "66.7%" });
    assert_eq!(result["summary"], summary);
    assert_eq!(
        (&result["results"][1]["result"], &result["reduced"]),
        (&json!(2), &json!(3))
    );
    assert!(
        result["results"][2]["error"].as_str().unwrap().contains("no number"),
        "{result}"
    );
    nexus.stop().await;
}

#[tokio::test]
async fn a_map_that_takes_too_long_lists_the_rest_as_pending() {
    let nexus = TestNexus::with_tasks().await;
    let map = json!({ "skill_name": "EchoSkill", "method_name": "echo", "items": [1, 2], "wait_timeout": 0.1 });
    let result = nexus.post("/api/v1/map", &map).await.body;
    assert_eq!(result["summary"]["pending"], 2);
    assert_eq!(
        (&result["results"][0]["status"], &result["results"][0]["error"]),
        (&json!("pending"), &json!("Timeout"))
    );
    nexus.stop().await;
}

#[tokio::test]
async fn what_was_accepted_outlives_the_nexus() {
    let directory = tempfile::tempdir().unwrap();
    let open = || sqlite_in(directory.path(), venom_broker::Settings::default());
    let nexus = TestNexus::start_all(settings(), None, Some(open())).await;
    let mut spore = FakeSpore::v2(&nexus, &["EchoSkill"]).await;
    let running = nexus.submit(echo_task("was running")).await;
    spore.expect("EXECUTE_SKILL").await;
    let waiting = nexus
        .submit(json!({ "skill_name": "OtherSkill", "method_name": "x" }))
        .await;
    drop(spore);
    nexus.stop().await;
    let nexus = TestNexus::start_all(settings(), None, Some(open())).await;
    assert_eq!(
        nexus.get(&format!("/api/v1/tasks/{waiting}")).await.body["status"],
        "pending"
    );
    let mut spore = FakeSpore::v2(&nexus, &["EchoSkill"]).await;
    let call = spore.expect("EXECUTE_SKILL").await;
    assert_eq!(call["task"]["task_id"], *running);
    spore.respond(&call, json!("after all")).await;
    assert_eq!(nexus.task_in(&running, "completed").await["result"], "after all");
    nexus.stop().await;
}

#[tokio::test]
async fn a_nexus_that_stops_lets_running_tasks_finish_and_takes_no_more() {
    let directory = tempfile::tempdir().unwrap();
    let open = || sqlite_in(directory.path(), venom_broker::Settings::default());
    let nexus = TestNexus::start_all(settings(), None, Some(open())).await;
    let mut spore = FakeSpore::v2(&nexus, &["EchoSkill"]).await;
    let running = nexus.submit(echo_task("x")).await;
    let call = spore.expect("EXECUTE_SKILL").await;
    let later = nexus
        .submit(json!({ "skill_name": "OtherSkill", "method_name": "x" }))
        .await;
    nexus.ask_to_stop();
    spore.respond(&call, json!("just in time")).await;
    spore.expect("DISCONNECT").await;
    drop(spore);
    nexus.stopped().await;
    let nexus = TestNexus::start_all(settings(), None, Some(open())).await;
    let done = nexus.get(&format!("/api/v1/tasks/{running}")).await.body;
    assert_eq!((&done["result"], &done["attempt"]), (&json!("just in time"), &json!(1)));
    assert_eq!(
        nexus.get(&format!("/api/v1/tasks/{later}")).await.body["status"],
        "pending"
    );
    nexus.stop().await;
}

#[tokio::test]
async fn a_result_over_the_limit_fails_the_task_with_the_limit_named() {
    let mut small = settings();
    small.hive.max_result = bytesize::ByteSize(10);
    let nexus = TestNexus::with_tasks_and(small).await;
    let mut spore = FakeSpore::v2(&nexus, &["EchoSkill"]).await;
    let id = nexus.submit(echo_task("x")).await;
    let call = spore.expect("EXECUTE_SKILL").await;
    spore.respond(&call, json!("0123456789")).await;
    let failed = nexus.task_in(&id, "failed").await;
    assert!(failed["error"].as_str().unwrap().contains("at most 10 B"), "{failed}");
    nexus.stop().await;
}

#[tokio::test]
async fn every_change_of_a_task_is_an_event() {
    let nexus = TestNexus::with_tasks().await;
    let mut events = Sse::open(&nexus, "/api/v1/events", None).await;
    let mut spore = FakeSpore::v2(&nexus, &["EchoSkill"]).await;
    let id = nexus.submit(echo_task("x")).await;
    let call = spore.expect("EXECUTE_SKILL").await;
    spore.respond(&call, json!(1)).await;
    let mut seen = Vec::new();
    while seen.last().is_none_or(|kind| kind != "TASK_COMPLETED") {
        let (_, event) = events.next().await.unwrap();
        if event["data"]["task_id"] == *id {
            seen.push(event["type"].as_str().unwrap().to_owned());
        }
    }
    seen.sort();
    assert_eq!(seen, ["TASK_COMPLETED", "TASK_STARTED", "TASK_SUBMITTED"]);
    nexus.stop().await;
}
