//! Who a spore says it is, and how it is taken or refused.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;
use venom_spore::SporeError;

use crate::nexus::{DEADLINE, FakeNexus, not_taken, soon};

#[tokio::test]
async fn the_handshake_says_who_what_and_protocol_2() {
    let nexus = FakeNexus::start().await;
    let spore = nexus.spore().skills(&["A", "B"]).with(|settings| {
        settings.name = "bench-7".to_owned();
        settings.tags = vec!["location:lab".to_owned()];
        settings.concurrency = 3;
    });
    let (handle, (mut peer, handshake)) = tokio::join!(spore.connect(DEADLINE), async {
        let (mut peer, handshake) = nexus.accept().await;
        peer.welcome(60.0).await;
        (peer, handshake)
    });
    let handle = handle.expect("taken");
    assert_eq!(handshake["node_id"], json!(handle.node_id()));
    assert_eq!(handshake["node_name"], "bench-7");
    assert_eq!(handshake["token"], "token");
    assert_eq!(handshake["protocol"], 2);
    assert_eq!(handshake["concurrency"], 3);
    assert_eq!(handshake["message_type"], "HANDSHAKE");
    assert_eq!(handshake["capabilities"]["skills"], json!(["A", "B"]));
    assert_eq!(handshake["capabilities"]["tags"], json!(["location:lab"]));
    assert!(handshake["boot_id"].as_str().is_some_and(|id| !id.is_empty()));
    let heartbeat = peer.next_of("HEARTBEAT").await;
    assert_eq!(heartbeat["credits"], 3);
    assert_eq!(heartbeat["active_tasks"], 0);
}

#[tokio::test]
async fn a_wrong_token_is_tried_again_and_taken_once_it_is_right() {
    let nexus = FakeNexus::start().await;
    let refused = AtomicUsize::new(0);
    let (handle, ()) = tokio::join!(nexus.spore().connect(DEADLINE), async {
        loop {
            let (mut peer, _) = nexus.accept().await;
            if refused.fetch_add(1, Ordering::Relaxed) == 3 {
                return peer.welcome(60.0).await;
            }
            peer.close(1008, "Authentication failed").await;
        }
    });
    handle.expect("taken at last");
    assert_eq!(refused.load(Ordering::Relaxed), 4);
}

#[tokio::test]
async fn a_spore_that_is_never_taken_says_so() {
    let nexus = FakeNexus::start().await;
    let spore = nexus.spore();
    let error = tokio::select! {
        error = not_taken(spore, Duration::from_millis(300)) => error,
        () = nexus.treat_all(|peer| peer.close(1003, "node role is off")) => unreachable!("it goes on for ever"),
    };
    assert!(matches!(error, SporeError::NotAccepted { .. }), "{error}");
}

#[tokio::test]
async fn a_nexus_that_never_welcomes_is_served_in_protocol_1() {
    let nexus = FakeNexus::start().await;
    let spore = nexus
        .spore()
        .with(|settings| settings.concurrency = 1)
        .answer(|_, call| {
            assert!(call.progress.is_none(), "protocol 1 has no progress messages");
            Box::pin(std::future::ready(Ok(call.params)))
        });
    let node_id = std::sync::Mutex::new(None);
    let spore = spore.with(|settings| *node_id.lock().expect("locked") = Some(settings.node_id));
    let node_id = node_id.into_inner().expect("unlocked");
    let (handle, mut peer) = tokio::join!(spore.connect(DEADLINE), async {
        let (mut peer, _) = nexus.accept().await;
        let request_id = venom_protocol::RequestId::random();
        let call = json!({
            "message_type": "EXECUTE_SKILL", "request_id": request_id, "node_id": node_id, "skill_name": "EchoSkill",
            "method_name": "echo", "parameters": {"a": 1}, "timeout": 30, "timestamp": "2026-01-01T00:00:00",
        });
        peer.send("EXECUTE_SKILL", call).await;
        assert_eq!(peer.response(request_id).await["result"], json!({"a": 1}));
        peer
    });
    let handle = handle.expect("a call counts as a welcome");
    let ((), rest) = tokio::join!(handle.stop(), peer.rest());
    let kinds: Vec<&str> = rest.iter().map(|(kind, _)| kind.as_str()).collect();
    assert_eq!(kinds, ["DISCONNECT"], "protocol 1 knows no other message");
}

#[tokio::test]
async fn silence_is_the_consent_of_an_old_nexus() {
    let nexus = FakeNexus::start().await;
    let (handle, mut peer) = tokio::join!(nexus.spore().connect(DEADLINE), async { nexus.accept().await.0 });
    handle.expect("taken without a word");
    peer.next_of("HEARTBEAT").await;
}

#[tokio::test]
async fn a_web_server_that_is_no_nexus_does_not_end_the_spore() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let spore = venom_spore::sim::SimSpore::new(&listener.local_addr().expect("an address").to_string(), "token")
        .with(|settings| settings.backoff.cap = settings.backoff.base);
    let twice = async {
        for _ in 0..2 {
            let (mut stream, _) = listener.accept().await.expect("accepted");
            let mut request = [0; 1024];
            assert_ne!(stream.read(&mut request).await.expect("a request"), 0);
            stream
                .write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
                .await
                .expect("answered");
        }
    };
    tokio::select! {
        error = not_taken(spore, DEADLINE) => panic!("gave up: {error}"),
        () = soon("two tries", twice) => {}
    }
}

#[tokio::test]
async fn settings_that_cannot_work_fail_before_anything_is_dialled() {
    let nexus = FakeNexus::start().await;
    let error = not_taken(nexus.spore().with(|settings| settings.concurrency = 0), DEADLINE).await;
    assert!(error.to_string().contains("concurrency"), "{error}");
    let error = not_taken(
        nexus.spore().with(|settings| settings.nexus = "ftp://x".to_owned()),
        DEADLINE,
    )
    .await;
    assert!(error.to_string().contains("ftp://x"), "{error}");
}
