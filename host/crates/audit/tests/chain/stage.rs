//! A log in a directory of a test's own.

use std::path::PathBuf;

use serde_json::json;
use venom_audit::{AuditLog, Broken, Event, Summary, verify};

pub(crate) struct Stage {
    _directory: tempfile::TempDir,
    pub(crate) path: PathBuf,
}

impl Stage {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        Self {
            path: directory.path().join("audit.jsonl"),
            _directory: directory,
        }
    }

    /// One whose log has `before` lines of an older program and `count` of ours.
    pub(crate) fn with(before: usize, count: usize) -> Self {
        let stage = Self::new();
        let old: String = (0..before)
            .map(|number| format!("{{\"event\":\"before\",\"number\":{number}}}\n"))
            .collect();
        stage.write(old.as_bytes());
        stage.append(count);
        stage
    }

    pub(crate) fn append(&self, count: usize) {
        let log = AuditLog::open(&self.path).unwrap();
        let events: Vec<_> = (0..count)
            .map(|number| Event::now("happened", json!({ "number": number })))
            .collect();
        log.append_all(&events).unwrap();
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        std::fs::read(&self.path).unwrap()
    }

    pub(crate) fn write(&self, bytes: &[u8]) {
        std::fs::write(&self.path, bytes).unwrap();
    }

    pub(crate) fn lines(&self) -> Vec<serde_json::Value> {
        let bytes = self.bytes();
        let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        lines
            .map(|line| serde_json::from_slice(line).unwrap_or(serde_json::Value::Null))
            .collect()
    }

    pub(crate) fn events(&self) -> Vec<String> {
        let lines = self.lines();
        let names = lines.iter().map(|line| line["event"].as_str().unwrap_or("no event"));
        names.map(str::to_owned).collect()
    }

    /// Lines that close off a half line.
    pub(crate) fn repairs(&self) -> usize {
        self.events().iter().filter(|event| *event == "audit_repaired").count()
    }

    pub(crate) fn verify(&self) -> Result<Summary, Broken> {
        check(&self.bytes())
    }
}

pub(crate) fn check(bytes: &[u8]) -> Result<Summary, Broken> {
    verify(bytes)
}
