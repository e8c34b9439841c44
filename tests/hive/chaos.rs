//! Twenty thousand tasks while spores, nexuses and Redis are killed with SIGKILL and come back: none lost, none
//! recorded as completed twice, every result right. Real processes, and a Redis that writes before it answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use reqwest::StatusCode;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep, timeout};
use venom_tests::{Client, HostProcess, Publisher, SPORE_TOKEN, SkillName};

use crate::redis_server::RedisServer;

const TASKS: usize = 20_000;
/// Tasks of one request.
const BATCH: usize = 500;
const SPORES: usize = 4;
/// Between one kill and the next.
const PAUSE: Duration = Duration::from_millis(900);
/// From the first task to the last result. A machine that needs longer has lost something.
const LIMIT: Duration = Duration::from_secs(240);

/// What is killed, in this order, again and again while there is work.
const VICTIMS: [Victim; 8] = [
    Victim::Spore(0),
    Victim::Nexus(0),
    Victim::Spore(1),
    Victim::Redis,
    Victim::Spore(2),
    Victim::Nexus(1),
    Victim::Spore(3),
    Victim::Redis,
];

#[derive(Debug, Clone, Copy)]
enum Victim {
    Spore(usize),
    Nexus(usize),
    Redis,
}

/// A nexus that can be started again on its port.
struct Nexus {
    data: TempDir,
    port: u16,
    redis: String,
    process: Option<HostProcess>,
}

impl Nexus {
    async fn start(redis: &str) -> Result<Self> {
        let mut nexus = Self {
            data: TempDir::new()?,
            port: free_port()?,
            redis: redis.to_owned(),
            process: None,
        };
        nexus.start_again().await?;
        Ok(nexus)
    }

    async fn start_again(&mut self) -> Result<()> {
        let port = self.port.to_string();
        let arguments = [
            "nexus",
            "--dev",
            "--port",
            &port,
            "--token",
            SPORE_TOKEN,
            "--redis-url",
            &self.redis,
        ];
        let mut process = HostProcess::start(self.data.path(), &arguments)?;
        process.ready("nexus ready").await?;
        self.process = Some(process);
        Ok(())
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

/// A spore that knows both nexuses.
struct Spore {
    data: TempDir,
    nexuses: String,
    process: Option<HostProcess>,
}

impl Spore {
    async fn start(nexuses: String) -> Result<Self> {
        let data = TempDir::new()?;
        HostProcess::run(data.path(), &["init"]).await?;
        Publisher::of_data_dir(data.path())?.fill(&data.path().join("skills"), &[SkillName::Echo])?;
        let mut spore = Self {
            data,
            nexuses,
            process: None,
        };
        spore.start_again().await?;
        Ok(spore)
    }

    async fn start_again(&mut self) -> Result<()> {
        let arguments = [
            "spore",
            "--nexus",
            &self.nexuses,
            "--token",
            SPORE_TOKEN,
            "--concurrency",
            "32",
        ];
        let mut process = HostProcess::start(self.data.path(), &arguments)?;
        process.ready("spore ready").await?;
        self.process = Some(process);
        Ok(())
    }
}

fn free_port() -> Result<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// Kills and revives until told to stop. Gives how often.
async fn rage(
    mut redis: RedisServer,
    mut nexuses: Vec<Nexus>,
    mut spores: Vec<Spore>,
    calm: Arc<AtomicBool>,
) -> Result<(RedisServer, Vec<Nexus>, Vec<Spore>, usize)> {
    let mut kills = 0;
    for victim in VICTIMS.iter().cycle() {
        sleep(PAUSE).await;
        if calm.load(Ordering::Acquire) {
            break;
        }
        kills += 1;
        match *victim {
            Victim::Spore(at) => {
                let spore = spores.get_mut(at).context("no such spore")?;
                spore.process.take().context("spore is dead already")?.kill().await?;
                spore.start_again().await?;
            }
            Victim::Nexus(at) => {
                let nexus = nexuses.get_mut(at).context("no such nexus")?;
                nexus.process.take().context("nexus is dead already")?.kill().await?;
                nexus.start_again().await?;
            }
            Victim::Redis => {
                redis = tokio::task::spawn_blocking(move || {
                    redis.kill();
                    redis.start();
                    redis
                })
                .await?;
            }
        }
    }
    Ok((redis, nexuses, spores, kills))
}

/// Submits one batch until a nexus takes it. The keys make repeating harmless.
async fn submit(clients: &[Client], batch: usize) -> Result<Vec<String>> {
    let tasks: Vec<Value> = (batch * BATCH..(batch + 1) * BATCH)
        .map(|n| {
            json!({ "skill_name": "EchoSkill", "method_name": "say", "parameters": { "text": text(n) },
                "idempotency_key": format!("chaos-{n}"), "max_retries": 20, "backoff": { "base": 0.05, "max": 1.0 } })
        })
        .collect();
    let body = json!({ "tasks": tasks });
    for attempt in 0.. {
        let client = clients.get(attempt % clients.len()).context("no client")?;
        let answer = client.post("/api/v1/tasks", &body).await;
        match answer {
            Ok(answer) if answer.status == StatusCode::ACCEPTED => {
                let ids = answer.body["task_ids"].as_array().context("no ids")?;
                return ids
                    .iter()
                    .map(|id| Ok(id.as_str().context("no id")?.to_owned()))
                    .collect();
            }
            Ok(answer) => ensure!(
                answer.status == StatusCode::SERVICE_UNAVAILABLE || answer.status == StatusCode::TOO_MANY_REQUESTS,
                "refused for good: {} {}",
                answer.status,
                answer.body
            ),
            Err(_) => {}
        }
        sleep(Duration::from_millis(50)).await;
    }
    unreachable!("the loop does not end")
}

fn text(n: usize) -> String {
    format!("task {n} of the storm")
}

/// One answer of 200, from whichever nexus gives it.
async fn get(clients: &[Client], path: &str) -> Result<Value> {
    let end = Instant::now() + venom_tests::DEADLINE;
    for attempt in 0.. {
        let client = clients.get(attempt % clients.len()).context("no client")?;
        match client.get(path).await {
            Ok(answer) if answer.status == StatusCode::OK => return Ok(answer.body),
            other => ensure!(Instant::now() < end, "{path}: {other:?}"),
        }
        sleep(Duration::from_millis(20)).await;
    }
    unreachable!("the loop does not end")
}

async fn check_results(clients: &[Client], ids: Vec<String>) -> Result<()> {
    let mut readers: JoinSet<Result<()>> = JoinSet::new();
    let numbered: Vec<(usize, String)> = ids.into_iter().enumerate().collect();
    for chunk in numbered.chunks(TASKS / 16) {
        let (chunk, clients) = (chunk.to_vec(), clients.to_vec());
        readers.spawn(async move {
            for (n, id) in chunk {
                let task = get(&clients, &format!("/api/v1/tasks/{id}")).await?;
                ensure!(task["status"] == "completed", "{task}");
                ensure!(task["result"] == *text(n), "{n}: {task}");
            }
            Ok(())
        });
    }
    while let Some(read) = readers.join_next().await {
        read??;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_and_nothing_completes_twice_while_everything_is_killed() -> Result<()> {
    let redis = tokio::task::spawn_blocking(RedisServer::durable).await?;
    let url = redis.url();
    let nexuses = vec![Nexus::start(&url).await?, Nexus::start(&url).await?];
    let clients: Vec<Client> = nexuses
        .iter()
        .map(|nexus| Client::new(nexus.url(), None))
        .collect::<Result<_>>()?;
    let urls: Vec<String> = nexuses.iter().map(Nexus::url).collect();
    let mut spores = Vec::new();
    for at in 0..SPORES {
        let mut mine = urls.clone();
        mine.rotate_left(at % urls.len());
        spores.push(Spore::start(mine.join(",")).await?);
    }

    let calm = Arc::new(AtomicBool::new(false));
    let storm: JoinHandle<_> = tokio::spawn(rage(redis, nexuses, spores, Arc::clone(&calm)));
    let work = async {
        let mut ids = Vec::with_capacity(TASKS);
        for batch in 0..TASKS / BATCH {
            ids.extend(submit(&clients, batch).await?);
        }
        loop {
            let queues = get(&clients, "/api/v1/queues").await?;
            if queues["tasks_completed"].as_u64() >= Some(TASKS as u64) {
                return Ok::<_, anyhow::Error>((ids, queues));
            }
            ensure!(queues["tasks_failed"] == 0, "a task failed: {queues}");
            sleep(Duration::from_millis(200)).await;
        }
    };
    let (ids, _) = timeout(LIMIT, work).await.context("the work was not done in time")??;
    calm.store(true, Ordering::Release);
    let (_redis, _nexuses, _spores, kills) = storm.await??;
    ensure!(kills >= 5, "only {kills} kills: the storm was over before it began");

    let distinct: std::collections::BTreeSet<&String> = ids.iter().collect();
    ensure!(distinct.len() == TASKS, "{} ids for {TASKS} tasks", distinct.len());
    check_results(&clients, ids).await?;
    let queues = get(&clients, "/api/v1/queues").await?;
    for (count, expected) in [
        ("tasks_completed", TASKS),
        ("tasks_failed", 0),
        ("tasks_cancelled", 0),
        ("tasks_pending", 0),
        ("tasks_running", 0),
    ] {
        ensure!(queues[count] == expected, "{count} is not {expected}: {queues}");
    }
    Ok(())
}
