//! Links that break, fall silent or talk nonsense.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;
use tokio::sync::mpsc;

use crate::nexus::{FakeNexus, soon};

/// Tells when it is dropped: the call it belongs to has ended.
struct Ending(mpsc::UnboundedSender<()>);

impl Drop for Ending {
    fn drop(&mut self) {
        let _ = self.0.send(());
    }
}

#[tokio::test]
async fn a_lost_link_cancels_its_calls_and_their_answers_are_not_sent_later() {
    let nexus = FakeNexus::start().await;
    let (ended, mut endings) = mpsc::unbounded_channel();
    let spore = nexus.spore().answer(move |_, call| {
        let ending = (call.method == "hang").then(|| Ending(ended.clone()));
        Box::pin(async move {
            if ending.is_some() {
                std::future::pending::<()>().await;
            }
            Ok(call.params)
        })
    });
    let (handle, mut first) = nexus.take(spore).await;
    let lost = first.execute(&handle, "hang", json!({})).await;
    let after = first.execute(&handle, "echo", json!({})).await;
    first.response(after).await;
    drop(first);
    soon("the cancellation", endings.recv()).await.expect("ended");
    let (mut second, handshake) = nexus.accept().await;
    assert_eq!(
        handshake["node_id"],
        json!(handle.node_id()),
        "the same node comes back"
    );
    second.welcome(60.0).await;
    let request_id = second.execute(&handle, "echo", json!({"n": 1})).await;
    let response = second.next_of("RESPONSE").await;
    assert_eq!(response["request_id"], json!(request_id), "and not that of {lost}");
    let ((), rest) = tokio::join!(handle.stop(), second.rest());
    assert!(rest.iter().all(|(kind, _)| kind != "RESPONSE"), "{rest:?}");
}

#[tokio::test]
async fn a_reconnect_keeps_the_boot_id_and_a_new_start_does_not() {
    let nexus = FakeNexus::start().await;
    let id = venom_protocol::NodeId::random();
    let mut boots = Vec::new();
    for _ in 0..2 {
        let spore = nexus.spore().with(|settings| settings.node_id = id);
        let (handle, first) = tokio::join!(spore.connect(crate::nexus::DEADLINE), async {
            let (mut peer, handshake) = nexus.accept().await;
            peer.welcome(60.0).await;
            handshake["boot_id"].clone()
        });
        let _handle = handle.expect("taken");
        let (_peer, again) = nexus.accept().await;
        assert_eq!(first, again["boot_id"]);
        boots.push(first);
    }
    assert_ne!(boots[0], boots[1]);
}

#[tokio::test]
async fn a_silent_nexus_is_left_and_tried_again() {
    let nexus = FakeNexus::start().await;
    // never read again: no pong goes back, as from a machine that lost its power
    let (_handle, _silent) = nexus.take_with_patience(nexus.spore(), 0.4).await;
    let (mut again, _) = nexus.accept().await;
    again.welcome(60.0).await;
    again.next_of("HEARTBEAT").await;
}

#[tokio::test]
async fn a_nexus_with_little_patience_gets_heartbeats_in_time_and_its_pongs_keep_the_link() {
    let nexus = FakeNexus::start().await;
    let spore = nexus
        .spore()
        .with(|settings| settings.heartbeat_interval = Duration::from_secs(3_600));
    let (handle, mut peer) = nexus.take_with_patience(spore, 0.3).await;
    let began = std::time::Instant::now();
    for _ in 0..10 {
        peer.next_of("HEARTBEAT").await;
    }
    assert!(
        began.elapsed() > Duration::from_millis(600),
        "the link held for twice the timeout"
    );
    let request_id = peer.execute(&handle, "echo", json!({})).await;
    peer.response(request_id).await;
}

#[tokio::test]
async fn heartbeats_tell_the_load_that_was_set() {
    let nexus = FakeNexus::start().await;
    let spore = nexus
        .spore()
        .with(|settings| settings.heartbeat_interval = Duration::from_millis(20))
        .load(0.25, 0.5);
    let (handle, mut peer) = nexus.take(spore).await;
    let heartbeat = peer.next_of("HEARTBEAT").await;
    assert_eq!(
        (heartbeat["cpu_usage"].as_f64(), heartbeat["memory_usage"].as_f64()),
        (Some(0.25), Some(0.5))
    );
    handle.set_load(1.0, 0.5);
    soon("the new load", async {
        while peer.next_of("HEARTBEAT").await["cpu_usage"].as_f64() != Some(1.0) {}
    })
    .await;
}

#[tokio::test]
async fn single_nonsense_is_complained_about_and_ten_in_a_row_end_the_link() {
    let nexus = FakeNexus::start().await;
    let (handle, mut peer) = nexus.take(nexus.spore()).await;
    let nonsense = [
        "{",
        "[]",
        "null",
        "{\"message_type\": 7}",
        "{\"message_type\": \"LAUNCH\", \"payload\": {}}",
    ];
    for text in nonsense {
        peer.send_raw(text.to_owned()).await;
        assert!(
            peer.next_of("ERROR").await["error"]
                .as_str()
                .is_some_and(|error| !error.is_empty())
        );
    }
    let request_id = peer.execute(&handle, "echo", json!({})).await;
    peer.response(request_id).await;
    for _ in 0..10 {
        peer.send_raw("{".to_owned()).await;
    }
    assert_eq!(peer.close_code().await, 1008);
    let (mut again, _) = nexus.accept().await;
    again.welcome(60.0).await;
}

#[tokio::test]
async fn a_call_for_another_node_is_not_run() {
    let nexus = FakeNexus::start().await;
    let ran = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&ran);
    let spore = nexus.spore().answer(move |_, call| {
        counter.fetch_add(1, Ordering::SeqCst);
        Box::pin(std::future::ready(Ok(call.params)))
    });
    let (_handle, mut peer) = nexus.take(spore).await;
    let stray = json!({
        "request_id": venom_protocol::RequestId::random(), "node_id": venom_protocol::NodeId::random(),
        "skill_name": "EchoSkill", "method_name": "echo", "parameters": {}, "timeout": 30,
    });
    peer.send("EXECUTE_SKILL", stray).await;
    peer.next_of("ERROR").await;
    assert_eq!(ran.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_nexus_that_says_goodbye_is_left_when_the_calls_are_done_and_tried_again() {
    let nexus = FakeNexus::start().await;
    let (handle, mut peer) = nexus.take(nexus.spore()).await;
    let request_id = peer.execute(&handle, "echo", json!({})).await;
    peer.send("DISCONNECT", json!({"reason": "upgrade"})).await;
    peer.response(request_id).await;
    assert_eq!(peer.close_code().await, 1000);
    let (mut again, _) = nexus.accept().await;
    again.welcome(60.0).await;
}

#[tokio::test]
async fn a_nexus_that_was_killed_is_found_again() {
    let nexus = FakeNexus::start().await;
    let (handle, mut peer) = nexus.take(nexus.spore()).await;
    for _ in 0..3 {
        drop(peer);
        let (mut next, _) = nexus.accept().await;
        next.welcome(60.0).await;
        let request_id = next.execute(&handle, "echo", json!({})).await;
        next.response(request_id).await;
        peer = next;
    }
}
