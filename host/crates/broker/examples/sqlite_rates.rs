//! Rates of the embedded back end: submit, claim and finish in batches, on an empty queue and on a long one; beside
//! each the processor time of a task, which other work on the machine hardly changes.
//!
//! `cargo run --release -p venom-broker --example sqlite_rates [tasks] [queued]`

#![expect(clippy::print_stdout, reason = "it prints what it measured")]

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use venom_broker::sqlite::{Durability, SqliteBroker};
use venom_broker::{Broker, Ending, EndingKind, Lease, NewTask, Note, Settings, Want};
use venom_protocol::{Lane, Priority, Requirements, SessionId, TaskId};

type Done<T> = Result<T, Box<dyn Error>>;

const BATCH: usize = 500;
const LEASES: usize = 256;

fn lane() -> Lane {
    Lane::of("EchoSkill", &Requirements::default(), None)
}

fn task() -> NewTask {
    NewTask {
        id: TaskId::next(),
        lane: lane(),
        priority: Priority::BACKGROUND,
        delay: Duration::ZERO,
        idempotency: None,
        depends_on: Vec::new(),
        body: r#"{"skill_name":"EchoSkill","method_name":"echo","parameters":{"text":"hello"},"timeout":300.0,"max_retries":3}"#
            .to_owned(),
    }
}

async fn submit(broker: &SqliteBroker, tasks: usize) -> Done<Took> {
    let begin = Took::begin();
    for _ in 0..tasks / BATCH {
        broker.submit((0..BATCH).map(|_| task()).collect()).await?;
    }
    Ok(begin.until_now(tasks))
}

fn ending(lease: &Lease) -> Ending {
    Ending {
        id: lease.id,
        fence: lease.fence,
        node: None,
        started_at: lease.created_at,
        kind: EndingKind::Completed {
            result: r#"{"text":"hello"}"#.to_owned(),
        },
    }
}

async fn work(broker: &SqliteBroker, session: SessionId, tasks: usize) -> Done<Took> {
    let leases = tasks.min(LEASES);
    let want = Want {
        lane: lane(),
        priority: Priority::BACKGROUND,
        most: leases,
    };
    let begin = Took::begin();
    let mut done = 0;
    while done < tasks {
        let claim = broker.claim(session, vec![want.clone()], leases).await?;
        if claim.leases.is_empty() {
            return Err("nothing to claim".into());
        }
        done += claim.leases.len();
        broker
            .finish(session, claim.leases.iter().map(ending).collect())
            .await?;
    }
    Ok(begin.until_now(tasks))
}

/// One task at a time, from before it is submitted until its result is written: half of them, and nearly all, take
/// no longer.
async fn one_by_one(broker: &SqliteBroker, session: SessionId, count: usize) -> Done<(Duration, Duration)> {
    let mut took = Vec::new();
    for _ in 0..count {
        let begin = Instant::now();
        broker.submit(vec![task()]).await?;
        work(broker, session, 1).await?;
        took.push(begin.elapsed());
    }
    took.sort_unstable();
    let at = |part: usize| took.get(took.len() * part / 100).copied().unwrap_or_default();
    Ok((at(50), at(99)))
}

/// What so many tasks took.
struct Took {
    tasks: usize,
    wall: Duration,
    processor: Duration,
    begun: Instant,
}

impl Took {
    fn begin() -> Self {
        Self {
            tasks: 0,
            wall: Duration::ZERO,
            processor: processor_time(),
            begun: Instant::now(),
        }
    }

    fn until_now(self, tasks: usize) -> Self {
        Self {
            tasks,
            wall: self.begun.elapsed(),
            processor: processor_time().saturating_sub(self.processor),
            ..self
        }
    }
}

impl std::fmt::Display for Took {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let tasks = f64::from(u32::try_from(self.tasks).unwrap_or(u32::MAX));
        let rate = tasks / self.wall.as_secs_f64();
        let each = self.processor.as_secs_f64() * 1e6 / tasks;
        write!(f, "{rate:.0}/s ({each:.1} µs of processor each)")
    }
}

/// Of all threads of this process so far, from the scheduler's own clock.
fn processor_time() -> Duration {
    let threads = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let nanos = threads.filter_map(|thread| {
        let text = std::fs::read_to_string(thread.path().join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(nanos.sum())
}

fn resident() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    status
        .lines()
        .find(|line| line.starts_with("VmRSS"))
        .unwrap_or_default()
        .to_owned()
}

async fn measure(broker: &SqliteBroker, session: SessionId, tasks: usize, name: &str) -> Done<()> {
    let submitted = submit(broker, tasks).await?;
    broker.renew(session, Note::default()).await?;
    let worked = work(broker, session, tasks).await?;
    let (half, most) = one_by_one(broker, session, 3_000).await?;
    println!(
        "{name}: submit {submitted}, claim and finish {worked}, one by one p50 {half:?} p99 {most:?}, {}",
        resident()
    );
    Ok(())
}

#[tokio::main]
async fn main() -> Done<()> {
    let mut numbers = std::env::args().skip(1).map(|text| text.parse::<usize>());
    let tasks = numbers.next().transpose()?.unwrap_or(100_000);
    let queued = numbers.next().transpose()?.unwrap_or(1_000_000);
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("hive.db");
    let settings = Settings {
        session_ttl: Duration::from_secs(600),
        ..Settings::default()
    };
    let broker = Arc::new(SqliteBroker::open(&path, Durability::Process, settings.clone())?);
    let session = SessionId::random();
    measure(&broker, session, tasks, "empty").await?;
    submit(&broker, 1_000).await?;
    measure(&broker, session, tasks, "1,000 queued").await?;
    let filled = submit(&broker, queued).await?;
    println!("{queued} more: submit {filled}");
    measure(&broker, session, tasks, "long queue").await?;
    let log = std::fs::metadata(dir.path().join("hive.db-wal"))?.len();
    println!("log: {log} bytes");
    drop(broker);
    let begin = Instant::now();
    let broker = SqliteBroker::open(&path, Durability::Process, settings)?;
    println!(
        "opened in {:?}: {} pending",
        begin.elapsed(),
        broker.counts().await?.waiting()
    );
    println!("file: {} bytes", std::fs::metadata(&path)?.len());
    Ok(())
}
