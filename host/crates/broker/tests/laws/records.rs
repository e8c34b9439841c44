//! Small documents: changed by compare-and-set, kept until they are removed.

use std::collections::BTreeSet;

use venom_broker::{BrokerError, MAX_RECORD_BYTES, Record};

use crate::client::{Hive, insist};
use crate::maker::Maker;

async fn get(hive: &Hive, name: &str) -> Option<Record> {
    insist(|| hive.broker.record(name)).await.0.expect("read")
}

/// Writes as a nexus does: when an answer may have been lost, finding its own bytes means that it has written them.
async fn put(hive: &Hive, name: &str, bytes: &[u8], expected: u64) -> bool {
    let (done, again) = insist(|| hive.broker.put_record(name, bytes.to_vec(), expected)).await;
    done.expect("answered") || (again && get(hive, name).await.is_some_and(|record| record.bytes == bytes))
}

pub(crate) async fn a_record_is_written_over_the_version_that_was_seen_only(make: &Maker) {
    let hive = make.hive().await;
    assert_eq!(get(&hive, "a/b:{c} \u{e4}").await, None);
    assert!(!put(&hive, "a/b:{c} \u{e4}", b"no", 1).await, "there is none");
    let every: Vec<u8> = (0..=255).collect();
    assert!(put(&hive, "a/b:{c} \u{e4}", &every, 0).await);
    let first = get(&hive, "a/b:{c} \u{e4}").await.unwrap();
    assert!(first.bytes == every && first.version > 0);
    assert!(!put(&hive, "a/b:{c} \u{e4}", b"again", 0).await, "there is one");
    assert!(!put(&hive, "a/b:{c} \u{e4}", b"other", first.version + 1).await);
    assert!(put(&hive, "a/b:{c} \u{e4}", b"", first.version).await);
    let second = get(&hive, "a/b:{c} \u{e4}").await.unwrap();
    assert!(second.bytes.is_empty() && second.version > first.version);
    assert!(!put(&hive, "a/b:{c} \u{e4}", b"late", first.version).await);
    assert_eq!(get(&hive, "a/b:{c} \u{e4}").await, Some(second));
    assert_eq!(get(&hive, "a/b").await, None, "names are apart");
}

pub(crate) async fn of_all_who_saw_one_version_one_writes(make: &Maker) {
    let hive = make.hive().await;
    let mut seen = BTreeSet::new();
    for round in 0_u8..5 {
        let version = get(&hive, "r").await.map_or(0, |record| record.version);
        assert!(seen.insert(version), "a version is used once");
        let texts: Vec<String> = (0..8).map(|who| format!("{round} by {who}")).collect();
        let writes = texts.iter().map(|text| put(&hive, "r", text.as_bytes(), version));
        let won = futures_util::future::join_all(writes).await;
        assert_eq!(won.iter().filter(|won| **won).count(), 1, "{won:?}");
        let kept = get(&hive, "r").await.unwrap();
        let winner = won.iter().position(|won| *won).unwrap();
        assert_eq!(kept.bytes, texts[winner].as_bytes());
    }
}

pub(crate) async fn a_removed_record_is_gone_and_its_versions_too(make: &Maker) {
    let hive = make.hive().await;
    assert!(!hive.broker.remove_record("r").await.unwrap());
    assert!(put(&hive, "r", b"one", 0).await);
    let first = get(&hive, "r").await.unwrap().version;
    assert!(hive.broker.remove_record("r").await.unwrap());
    assert_eq!(get(&hive, "r").await, None);
    assert!(!put(&hive, "r", b"late", first).await);
    assert!(put(&hive, "r", b"two", 0).await);
    let second = get(&hive, "r").await.unwrap().version;
    assert!(
        second > first,
        "whoever saw the first one must not write over the second"
    );
    assert!(!put(&hive, "r", b"late", first).await);
}

pub(crate) async fn a_record_has_a_limit(make: &Maker) {
    let hive = make.hive().await;
    let most = vec![7; MAX_RECORD_BYTES];
    assert!(put(&hive, "r", &most, 0).await);
    let kept = get(&hive, "r").await.unwrap();
    assert_eq!(kept.bytes, most);
    let over = hive
        .broker
        .put_record("r", vec![7; MAX_RECORD_BYTES + 1], kept.version)
        .await;
    let told = BrokerError::RecordTooBig {
        name: "r".to_owned(),
        asked: MAX_RECORD_BYTES + 1,
        limit: MAX_RECORD_BYTES,
    };
    assert_eq!(over, Err(told));
    assert_eq!(get(&hive, "r").await, Some(kept));
}

pub(crate) async fn records_are_there_for_the_next_process_and_for_a_neighbour(make: &Maker) {
    let hive = make.hive().await;
    assert!(put(&hive, "r", b"kept", 0).await);
    let kept = get(&hive, "r").await;
    let neighbour = make.neighbour(&hive).await;
    assert_eq!(get(&neighbour, "r").await, kept);
    drop((hive, neighbour));
    assert_eq!(get(&make.hive().await, "r").await, kept);
}
