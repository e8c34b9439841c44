//! What running skills ask over their link: tasks for others, the shared cache; and what they may not.

use serde_json::{Value, json};

use crate::harness::{FakeSpore, TestNexus, echo_task, settings};

async fn ask(spore: &mut FakeSpore, number: u64, call: &Value, question: Value) {
    let ask = json!({ "ask_id": number, "request_id": call["request_id"], "skill": call["skill_name"], "question": question });
    spore.say("HIVE_ASK", ask).await;
}

async fn answered(spore: &mut FakeSpore, number: u64, call: &Value, question: Value) -> Value {
    ask(spore, number, call, question).await;
    let answer = spore.expect("HIVE_ANSWER").await;
    assert_eq!(answer["ask_id"], number);
    answer["reply"].clone()
}

fn submission(skills: &[&str]) -> Value {
    let task = |skill: &&str| json!({ "skill": skill, "method": "echo", "params": "{\"n\":1}" });
    json!({ "kind": "submit", "tasks": skills.iter().map(task).collect::<Vec<_>>() })
}

/// A spore with room for one call, and a running task of `ParallelSkill` on it.
async fn running(nexus: &TestNexus) -> (FakeSpore, Value, String) {
    let mut spore = FakeSpore::connect(nexus).await;
    let mut handshake = spore.handshake(&["ParallelSkill", "EchoSkill"], &[]);
    handshake["protocol"] = json!(2);
    handshake["concurrency"] = json!(1);
    spore.say("HANDSHAKE", handshake).await;
    spore.expect("WELCOME").await;
    let id = nexus
        .submit(json!({ "skill_name": "ParallelSkill", "method_name": "map_reduce" }))
        .await;
    let call = spore.expect("EXECUTE_SKILL").await;
    (spore, call, id)
}

#[tokio::test]
async fn a_skill_submits_waits_and_lends_its_place_meanwhile() {
    let nexus = TestNexus::with_tasks().await;
    let (mut spore, parent, id) = running(&nexus).await;
    let reply = answered(&mut spore, 1, &parent, submission(&["EchoSkill"])).await;
    assert_eq!(reply["kind"], "submitted");
    let child = reply["task_ids"][0].as_str().unwrap().to_owned();
    let status = json!({ "kind": "status", "task_id": child });
    let reply = answered(&mut spore, 2, &parent, status).await;
    assert_eq!(reply["outcomes"][0]["status"], "pending", "the only place is taken");
    let waiting = json!({ "kind": "await", "task_ids": [child], "timeout": 20.0 });
    ask(&mut spore, 3, &parent, waiting).await;
    let call = spore.expect("EXECUTE_SKILL").await;
    assert_eq!(call["task"], json!({ "task_id": child, "attempt": 1, "depth": 1 }));
    spore.respond(&call, json!("child")).await;
    let answer = spore.expect("HIVE_ANSWER").await;
    let outcome = json!({ "task_id": child, "status": "completed", "value": "\"child\"" });
    assert_eq!(
        (&answer["ask_id"], &answer["reply"]["outcomes"]),
        (&json!(3), &json!([outcome]))
    );
    spore.respond(&parent, json!("done")).await;
    nexus.task_in(&id, "completed").await;
    nexus.stop().await;
}

#[tokio::test]
async fn a_skill_sees_only_its_own_tasks() {
    let nexus = TestNexus::with_tasks().await;
    let (mut spore, parent, id) = running(&nexus).await;
    let foreign = nexus.submit(echo_task("secret")).await;
    for task in [
        foreign.as_str(),
        id.as_str(),
        "0190aaaa-aaaa-7aaa-8aaa-aaaaaaaaaaaa",
        "x",
    ] {
        let reply = answered(&mut spore, 1, &parent, json!({ "kind": "status", "task_id": task })).await;
        assert_eq!(
            (&reply["kind"], &reply["refusal"]),
            (&json!("refused"), &json!("not_found")),
            "{reply}"
        );
    }
    nexus.stop().await;
}

#[tokio::test]
async fn depth_and_number_are_bounded() {
    let mut tight = settings();
    tight.hive.max_depth = 1;
    tight.hive.max_children = 2;
    let nexus = TestNexus::with_tasks_and(tight).await;
    let (mut spore, parent, _) = running(&nexus).await;
    let reply = answered(
        &mut spore,
        1,
        &parent,
        submission(&["EchoSkill", "EchoSkill", "EchoSkill"]),
    )
    .await;
    assert_eq!(
        (&reply["kind"], &reply["refusal"]),
        (&json!("refused"), &json!("limit"))
    );
    assert!(reply["reason"].as_str().unwrap().contains("submit 2 tasks"), "{reply}");
    let reply = answered(&mut spore, 2, &parent, submission(&["EchoSkill"])).await;
    let child = reply["task_ids"][0].clone();
    ask(
        &mut spore,
        3,
        &parent,
        json!({ "kind": "await", "task_ids": [child], "timeout": 20.0 }),
    )
    .await;
    let child = spore.expect("EXECUTE_SKILL").await;
    let reply = answered(&mut spore, 4, &child, submission(&["EchoSkill"])).await;
    assert!(reply["reason"].as_str().unwrap().contains("1 deep"), "{reply}");
    nexus.stop().await;
}

#[tokio::test]
async fn only_a_call_that_runs_there_may_ask() {
    let nexus = TestNexus::with_tasks().await;
    let (mut spore, parent, _) = running(&nexus).await;
    let mut other = FakeSpore::v2(&nexus, &["ParallelSkill"]).await;
    let reply = answered(&mut other, 1, &parent, submission(&["EchoSkill"])).await;
    assert_eq!(
        (&reply["kind"], &reply["refusal"]),
        (&json!("refused"), &json!("invalid"))
    );
    let mut posing = parent.clone();
    posing["skill_name"] = json!("AdminSkill");
    let reply = answered(&mut spore, 2, &posing, submission(&["EchoSkill"])).await;
    assert_eq!(reply["refusal"], "invalid");
    assert_eq!(nexus.get("/api/v1/queues").await.body["tasks_pending"], 0);
    nexus.stop().await;
}

#[tokio::test]
async fn the_cache_is_shared_by_the_spores_and_has_its_quota() {
    let nexus = TestNexus::with_tasks().await;
    let (mut spore, parent, _) = running(&nexus).await;
    let set = |value: &str| json!({ "kind": "cache_set", "namespace": "ParallelSkill", "key": "k", "quota": 100, "value": value, "ttl_ms": 60_000 });
    assert_eq!(answered(&mut spore, 1, &parent, set("aGk=")).await["kind"], "done");
    let big = answered(&mut spore, 2, &parent, set(&"AAAA".repeat(40))).await;
    assert_eq!(
        (&big["refusal"], big["reason"].as_str().unwrap().contains("100 bytes")),
        (&json!("limit"), true)
    );

    let mut other = FakeSpore::v2(&nexus, &["OtherSkill"]).await;
    nexus
        .submit(json!({ "skill_name": "OtherSkill", "method_name": "x" }))
        .await;
    let call = other.expect("EXECUTE_SKILL").await;
    let at = |kind: &str| json!({ "kind": kind, "namespace": "ParallelSkill", "key": "k" });
    assert_eq!(answered(&mut other, 1, &call, at("cache_get")).await["value"], "aGk=");
    let left = answered(&mut other, 2, &call, at("cache_ttl")).await["left_ms"]
        .as_u64()
        .unwrap();
    assert!((1..=60_000).contains(&left), "{left}");
    assert_eq!(
        answered(&mut other, 3, &call, at("cache_delete")).await["existed"],
        true
    );
    assert_eq!(
        answered(&mut other, 4, &call, at("cache_get")).await["value"],
        Value::Null
    );
    nexus.stop().await;
}

#[tokio::test]
async fn without_a_broker_a_question_is_refused_with_the_reason() {
    let nexus = TestNexus::start().await;
    let mut spore = FakeSpore::v2(&nexus, &["EchoSkill"]).await;
    let call = json!({ "request_id": crate::harness::new_id(), "skill_name": "EchoSkill" });
    let reply = answered(&mut spore, 1, &call, submission(&["EchoSkill"])).await;
    assert!(reply["reason"].as_str().unwrap().contains("ENABLE_HIVE"), "{reply}");
    nexus.stop().await;
}
