//! The peers, run by the programs in `bench/peers`. One that fails is a contender without figures, and a note why.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

use super::figures::{Contender, Latency, Throughput};
use super::redis::RedisServer;
use super::{Plan, bounded, install};

/// Longest a scenario may take.
const LIMIT: Duration = Duration::from_secs(180);
/// What five workers can at most make of it.
const SLEPT_S: f64 = 10.0;

/// BullMQ, two processes with concurrency 100.
pub(crate) fn bullmq(plan: &Plan) -> Contender {
    let mut peer = Contender::new("BullMQ");
    let Some(script) = peer.keep("not installed", install::bullmq()) else {
        return peer;
    };
    let program = || {
        let mut node = Command::new("node");
        node.arg(&script);
        node
    };
    for (tasks, runs) in plan.sizes() {
        peer.try_throughput(tasks, runs, || throughput(program(), "throughput", tasks));
    }
    prompt(&mut peer, program, plan.latency_samples());
    peer
}

/// apalis-redis with its locks, and without.
pub(crate) fn apalis(plan: &Plan) -> [Contender; 2] {
    let mut locked = Contender::new("apalis-redis");
    let mut unlocked = Contender::new("apalis-redis, no locks");
    let Some(path) = locked.keep("not installed", install::apalis()) else {
        return [locked, unlocked];
    };
    let program = || Command::new(&path);
    for (tasks, runs) in plan.sizes() {
        locked.try_throughput(tasks, runs, || throughput(program(), "throughput", tasks));
        unlocked.try_throughput(tasks, runs, || throughput(program(), "throughput-unlocked", tasks));
    }
    prompt(&mut locked, program, plan.latency_samples());
    [locked, unlocked]
}

/// Celery: one run of each size but the largest, which would take minutes.
pub(crate) fn celery(plan: &Plan) -> Contender {
    let mut peer = Contender::new("Celery");
    let Some((python, script)) = peer.keep("not installed", install::celery()) else {
        return peer;
    };
    let program = || {
        let mut command = Command::new(&python);
        command.env("PYTHONDONTWRITEBYTECODE", "1").arg(&script);
        command
    };
    for (tasks, _) in plan.sizes() {
        if tasks <= 20_000 {
            peer.try_throughput(tasks, 1, || throughput(program(), "throughput", tasks));
        } else {
            peer.notes
                .push(format!("{tasks} queued: not run, it would take minutes"));
        }
    }
    prompt(&mut peer, program, plan.latency_samples().min(300));
    peer
}

/// Latency and speed-up; the better of three speed-ups, since a peer's luck with fetching ahead varies.
fn prompt(peer: &mut Contender, program: impl Fn() -> Command, samples: usize) {
    let measured = scenario(program(), &["latency", &samples.to_string()]).and_then(|said| {
        Ok(Latency {
            p50_ms: number(&said, "p50_ms")?,
            p99_ms: number(&said, "p99_ms")?,
        })
    });
    peer.latency = peer.keep("latency", measured);
    for _ in 0..3 {
        let measured = scenario(program(), &["speedup"]).and_then(|said| number(&said, "elapsed_s"));
        let Some(elapsed) = peer.keep("speed-up", measured) else {
            return;
        };
        peer.speedup = Some(peer.speedup.unwrap_or(0.0).max(SLEPT_S / elapsed));
    }
}

fn throughput(program: Command, name: &str, tasks: usize) -> Result<Throughput> {
    let said = scenario(program, &[name, &tasks.to_string()])?;
    Ok(Throughput {
        tasks,
        enqueue_s: number(&said, "enqueue_s")?,
        consume_s: number(&said, "consume_s")?,
        resident_mib: number(&said, "worker_rss_mib")?,
    })
}

/// Runs a scenario beside a fresh Redis; answers the line it printed.
fn scenario(mut program: Command, arguments: &[&str]) -> Result<Value> {
    let redis = RedisServer::start()?;
    let printed = bounded::run(program.arg(redis.port().to_string()).args(arguments), LIMIT)?;
    let line = printed.lines().next_back().context("it printed nothing")?;
    Ok(serde_json::from_str(line)?)
}

fn number(said: &Value, name: &str) -> Result<f64> {
    said.get(name)
        .and_then(Value::as_f64)
        .with_context(|| format!("no {name} in {said}"))
}
