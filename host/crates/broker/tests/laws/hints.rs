//! What a broker says unasked.

use std::time::Duration;

use tokio::sync::broadcast::Receiver;
use venom_broker::{Cancelled, Hint, NewTask};
use venom_protocol::{Lane, Priority};

use crate::client::{after, completed, delayed, ending, lane, level, ms, retry, task};
use crate::maker::Maker;

const PATIENCE: Duration = Duration::from_secs(20);

/// The next hint that this is true of.
async fn heard(hints: &mut Receiver<Hint>, mut is_it: impl FnMut(&Hint) -> bool) -> Hint {
    let find = async {
        loop {
            let hint = hints.recv().await.expect("no law says more than there is room for");
            if is_it(&hint) {
                return hint;
            }
        }
    };
    tokio::time::timeout(PATIENCE, find).await.expect("nobody said it")
}

async fn heard_ready(hints: &mut Receiver<Hint>, lane: &Lane, priority: Priority) {
    heard(
        hints,
        |hint| matches!(hint, Hint::Ready(lanes) if lanes.contains(&(lane.clone(), priority))),
    )
    .await;
}

pub(crate) async fn new_work_is_hinted(make: &Maker) {
    let hive = make.hive().await;
    let neighbour = make.neighbour(&hive).await;
    let (mut here, mut there) = (hive.broker.hints(), neighbour.broker.hints());
    let other = NewTask {
        lane: lane("FileSkill"),
        priority: level(9),
        ..task()
    };
    // A neighbour that has just come may still be learning to listen.
    for tries in 1.. {
        hive.submit(&[
            task(),
            NewTask {
                id: venom_protocol::TaskId::next(),
                ..other.clone()
            },
        ])
        .await;
        let ready = heard_ready(&mut there, &other.lane, level(9));
        if tokio::time::timeout(ms(200), ready).await.is_ok() {
            break;
        }
        assert!(tries < 100, "nobody said it");
    }
    heard_ready(&mut here, &lane("EchoSkill"), level(5)).await;
}

pub(crate) async fn work_that_comes_back_is_hinted(make: &Maker) {
    let hive = make.hive_with(|settings| settings.session_ttl = ms(1_000)).await;
    let session = hive.session().await;
    let mut hints = hive.broker.hints();
    let there = lane("EchoSkill");
    let first = task();
    hive.submit(&[first.clone(), after(&[first.id])]).await;
    heard_ready(&mut hints, &there, level(5)).await;
    let lease = hive.claim_one(session).await;
    hive.end(session, &lease, retry(ms(0))).await;
    heard_ready(&mut hints, &there, level(5)).await;
    let lease = hive.claim_one(session).await;
    hive.finish(session, &[ending(&lease, completed("1"))]).await;
    heard_ready(&mut hints, &there, level(5)).await;
    hive.claim_one(session).await;
    crate::client::eventually("the session is given up", async || {
        !hive.tend().await.requeued.is_empty()
    })
    .await;
    heard_ready(&mut hints, &there, level(5)).await;
    hive.submit(&[NewTask {
        lane: lane("Late"),
        ..delayed(ms(50))
    }])
    .await;
    crate::client::eventually("it is due", async || hive.tend().await.promoted == 1).await;
    heard_ready(&mut hints, &lane("Late"), level(5)).await;
}

pub(crate) async fn a_wish_to_cancel_is_hinted(make: &Maker) {
    let hive = make.hive().await;
    let neighbour = make.neighbour(&hive).await;
    let session = hive.session().await;
    let mut hints = hive.broker.hints();
    hive.submit_some(1).await;
    let lease = hive.claim_one(session).await;
    for tries in 1.. {
        assert_eq!(neighbour.cancel(lease.id).await, Cancelled::Asked);
        let cancel = heard(&mut hints, |hint| *hint == Hint::Cancel(lease.id));
        if tokio::time::timeout(ms(200), cancel).await.is_ok() {
            break;
        }
        assert!(tries < 100, "nobody said it");
    }
}

pub(crate) async fn a_broadcast_comes_back(make: &Maker) {
    let hive = make.hive().await;
    let mut hints = hive.broker.hints();
    let text = "{\"command\":\"STATUS\",\"data\":\"ä\"}";
    for tries in 1.. {
        hive.broker.broadcast(text.to_owned()).await.unwrap();
        let back = heard(&mut hints, |hint| *hint == Hint::Broadcast(text.to_owned()));
        if tokio::time::timeout(ms(200), back).await.is_ok() {
            break;
        }
        assert!(tries < 100, "it did not come back");
    }
}

pub(crate) async fn messages_reach_the_others(make: &Maker) {
    let hive = make.hive().await;
    let neighbour = make.neighbour(&hive).await;
    let (one, other) = (hive.session().await, neighbour.session().await);
    if hive.broker.kind() == "sqlite" {
        // One process, and so nobody else to hear it.
        assert_eq!(hive.broker.send(one, Some(other), "hello".to_owned()).await, Ok(false));
        assert_eq!(hive.broker.send(one, None, "hello".to_owned()).await, Ok(false));
        return;
    }
    let mut hints = neighbour.broker.hints();
    for to in [Some(other), None] {
        crate::client::eventually("somebody hears it", async || {
            hive.broker.send(one, to, format!("to {to:?}")).await.unwrap()
        })
        .await;
        let message = Hint::Message {
            from: one,
            text: format!("to {to:?}"),
        };
        heard(&mut hints, |hint| *hint == message).await;
    }
    let nobody = venom_protocol::SessionId::random();
    assert_eq!(hive.broker.send(one, Some(nobody), "hello".to_owned()).await, Ok(false));
}
