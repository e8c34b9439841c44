//! Who is there and who is not: heartbeats, goodbyes, broken links, nodes with the same id.

use std::time::Duration;

use anyhow::Result;
use futures_util::{SinkExt, StreamExt};
use serde_json::json;
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::Message;
use venom_protocol::NodeId;
use venom_tests::{DEADLINE, SPORE_TOKEN, TestHive, soon};

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_falls_silent_is_offline_and_stays_listed() -> Result<()> {
    let hive = TestHive::with(|settings| settings.heartbeat_timeout = Duration::from_millis(500)).await?;
    let client = hive.client()?;
    let id = NodeId::random();
    // by hand, so that it can stop talking without closing
    let (mut socket, _) = connect_async(format!("ws://{}/ws/nodes", hive.address())).await?;
    let handshake = json!({"message_type": "HANDSHAKE", "timestamp": "2026-01-01T00:00:00", "payload": {
        "node_id": id, "node_name": "silent", "token": SPORE_TOKEN, "capabilities": {"skills": ["EchoSkill"]},
    }});
    socket.send(Message::text(handshake.to_string())).await?;
    client.until_online(id, true).await?;
    let shown = client.until_online(id, false).await?;
    assert_eq!(shown["node_name"], "silent");
    let call = client.execute(id, "EchoSkill.say", json!({"text": "x"}), 5.0).await?;
    assert_eq!(call.status, 400, "{}", call.body);
    assert!(call.is_problem());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spore_keeps_up_with_a_nexus_that_has_little_patience() -> Result<()> {
    let hive = TestHive::with(|settings| settings.heartbeat_timeout = Duration::from_millis(600)).await?;
    let client = hive.client()?;
    // its own interval is 30 s: only the word of the nexus makes it hurry
    let spore = hive.simulated().connect(DEADLINE).await?;
    let first = client.until_online(spore.node_id(), true).await?["last_heartbeat"].clone();
    let mut beats = 0;
    let mut last = first;
    venom_tests::eventually("ten heartbeats, online all the time", async || {
        let node = client.node(spore.node_id()).await?.unwrap_or_default();
        assert_eq!(node["is_online"], true, "it was given up: {node}");
        if node["last_heartbeat"] != last {
            last = node["last_heartbeat"].clone();
            beats += 1;
        }
        Ok((beats >= 10).then_some(()))
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_goodbye_takes_a_node_offline_at_once_and_a_crash_fails_its_calls() -> Result<()> {
    let hive = TestHive::start().await?;
    let client = hive.client()?;
    let polite = hive.simulated().connect(DEADLINE).await?;
    let polite_id = polite.node_id();
    polite.stop().await;
    client.until_online(polite_id, false).await?;

    let hanging = hive
        .simulated()
        .answer(|_, _| Box::pin(std::future::pending()))
        .connect(DEADLINE)
        .await?;
    let id = hanging.node_id();
    let caller = client.clone();
    let call = tokio::spawn(async move { caller.execute(id, "EchoSkill.hang", json!({}), 60.0).await });
    venom_tests::eventually("the call to be in flight", async || {
        Ok(client.node(id).await?.filter(|node| node["active_tasks"] == 1))
    })
    .await?;
    drop(hanging);
    let lost = soon("the error", call).await???;
    assert_eq!(lost.status, 502, "{}", lost.body);
    assert!(lost.is_problem());
    client.until_online(id, false).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_spores_are_online_together() -> Result<()> {
    let hive = TestHive::start().await?;
    let client = hive.client()?;
    let mut spores = Vec::new();
    for batch in 0..10 {
        let connecting = (0..100).map(|number| {
            let name = format!("sim-{}", batch * 100 + number);
            hive.simulated().with(|settings| settings.name = name).connect(DEADLINE)
        });
        spores.extend(futures_util::future::try_join_all(connecting).await?);
    }
    let listed = client.get("/api/v1/nodes?online_only=true").await?;
    assert_eq!(listed.body["online_count"], 1_000);
    assert_eq!(listed.body["count"], 1_000);
    let middle = spores[500].node_id();
    let answer = client.call(middle, "EchoSkill.any", json!({"n": 7})).await?;
    assert_eq!(answer.result, json!({"n": 7}));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_process_with_the_same_id_is_refused_while_the_first_lives() -> Result<()> {
    let hive = TestHive::start().await?;
    let client = hive.client()?;
    let first = hive
        .simulated()
        .with(|settings| settings.name = "first".to_owned())
        .connect(DEADLINE)
        .await?;
    let id = first.node_id();
    let clone = hive.simulated().with(|settings| {
        settings.node_id = id;
        settings.name = "clone".to_owned();
    });
    let refused = clone.connect(Duration::from_secs(2)).await;
    assert!(refused.is_err(), "the clone was taken");
    let shown = client.until_online(id, true).await?;
    assert_eq!(shown["node_name"], "first");
    assert_eq!(
        client.call(id, "EchoSkill.any", json!({"n": 1})).await?.result,
        json!({"n": 1})
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_token_and_a_switched_off_node_role_have_their_close_codes() -> Result<()> {
    for (node_role, token, code, reason) in [
        (true, "wrong", 1008, "Authentication failed"),
        (false, SPORE_TOKEN, 1003, ""),
    ] {
        let hive = TestHive::with(|settings| settings.node_role = node_role).await?;
        let (mut socket, _) = connect_async(format!("ws://{}/ws/nodes", hive.address())).await?;
        let id = NodeId::random();
        let handshake = json!({"message_type": "HANDSHAKE", "payload": {
            "node_id": id, "node_name": "x", "token": token, "protocol": 2, "capabilities": {},
        }});
        // with the node role off the close may be there before the handshake is
        let _ = socket.send(Message::text(handshake.to_string())).await;
        let close = loop {
            match soon("a close", socket.next()).await? {
                Some(Ok(Message::Close(Some(frame)))) => break frame,
                Some(Ok(_)) => {}
                other => anyhow::bail!("{token}: ended without a close: {other:?}"),
            }
        };
        assert_eq!(u16::from(close.code), code);
        assert!(close.reason.starts_with(reason), "{}", close.reason);
        assert!(hive.client()?.node(id).await?.is_none(), "nothing is half-registered");
    }
    Ok(())
}
