//! Control broadcasts, over the link and from Redis.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::{Notify, mpsc};
use venom_protocol::{ControlBroadcast, Timestamp};
use venom_spore::Attached;
use venom_spore::sim::{SimHandle, SimSpore};

use crate::nexus::{FakeNexus, Peer, soon};

/// A spore whose heartbeats are asked for: it sends one at the start and then none for an hour.
fn quiet(spore: SimSpore) -> SimSpore {
    spore.with(|settings| settings.heartbeat_interval = Duration::from_secs(3_600))
}

async fn take(nexus: &FakeNexus, spore: SimSpore) -> (SimHandle, Peer) {
    let (handle, mut peer) = nexus.take_with_patience(spore, 10_000.0).await;
    peer.next_of("HEARTBEAT").await;
    (handle, peer)
}

async fn broadcast(peer: &mut Peer, command: &str, data: Value, sent_at: &str) {
    let payload = json!({"command": command, "data": data, "sent_at": sent_at});
    peer.send("BROADCAST", payload).await;
}

/// Kinds of what comes up to the answer of one more call.
async fn said_until_a_call(handle: &SimHandle, peer: &mut Peer) -> Vec<String> {
    peer.execute(handle, "echo", json!({})).await;
    let mut kinds = Vec::new();
    loop {
        let (kind, _) = peer.next().await.expect("the link lives");
        if kind == "RESPONSE" {
            return kinds;
        }
        kinds.push(kind);
    }
}

const T1: &str = "2026-03-01T12:00:00Z";
const T2: &str = "2026-03-01T12:00:01Z";

#[tokio::test]
async fn status_is_answered_at_once_and_a_second_copy_is_not() {
    let nexus = FakeNexus::start().await;
    let (handle, mut peer) = take(&nexus, quiet(nexus.spore())).await;
    broadcast(&mut peer, "STATUS", json!({}), T1).await;
    broadcast(&mut peer, "STATUS", json!({}), T1).await;
    assert_eq!(said_until_a_call(&handle, &mut peer).await, ["STATUS", "HEARTBEAT"]);
    broadcast(&mut peer, "STATUS", json!({}), T2).await;
    broadcast(&mut peer, "UPDATE_SYSTEM", json!({"release": 7}), T2).await;
    broadcast(&mut peer, "DANCE", json!({}), T2).await;
    assert_eq!(said_until_a_call(&handle, &mut peer).await, ["STATUS", "HEARTBEAT"]);
}

#[tokio::test]
async fn shutdown_drains_the_spores_it_names() {
    let nexus = FakeNexus::start().await;
    let gate = std::sync::Arc::new(tokio::sync::Semaphore::new(0));
    let opened = std::sync::Arc::clone(&gate);
    let spore = quiet(nexus.spore()).answer(move |_, call| {
        let gate = std::sync::Arc::clone(&opened);
        Box::pin(async move {
            if call.method == "gated" {
                gate.acquire().await.expect("open").forget();
            }
            Ok(call.params)
        })
    });
    let (handle, mut peer) = take(&nexus, spore).await;
    let others = json!({"node_ids": [venom_protocol::NodeId::random()]});
    broadcast(&mut peer, "SHUTDOWN", others, T1).await;
    assert!(
        said_until_a_call(&handle, &mut peer).await.is_empty(),
        "it is not meant"
    );
    let running = peer.execute(&handle, "gated", json!({"kept": true})).await;
    broadcast(&mut peer, "SHUTDOWN", json!({"node_ids": [handle.node_id()]}), T1).await;
    assert_eq!(peer.next_of("STATUS").await["draining"], true);
    gate.add_permits(1);
    assert_eq!(peer.response(running).await["result"], json!({"kept": true}));
    assert_eq!(peer.next_of("DISCONNECT").await["reason"], "drained");
    assert_eq!(peer.close_code().await, 1000);
    soon("the end of the spore", handle.ended()).await;
}

#[tokio::test]
async fn the_agent_it_is_part_of_is_woken_when_a_command_waits() {
    let nexus = FakeNexus::start().await;
    let commands = Arc::new(Notify::new());
    let attached = Attached {
        commands: Some(Arc::clone(&commands)),
        ..Attached::default()
    };
    let (_handle, mut peer) = take(&nexus, quiet(nexus.spore()).attached(attached)).await;
    broadcast(&mut peer, "STATUS", json!({}), T1).await;
    peer.next_of("STATUS").await;
    let woken = tokio::time::timeout(Duration::from_millis(50), commands.notified()).await;
    assert!(woken.is_err(), "nobody said that a command waits");
    broadcast(&mut peer, "AGENT_COMMANDS", json!({}), T1).await;
    soon("the agent to be woken", commands.notified()).await;
}

#[tokio::test]
async fn redis_may_ask_how_a_spore_is_but_not_end_it() {
    let nexus = FakeNexus::start().await;
    let (redis, broadcasts) = mpsc::channel(8);
    let attached = Attached {
        broadcasts: Some(broadcasts),
        ..Attached::default()
    };
    let (handle, mut peer) = take(&nexus, quiet(nexus.spore()).attached(attached)).await;
    let say = |command: &str, timestamp: &str| ControlBroadcast {
        command: command.to_owned(),
        data: json!({}),
        timestamp: Timestamp::parse(timestamp).expect("a time"),
    };
    redis.send(say("SHUTDOWN", T1)).await.expect("heard");
    redis.send(say("STATUS", T1)).await.expect("heard");
    assert_eq!(peer.next_of("STATUS").await["draining"], false);
    // the same, sent on by a nexus that heard it on Redis too
    broadcast(&mut peer, "STATUS", json!({}), T1).await;
    assert_eq!(said_until_a_call(&handle, &mut peer).await, ["HEARTBEAT"]);
    drop(redis);
    assert!(
        said_until_a_call(&handle, &mut peer).await.is_empty(),
        "a link without Redis goes on"
    );
    // nor does it keep the nexus from saying it
    broadcast(&mut peer, "SHUTDOWN", json!({}), T1).await;
    peer.next_of("STATUS").await;
    peer.next_of("DISCONNECT").await;
}
