//! Settings of `venom-host nexus`.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;
use venom_nexus::{LoadWeights, RateLimits};

use super::sandbox::SandboxNames;
use super::{
    FleetKept, HiveSettings, MdnsSettings, ReleaseSettings, SandboxSettings, Secret, SettingError, Sources,
    UplinkSettings, env,
};
use crate::cli::{NexusArgs, SandboxArgs};

/// The port everything is served on.
pub(crate) const DEFAULT_PORT: u16 = 8000;

/// Settings of `venom-host nexus`.
#[derive(Debug, Clone)]
pub(crate) struct NexusSettings {
    pub dev: bool,
    pub bind: IpAddr,
    pub port: u16,
    /// Absent: the one in the data directory.
    pub token: Option<Secret>,
    pub nodes: bool,
    pub heartbeat_timeout: Duration,
    pub drain_timeout: Duration,
    pub read_timeout: Duration,
    pub weights: LoadWeights,
    pub tls: Option<TlsPair>,
    pub max_body: ByteSize,
    pub max_connections: usize,
    pub rate_limits: RateLimits,
    pub audit_log: PathBuf,
    pub local_fallback: bool,
    pub sandbox: SandboxSettings,
    pub hive: HiveSettings,
    pub releases: ReleaseSettings,
    pub fleet: FleetKept,
    /// Server it shows itself to.
    pub uplink: Option<UplinkSettings>,
    pub mdns: MdnsSettings,
}

/// A certificate and its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TlsPair {
    pub cert: PathBuf,
    pub key: PathBuf,
}

impl NexusSettings {
    /// Merges flags, environment, file and defaults, and checks what came out.
    pub(crate) fn merge(args: NexusArgs, sources: &Sources) -> Result<Self, SettingError> {
        let built_in = venom_nexus::NexusSettings::default();
        let file = &sources.file.nexus;
        let time = |flag, name, file, default| -> Result<Duration, SettingError> {
            Ok(sources
                .pick(flag, name, file)?
                .map_or(default, |super::Seconds(time)| time))
        };
        let sandbox = SandboxArgs {
            skills: args.skills,
            policy: args.policy,
            trust: args.trust,
        };
        let uplink = UplinkSettings::merge(args.uplink, sources)?;
        let settings = Self {
            dev: args.dev,
            bind: sources
                .pick(args.bind, env::NEXUS_BIND, file.bind)?
                .unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)),
            port: sources
                .pick(args.port, env::NEXUS_PORT, file.port)?
                .unwrap_or(DEFAULT_PORT),
            token: sources.pick(args.token.map(Secret::new), env::NEXUS_SHARED_TOKEN, file.token.clone())?,
            nodes: sources
                .pick_switch(args.nodes, env::ENABLE_NEXUS, file.nodes)?
                .unwrap_or(built_in.node_role),
            heartbeat_timeout: time(
                args.heartbeat_timeout,
                env::NEXUS_HEARTBEAT_TIMEOUT,
                file.heartbeat_timeout,
                built_in.heartbeat_timeout,
            )?,
            drain_timeout: time(
                args.drain_timeout,
                env::NEXUS_DRAIN_TIMEOUT,
                file.drain_timeout,
                built_in.drain_timeout,
            )?,
            read_timeout: time(
                args.read_timeout,
                env::NEXUS_READ_TIMEOUT,
                file.read_timeout,
                built_in.read_timeout,
            )?,
            weights: weights(sources, built_in.weights)?,
            tls: tls(
                sources.pick(args.tls_cert, env::NEXUS_TLS_CERT, file.tls_cert.clone())?,
                sources.pick(args.tls_key, env::NEXUS_TLS_KEY, file.tls_key.clone())?,
            )?,
            max_body: sources
                .pick(args.max_body, env::NEXUS_MAX_BODY, file.max_body)?
                .unwrap_or(built_in.max_body),
            max_connections: sources
                .pick(args.max_connections, env::NEXUS_MAX_CONNECTIONS, file.max_connections)?
                .unwrap_or(built_in.max_connections),
            rate_limits: RateLimits {
                requests_per_second: sources
                    .pick(args.rate_limit, env::NEXUS_RATE_LIMIT, file.rate_limit)?
                    .unwrap_or(built_in.rate_limits.requests_per_second),
                auth_failures_per_minute: sources
                    .pick(args.auth_failures, env::NEXUS_AUTH_FAILURES, file.auth_failures)?
                    .unwrap_or(built_in.rate_limits.auth_failures_per_minute),
            },
            audit_log: sources
                .pick(args.audit_log, env::NEXUS_AUDIT_LOG, file.audit_log.clone())?
                .unwrap_or_else(|| sources.in_data_dir("audit.jsonl")),
            local_fallback: sources
                .pick_switch(args.local_fallback, env::NEXUS_LOCAL_FALLBACK, file.local_fallback)?
                .unwrap_or(true),
            sandbox: SandboxSettings::merge(sandbox, args.dev, SandboxNames::of_nexus(sources), sources)?,
            hive: HiveSettings::merge(args.hive, sources)?,
            releases: ReleaseSettings::merge(sources)?,
            fleet: FleetKept::merge(args.fleet, uplink.as_ref(), sources)?,
            uplink,
            mdns: MdnsSettings::merge(args.mdns, sources)?,
        };
        settings.check()?;
        Ok(settings)
    }

    fn check(&self) -> Result<(), SettingError> {
        if self.dev && !self.bind.is_loopback() {
            return Err(SettingError::Impossible(format!(
                "--dev asks nobody for a token, so it listens on loopback only, not on {}; \
                 leave --dev out (and use the tokens `venom-host init` makes) or bind 127.0.0.1",
                self.bind
            )));
        }
        Ok(())
    }
}

fn weights(sources: &Sources, built_in: LoadWeights) -> Result<LoadWeights, SettingError> {
    let file = &sources.file.nexus.load;
    let weight = |name: &'static str, file: Option<f64>, default: f64| -> Result<f64, SettingError> {
        let value = sources.pick(None, name, file)?.unwrap_or(default);
        if value.is_finite() && value >= 0.0 {
            Ok(value)
        } else {
            Err(SettingError::Impossible(format!(
                "{name} is {value}, but a weight is a number of 0 or more"
            )))
        }
    };
    let normalization = weight(
        env::FOREMAN_MAX_TASKS_NORMALIZATION,
        file.normalization,
        built_in.normalization,
    )?;
    if normalization == 0.0 {
        return Err(SettingError::Impossible(format!(
            "{} is 0, but it divides; give the number of running calls that counts as fully loaded",
            env::FOREMAN_MAX_TASKS_NORMALIZATION
        )));
    }
    Ok(LoadWeights {
        cpu: weight(env::FOREMAN_CPU_WEIGHT, file.cpu, built_in.cpu)?,
        memory: weight(env::FOREMAN_MEMORY_WEIGHT, file.memory, built_in.memory)?,
        tasks: weight(env::FOREMAN_TASKS_WEIGHT, file.tasks, built_in.tasks)?,
        normalization,
        failures: weight(env::FOREMAN_FAILURE_WEIGHT, file.failures, built_in.failures)?,
        latency: weight(env::FOREMAN_LATENCY_WEIGHT, file.latency, built_in.latency)?,
    })
}

fn tls(cert: Option<PathBuf>, key: Option<PathBuf>) -> Result<Option<TlsPair>, SettingError> {
    match (cert, key) {
        (Some(cert), Some(key)) => Ok(Some(TlsPair { cert, key })),
        (None, None) => Ok(None),
        (Some(_), None) => Err(SettingError::Impossible(
            "a TLS certificate needs its key: add --tls-key FILE".to_owned(),
        )),
        (None, Some(_)) => Err(SettingError::Impossible(
            "a TLS key needs its certificate: add --tls-cert FILE".to_owned(),
        )),
    }
}
