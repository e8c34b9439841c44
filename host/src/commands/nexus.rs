//! `nexus`: the control plane. Everything that can be wrong is found before the port is bound; the line on stdout
//! comes when callers can come.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use tokio::net::TcpListener;
use venom_mdns::{Announcement, Interfaces, Role};
use venom_nexus::{LocalSkills, Nexus, Parts, TlsFiles};
use venom_runtime::{Backends, SkillSet};

use super::spore::host_name;
use super::uplink::{Uplink, Who};
use super::{init, lan};
use crate::data_dir::{DataDir, PRIVATE_DIRECTORY, make_directory, read_token};
use crate::failure::{Explain as _, Failure};
use crate::output;
use crate::sandbox::{self, Documents};
use crate::settings::{NexusSettings, Secret};
use crate::signals::Signals;

mod broker;
mod fleet;
mod releases;
pub(crate) mod tokens;

/// What spores show a nexus when both run with `--dev` and nobody said otherwise. No secret: such a nexus is reached
/// from this machine only.
pub(crate) const DEVELOPMENT_TOKEN: &str = "venom-development";

/// Calls the local fallback runs at one time: it is a fallback, not a node.
const FALLBACK_SLOTS: u32 = 32;

/// Runs a nexus until it is asked to stop.
pub(crate) async fn run(settings: NexusSettings, data: DataDir) -> Result<(), Failure> {
    if settings.dev {
        warn_of_development(&data);
        init::ensure(&data)?;
    }
    tracing::info!(?settings, "settings of this nexus");
    let documents = read_documents(&settings, &data)?;
    let local = documents.is_some().then(SkillSet::empty);
    let told = for_nexus(&settings, &data)?;
    let broker = broker::open(&settings.hive)?;
    broker::tell(broker.as_ref());
    let fleet = fleet::open(&settings.fleet).await?;
    let fallback = local.clone().map(|skills| Arc::new(skills) as Arc<dyn LocalSkills>);
    let parts = Parts {
        local: fallback,
        broker,
        fleet,
    };
    let nexus = Nexus::with_parts(told, parts).or_fail("the nexus cannot start")?;
    crate::limits::raise_open_files();
    let signals = Signals::watch()?;
    let (listener, address) = bind(&settings).await?;
    if let (Some(documents), Some(skills)) = (documents, local) {
        load_fallback(&settings, documents, skills, address).await?;
    }
    output::say(format!("nexus ready {}", url(&settings, address)))?;
    let uplink = show(&settings, &data, address)?;
    let announcer = lan::announce(announcement(&settings, address, &data)?);
    let ended = tokio::select! {
        served = nexus.serve(listener, signals.drain.clone()) => served.or_fail("the nexus stopped"),
        () = signals.quit.cancelled() => Err(Failure::new("the nexus was told to quit before it had drained")),
    };
    lan::goodbye(announcer).await;
    if let Some(uplink) = uplink {
        tokio::select! {
            () = uplink.end() => {}
            () = signals.quit.cancelled() => {}
        }
    }
    ended
}

/// Shows this nexus to another server, where there is one. A nexus and a spore may share a data directory, and so a node's
/// id, but are two: the nexus says that it is one.
fn show(settings: &NexusSettings, data: &DataDir, address: SocketAddr) -> Result<Option<Uplink>, Failure> {
    if settings.uplink.is_none() {
        return Ok(None);
    }
    let node_id = venom_spore::node_id_in(&data.0).or_fail("this machine has no id")?;
    let id = format!("nexus-{node_id}");
    let who = Who {
        id: id.parse().or_fail("this machine has no id")?,
        kind: "nexus",
        name: format!("nexus {}", host_name()),
        hostname: host_name(),
        service_port: address.port(),
        capabilities: vec!["nexus".to_owned()],
        tags: Vec::new(),
    };
    Ok(Uplink::begin(settings.uplink.as_ref(), who))
}

/// What the LAN is told of this nexus; nothing when only this machine reaches it.
fn announcement(
    settings: &NexusSettings,
    address: SocketAddr,
    data: &DataDir,
) -> Result<Option<(Announcement, Interfaces)>, Failure> {
    if !settings.mdns.enabled || address.ip().is_loopback() {
        tracing::debug!(%address, "this nexus does not announce itself in the LAN");
        return Ok(None);
    }
    make_directory(&data.0, PRIVATE_DIRECTORY)?;
    let id = venom_spore::node_id_in(&data.0).or_fail("this nexus has no id to announce")?;
    let told = Announcement {
        role: Role::Nexus,
        hostname: host_name(),
        address: address.ip(),
        port: address.port(),
        id: Some(id.into()),
        path: "/".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        tls: settings.tls.is_some(),
    };
    Ok(Some((told, settings.mdns.interfaces.clone())))
}

fn warn_of_development(data: &DataDir) {
    let red = output::RED;
    output::note(format!(
        "{red}DEVELOPMENT MODE{red:#}: whoever can reach this machine's loopback can run skills here, no token asked.\n\
         The key in {} is trusted; FileSkill may use {}, ShellSkill run echo, sleep, ls, date, uname,\n\
         hostname, cat, wc and sort in it. Never use --dev where others work.",
        data.publisher_public().display(),
        data.workspace().display(),
    ));
}

/// Trust and policy of the local fallback; `None` when there is nothing to fall back on.
fn read_documents(settings: &NexusSettings, data: &DataDir) -> Result<Option<Arc<Documents>>, Failure> {
    if !settings.local_fallback || sandbox::bundles_in(&settings.sandbox.skills)?.is_empty() {
        return Ok(None);
    }
    Documents::read(&settings.sandbox, data, settings.dev).map(|documents| Some(Arc::new(documents)))
}

fn for_nexus(settings: &NexusSettings, data: &DataDir) -> Result<venom_nexus::NexusSettings, Failure> {
    Ok(venom_nexus::NexusSettings {
        dev: settings.dev,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        heartbeat_timeout: settings.heartbeat_timeout,
        weights: settings.weights,
        node_role: settings.nodes,
        shared_token: shared_token(settings, data)?.map(|token| venom_nexus::Secret::new(token.reveal())),
        operator_tokens: tokens::read(&data.tokens(), settings.dev)?,
        tls: settings.tls.clone().map(|pair| TlsFiles {
            cert: pair.cert,
            key: pair.key,
        }),
        max_body: settings.max_body,
        read_timeout: settings.read_timeout,
        max_connections: settings.max_connections,
        rate_limits: settings.rate_limits,
        audit_log: Some(settings.audit_log.clone()),
        drain_timeout: settings.drain_timeout,
        hive: settings.hive.tasks.clone(),
        releases: releases::read(&settings.releases, data)?,
        agents: fleet::agents(&settings.fleet),
        ..venom_nexus::NexusSettings::default()
    })
}

fn shared_token(settings: &NexusSettings, data: &DataDir) -> Result<Option<Secret>, Failure> {
    if let Some(token) = &settings.token {
        return Ok(Some(token.clone()));
    }
    if settings.dev {
        return Ok(Some(Secret::new(DEVELOPMENT_TOKEN)));
    }
    let token = read_token(&data.node_token())?;
    if token.is_none() && settings.nodes {
        tracing::warn!(
            "no token for spores: none can connect (run `venom-host init`, pass --token, or set NEXUS_SHARED_TOKEN)"
        );
    }
    Ok(token)
}

async fn bind(settings: &NexusSettings) -> Result<(TcpListener, SocketAddr), Failure> {
    let address = SocketAddr::new(settings.bind, settings.port);
    let listener = TcpListener::bind(address).await.map_err(|error| {
        let failure = Failure::new(format!("cannot listen on {address}")).because(error.to_string());
        match error.kind() {
            io::ErrorKind::AddrInUse => failure
                .help("stop the program that has the port, or pass another with --port N (--port 0 takes a free one)"),
            io::ErrorKind::PermissionDenied => {
                failure.help("ports under 1024 need privileges; pass --port N with a larger one")
            }
            _ => failure.help("pass an address of this machine with --bind IP"),
        }
    })?;
    let address = listener.local_addr().or_fail("the listener has no address")?;
    Ok((listener, address))
}

async fn load_fallback(
    settings: &NexusSettings,
    documents: Arc<Documents>,
    skills: SkillSet,
    own: SocketAddr,
) -> Result<(), Failure> {
    let runtime = sandbox::start_runtime(&settings.sandbox, FALLBACK_SLOTS, own_addresses(own))?;
    sandbox::load_skills(
        &settings.sandbox,
        runtime,
        documents,
        Backends::local(),
        skills,
        Vec::new(),
    )
    .await?;
    Ok(())
}

/// What a skill must not dial to reach this nexus.
fn own_addresses(own: SocketAddr) -> Vec<SocketAddr> {
    let port = own.port();
    match own.ip() {
        ip if ip.is_unspecified() => {
            vec![
                own,
                SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
                SocketAddr::from((Ipv6Addr::LOCALHOST, port)),
            ]
        }
        _ => vec![own],
    }
}

fn url(settings: &NexusSettings, address: SocketAddr) -> String {
    let scheme = if settings.tls.is_some() { "https" } else { "http" };
    let reachable = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => SocketAddr::from((Ipv4Addr::LOCALHOST, address.port())),
        IpAddr::V6(ip) if ip.is_unspecified() => SocketAddr::from((Ipv6Addr::LOCALHOST, address.port())),
        _ => address,
    };
    format!("{scheme}://{reachable}")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use clap::Parser as _;
    use venom_nexus::Scope;

    use super::*;
    use crate::cli::{Cli, Command};
    use crate::settings::{Environment, Sources};

    fn told(flags: &[&str], pairs: &[(&str, &str)], data: &DataDir) -> venom_nexus::NexusSettings {
        let cli = Cli::try_parse_from(["venom-host", "nexus"].iter().chain(flags)).unwrap();
        let Command::Nexus(args) = cli.command else {
            panic!("not nexus")
        };
        let sources = Sources {
            env: Environment::of(pairs),
            file: Default::default(),
            data_dir: data.0.clone(),
        };
        for_nexus(&NexusSettings::merge(*args, &sources).unwrap(), data).unwrap()
    }

    #[test]
    fn the_nexus_is_told_every_setting() {
        let directory = tempfile::tempdir().unwrap();
        let data = DataDir(directory.path().join("data"));
        init::ensure(&data).unwrap();
        let flags = [
            "--token",
            "shared",
            "--nodes",
            "off",
            "--heartbeat-timeout",
            "11",
            "--drain-timeout",
            "12",
            "--read-timeout",
            "13",
            "--tls-cert",
            "c",
            "--tls-key",
            "k",
            "--max-body",
            "14KiB",
            "--rate-limit",
            "15",
            "--auth-failures",
            "16",
            "--max-connections",
            "17",
            "--audit-log",
            "a",
        ];
        let weights = [
            ("FOREMAN_CPU_WEIGHT", "0.1"),
            ("FOREMAN_MEMORY_WEIGHT", "0.2"),
            ("FOREMAN_TASKS_WEIGHT", "0.7"),
            ("FOREMAN_MAX_TASKS_NORMALIZATION", "5"),
            ("FOREMAN_FAILURE_WEIGHT", "0.8"),
            ("FOREMAN_LATENCY_WEIGHT", "0.9"),
        ];
        let hive = [
            ("HIVE_TASK_TIMEOUT", "21"),
            ("HIVE_MAX_RETRIES", "22"),
            ("HIVE_ZOMBIE_TASK_TIMEOUT", "23"),
            ("HIVE_LEASE_TTL", "24"),
            ("HIVE_POISON_LOSSES", "25"),
            ("HIVE_LOW_SHARE", "0.26"),
        ];
        let told = told(&flags, &[&weights[..], &hive[..]].concat(), &data);
        assert_eq!(told.shared_token.as_ref().unwrap().expose(), "shared");
        assert!(!told.node_role && !told.dev);
        let times = [told.heartbeat_timeout, told.drain_timeout, told.read_timeout];
        assert_eq!(times, [11, 12, 13].map(Duration::from_secs));
        let tls = told.tls.unwrap();
        assert_eq!((tls.cert.to_str().unwrap(), tls.key.to_str().unwrap()), ("c", "k"));
        assert_eq!(told.max_body.0, 14 * 1024);
        assert_eq!(
            (
                told.rate_limits.requests_per_second,
                told.rate_limits.auth_failures_per_minute
            ),
            (15, 16)
        );
        assert_eq!(told.max_connections, 17);
        assert_eq!(told.audit_log.unwrap().to_str().unwrap(), "a");
        let weights = told.weights;
        assert_eq!(
            [weights.cpu, weights.memory, weights.tasks, weights.normalization],
            [0.1, 0.2, 0.7, 5.0]
        );
        assert_eq!([weights.failures, weights.latency], [0.8, 0.9]);
        let hive = told.hive;
        let times = [hive.task_timeout, hive.zombie_task_timeout, hive.lease_ttl];
        assert_eq!(times, [21, 23, 24].map(Duration::from_secs));
        assert_eq!((hive.max_retries, hive.poison_losses, hive.low_share), (22, 25, 0.26));
        let token = read_token(&data.operator_token()).unwrap().unwrap();
        let expected = venom_nexus::TokenRecord::of("local", Scope::Admin, token.reveal());
        assert_eq!(told.operator_tokens, [expected]);
    }

    #[test]
    fn spores_show_the_flag_then_the_file_and_with_dev_a_word_both_ends_know() {
        let directory = tempfile::tempdir().unwrap();
        let data = DataDir(directory.path().join("data"));
        init::ensure(&data).unwrap();
        let shared = |flags: &[&str]| told(flags, &[], &data).shared_token.unwrap().expose().to_owned();
        assert_eq!(shared(&[]), read_token(&data.node_token()).unwrap().unwrap().reveal());
        assert_eq!(shared(&["--dev"]), DEVELOPMENT_TOKEN);
        assert_eq!(shared(&["--dev", "--token", "t"]), "t");
    }

    #[test]
    fn skills_cannot_dial_a_nexus_that_listens_everywhere() {
        let denied = own_addresses("0.0.0.0:8000".parse().unwrap());
        assert!(denied.contains(&"127.0.0.1:8000".parse().unwrap()), "{denied:?}");
        assert!(denied.contains(&"[::1]:8000".parse().unwrap()), "{denied:?}");
    }
}
