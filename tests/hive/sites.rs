//! Sites with real hosts and services, each in network namespaces, their agents real processes behind a way to the nexus that can be
//! cut. Two sites use the same private addresses.

use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use venom_fleet::FleetSettings;
use venom_tests::network::{self, NEXUS_ADDRESS, Site, TestNetwork};
use venom_tests::{Client, HostProcess, Publisher, SkillName, TestHive};

/// Small enough to be swept in seconds.
const TARGET: &str = "192.168.1.0/27";
/// A sweep and the way to the nexus and back.
const PATIENCE: Duration = Duration::from_secs(120);

/// What the operator of a site grants.
const POLICY: &str = r#"
[skills.NetScanSkill]
lan = ["links", "neighbours"]
[[skills.NetScanSkill.net]]
to = "192.168.1.0/24"
ports = ["*"]
[skills.NetScanSkill.budgets]
connections = 100000

[skills.ShieldSkill]
lan = ["tls", "https"]
[[skills.ShieldSkill.net]]
to = "192.168.1.0/24"
ports = ["*"]
[skills.ShieldSkill.budgets]
connections = 100000
"#;

/// Runs a test where the nexus is: in the network's own namespace, on a thread that ends with it.
fn in_the_cloud<F: Future<Output = Result<()>>>(test: impl FnOnce(TestNetwork) -> F + Send + 'static) -> Result<()> {
    ensure!(
        network::can_make_networks(),
        "this test makes network namespaces: it needs root and iproute2"
    );
    let thread = std::thread::spawn(move || {
        let network = TestNetwork::new()?;
        network::enter(&network.cloud())?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(test(network))
    });
    match thread.join() {
        Ok(outcome) => outcome,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

/// A program that ends with the test.
struct Service(Child);

impl Service {
    /// Starts it and waits until its port takes connections.
    fn start(namespace: &str, port: u16, words: &[&str]) -> Result<Self> {
        let (program, rest) = words.split_first().context("no program")?;
        let mut command = network::inside(namespace, program);
        let child = command
            .args(rest)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let service = Self(child.spawn().with_context(|| format!("{program} cannot be run"))?);
        let knock = format!("until exec 3<>/dev/tcp/127.0.0.1/{port}; do sleep 0.05; done 2>/dev/null");
        let knocked = network::inside(namespace, "timeout")
            .args(["20", "bash", "-c", &knock])
            .status()
            .context("bash cannot be run")?;
        ensure!(knocked.success(), "{program} does not listen on {port}");
        Ok(service)
    }

    fn web(namespace: &str, port: u16, directory: &Path) -> Result<Self> {
        let (text, directory) = (port.to_string(), directory.display().to_string());
        Self::start(
            namespace,
            port,
            &["python3", "-m", "http.server", &text, "--directory", &directory],
        )
    }

    fn redis(namespace: &str) -> Result<Self> {
        Self::start(
            namespace,
            6379,
            &["redis-server", "--port", "6379", "--protected-mode", "no", "--save", ""],
        )
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // both fail only when it has ended
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

struct Agent {
    id: String,
    host: String,
    data: TempDir,
    process: HostProcess,
}

impl Agent {
    async fn enrol(client: &Client, host: String, site: &str, schedule: &str) -> Result<Self> {
        let made = ask(client, Method::POST, "/api/v1/enrolments", json!({ "site_name": site })).await?;
        let enrol = made["enrol"].as_str().context("no enrol string")?.to_owned();
        let data = TempDir::new()?;
        HostProcess::run(data.path(), &["init"]).await?;
        let skills = [SkillName::NetScan, SkillName::Shield];
        Publisher::of_data_dir(data.path())?.fill(&data.path().join("skills"), &skills)?;
        std::fs::write(data.path().join("policy.toml"), POLICY)?;
        let within = ["ip", "netns", "exec", &host];
        let words = ["agent", "register", "--enrol", &enrol, "--name", "scanner"];
        let mut registering = HostProcess::start_through(data.path(), &within, &words)?;
        let status = registering.ended().await?;
        ensure!(status.success(), "it did not register: {status}");
        let file = data.path().join("agent.toml");
        let mut text = std::fs::read_to_string(&file)?;
        text = text.replace("heartbeat = \"30s\"", "heartbeat = \"1s\"");
        ensure!(text.contains("heartbeat = \"1s\""), "{text}");
        std::fs::write(&file, format!("{text}\n{schedule}"))?;
        let id = text
            .lines()
            .find_map(|line| line.strip_prefix("agent_id = \"")?.strip_suffix('"'))
            .context("no id")?;
        Ok(Self {
            id: id.to_owned(),
            process: Self::start(&host, data.path())?,
            host,
            data,
        })
    }

    fn start(host: &str, data: &Path) -> Result<HostProcess> {
        HostProcess::start_through(
            data,
            &["ip", "netns", "exec", host],
            &["agent", "start", "--foreground"],
        )
    }

    /// SIGKILL, and once more from what is on its disk.
    async fn killed_and_started_again(self) -> Result<Self> {
        self.process.kill().await?;
        Ok(Self {
            process: Self::start(&self.host, self.data.path())?,
            ..self
        })
    }
}

async fn ask(client: &Client, method: Method, path: &str, body: Value) -> Result<Value> {
    let request = client.request(method, path);
    let request = if body.is_null() { request } else { request.json(&body) };
    let answer = client.send(request).await?;
    ensure!(answer.status.is_success(), "{path}: {} {}", answer.status, answer.body);
    Ok(answer.body)
}

async fn got(client: &Client, path: &str) -> Result<Value> {
    ask(client, Method::GET, path, Value::Null).await
}

/// Waits longer than for what takes no sweep.
async fn patiently<T>(what: &str, mut look: impl AsyncFnMut() -> Result<Option<T>>) -> Result<T> {
    let waiting = async {
        loop {
            if let Some(found) = look().await? {
                return Ok(found);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting)
        .await
        .with_context(|| format!("gave up waiting for {what}"))?
}

/// Sends the command to scan and waits until it is done and all of it is at the nexus.
async fn scan(client: &Client, agent: &Agent, shield: bool) -> Result<()> {
    let body = json!({ "targets": [TARGET], "shield": shield });
    let sent = ask(
        client,
        Method::POST,
        &format!("/api/agents/{}/commands", agent.id),
        body,
    )
    .await?;
    let id = sent["command_id"].clone();
    patiently("the scan", async || {
        let history = got(client, &format!("/api/agents/{}/commands", agent.id)).await?;
        let commands = history["commands"].as_array().context("no commands")?;
        let command = commands
            .iter()
            .find(|command| command["id"] == id)
            .context("it is gone")?;
        ensure!(command["status"] != "failed", "the scan failed: {command}");
        let shown = got(client, &format!("/api/agents/{}", agent.id)).await?;
        let is_sent = shown["outbox"]["waiting"] == 0;
        Ok((command["status"] == "completed" && is_sent).then_some(()))
    })
    .await
}

async fn changes(client: &Client, site: &str, kind: &str) -> Result<Vec<(String, String)>> {
    let listed = got(client, &format!("/api/changes?site={site}&kind={kind}&limit=1000")).await?;
    let listed = listed["changes"].as_array().context("no changes")?.clone();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    Ok(listed
        .iter()
        .map(|change| (text(&change["ip"]), text(&change["after"])))
        .collect())
}

async fn hive(directory: &Path) -> Result<(TestHive, Client)> {
    let listener = TcpListener::bind((NEXUS_ADDRESS, 0)).await?;
    let rules = FleetSettings {
        misses_until_gone: 2,
        ..FleetSettings::default()
    };
    let hive = TestHive::with_fleet_at(listener, directory, |_| {}, rules).await?;
    let client = hive.client()?;
    Ok((hive, client))
}

fn web_of(
    site: &Site,
    network: &mut TestNetwork,
    last: u8,
    ports: &[u16],
    files: &Path,
) -> Result<(String, Vec<Service>)> {
    let host = network.host(site, last)?;
    let services = ports.iter().map(|port| Service::web(&host, *port, files));
    let services = services.collect::<Result<Vec<_>>>()?;
    Ok((host, services))
}

#[test]
fn hosts_are_found_changes_are_told_once_and_sites_with_the_same_addresses_stay_apart() -> Result<()> {
    in_the_cloud(|mut network| async move {
        let directory = TempDir::new()?;
        let files = TempDir::new()?;
        let (_hive, client) = hive(directory.path()).await?;
        let (berlin, oslo) = (network.site("a")?, network.site("b")?);
        let (shop, _shop) = web_of(&berlin, &mut network, 20, &[80], files.path())?;
        let cache = Service::redis(&shop)?;
        let (desk, _desk) = web_of(&berlin, &mut network, 30, &[8080], files.path())?;
        let (_, _other) = web_of(&oslo, &mut network, 20, &[443], files.path())?;
        let first = Agent::enrol(&client, network.agent_host(&berlin, 10)?, "Berlin", "").await?;
        let second = Agent::enrol(&client, network.agent_host(&oslo, 10)?, "Oslo", "").await?;

        scan(&client, &first, true).await?;
        scan(&client, &second, false).await?;
        let seen = async |site: &str| -> Result<Vec<(String, Value)>> {
            let listed = got(&client, &format!("/api/data?site={site}&gone=false")).await?;
            let assets = listed["assets"].as_array().context("no assets")?;
            let mut found: Vec<(String, Value)> = assets
                .iter()
                .map(|asset| {
                    (
                        asset["ip"].as_str().unwrap_or_default().to_owned(),
                        asset["open_ports"].clone(),
                    )
                })
                .collect();
            found.sort_by(|one, other| one.0.cmp(&other.0));
            Ok(found)
        };
        let ports = |found: &[(String, Value)], last: u8| {
            let ip = format!("192.168.1.{last}");
            found.iter().find(|(at, _)| *at == ip).map(|(_, ports)| ports.clone())
        };
        let found = seen("Berlin").await?;
        assert_eq!(ports(&found, 20), Some(json!([80, 6379])), "{found:?}");
        assert_eq!(ports(&found, 30), Some(json!([8080])), "{found:?}");
        assert_eq!(
            ports(&found, 1),
            Some(json!([])),
            "a gateway without services is there too: {found:?}"
        );
        let found = seen("Oslo").await?;
        assert_eq!(ports(&found, 20), Some(json!([443])), "{found:?}");
        assert_eq!(ports(&found, 30), None, "{found:?}");
        let both = got(&client, "/api/assets/192.168.1.20").await?;
        assert_eq!(both["count"], json!(2), "{both}");
        let redis = got(&client, "/api/shield-findings?site=Berlin").await?;
        let open = redis["findings"].as_array().context("no findings")?;
        assert!(
            open.iter().any(|finding| finding["port"] == 6379),
            "an open redis is a finding: {redis}"
        );

        drop(cache);
        scan(&client, &first, true).await?;
        let redis = got(&client, "/api/shield-findings?site=Berlin&status=fixed").await?;
        let fixed = redis["findings"].as_array().context("no findings")?;
        assert!(
            fixed
                .iter()
                .any(|finding| finding["port"] == 6379 && finding["status"] == "fixed"),
            "a redis that is closed is no finding any more: {redis}"
        );

        let new = changes(&client, "Berlin", "new").await?.len();
        scan(&client, &first, false).await?;
        assert_eq!(
            changes(&client, "Berlin", "new").await?.len(),
            new,
            "nothing is new twice: {}",
            got(&client, "/api/data?site=Berlin").await?
        );
        assert_eq!(changes(&client, "Berlin", "port_opened").await?, []);

        let _late = Service::web(&desk, 443, files.path())?;
        let expected = [("192.168.1.30".to_owned(), "443".to_owned())];
        patiently("the port", async || {
            scan(&client, &first, false).await?;
            Ok((changes(&client, "Berlin", "port_opened").await? == expected).then_some(()))
        })
        .await?;
        scan(&client, &first, false).await?;
        assert_eq!(changes(&client, "Berlin", "port_opened").await?, expected);

        network.unplug(&desk)?;
        patiently("the host to be gone", async || {
            scan(&client, &first, false).await?;
            Ok((changes(&client, "Berlin", "gone").await?.len() == 1).then_some(()))
        })
        .await?;
        scan(&client, &first, false).await?;
        let gone = changes(&client, "Berlin", "gone").await?;
        assert_eq!(
            gone.iter().map(|(ip, _)| ip.as_str()).collect::<Vec<_>>(),
            ["192.168.1.30"]
        );
        assert_eq!(changes(&client, "Oslo", "gone").await?, []);
        Ok(())
    })
}

#[test]
fn what_an_agent_saw_while_it_was_cut_off_and_killed_is_there_once() -> Result<()> {
    in_the_cloud(|mut network| async move {
        let directory = TempDir::new()?;
        let files = TempDir::new()?;
        let (_hive, client) = hive(directory.path()).await?;
        let site = network.site("a")?;
        let (_, _web) = web_of(&site, &mut network, 20, &[80], files.path())?;
        let host = network.agent_host(&site, 10)?;
        let schedule = "[[schedule]]\nname = \"often\"\nevery = \"10s\"\njitter = \"0s\"\nmissed = \"skip\"\n\
                        targets = [\"192.168.1.20\"]\nshield = false\n";
        let agent = Agent::enrol(&client, host.clone(), "Berlin", schedule).await?;
        let scans = async || -> Result<Vec<String>> {
            let listed = got(&client, "/api/scans?limit=1000").await?;
            let listed = listed["scans"].as_array().context("no scans")?;
            Ok(listed
                .iter()
                .map(|scan| scan["started_at"].as_str().unwrap_or_default().to_owned())
                .collect())
        };
        patiently(
            "the first scan",
            async || Ok((!scans().await?.is_empty()).then_some(())),
        )
        .await?;

        network.set_uplink(&host, false)?;
        let before = scans().await?.len();
        let waits = async |least: usize| {
            let outbox = agent_outbox(agent.data.path());
            patiently("what waits", async || Ok((files_in(&outbox)? >= least).then_some(()))).await
        };
        waits(1).await?;
        // two more periods, and a kill between them
        tokio::time::sleep(Duration::from_secs(11)).await;
        let agent = agent.killed_and_started_again().await?;
        tokio::time::sleep(Duration::from_secs(11)).await;
        assert_eq!(scans().await?.len(), before, "the way is cut");
        network.set_uplink(&host, true)?;
        patiently("all that waited", async || {
            let shown = got(&client, &format!("/api/agents/{}", agent.id)).await?;
            let is_empty = shown["outbox"]["waiting"] == 0;
            Ok((is_empty && scans().await?.len() >= before + 2).then_some(()))
        })
        .await?;
        let mut all = scans().await?;
        let total = all.len();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), total, "no scan is there twice");
        let shown = got(&client, &format!("/api/agents/{}", agent.id)).await?;
        assert_eq!(
            (&shown["outbox"]["dropped"], &shown["outbox"]["dead"]),
            (&json!(0), &json!(0)),
            "{shown}"
        );
        assert_eq!(shown["clone_suspected_at"], Value::Null, "a restart is no clone");
        Ok(())
    })
}

fn agent_outbox(data: &Path) -> std::path::PathBuf {
    data.join("outbox")
}

fn files_in(directory: &Path) -> Result<usize> {
    match std::fs::read_dir(directory) {
        Ok(entries) => Ok(entries.count()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(error.into()),
    }
}
