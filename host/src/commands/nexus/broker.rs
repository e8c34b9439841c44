//! The broker a nexus keeps its tasks in. A file that another nexus has is a reason not to start; a Redis that cannot be
//! reached is none: it may come, and until then `/readyz` says why.

use std::sync::Arc;

use venom_broker::redis::{RedisBroker, RedisSettings};
use venom_broker::sqlite::SqliteBroker;
use venom_broker::{Broker, BrokerError};

use crate::failure::Failure;
use crate::settings::{HiveSettings, Kept};

/// Opens what the settings name; none when no tasks are kept.
pub(super) fn open(settings: &HiveSettings) -> Result<Option<Arc<dyn Broker>>, Failure> {
    let opened: Arc<dyn Broker> = match &settings.kept {
        Kept::Nowhere => return Ok(None),
        Kept::File { path, durability } => {
            let broker = SqliteBroker::open(path, *durability, settings.broker.clone());
            Arc::new(broker.map_err(|error| no_file(&error))?)
        }
        Kept::Redis(redis) => Arc::new(in_redis(redis, settings)?),
    };
    Ok(Some(opened))
}

/// What it fails for is the URL or the CA file.
fn in_redis(redis: &RedisSettings, settings: &HiveSettings) -> Result<RedisBroker, Failure> {
    RedisBroker::new(redis.clone(), settings.broker.clone()).map_err(|error| {
        Failure::usage("tasks cannot be kept in that Redis")
            .because(error.to_string())
            .help("repair --redis-url, REDIS_URL or [redis] url; without them tasks are kept in the data directory")
    })
}

fn no_file(error: &BrokerError) -> Failure {
    let failure = Failure::new("tasks cannot be kept").because(error.to_string());
    match error {
        // These say themselves what to do.
        BrokerError::Refused { .. } | BrokerError::OutOfSpace { .. } => failure,
        _ => failure.help("look at the file; --no-hive starts a nexus that keeps no tasks"),
    }
}

/// Says where tasks are kept, without passwords.
pub(super) fn tell(broker: Option<&Arc<dyn Broker>>) {
    match broker {
        Some(broker) => tracing::info!("tasks are kept in {}", broker.place()),
        None => tracing::info!("no tasks are kept: skills are only called at once"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use venom_broker::sqlite::Durability;

    use super::*;

    fn settings(kept: Kept) -> HiveSettings {
        HiveSettings {
            kept,
            broker: venom_broker::Settings {
                max_waiting: 1,
                result_ttl: Duration::from_secs(2),
                session_ttl: Duration::from_secs(3),
                max_progress: 4,
                namespace: "a".to_owned(),
                high_queue: "b".to_owned(),
                background_queue: "c".to_owned(),
                broadcast_channel: "d".to_owned(),
            },
            tasks: venom_nexus::HiveSettings::default(),
        }
    }

    #[tokio::test]
    async fn both_brokers_are_told_every_setting() {
        let directory = tempfile::tempdir().unwrap();
        let file = Kept::File {
            path: directory.path().join("hive.db"),
            durability: Durability::Power,
        };
        let redis = Kept::Redis(RedisSettings::new("redis://:s3cret@127.0.0.1:1/3"));
        for (kept, kind) in [(file, "sqlite"), (redis, "redis")] {
            let settings = settings(kept);
            let broker = open(&settings).unwrap().unwrap();
            assert_eq!(broker.kind(), kind);
            assert_eq!(format!("{:?}", broker.settings()), format!("{:?}", settings.broker));
            assert!(!broker.place().contains("s3cret"));
        }
        assert!(open(&settings(Kept::Nowhere)).unwrap().is_none());
    }

    #[tokio::test]
    async fn a_url_that_cannot_be_used_is_wrong_use_and_a_file_in_use_is_a_failure() {
        let redis = Kept::Redis(RedisSettings::new("http://:s3cret@h"));
        let failure = open(&settings(redis)).map(|_| ()).unwrap_err();
        assert_eq!(failure.exit_code(), 2);
        assert!(!failure.summary().contains("s3cret"), "{}", failure.summary());
        let directory = tempfile::tempdir().unwrap();
        let file = settings(Kept::File {
            path: directory.path().join("hive.db"),
            durability: Durability::Process,
        });
        let _first = open(&file).unwrap();
        let failure = open(&file).map(|_| ()).unwrap_err();
        assert_eq!(failure.exit_code(), 1);
        assert!(failure.summary().contains("another nexus"), "{}", failure.summary());
    }
}
