//! What an outbox keeps, what it drops, and what it says of it.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use venom_agent::{BatchKind, Outbox, OutboxError, OutboxSettings, PutError, RealDisk, WhenFull};
use venom_protocol::{OutboxStatus, Timestamp};

use crate::sim_disk::SimDisk;

fn now() -> Timestamp {
    Timestamp::parse("2026-05-04T10:00:00Z").unwrap()
}

fn small(when_full: WhenFull) -> OutboxSettings {
    OutboxSettings {
        max_bytes: 64 * 1024,
        when_full,
        ..OutboxSettings::default()
    }
}

fn open(disk: &SimDisk, settings: OutboxSettings) -> Outbox {
    Outbox::open(Path::new("/outbox"), settings, Arc::new(disk.clone())).unwrap()
}

fn body(n: u64) -> Vec<u8> {
    format!("{{\"n\":{n},\"pad\":\"{}\"}}", "x".repeat(900)).into_bytes()
}

fn number(body: &[u8]) -> u64 {
    serde_json::from_slice::<serde_json::Value>(body).unwrap()["n"]
        .as_u64()
        .unwrap()
}

fn numbers(outbox: &Outbox) -> Vec<u64> {
    let next = || outbox.next(now(), Duration::MAX).map(|batch| number(&batch.body));
    let mut numbers: Vec<u64> = std::iter::from_fn(next).collect();
    numbers.sort_unstable();
    numbers
}

#[test]
fn the_oldest_make_room_and_are_counted_across_restarts() {
    let disk = SimDisk::default();
    let outbox = open(&disk, small(WhenFull::Oldest));
    for n in 0..200 {
        outbox.put(BatchKind::Discovery, &body(n), now()).unwrap();
        assert!(disk.bytes() <= 64 * 1024 + 1024, "{} bytes after {n}", disk.bytes());
    }
    let report = outbox.report();
    assert_eq!(report.waiting + report.tally.dropped, 200);
    assert!(report.waiting > 48, "much room is not used: {report:?}");
    let status = OutboxStatus::from(report);
    assert_eq!((status.waiting, status.dropped), (report.waiting, report.tally.dropped));
    drop(outbox);
    let outbox = open(&disk, small(WhenFull::Oldest));
    assert_eq!(outbox.report().tally.dropped, report.tally.dropped);
    let left: Vec<u64> = (200 - report.waiting..200).collect();
    assert_eq!(numbers(&outbox), left, "the newest are kept");
}

#[test]
fn the_newest_is_dropped_or_refused_when_that_is_set() {
    for when_full in [WhenFull::Newest, WhenFull::Refuse] {
        let disk = SimDisk::default();
        let outbox = open(&disk, small(when_full));
        let mut kept = 0;
        for n in 0..100 {
            match outbox.put(BatchKind::Discovery, &body(n), now()) {
                Ok(_) => kept = n + 1,
                Err(PutError::Dropped { .. }) => assert_eq!(when_full, WhenFull::Newest),
                Err(PutError::Full { .. }) => assert_eq!(when_full, WhenFull::Refuse),
                Err(other) => panic!("{other}"),
            }
        }
        assert!((50..70).contains(&kept), "{kept}");
        drop(outbox);
        let outbox = open(&disk, small(when_full));
        let tally = outbox.report().tally;
        let counted = if when_full == WhenFull::Newest {
            tally.dropped
        } else {
            tally.refused
        };
        assert_eq!(counted, 100 - kept);
        assert_eq!(tally.dropped + tally.refused, counted);
        // what was taken in makes room
        for _ in 0..10 {
            let batch = outbox.next(now(), Duration::ZERO).unwrap();
            outbox.done(&batch.key).unwrap();
        }
        outbox.put(BatchKind::Discovery, &body(500), now()).unwrap();
        assert_eq!(*numbers(&outbox).last().unwrap(), 500);
    }
}

#[test]
fn the_number_of_batches_is_bounded_too() {
    let settings = OutboxSettings {
        max_batches: 3,
        ..OutboxSettings::default()
    };
    let disk = SimDisk::default();
    let outbox = open(&disk, settings);
    for n in 0..10 {
        outbox.put(BatchKind::Shield, &body(n), now()).unwrap();
    }
    assert_eq!((outbox.report().waiting, outbox.report().tally.dropped), (3, 7));
    drop(outbox);
    let outbox = open(&disk, settings);
    assert_eq!(outbox.report().tally.dropped, 7);
    assert_eq!(numbers(&outbox), [7, 8, 9]);
}

#[test]
fn a_batch_that_is_being_sent_is_not_dropped() {
    let settings = OutboxSettings {
        max_batches: 2,
        ..OutboxSettings::default()
    };
    let outbox = open(&SimDisk::default(), settings);
    for n in 0..2 {
        outbox.put(BatchKind::Discovery, &body(n), now()).unwrap();
    }
    let sent = outbox.next(now(), Duration::ZERO).unwrap();
    outbox.put(BatchKind::Discovery, &body(2), now()).unwrap();
    outbox.postpone(&sent.key, Duration::ZERO);
    assert_eq!(numbers(&outbox), [0, 2]);
}

#[test]
fn what_is_too_large_or_no_text_is_refused_and_counted() {
    let outbox = open(&SimDisk::default(), small(WhenFull::Oldest));
    let large = vec![b' '; 16 * 1024 + 1];
    assert!(matches!(
        outbox.put(BatchKind::Discovery, &large, now()),
        Err(PutError::TooLarge { .. })
    ));
    assert!(matches!(
        outbox.put(BatchKind::Discovery, &[0xFF], now()),
        Err(PutError::NotText)
    ));
    assert_eq!((outbox.report().waiting, outbox.report().tally.refused), (0, 2));
    outbox.put(BatchKind::Discovery, &large[1..], now()).unwrap();
}

#[test]
fn a_spoiled_batch_is_lost_alone_and_counted_once() {
    let disk = SimDisk::default();
    let outbox = open(&disk, OutboxSettings::default());
    for n in 0..5 {
        outbox.put(BatchKind::Discovery, &body(n), now()).unwrap();
    }
    drop(outbox);
    let segment = disk.files(".box").pop().unwrap();
    let record = 52 + body(0).len();
    // in the body of the second, in the header of the fourth
    disk.spoil(&segment, 32 + record + 52 + 100);
    disk.spoil(&segment, 32 + 3 * record + 10);
    for _ in 0..3 {
        let outbox = open(&disk, OutboxSettings::default());
        assert_eq!(numbers(&outbox), [0, 2, 4]);
        assert_eq!(outbox.report().tally.damaged, 2);
        assert_eq!(OutboxStatus::from(outbox.report()).damaged, 2);
    }
    // spoiled while it is open: noticed before it is sent
    let outbox = open(&disk, OutboxSettings::default());
    disk.spoil(&segment, 32 + 52 + 100);
    assert_eq!(numbers(&outbox), [2, 4]);
    assert_eq!(outbox.report().tally.damaged, 3);
}

#[test]
fn a_torn_end_is_cut_off_and_counted_once() {
    let directory = tempfile::tempdir().unwrap();
    let open = || Outbox::open(directory.path(), OutboxSettings::default(), Arc::new(RealDisk)).unwrap();
    let outbox = open();
    for n in 0..3 {
        outbox.put(BatchKind::Discovery, &body(n), now()).unwrap();
    }
    drop(outbox);
    let segment = std::fs::read_dir(directory.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some_and(|end| end == "box"))
        .unwrap();
    let length = std::fs::metadata(&segment).unwrap().len();
    let file = std::fs::File::options().write(true).open(&segment).unwrap();
    file.set_len(length - 100).unwrap();
    for _ in 0..2 {
        let outbox = open();
        assert_eq!(numbers(&outbox), [0, 1]);
        assert_eq!(outbox.report().tally.torn, 1);
    }
    // and written on behind it
    let outbox = open();
    outbox.put(BatchKind::Discovery, &body(9), now()).unwrap();
    drop(outbox);
    assert_eq!(numbers(&open()), [0, 1, 9]);
}

#[test]
fn dead_letters_say_why_and_are_bounded() {
    let directory = tempfile::tempdir().unwrap();
    let settings = OutboxSettings {
        dead_letters: 3,
        ..OutboxSettings::default()
    };
    let open = || Outbox::open(directory.path(), settings, Arc::new(RealDisk)).unwrap();
    let outbox = open();
    for n in 0..6 {
        outbox.put(BatchKind::Shield, &body(n), now()).unwrap();
    }
    for _ in 0..5 {
        let batch = outbox.next(now(), Duration::ZERO).unwrap();
        outbox.refuse(&batch.key, "422: no target", now()).unwrap();
    }
    drop(outbox);
    let outbox = open();
    assert_eq!((outbox.report().tally.dead, numbers(&outbox)), (5, vec![5]));
    let mut letters: Vec<serde_json::Value> = std::fs::read_dir(directory.path().join("dead"))
        .unwrap()
        .map(|entry| serde_json::from_slice(&std::fs::read(entry.unwrap().path()).unwrap()).unwrap())
        .collect();
    letters.sort_by_key(|letter| letter["body"]["n"].as_u64());
    let kept: Vec<u64> = letters
        .iter()
        .map(|letter| letter["body"]["n"].as_u64().unwrap())
        .collect();
    assert_eq!(kept, [2, 3, 4]);
    assert_eq!(
        (&letters[0]["why"], &letters[0]["kind"]),
        (&"422: no target".into(), &"shield".into())
    );
}

#[test]
fn files_are_for_this_user_and_one_process() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("data/outbox");
    let open = || Outbox::open(&path, OutboxSettings::default(), Arc::new(RealDisk));
    let outbox = open().unwrap();
    outbox.put(BatchKind::Discovery, &body(1), now()).unwrap();
    assert!(matches!(open(), Err(OutboxError::InUse { .. })));
    let batch = outbox.next(now(), Duration::ZERO).unwrap();
    outbox.refuse(&batch.key, "no", now()).unwrap();
    let mut directories = vec![path.clone()];
    while let Some(directory) = directories.pop() {
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&directory), 0o700, "{}", directory.display());
        for entry in std::fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
            } else {
                assert_eq!(mode(&path), 0o600, "{}", path.display());
            }
        }
    }
    drop(outbox);
    open().unwrap();
}

#[test]
fn what_a_newer_agent_wrote_is_left_alone() {
    let disk = SimDisk::default();
    let outbox = open(&disk, OutboxSettings::default());
    outbox.put(BatchKind::Discovery, &body(1), now()).unwrap();
    drop(outbox);
    let segment = disk.files(".box").pop().unwrap();
    let mut bytes = venom_agent::Disk::read(&disk, &segment).unwrap().unwrap();
    bytes[8] = 9;
    let crc = crc::Crc::<u32>::new(&crc::CRC_32_ISCSI).checksum(&bytes[..28]);
    bytes[28..32].copy_from_slice(&crc.to_le_bytes());
    venom_agent::Disk::write_at(&disk, &segment, 0, &bytes).unwrap();
    let opened = Outbox::open(Path::new("/outbox"), OutboxSettings::default(), Arc::new(disk.clone()));
    assert!(matches!(opened, Err(OutboxError::NewerVersion { version: 9, .. })));
    assert_eq!(venom_agent::Disk::read(&disk, &segment).unwrap().unwrap(), bytes);
}

#[test]
fn spent_segments_leave_and_an_idle_outbox_is_small() {
    let disk = SimDisk::default();
    let outbox = open(&disk, small(WhenFull::Oldest));
    for n in 0..1_000 {
        outbox.put(BatchKind::Discovery, &body(n), now()).unwrap();
        let batch = outbox.next(now(), Duration::ZERO).unwrap();
        outbox.done(&batch.key).unwrap();
    }
    assert!(disk.bytes() <= 8 * 1024, "{} bytes", disk.bytes());
    assert_eq!(outbox.report().tally, venom_agent::OutboxTally::default());
    drop(outbox);
    let outbox = open(&disk, small(WhenFull::Oldest));
    assert_eq!(
        (outbox.report().waiting, disk.bytes()),
        (0, 0),
        "a start clears away what is spent"
    );
}
