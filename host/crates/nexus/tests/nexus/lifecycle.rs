//! The end: what is in flight finishes, links say goodbye, nothing hangs.

use std::time::{Duration, Instant};

use serde_json::json;
use tokio::net::TcpStream;
use venom_nexus::{InvalidSettings, Nexus, NexusError, NexusSettings, Secret};

use crate::harness::{FakeSpore, Frame, TestNexus, echo, settings, soon, until};

#[tokio::test]
async fn calls_in_flight_finish_before_links_close() {
    let nexus = TestNexus::start().await;
    let mut v2 = FakeSpore::v2(&nexus, &["EchoSkill"]).await;
    let mut v1 = FakeSpore::v1(&nexus, &["EchoSkill"]).await;
    let calling = nexus.posting(&format!("/api/v1/nodes/{}/execute", v2.node_id), echo(30.0));
    let call = v2.expect("EXECUTE_SKILL").await;
    nexus.ask_to_stop();
    let address = nexus.address;
    until("the listener to be gone", async || {
        TcpStream::connect(address).await.err()
    })
    .await;
    v2.respond(&call, json!("finished")).await;
    let answer = calling.await.unwrap();
    assert_eq!((answer.status, &answer.body["result"]), (200, &json!("finished")));
    v2.expect("DISCONNECT").await;
    v2.expect_close(1001, "shutting down").await;
    v1.expect_close(1001, "shutting down").await;
    nexus.stopped().await;
}

#[tokio::test]
async fn a_call_that_does_not_finish_is_not_waited_for_longer_than_the_drain_timeout() {
    let nexus = TestNexus::start_with(NexusSettings {
        drain_timeout: Duration::from_millis(100),
        ..settings()
    })
    .await;
    let mut spore = FakeSpore::v1(&nexus, &["EchoSkill"]).await;
    let calling = nexus.posting(&format!("/api/v1/nodes/{}/execute", spore.node_id), echo(60.0));
    spore.expect("EXECUTE_SKILL").await;
    let started = Instant::now();
    nexus.ask_to_stop();
    spore.expect_close(1001, "").await;
    nexus.stopped().await;
    assert!(started.elapsed() < Duration::from_secs(10));
    // the client's request fails one way or the other; it must not hang
    let _ = soon("the caller to be let go", calling).await;
}

#[tokio::test]
async fn a_spore_that_does_not_answer_a_close_holds_up_nothing() {
    let nexus = TestNexus::start().await;
    let mut spore = FakeSpore::v1(&nexus, &[]).await;
    nexus.ask_to_stop();
    nexus.stopped().await;
    assert!(matches!(spore.next().await, Frame::Close(1001, _)));
}

#[test]
fn settings_that_cannot_be_kept_are_refused_before_anything_is_bound() {
    let refused = Nexus::new(
        NexusSettings {
            shared_token: Some(Secret::new("")),
            ..settings()
        },
        None,
    );
    assert!(matches!(
        refused.err(),
        Some(NexusError::Settings(InvalidSettings::EmptyToken))
    ));
    let missing = Nexus::new(
        NexusSettings {
            audit_log: Some("/no/such/directory/audit.jsonl".into()),
            ..settings()
        },
        None,
    );
    assert!(matches!(missing.err(), Some(NexusError::File { .. })));
}
