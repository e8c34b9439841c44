//! Progress logs.

use venom_broker::Progress;
use venom_protocol::TaskId;

use crate::client::Hive;
use crate::maker::Maker;

async fn numbers(hive: &Hive, id: TaskId, after: u64, limit: usize) -> Vec<u64> {
    let entries = hive.broker.progress(id, after, limit).await.unwrap();
    entries.iter().map(|entry| entry.seq).collect()
}

pub(crate) async fn entries_are_numbered_and_read_from_anywhere(make: &Maker) {
    let hive = make.hive().await;
    let session = hive.session().await;
    let ids = hive.submit_some(2).await;
    let unknown = TaskId::next();
    let entry = |id, text: &str| (id, text.to_owned());
    let batch = vec![
        entry(ids[0], "{\"a\":1}"),
        entry(unknown, "2"),
        entry(ids[1], "3"),
        entry(ids[0], "4"),
    ];
    assert_eq!(hive.broker.append_progress(session, batch).await.unwrap(), [1, 0, 1, 2]);
    let more = hive
        .broker
        .append_progress(session, vec![entry(ids[0], "5")])
        .await
        .unwrap();
    assert_eq!(more, [3]);
    let read = hive.broker.progress(ids[0], 0, 2).await.unwrap();
    let expected = [(1, "{\"a\":1}"), (2, "4")].map(|(seq, text)| Progress {
        seq,
        text: text.to_owned(),
    });
    assert_eq!(read, expected);
    assert_eq!(numbers(&hive, ids[0], 1, 9).await, [2, 3]);
    assert_eq!(numbers(&hive, ids[0], 3, 9).await, [0; 0]);
    assert_eq!(numbers(&hive, unknown, 0, 9).await, [0; 0]);
}

pub(crate) async fn the_log_is_bounded_and_numbers_are_not_used_twice(make: &Maker) {
    let hive = make.hive_with(|settings| settings.max_progress = 3).await;
    let session = hive.session().await;
    let id = hive.submit_some(1).await[0];
    let batch: Vec<_> = (0..10).map(|text| (id, text.to_string())).collect();
    hive.broker.append_progress(session, batch).await.unwrap();
    assert_eq!(numbers(&hive, id, 0, 9).await, [8, 9, 10]);
    let lease = hive.claim_one(session).await;
    hive.end(session, &lease, crate::client::failed("no")).await;
    assert!(hive.requeue(id).await);
    let number = hive
        .broker
        .append_progress(session, vec![(id, "again".to_owned())])
        .await
        .unwrap();
    assert_eq!(number, [11]);
    assert_eq!(numbers(&hive, id, 9, 9).await, [10, 11]);
}
