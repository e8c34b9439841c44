//! Ten thousand simulated agents on the real nexus, a process of its own.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::http::Connection;
use crate::Effort;
use crate::processes::{Running, cpu_seconds_of, resident_bytes_of, start_nexus_on};
use crate::table::{Row, percentile};

const AGENTS: usize = 10_000;
const BEAT: Duration = Duration::from_secs(30);
/// Things of one batch.
const ASSETS: usize = 50;
/// Sites; a site holds 100,000 things at most.
const SITES: usize = 20;
/// Connections that enrol and push at one time.
const AT_ONCE: usize = 32;
/// Silence that counts in this run: little more than one beat, so that a false alarm would show.
const STALE: &str = "45s";
const OFFLINE: &str = "60s";

struct Agent {
    id: String,
    token: String,
}

/// All rows about agents.
pub(super) fn measure(effort: Effort) -> Result<Vec<Row>> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?
        .block_on(run(effort))
}

async fn run(effort: Effort) -> Result<Vec<Row>> {
    let count = effort.count(AGENTS);
    let data = tempfile::tempdir()?;
    let nexus = start(data.path(), 0)?;
    let address: SocketAddr = nexus.ready.trim_start_matches("http://").parse()?;
    let mut rows = Vec::new();

    let (agents, took, mut each) = enrol(address, count).await?;
    let agents = Arc::new(agents);
    rows.push(Row::absolute(
        &format!("{count} agents enrol, all; p99"),
        format!(
            "{:.1} s; {:.1} ms",
            took.as_secs_f64(),
            percentile(&mut each, 0.99) * 1e3
        ),
        "-",
        true,
    ));

    let (share, errors) = beats(&nexus, address, &agents).await?;
    rows.push(Row::absolute(
        "CPU of the nexus for heartbeats every 30 s, a new connection each, for 1,000 agents; errors",
        format!("{:.2} % of a core; {errors}", share * 100.0),
        "< 5 %",
        share < 0.05 && errors == 0,
    ));

    let (took, mut each) = ingest(address, &agents).await?;
    let rate = (count * ASSETS) as f64 / took.as_secs_f64();
    rows.push(Row::absolute(
        &format!(
            "{count} batches of {ASSETS} new assets, SQLite, each on disk when answered; p99 of {AT_ONCE} at once"
        ),
        format!("{rate:.0} assets/s; {:.0} ms", percentile(&mut each, 0.99) * 1e3),
        ">= 2,000 assets/s",
        rate >= 2_000.0,
    ));
    let (took, _) = ingest(address, &agents).await?;
    let rate = (count * ASSETS) as f64 / took.as_secs_f64();
    rows.push(Row::absolute(
        "the same again, every asset known",
        format!("{rate:.0} assets/s"),
        ">= 2,000 assets/s",
        rate >= 2_000.0,
    ));
    let resident = resident_bytes_of(nexus.id())? as f64 / (1 << 20) as f64;
    rows.push(Row::absolute(
        "memory of that nexus",
        format!("{resident:.0} MiB"),
        "-",
        true,
    ));
    rows.push(restart(nexus, data.path(), address, &agents).await?);
    Ok(rows)
}

fn start(data: &std::path::Path, port: u16) -> Result<Running> {
    start_nexus_on(
        data,
        port,
        &[
            ("FLEET_REGISTRATIONS_PER_MINUTE", "0"),
            ("FLEET_REQUESTS_PER_MINUTE", "0"),
            ("FLEET_STALE_AFTER", STALE),
            ("FLEET_OFFLINE_AFTER", OFFLINE),
            ("NEXUS_MAX_CONNECTIONS", "20000"),
        ],
    )
}

async fn enrol(address: SocketAddr, count: usize) -> Result<(Vec<Agent>, Duration, Vec<f64>)> {
    let mut operator = Connection::open(address).await?;
    let mut tokens = Vec::new();
    for site in 0..SITES {
        let ask = json!({ "site_name": format!("site-{site:02}"), "uses": count, "tags": ["bench"] });
        let made = operator
            .ask("POST", "/api/v1/enrolments", "", "", ask.to_string().as_bytes())
            .await?
            .json()?;
        tokens.push(
            made.get("token")
                .and_then(Value::as_str)
                .context("no token")?
                .to_owned(),
        );
    }
    let tokens = Arc::new(tokens);
    let next = Arc::new(AtomicUsize::new(0));
    let begun = Instant::now();
    let mut workers = JoinSet::new();
    for _ in 0..AT_ONCE {
        let (tokens, next) = (Arc::clone(&tokens), Arc::clone(&next));
        workers.spawn(async move {
            let mut connection = Connection::open(address).await?;
            let (mut agents, mut each) = (Vec::new(), Vec::new());
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= count {
                    return anyhow::Ok((agents, each));
                }
                let body = json!({
                    "agent_id": format!("agent-{number:05}"), "name": format!("agent {number}"), "boot_id": "1",
                    "subnets": ["192.168.1.0/24"], "version": "1.0.0",
                });
                let token = tokens.get(number % SITES).context("no token")?;
                let at = Instant::now();
                let body = body.to_string();
                let answer = connection
                    .ask("POST", "/api/agents/register", token, "", body.as_bytes())
                    .await?;
                let answer = answer.json()?;
                each.push(at.elapsed().as_secs_f64());
                agents.push(Agent {
                    id: answer
                        .get("agent_id")
                        .and_then(Value::as_str)
                        .context("no id")?
                        .to_owned(),
                    token: answer
                        .get("token")
                        .and_then(Value::as_str)
                        .context("no token")?
                        .to_owned(),
                });
            }
        });
    }
    let (mut agents, mut each) = (Vec::new(), Vec::new());
    while let Some(done) = workers.join_next().await {
        let (some, times) = done??;
        agents.extend(some);
        each.extend(times);
    }
    ensure!(agents.len() == count, "{} of {count} enrolled", agents.len());
    Ok((agents, begun.elapsed(), each))
}

const BODY: &[u8] = br#"{"status":"online","boot_id":"1"}"#;

async fn beat(address: SocketAddr, agent: &Agent) -> Result<()> {
    let mut connection = Connection::open(address).await?;
    let answer = connection
        .ask("POST", "/api/agents/heartbeat", &agent.token, "", BODY)
        .await?;
    let answer = answer.json()?;
    ensure!(
        answer.get("agent_id").and_then(Value::as_str) == Some(agent.id.as_str()),
        "another agent's answer"
    );
    Ok(())
}

/// Every agent beats once within 30 s, at a time of its own. Answers the share of a core for 1,000 agents, beyond what the nexus takes
/// while nothing happens.
async fn beats(nexus: &Running, address: SocketAddr, agents: &Arc<Vec<Agent>>) -> Result<(f64, usize)> {
    let quiet = Duration::from_secs(5);
    let before = cpu_seconds_of(nexus.id())?;
    tokio::time::sleep(quiet).await;
    let idle = (cpu_seconds_of(nexus.id())? - before) / quiet.as_secs_f64();
    let before = cpu_seconds_of(nexus.id())?;
    let begun = Instant::now();
    let mut tasks = JoinSet::new();
    for number in 0..agents.len() {
        let agents = Arc::clone(agents);
        let offset = BEAT.mul_f64(number as f64 / agents.len() as f64);
        tasks.spawn(async move {
            tokio::time::sleep(offset).await;
            match agents.get(number) {
                Some(agent) => beat(address, agent).await,
                None => Ok(()),
            }
        });
    }
    let mut errors = 0;
    while let Some(done) = tasks.join_next().await {
        errors += usize::from(done?.is_err());
    }
    let passed = begun.elapsed().max(BEAT).as_secs_f64();
    let used = (cpu_seconds_of(nexus.id())? - before) / passed - idle;
    Ok((used * 1_000.0 / agents.len() as f64, errors))
}

/// Each agent pushes one batch.
async fn ingest(address: SocketAddr, agents: &Arc<Vec<Agent>>) -> Result<(Duration, Vec<f64>)> {
    let next = Arc::new(AtomicUsize::new(0));
    let begun = Instant::now();
    let mut workers = JoinSet::new();
    for _ in 0..AT_ONCE {
        let (agents, next) = (Arc::clone(agents), Arc::clone(&next));
        workers.spawn(async move {
            let mut connection = Connection::open(address).await?;
            let mut each = Vec::new();
            while let Some(agent) = agents.get(next.fetch_add(1, Ordering::Relaxed)) {
                let body = batch(agent)?;
                let key =
                    format!("{}-{:?}", agent.id, Instant::now()).replace(|c: char| !c.is_ascii_alphanumeric(), "-");
                let at = Instant::now();
                let answer = connection
                    .ask("POST", "/api/ingest/discovery", &agent.token, &key, body.as_bytes())
                    .await?
                    .json()?;
                each.push(at.elapsed().as_secs_f64());
                ensure!(
                    answer.get("assets_ingested").is_some_and(|taken| *taken == ASSETS),
                    "{answer}"
                );
            }
            anyhow::Ok(each)
        });
    }
    let mut each = Vec::new();
    while let Some(done) = workers.join_next().await {
        each.extend(done??);
    }
    Ok((begun.elapsed(), each))
}

/// What one agent sees: a network of its own.
fn batch(agent: &Agent) -> Result<String> {
    let number: u32 = agent.id.trim_start_matches("agent-").parse()?;
    let assets: Vec<_> = (1..=ASSETS)
        .map(|last| {
            json!({
                "ip": format!("192.168.1.{last}"), "mac": format!("02:00:{:02x}:{:02x}:00:{last:02x}", number >> 8, number & 255),
                "hostname": format!("host-{last}.lan"), "vendor": "Acme", "open_ports": [22, 80, 443],
                "bigr_category": "server", "confidence_score": 0.7,
                "services": [{"port": 22, "service": "ssh", "product": "OpenSSH", "version": "9.2p1"}],
            })
        })
        .collect();
    let body = json!({
        "target": "192.168.1.0/24", "started_at": venom_protocol::Timestamp::now(), "completed_at": venom_protocol::Timestamp::now(),
        "assets": assets, "ports_scanned": [22, 80, 443],
        "network_fingerprint": { "fingerprint_hash": format!("net-{number}") },
    });
    Ok(body.to_string())
}

/// Kills the nexus and starts it again while all agents go on as they do, and counts who was called stale or offline.
async fn restart(nexus: Running, data: &std::path::Path, address: SocketAddr, agents: &Arc<Vec<Agent>>) -> Result<Row> {
    let stop = Arc::new(AtomicBool::new(false));
    let back: Arc<Vec<AtomicBool>> = Arc::new(agents.iter().map(|_| AtomicBool::new(false)).collect());
    let is_up = Arc::new(AtomicBool::new(false));
    let mut tasks = JoinSet::new();
    for number in 0..agents.len() {
        let (agents, stop, back, is_up) = (
            Arc::clone(agents),
            Arc::clone(&stop),
            Arc::clone(&back),
            Arc::clone(&is_up),
        );
        let share = number as f64 / agents.len() as f64;
        tasks.spawn(async move {
            tokio::time::sleep(BEAT.mul_f64(share)).await;
            while !stop.load(Ordering::Relaxed) {
                let Some(agent) = agents.get(number) else { return };
                if beat(address, agent).await.is_ok() {
                    if is_up.load(Ordering::Relaxed)
                        && let Some(back) = back.get(number)
                    {
                        back.store(true, Ordering::Relaxed);
                    }
                    tokio::time::sleep(BEAT).await;
                } else {
                    // as an agent tries again: soon, and not all at once
                    tokio::time::sleep(Duration::from_secs_f64(1.0 + 4.0 * share)).await;
                }
            }
        });
    }
    tokio::time::sleep(BEAT).await;
    drop(nexus); // SIGKILL
    tokio::time::sleep(Duration::from_secs(5)).await;
    let nexus = start(data, address.port())?;
    is_up.store(true, Ordering::Relaxed);
    let begun = Instant::now();
    let all = loop {
        let missing = back.iter().filter(|back| !back.load(Ordering::Relaxed)).count();
        if missing == 0 {
            break begun.elapsed();
        }
        ensure!(
            begun.elapsed() < Duration::from_secs(120),
            "{missing} agents did not come back"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    // long enough for whoever would be called silent wrongly
    tokio::time::sleep(Duration::from_secs(65).saturating_sub(begun.elapsed())).await;
    let mut operator = Connection::open(address).await?;
    let mut wrong = 0;
    for status in ["stale", "offline"] {
        let path = format!("/api/agents?limit=1&status={status}");
        let listed = operator.ask("GET", &path, "", "", b"").await?.json()?;
        wrong += listed.get("total").and_then(Value::as_u64).unwrap_or(0);
    }
    let alarms = nexus_alarms(&nexus.ready).await?;
    stop.store(true, Ordering::Relaxed);
    tasks.shutdown().await;
    drop(nexus);
    Ok(Row::absolute(
        &format!(
            "nexus killed (SIGKILL): {} agents back; called stale or offline; such events",
            agents.len()
        ),
        format!("{:.1} s; {wrong}; {alarms}", all.as_secs_f64()),
        "< 60 s; 0; 0",
        all < Duration::from_secs(60) && wrong == 0 && alarms == 0,
    ))
}

/// Events since the start that call an agent stale or offline.
async fn nexus_alarms(url: &str) -> Result<usize> {
    let url = format!("{url}/api/v1/events");
    let text = tokio::task::spawn_blocking(move || kept_events(&url)).await??;
    Ok(text.matches("AGENT_OFFLINE").count() + text.matches("AGENT_STALE").count())
}

/// What the nexus still has of its events; the stream itself never ends.
fn kept_events(url: &str) -> Result<String> {
    use std::io::Read as _;
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_recv_body(Some(Duration::from_secs(2)))
        .build()
        .into();
    let mut answer = agent.get(url).header("last-event-id", "0-0").call()?;
    let mut text = Vec::new();
    // ends with the timeout
    let _ = answer.body_mut().as_reader().read_to_end(&mut text);
    Ok(String::from_utf8_lossy(&text).into_owned())
}
