//! SIGKILL: a real process puts, delivers and ends batches, and is killed again and again. Nothing `put` acknowledged is lost, and each
//! batch counts once.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rand::RngExt as _;
use serde_json::json;
use tokio_util::sync::CancellationToken;
use venom_agent::{Agent, AgentFile, AgentSettings, Backoff, BatchKind, Client, Outbox, RealDisk, Schedule};
use venom_protocol::Timestamp;

use crate::server::{Misdeed, Server};
use crate::stage::{Skills, Stage};

const DIRECTORY: &str = "VENOM_TEST_KILL_DIRECTORY";
const NEXUS: &str = "VENOM_TEST_KILL_NEXUS";

/// How often the process is killed.
const KILLS: usize = 25;

fn settings(directory: &Path, nexus: &str) -> AgentSettings {
    let mut file = AgentFile::new(nexus, "agent-1".parse().unwrap(), "pi");
    file.heartbeat = Duration::from_millis(20);
    // small segments: they come and go
    file.outbox.max_bytes = 256 * 1024;
    file.schedules.push(Schedule::new("often", Duration::from_secs(1)));
    let mut settings = AgentSettings::new(file, directory);
    settings.backoff = Backoff {
        base: Duration::from_millis(2),
        cap: Duration::from_millis(20),
    };
    settings
}

fn agent(directory: &Path, nexus: &str) -> (Agent, Outbox) {
    let settings = settings(directory, nexus);
    let outbox = Outbox::open(&directory.join("outbox"), settings.file.outbox, Arc::new(RealDisk)).unwrap();
    let client = Client::new(nexus, None, None).unwrap();
    let agent = Agent::new(settings, client, outbox.clone(), Arc::new(Skills::default())).unwrap();
    (agent, outbox)
}

/// The process that is killed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "run by the test below, as a process of its own"]
async fn the_one_that_is_killed() {
    let directory = PathBuf::from(std::env::var_os(DIRECTORY).expect("run by the test below"));
    let nexus = std::env::var(NEXUS).unwrap();
    let (agent, outbox) = agent(&directory, &nexus);
    tokio::spawn(agent.run(CancellationToken::new()));
    let putting = tokio::task::spawn_blocking(move || {
        loop {
            // bounded: a process nobody kills ends
            for _ in 0..2_000 {
                if outbox.report().waiting > 100 {
                    std::thread::yield_now();
                    continue;
                }
                let n = uuid::Uuid::new_v4();
                let body = json!({"target": "10.0.0.0/24", "n": n, "pad": "x".repeat(500)});
                let key = outbox
                    .put(BatchKind::Discovery, body.to_string().as_bytes(), Timestamp::now())
                    .unwrap();
                let mut out = std::io::stdout().lock();
                writeln!(out, "put {key} {n}").unwrap();
                out.flush().unwrap();
            }
        }
    });
    let _ = tokio::time::timeout(Duration::from_secs(30), putting).await;
    std::process::exit(3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_and_each_counts_once() {
    let server = Server::start().await;
    let stage = Stage::new(&server);
    let mut acknowledged = BTreeMap::new();
    for round in 0..KILLS {
        if round % 3 == 0 {
            server.with(|world| world.misdo("/ingest/discovery", [Misdeed::LoseAnswer, Misdeed::Say(500, "a fault")]));
        }
        let (directory, url) = (stage.data_dir(), server.url());
        let lines = tokio::task::spawn_blocking(move || one_life(&directory, &url))
            .await
            .unwrap();
        acknowledged.extend(lines);
    }
    assert!(
        acknowledged.len() > KILLS * 2,
        "only {} batches were put",
        acknowledged.len()
    );

    // the last life is left alone until everything is delivered
    let (agent, outbox) = agent(&stage.data_dir(), &server.url());
    let (mut state, stop) = (agent.state(), CancellationToken::new());
    let task = tokio::spawn(agent.run(stop.clone()));
    let empty = state.wait_for(|state| state.outbox.waiting == 0 && outbox.report().waiting == 0);
    tokio::time::timeout(Duration::from_secs(60), empty)
        .await
        .unwrap()
        .unwrap();
    stop.cancel();
    task.await.unwrap();
    let tally = outbox.report().tally;
    assert_eq!((tally.dropped, tally.damaged, tally.dead), (0, 0, 0), "{tally:?}");
    server.with(|world| {
        for (key, n) in &acknowledged {
            let (body, _) = world
                .batches
                .get(key)
                .unwrap_or_else(|| panic!("{key} was acknowledged and is lost"));
            assert_eq!(body["n"], json!(n));
        }
        let mut seen = BTreeMap::new();
        for (key, (body, _)) in &world.batches {
            if let Some(n) = body["n"].as_str() {
                assert_eq!(seen.insert(n.to_owned(), key.clone()), None, "one batch under two keys");
            }
        }
        let again: u32 = world.batches.values().map(|(_, times)| times - 1).sum();
        // one is in flight at a time: a life that is killed sends one again, and each lost answer one more
        assert!(again as usize <= KILLS + KILLS, "{again} were sent again");
    });
}

/// Runs the process, kills it in the middle, and answers what it said.
fn one_life(directory: &Path, nexus: &str) -> Vec<(String, String)> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "kill::the_one_that_is_killed",
            "--ignored",
            "--nocapture",
            "--test-threads=1",
        ])
        .env(DIRECTORY, directory)
        .env(NEXUS, nexus)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut put = Vec::new();
    let kill_after = rand::rng().random_range(1..60);
    let take = |line: String, put: &mut Vec<(String, String)>| {
        let words: Vec<&str> = line.split(' ').collect();
        if let ["put", key, n] = words[..] {
            put.push((key.to_owned(), n.to_owned()));
        }
    };
    while put.len() < kill_after {
        take(lines.next().expect("it ended by itself").unwrap(), &mut put);
    }
    // SIGKILL, at whatever it does now
    child.kill().unwrap();
    // what it said before is in the pipe; the last line may be half
    for line in lines.map_while(Result::ok).collect::<Vec<_>>() {
        if line.split(' ').next_back().is_some_and(|n| n.len() == 36) {
            take(line, &mut put);
        }
    }
    child.wait().unwrap();
    put
}
