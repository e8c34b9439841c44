//! The fleet itself: its database, its settings, and what heartbeats said that is not written down yet.

use std::collections::HashSet;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;
use venom_protocol::{AgentId, Event, Timestamp};

use crate::agents::Pulses;
use crate::{Database, FleetError, FleetSettings};

/// The fleet. Cheap to clone: all clones are the same one.
#[derive(Debug, Clone)]
pub struct Fleet {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    database: Database,
    settings: FleetSettings,
    pulses: Pulses,
    /// Agents of which it was said that their scans come late: no more than there are agents.
    late: Mutex<HashSet<AgentId>>,
}

impl Fleet {
    /// Opens, makes and migrates the database at `url`: `sqlite:PATH` or `postgres://…`.
    ///
    /// # Errors
    /// As [`Database::open`].
    pub async fn open(url: &str, settings: FleetSettings) -> Result<Self, FleetError> {
        let inner = Inner {
            database: Database::open(url).await?,
            settings,
            pulses: Pulses::default(),
            late: Mutex::default(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Writes down what heartbeats said last, and closes the database.
    pub async fn close(&self) {
        self.flush_last().await;
        self.inner.database.close().await;
    }

    /// Its database.
    pub(crate) fn database(&self) -> &Database {
        &self.inner.database
    }

    /// What it was told.
    pub(crate) fn settings(&self) -> &FleetSettings {
        &self.inner.settings
    }

    /// What heartbeats said that is not written down yet.
    pub(crate) fn pulses(&self) -> &Pulses {
        &self.inner.pulses
    }

    /// Whether nothing was said yet of an agent's scans coming late. It is now.
    pub(crate) fn is_first_late(&self, agent: &AgentId) -> bool {
        let mut late = self.inner.late.lock().unwrap_or_else(PoisonError::into_inner);
        late.insert(agent.clone())
    }
}

/// An answer, and what happened on the way to it.
pub struct Outcome<T> {
    /// For whoever asked. May hold a token in the plain.
    pub answer: T,
    /// For all who listen; to be published once the answer is on its way.
    pub events: Vec<Event>,
}

impl<T> Outcome<T> {
    /// An answer; nothing happened.
    pub(crate) const fn quiet(answer: T) -> Self {
        let events = Vec::new();
        Self { answer, events }
    }

    /// An answer to one thing that happened.
    pub(crate) fn told(answer: T, event: Event) -> Self {
        let events = vec![event];
        Self { answer, events }
    }
}

impl<T> fmt::Debug for Outcome<T> {
    /// Without the answer: it may hold a token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outcome")
            .field("events", &self.events)
            .finish_non_exhaustive()
    }
}

/// Something that happened, at the time the caller says it is.
pub(crate) fn event(kind: &str, message: String, data: Value, now: Timestamp) -> Event {
    Event {
        kind: kind.to_owned(),
        message,
        data,
        timestamp: now,
    }
}
