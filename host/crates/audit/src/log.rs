//! A log that is written. Several processes may write one: each batch is written under a lock of the file, after what others
//! wrote since. Blocks; from async code, use it on a blocking thread.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rustix::fs::{FlockOperation, flock};
use rustix::io::retry_on_intr;
use serde_json::Value;

use crate::line::{self, Event, Head};
use crate::tail::{self, Tip};

/// Why the log cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("the audit log {} cannot be {doing}", path.display())]
pub struct AuditError {
    /// The file.
    pub path: PathBuf,
    /// `opened`, `read` or `written`.
    pub doing: &'static str,
    /// What the system said.
    #[source]
    pub source: io::Error,
}

/// An open log.
#[derive(Debug)]
pub struct AuditLog {
    path: PathBuf,
    file: File,
    /// Where it ended after our last line.
    tip: Mutex<Option<Tip>>,
}

impl AuditLog {
    /// Opens a log, or makes one that only this user reads. What is wrong with its end is written down at once: a line cut short by
    /// a crash as `audit_repaired`, lines that do not chain as `audit_broken`.
    ///
    /// # Errors
    /// When the file cannot be opened, read or written; never for what is in it.
    pub fn open(path: &Path) -> Result<Self, AuditError> {
        let mut options = OpenOptions::new();
        options.read(true).append(true).create(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let log = Self {
            path: path.to_owned(),
            file: options.open(path).map_err(|source| AuditError {
                path: path.to_owned(),
                doing: "opened",
                source,
            })?,
            tip: Mutex::new(None),
        };
        log.append_all(&[])?;
        Ok(log)
    }

    /// Appends one event and waits until it is on the disk.
    ///
    /// # Errors
    /// When the file cannot be read or written. What was written of the line is closed off by the next.
    pub fn append(&self, event: &str, facts: Value) -> Result<Head, AuditError> {
        let event = Event::now(event, facts);
        let head = self.append_all(&[event])?;
        head.ok_or_else(|| self.error("written", io::ErrorKind::WriteZero.into()))
    }

    /// Appends events, all or with one wait for the disk. Answers the last line; none in a log that has none.
    ///
    /// # Errors
    /// When the file cannot be read or written. What was written of them is closed off by the next.
    pub fn append_all(&self, events: &[Event]) -> Result<Option<Head>, AuditError> {
        // held while the disk works: lines are written in one order
        let mut known = self.tip.lock().unwrap_or_else(PoisonError::into_inner);
        // a file system without locks has one writer, or its log will show that it had not
        let locked = retry_on_intr(|| flock(&self.file, FlockOperation::LockExclusive)).is_ok();
        let written = self.append_locked(events, known.as_ref());
        if locked {
            // an open file can always be unlocked
            let _ = flock(&self.file, FlockOperation::Unlock);
        }
        let tip = written?;
        let head = tip.head();
        *known = Some(tip);
        Ok(head)
    }

    /// The last line, as far as this process knows; none in a log that has none.
    #[must_use]
    pub fn head(&self) -> Option<Head> {
        let tip = self.tip.lock().unwrap_or_else(PoisonError::into_inner);
        tip.as_ref().and_then(Tip::head)
    }

    fn append_locked(&self, events: &[Event], known: Option<&Tip>) -> Result<Tip, AuditError> {
        let length = self.file.metadata().map_err(|source| self.error("read", source))?.len();
        let mut batch = Vec::new();
        let mut notice = None;
        let mut tip = match known {
            Some(known) if known.length == length => known.clone(),
            _ => {
                let found = tail::find(&self.file, length, known).map_err(|source| self.error("read", source))?;
                if found.unended {
                    batch.push(b'\n');
                }
                notice = found.notice;
                if let Some(notice) = &notice {
                    self.say(notice);
                }
                found.tip
            }
        };
        for event in notice.iter().chain(events) {
            let head = line::write(&mut batch, event, tip.seq, &tip.prev);
            tip = Tip {
                seq: head.seq.saturating_add(1),
                prev: head.hash,
                ..tip
            };
        }
        if !batch.is_empty() {
            let written = (&self.file).write_all(&batch).and_then(|()| self.file.sync_data());
            written.map_err(|source| self.error("written", source))?;
            tip.length = length + batch.len() as u64;
        }
        Ok(tip)
    }

    /// A service goes on after this; whoever looks after it must see it.
    fn say(&self, notice: &Event) {
        let (path, text) = (self.path.display(), |name: &str| {
            notice.facts.get(name).and_then(Value::as_str)
        });
        let what = text("what").unwrap_or_default();
        match text("reason") {
            Some(reason) => {
                tracing::error!(%path, reason, "{what}: run `venom-host audit verify` and keep a copy of the file");
            }
            None => tracing::warn!(%path, "{what}, as after a crash; it was closed off in the audit log"),
        }
    }

    fn error(&self, doing: &'static str, source: io::Error) -> AuditError {
        AuditError {
            path: self.path.clone(),
            doing,
            source,
        }
    }
}
