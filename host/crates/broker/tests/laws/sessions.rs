//! Sessions, and what becomes of their leases.

use venom_broker::{EndingKind, Note, Recorded, State};
use venom_protocol::NodeId;

use crate::client::{completed, eventually, ids, ms};
use crate::maker::Maker;

pub(crate) async fn the_first_renewal_begins_a_session(make: &Maker) {
    let hive = make.hive().await;
    let session = venom_protocol::SessionId::random();
    assert!(hive.renew(session).await.fresh);
    assert!(!hive.renew(session).await.fresh);
    hive.broker.leave(session).await.unwrap();
    assert!(hive.renew(session).await.fresh);
    hive.broker.leave(venom_protocol::SessionId::random()).await.unwrap();
}

pub(crate) async fn leases_of_a_dead_session_go_before_newer_work(make: &Maker) {
    let hive = make.hive_with(|settings| settings.session_ttl = ms(600)).await;
    let session = hive.session().await;
    let old = hive.submit_some(3).await;
    let leases = hive.claim(session, 3).await;
    let newer = hive.submit_some(2).await;
    let mut tended = hive.tend().await;
    assert_eq!((tended.requeued.len(), tended.sessions_ended.len()), (0, 0));
    eventually("the session is given up", async || {
        tended = hive.tend().await;
        !tended.sessions_ended.is_empty()
    })
    .await;
    assert_eq!(tended.sessions_ended, [session]);
    let mut requeued = tended.requeued;
    requeued.sort();
    assert_eq!(requeued, old);
    let stored = hive.task(old[0]).await;
    assert_eq!(
        (stored.state, stored.session, stored.attempt),
        (State::Pending, None, 1)
    );
    let next = hive.session().await;
    let again = hive.claim(next, 5).await;
    let (mut front, back) = (ids(&again[..3]), ids(&again[3..]));
    front.sort();
    assert_eq!((front, back), (old, newer));
    for lease in &again[..3] {
        let before = leases.iter().find(|before| before.id == lease.id).unwrap();
        assert!(lease.fence > before.fence && lease.attempt == 2 && lease.losses == 0);
    }
}

pub(crate) async fn a_session_that_was_not_given_up_lives_on(make: &Maker) {
    let hive = make.hive_with(|settings| settings.session_ttl = ms(400)).await;
    let session = hive.session().await;
    hive.submit_some(1).await;
    let lease = hive.claim_one(session).await;
    tokio::time::sleep(ms(500)).await;
    // Its time is over, but nobody has looked yet.
    assert!(!hive.renew(session).await.fresh);
    hive.tend().await;
    let recorded = hive.end(session, &lease, completed("1")).await;
    assert_eq!(recorded, Recorded::Written(State::Completed));
}

pub(crate) async fn a_session_that_was_given_up_is_new(make: &Maker) {
    let hive = make.hive_with(|settings| settings.session_ttl = ms(400)).await;
    let session = hive.session().await;
    let id = hive.submit_some(1).await[0];
    let lease = hive.claim_one(session).await;
    hive.until(id, State::Pending).await;
    assert_eq!(hive.end(session, &lease, completed("1")).await, Recorded::Stale);
    assert!(hive.renew(session).await.fresh);
    assert_eq!(hive.end(session, &lease, completed("1")).await, Recorded::Stale);
    let again = hive.claim_one(session).await;
    assert!(again.fence > lease.fence);
    assert_eq!(hive.end(session, &lease, completed("1")).await, Recorded::Stale);
    assert_eq!(hive.state(id).await, State::Running);
}

pub(crate) async fn a_session_that_leaves_returns_its_leases(make: &Maker) {
    let hive = make.hive().await;
    let session = hive.session().await;
    let tasks = hive.submit_some(3).await;
    let leases = hive.claim(session, 2).await;
    hive.cancel(tasks[1]).await;
    hive.broker.leave(session).await.unwrap();
    let stored = hive.task(tasks[0]).await;
    assert_eq!(
        (stored.state, stored.attempt, stored.session),
        (State::Pending, 0, None)
    );
    assert_eq!(hive.state(tasks[1]).await, State::Cancelled);
    assert_eq!(
        hive.end(session, &leases[0], EndingKind::Returned).await,
        Recorded::Stale
    );
    let next = hive.session().await;
    let again = hive.claim(next, 9).await;
    assert_eq!(ids(&again), [tasks[0], tasks[2]]);
    assert_eq!(again[0].attempt, 1);
    let counts = hive.counts().await;
    assert_eq!((counts.running, counts.waiting(), counts.cancelled), (2, 0, 1));
}

pub(crate) async fn a_renewed_session_keeps_its_leases(make: &Maker) {
    let hive = make.hive_with(|settings| settings.session_ttl = ms(1_000)).await;
    let session = hive.session().await;
    hive.submit_some(1).await;
    let lease = hive.claim_one(session).await;
    for _ in 0..25 {
        tokio::time::sleep(ms(50)).await;
        assert!(!hive.renew(session).await.fresh);
        assert_eq!(hive.tend().await.requeued, []);
    }
    let recorded = hive.end(session, &lease, completed("1")).await;
    assert_eq!(recorded, Recorded::Written(State::Completed));
}

pub(crate) async fn sessions_see_each_other(make: &Maker) {
    let hive = make.hive_with(|settings| settings.session_ttl = ms(800)).await;
    let neighbour = make.neighbour(&hive).await;
    let note = |text: &str| Note {
        text: text.to_owned(),
        ..Note::default()
    };
    let (one, other) = (hive.session().await, neighbour.session().await);
    neighbour.renew_with(other, note("first")).await;
    let peers = hive.renew_with(one, note("I")).await.peers;
    assert_eq!(peers.len(), 1);
    assert_eq!((peers[0].session, peers[0].text.as_str()), (other, "first"));
    neighbour.renew_with(other, note("second")).await;
    assert_eq!(hive.renew(one).await.peers[0].text, "second");
    eventually("the other is gone", async || {
        hive.tend().await;
        hive.renew(one).await.peers.is_empty()
    })
    .await;
}

pub(crate) async fn sessions_see_the_nodes_of_others(make: &Maker) {
    let hive = make.hive().await;
    let neighbour = make.neighbour(&hive).await;
    let (one, other) = (hive.session().await, neighbour.session().await);
    let (a, b) = (NodeId::random(), NodeId::random());
    let nodes = vec![(a, "a".to_owned()), (b, "b".to_owned())];
    neighbour
        .renew_with(
            other,
            Note {
                nodes,
                ..Note::default()
            },
        )
        .await;
    let change = Note {
        nodes: vec![(a, "changed".to_owned())],
        nodes_gone: vec![b],
        ..Note::default()
    };
    neighbour.renew_with(other, change).await;
    hive.renew_with(
        one,
        Note {
            nodes: vec![(b, "mine".to_owned())],
            ..Note::default()
        },
    )
    .await;
    assert_eq!(
        hive.broker.nodes(one).await.unwrap(),
        [(other, a, "changed".to_owned())]
    );
    assert_eq!(
        neighbour.broker.nodes(other).await.unwrap(),
        [(one, b, "mine".to_owned())]
    );
    neighbour.broker.leave(other).await.unwrap();
    assert_eq!(hive.broker.nodes(one).await.unwrap(), []);
}
