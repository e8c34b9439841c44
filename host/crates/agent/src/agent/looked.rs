//! Which ports the shield skill looked at last. One that has closed since is looked at once more: only a look that finds nobody
//! there ends what was found there.

use std::collections::{BTreeMap, BTreeSet};

use tokio::sync::Mutex;

use crate::journal::Journal;

/// The journal's name in the data directory.
pub(super) const FILE: &str = "agent-looked.json";

/// Most things that are remembered; a look at more forgets which ports those had.
const MOST: usize = 65_536;

type Ports = BTreeMap<String, BTreeSet<u64>>;

/// See the module.
pub(super) struct Looked {
    journal: Journal,
    known: Mutex<Ports>,
}

impl Looked {
    pub(super) fn open(journal: Journal) -> std::io::Result<Self> {
        Ok(Self {
            known: Mutex::new(journal.read()?),
            journal,
        })
    }

    /// Ports of a thing that were looked at last.
    pub(super) async fn ports(&self, thing: &str) -> BTreeSet<u64> {
        self.known.lock().await.get(thing).cloned().unwrap_or_default()
    }

    /// From now on, each of these things was looked at with these ports open.
    pub(super) async fn remember(&self, things: Vec<(String, BTreeSet<u64>)>) {
        let mut known = self.known.lock().await;
        for (thing, open) in things {
            if open.is_empty() {
                known.remove(&thing);
            } else if known.len() < MOST || known.contains_key(&thing) {
                known.insert(thing, open);
            }
        }
        if let Err(error) = self.journal.write(&*known).await {
            tracing::error!(%error, "which ports were looked at cannot be written down");
        }
    }
}
