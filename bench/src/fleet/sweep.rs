//! A /24 of twenty ports each, in a network namespace: NetScanSkill in its sandbox beside a bare tokio connect sweep of the same pace.
//!
//! 40 of the 254 addresses are there and have three of the ports open; a connection to the others gets no answer, as in a real LAN.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use venom_bundle::capability::Policy;
use venom_runtime::{Backends, Call, Runtime, RuntimeSettings, Skill};

use crate::Effort;
use crate::guests::NETSCAN;
use crate::table::Row;

const PORTS: [u16; 20] = [
    21, 22, 23, 25, 53, 80, 110, 111, 135, 139, 143, 443, 445, 993, 995, 1723, 3306, 3389, 5900, 8080,
];
const OPEN: [u16; 3] = [22, 80, 443];
const ALIVE: u8 = 40;
const CONCURRENCY: usize = 256;
const PER_SECOND: u32 = 1_000;
const TIMEOUT: Duration = Duration::from_millis(500);

/// The rows.
pub(super) fn measure(effort: Effort) -> Result<Vec<Row>> {
    let thread = std::thread::spawn(move || in_network(effort));
    thread.join().map_err(|_| anyhow::anyhow!("the sweep panicked"))?
}

fn in_network(effort: Effort) -> Result<Vec<Row>> {
    let network = Network::new()?;
    let hosts = network.serve_hosts()?;
    enter(&network.here)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let skill = load()?;
    let (mut floors, mut ours) = (Vec::new(), Vec::new());
    runtime.block_on(async {
        // in turns, so that drift of the machine hits both
        for _ in 0..if effort.quick { 1 } else { 3 } {
            floors.push(bare().await?);
            ours.push(sandboxed(&skill).await?);
        }
        anyhow::Ok(())
    })?;
    drop(hosts);
    let (floor, time) = (median(&mut floors), median(&mut ours));
    let ratio = time / floor;
    Ok(vec![Row::ratio(
        &format!(
            "/24 x {} ports, {ALIVE} hosts alive, {CONCURRENCY} at once, {PER_SECOND}/s",
            PORTS.len()
        ),
        format!("{time:.2} s"),
        format!("bare tokio {floor:.2} s"),
        ratio,
        "<= 1.2",
        ratio <= 1.2,
    )])
}

fn median(samples: &mut [f64]) -> f64 {
    crate::table::percentile(samples, 0.5)
}

/// The floor: the same connects at the same pace, and nothing else.
async fn bare() -> Result<f64> {
    let begun = Instant::now();
    let places = Arc::new(Semaphore::new(CONCURRENCY));
    let mut pace = tokio::time::interval(Duration::from_secs(1) / PER_SECOND);
    pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Burst);
    let mut sweeping = tokio::task::JoinSet::new();
    for port in PORTS {
        for last in 1..=254 {
            pace.tick().await;
            let place = Arc::clone(&places).acquire_owned().await?;
            sweeping.spawn(async move {
                let to = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 77, 0, last)), port);
                let connected = tokio::time::timeout(TIMEOUT, TcpStream::connect(to)).await;
                drop(place);
                matches!(connected, Ok(Ok(_)))
            });
        }
    }
    let mut open = 0;
    while let Some(found) = sweeping.join_next().await {
        open += usize::from(found?);
    }
    ensure!(
        open == usize::from(ALIVE) * OPEN.len(),
        "the bare sweep found {open} open ports"
    );
    Ok(begun.elapsed().as_secs_f64())
}

async fn sandboxed(skill: &Skill) -> Result<f64> {
    let params = json!({
        "targets": ["10.77.0.0/24"], "ports": PORTS, "rate": PER_SECOND, "concurrency": CONCURRENCY,
        "timeout_ms": TIMEOUT.as_millis() as u64, "banners": false,
    });
    let call = Call {
        request_id: venom_protocol::RequestId::random(),
        task_id: String::from("bench"),
        traceparent: None,
        attempt: 1,
        method: String::from("scan"),
        params: RawValue::from_string(params.to_string())?,
        timeout: Duration::from_secs(300),
        cancel: CancellationToken::new(),
        progress: None,
        depth: 0,
    };
    let begun = Instant::now();
    let answer = skill.invoke(call).await.result?;
    let took = begun.elapsed().as_secs_f64();
    let answer: Value = serde_json::from_str(answer.get())?;
    let assets = answer
        .pointer("/discoveries/0/assets")
        .and_then(Value::as_array)
        .context("no assets")?;
    let open: usize = assets
        .iter()
        .map(|asset| asset["open_ports"].as_array().map_or(0, Vec::len))
        .sum();
    ensure!(
        open == usize::from(ALIVE) * OPEN.len(),
        "the skill found {open} open ports"
    );
    Ok(took)
}

fn load() -> Result<Skill> {
    let policy = Policy::parse(
        "[[skills.NetScanSkill.net]]\nto = \"10.77.0.0/24\"\nports = [\"*\"]\n\
         [skills.NetScanSkill.budgets]\nconnections = 100000\n",
    )?;
    let runtime = Runtime::new(RuntimeSettings::default())?;
    let bundle = NETSCAN.verified()?;
    let (grants, _) = bundle.rights_under(&policy);
    Ok(runtime.load(&bundle, grants, &Backends::local())?)
}

/// Two namespaces and a cable.
struct Network {
    here: String,
    there: String,
}

impl Network {
    fn new() -> Result<Self> {
        ensure!(
            rustix::process::geteuid().is_root(),
            "the sweep needs network namespaces: run as root, with iproute2"
        );
        let network = Self {
            here: format!("vb{}-here", std::process::id()),
            there: format!("vb{}-there", std::process::id()),
        };
        let (here, there) = (network.here.as_str(), network.there.as_str());
        ip(&["netns", "add", here])?;
        ip(&["netns", "add", there])?;
        ip(&[
            "-n", here, "link", "add", "lan0", "type", "veth", "peer", "name", "lan0", "netns", there,
        ])?;
        ip(&["-n", here, "addr", "add", "10.77.0.254/24", "dev", "lan0"])?;
        for namespace in [here, there] {
            ip(&["-n", namespace, "link", "set", "lo", "up"])?;
            ip(&["-n", namespace, "link", "set", "lan0", "up"])?;
        }
        for last in 1..=ALIVE {
            ip(&["-n", there, "addr", "add", &format!("10.77.0.{last}/24"), "dev", "lan0"])?;
        }
        Ok(network)
    }

    /// Listeners on all addresses over there, on a thread of their own until what it answers is dropped.
    fn serve_hosts(&self) -> Result<tokio_util::sync::DropGuard> {
        let stop = CancellationToken::new();
        let (there, stopped) = (self.there.clone(), stop.clone());
        let (ready, is_ready) = std::sync::mpsc::channel();
        std::thread::spawn(move || -> Result<()> {
            enter(&there)?;
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                let mut serving = tokio::task::JoinSet::new();
                for port in OPEN {
                    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).await?;
                    serving.spawn(async move { while listener.accept().await.is_ok() {} });
                }
                ready.send(())?;
                stopped.cancelled().await;
                Ok(())
            })
        });
        is_ready.recv().context("the hosts did not start")?;
        Ok(stop.drop_guard())
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for namespace in [&self.here, &self.there] {
            // fails only when it is gone
            let _ = ip(&["netns", "delete", namespace]);
        }
    }
}

/// Moves this thread into a namespace.
fn enter(namespace: &str) -> Result<()> {
    let file = std::fs::File::open(format!("/run/netns/{namespace}"))?;
    let kind = rustix::thread::LinkNameSpaceType::Network;
    Ok(rustix::thread::move_into_link_name_space(
        std::os::fd::AsFd::as_fd(&file),
        Some(kind),
    )?)
}

fn ip(arguments: &[&str]) -> Result<()> {
    let output = Command::new("ip").args(arguments).output().context("no iproute2")?;
    ensure!(
        output.status.success(),
        "ip {}: {}",
        arguments.join(" "),
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(())
}
