//! The files of waiting batches: `<id>.box`, and beside each `<id>.done` with what became of its records. Knows who holds what and how
//! many bytes there are; the store says what is written.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use super::settled::{ENTRY, Settled};
use super::tally::OutboxTally;
use crate::disk::Disk;

/// One file of batches.
#[derive(Debug, Default)]
pub(super) struct Segment {
    /// Bytes of it that are good.
    pub(super) length: u64,
    /// Bytes of the file beside it that are good.
    pub(super) done: u64,
    /// Batches in it that wait.
    pub(super) live: u64,
    /// How the others ended.
    pub(super) tally: OutboxTally,
}

/// All of them, by id; a higher one is newer.
#[derive(Debug, Default)]
pub(super) struct Segments {
    pub(super) all: BTreeMap<u64, Segment>,
    /// The one that is written to.
    pub(super) active: Option<u64>,
    pub(super) next_id: u64,
}

/// What a file of the directory is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Name {
    Batches(u64),
    Endings(u64),
}

impl Name {
    pub(super) fn read(name: &str) -> Option<Self> {
        let (id, suffix) = name.split_once('.')?;
        let id = u64::from_str_radix(id, 16).ok().filter(|_| id.len() == 16)?;
        match suffix {
            "box" => Some(Self::Batches(id)),
            "done" => Some(Self::Endings(id)),
            _ => None,
        }
    }

    pub(super) fn path(self, directory: &Path) -> PathBuf {
        directory.join(match self {
            Self::Batches(id) => format!("{id:016x}.box"),
            Self::Endings(id) => format!("{id:016x}.done"),
        })
    }
}

impl Segments {
    /// Bytes of all files.
    pub(super) fn bytes(&self) -> u64 {
        let sizes = self
            .all
            .values()
            .map(|segment| segment.length.saturating_add(segment.done));
        sizes.fold(0, u64::saturating_add)
    }

    /// Writes down how records of one segment ended, those that were not written down before.
    pub(super) fn settle(&mut self, id: u64, endings: &[Settled], directory: &Path, disk: &dyn Disk) -> io::Result<()> {
        let Some(segment) = self.all.get_mut(&id) else {
            return Ok(());
        };
        let mut bytes = Vec::with_capacity(endings.len().saturating_mul(ENTRY));
        endings.iter().for_each(|ending| ending.write(&mut bytes));
        disk.write_at(&Name::Endings(id).path(directory), segment.done, &bytes)?;
        if segment.done == 0 {
            disk.sync_directory(directory)?;
        }
        segment.done = segment.done.saturating_add(bytes.len() as u64);
        Ok(())
    }

    /// Removes the files of a segment. Those of its records that ended do not come back: the batches go first, for good.
    pub(super) fn remove(&mut self, id: u64, directory: &Path, disk: &dyn Disk) -> io::Result<()> {
        disk.remove(&Name::Batches(id).path(directory))?;
        disk.sync_directory(directory)?;
        disk.remove(&Name::Endings(id).path(directory))?;
        self.all.remove(&id);
        Ok(())
    }

    /// Those in which nothing waits and nothing is written.
    pub(super) fn spent(&self) -> Vec<u64> {
        let spent = self
            .all
            .iter()
            .filter(|(id, segment)| segment.live == 0 && self.active != Some(**id));
        spent.map(|(id, _)| *id).collect()
    }

    /// Writes go to a new one from now on.
    pub(super) fn roll(&mut self) {
        self.active = None;
    }
}
