//! Ten thousand spores that lose their nexus and come back at once: all must be there again, each asked once.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::fleet;
use super::press::Press;
use crate::Effort;
use crate::processes::{Running, start_nexus_on};
use crate::table::Row;

const SPORES: usize = 10_000;
/// Longest anything here may take.
const PATIENCE: Duration = Duration::from_secs(180);

pub(super) fn measure(effort: Effort) -> Result<Vec<Row>> {
    let count = effort.count(SPORES);
    // in memory: what ten thousand spores write on ten thousand disks is not to be measured on one
    let directory = tempfile::tempdir_in("/dev/shm")?;
    let data_dir = directory.path().join("nexus");
    let environment = [("NEXUS_MAX_CONNECTIONS", "20000")];
    raise_open_files()?;
    let nexus = start_nexus_on(&data_dir, 0, &environment)?;
    let address = nexus.ready.clone();
    let port: u16 = address.rsplit(':').next().context("a port")?.parse()?;
    let mut press = Press::new(&address, &data_dir)?;
    let request = press.next(None)?;
    press.publish(&request)?;
    let tokio = tokio::runtime::Runtime::new()?;
    let spores = tokio.block_on(fleet::connect(&address, directory.path(), count))?;
    until_online(&address, count)?;
    drop(nexus);

    let nexus = start_nexus_on(&data_dir, port, &environment)?;
    let began = Instant::now();
    until_online(&address, count)?;
    let back = began.elapsed().as_secs_f64();
    let asked = until_asked(&address, count, began)?;
    let figures = Figures::of(&nexus, &address)?;
    drop(spores);
    drop(tokio);
    let each = figures.asks / count as f64;
    Ok(vec![
        Row::absolute(
            &format!("{count} spores back after their nexus was killed; all asked"),
            format!("{back:.1} s; {asked:.1} s"),
            "all",
            true,
        ),
        Row::absolute(
            "errors on the nexus meanwhile (invalid frames, refused tokens, rate limits)",
            figures.errors.to_string(),
            "0",
            figures.errors == 0.0,
        ),
        Row::absolute(
            "asks for releases, each spore",
            format!("{each:.2}"),
            "<= 2",
            each <= 2.0,
        ),
        Row::absolute(
            "nexus RSS with them",
            format!("{:.0} MiB", figures.resident / 1024.0 / 1024.0),
            "-",
            true,
        ),
    ])
}

struct Figures {
    asks: f64,
    errors: f64,
    resident: f64,
}

impl Figures {
    fn of(nexus: &Running, address: &str) -> Result<Self> {
        let metrics = metrics(address)?;
        let errors = [
            "venom_nexus_frames_invalid_total",
            "venom_nexus_auth_failures_total",
            "venom_nexus_rate_limited_total",
        ];
        Ok(Self {
            asks: sum(&metrics, ASKS),
            errors: errors.iter().map(|name| sum(&metrics, name)).sum(),
            resident: nexus.resident_bytes()? as f64,
        })
    }
}

/// Asks that were answered.
const ASKS: &str = "venom_nexus_release_asks_total";

fn metrics(address: &str) -> Result<String> {
    Ok(ureq::get(format!("{address}/metrics"))
        .call()?
        .body_mut()
        .read_to_string()?)
}

/// Sum of the samples of one metric.
fn sum(metrics: &str, name: &str) -> f64 {
    let lines = metrics
        .lines()
        .filter(|line| line.split(['{', ' ']).next() == Some(name));
    lines
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
        .sum()
}

fn until_online(address: &str, count: usize) -> Result<()> {
    let began = Instant::now();
    loop {
        let answer = ureq::get(format!("{address}/api/v1/nodes?online_only=true")).call();
        let online = answer.ok().and_then(|mut answer| {
            let limited = answer.body_mut().with_config().limit(256 << 20);
            limited.read_json::<Value>().ok()?.get("online_count")?.as_u64()
        });
        if online == Some(count as u64) {
            return Ok(());
        }
        ensure!(began.elapsed() < PATIENCE, "{online:?} of {count} spores are online");
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// Seconds until every spore has asked.
fn until_asked(address: &str, count: usize, began: Instant) -> Result<f64> {
    loop {
        let asks = sum(&metrics(address)?, ASKS);
        if asks >= count as f64 {
            return Ok(began.elapsed().as_secs_f64());
        }
        ensure!(began.elapsed() < PATIENCE, "{asks} of {count} asks");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Each spore of this process holds a socket.
fn raise_open_files() -> Result<()> {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let raised = rustix::process::Rlimit {
        current: limit.maximum,
        ..limit
    };
    Ok(rustix::process::setrlimit(rustix::process::Resource::Nofile, raised)?)
}
