//! Calls over the link: answered, bounded, cancelled, watched.

use std::sync::Arc;

use serde_json::{Value, json, value::RawValue};
use tokio::sync::Semaphore;
use venom_protocol::{ProgressUpdate, RequestId};

use crate::nexus::FakeNexus;

fn raw(text: &str) -> Box<RawValue> {
    RawValue::from_string(text.to_owned()).expect("json")
}

#[tokio::test]
async fn a_call_is_answered_with_its_result() {
    let nexus = FakeNexus::start().await;
    let (handle, mut peer) = nexus.take(nexus.spore()).await;
    let request_id = peer
        .execute(&handle, "echo", json!({"text": "hi", "n": 9_007_199_254_740_993_u64}))
        .await;
    let response = peer.response(request_id).await;
    assert_eq!(response["success"], true);
    assert_eq!(
        response["result"],
        json!({"text": "hi", "n": 9_007_199_254_740_993_u64})
    );
    assert_eq!(response["error"], Value::Null);
    assert_eq!(response["node_id"], json!(handle.node_id()));
    assert!(
        response["execution_time"]
            .as_f64()
            .is_some_and(|seconds| seconds >= 0.0)
    );
}

#[tokio::test]
async fn an_unknown_skill_is_a_failed_call_with_a_code() {
    let nexus = FakeNexus::start().await;
    let (handle, mut peer) = nexus.take(nexus.spore().skills(&["Other"])).await;
    let request_id = peer.execute(&handle, "echo", json!({})).await;
    let response = peer.response(request_id).await;
    assert_eq!(response["success"], false);
    assert_eq!(response["error_code"], "unknown_skill");
    assert!(
        response["error"].as_str().is_some_and(|text| text.contains("Other")),
        "{response}"
    );
}

#[tokio::test]
async fn a_thousand_calls_at_once_are_all_answered() {
    let nexus = FakeNexus::start().await;
    let (handle, mut peer) = nexus.take(nexus.spore()).await;
    let mut open = std::collections::HashSet::new();
    for number in 0..1_000 {
        open.insert(json!(peer.execute(&handle, "echo", json!({"number": number})).await));
    }
    while !open.is_empty() {
        let response = peer.next_of("RESPONSE").await;
        assert_eq!(response["success"], true, "{response}");
        assert!(open.remove(&response["request_id"]), "answered twice: {response}");
    }
}

#[tokio::test]
async fn beyond_concurrency_and_queue_a_call_is_refused_as_busy() {
    let nexus = FakeNexus::start().await;
    let gate = Arc::new(Semaphore::new(0));
    let running = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let (opened, counted) = (Arc::clone(&gate), Arc::clone(&running));
    let spore = nexus
        .spore()
        .with(|settings| (settings.concurrency, settings.queue) = (2, 1))
        .answer(move |_, call| {
            let (gate, running) = (Arc::clone(&opened), Arc::clone(&counted));
            Box::pin(async move {
                let now = running.fetch_add(1, std::sync::atomic::Ordering::SeqCst) + 1;
                assert!(now <= 2, "{now} at one time");
                gate.acquire().await.expect("open").forget();
                running.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
                Ok(call.params)
            })
        });
    let (handle, mut peer) = nexus.take(spore).await;
    let mut taken = Vec::new();
    for _ in 0..3 {
        taken.push(json!(peer.execute(&handle, "echo", json!({})).await));
    }
    let fourth = peer.execute(&handle, "echo", json!({})).await;
    let busy = peer.response(fourth).await;
    assert_eq!(busy["error_code"], "busy", "{busy}");
    gate.add_permits(3);
    for _ in 0..3 {
        let response = peer.next_of("RESPONSE").await;
        assert_eq!(response["success"], true, "{response}");
        assert!(taken.contains(&response["request_id"]));
    }
    let fifth = peer.execute(&handle, "echo", json!({})).await;
    gate.add_permits(1);
    assert_eq!(peer.response(fifth).await["success"], true, "there is room again");
}

#[tokio::test]
async fn waiting_for_a_slot_counts_against_the_timeout() {
    let nexus = FakeNexus::start().await;
    let spore = nexus
        .spore()
        .with(|settings| settings.concurrency = 1)
        .answer(|_, _| Box::pin(std::future::pending()));
    let (handle, mut peer) = nexus.take(spore).await;
    peer.execute(&handle, "block", json!({})).await;
    let waits = peer.execute_within(&handle, "wait", json!({}), 0.05).await;
    let response = peer.response(waits).await;
    assert_eq!(response["error_code"], "timed_out");
    assert!(
        response["error"]
            .as_str()
            .is_some_and(|text| text.contains("no free slot")),
        "{response}"
    );
}

#[tokio::test]
async fn a_cancelled_call_ends_and_says_so() {
    let nexus = FakeNexus::start().await;
    let spore = nexus
        .spore()
        .with(|settings| settings.concurrency = 1)
        .answer(|_, _| Box::pin(std::future::pending()));
    let (handle, mut peer) = nexus.take(spore).await;
    let runs = peer.execute(&handle, "runs", json!({})).await;
    let waits = peer.execute(&handle, "waits", json!({})).await;
    for request_id in [waits, runs] {
        peer.send(
            "CANCEL",
            json!({"request_id": request_id, "reason": "caller went away"}),
        )
        .await;
        assert_eq!(peer.response(request_id).await["error_code"], "cancelled");
    }
    peer.send("CANCEL", json!({"request_id": RequestId::random()})).await;
    let next = peer.execute_within(&handle, "next", json!({}), 0.05).await;
    assert_eq!(
        peer.response(next).await["error_code"],
        "timed_out",
        "its slot was free: it ran"
    );
}

#[tokio::test]
async fn the_same_request_twice_runs_once() {
    let nexus = FakeNexus::start().await;
    let gate = Arc::new(Semaphore::new(0));
    let opened = Arc::clone(&gate);
    let spore = nexus.spore().answer(move |_, call| {
        let gate = Arc::clone(&opened);
        Box::pin(async move {
            gate.acquire().await.expect("open").forget();
            Ok(call.params)
        })
    });
    let (handle, mut peer) = nexus.take(spore).await;
    let request_id = peer.execute(&handle, "echo", json!({"first": true})).await;
    peer.execute_as(request_id, &handle, "echo", json!({"first": false}), 30.0)
        .await;
    let error = peer.next_of("ERROR").await;
    assert!(
        error["error"]
            .as_str()
            .is_some_and(|text| text.contains(&request_id.to_string())),
        "{error}"
    );
    gate.add_permits(2);
    assert_eq!(peer.response(request_id).await["result"], json!({"first": true}));
    let ((), rest) = tokio::join!(handle.stop(), peer.rest());
    assert!(rest.iter().all(|(kind, _)| kind != "RESPONSE"), "{rest:?}");
}

#[tokio::test]
async fn a_timeout_that_cannot_be_kept_is_refused_and_a_huge_one_is_not() {
    let nexus = FakeNexus::start().await;
    let (handle, mut peer) = nexus.take(nexus.spore()).await;
    for timeout in [0.0, -1.0] {
        peer.execute_within(&handle, "echo", json!({}), timeout).await;
        let error = peer.next_of("ERROR").await;
        assert!(
            error["error"].as_str().is_some_and(|text| text.contains("timeout")),
            "{error}"
        );
    }
    let request_id = peer.execute_within(&handle, "echo", json!({}), 1e300).await;
    assert_eq!(peer.response(request_id).await["success"], true);
}

#[tokio::test]
async fn a_result_too_large_for_a_frame_is_a_clear_error() {
    let nexus = FakeNexus::start().await;
    let spore = nexus.spore().answer(|_, _| {
        let text = format!("\"{}\"", "x".repeat(venom_protocol::MAX_FRAME_BYTES));
        Box::pin(std::future::ready(Ok(raw(&text))))
    });
    let (handle, mut peer) = nexus.take(spore).await;
    let request_id = peer.execute(&handle, "flood", json!({})).await;
    let response = peer.response(request_id).await;
    assert_eq!(response["error_code"], "limit_exceeded");
    assert!(
        response["error"]
            .as_str()
            .is_some_and(|text| text.contains("EchoSkill.flood")),
        "{response}"
    );
}

#[tokio::test]
async fn a_skill_host_that_panics_fails_its_call_and_nothing_else() {
    let nexus = FakeNexus::start().await;
    let spore = nexus.spore().answer(|_, call| {
        assert_ne!(call.method, "panic", "on purpose");
        Box::pin(std::future::ready(Ok(call.params)))
    });
    let (handle, mut peer) = nexus.take(spore).await;
    let broken = peer.execute(&handle, "panic", json!({})).await;
    assert_eq!(peer.response(broken).await["success"], false);
    let next = peer.execute(&handle, "echo", json!({})).await;
    assert_eq!(peer.response(next).await["success"], true);
}

#[tokio::test]
async fn progress_comes_in_order_and_before_the_answer() {
    let nexus = FakeNexus::start().await;
    let spore = nexus.spore().answer(|_, call| {
        Box::pin(async move {
            let progress = call.progress.expect("protocol 2 is watched");
            for done in 1..=3 {
                let report = ProgressUpdate::Report {
                    done,
                    total: 3,
                    note: String::new(),
                };
                progress.send(report).await.expect("passed on");
            }
            Ok(raw("null"))
        })
    });
    let (handle, mut peer) = nexus.take(spore).await;
    let request_id = peer.execute(&handle, "work", json!({})).await;
    for done in 1..=3 {
        let progress = peer.next_of("PROGRESS").await;
        assert_eq!(progress["request_id"], json!(request_id));
        assert_eq!(progress["done"], done);
    }
    assert_eq!(peer.response(request_id).await["success"], true);
}

#[tokio::test]
async fn two_ends_that_only_write_do_not_wait_for_each_other() {
    let nexus = FakeNexus::start().await;
    let (handle, mut peer) = nexus.take(nexus.spore()).await;
    let bulk = "x".repeat(512 * 1024);
    let mut open = Vec::new();
    for _ in 0..48 {
        open.push(json!(peer.execute(&handle, "echo", json!({"bulk": bulk})).await));
    }
    for _ in 0..48 {
        let response = peer.next_of("RESPONSE").await;
        assert!(open.contains(&response["request_id"]));
        assert_eq!(
            response["result"]["bulk"].as_str().map(str::len),
            Some(bulk.len()),
            "{}",
            response["error"]
        );
    }
}
