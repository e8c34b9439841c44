//! Taking tasks in.

use std::time::Duration;

use venom_broker::{BrokerError, Idempotency, NewTask, State};
use venom_protocol::TaskId;

use crate::client::{ALL, after, completed, delayed, eventually, lane, level, ms, task, want};
use crate::maker::Maker;

fn keyed(key: &str, fingerprint: &str) -> NewTask {
    NewTask {
        idempotency: Some(Idempotency {
            key: key.to_owned(),
            fingerprint: fingerprint.to_owned(),
        }),
        ..task()
    }
}

pub(crate) async fn a_task_is_stored_as_submitted(make: &Maker) {
    let hive = make.hive().await;
    let new = NewTask {
        lane: lane("FileSkill"),
        priority: level(9),
        body: "{\"ä\":\"\u{1f41d} \\u0000 'quoted'\"}".to_owned(),
        ..task()
    };
    let [id] = hive.submit(std::slice::from_ref(&new)).await[..] else {
        panic!("one id")
    };
    assert_eq!(id, new.id);
    let stored = hive.task(id).await;
    assert_eq!(
        (stored.id, stored.lane, stored.priority, stored.body),
        (id, new.lane, new.priority, new.body)
    );
    assert_eq!(
        (stored.state, stored.fence, stored.attempt, stored.losses),
        (State::Pending, 0, 0, 0)
    );
    assert_eq!((stored.due_at, stored.started_at, stored.ended_at), (None, None, None));
    assert_eq!((stored.node, stored.session, stored.outcome), (None, None, None));
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    let age = now.saturating_sub(Duration::from_millis(stored.created_at));
    assert!(age < Duration::from_secs(60), "created {age:?} ago");
}

pub(crate) async fn answers_come_in_the_order_of_the_tasks(make: &Maker) {
    let hive = make.hive().await;
    let known = hive.submit(&[keyed("k", "f")]).await[0];
    let mut tasks = vec![task(), keyed("k", "f"), task(), delayed(ms(60_000))];
    tasks.sort_by_key(|task| std::cmp::Reverse(task.id));
    let answers = hive.try_submit(&tasks).await.unwrap();
    for (task, answer) in tasks.iter().zip(answers) {
        let is_known = task.idempotency.is_some();
        assert_eq!(answer.existing, is_known);
        assert_eq!(answer.id, if is_known { known } else { task.id });
    }
}

pub(crate) async fn nothing_is_a_batch_too(make: &Maker) {
    let hive = make.hive().await;
    assert_eq!(hive.try_submit(&[]).await, Ok(Vec::new()));
    let session = hive.session().await;
    assert_eq!(hive.claim_wants(session, &[], 10).await.leases, []);
    assert_eq!(hive.finish(session, &[]).await.recorded, []);
    assert_eq!(hive.tasks(&[]).await, []);
    assert_eq!(hive.tasks(&[TaskId::next()]).await, [None]);
}

pub(crate) async fn a_known_id_changes_nothing(make: &Maker) {
    let hive = make.hive().await;
    let session = hive.session().await;
    let first = task();
    hive.submit(std::slice::from_ref(&first)).await;
    let other = NewTask {
        body: "{}".to_owned(),
        priority: level(1),
        ..first.clone()
    };
    for state in [State::Pending, State::Completed] {
        let answer = hive.try_submit(&[other.clone(), task()]).await.unwrap();
        assert_eq!((answer[0].id, answer[0].existing), (first.id, false));
        let stored = hive.task(first.id).await;
        assert_eq!(
            (stored.state, stored.body, stored.priority),
            (state, first.body.clone(), first.priority)
        );
        if state == State::Pending {
            assert_eq!(hive.complete_one(session).await, first.id);
        }
    }
    assert_eq!(hive.counts().await.waiting(), 2);
}

pub(crate) async fn an_id_twice_in_a_batch_is_one_task(make: &Maker) {
    let hive = make.hive().await;
    let twice = task();
    let needed = NewTask {
        depends_on: vec![twice.id],
        ..keyed("k", "f")
    };
    let answers = hive
        .try_submit(&[twice.clone(), twice.clone(), needed.clone(), needed.clone()])
        .await
        .unwrap();
    assert!(answers.iter().all(|answer| !answer.existing));
    let counts = hive.counts().await;
    assert_eq!((counts.pending[5], counts.blocked), (1, 1));
}

pub(crate) async fn an_idempotency_key_stands_for_its_task(make: &Maker) {
    let hive = make.hive().await;
    let session = hive.session().await;
    let first = keyed("nightly:{1} \"ä\"", "f");
    let sent = hive.try_submit(std::slice::from_ref(&first)).await.unwrap()[0];
    assert_eq!((sent.id, sent.existing), (first.id, false));
    let again = NewTask {
        id: TaskId::next(),
        ..first.clone()
    };
    let both = hive
        .try_submit(&[again.clone(), keyed("other", "f"), keyed("other", "f")])
        .await
        .unwrap();
    assert_eq!((both[0].id, both[0].existing), (first.id, true));
    assert_eq!((both[2].id, both[2].existing), (both[1].id, true));
    assert_eq!(hive.tasks(&[again.id]).await, [None]);
    assert_eq!(hive.complete_one(session).await, first.id);
    let after_its_end = hive.try_submit(&[again]).await.unwrap()[0];
    assert_eq!((after_its_end.id, after_its_end.existing), (first.id, true));
    assert_eq!(hive.counts().await.waiting(), 1);
}

pub(crate) async fn a_reused_key_is_told_and_takes_nothing(make: &Maker) {
    let hive = make.hive().await;
    let first = hive.submit(&[keyed("k", "f")]).await[0];
    let reused = |task_id| BrokerError::KeyReused {
        key: "k".to_owned(),
        task_id,
    };
    assert_eq!(hive.try_submit(&[task(), keyed("k", "g")]).await, Err(reused(first)));
    let (one, other) = (keyed("l", "f"), keyed("l", "g"));
    let error = hive.try_submit(&[one, other]).await.unwrap_err();
    assert!(matches!(error, BrokerError::KeyReused { key, .. } if key == "l"));
    assert_eq!(hive.counts().await.waiting(), 1);
}

pub(crate) async fn a_key_is_free_when_its_task_is_gone(make: &Maker) {
    let hive = make.hive_with(|settings| settings.result_ttl = ms(100)).await;
    let session = hive.session().await;
    let first = hive.submit(&[keyed("k", "f")]).await[0];
    hive.complete_one(session).await;
    eventually("the key is free", async || {
        hive.tend().await;
        hive.try_submit(&[keyed("k", "g")])
            .await
            .is_ok_and(|answers| answers[0].id != first)
    })
    .await;
}

pub(crate) async fn a_full_queue_takes_nothing(make: &Maker) {
    let hive = make.hive_with(|settings| settings.max_waiting = 3).await;
    hive.submit_some(2).await;
    let error = hive.try_submit(&[task(), task()]).await.unwrap_err();
    let full = BrokerError::QueueFull {
        waiting: 2,
        limit: 3,
        asked: 2,
    };
    assert_eq!(error, full);
    assert!(error.is_retryable());
    assert_eq!(hive.counts().await.waiting(), 2);
    hive.submit_some(1).await;
    let session = hive.session().await;
    hive.complete_one(session).await;
    hive.submit_some(1).await;
    assert!(hive.try_submit(&[task()]).await.is_err());
}

pub(crate) async fn a_full_queue_still_answers_for_known_tasks(make: &Maker) {
    let hive = make.hive_with(|settings| settings.max_waiting = 2).await;
    let tasks = [task(), keyed("k", "f")];
    hive.submit(&tasks).await;
    let again = hive.try_submit(&tasks).await.unwrap();
    assert!(again.iter().all(|answer| !answer.existing));
    assert!(hive.try_submit(&[keyed("k", "f")]).await.unwrap()[0].existing);
    assert!(hive.try_submit(&[tasks[0].clone(), task()]).await.is_err());
}

pub(crate) async fn all_that_waits_counts_to_the_limit(make: &Maker) {
    let hive = make.hive_with(|settings| settings.max_waiting = 3).await;
    let first = task();
    hive.submit(&[first.clone(), after(&[first.id]), delayed(ms(60_000))])
        .await;
    assert!(hive.try_submit(&[task()]).await.is_err());
    let session = hive.session().await;
    let claim = hive.claim_wants(session, &[want(9)], ALL).await;
    assert_eq!(claim.leases.len(), 1);
    hive.submit_some(1).await;
    hive.end(session, &claim.leases[0], completed("1")).await;
    assert!(hive.try_submit(&[task()]).await.is_err());
}

pub(crate) async fn an_unknown_dependency_is_named_and_takes_nothing(make: &Maker) {
    let hive = make.hive().await;
    let unknown = TaskId::next();
    let known = hive.submit_some(1).await[0];
    let error = hive.try_submit(&[task(), after(&[known, unknown])]).await.unwrap_err();
    assert!(
        matches!(&error, BrokerError::UnknownDependency { tasks, .. } if *tasks == [unknown]),
        "{error}"
    );
    let (mut first, second) = (task(), task());
    first.depends_on.push(second.id);
    assert!(
        hive.try_submit(&[first, second]).await.is_err(),
        "a later task of the batch"
    );
    let mut itself = task();
    itself.depends_on.push(itself.id);
    assert!(hive.try_submit(&[itself]).await.is_err());
    assert_eq!(hive.counts().await.waiting(), 1);
}
