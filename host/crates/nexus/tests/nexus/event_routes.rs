//! Events by SSE and by WebSocket.

use futures_util::StreamExt;
use serde_json::{Value, json};
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use crate::harness::{FakeSpore, TestNexus, VIEWER, echo, new_id, soon, until};
use crate::sse::Sse;

#[tokio::test]
async fn sse_and_websocket_tell_the_same_of_nodes_that_come_and_go() {
    let nexus = TestNexus::start().await;
    let mut sse = Sse::open(&nexus, "/api/v1/events", None).await;
    let mut request = format!("ws://{}/ws/events", nexus.address)
        .into_client_request()
        .unwrap();
    request
        .headers_mut()
        .insert("authorization", format!("Bearer {VIEWER}").parse().unwrap());
    let (mut socket, _) = connect_async(request).await.unwrap();
    let mut spore = FakeSpore::v1_as(&nexus, new_id(), &["EchoSkill"], &["gpu"]).await;
    spore.say("DISCONNECT", json!({})).await;

    let (_, connected) = sse.find("NODE_CONNECTED").await;
    assert_eq!(connected["data"]["node_id"], spore.node_id.as_str());
    assert_eq!(connected["data"]["node_name"], "fake");
    assert_eq!(connected["data"]["skills"], json!(["EchoSkill"]));
    assert_eq!(connected["data"]["tags"], json!(["gpu"]));
    assert!(connected["message"].is_string() && connected["timestamp"].is_string());
    let (_, gone) = sse.find("NODE_DISCONNECTED").await;
    assert_eq!(gone["data"]["node_id"], spore.node_id.as_str());

    let mut by_socket = Vec::new();
    while by_socket.len() < 2 {
        if let Message::Text(text) = soon("an event", socket.next()).await.unwrap().unwrap() {
            by_socket.push(serde_json::from_str::<Value>(&text).unwrap());
        }
    }
    assert_eq!(by_socket, [connected, gone]);
    nexus.ask_to_stop();
    let closed = loop {
        match soon("a close", socket.next()).await {
            Some(Ok(Message::Close(frame))) => break frame.unwrap(),
            Some(Ok(_)) => {}
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(u16::from(closed.code), 1001);
    assert!(sse.next().await.is_none());
    nexus.stopped().await;
}

#[tokio::test]
async fn who_comes_back_with_the_last_id_misses_nothing_and_gets_nothing_twice() {
    let nexus = TestNexus::start().await;
    let mut sse = Sse::open(&nexus, "/api/v1/events", None).await;
    let first = FakeSpore::v1(&nexus, &[]).await;
    let (id, event) = sse.find("NODE_CONNECTED").await;
    assert_eq!(event["data"]["node_id"], first.node_id.as_str());
    drop(sse);
    let second = FakeSpore::v1(&nexus, &[]).await;
    let mut sse = Sse::open(&nexus, "/api/v1/events", Some(&id)).await;
    let (_, event) = sse.next().await.unwrap();
    assert_eq!(event["data"]["node_id"], second.node_id.as_str());
    let third = FakeSpore::v1(&nexus, &[]).await;
    let (_, event) = sse.next().await.unwrap();
    assert_eq!(event["data"]["node_id"], third.node_id.as_str());
    nexus.ask_to_stop();
    drop(sse);
    nexus.stopped().await;
}

#[tokio::test]
async fn progress_of_a_running_call_is_an_event() {
    let nexus = TestNexus::start().await;
    let mut sse = Sse::open(&nexus, "/api/v1/events", None).await;
    let mut spore = FakeSpore::v2(&nexus, &["EchoSkill"]).await;
    let calling = nexus.posting(&format!("/api/v1/nodes/{}/execute", spore.node_id), echo(10.0));
    let call = spore.expect("EXECUTE_SKILL").await;
    let progress = json!({ "request_id": call["request_id"], "kind": "report", "done": 1, "total": 2, "note": "half" });
    spore.say("PROGRESS", progress).await;
    // of a call nobody made: no event
    spore
        .say(
            "PROGRESS",
            json!({ "request_id": new_id(), "kind": "report", "done": 9, "total": 9, "note": "" }),
        )
        .await;
    spore.respond(&call, json!(1)).await;
    assert_eq!(calling.await.unwrap().status, 200);
    let (id, event) = sse.find("CALL_PROGRESS").await;
    assert_eq!(id, "", "progress is not kept");
    assert_eq!(event["data"]["request_id"], call["request_id"]);
    assert_eq!(event["data"]["update"]["note"], "half");
    spore.say("DISCONNECT", json!({})).await;
    let (_, next) = sse.next().await.unwrap();
    assert_eq!(next["type"], "NODE_DISCONNECTED");
    nexus.ask_to_stop();
    drop(sse);
    nexus.stopped().await;
}

#[tokio::test]
async fn drains_and_wrong_tokens_are_events_and_listeners_are_counted() {
    let nexus = TestNexus::start().await;
    let mut sse = Sse::open(&nexus, "/api/v1/events", None).await;
    assert_eq!(nexus.metric("venom_nexus_event_listeners").await, 1.0);
    let spore = FakeSpore::v1(&nexus, &[]).await;
    nexus
        .post_empty(&format!("/api/v1/nodes/{}/drain", spore.node_id))
        .await;
    let (_, draining) = sse.find("NODE_DRAINING").await;
    assert_eq!(draining["data"]["node_id"], spore.node_id.as_str());
    let wrong = nexus
        .http
        .get(nexus.url("/api/v1/nodes"))
        .bearer_auth("wrong")
        .send()
        .await
        .unwrap();
    assert_eq!(wrong.status(), 401);
    let (_, failed) = sse.find("AUTH_FAILED").await;
    assert_eq!(failed["data"]["peer"], "127.0.0.1");
    drop(sse);
    until("the listener to be gone", async || {
        (nexus.metric("venom_nexus_event_listeners").await == 0.0).then_some(())
    })
    .await;
    nexus.stop().await;
}
