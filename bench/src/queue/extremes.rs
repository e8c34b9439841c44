//! A very long queue, a spore that comes and one that dies.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::hive::{Backend, Hive, Setup};
use super::venom::one_spore;
use crate::table::percentile;
use crate::{Effort, guests};

/// Tasks of one round.
const ROUND: usize = 1_000;
const ROUNDS: usize = 10;
const LOOK: Duration = Duration::from_millis(1);

/// Cost of a round, with a short queue and with a long one, milliseconds; and what the long one took.
pub(crate) struct LongQueue {
    pub(crate) pending: usize,
    pub(crate) enqueue_ms: [f64; 2],
    pub(crate) claim_ms: [f64; 2],
    /// How much the nexus grew, MiB.
    pub(crate) grown_mib: f64,
}

/// The same ten rounds of 1,000 tasks with nothing else waiting and with a million waiting.
pub(crate) fn long_queue(effort: Effort, backend: Backend) -> Result<LongQueue> {
    let pending = if effort.quick { 100_000 } else { 1_000_000 };
    let hive = Hive::start(one_spore(backend))?;
    hive.enqueue(ROUND)?;
    hive.completed(ROUND as u64, LOOK)?;
    hive.hold()?;
    let (short_enqueue, short_claim) = rounds(&hive)?;
    let before = hive.nexus.resident_bytes()?;
    hive.enqueue(pending)?;
    let grown = hive.nexus.resident_bytes()?.saturating_sub(before);
    let (long_enqueue, long_claim) = rounds(&hive)?;
    Ok(LongQueue {
        pending,
        enqueue_ms: [short_enqueue, long_enqueue],
        claim_ms: [short_claim, long_claim],
        grown_mib: grown as f64 / f64::from(1 << 20),
    })
}

/// Medians of enqueuing 1,000 tasks, and of having 1,000 run once the spore is let go.
fn rounds(hive: &Hive) -> Result<(f64, f64)> {
    let (mut enqueue, mut claim) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let began = Instant::now();
        hive.enqueue_chunk(ROUND)?;
        enqueue.push(began.elapsed().as_secs_f64() * 1e3);
        let completed = hive.count("tasks_completed")?;
        let began = Instant::now();
        hive.release()?;
        hive.completed(completed + ROUND as u64, LOOK)?;
        claim.push(began.elapsed().as_secs_f64() * 1e3);
        hive.hold()?;
    }
    Ok((percentile(&mut enqueue, 0.5), percentile(&mut claim, 0.5)))
}

/// Seconds from the start of a spore's process to the result of a task that waited for it, its code compiled before.
pub(crate) fn cold_start(effort: Effort) -> Result<f64> {
    let mut hive = Hive::start(one_spore(Backend::Redis))?;
    let task = hive.submit(guests::NOOP, "noop", "{}")?;
    hive.wait(&task)?;
    let mut samples = Vec::new();
    for _ in 0..effort.count(5).max(3) {
        hive.spores.clear();
        let task = hive.submit(guests::NOOP, "noop", "{}")?;
        let began = Instant::now();
        let spore = hive.start_spore(0)?;
        hive.wait(&task)?;
        samples.push(began.elapsed().as_secs_f64());
        hive.spores.push(spore);
    }
    Ok(percentile(&mut samples, 0.5))
}

/// Seconds from the death of a spore to another having its task: the longest of three.
pub(crate) fn killed_spore() -> Result<f64> {
    let mut longest = 0.0_f64;
    for _ in 0..3 {
        longest = longest.max(killed_once()?);
    }
    Ok(longest)
}

fn killed_once() -> Result<f64> {
    let mut hive = Hive::start(Setup {
        spores: 2,
        concurrency: Some(1),
        ..one_spore(Backend::Redis)
    })?;
    let task = hive.submit(guests::ECHO, "sleep", r#"{"milliseconds":60000}"#)?;
    let first = held_by(&hive, &task, |_| true)?;
    let place = hive.spores.iter().position(|spore| spore.ready == first);
    let dying = hive
        .spores
        .swap_remove(place.context("a node that is none of ours has the task")?);
    let began = Instant::now();
    // SIGKILL.
    drop(dying);
    held_by(&hive, &task, |node| node != first)?;
    Ok(began.elapsed().as_secs_f64())
}

fn held_by(hive: &Hive, task: &str, wanted: impl Fn(&str) -> bool) -> Result<String> {
    let deadline = Instant::now() + Duration::from_secs(30);
    while Instant::now() < deadline {
        if let Some(node) = hive.holder(task)?.filter(|node| wanted(node)) {
            return Ok(node);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    anyhow::bail!("no such node has task {task}")
}
