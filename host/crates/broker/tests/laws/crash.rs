//! A process that is killed at work: what it was told is written is there for the next one.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;

use venom_broker::sqlite::{Durability, SqliteBroker};
use venom_broker::{Recorded, Settings, State};
use venom_protocol::TaskId;

use crate::chance::Chance;
use crate::client::{ALL, Hive, completed, ms};

/// Tells the process where it works.
const FILE: &str = "VENOM_LAWS_CRASH_FILE";

/// Rounds of a process that nobody kills: a hundred times more than any lives to see.
const ROUNDS: usize = 5_000;

fn hive(path: &Path) -> Hive {
    let settings = Settings {
        session_ttl: ms(500),
        ..Settings::default()
    };
    let broker = SqliteBroker::open(path, Durability::Process, settings).expect("opens after a crash");
    Hive::new(Arc::new(broker))
}

/// The process that is killed: it submits, claims and completes, and says so once it is answered.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "started by what_was_acknowledged_survives_a_kill"]
async fn the_process_that_is_killed() {
    let unkilled = tempfile::tempdir().unwrap();
    let told = std::env::var_os(FILE);
    let rounds = if told.is_some() { ROUNDS } else { 10 };
    let hive = hive(&told.map_or(unkilled.path().join("hive.db"), Into::into));
    let session = hive.session().await;
    let say = |word: &str, id: TaskId, fence: u64| {
        let mut out = std::io::stdout().lock();
        writeln!(out, "\n{word} {id} {fence}")
            .and_then(|()| out.flush())
            .unwrap();
    };
    for _ in 0..rounds {
        hive.submit_some(5).await.iter().for_each(|id| say("submitted", *id, 0));
        hive.renew(session).await;
        hive.tend().await;
        let leases = hive.claim(session, 5).await;
        leases.iter().for_each(|lease| say("claimed", lease.id, lease.fence));
        for lease in leases.iter().skip(1) {
            let recorded = hive.end(session, lease, completed("1")).await;
            assert_eq!(recorded, Recorded::Written(State::Completed));
            say("completed", lease.id, lease.fence);
        }
    }
}

fn start(path: &Path) -> (Child, BufReader<ChildStdout>) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([
        "--exact",
        "crash::the_process_that_is_killed",
        "--ignored",
        "--nocapture",
    ]);
    command
        .env(FILE, path)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit());
    let mut child = command.spawn().unwrap();
    let out = BufReader::new(child.stdout.take().unwrap());
    (child, out)
}

#[derive(Default)]
struct Acknowledged {
    submitted: BTreeSet<TaskId>,
    fences: BTreeMap<TaskId, u64>,
    completed: BTreeSet<TaskId>,
}

impl Acknowledged {
    /// Notes what a line says; false for what the test harness prints.
    fn note(&mut self, line: &str) -> bool {
        let words: Vec<&str> = line.split(' ').collect();
        let [word, id, fence] = words[..] else { return false };
        let (Ok(id), Ok(fence)) = (id.parse::<TaskId>(), fence.parse::<u64>()) else {
            return false;
        };
        match word {
            "submitted" => {
                self.submitted.insert(id);
            }
            "claimed" => {
                let before = self.fences.insert(id, fence).unwrap_or_default();
                assert!(fence > before, "{id}: fence {fence} after {before}");
                assert!(!self.completed.contains(&id), "{id} was claimed after it completed");
            }
            "completed" => assert!(self.completed.insert(id), "{id} completed twice"),
            _ => return false,
        }
        true
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("hive.db");
    let mut chance = Chance::named("kills");
    let mut acknowledged = Acknowledged::default();
    for _ in 0..6 {
        let (mut child, mut out) = start(&path);
        let until = 20 + chance.below(300);
        let (mut told, mut killed) = (0, false);
        let mut line = String::new();
        // What it said before it was killed is read to the end; the last line may be half a one.
        while out.read_line(&mut line).unwrap() > 0 {
            if line.ends_with('\n') && acknowledged.note(line.trim_end()) {
                told += 1;
            }
            if told >= until && !killed {
                child.kill().unwrap();
                killed = true;
            }
            line.clear();
        }
        child.wait().unwrap();
        assert!(killed, "it ended by itself after {told} lines");
    }
    check(&hive(&path), &acknowledged).await;
}

async fn check(hive: &Hive, acknowledged: &Acknowledged) {
    assert!(acknowledged.submitted.len() > 50 && acknowledged.completed.len() > 30);
    // Dead sessions are found at once: nobody else can have the file.
    hive.tend().await;
    assert_eq!(hive.counts().await.running, 0);
    for id in &acknowledged.submitted {
        let stored = hive.tasks(&[*id]).await.remove(0).expect("none is lost");
        let fence = acknowledged.fences.get(id).copied().unwrap_or_default();
        assert!(stored.fence >= fence, "{id}");
        if acknowledged.completed.contains(id) {
            assert_eq!((stored.state, stored.fence), (State::Completed, fence), "{id}");
        } else {
            assert!(matches!(stored.state, State::Pending | State::Completed), "{stored:?}");
        }
    }
    let counts = hive.counts().await;
    let found = hive.broker.list(State::Completed, ALL).await.unwrap();
    assert_eq!(counts.completed, u64::try_from(found.len()).unwrap());
    crate::views::assert_recount(hive).await;
}
