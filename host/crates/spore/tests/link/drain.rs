//! Ending in good order.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::sync::Semaphore;

use crate::nexus::{FakeNexus, soon};

#[tokio::test]
async fn a_drain_lets_running_calls_finish_and_takes_no_new_ones() {
    let nexus = FakeNexus::start().await;
    let (gate, started) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let (opened, begun) = (Arc::clone(&gate), Arc::clone(&started));
    let spore = nexus.spore().answer(move |_, call| {
        let gate = Arc::clone(&opened);
        begun.add_permits(1);
        Box::pin(async move {
            gate.acquire().await.expect("open").forget();
            Ok(call.params)
        })
    });
    let (handle, mut peer) = nexus.take(spore).await;
    let running = peer.execute(&handle, "echo", json!({"kept": true})).await;
    let node = handle.node_id();
    soon("the call", started.acquire()).await.expect("open").forget();
    handle.drain();
    let status = peer.next_of("STATUS").await;
    assert_eq!(status["draining"], true);
    assert_eq!(status["node_id"], json!(node));
    let late = peer.execute(&handle, "echo", json!({})).await;
    assert_eq!(peer.response(late).await["error_code"], "draining");
    gate.add_permits(1);
    assert_eq!(peer.response(running).await["result"], json!({"kept": true}));
    assert_eq!(peer.next_of("DISCONNECT").await["reason"], "drained");
    let ((), code) = tokio::join!(soon("the end", handle.stop()), peer.close_code());
    assert_eq!(code, 1000);
}

#[tokio::test]
async fn calls_that_run_over_the_drain_deadline_are_cancelled_and_answered() {
    let nexus = FakeNexus::start().await;
    let spore = nexus
        .spore()
        .with(|settings| settings.drain_timeout = Duration::from_millis(50))
        .answer(|_, _| Box::pin(std::future::pending()));
    let (handle, mut peer) = nexus.take(spore).await;
    let request_id = peer.execute(&handle, "hang", json!({})).await;
    let started = peer.execute_within(&handle, "hang", json!({}), 0.01).await;
    peer.response(started).await;
    handle.drain();
    peer.next_of("STATUS").await;
    assert_eq!(peer.response(request_id).await["error_code"], "cancelled");
    peer.next_of("DISCONNECT").await;
    let ((), rest) = tokio::join!(soon("the end", handle.stop()), peer.rest());
    assert!(rest.is_empty(), "{rest:?}");
}

#[tokio::test]
async fn a_call_that_crosses_the_news_of_a_drain_is_refused_and_not_lost() {
    let nexus = FakeNexus::start().await;
    let (handle, mut peer) = nexus.take(nexus.spore()).await;
    handle.drain();
    // written before the spore's news are read, as by a nexus that does not know yet
    let request_id = peer.execute(&handle, "echo", json!({})).await;
    let mut answer = None;
    let ((), ()) = tokio::join!(soon("the end", handle.stop()), async {
        for (kind, payload) in peer.rest().await {
            if kind == "RESPONSE" && payload["request_id"] == json!(request_id) {
                answer = payload["error_code"].as_str().map(str::to_owned);
            }
        }
    });
    assert_eq!(answer.as_deref(), Some("draining"));
}

#[tokio::test]
async fn a_drain_without_a_link_ends_at_once() {
    let nexus = FakeNexus::start().await;
    let spore = nexus.spore().with(|settings| {
        (settings.backoff.base, settings.backoff.cap) = (Duration::from_secs(3_600), Duration::from_secs(3_600));
    });
    let (handle, peer) = nexus.take(spore).await;
    drop((peer, nexus));
    soon("the end", handle.stop()).await;
}
