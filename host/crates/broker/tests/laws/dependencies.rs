//! Tasks that depend on tasks.

use std::collections::BTreeMap;

use venom_broker::{Cancelled, Dependent, NewTask, Outcome, State};
use venom_protocol::TaskId;

use crate::client::{after, completed, ending, failed, ids, ms, task};
use crate::maker::Maker;

fn states(dependents: &[Dependent]) -> BTreeMap<TaskId, State> {
    dependents
        .iter()
        .map(|dependent| (dependent.id, dependent.state))
        .collect()
}

fn failure(outcome: Option<Outcome>) -> String {
    match outcome {
        Some(Outcome::Failed(_, text)) => text,
        other => panic!("{other:?}"),
    }
}

pub(crate) async fn a_dependent_waits_and_gets_results(make: &Maker) {
    let hive = make.hive().await;
    let session = hive.session().await;
    let (first, other) = (task(), task());
    let child = after(&[first.id, other.id, first.id]);
    hive.submit(&[first.clone(), other.clone(), child.clone()]).await;
    assert_eq!(hive.state(child.id).await, State::Blocked);
    assert_eq!(hive.counts().await.blocked, 1);
    let leases = hive.claim(session, 9).await;
    assert_eq!(ids(&leases), [first.id, other.id]);
    let endings = [
        ending(&leases[0], completed("{\"a\":1}")),
        ending(&leases[1], completed("[2]")),
    ];
    let settled = hive.finish(session, &endings).await;
    let expected = Dependent {
        id: child.id,
        state: State::Pending,
    };
    assert_eq!(settled.dependents, [expected]);
    let lease = hive.claim_one(session).await;
    let inputs: BTreeMap<TaskId, String> = lease.inputs.iter().cloned().collect();
    let expected = BTreeMap::from([(first.id, "{\"a\":1}".to_owned()), (other.id, "[2]".to_owned())]);
    assert_eq!((lease.id, inputs), (child.id, expected));
    assert_eq!(lease.inputs.len(), 2);
}

pub(crate) async fn the_last_dependency_unblocks(make: &Maker) {
    let hive = make.hive().await;
    let session = hive.session().await;
    let parents = hive.submit_some(3).await;
    let child = hive.submit(&[after(&parents)]).await[0];
    for lease in hive.claim(session, 2).await {
        let settled = hive.finish(session, &[ending(&lease, completed("1"))]).await;
        assert_eq!(settled.dependents, []);
        assert_eq!(hive.state(child).await, State::Blocked);
    }
    let last = hive.claim_one(session).await;
    let settled = hive.finish(session, &[ending(&last, completed("1"))]).await;
    assert_eq!(states(&settled.dependents), BTreeMap::from([(child, State::Pending)]));
    assert_eq!(hive.claim_one(session).await.id, child);
}

pub(crate) async fn the_delay_of_a_dependent_counts_from_then(make: &Maker) {
    let hive = make.hive().await;
    let session = hive.session().await;
    let parent = hive.submit_some(1).await[0];
    let child = NewTask {
        delay: ms(100),
        ..after(&[parent])
    };
    hive.submit(std::slice::from_ref(&child)).await;
    tokio::time::sleep(ms(150)).await;
    hive.tend().await;
    assert_eq!(hive.state(child.id).await, State::Blocked);
    let lease = hive.claim_one(session).await;
    let settled = hive.finish(session, &[ending(&lease, completed("1"))]).await;
    assert_eq!(
        states(&settled.dependents),
        BTreeMap::from([(child.id, State::Delayed)])
    );
    let ended = hive.task(parent).await.ended_at.unwrap();
    assert!(hive.task(child.id).await.due_at.is_some_and(|due| due >= ended + 100));
    hive.until(child.id, State::Pending).await;
    assert_eq!(hive.claim_one(session).await.inputs, [(parent, "1".to_owned())]);
}

pub(crate) async fn what_completed_before_does_not_block(make: &Maker) {
    let hive = make.hive().await;
    let session = hive.session().await;
    hive.submit_some(1).await;
    let parent = hive.complete_one(session).await;
    let child = hive.submit(&[after(&[parent])]).await[0];
    let lease = hive.claim_one(session).await;
    assert_eq!((lease.id, lease.inputs), (child, vec![(parent, "1".to_owned())]));
}

pub(crate) async fn what_failed_before_fails_the_task_at_once(make: &Maker) {
    let hive = make.hive().await;
    let session = hive.session().await;
    let gone = hive.submit_some(1).await[0];
    assert_eq!(hive.cancel(gone).await, Cancelled::Now(vec![]));
    let broken = hive.submit_some(1).await[0];
    let lease = hive.claim_one(session).await;
    hive.end(session, &lease, failed("no")).await;
    let unblocked = hive.submit_some(1).await[0];
    for parent in [gone, broken] {
        let child = after(&[unblocked, parent]);
        let grandchild = after(&[child.id]);
        hive.submit(&[child.clone(), grandchild.clone()]).await;
        let stored = hive.task(child.id).await;
        assert_eq!(stored.state, State::Failed);
        assert!(stored.ended_at.is_some());
        let why = failure(stored.outcome);
        assert!(why.contains(&parent.to_string()), "{why}");
        let why = failure(hive.task(grandchild.id).await.outcome);
        assert!(why.contains(&child.id.to_string()), "{why}");
    }
    let counts = hive.counts().await;
    assert_eq!((counts.failed, counts.dead, counts.waiting()), (5, 5, 1));
    assert_eq!(hive.complete_one(session).await, unblocked);
    assert_eq!(hive.counts().await.waiting(), 0);
}

pub(crate) async fn failing_goes_through_all_levels(make: &Maker) {
    let hive = make.hive().await;
    let session = hive.session().await;
    let (root, beside) = (task(), task());
    let child = after(&[root.id, beside.id]);
    let grandchild = after(&[child.id]);
    let both = after(&[grandchild.id, root.id]);
    let apart = after(&[beside.id]);
    let batch = [
        root,
        beside,
        child.clone(),
        grandchild.clone(),
        both.clone(),
        apart.clone(),
    ];
    hive.submit(&batch).await;
    let lease = hive.claim_one(session).await;
    let settled = hive.finish(session, &[ending(&lease, failed("no"))]).await;
    let fallen = [child.id, grandchild.id, both.id];
    let expected: BTreeMap<TaskId, State> = fallen.map(|id| (id, State::Failed)).into();
    assert_eq!(states(&settled.dependents), expected);
    assert_eq!(settled.dependents.len(), 3, "each once");
    let why = failure(hive.task(grandchild.id).await.outcome);
    assert!(why.contains(&child.id.to_string()), "{why}");
    assert_eq!(hive.state(apart.id).await, State::Blocked);
    let counts = hive.counts().await;
    assert_eq!((counts.failed, counts.dead, counts.blocked), (4, 4, 1));
}

pub(crate) async fn cancelling_goes_through_all_levels(make: &Maker) {
    let hive = make.hive().await;
    let root = task();
    let child = after(&[root.id]);
    let grandchild = after(&[child.id]);
    hive.submit(&[root.clone(), child.clone(), grandchild.clone()]).await;
    let Cancelled::Now(dependents) = hive.cancel(root.id).await else {
        panic!("it waited")
    };
    let expected: BTreeMap<TaskId, State> = [child.id, grandchild.id].map(|id| (id, State::Failed)).into();
    assert_eq!(states(&dependents), expected);
    let why = failure(hive.task(child.id).await.outcome);
    assert!(why.contains(&root.id.to_string()), "{why}");
    let counts = hive.counts().await;
    assert_eq!((counts.cancelled, counts.failed, counts.waiting()), (1, 2, 0));
}

pub(crate) async fn a_requeued_dependent_waits_for_what_has_not_ended(make: &Maker) {
    let hive = make.hive().await;
    let session = hive.session().await;
    let (broken, slow) = (task(), task());
    let child = after(&[broken.id, slow.id]);
    hive.submit(&[broken.clone(), slow.clone(), child.clone()]).await;
    let leases = hive.claim(session, 2).await;
    hive.end(session, &leases[0], failed("no")).await;
    assert_eq!(hive.state(child.id).await, State::Failed);
    assert!(hive.requeue(child.id).await);
    assert_eq!(hive.state(child.id).await, State::Blocked);
    // The one that failed holds it no more, whatever becomes of it.
    assert!(hive.requeue(broken.id).await);
    assert_eq!(hive.complete_one(session).await, broken.id);
    assert_eq!(hive.state(child.id).await, State::Blocked);
    hive.end(session, &leases[1], completed("2")).await;
    assert_eq!(hive.claim_one(session).await.id, child.id);
}
