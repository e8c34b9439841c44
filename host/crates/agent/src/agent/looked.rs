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
    known: Mutex<Known>,
}

struct Known {
    ports: Ports,
    /// Whether there is something that is not on the disk: most looks find what the one before found, and write nothing.
    is_new: bool,
}

impl Looked {
    pub(super) fn open(journal: Journal) -> std::io::Result<Self> {
        Ok(Self {
            known: Mutex::new(Known {
                ports: journal.read()?,
                is_new: false,
            }),
            journal,
        })
    }

    /// Ports of a thing that were looked at last.
    pub(super) async fn ports(&self, thing: &str) -> BTreeSet<u64> {
        self.known.lock().await.ports.get(thing).cloned().unwrap_or_default()
    }

    /// From now on, each of these things was looked at with these ports open.
    pub(super) async fn remember(&self, things: Vec<(String, BTreeSet<u64>)>) {
        let mut known = self.known.lock().await;
        let Known { ports, is_new } = &mut *known;
        for (thing, open) in things {
            if open.is_empty() {
                *is_new |= ports.remove(&thing).is_some();
            } else if ports.len() < MOST || ports.contains_key(&thing) {
                *is_new |= ports.get(&thing) != Some(&open);
                ports.insert(thing, open);
            }
        }
        if !*is_new {
            return;
        }
        match self.journal.write(&*ports).await {
            Ok(()) => *is_new = false,
            Err(error) => tracing::error!(%error, "which ports were looked at cannot be written down"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::RealDisk;

    #[tokio::test]
    async fn what_was_found_before_is_not_written_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(FILE);
        let open = || Looked::open(Journal::new(path.clone(), Arc::new(RealDisk))).unwrap();
        let looked = open();
        let things = |ports: &[u64]| vec![("home 10.0.0.1".to_owned(), ports.iter().copied().collect())];
        looked.remember(things(&[22, 80])).await;
        assert_eq!(open().ports("home 10.0.0.1").await, [22, 80].into());
        std::fs::remove_file(&path).unwrap();
        looked.remember(things(&[22, 80])).await;
        assert!(!path.exists());
        looked.remember(things(&[22])).await;
        assert_eq!(open().ports("home 10.0.0.1").await, [22].into());
        looked.remember(things(&[])).await;
        assert_eq!(open().ports("home 10.0.0.1").await, [].into());
    }

    #[tokio::test]
    async fn what_could_not_be_written_is_written_the_next_time() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("away").join(FILE);
        let looked = Looked::open(Journal::new(path.clone(), Arc::new(RealDisk))).unwrap();
        let things = || vec![("home 10.0.0.1".to_owned(), [22].into())];
        looked.remember(things()).await;
        assert!(!path.exists());
        std::fs::create_dir(directory.path().join("away")).unwrap();
        looked.remember(things()).await;
        assert!(path.exists());
    }
}
