//! The shared cache.

use std::time::Duration;

use venom_broker::BrokerError;

use crate::client::{Hive, eventually, ms};
use crate::maker::Maker;

const LONG: Duration = Duration::from_secs(600);
const QUOTA: u64 = 10_000;

async fn get(hive: &Hive, key: &str) -> Option<Vec<u8>> {
    hive.broker.cache_get("n", key).await.unwrap().map(|(value, _)| value)
}

async fn set(hive: &Hive, quota: u64, key: &str, bytes: usize, ttl: Duration) -> Result<(), BrokerError> {
    hive.broker.cache_set("n", quota, key, vec![7; bytes], ttl).await
}

pub(crate) async fn an_entry_is_set_read_and_removed(make: &Maker) {
    let hive = make.hive().await;
    let value: Vec<u8> = (0..=255).collect();
    hive.broker
        .cache_set("n", QUOTA, "k:{ä} 1", value.clone(), LONG)
        .await
        .unwrap();
    let (read, left) = hive.broker.cache_get("n", "k:{ä} 1").await.unwrap().unwrap();
    assert_eq!(read, value);
    assert!(left <= LONG && left > LONG / 2, "{left:?}");
    set(&hive, QUOTA, "b", 0, LONG).await.unwrap();
    set(&hive, QUOTA, "a", 1, LONG).await.unwrap();
    assert_eq!(get(&hive, "b").await, Some(vec![]));
    assert_eq!(hive.broker.cache_keys("n", 9).await.unwrap(), ["a", "b", "k:{ä} 1"]);
    assert_eq!(hive.broker.cache_keys("n", 2).await.unwrap(), ["a", "b"]);
    set(&hive, QUOTA, "a", 2, LONG).await.unwrap();
    assert_eq!(get(&hive, "a").await, Some(vec![7, 7]));
    assert!(hive.broker.cache_delete("n", "a").await.unwrap());
    assert!(!hive.broker.cache_delete("n", "a").await.unwrap());
    assert_eq!(get(&hive, "a").await, None);
}

pub(crate) async fn an_entry_ends_with_its_time(make: &Maker) {
    let hive = make.hive().await;
    set(&hive, QUOTA, "short", 1, ms(120)).await.unwrap();
    set(&hive, QUOTA, "long", 1, LONG).await.unwrap();
    set(&hive, QUOTA, "longer", 1, ms(120)).await.unwrap();
    set(&hive, QUOTA, "longer", 1, LONG).await.unwrap();
    eventually("its time is up", async || get(&hive, "short").await.is_none()).await;
    assert_eq!(hive.broker.cache_keys("n", 9).await.unwrap(), ["long", "longer"]);
    assert!(!hive.broker.cache_delete("n", "short").await.unwrap());
    hive.tend().await;
    assert!(get(&hive, "longer").await.is_some());
}

pub(crate) async fn a_quota_counts_keys_values_and_entries(make: &Maker) {
    let hive = make.hive().await;
    // Two entries of 2 + 34 + 64 bytes.
    set(&hive, 200, "k1", 34, LONG).await.unwrap();
    set(&hive, 200, "k2", 34, LONG).await.unwrap();
    let full = BrokerError::CacheFull {
        namespace: "n".to_owned(),
        used: 200,
        quota: 200,
        asked: 65,
    };
    assert_eq!(set(&hive, 200, "k", 0, LONG).await, Err(full));
    assert_eq!(get(&hive, "k").await, None);
    set(&hive, 200, "k2", 34, LONG)
        .await
        .expect("in the place of what was there");
    assert!(set(&hive, 200, "k2", 35, LONG).await.is_err());
    assert_eq!(
        get(&hive, "k2").await.map(|value| value.len()),
        Some(34),
        "it stays as it was"
    );
    set(&hive, 200, "k2", 33, LONG).await.unwrap();
    assert!(hive.broker.cache_delete("n", "k1").await.unwrap());
    set(&hive, 200, "k3", 35, LONG).await.unwrap();
    assert!(set(&hive, 200, "k4", 0, LONG).await.is_err());
    set(&hive, 1_000, "k4", 0, LONG)
        .await
        .expect("a quota is given with each request");
}

pub(crate) async fn entries_whose_time_is_up_give_their_bytes_back(make: &Maker) {
    let hive = make.hive().await;
    set(&hive, 200, "k1", 34, ms(400)).await.unwrap();
    set(&hive, 200, "k2", 34, ms(400)).await.unwrap();
    assert!(set(&hive, 200, "k3", 34, LONG).await.is_err());
    eventually("their time is up", async || {
        hive.broker.cache_keys("n", 9).await.unwrap().is_empty()
    })
    .await;
    set(&hive, 200, "k3", 34, LONG).await.expect("there is room");
    set(&hive, 200, "k1", 34, LONG)
        .await
        .expect("a key that was there before");
    assert!(set(&hive, 200, "k4", 0, LONG).await.is_err());
    assert_eq!(hive.broker.cache_keys("n", 9).await.unwrap(), ["k1", "k3"]);
    hive.tend().await;
    assert!(set(&hive, 200, "k4", 0, LONG).await.is_err());
}

pub(crate) async fn namespaces_are_apart(make: &Maker) {
    let hive = make.hive().await;
    for namespace in ["n", "m", "n:k"] {
        hive.broker
            .cache_set(namespace, 100, "k", namespace.as_bytes().to_vec(), LONG)
            .await
            .unwrap();
    }
    for namespace in ["n", "m", "n:k"] {
        let (value, _) = hive.broker.cache_get(namespace, "k").await.unwrap().unwrap();
        assert_eq!(value, namespace.as_bytes());
        assert_eq!(hive.broker.cache_keys(namespace, 9).await.unwrap(), ["k"]);
    }
    assert!(hive.broker.cache_delete("m", "k").await.unwrap());
    assert!(get(&hive, "k").await.is_some());
    assert_eq!(hive.broker.cache_get("unheard", "k").await.unwrap(), None);
}
