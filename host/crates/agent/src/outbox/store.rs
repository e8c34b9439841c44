//! The outbox behind its lock: every change of files and queue together. Knows no clock but what it is told.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::value::RawValue;
use venom_protocol::Timestamp;

use super::batch::{Batch, BatchKey, BatchKind};
use super::dead::{DeadLetters, Letter};
use super::error::PutError;
use super::queue::{Queue, Waiting};
use super::record::{Head, RECORD_HEADER, SEGMENT_HEADER, crc32c, write_record, write_segment_header};
use super::segments::{Name, Segment, Segments};
use super::settings::{OutboxSettings, WhenFull};
use super::settled::{ENTRY, Outcome, Settled};
use super::tally::{OutboxReport, OutboxTally, TALLY_FILE, TallyFile};
use crate::disk::{Disk, DiskLock};

/// How long a batch the disk would not give waits for its next turn.
const UNREADABLE_PAUSE: Duration = Duration::from_secs(60);

/// See the module.
#[derive(Debug)]
pub(super) struct Store {
    pub(super) directory: PathBuf,
    pub(super) disk: Arc<dyn Disk>,
    pub(super) settings: OutboxSettings,
    pub(super) queue: Queue,
    pub(super) segments: Segments,
    pub(super) next_seq: u64,
    pub(super) tally: TallyFile,
    /// Endings that are not on the disk yet, by segment.
    pub(super) owed: Vec<(u64, Settled)>,
    pub(super) dead: DeadLetters,
    pub(super) _lock: DiskLockHolder,
}

/// Held as long as the store is.
pub(super) struct DiskLockHolder(pub(super) DiskLock);

impl std::fmt::Debug for DiskLockHolder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let _ = &self.0;
        f.write_str("DiskLockHolder")
    }
}

impl Store {
    pub(super) fn put(&mut self, kind: BatchKind, body: &[u8], now: Timestamp) -> Result<BatchKey, PutError> {
        let (bytes, most) = (body.len() as u64, self.settings.largest_batch());
        let put = if bytes > most {
            Err(PutError::TooLarge { bytes, most })
        } else if std::str::from_utf8(body).is_err() {
            Err(PutError::NotText)
        } else {
            self.make_room(bytes).and_then(|()| self.append(kind, body, now))
        };
        let (tally, waiting) = (&mut self.tally.base, self.queue.len());
        match &put {
            Ok(_) => return put,
            Err(PutError::Dropped { .. }) => tally.dropped = tally.dropped.saturating_add(1),
            Err(PutError::Full { .. } | PutError::TooLarge { .. } | PutError::NotText) => {
                tally.refused = tally.refused.saturating_add(1);
            }
            Err(PutError::Disk { .. }) => tally.failed = tally.failed.saturating_add(1),
        }
        // a disk that is full takes this no more; it is in memory until it does
        if let Err(error) = self.keep_tally() {
            tracing::debug!(%error, waiting, "the tally of the outbox is not on the disk yet");
        }
        put
    }

    fn disk_full(&self, source: io::Error) -> PutError {
        PutError::Disk {
            directory: self.directory.clone(),
            source,
        }
    }

    /// Room for a body, by dropping others when that is how it is set.
    fn make_room(&mut self, body: u64) -> Result<(), PutError> {
        let needed = body.saturating_add((SEGMENT_HEADER + RECORD_HEADER + ENTRY) as u64);
        let too_many = |store: &Self| store.queue.len() >= store.settings.max_batches;
        let too_large = |store: &Self| store.segments.bytes().saturating_add(needed) > store.settings.max_bytes;
        if !too_many(self) && !too_large(self) {
            return Ok(());
        }
        let empty = |segment: &Segment| segment.live == 0;
        if self
            .segments
            .active
            .is_some_and(|id| self.segments.all.get(&id).is_some_and(empty))
        {
            self.segments.roll();
        }
        self.sweep().map_err(|source| self.disk_full(source))?;
        while too_many(self) || too_large(self) {
            let waiting = self.queue.len();
            match self.settings.when_full {
                WhenFull::Newest => return Err(PutError::Dropped { waiting }),
                WhenFull::Refuse => return Err(PutError::Full { waiting }),
                WhenFull::Oldest => {}
            }
            let Some(oldest) = self.queue.oldest_idle() else {
                return Err(PutError::Full { waiting });
            };
            let dropped = if too_large(self) {
                self.drop_segment(oldest.segment)
            } else {
                self.drop_these(&[oldest])
            };
            dropped.map_err(|source| self.disk_full(source))?;
        }
        Ok(())
    }

    /// Drops all of a segment that are not being sent. They are gone when that is on the disk, and not before.
    fn drop_segment(&mut self, id: u64) -> io::Result<()> {
        if self.segments.active == Some(id) {
            self.segments.roll();
        }
        let idle = self.queue.idle_of(id);
        let all = self
            .segments
            .all
            .get(&id)
            .is_some_and(|segment| segment.live == idle.len() as u64);
        if !all {
            return self.drop_these(&idle);
        }
        self.fold(id, idle.len() as u64)?;
        for waiting in idle {
            self.queue.remove(waiting.head.seq);
        }
        if let Some(segment) = self.segments.all.get_mut(&id) {
            segment.live = 0;
        }
        self.sweep()
    }

    fn drop_these(&mut self, these: &[Waiting]) -> io::Result<()> {
        for waiting in these {
            let ending = Settled::new(waiting.head.seq, Some(&waiting.head.key), Outcome::Dropped);
            let (id, disk) = (waiting.segment, Arc::clone(&self.disk));
            self.segments.settle(id, &[ending], &self.directory, disk.as_ref())?;
            self.forget(waiting, Outcome::Dropped);
        }
        self.sweep()
    }

    /// Takes a batch that ended off the queue.
    fn forget(&mut self, waiting: &Waiting, outcome: Outcome) {
        self.queue.remove(waiting.head.seq);
        if let Some(segment) = self.segments.all.get_mut(&waiting.segment) {
            segment.live = segment.live.saturating_sub(1);
            segment.tally.count(outcome);
        }
    }

    fn append(&mut self, kind: BatchKind, body: &[u8], now: Timestamp) -> Result<BatchKey, PutError> {
        let head = Head {
            seq: self.next_seq,
            key: BatchKey::new(),
            kind,
            at: now,
            length: u32::try_from(body.len()).unwrap_or(u32::MAX),
            body_crc: crc32c(body),
        };
        // a number that may be on the disk is never given again
        self.next_seq = self.next_seq.saturating_add(1);
        let record = (RECORD_HEADER + body.len()) as u64;
        let full = |segment: &Segment| segment.length.saturating_add(record) > self.settings.segment_bytes();
        let active = self.segments.active;
        if active.is_some_and(|id| self.segments.all.get(&id).is_none_or(full)) {
            self.segments.roll();
            // what is spent now goes; if it cannot go now, it goes later
            let _ = self.sweep();
        }
        let written = match self.segments.active {
            Some(id) => self.append_to(id, &head, body),
            None => self.begin_segment(&head, body),
        };
        written.map_err(|source| self.disk_full(source))?;
        Ok(head.key)
    }

    fn append_to(&mut self, id: u64, head: &Head, body: &[u8]) -> io::Result<()> {
        let path = Name::Batches(id).path(&self.directory);
        let Some(segment) = self.segments.all.get_mut(&id) else {
            return Err(io::ErrorKind::NotFound.into());
        };
        let mut bytes = Vec::with_capacity(RECORD_HEADER.saturating_add(body.len()));
        write_record(&mut bytes, head, body);
        if let Err(error) = self.disk.write_at(&path, segment.length, &bytes) {
            // nothing is written behind what may be half there: its numbers would not be in a row. Cut off, or left for the next start
            let _ = self.disk.truncate(&path, segment.length);
            self.segments.roll();
            return Err(error);
        }
        let body_at = segment.length.saturating_add(RECORD_HEADER as u64);
        segment.length = segment.length.saturating_add(bytes.len() as u64);
        segment.live = segment.live.saturating_add(1);
        self.queue.add(*head, id, body_at);
        Ok(())
    }

    fn begin_segment(&mut self, head: &Head, body: &[u8]) -> io::Result<()> {
        let id = self.segments.next_id;
        self.segments.next_id = id.saturating_add(1);
        let path = Name::Batches(id).path(&self.directory);
        let mut bytes = Vec::with_capacity((SEGMENT_HEADER + RECORD_HEADER).saturating_add(body.len()));
        write_segment_header(&mut bytes, id, head.seq);
        write_record(&mut bytes, head, body);
        let written = self.disk.write_at(&path, 0, &bytes);
        if let Err(error) = written.and_then(|()| self.disk.sync_directory(&self.directory)) {
            // best effort: the next start clears it away, or finds the batch whole and sends it
            let _ = self.disk.remove(&path);
            return Err(error);
        }
        let segment = Segment {
            length: bytes.len() as u64,
            live: 1,
            ..Segment::default()
        };
        self.segments.all.insert(id, segment);
        self.segments.active = Some(id);
        self.queue.add(*head, id, (SEGMENT_HEADER + RECORD_HEADER) as u64);
        Ok(())
    }

    /// Whose turn it is. Batches that can no longer be read are counted and passed over.
    pub(super) fn next(&mut self, wall: Timestamp, steady: Duration) -> Option<Batch> {
        loop {
            let waiting = self.queue.next(wall, steady)?;
            let Head {
                key, kind, at, length, ..
            } = waiting.head;
            let path = Name::Batches(waiting.segment).path(&self.directory);
            match self.disk.read_at(&path, waiting.body_at, length as usize) {
                Ok(body) if crc32c(&body) == waiting.head.body_crc => {
                    let tries = waiting.tries;
                    return Some(Batch {
                        key,
                        kind,
                        at,
                        tries,
                        body,
                    });
                }
                Ok(_) => {
                    tracing::error!(%key, path = %path.display(), "a batch in the outbox is damaged and is lost");
                    if let Err(error) = self.settle(&waiting, Outcome::Damaged) {
                        tracing::warn!(%error, "the outbox cannot be written");
                    }
                }
                Err(error) => {
                    tracing::error!(%key, %error, path = %path.display(), "a batch in the outbox cannot be read now");
                    self.queue.postpone(&key, steady.saturating_add(UNREADABLE_PAUSE));
                }
            }
        }
    }

    pub(super) fn done(&mut self, key: &BatchKey) -> io::Result<()> {
        match self.queue.find(key) {
            Some(waiting) => self.settle(&waiting, Outcome::Delivered),
            None => Ok(()),
        }
    }

    pub(super) fn refuse(&mut self, key: &BatchKey, why: &str, now: Timestamp) -> io::Result<()> {
        let Some(waiting) = self.queue.find(key) else {
            return Ok(());
        };
        let path = Name::Batches(waiting.segment).path(&self.directory);
        let body = self
            .disk
            .read_at(&path, waiting.body_at, waiting.head.length as usize)?;
        let raw: Option<&RawValue> = serde_json::from_slice(&body).ok();
        let text = std::str::from_utf8(&body).ok().filter(|_| raw.is_none());
        let letter = Letter {
            key: *key,
            kind: waiting.head.kind,
            put_at: waiting.head.at,
            refused_at: now,
            why,
            body: raw,
            text,
        };
        self.dead.keep(&letter, &self.settings, self.disk.as_ref())?;
        self.settle(&waiting, Outcome::Dead)
    }

    /// Ends a batch: it has no further turn, even when that cannot be written down now. It is written down with the next.
    fn settle(&mut self, waiting: &Waiting, outcome: Outcome) -> io::Result<()> {
        self.forget(waiting, outcome);
        let ending = Settled::new(waiting.head.seq, Some(&waiting.head.key), outcome);
        self.owed.push((waiting.segment, ending));
        let swept = self.sweep();
        self.pay().and(swept)
    }

    /// Writes down the endings that are not on the disk.
    pub(super) fn pay(&mut self) -> io::Result<()> {
        while let Some((id, _)) = self.owed.first().copied() {
            let of_it = self.owed.iter().filter(|(of, _)| *of == id);
            let endings: Vec<Settled> = of_it.map(|(_, ending)| *ending).collect();
            self.segments
                .settle(id, &endings, &self.directory, self.disk.as_ref())?;
            self.owed.retain(|(of, _)| *of != id);
        }
        Ok(())
    }

    /// Removes segments in which nothing waits. One that cannot be removed now does not keep the others: what they free may be what it
    /// lacks. Answers the first error.
    pub(super) fn sweep(&mut self) -> io::Result<()> {
        let mut swept = Ok(());
        for id in self.segments.spent() {
            swept = swept.and(self.sweep_one(id));
        }
        swept
    }

    fn sweep_one(&mut self, id: u64) -> io::Result<()> {
        self.fold(id, 0)?;
        self.segments.remove(id, &self.directory, self.disk.as_ref())?;
        self.owed.retain(|(of, _)| *of != id);
        Ok(())
    }

    /// Takes what a segment says of lost batches into the tally, and `dropped` more: from now on the segment only waits to be removed.
    fn fold(&mut self, id: u64, dropped: u64) -> io::Result<()> {
        let Some(segment) = self.segments.all.get(&id) else {
            return Ok(());
        };
        let mut share = segment.tally;
        share.dropped = share.dropped.saturating_add(dropped);
        if share == OutboxTally::default() {
            return Ok(());
        }
        let before = self.tally.clone();
        self.tally.base.add(&share);
        self.tally.folded.push(id);
        if let Err(error) = self.keep_tally() {
            self.tally = before;
            return Err(error);
        }
        if let Some(segment) = self.segments.all.get_mut(&id) {
            segment.tally = OutboxTally::default();
        }
        Ok(())
    }

    pub(super) fn keep_tally(&mut self) -> io::Result<()> {
        self.tally.folded.retain(|id| self.segments.all.contains_key(id));
        let bytes = serde_json::to_vec(&self.tally).map_err(io::Error::other)?;
        self.disk.replace(&self.directory.join(TALLY_FILE), &bytes)
    }

    pub(super) fn report(&self) -> OutboxReport {
        let mut tally = self.tally.base;
        self.segments.all.values().for_each(|segment| tally.add(&segment.tally));
        OutboxReport {
            waiting: self.queue.len(),
            bytes: self.queue.bytes(),
            on_disk: self.segments.bytes().saturating_add(self.dead.bytes()),
            tally,
        }
    }
}
