//! Venom's own figures in the peers' scenarios: a nexus and one spore as processes, every task in a fresh sandbox.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::Plan;
use super::figures::{Contender, Latency, Throughput};
use super::hive::{Backend, Hive, Setup};
use crate::guests;
use crate::table::percentile;

/// Tasks that warm a hive up, as the peers' do.
const WARM_UP: usize = 2_000;
/// As often as the peers' drivers look.
const LOOK: Duration = Duration::from_millis(5);

/// One spore with its defaults, and the switch that the promise of throughput needs.
pub(crate) fn one_spore(backend: Backend) -> Setup {
    Setup {
        backend,
        spores: 1,
        concurrency: None,
        dirty_page_scan: "on",
    }
}

/// All scenarios on one back end.
pub(crate) fn measure(plan: &Plan, backend: Backend) -> Contender {
    let mut venom = Contender::new(match backend {
        Backend::Redis => "Venom, Redis",
        Backend::Embedded => "Venom, embedded",
    });
    for (tasks, runs) in plan.sizes() {
        venom.try_throughput(tasks, runs, || throughput(one_spore(backend), tasks));
    }
    let measured = latency(backend, plan.latency_samples());
    venom.latency = venom.keep("latency", measured);
    let measured = speedup(backend);
    venom.speedup = venom.keep("speed-up", measured);
    venom
}

/// Redis once more, with the sandbox as it is by default.
pub(crate) fn measure_default_sandbox(plan: &Plan) -> Contender {
    let mut venom = Contender::new("Venom, Redis, no dirty page scan");
    let setup = Setup {
        dirty_page_scan: "off",
        ..one_spore(Backend::Redis)
    };
    for (tasks, runs) in plan.sizes().into_iter().filter(|(tasks, _)| *tasks <= 20_000) {
        venom.try_throughput(tasks, runs, || throughput(setup, tasks));
    }
    venom
}

fn throughput(setup: Setup, tasks: usize) -> Result<Throughput> {
    let hive = Hive::start(setup)?;
    hive.enqueue(WARM_UP)?;
    hive.completed(WARM_UP as u64, LOOK)?;
    hive.hold()?;
    let began = Instant::now();
    hive.enqueue(tasks)?;
    let enqueue_s = began.elapsed().as_secs_f64();
    let began = Instant::now();
    hive.release()?;
    hive.completed((WARM_UP + tasks) as u64, LOOK)?;
    let consume_s = began.elapsed().as_secs_f64();
    let mut resident = hive.nexus.resident_bytes()?;
    for spore in &hive.spores {
        resident += spore.resident_bytes()?;
    }
    Ok(Throughput {
        tasks,
        enqueue_s,
        consume_s,
        resident_mib: resident as f64 / f64::from(1 << 20),
    })
}

fn latency(backend: Backend, count: usize) -> Result<Latency> {
    let hive = Hive::start(one_spore(backend))?;
    let mut samples = Vec::with_capacity(count);
    for number in 0..count + count / 5 {
        let began = Instant::now();
        let task = hive.submit(guests::NOOP, "noop", r#"{"item":1,"text":"forty bytes of JSON."}"#)?;
        hive.wait(&task)?;
        if number >= count / 5 {
            samples.push(began.elapsed().as_secs_f64() * 1e3);
        }
    }
    Ok(Latency {
        p50_ms: percentile(&mut samples, 0.5),
        p99_ms: percentile(&mut samples, 0.99),
    })
}

/// 20 tasks of 0.5 s on 5 spores that run one at a time; the median of three.
fn speedup(backend: Backend) -> Result<f64> {
    let hive = Hive::start(Setup {
        spores: 5,
        concurrency: Some(1),
        ..one_spore(backend)
    })?;
    let mut samples = Vec::new();
    for round in 0..4 {
        // The first round only compiles the skill on each spore.
        let sleep = if round == 0 { 50 } else { 500 };
        let began = Instant::now();
        for _ in 0..20 {
            hive.submit(guests::ECHO, "sleep", &format!(r#"{{"milliseconds":{sleep}}}"#))?;
        }
        hive.completed(20 * (round + 1), LOOK)?;
        if round > 0 {
            samples.push(10.0 / began.elapsed().as_secs_f64());
        }
    }
    Ok(percentile(&mut samples, 0.5))
}
