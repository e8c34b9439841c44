//! Makes the brokers that laws are held against.

use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use venom_broker::redis::{RedisBroker, RedisSettings};
use venom_broker::sqlite::{Durability, SqliteBroker};
use venom_broker::{Broker, Settings};

use crate::chance::Chance;
use crate::client::Hive;
use crate::faulty::Faulty;
use crate::redis_server::RedisServer;

/// A store of a law's own, and how it is reached.
pub(crate) struct Maker {
    store: Store,
    faults: Option<Chance>,
}

enum Store {
    Sqlite(TempDir),
    Redis(RedisServer),
}

impl Maker {
    pub(crate) fn sqlite() -> Self {
        Self {
            store: Store::Sqlite(tempfile::tempdir().expect("a directory")),
            faults: None,
        }
    }

    pub(crate) fn redis() -> Self {
        Self {
            store: Store::Redis(RedisServer::new()),
            faults: None,
        }
    }

    /// The same, behind a network that loses requests and answers.
    pub(crate) fn faulty(self, law: &str) -> Self {
        Self {
            faults: Some(Chance::named(law)),
            ..self
        }
    }

    /// A hive with settings for laws that time has no part in.
    pub(crate) async fn hive(&self) -> Hive {
        self.hive_with(|_| {}).await
    }

    /// A hive with other settings. The same store every time; the one before must be gone.
    pub(crate) async fn hive_with(&self, change: impl FnOnce(&mut Settings)) -> Hive {
        let mut settings = Settings {
            session_ttl: Duration::from_secs(60),
            ..Settings::default()
        };
        change(&mut settings);
        let broker = self.open(settings);
        let broker: Arc<dyn Broker> = match &self.faults {
            Some(chance) => Arc::new(Faulty::new(broker, chance.clone())),
            None => broker,
        };
        let hive = Hive::new(broker);
        hive.is_there().await;
        hive
    }

    /// The same hive through another nexus: another connection where the store takes several.
    pub(crate) async fn neighbour(&self, hive: &Hive) -> Hive {
        let broker = match &self.store {
            Store::Sqlite(_) => return Hive::new(Arc::clone(&hive.broker)),
            Store::Redis(_) => self.open(hive.broker.settings().clone()),
        };
        let hive = Hive::new(broker);
        hive.is_there().await;
        hive
    }

    fn open(&self, settings: Settings) -> Arc<dyn Broker> {
        match &self.store {
            Store::Sqlite(dir) => {
                let path = dir.path().join("hive.db");
                Arc::new(SqliteBroker::open(&path, Durability::Process, settings).expect("opens"))
            }
            Store::Redis(server) => {
                Arc::new(RedisBroker::new(RedisSettings::new(server.url()), settings).expect("starts"))
            }
        }
    }
}
