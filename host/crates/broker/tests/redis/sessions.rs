//! Several sessions on one server: what they see and hear of each other, and what becomes of the leases of a dead one.

use venom_broker::{Broker, Ending, Hint, NewTask, Note, Recorded};
use venom_protocol::{NodeId, SessionId};

use crate::hive::{begun, broker, completed, heard, impatient, leased, task, until_done, wants};
use crate::redis_server::RedisServer;

#[tokio::test]
async fn a_dead_session_loses_its_leases_and_cannot_end_them_any_more() {
    let server = RedisServer::new();
    let (dying, living) = (impatient(&server), impatient(&server));
    let gone = begun(&dying).await;
    let tasks: Vec<NewTask> = (0..5).map(|_| task()).collect();
    dying.submit(tasks.clone()).await.unwrap();
    let lost = dying.claim(gone, wants(4), 4).await.unwrap();
    let node = NodeId::random();
    let note = Note {
        assigned: vec![(tasks[0].id, 1, node), (tasks[1].id, 9, node)],
        ..Note::default()
    };
    dying.renew(gone, note).await.unwrap();
    let shown = living.tasks(vec![tasks[0].id, tasks[1].id]).await.unwrap();
    assert_eq!(shown[0].as_ref().unwrap().node, Some(node));
    assert_eq!(shown[1].as_ref().unwrap().node, None, "noted for another lease");
    living.cancel(tasks[3].id).await.unwrap();
    let session = SessionId::random();
    let tended = until_done(|| async {
        living.renew(session, Note::default()).await?;
        let tended = living.tend().await?;
        match tended.sessions_ended.contains(&gone) {
            true => Ok(tended),
            false => Err(venom_broker::BrokerError::Unavailable {
                broker: String::new(),
                why: "lives".to_owned(),
            }),
        }
    })
    .await;
    assert_eq!(tended.cancelled, [tasks[3].id]);
    assert_eq!(tended.requeued.len(), 3);
    let claim = living.claim(session, wants(9), 9).await.unwrap();
    assert_eq!(
        leased(&claim),
        [tasks[0].id, tasks[1].id, tasks[2].id, tasks[4].id],
        "before newer work"
    );
    assert_eq!(
        (
            claim.leases[0].fence,
            claim.leases[0].attempt,
            claim.leases[0].last_node
        ),
        (2, 2, Some(node))
    );
    let late: Vec<Ending> = lost
        .leases
        .iter()
        .map(|lease| completed(lease.id, lease.fence))
        .collect();
    let settled = dying.finish(gone, late).await.unwrap();
    assert_eq!(settled.recorded, vec![Recorded::Stale; 4]);
    assert!(dying.claim(gone, wants(9), 9).await.unwrap().leases.is_empty());
    assert!(dying.renew(gone, Note::default()).await.unwrap().fresh);
    living.leave(session).await.unwrap();
    let counts = living.counts().await.unwrap();
    assert_eq!((counts.pending[2], counts.running, counts.cancelled), (4, 0, 1));
}

#[tokio::test]
async fn sessions_see_and_hear_each_other() {
    let server = RedisServer::new();
    let (one, two) = (broker(&server), broker(&server));
    let a = begun(&one).await;
    let mut heard_by_one = one.hints();
    assert!(!one.send(a, None, "anybody?".to_owned()).await.unwrap());
    assert!(!one.send(a, Some(SessionId::random()), "you?".to_owned()).await.unwrap());
    let b = begun(&two).await;
    let mut heard_by_two = two.hints();
    let node = NodeId::random();
    let note = Note {
        text: "b's".to_owned(),
        nodes: vec![(node, "about it".to_owned())],
        ..Note::default()
    };
    two.renew(b, note).await.unwrap();
    let renewal = one.renew(a, Note::default()).await.unwrap();
    assert_eq!((renewal.peers[0].session, renewal.peers[0].text.as_str()), (b, "b's"));
    assert_eq!(one.nodes(a).await.unwrap(), [(b, node, "about it".to_owned())]);
    let gone = Note {
        nodes_gone: vec![node],
        ..Note::default()
    };
    two.renew(b, gone).await.unwrap();
    assert_eq!(one.nodes(a).await.unwrap(), []);
    assert!(one.send(a, Some(b), "to b".to_owned()).await.unwrap());
    let message = |from, text: &str| Hint::Message {
        from,
        text: text.to_owned(),
    };
    heard(&mut heard_by_two, |hint| *hint == message(a, "to b")).await;
    assert!(two.send(b, None, "to all".to_owned()).await.unwrap());
    assert_eq!(
        heard(&mut heard_by_one, |hint| matches!(hint, Hint::Message { .. })).await,
        message(b, "to all")
    );
    one.broadcast("{\"command\":\"STATUS\"}".to_owned()).await.unwrap();
    let broadcast = |text: &str| Hint::Broadcast(text.to_owned());
    heard(&mut heard_by_one, |hint| *hint == broadcast("{\"command\":\"STATUS\"}")).await;
    heard(&mut heard_by_two, |hint| *hint == broadcast("{\"command\":\"STATUS\"}")).await;
    server.command(&["PUBLISH", "venom:broadcast", "from a script"]);
    heard(&mut heard_by_two, |hint| *hint == broadcast("from a script")).await;
    one.submit(vec![task()]).await.unwrap();
    let claim = one.claim(a, wants(1), 1).await.unwrap();
    let id = claim.leases[0].id;
    one.finish(a, vec![completed(id, 1)]).await.unwrap();
    heard(&mut heard_by_two, |hint| *hint == Hint::Ended(vec![id])).await;
    two.leave(b).await.unwrap();
    assert!(one.renew(a, Note::default()).await.unwrap().peers.is_empty());
}
