//! Opening an outbox: finds what waits, and mends what a crash left.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

use super::dead::DeadLetters;
use super::error::OutboxError;
use super::queue::Queue;
use super::record::{NewerVersion, Scan, scan};
use super::segments::{Name, Segment, Segments};
use super::settings::OutboxSettings;
use super::settled::{ENTRY, Outcome, Settled, read_all};
use super::store::{DiskLockHolder, Store};
use super::tally::{TALLY_FILE, TallyFile};
use crate::disk::{DRAFT, Disk};

impl Store {
    pub(super) fn open(directory: &Path, settings: OutboxSettings, disk: Arc<dyn Disk>) -> Result<Self, OutboxError> {
        settings.check().map_err(|why| OutboxError::Settings { why })?;
        let failed = |source| OutboxError::Disk {
            directory: directory.to_owned(),
            doing: "opened",
            source,
        };
        disk.make_directory(directory).map_err(failed)?;
        let Some(lock) = disk.lock(directory).map_err(failed)? else {
            return Err(OutboxError::InUse {
                directory: directory.to_owned(),
            });
        };
        let tally = read_tally(directory, disk.as_ref()).map_err(failed)?;
        let dead = DeadLetters::open(directory, disk.as_ref()).map_err(failed)?;
        let mut store = Self {
            directory: directory.to_owned(),
            disk,
            settings,
            queue: Queue::default(),
            segments: Segments::default(),
            next_seq: 1,
            tally,
            owed: Vec::new(),
            dead,
            _lock: DiskLockHolder(lock),
        };
        store.find_segments()?;
        store.mend();
        Ok(store)
    }

    fn find_segments(&mut self) -> Result<(), OutboxError> {
        let failed = |source| OutboxError::Disk {
            directory: self.directory.clone(),
            doing: "opened",
            source,
        };
        let (mut batches, mut endings) = (Vec::new(), Vec::new());
        for name in self.disk.list(&self.directory).map_err(failed)? {
            match Name::read(&name) {
                Some(Name::Batches(id)) => batches.push(id),
                Some(Name::Endings(id)) => endings.push(id),
                None if name.ends_with(DRAFT) => self.disk.remove(&self.directory.join(name)).map_err(failed)?,
                None => {}
            }
        }
        let ids = batches.iter().chain(&endings).chain(&self.tally.folded);
        self.segments.next_id = ids.max().map_or(1, |highest| highest.saturating_add(1));
        // endings of what is gone
        for id in endings.iter().filter(|id| !batches.contains(id)) {
            self.disk
                .remove(&Name::Endings(*id).path(&self.directory))
                .map_err(failed)?;
        }
        batches.sort_unstable();
        let last = batches.last().copied();
        for id in batches {
            if self.tally.folded.contains(&id) {
                // it was about to be removed, and counted
                self.segments.all.insert(id, Segment::default());
            } else {
                self.find_batches(id, last == Some(id))?;
            }
        }
        Ok(())
    }

    fn find_batches(&mut self, id: u64, last: bool) -> Result<(), OutboxError> {
        let path = Name::Batches(id).path(&self.directory);
        let beside = Name::Endings(id).path(&self.directory);
        let read = |path: &Path| -> Result<Vec<u8>, OutboxError> {
            let read = self.disk.read(path).map_err(|source| OutboxError::Disk {
                directory: self.directory.clone(),
                doing: "read",
                source,
            })?;
            Ok(read.unwrap_or_default())
        };
        let bytes = read(&path)?;
        let done = read(&beside)?;
        let scan = scan(&bytes, last).map_err(|NewerVersion(version)| OutboxError::NewerVersion {
            path: path.clone(),
            version,
        })?;
        self.next_seq = self.next_seq.max(scan.last_seq.saturating_add(1));
        let mut segment = Segment {
            length: scan.end,
            done: (done.len() - done.len() % ENTRY) as u64,
            ..Segment::default()
        };
        let mut endings = BTreeMap::new();
        for ending in read_all(&done) {
            endings.entry(ending.seq).or_insert(ending);
        }
        self.take_damaged(id, &scan, &endings, &mut segment);
        for (head, body_at) in &scan.records {
            let ending = endings.get(&head.seq);
            match ending.filter(|ending| ending.fragment == head.key.fragment()) {
                Some(ending) => segment.tally.count(ending.outcome),
                None => {
                    segment.live = segment.live.saturating_add(1);
                    self.queue.add(*head, id, *body_at);
                }
            }
        }
        let cut = self.cut_off(&path, &scan, bytes.len() as u64);
        if last && cut && scan.whole_header && segment.live > 0 && scan.damaged.is_empty() {
            self.segments.active = Some(id);
        }
        self.segments.all.insert(id, segment);
        Ok(())
    }

    /// Counts records that can no longer be read, once.
    fn take_damaged(&mut self, id: u64, scan: &Scan, endings: &BTreeMap<u64, Settled>, segment: &mut Segment) {
        for seq in &scan.damaged {
            match endings.get(seq) {
                Some(ending) => segment.tally.count(ending.outcome),
                None => {
                    tracing::error!(segment = id, seq, "a batch in the outbox is damaged and is lost");
                    segment.tally.count(Outcome::Damaged);
                    self.owed.push((id, Settled::new(*seq, None, Outcome::Damaged)));
                }
            }
        }
    }

    /// Cuts off what a crash left half written. Whether the file ends where its records do.
    fn cut_off(&mut self, path: &Path, scan: &Scan, length: u64) -> bool {
        if length == scan.end {
            return true;
        }
        tracing::warn!(path = %path.display(), bytes = length.saturating_sub(scan.end),
            "the end of a segment of the outbox was half written, as after a crash; it was cut off");
        self.tally.base.torn = self.tally.base.torn.saturating_add(1);
        self.disk.truncate(path, scan.end).is_ok()
    }

    /// What finding led to is written down; a disk that takes nothing now takes it later.
    fn mend(&mut self) {
        let torn = self.tally.base.torn;
        let mended = self
            .pay()
            .and_then(|()| self.sweep())
            .and_then(|()| if torn > 0 { self.keep_tally() } else { Ok(()) });
        if let Err(error) = mended {
            tracing::warn!(%error, directory = %self.directory.display(), "the outbox can be read but not written");
        }
    }
}

fn read_tally(directory: &Path, disk: &dyn Disk) -> io::Result<TallyFile> {
    let path = directory.join(TALLY_FILE);
    let Some(bytes) = disk.read(&path)? else {
        return Ok(TallyFile::default());
    };
    Ok(serde_json::from_slice(&bytes).unwrap_or_else(|error| {
        tracing::error!(%error, path = %path.display(), "what the outbox lost so far is no longer known; it counts from zero");
        TallyFile::default()
    }))
}
