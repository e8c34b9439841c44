//! Security events as JSON lines, appended to a file of the operator's choice and to the log.
//!
//! Never holds a token, and never makes a request wait for a disk: when the queue is full, what did not fit
//! is counted and the count is written.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};
use tokio::sync::mpsc;
use venom_protocol::Timestamp;

use crate::NexusError;

/// Lines that wait for the disk. A flood of wrong tokens is rate-limited far below that.
const QUEUE: usize = 1_024;

/// Where security events go. Clones share the queue.
#[derive(Clone)]
pub(crate) struct Audit {
    queue: Option<mpsc::Sender<String>>,
    dropped: Arc<AtomicU64>,
    writer: Arc<Mutex<Option<Writer>>>,
}

/// The writing end: to be run as one task until all [`Audit`]s are closed.
pub(crate) struct Writer {
    file: File,
    lines: mpsc::Receiver<String>,
    dropped: Arc<AtomicU64>,
}

impl Audit {
    /// Appends to `path`; `None` writes to the log only.
    pub(crate) fn open(path: Option<&Path>) -> Result<Self, NexusError> {
        let dropped = Arc::new(AtomicU64::new(0));
        let Some(path) = path else {
            return Ok(Self {
                queue: None,
                dropped,
                writer: Arc::default(),
            });
        };
        let file = private_append(path).map_err(|source| NexusError::File {
            path: path.to_owned(),
            source,
        })?;
        let (queue, lines) = mpsc::channel(QUEUE);
        let writer = Writer {
            file,
            lines,
            dropped: Arc::clone(&dropped),
        };
        Ok(Self {
            queue: Some(queue),
            dropped,
            writer: Arc::new(Mutex::new(Some(writer))),
        })
    }

    /// The writing end, once.
    pub(crate) fn take_writer(&self) -> Option<Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Records one event. `facts` is an object.
    pub(crate) fn record(&self, what: &'static str, facts: Value) {
        tracing::info!(target: "venom::audit", what, %facts);
        let Some(queue) = &self.queue else { return };
        let mut line = json!({ "timestamp": Timestamp::now(), "event": what });
        if let (Value::Object(line), Value::Object(facts)) = (&mut line, facts) {
            line.extend(facts);
        }
        if queue.try_send(line.to_string()).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Writer {
    /// Writes until `stop` is cancelled, then what is still queued.
    pub(crate) async fn run(mut self, stop: tokio_util::sync::CancellationToken) {
        loop {
            tokio::select! {
                line = self.lines.recv() => match line {
                    Some(line) => self.append(line).await,
                    None => return,
                },
                () = stop.cancelled() => break,
            }
        }
        while let Ok(line) = self.lines.try_recv() {
            self.append(line).await;
        }
    }

    async fn append(&mut self, first: String) {
        let mut batch = first;
        batch.push('\n');
        while let Ok(line) = self.lines.try_recv() {
            batch.push_str(&line);
            batch.push('\n');
        }
        let dropped = self.dropped.swap(0, Ordering::Relaxed);
        if dropped > 0 {
            let line = json!({ "timestamp": Timestamp::now(), "event": "audit_lines_dropped", "count": dropped });
            batch.push_str(&line.to_string());
            batch.push('\n');
        }
        let written = self.file.try_clone().map(|mut file| {
            tokio::task::spawn_blocking(move || file.write_all(batch.as_bytes()).and_then(|()| file.sync_data()))
        });
        let outcome = match written {
            Ok(task) => task
                .await
                .unwrap_or_else(|panicked| Err(std::io::Error::other(panicked))),
            Err(error) => Err(error),
        };
        if let Err(error) = outcome {
            tracing::error!(%error, "audit log cannot be written");
        }
    }
}

fn private_append(path: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio_util::sync::CancellationToken;

    #[tokio::test]
    async fn appends_one_line_an_event_and_writes_what_is_queued_before_it_ends() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("audit.jsonl");
        std::fs::write(&path, "{\"event\":\"before\"}\n").unwrap();
        let audit = Audit::open(Some(&path)).unwrap();
        let stop = CancellationToken::new();
        audit.record("auth_failed", json!({ "peer": "10.0.0.1" }));
        audit.record("node_registered", json!({ "node_id": "x" }));
        stop.cancel();
        audit.take_writer().unwrap().run(stop).await;
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let names: Vec<_> = lines.iter().map(|line| line["event"].as_str().unwrap()).collect();
        assert_eq!(names, ["before", "auth_failed", "node_registered"]);
        assert_eq!(lines[1]["peer"], "10.0.0.1");
    }

    #[tokio::test]
    async fn counts_what_did_not_fit() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("audit.jsonl");
        let audit = Audit::open(Some(&path)).unwrap();
        for _ in 0..QUEUE + 7 {
            audit.record("auth_failed", json!({}));
        }
        let stop = CancellationToken::new();
        stop.cancel();
        audit.take_writer().unwrap().run(stop).await;
        let text = std::fs::read_to_string(&path).unwrap();
        let last: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
        assert_eq!(
            (last["event"].as_str(), last["count"].as_u64()),
            (Some("audit_lines_dropped"), Some(7))
        );
        assert_eq!(text.lines().count(), QUEUE + 1);
    }

    #[cfg(unix)]
    #[test]
    fn the_file_is_private() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("audit.jsonl");
        let _audit = Audit::open(Some(&path)).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
