//! Writing: private, in order, by several at a time.

use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;

use serde_json::json;
use venom_audit::{AuditLog, Event, records};

use crate::stage::Stage;

#[test]
fn each_line_follows_the_one_before() {
    let stage = Stage::new();
    let log = AuditLog::open(&stage.path).unwrap();
    assert_eq!((log.head(), stage.bytes().len()), (None, 0), "opening writes nothing");
    let first = log.append("first", json!({ "peer": "10.0.0.1" })).unwrap();
    let batch = [Event::now("second", json!({})), Event::now("third", json!({}))];
    let third = log.append_all(&batch).unwrap().unwrap();
    assert_eq!((first.seq, third.seq), (1, 3));
    assert_eq!(log.head(), Some(third.clone()));
    let lines = stage.lines();
    assert_eq!(lines[1]["prev"], first.hash);
    assert_eq!(stage.events(), ["first", "second", "third"]);
    let summary = stage.verify().unwrap();
    assert_eq!((summary.lines, summary.head), (3, Some(third)));
}

#[test]
fn the_file_is_private_and_what_is_no_file_is_told() {
    let fresh = Stage::new();
    AuditLog::open(&fresh.path).unwrap();
    assert_eq!(
        std::fs::metadata(&fresh.path).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let error = AuditLog::open(fresh.path.parent().unwrap()).unwrap_err();
    assert!(error.to_string().contains("cannot be opened"), "{error}");
}

#[test]
fn several_writers_make_one_chain() {
    const WRITERS: usize = 4;
    const EVENTS: usize = 50;
    let stage = Stage::new();
    let shared = Arc::new(AuditLog::open(&stage.path).unwrap());
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            let shared = Arc::clone(&shared);
            let path = &stage.path;
            scope.spawn(move || {
                // half of them through one handle, half as other processes would
                let own = AuditLog::open(path).unwrap();
                let log = if writer % 2 == 0 { &*shared } else { &own };
                for number in 0..EVENTS {
                    log.append("happened", json!({ "writer": writer, "number": number }))
                        .unwrap();
                }
            });
        }
    });
    let summary = stage.verify().unwrap();
    assert_eq!(summary.lines, (WRITERS * EVENTS) as u64);
}

#[test]
fn the_last_of_a_kind_are_read() {
    let stage = Stage::with(1, 5);
    let log = AuditLog::open(&stage.path).unwrap();
    log.append("other", json!({})).unwrap();
    let bytes = stage.bytes();
    let (kept, summary) = records(bytes.as_slice(), 2, |record| record.event == "happened");
    assert_eq!(summary.unwrap().lines, 6);
    let numbers: Vec<_> = kept
        .iter()
        .map(|record| record.facts["number"].as_u64().unwrap())
        .collect();
    assert_eq!(numbers, [3, 4]);
    let (kept, broken) = records(&bytes[..bytes.len() - 5], 9, |_| true);
    assert_eq!((kept.len(), broken.unwrap_err().line), (5, 7));
}

#[test]
fn a_full_disk_is_an_error_and_not_the_end_of_the_log() {
    let full = std::path::Path::new("/dev/full");
    // a device has no length and cannot be synced, but it refuses every byte as a full disk does
    let log = AuditLog::open(full).unwrap();
    let error = log.append("happened", json!({})).unwrap_err();
    assert_eq!(error.doing, "written");
}
