//! Security events as hash-chained JSON lines (see `venom_audit`), appended to a file of the operator's choice, and in the log.
//!
//! Never holds a token, and never makes a request wait for a disk: when the queue is full, what did not fit
//! is counted and the count is written.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};
use tokio::sync::mpsc;
use venom_audit::{AuditLog, Event};
use venom_protocol::with_causes;

use crate::NexusError;

/// Lines that wait for the disk. A flood of wrong tokens is rate-limited far below that.
const QUEUE: usize = 1_024;

/// Where security events go. Clones share the queue.
#[derive(Clone)]
pub(crate) struct Audit {
    queue: Option<mpsc::Sender<Event>>,
    dropped: Arc<AtomicU64>,
    writer: Arc<Mutex<Option<Writer>>>,
}

/// The writing end: to be run as one task until all [`Audit`]s are closed.
pub(crate) struct Writer {
    log: Arc<AuditLog>,
    events: mpsc::Receiver<Event>,
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
        let log = AuditLog::open(path).map_err(|error| NexusError::File {
            path: error.path,
            source: error.source,
        })?;
        let (queue, events) = mpsc::channel(QUEUE);
        let writer = Writer {
            log: Arc::new(log),
            events,
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
        if queue.try_send(Event::now(what, facts)).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Writer {
    /// Writes until `stop` is cancelled, then what is still queued.
    pub(crate) async fn run(mut self, stop: tokio_util::sync::CancellationToken) {
        loop {
            tokio::select! {
                event = self.events.recv() => match event {
                    Some(event) => self.append(event).await,
                    None => break,
                },
                () = stop.cancelled() => break,
            }
        }
        while let Ok(event) = self.events.try_recv() {
            self.append(event).await;
        }
        if let Some(head) = self.log.head() {
            // kept elsewhere, it shows later that no line is missing: `venom-host audit verify --head`
            tracing::info!(target: "venom::audit", seq = head.seq, head = %head.hash, "audit log closed");
        }
    }

    async fn append(&mut self, first: Event) {
        let mut batch = vec![first];
        while batch.len() < QUEUE
            && let Ok(event) = self.events.try_recv()
        {
            batch.push(event);
        }
        let dropped = self.dropped.swap(0, Ordering::Relaxed);
        if dropped > 0 {
            batch.push(Event::now("audit_lines_dropped", json!({ "count": dropped })));
        }
        let log = Arc::clone(&self.log);
        let written = tokio::task::spawn_blocking(move || log.append_all(&batch));
        match written.await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::error!(error = %with_causes(&error), "audit log cannot be written"),
            Err(panicked) => tracing::error!(error = %panicked, "audit log cannot be written"),
        }
    }
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
        let summary = venom_audit::verify(text.as_bytes()).unwrap();
        assert_eq!((summary.before, summary.lines), (1, 2));
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
