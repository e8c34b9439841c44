//! Memory of a nexus with a thousand idle spores, and whether it misses a heartbeat.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use venom_spore::sim::SimSpore;

use crate::Effort;
use crate::processes::{TOKEN, start_nexus};
use crate::table::Row;

const SPORES: usize = 1_000;
/// Spores that connect at one time, so that the measurement is not one of the accept queue.
const AT_ONCE: usize = 50;
/// Both short, so that a run sees several rounds of heartbeats: a missed one would show as offline.
const HEARTBEAT: Duration = Duration::from_secs(4);
const TIMEOUT: &str = "8";

pub(crate) fn measure(effort: Effort) -> Result<Vec<Row>> {
    let directory = tempfile::tempdir()?;
    let nexus = start_nexus(directory.path(), &[("NEXUS_HEARTBEAT_TIMEOUT", TIMEOUT)])?;
    let before = nexus.resident_bytes()?;
    let runtime = tokio::runtime::Runtime::new()?;
    let spores = runtime.block_on(connect_all(&nexus.ready))?;

    let watch = Duration::from_secs(if effort.quick { 12 } else { 40 });
    let began = Instant::now();
    let mut fewest = SPORES as u64;
    let mut most_resident = before;
    while began.elapsed() < watch {
        std::thread::sleep(Duration::from_millis(500));
        fewest = fewest.min(online(&nexus.ready)?);
        most_resident = most_resident.max(nexus.resident_bytes()?);
    }
    drop(spores);
    let each = (most_resident - before) as f64 / SPORES as f64 / 1024.0;
    let missed = SPORES as u64 - fewest;
    Ok(vec![
        Row::absolute(
            "nexus RSS for each of 1,000 idle spores",
            format!("{each:.1} KiB"),
            "< 30 KiB",
            each < 30.0,
        ),
        Row::absolute("spores that missed a heartbeat", missed.to_string(), "0", missed == 0),
    ])
}

async fn connect_all(nexus: &str) -> Result<Vec<venom_spore::sim::SimHandle>> {
    let mut spores = Vec::with_capacity(SPORES);
    let mut connecting = tokio::task::JoinSet::new();
    for number in 0..SPORES {
        let spore = SimSpore::new(nexus, TOKEN).skills(&["EchoSkill"]).with(|settings| {
            settings.name = format!("idle-{number}");
            settings.heartbeat_interval = HEARTBEAT;
        });
        connecting.spawn(spore.connect(Duration::from_secs(30)));
        if connecting.len() >= AT_ONCE
            && let Some(connected) = connecting.join_next().await
        {
            spores.push(connected??);
        }
    }
    while let Some(connected) = connecting.join_next().await {
        spores.push(connected??);
    }
    ensure!(spores.len() == SPORES, "only {} spores connected", spores.len());
    Ok(spores)
}

/// Nodes the nexus holds to be online.
fn online(nexus: &str) -> Result<u64> {
    let text = ureq::get(format!("{nexus}/api/v1/nodes?online_only=true"))
        .call()?
        .body_mut()
        .read_to_string()?;
    let answer: Value = serde_json::from_str(&text)?;
    answer
        .get("online_count")
        .and_then(Value::as_u64)
        .context("no online_count")
}
