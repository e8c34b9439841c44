//! A thousand swaps under constant load: what calls notice of them, and what stays behind in memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde_json::value::RawValue;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use venom_bundle::VerifiedBundle;
use venom_bundle::capability::Policy;
use venom_protocol::RequestId;
use venom_runtime::{Backends, Call, Runtime, RuntimeSettings, Skill, SkillSet};

use super::press;
use crate::Effort;
use crate::guests::VERSIONED;
use crate::table::{Row, percentile};

const SWAPS: usize = 1_000;
const CALLERS: usize = 4;
/// Between two calls of one caller: together a steady two thousand a second.
const PACE: Duration = Duration::from_millis(2);
/// Between two swaps: far more often than any release.
const BETWEEN: Duration = Duration::from_millis(20);

pub(super) fn measure(effort: Effort) -> Result<Vec<Row>> {
    let swaps = effort.count(SWAPS);
    let directory = tempfile::tempdir()?;
    let runtime = Runtime::new(RuntimeSettings {
        slots: 100,
        compiled_cache: Some(directory.path().join("compiled")),
        ..RuntimeSettings::default()
    })?;
    let versions = [press::verified(1)?, press::verified(2)?];
    let skills = SkillSet::empty();
    for version in &versions {
        skills.insert(load(&runtime, version)?);
    }
    let tokio = tokio::runtime::Runtime::new()?;
    let quiet = tokio.block_on(under_load(&skills, async || {
        tokio::time::sleep(BETWEEN * u32::try_from(swaps)?).await;
        Ok(())
    }))?;
    let before = resident_bytes()?;
    let began = Instant::now();
    let busy = tokio.block_on(under_load(&skills, async || {
        swap(&runtime, &versions, &skills, swaps).await
    }))?;
    let took = began.elapsed().as_secs_f64();
    let grown = (resident_bytes()? as f64 - before as f64) / 1024.0 / 1024.0;
    let figures = |load: &Load| {
        let mut times = load.times.clone();
        [0.5, 0.99].map(|share| percentile(&mut times, share) * 1e3)
    };
    let ([half, most], [busy_half, busy_most]) = (figures(&quiet), figures(&busy));
    let ratio = busy_most / most;
    Ok(vec![
        Row::ratio(
            &format!(
                "call p99 during {swaps} swaps ({:.0}/s) beside without",
                swaps as f64 / took
            ),
            format!("{busy_most:.2} ms (p50 {busy_half:.2})"),
            format!("{most:.2} ms (p50 {half:.2})"),
            ratio,
            "<= 2",
            ratio <= 2.0,
        ),
        Row::absolute(
            &format!("failed calls of {} meanwhile", busy.calls),
            busy.failed.to_string(),
            "0",
            busy.failed == 0,
        ),
        Row::absolute(
            "RSS grown by them",
            format!("{grown:.1} MiB"),
            "flat (< 16 MiB)",
            grown < 16.0,
        ),
    ])
}

fn load(runtime: &Runtime, version: &VerifiedBundle) -> Result<Skill> {
    let (grants, _) = version.rights_under(&Policy::default());
    Ok(runtime.load(version, grants, &Backends::local())?)
}

/// Loads each version anew, as an updater does, swaps it in and lets the old one drain.
async fn swap(runtime: &Runtime, versions: &[VerifiedBundle; 2], skills: &SkillSet, swaps: usize) -> Result<()> {
    let mut turns = tokio::time::interval(BETWEEN);
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for version in versions.iter().cycle().take(swaps) {
        turns.tick().await;
        let skill = tokio::task::block_in_place(|| load(runtime, version))?;
        if let Some(old) = skills.insert(skill) {
            old.drained().await;
        }
    }
    Ok(())
}

/// What callers saw.
struct Load {
    /// Seconds.
    times: Vec<f64>,
    calls: usize,
    failed: usize,
}

/// Calls at a steady pace until `meanwhile` has ended.
async fn under_load(skills: &SkillSet, meanwhile: impl AsyncFnOnce() -> Result<()>) -> Result<Load> {
    let (stop, failed) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let mut callers = JoinSet::new();
    for _ in 0..CALLERS {
        let (skills, stop, failed) = (skills.clone(), Arc::clone(&stop), Arc::clone(&failed));
        callers.spawn(async move {
            let mut times = Vec::new();
            let mut turns = tokio::time::interval(PACE);
            turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
            while !stop.load(Ordering::Relaxed) {
                turns.tick().await;
                let began = Instant::now();
                let outcome = skills.call(VERSIONED.skill, call()?).await;
                times.push(began.elapsed().as_secs_f64());
                if outcome.result.is_err() {
                    failed.fetch_add(1, Ordering::Relaxed);
                }
            }
            anyhow::Ok(times)
        });
    }
    meanwhile().await?;
    stop.store(true, Ordering::Relaxed);
    let mut times = Vec::new();
    while let Some(caller) = callers.join_next().await {
        times.extend(caller??);
    }
    ensure!(!times.is_empty(), "nobody called");
    Ok(Load {
        calls: times.len(),
        failed: failed.load(Ordering::Relaxed),
        times,
    })
}

fn call() -> Result<Call> {
    Ok(Call {
        request_id: RequestId::random(),
        task_id: "bench".to_owned(),
        traceparent: None,
        attempt: 1,
        method: "variant".to_owned(),
        params: RawValue::from_string("{}".to_owned())?,
        timeout: Duration::from_secs(10),
        cancel: CancellationToken::new(),
        progress: None,
        depth: 0,
    })
}

fn resident_bytes() -> Result<u64> {
    crate::processes::resident_bytes_of(std::process::id())
}
