//! Keeping trust and ledger on disk, and what was decided in the audit log. The one place that writes; everything is
//! written before it is acted upon.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;
use venom_audit::{AuditLog, Event};
use venom_bundle::{Channel, StateError, TrustState, TrustedRoot};

use super::disk::Disk;
use super::ledger::Ledger;
use super::{UpdateError, UpdateSettings};

const LEDGER: &str = "ledger.json";
const AUDIT: &str = "audit.jsonl";
/// Events that wait for a disk that takes none; the oldest are dropped first, and counted.
const MOST_EVENTS: usize = 1_000;

/// See the module. Clones share the audit log.
#[derive(Debug, Clone)]
pub(super) struct Keeper {
    pub(super) disk: Disk,
    trust_name: String,
    /// Opened for each batch: a process may hold ten thousand updaters.
    log: Arc<Path>,
    unwritten: Arc<Mutex<Unwritten>>,
}

/// Events that are not in the log yet.
#[derive(Debug, Default)]
struct Unwritten {
    events: Vec<Event>,
    dropped: u64,
}

impl Keeper {
    pub(super) fn open(settings: &UpdateSettings) -> Result<Self, UpdateError> {
        let disk = Disk::open(&settings.directory).map_err(|source| UpdateError::Directory {
            path: settings.directory.clone(),
            source,
        })?;
        let log = settings.directory.join(AUDIT);
        AuditLog::open(&log).map_err(|error| UpdateError::Directory {
            path: error.path,
            source: error.source,
        })?;
        Ok(Self {
            disk,
            trust_name: trust_name(&settings.channel),
            log: log.into(),
            unwritten: Arc::default(),
        })
    }

    /// What was trusted before, or the operator's root to begin with. `None`: there is neither.
    ///
    /// A damaged file is an error and not a new beginning: forgetting what is newest is what an attacker would want.
    pub(super) fn trust(&self, settings: &UpdateSettings) -> Result<Option<TrustState>, UpdateError> {
        let damaged = |problem: String| UpdateError::Damaged {
            path: settings.directory.join(&self.trust_name),
            problem,
        };
        let pinned = settings.root.as_ref().map(|text| TrustedRoot::pin(text.as_bytes()));
        let pinned = pinned.transpose().map_err(|source| UpdateError::Root {
            source: Box::new(source),
        })?;
        let kept = self
            .disk
            .read(&self.trust_name)
            .map_err(|error| damaged(error.to_string()))?;
        let Some(kept) = kept else {
            return Ok(pinned.map(|root| TrustState::new(root, settings.channel.clone())));
        };
        let mut state = TrustState::from_bytes(&kept).map_err(|error: StateError| damaged(error.to_string()))?;
        match pinned {
            Some(root) if root.root().swarm_id != state.root().root().swarm_id => Err(UpdateError::OtherSwarm {
                path: settings.directory.clone(),
                kept: state.root().root().swarm_id.to_string(),
                pinned: root.root().swarm_id.to_string(),
            }),
            Some(root) => {
                // an operator who puts a newer root there means it
                let taken = state.repin(root);
                taken.map_err(|error| UpdateError::Contradiction {
                    problem: error.to_string(),
                })?;
                Ok(Some(state))
            }
            None => Ok(Some(state)),
        }
    }

    pub(super) fn ledger(&self, settings: &UpdateSettings) -> Result<Ledger, UpdateError> {
        let damaged = |problem: String| UpdateError::Damaged {
            path: settings.directory.join(LEDGER),
            problem,
        };
        let kept = self.disk.read(LEDGER).map_err(|error| damaged(error.to_string()))?;
        kept.map_or_else(|| Ok(Ledger::default()), |bytes| Ledger::parse(&bytes).map_err(damaged))
    }

    pub(super) async fn keep_trust(&self, trust: &TrustState) -> io::Result<()> {
        self.write(self.trust_name.clone(), trust.to_bytes()).await
    }

    pub(super) async fn keep_ledger(&self, ledger: &Ledger) -> io::Result<()> {
        self.write(LEDGER.to_owned(), ledger.to_bytes()).await
    }

    async fn write(&self, name: String, bytes: Vec<u8>) -> io::Result<()> {
        let disk = self.disk.clone();
        let writing = tokio::task::spawn_blocking(move || disk.write(&name, &bytes));
        writing.await.unwrap_or_else(|panicked| Err(io::Error::other(panicked)))
    }

    /// Notes a decision, for the audit log.
    pub(super) fn audit(&self, event: &'static str, facts: Value) {
        tracing::info!(target: "venom::audit", event, %facts);
        let mut unwritten = self.unwritten.lock().unwrap_or_else(PoisonError::into_inner);
        unwritten.events.push(Event::now(event, facts));
        let over = unwritten.events.len().saturating_sub(MOST_EVENTS);
        unwritten.events.drain(..over);
        unwritten.dropped += over as u64;
    }

    /// Writes what was noted. What the disk does not take waits for the next time.
    pub(super) async fn write_audit(&self) {
        let Unwritten { mut events, dropped } =
            std::mem::take(&mut *self.unwritten.lock().unwrap_or_else(PoisonError::into_inner));
        if events.is_empty() {
            return;
        }
        if dropped > 0 {
            let lost = Event::now("audit_lines_dropped", serde_json::json!({ "count": dropped }));
            events.insert(0, lost);
        }
        let log = Arc::clone(&self.log);
        let writing = tokio::task::spawn_blocking(move || {
            let written = AuditLog::open(&log).and_then(|log| log.append_all(&events).map(|_| ()));
            (written, events)
        });
        if let Ok((Err(error), mut events)) = writing.await {
            tracing::error!(%error, "audit log cannot be written");
            let mut unwritten = self.unwritten.lock().unwrap_or_else(PoisonError::into_inner);
            events.append(&mut unwritten.events);
            unwritten.events = events;
        }
    }
}

/// One file for each channel: coming back to a channel must not make its old releases new.
fn trust_name(channel: &Channel) -> String {
    format!("trust-{channel}.json")
}
