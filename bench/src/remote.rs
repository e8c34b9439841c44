//! A call from HTTP through the nexus, a WebSocket, a spore's sandbox and back, beside a bare axum GET.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use axum::{Router, routing::get};

use crate::processes::{Running, start_nexus, start_spore};
use crate::table::{Row, percentile};
use crate::{Effort, guests, load};

/// Connections of the throughput rows.
const CONNECTIONS: usize = 64;

/// Runs the floor: axum that answers GET / with a short text.
pub(crate) fn serve_hello() -> Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        println!("hello ready {}", listener.local_addr()?);
        let router = Router::new().route("/", get(|| async { "Hello, World!" }));
        axum::serve(
            axum::serve::ListenerExt::tap_io(listener, |stream| _ = stream.set_nodelay(true)),
            router,
        )
        .await?;
        Ok(())
    })
}

pub(crate) fn measure(effort: Effort) -> Result<Vec<Row>> {
    let mut hello = Command::new(std::env::current_exe()?);
    hello.arg("hello");
    let hello = Running::start(hello, "hello ready ")?;
    let mut rows = Vec::new();
    for (switch, label) in [("off", "default"), ("on", "dirty page scan")] {
        let directory = tempfile::tempdir()?;
        let hive = Hive::start(directory.path(), switch)?;
        let runtime = tokio::runtime::Runtime::new()?;
        let figures = runtime.block_on(figures(effort, &hello.ready, &hive))?;
        rows.extend(figures.rows(label, switch == "on"));
    }
    Ok(rows)
}

/// What was measured, floor and Venom in turn.
struct Figures {
    floor_p50: f64,
    p50: f64,
    p99: f64,
    floor_rate: f64,
    rate: f64,
}

async fn figures(effort: Effort, hello: &str, hive: &Hive) -> Result<Figures> {
    let (floor, call) = (load::get(hello), hive.request());
    let count = effort.count(10_000);
    let mut floor_latency = load::latencies(hello, &floor, count).await?;
    let mut latency = load::latencies(&hive.address, &call, count).await?;
    let time = Duration::from_secs(if effort.quick { 2 } else { 8 });
    Ok(Figures {
        floor_p50: percentile(&mut floor_latency, 0.5),
        p50: percentile(&mut latency, 0.5),
        p99: percentile(&mut latency, 0.99),
        floor_rate: load::throughput(hello, &floor, CONNECTIONS, time).await?,
        rate: load::throughput(&hive.address, &call, CONNECTIONS, time).await?,
    })
}

impl Figures {
    /// The promise on throughput needs the switch: without it the sandbox alone takes both cores.
    fn rows(&self, label: &str, switch: bool) -> [Row; 2] {
        let Self {
            floor_p50,
            p50,
            p99,
            floor_rate,
            rate,
        } = self;
        let (slower, share) = (p50 / floor_p50, rate / floor_rate);
        let promise = if switch { ">= 0.25" } else { "-" };
        [
            Row::ratio(
                &format!("remote call p50, 1 connection, {label}"),
                format!("{p50:.0} us (p99 {p99:.0})"),
                format!("axum GET {floor_p50:.0} us"),
                slower,
                "<= 4",
                slower <= 4.0,
            ),
            Row::ratio(
                &format!("remote calls/s, {CONNECTIONS} connections, {label}"),
                format!("{rate:.0}"),
                format!("axum GET {floor_rate:.0}"),
                share,
                promise,
                !switch || share >= 0.25,
            ),
        ]
    }
}

/// A nexus and a spore with the no-op guest, as real processes.
struct Hive {
    address: String,
    node: String,
    _spore: Running,
    _nexus: Running,
}

impl Hive {
    fn start(directory: &Path, switch: &str) -> Result<Self> {
        let data_dir = directory.join("spore");
        let skills = guests::pack_with_host(&data_dir, &[guests::NOOP])?;
        let nexus = start_nexus(&directory.join("nexus"), &[])?;
        let address = nexus
            .ready
            .strip_prefix("http://")
            .context("an http address")?
            .to_owned();
        let spore = start_spore(&nexus.ready, &data_dir, &skills, &[("VENOM_DIRTY_PAGE_SCAN", switch)])?;
        Ok(Self {
            address,
            node: spore.ready.clone(),
            _spore: spore,
            _nexus: nexus,
        })
    }

    fn request(&self) -> Vec<u8> {
        let body = format!(
            r#"{{"skill_name":"{}","method_name":"noop","parameters":{{}}}}"#,
            guests::NOOP.skill
        );
        load::post(&self.address, &format!("/api/v1/nodes/{}/execute", self.node), &body)
    }
}
