//! The routes of tasks, queues, the cluster and the cache: what they take, what they refuse, what they answer.

use serde_json::{Value, json};

use crate::harness::{FakeSpore, TestNexus, echo_task, settings};

#[tokio::test]
async fn without_a_broker_the_routes_of_tasks_say_so() {
    let nexus = TestNexus::start().await;
    for path in ["/api/v1/tasks", "/api/v1/queues", "/api/v1/cache/x"] {
        nexus.get(path).await.assert_problem(503, path, "keeps no tasks");
    }
    let answer = nexus.post("/api/v1/tasks", &echo_task("x")).await;
    answer.assert_problem(503, "/api/v1/tasks", "keeps no tasks");
    assert_eq!(nexus.get("/api/v1/cluster").await.body["broker"], "none");
    nexus.stop().await;
}

#[tokio::test]
async fn a_task_is_shown_as_the_contract_says() {
    let nexus = TestNexus::with_tasks().await;
    let task = json!({ "skill_name": "EchoSkill", "method_name": "echo", "parameters": { "n": 1 }, "priority": "high_priority",
        "timeout": 7, "max_retries": 1, "requirements": { "tags": ["lab"] } });
    let id = nexus.submit(task).await;
    let view = nexus.get(&format!("/api/v1/tasks/{id}")).await.body;
    assert_eq!(view["task_id"], *id);
    assert_eq!(view["task_type"], "EchoSkill.echo");
    let payload = json!({ "skill_name": "EchoSkill", "method_name": "echo", "parameters": { "n": 1 } });
    assert_eq!(view["payload"], payload);
    assert_eq!(
        (&view["priority"], &view["status"]),
        (&json!("high_priority"), &json!("pending"))
    );
    assert_eq!(
        (&view["timeout"], &view["max_retries"], &view["attempt"]),
        (&json!(7.0), &json!(1), &json!(0))
    );
    for absent in ["assigned_node", "started_at", "completed_at", "result", "error"] {
        assert_eq!(view[absent], Value::Null, "{absent}");
    }
    let queues = nexus.get("/api/v1/queues").await.body;
    assert_eq!(
        (&queues["high_priority_queue"], &queues["background_queue"]),
        (&json!(1), &json!(0))
    );
    assert_eq!(
        (&queues["tasks_pending"], &queues["tasks_running"]),
        (&json!(1), &json!(0))
    );
    nexus.stop().await;
}

#[tokio::test]
async fn bad_submissions_are_told_and_nothing_is_kept() {
    let nexus = TestNexus::with_tasks().await;
    let with = |extra: Value| {
        let mut task = echo_task("x");
        task.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        task
    };
    let path = "/api/v1/tasks";
    for (body, words) in [
        (with(json!({ "priority": "urgent" })), "0 to 10"),
        (with(json!({ "priority": 11 })), "0 to 10"),
        (with(json!({ "timeout": -1 })), "timeout"),
        (with(json!({ "colour": "red" })), "unknown field `colour`"),
        (with(json!({ "parameters": [1] })), "no JSON object"),
        (with(json!({ "depends_on": ["nobody"] })), "neither a ref"),
        (
            with(json!({ "depends_on": ["0190aaaa-aaaa-7aaa-8aaa-aaaaaaaaaaaa"] })),
            "not known",
        ),
        (json!({ "tasks": 3 }), "tasks"),
        (
            json!({ "tasks": [echo_task("x"), with(json!({ "priority": "urgent" }))] }),
            "0 to 10",
        ),
        (
            json!({ "tasks": [with(json!({ "ref": "a", "depends_on": ["b"] })), with(json!({ "ref": "b", "depends_on": ["a"] }))] }),
            "circle",
        ),
    ] {
        nexus.post(path, &body).await.assert_problem(400, path, words);
    }
    assert_eq!(nexus.get("/api/v1/queues").await.body["tasks_pending"], 0);
    let map = json!({ "skill_name": "EchoSkill", "method_name": "echo", "items": "abc" });
    nexus
        .post("/api/v1/map", &map)
        .await
        .assert_problem(400, "/api/v1/map", "items");
    nexus.stop().await;
}

#[tokio::test]
async fn a_full_queue_is_429_with_a_time_to_come_back() {
    let directory = tempfile::tempdir().unwrap();
    let broker = venom_broker::Settings {
        max_waiting: 3,
        ..venom_broker::Settings::default()
    };
    let broker = crate::harness::sqlite_in(directory.path(), broker);
    let nexus = TestNexus::start_all(settings(), None, Some(broker)).await;
    let three = json!({ "tasks": [echo_task("1"), echo_task("2"), echo_task("3")] });
    assert_eq!(nexus.post("/api/v1/tasks", &three).await.status, 202);
    let full = nexus.post("/api/v1/tasks", &echo_task("4")).await;
    full.assert_problem(429, "/api/v1/tasks", "at most 3 may");
    assert_eq!(full.header("retry-after"), "1");
    assert_eq!(nexus.get("/api/v1/queues").await.body["tasks_pending"], 3);
    nexus.stop().await;
}

#[tokio::test]
async fn an_idempotency_key_is_one_task() {
    let nexus = TestNexus::with_tasks().await;
    let mut task = echo_task("once");
    task["idempotency_key"] = json!("order-7");
    let first = nexus.submit(task.clone()).await;
    let again = nexus.post("/api/v1/tasks", &task).await;
    assert_eq!(
        (again.status, &again.body),
        (202, &json!({ "task_id": first, "existing": true }))
    );
    task["parameters"] = json!({ "text": "other" });
    let other = nexus.post("/api/v1/tasks", &task).await;
    other.assert_problem(409, "/api/v1/tasks", "order-7");
    assert_eq!(nexus.get("/api/v1/queues").await.body["tasks_pending"], 1);
    nexus.stop().await;
}

#[tokio::test]
async fn tasks_that_are_not_there_are_404() {
    let nexus = TestNexus::with_tasks().await;
    for id in ["0190aaaa-aaaa-7aaa-8aaa-aaaaaaaaaaaa", "no-id"] {
        let path = format!("/api/v1/tasks/{id}");
        nexus.get(&path).await.assert_problem(404, &path, id);
        nexus.delete(&path).await.assert_problem(404, &path, id);
        let requeue = format!("{path}/requeue");
        nexus.post_empty(&requeue).await.assert_problem(404, &requeue, id);
        let stream = format!("{path}/events");
        nexus.get(&stream).await.assert_problem(404, &stream, id);
    }
    let bad = nexus.get("/api/v1/tasks?status=lost").await;
    bad.assert_problem(400, "/api/v1/tasks", "status is `lost`");
    let bad = nexus.get("/api/v1/tasks?limit=0").await;
    bad.assert_problem(400, "/api/v1/tasks", "limit");
    nexus.stop().await;
}

#[tokio::test]
async fn groups_are_limited_by_a_route() {
    let nexus = TestNexus::with_tasks().await;
    let path = "/api/v1/queues/groups/nightly";
    nexus
        .put(path, &json!({ "concurrency": 0 }))
        .await
        .assert_problem(400, path, "at least 1");
    nexus
        .put(path, &json!({ "rate": -1.0 }))
        .await
        .assert_problem(400, path, "over 0");
    assert_eq!(nexus.put(path, &json!({ "concurrency": 1 })).await.status, 200);
    let groups = nexus.get("/api/v1/queues").await.body["groups"].clone();
    assert_eq!(groups, json!([{ "name": "nightly", "concurrency": 1, "running": 0 }]));
    let mut spore = FakeSpore::v2(&nexus, &["EchoSkill"]).await;
    let mut task = echo_task("x");
    task["group"] = json!("nightly");
    let (first, second) = (nexus.submit(task.clone()).await, nexus.submit(task).await);
    let call = spore.expect("EXECUTE_SKILL").await;
    assert_eq!(nexus.get("/api/v1/queues").await.body["tasks_running"], 1);
    spore.respond(&call, json!(1)).await;
    let call = spore.expect("EXECUTE_SKILL").await;
    assert_eq!(call["task"]["task_id"], *second);
    nexus.task_in(&first, "completed").await;
    spore.respond(&call, json!(2)).await;
    nexus.task_in(&second, "completed").await;
    assert_eq!(nexus.delete(path).await.status, 200);
    assert_eq!(nexus.get("/api/v1/queues").await.body["groups"], json!([]));
    nexus.stop().await;
}

#[tokio::test]
async fn the_cache_is_read_and_written() {
    let nexus = TestNexus::with_tasks().await;
    let path = "/api/v1/cache/shared/a%2Fb";
    nexus.get(path).await.assert_problem(404, path, "no entry");
    assert_eq!(
        nexus.put(&format!("{path}?ttl=60"), &json!({ "n": 1 })).await.status,
        200
    );
    let entry = nexus.get(path).await.body;
    assert_eq!((&entry["key"], &entry["text"]), (&json!("a/b"), &json!("{\"n\":1}")));
    assert!((1..=60).contains(&entry["ttl"].as_u64().unwrap()), "{entry}");
    assert_eq!(nexus.get("/api/v1/cache/shared").await.body["keys"], json!(["a/b"]));
    assert_eq!(nexus.delete(path).await.body["existed"], true);
    assert_eq!(nexus.delete(path).await.body["existed"], false);
    nexus.stop().await;
}

#[tokio::test]
async fn the_cluster_is_shown_with_its_nodes() {
    let nexus = TestNexus::with_tasks().await;
    let mut spore = FakeSpore::v1(&nexus, &["EchoSkill"]).await;
    spore.heartbeat().await;
    let cluster = crate::harness::until("the heartbeat to count", async || {
        let body = nexus.get("/api/v1/cluster").await.body;
        (body["avg_cpu_usage"] == 0.25).then_some(body)
    })
    .await;
    assert_eq!(
        (&cluster["online_nodes"], &cluster["total_nodes"]),
        (&json!(1), &json!(1))
    );
    assert_eq!((&cluster["nexuses"], &cluster["broker"]), (&json!(1), &json!("sqlite")));
    assert_eq!(cluster["nodes"][0]["node_id"], *spore.node_id);
    nexus.stop().await;
}

#[tokio::test]
async fn a_broadcast_needs_an_admin_and_reaches_v2_spores_only() {
    let mut with_admin = settings();
    let admin = venom_nexus::TokenRecord::of("root", venom_nexus::Scope::Admin, "admin-token");
    with_admin.operator_tokens.push(admin);
    let nexus = TestNexus::with_tasks_and(with_admin).await;
    let mut spore = FakeSpore::v2(&nexus, &["EchoSkill"]).await;
    let mut old = FakeSpore::v1(&nexus, &["EchoSkill"]).await;
    let path = "/api/v1/cluster/broadcast";
    let status = json!({ "command": "STATUS", "data": { "why": "test" } });
    nexus.post(path, &status).await.assert_problem(403, path, "admin");
    let post = |body: &Value| {
        let request = nexus.http.post(nexus.url(path)).bearer_auth("admin-token").json(body);
        crate::harness::Answer::of(request)
    };
    post(&json!({ "command": "DANCE" }))
        .await
        .assert_problem(400, path, "UPDATE_SYSTEM");
    for command in ["STATUS", "SHUTDOWN"] {
        assert_eq!(
            post(&json!({ "command": command, "data": { "why": "test" } }))
                .await
                .status,
            202
        );
        let heard = spore.expect("BROADCAST").await;
        assert_eq!(
            (&heard["command"], &heard["data"]["why"]),
            (&json!(command), &json!("test"))
        );
    }
    // the next frame of the old one is its call: it was told nothing
    let id = nexus
        .submit(json!({ "skill_name": "EchoSkill", "method_name": "echo", "requirements": { "node_id": old.node_id } }))
        .await;
    let call = old.expect("EXECUTE_SKILL").await;
    assert!(call.get("task").is_none(), "{call}");
    old.respond(&call, json!("old")).await;
    nexus.task_in(&id, "completed").await;
    nexus.stop().await;
}
