//! The three scenarios.

use std::time::{Duration, Instant};

use apalis::prelude::*;
use redis::AsyncCommands;
use serde_json::json;

use crate::worker::Workers;
use crate::{Bench, Failure, Item, Settings};

/// Tasks in one push: the whole bulk in few scripts, each short enough for Lua's stack.
const CHUNK: u64 = 1_000;

/// One task at a time, so that none waits behind another in a worker.
const PROMPT: Settings = Settings {
    batch: 1,
    concurrency: 0,
    locks: true,
};

fn item(item: u64, sleep_ms: u64) -> Item {
    Item {
        item,
        text: String::from("forty bytes"),
        sleep_ms,
    }
}

async fn enqueue(bench: &Bench, count: u64, sleep_ms: u64) -> Result<(), Failure> {
    let mut storage = bench.storage(PROMPT);
    let mut next = 0;
    while next < count {
        let until = count.min(next + CHUNK);
        storage
            .push_bulk((next..until).map(|number| item(number, sleep_ms)).collect::<Vec<_>>())
            .await?;
        next = until;
    }
    Ok(())
}

/// A pushed task lands in the set of scheduled ones, and the first fetch moves all that are due in one
/// script, which fails beyond some 8,000 ("too many results to unpack"). This moves them in small steps.
async fn promote(bench: &mut Bench) -> Result<(), Failure> {
    loop {
        let due: Vec<String> = bench
            .connection
            .zrange("bench:scheduled", 0, CHUNK as isize - 1)
            .await?;
        if due.is_empty() {
            return Ok(());
        }
        redis::pipe()
            .atomic()
            .rpush("bench:active", &due)
            .zrem("bench:scheduled", &due)
            .exec_async(&mut bench.connection)
            .await?;
    }
}

/// Waits until so many results are recorded; fails when none comes for ten seconds.
async fn completed(bench: &mut Bench, count: u64) -> Result<(), Failure> {
    let (mut seen, mut moved) = (0, Instant::now());
    loop {
        let done: u64 = bench.connection.scard("bench:done").await?;
        if done >= count {
            return Ok(());
        }
        if done > seen {
            (seen, moved) = (done, Instant::now());
        }
        if moved.elapsed() > Duration::from_secs(10) {
            return Err(format!("stuck at {done} of {count} tasks").into());
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

pub async fn throughput(mut bench: Bench, count: u64, locks: bool) -> Result<(), Failure> {
    // Locking a batch goes through the whole backlog for each task, in one script that must end in half a second.
    let batch = if locks && count > 5_000 { 100 } else { 1_000 };
    let settings = Settings {
        batch,
        concurrency: 0,
        locks,
    };
    let mut workers = Workers::start(&bench, 2, settings).await?;
    let began = Instant::now();
    enqueue(&bench, count, 0).await?;
    let enqueue_s = began.elapsed().as_secs_f64();
    promote(&mut bench).await?;
    let began = Instant::now();
    workers.go().await?;
    completed(&mut bench, count).await?;
    let consume_s = began.elapsed().as_secs_f64();
    let rss = workers.resident_mib()?;
    println!(
        "{}",
        json!({"scenario": "throughput", "tasks": count, "enqueue_s": enqueue_s, "consume_s": consume_s, "worker_rss_mib": rss})
    );
    Ok(())
}

pub async fn latency(bench: Bench, count: usize) -> Result<(), Failure> {
    let mut workers = Workers::start(&bench, 2, PROMPT).await?;
    workers.go().await?;
    let mut storage = bench.storage(PROMPT);
    let mut samples = Vec::with_capacity(count);
    for number in 0..count + 20 {
        let began = Instant::now();
        let id = TaskId::from_string(format!("task-{number}"));
        let task = TaskBuilder::new(item(number as u64, 0)).task_id(id.clone()).build();
        storage.push_task(task).await?;
        loop {
            // `wait_for` asks only every 100 ms.
            let results: Vec<TaskResult<bool>> = storage.check_status([id.clone()]).await?;
            if !results.is_empty() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        if number >= 20 {
            samples.push(began.elapsed().as_secs_f64() * 1e3);
        }
    }
    samples.sort_by(f64::total_cmp);
    let at = |share: f64| samples[((samples.len() - 1) as f64 * share).round() as usize];
    println!(
        "{}",
        json!({"scenario": "latency", "p50_ms": at(0.5), "p99_ms": at(0.99)})
    );
    Ok(())
}

pub async fn speedup(mut bench: Bench) -> Result<(), Failure> {
    let mut workers = Workers::start(
        &bench,
        5,
        Settings {
            concurrency: 1,
            ..PROMPT
        },
    )
    .await?;
    workers.go().await?;
    enqueue(&bench, 5, 0).await?;
    completed(&mut bench, 5).await?;
    let began = Instant::now();
    enqueue(&bench, 20, 500).await?;
    completed(&mut bench, 25).await?;
    println!(
        "{}",
        json!({"scenario": "speedup", "elapsed_s": began.elapsed().as_secs_f64()})
    );
    Ok(())
}
