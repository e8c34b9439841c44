//! The disk is full, a step fails, or the power goes, at every single step of a life of an outbox: what `put` acknowledged is there, what
//! was ended stays ended, and it works on afterwards.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use venom_agent::{BatchKey, BatchKind, Outbox, OutboxSettings};
use venom_protocol::Timestamp;

use crate::sim_disk::{Fault, Remains, SimDisk};

fn settings() -> OutboxSettings {
    OutboxSettings {
        // segments of 4 KiB: four of the batches below in each
        max_bytes: 64 * 1024,
        dead_letters: 2,
        ..OutboxSettings::default()
    }
}

fn open(disk: &SimDisk) -> Outbox {
    Outbox::open(Path::new("/outbox"), settings(), Arc::new(disk.clone())).unwrap()
}

fn now() -> Timestamp {
    Timestamp::parse("2026-05-04T10:00:00Z").unwrap()
}

fn body(n: usize) -> Vec<u8> {
    format!("{{\"n\":{n},\"pad\":\"{}\"}}", "x".repeat(900)).into_bytes()
}

/// What an outbox said in its life.
#[derive(Debug, Default)]
struct Said {
    bodies: BTreeSet<Vec<u8>>,
    /// Acknowledged by `put`.
    put: BTreeMap<BatchKey, Vec<u8>>,
    /// Ended, or at least asked to be.
    ended: BTreeSet<BatchKey>,
    /// Ended, and that was acknowledged.
    surely_ended: BTreeSet<BatchKey>,
    dead: u64,
    asked_dead: u64,
    failed_puts: u64,
}

impl Said {
    fn put(&mut self, outbox: &Outbox, n: usize) {
        self.bodies.insert(body(n));
        match outbox.put(BatchKind::Discovery, &body(n), now()) {
            Ok(key) => assert!(self.put.insert(key, body(n)).is_none(), "a key was given twice"),
            Err(_) => self.failed_puts += 1,
        }
    }

    fn end_next(&mut self, outbox: &Outbox, refuse: bool) {
        let Some(batch) = outbox.next(now(), Duration::ZERO) else {
            return;
        };
        assert_eq!(self.put.get(&batch.key), Some(&batch.body));
        let ended = if refuse {
            self.asked_dead += 1;
            outbox.refuse(&batch.key, "it is wrong", now())
        } else {
            outbox.done(&batch.key)
        };
        if ended.is_ok() {
            self.dead += u64::from(refuse);
            self.surely_ended.insert(batch.key);
        }
        if ended.is_ok() || !refuse {
            self.ended.insert(batch.key);
        } else {
            self.ended.insert(batch.key);
            outbox.postpone(&batch.key, Duration::ZERO);
        }
    }
}

/// One life: whole segments that come and go, endings here and there, letters, a segment written to when it ends.
fn live(outbox: &Outbox) -> Said {
    let mut said = Said::default();
    for n in 0..6 {
        said.put(outbox, n);
    }
    for n in 0..3 {
        said.end_next(outbox, n == 1);
    }
    for n in 6..11 {
        said.put(outbox, n);
    }
    for n in 0..6 {
        said.end_next(outbox, n == 0 || n == 3);
    }
    said.put(outbox, 11);
    said
}

fn everything(outbox: &Outbox) -> BTreeMap<BatchKey, Vec<u8>> {
    let mut found = BTreeMap::new();
    while let Some(batch) = outbox.next(now(), Duration::MAX) {
        assert!(found.insert(batch.key, batch.body).is_none(), "twice in the queue");
    }
    found
}

/// What must hold after a restart. `exact`: nothing failed but the last thing that was done.
fn check(said: &Said, disk: &SimDisk, context: &str) {
    let outbox = open(disk);
    let report = outbox.report();
    let found = everything(&outbox);
    assert_eq!(report.waiting, found.len() as u64, "{context}");
    for (key, body) in &said.put {
        if !said.ended.contains(key) {
            assert_eq!(found.get(key), Some(body), "{context}: an acknowledged batch is lost");
        }
    }
    for key in &said.surely_ended {
        assert!(!found.contains_key(key), "{context}: an ended batch came back");
    }
    for body in found.values() {
        assert!(said.bodies.contains(body), "{context}: a batch nobody put");
    }
    let dead = report.tally.dead;
    assert!(
        (said.dead..=said.asked_dead).contains(&dead),
        "{context}: {dead} dead, {said:?}"
    );
    assert_eq!((report.tally.damaged, report.tally.dropped), (0, 0), "{context}");
    // it works on, and the next start finds all of it
    drop(outbox);
    let outbox = open(disk);
    let key = outbox
        .put(BatchKind::Shield, b"{}", now())
        .expect("a disk that works again");
    assert_eq!(everything(&outbox).len(), found.len() + 1, "{context}");
    drop(outbox);
    let again = open(disk);
    assert_eq!(again.report().tally.dead, dead, "{context}: counted twice");
    let again = everything(&again);
    assert!(again.contains_key(&key) && again.len() == found.len() + 1, "{context}");
    assert!(disk.files(".tmp").is_empty(), "{context}");
}

#[test]
fn without_a_fault_everything_is_where_it_belongs() {
    let disk = SimDisk::default();
    let said = live(&open(&disk));
    assert_eq!((said.put.len(), said.surely_ended.len(), said.dead), (12, 9, 3));
    assert_eq!(disk.files(".json").len(), 3, "two letters are kept, and the tally");
    check(&said, &disk, "no fault");
}

#[test]
fn the_power_goes_at_every_step() {
    let mut step = 0;
    loop {
        let disk = SimDisk::default();
        let outbox = open(&disk);
        disk.fail_after(step, Fault::Power);
        let said = live(&outbox);
        let struck = disk.has_struck();
        drop(outbox);
        for remains in Remains::all() {
            let after = disk.after_power_cut(remains);
            check(&said, &after, &format!("step {step}, {remains:?}"));
        }
        if !struck {
            break;
        }
        step += 1;
    }
    assert!(step > 100, "only {step} steps");
}

#[test]
fn the_power_goes_at_every_step_of_the_start_after() {
    // a life that was broken off, with something to mend
    let broken = |at| {
        let disk = SimDisk::default();
        let outbox = open(&disk);
        disk.fail_after(at, Fault::Power);
        (live(&outbox), disk)
    };
    for at in (20..200).step_by(23) {
        let (said, disk) = broken(at);
        for remains in Remains::all() {
            for step in 0.. {
                let second = disk.after_power_cut(remains);
                second.fail_after(step, Fault::Power);
                // a start that cannot write still reads, or says that it cannot begin
                drop(Outbox::open(Path::new("/outbox"), settings(), Arc::new(second.clone())));
                let struck = second.has_struck();
                for again in [Remains::all()[0], Remains::all()[3], Remains::all()[5]] {
                    let third = second.after_power_cut(again);
                    check(&said, &third, &format!("{at}, {remains:?}, then {step}, {again:?}"));
                }
                if !struck {
                    break;
                }
            }
        }
    }
}

#[test]
fn a_step_that_fails_once_harms_nothing_that_was_there() {
    let mut step = 0;
    loop {
        let disk = SimDisk::default();
        let outbox = open(&disk);
        disk.fail_after(step, Fault::Once);
        let said = live(&outbox);
        let struck = disk.has_struck();
        assert!(
            said.failed_puts <= 1,
            "{step}: one failure, {} puts failed",
            said.failed_puts
        );
        if said.failed_puts == 1 {
            assert_eq!(outbox.report().tally.failed, 1, "{step}");
        }
        // the same process goes on
        let mine = everything(&outbox);
        for (key, body) in &said.put {
            assert!(said.ended.contains(key) || mine.get(key) == Some(body), "{step}");
        }
        drop(outbox);
        for remains in Remains::all() {
            check(&said, &disk.after_power_cut(remains), &format!("{step}, {remains:?}"));
        }
        if !struck {
            break;
        }
        step += 1;
    }
    assert!(step > 100, "only {step} steps");
}

#[test]
fn a_disk_that_is_full_takes_nothing_and_works_again_when_it_has_room() {
    for step in 0..120 {
        let disk = SimDisk::default();
        let outbox = open(&disk);
        disk.fail_after(step, Fault::Full);
        let mut said = live(&outbox);
        if disk.has_struck() {
            assert!(
                outbox.put(BatchKind::Discovery, b"{}", now()).is_err(),
                "{step}: nothing can be kept on a full disk"
            );
            assert_eq!(outbox.report().tally.failed, said.failed_puts + 1);
        }
        disk.mend();
        said.put(&outbox, 12);
        said.end_next(&outbox, false);
        assert_eq!(outbox.report().waiting, open(&disk).report().waiting, "{step}");
        drop(outbox);
        for remains in Remains::all() {
            check(&said, &disk.after_power_cut(remains), &format!("{step}, {remains:?}"));
        }
    }
}

#[test]
fn a_segment_that_cannot_be_removed_does_not_keep_the_others() {
    let disk = SimDisk::default();
    let outbox = open(&disk);
    for n in 0..9 {
        outbox.put(BatchKind::Discovery, &body(n), now()).unwrap();
    }
    let all = everything(&outbox);
    let key = |n: usize| {
        all.iter()
            .find(|(_, kept)| **kept == body(n))
            .map(|(key, _)| *key)
            .unwrap()
    };
    // of the first segment one is dead: the tally must be written before it goes
    outbox.refuse(&key(0), "422", now()).unwrap();
    for n in 1..3 {
        outbox.done(&key(n)).unwrap();
    }
    disk.fail_after(0, Fault::Full);
    for n in 3..7 {
        assert!(outbox.done(&key(n)).is_err(), "{n}: the disk is full");
    }
    let before = outbox.report().on_disk;
    assert!(outbox.done(&key(7)).is_err(), "what cannot be written is told");
    let after = outbox.report().on_disk;
    assert!(
        after + 3_000 < before,
        "the second segment needs no room to go: {before}, {after}"
    );
    disk.mend();
    outbox.done(&key(8)).unwrap();
    assert_eq!((outbox.report().tally.dead, outbox.report().waiting), (1, 0));
}
