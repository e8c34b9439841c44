//! Questions of skills: asked over the link, answered, refused, lost; and what a call that waits leaves to others.

use std::time::Duration;

use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Value, json};
use venom_protocol::{CallError, ErrorCode, RequestId, TaskId};
use venom_runtime::{BackendError, Backends, CacheNamespace, Call, HiveCaller, HiveRequest};
use venom_spore::sim::SimHandle;
use venom_spore::sim::SimSpore;
use venom_spore::{Attached, link_backends};

use crate::nexus::{DEADLINE, FakeNexus, Peer, soon};

fn caller(call: &Call) -> HiveCaller {
    HiveCaller {
        skill: "EchoSkill".to_owned(),
        request_id: call.request_id,
        task_id: call.task_id.clone(),
        depth: call.depth + 1,
        traceparent: None,
    }
}

fn request() -> HiveRequest {
    HiveRequest {
        skill: "EchoSkill".to_owned(),
        method: "say".to_owned(),
        params: "{\"text\":\"x\"}".to_owned(),
        priority: "high_priority".to_owned(),
        timeout: Some(Duration::from_millis(1_500)),
    }
}

/// Calls whose method is a question ask it and answer what came back.
async fn asked(backends: &Backends, call: &Call) -> Result<Value, BackendError> {
    let (hive, cache, caller) = (&backends.hive, &backends.cache, caller(call));
    let space = CacheNamespace {
        name: "skill:EchoSkill".to_owned(),
        quota: 1_000,
    };
    let params: Value = serde_json::from_str(call.params.get()).expect("json");
    let ids = || vec![params["id"].as_str().unwrap_or("t").to_owned()];
    let seen =
        |outcome: venom_runtime::HiveOutcome| json!([outcome.task_id, outcome.status, outcome.value, outcome.reason]);
    Ok(match call.method.as_str() {
        "submit" => json!(hive.submit(&caller, vec![request(), request()]).await?),
        "await" => {
            let wait = Duration::from_secs_f64(params["wait"].as_f64().unwrap_or(60.0));
            let outcomes = hive.await_tasks(&caller, ids(), wait).await?;
            outcomes.into_iter().map(seen).collect()
        }
        "status" => seen(hive.status(&caller, "t".to_owned()).await?),
        "get" => json!(cache.get(&caller, &space, "k").await?),
        "set" => json!(
            cache
                .set(&caller, &space, "k", vec![0, 255, 7], Duration::from_secs(2))
                .await?
        ),
        "set_huge" => {
            let value = vec![0; venom_protocol::MAX_FRAME_BYTES];
            json!(cache.set(&caller, &space, "k", value, Duration::from_secs(2)).await?)
        }
        "delete" => json!(cache.delete(&caller, &space, "k").await?),
        "ttl" => json!(cache.ttl(&caller, &space, "k").await?.map(|left| left.as_millis())),
        "about" => json!([call.task_id, call.attempt, call.depth, call.request_id]),
        _ => params,
    })
}

fn asking(spore: SimSpore) -> SimSpore {
    let (backends, port) = link_backends();
    let attached = Attached {
        port,
        ..Attached::default()
    };
    spore.attached(attached).answer(move |_, call| {
        let backends = backends.clone();
        Box::pin(async move {
            let answer = asked(&backends, &call).await;
            let text = |value: Value| -> Box<RawValue> { to_raw_value(&value).expect("json") };
            answer
                .map(text)
                .map_err(|error| CallError::new(ErrorCode::Unavailable, format!("{error:?}")))
        })
    })
}

async fn start(nexus: &FakeNexus) -> (SimHandle, Peer) {
    nexus.take(asking(nexus.spore())).await
}

async fn reply(peer: &mut Peer, ask: &Value, reply: Value) {
    peer.send("HIVE_ANSWER", json!({"ask_id": ask["ask_id"], "reply": reply}))
        .await;
}

fn completed(id: &str) -> Value {
    json!({"kind": "outcomes", "outcomes": [{"task_id": id, "status": "completed", "value": "7"}]})
}

#[tokio::test]
async fn every_question_is_asked_in_the_words_of_the_protocol_and_its_answer_comes_back() {
    let nexus = FakeNexus::start().await;
    let (handle, mut peer) = start(&nexus).await;
    let (first, second) = (TaskId::next(), TaskId::next());
    let task = json!({"skill": "EchoSkill", "method": "say", "params": "{\"text\":\"x\"}", "priority": "high_priority", "timeout": 1.5});
    let at = |question: Value| {
        let mut question = question;
        question["namespace"] = json!("skill:EchoSkill");
        question["key"] = json!("k");
        question
    };
    let cases = [
        (
            "submit",
            json!({"kind": "submit", "tasks": [task, task]}),
            json!({"kind": "submitted", "task_ids": [first, second]}),
            json!([first, second]),
        ),
        (
            "await",
            json!({"kind": "await", "task_ids": ["t"], "timeout": 60.0}),
            completed("t"),
            json!([["t", "completed", "7", null]]),
        ),
        (
            "status",
            json!({"kind": "status", "task_id": "t"}),
            json!({"kind": "outcomes", "outcomes": [{"task_id": "t", "status": "blocked"}]}),
            json!(["t", "pending", null, null]),
        ),
        (
            "get",
            at(json!({"kind": "cache_get"})),
            json!({"kind": "value", "value": "AP8H"}),
            json!([0, 255, 7]),
        ),
        (
            "get",
            at(json!({"kind": "cache_get"})),
            json!({"kind": "value", "value": null}),
            Value::Null,
        ),
        (
            "set",
            at(json!({"kind": "cache_set", "quota": 1_000, "value": "AP8H", "ttl_ms": 2_000})),
            json!({"kind": "done", "existed": true}),
            Value::Null,
        ),
        (
            "delete",
            at(json!({"kind": "cache_delete"})),
            json!({"kind": "done", "existed": false}),
            json!(false),
        ),
        (
            "ttl",
            at(json!({"kind": "cache_ttl"})),
            json!({"kind": "ttl", "left_ms": 1_999}),
            json!(1_999),
        ),
    ];
    let mut ids = std::collections::HashSet::new();
    for (method, question, answer, expected) in cases {
        let request_id = peer.execute(&handle, method, json!({})).await;
        let ask = peer.next_of("HIVE_ASK").await;
        assert_eq!(ask["question"], question);
        assert_eq!(
            (&ask["request_id"], &ask["skill"]),
            (&json!(request_id), &json!("EchoSkill"))
        );
        assert!(ids.insert(ask["ask_id"].as_u64().expect("a number")), "{ask}");
        reply(&mut peer, &ask, answer).await;
        let response = peer.response(request_id).await;
        assert_eq!(response["result"], expected, "{method}: {response}");
    }
}

#[tokio::test]
async fn a_refusal_keeps_its_kind_and_its_reason() {
    let nexus = FakeNexus::start().await;
    let (handle, mut peer) = start(&nexus).await;
    for (refusal, kind) in [
        ("unavailable", "Unavailable"),
        ("not_found", "NotFound"),
        ("limit", "Limit"),
        ("invalid", "Invalid"),
    ] {
        for method in ["submit", "await", "status", "get"] {
            let request_id = peer.execute(&handle, method, json!({})).await;
            let ask = peer.next_of("HIVE_ASK").await;
            reply(
                &mut peer,
                &ask,
                json!({"kind": "refused", "refusal": refusal, "reason": "because"}),
            )
            .await;
            assert_eq!(peer.response(request_id).await["error"], format!("{kind}(\"because\")"));
        }
    }
}

#[tokio::test]
async fn an_answer_that_does_not_fit_the_question_is_an_error() {
    let nexus = FakeNexus::start().await;
    let (handle, mut peer) = start(&nexus).await;
    let wrong = [
        ("submit", json!({"kind": "submitted", "task_ids": [TaskId::next()]})),
        ("await", json!({"kind": "outcomes", "outcomes": []})),
        ("status", json!({"kind": "done", "existed": true})),
        ("get", json!({"kind": "value", "value": "no base64!"})),
        ("ttl", json!({"kind": "value", "value": null})),
    ];
    for (method, answer) in wrong {
        let request_id = peer.execute(&handle, method, json!({})).await;
        let ask = peer.next_of("HIVE_ASK").await;
        reply(&mut peer, &ask, answer).await;
        let error = peer.response(request_id).await["error"].to_string();
        assert!(error.contains("another question"), "{method}: {error}");
    }
}

#[tokio::test]
async fn answers_may_come_in_any_order_and_those_nobody_waits_for_are_ignored() {
    let nexus = FakeNexus::start().await;
    let (handle, mut peer) = start(&nexus).await;
    let mut open = Vec::new();
    for number in 0..20 {
        let id = format!("t{number}");
        let request_id = peer.execute(&handle, "await", json!({"id": id})).await;
        open.push((request_id, peer.next_of("HIVE_ASK").await, id));
    }
    reply(&mut peer, &json!({"ask_id": 1_000_000}), completed("x")).await;
    for (request_id, ask, id) in open.into_iter().rev() {
        reply(&mut peer, &ask, completed(&id)).await;
        reply(&mut peer, &ask, completed("a second answer")).await;
        assert_eq!(peer.response(request_id).await["result"][0][0], json!(id));
    }
}

#[tokio::test]
async fn a_question_too_large_for_a_frame_is_refused_here() {
    let nexus = FakeNexus::start().await;
    let (handle, mut peer) = start(&nexus).await;
    let request_id = peer.execute(&handle, "set_huge", json!({})).await;
    let error = peer.response(request_id).await["error"].to_string();
    assert!(error.contains("Limit(") && error.contains("frame"), "{error}");
}

#[tokio::test]
async fn while_a_call_waits_for_tasks_another_runs_in_its_slot_and_heartbeats_say_so() {
    let nexus = FakeNexus::start().await;
    let spore = asking(nexus.spore()).with(|settings| {
        (settings.concurrency, settings.queue) = (1, 0);
        settings.heartbeat_interval = Duration::from_millis(20);
    });
    let (handle, mut peer) = nexus.take(spore).await;
    let parent = peer.execute(&handle, "await", json!({})).await;
    let ask = peer.next_of("HIVE_ASK").await;
    let beat = peer.next_of("HEARTBEAT").await;
    assert_eq!(
        (&beat["credits"], &beat["active_tasks"]),
        (&json!(1), &json!(1)),
        "{beat}"
    );
    // the child waits too, and so on: a chain of any length runs in one slot
    let child = peer.execute(&handle, "await", json!({"id": "grandchild"})).await;
    let second = peer.next_of("HIVE_ASK").await;
    let grandchild = peer.execute(&handle, "echo", json!({"n": 1})).await;
    assert_eq!(peer.response(grandchild).await["result"], json!({"n": 1}));
    reply(&mut peer, &second, completed("grandchild")).await;
    assert_eq!(peer.response(child).await["success"], true);
    reply(&mut peer, &ask, completed("t")).await;
    assert_eq!(peer.response(parent).await["success"], true);
    soon("all credits", async {
        while peer.next_of("HEARTBEAT").await["active_tasks"] != 0 {}
    })
    .await;
    assert_eq!(
        peer.next_of("HEARTBEAT").await["credits"],
        1,
        "as many as before, and no more"
    );
}

#[tokio::test]
async fn a_call_cancelled_while_it_waits_takes_its_slot_with_it() {
    let nexus = FakeNexus::start().await;
    let spore = asking(nexus.spore()).with(|settings| {
        (settings.concurrency, settings.queue) = (1, 0);
        settings.heartbeat_interval = Duration::from_millis(20);
    });
    let (handle, mut peer) = nexus.take(spore).await;
    for _ in 0..5 {
        let waits = peer.execute(&handle, "await", json!({})).await;
        let ask = peer.next_of("HIVE_ASK").await;
        peer.send("CANCEL", json!({"request_id": waits})).await;
        assert_eq!(peer.response(waits).await["error_code"], "cancelled");
        reply(&mut peer, &ask, completed("t")).await;
    }
    let beat = peer.next_of("HEARTBEAT").await;
    assert_eq!(
        (&beat["credits"], &beat["active_tasks"]),
        (&json!(1), &json!(0)),
        "{beat}"
    );
}

#[tokio::test]
async fn a_link_lost_before_the_answer_ends_the_question_and_the_next_link_answers_new_ones() {
    let nexus = FakeNexus::start().await;
    let (backends, port) = link_backends();
    let attached = Attached {
        port,
        ..Attached::default()
    };
    let (handle, mut peer) = nexus.take(nexus.spore().attached(attached)).await;
    // asked beside any call, as a call ends with its link
    let somebody = HiveCaller {
        skill: "EchoSkill".to_owned(),
        request_id: RequestId::random(),
        task_id: String::new(),
        depth: 1,
        traceparent: None,
    };
    let waiting = backends.hive.await_tasks(&somebody, vec!["t".to_owned()], DEADLINE);
    let losing = async {
        peer.next_of("HIVE_ASK").await;
        drop(peer);
    };
    let (lost, ()) = soon("the end of the question", async { tokio::join!(waiting, losing) }).await;
    assert!(
        matches!(&lost, Err(BackendError::Unavailable(text)) if text.contains("link") && text.contains("broke")),
        "{lost:?}"
    );
    let away = backends.hive.status(&somebody, "t".to_owned()).await;
    assert!(
        matches!(&away, Err(BackendError::Unavailable(text)) if text.contains("no link")),
        "{away:?}"
    );
    let (mut peer, _) = nexus.accept().await;
    peer.welcome(60.0).await;
    let echo = peer.execute(&handle, "echo", json!({})).await;
    peer.response(echo).await;
    let asking = backends.hive.status(&somebody, "t".to_owned());
    let answering = async {
        let ask = peer.next_of("HIVE_ASK").await;
        reply(&mut peer, &ask, completed("t")).await;
    };
    let (answer, ()) = tokio::join!(asking, answering);
    assert_eq!(answer.expect("answered").status, "completed");
}

#[tokio::test]
async fn a_nexus_of_protocol_1_is_asked_nothing() {
    let nexus = FakeNexus::start().await;
    let node_id = venom_protocol::NodeId::random();
    let spore = asking(nexus.spore()).with(|settings| settings.node_id = node_id);
    let connecting = spore.connect(DEADLINE);
    let serving = async {
        let (mut peer, _) = nexus.accept().await;
        let request_id = RequestId::random();
        let call = json!({
            "request_id": request_id, "node_id": node_id, "skill_name": "EchoSkill",
            "method_name": "submit", "parameters": {}, "timeout": 30,
        });
        peer.send("EXECUTE_SKILL", call).await;
        let error = peer.response(request_id).await["error"].to_string();
        assert!(error.contains("protocol 1"), "{error}");
        peer
    };
    let (handle, _peer) = tokio::join!(connecting, serving);
    handle.expect("taken");
}

#[tokio::test]
async fn a_task_is_known_to_its_skill_by_its_own_id_attempt_and_depth() {
    let nexus = FakeNexus::start().await;
    let (handle, mut peer) = start(&nexus).await;
    let (request_id, task_id) = (RequestId::random(), TaskId::next());
    let run = json!({
        "request_id": request_id, "node_id": handle.node_id(), "skill_name": "EchoSkill",
        "method_name": "about", "parameters": {}, "timeout": 30,
        "task": {"task_id": task_id, "attempt": 3, "depth": 2},
    });
    peer.send("EXECUTE_SKILL", run).await;
    assert_eq!(
        peer.response(request_id).await["result"],
        json!([task_id, 3, 2, request_id])
    );
    let plain = peer.execute(&handle, "about", json!({})).await;
    assert_eq!(peer.response(plain).await["result"], json!([plain, 1, 0, plain]));
}
