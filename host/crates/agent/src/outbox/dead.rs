//! Batches the nexus will never take, for people to look at: `dead/<key>.json`, bounded in number and bytes.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::value::RawValue;
use venom_protocol::Timestamp;

use super::batch::{BatchKey, BatchKind};
use super::settings::OutboxSettings;
use crate::disk::{DRAFT, Disk};

/// One of them.
#[derive(Serialize)]
pub(super) struct Letter<'a> {
    pub(super) key: BatchKey,
    pub(super) kind: BatchKind,
    pub(super) put_at: Timestamp,
    pub(super) refused_at: Timestamp,
    pub(super) why: &'a str,
    pub(super) body: Option<&'a RawValue>,
    /// Only when it is no JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) text: Option<&'a str>,
}

/// The directory.
#[derive(Debug)]
pub(super) struct DeadLetters {
    directory: PathBuf,
    /// Name and size; keys sort by their time.
    kept: BTreeMap<String, u64>,
}

impl DeadLetters {
    pub(super) fn open(outbox: &Path, disk: &dyn Disk) -> io::Result<Self> {
        let directory = outbox.join("dead");
        disk.make_directory(&directory)?;
        let mut kept = BTreeMap::new();
        for name in disk.list(&directory)? {
            if name.ends_with(DRAFT) {
                disk.remove(&directory.join(&name))?;
            } else if name.ends_with(".json") {
                let length = disk.length(&directory.join(&name))?.unwrap_or_default();
                kept.insert(name, length);
            }
        }
        Ok(Self { directory, kept })
    }

    /// Keeps one, and lets the oldest go for it.
    pub(super) fn keep(&mut self, letter: &Letter<'_>, settings: &OutboxSettings, disk: &dyn Disk) -> io::Result<()> {
        let bytes = serde_json::to_vec(letter).map_err(io::Error::other)?;
        let (name, length) = (format!("{}.json", letter.key), bytes.len() as u64);
        self.kept.remove(&name);
        while self.kept.len() as u64 >= settings.dead_letters.max(1)
            || self.kept.values().sum::<u64>().saturating_add(length) > settings.dead_bytes()
        {
            let Some((oldest, _)) = self.kept.pop_first() else {
                break;
            };
            disk.remove(&self.directory.join(oldest))?;
        }
        if settings.dead_letters == 0 {
            return Ok(());
        }
        disk.replace(&self.directory.join(&name), &bytes)?;
        self.kept.insert(name, length);
        Ok(())
    }

    /// Bytes of all.
    pub(super) fn bytes(&self) -> u64 {
        self.kept.values().sum()
    }
}
