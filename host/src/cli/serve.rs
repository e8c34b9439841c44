//! The long-running commands: `nexus` and `spore`.

use std::net::IpAddr;
use std::path::PathBuf;

use bytesize::ByteSize;
use clap::{Args, ValueEnum};
use venom_bundle::Channel;

use super::lan::MdnsArgs;
use crate::settings::{Seconds, Span, Switch};

/// `venom-host nexus`.
#[derive(Debug, Default, Args)]
#[command(
    after_help = "Examples:\n  venom-host nexus --dev\n  venom-host nexus --bind 0.0.0.0 --tls-cert cert.pem --tls-key key.pem\n  \
                  venom-host nexus --redis-url redis://hive:PASSWORD@redis.example:6379/0\n\n\
                  Prints `nexus ready URL` on stdout once it listens. SIGTERM drains, a second one quits."
)]
pub(crate) struct NexusArgs {
    /// Development mode: loopback only, no operator token asked, skills may run on this machine
    #[arg(long)]
    pub dev: bool,
    /// Address to listen on [env: NEXUS_BIND] [default: 127.0.0.1]
    #[arg(long, value_name = "IP")]
    pub bind: Option<IpAddr>,
    /// Port to listen on, 0 for any free one [env: NEXUS_PORT] [default: 8000]
    #[arg(long, value_name = "N")]
    pub port: Option<u16>,
    /// Token spores must show [env: NEXUS_SHARED_TOKEN] [default: {data dir}/node.token]
    #[arg(long, value_name = "T")]
    pub token: Option<String>,
    /// Whether spores may connect [env: ENABLE_NEXUS] [default: on]
    #[arg(long, value_name = "on|off")]
    pub nodes: Option<Switch>,
    /// Silence after which a node is offline [env: NEXUS_HEARTBEAT_TIMEOUT] [default: 60s]
    #[arg(long, value_name = "TIME")]
    pub heartbeat_timeout: Option<Seconds>,
    /// Time running calls get on shutdown [env: NEXUS_DRAIN_TIMEOUT] [default: 10s]
    #[arg(long, value_name = "TIME")]
    pub drain_timeout: Option<Seconds>,
    /// Certificate chain, PEM; turns TLS on [env: NEXUS_TLS_CERT]
    #[arg(long, value_name = "FILE")]
    pub tls_cert: Option<PathBuf>,
    /// Private key of the certificate, PEM [env: NEXUS_TLS_KEY]
    #[arg(long, value_name = "FILE")]
    pub tls_key: Option<PathBuf>,
    /// Largest request body [env: NEXUS_MAX_BODY] [default: 8 MiB]
    #[arg(long, value_name = "SIZE")]
    pub max_body: Option<ByteSize>,
    /// Requests a second for each token, 0 for no limit [env: NEXUS_RATE_LIMIT] [default: 50000]
    #[arg(long, value_name = "N")]
    pub rate_limit: Option<u32>,
    /// Wrong tokens a minute for each address, 0 for no limit [env: NEXUS_AUTH_FAILURES] [default: 60]
    #[arg(long, value_name = "N")]
    pub auth_failures: Option<u32>,
    /// Connections at one time, spores included [env: NEXUS_MAX_CONNECTIONS] [default: 10000]
    #[arg(long, value_name = "N")]
    pub max_connections: Option<usize>,
    /// Time a client gets to send its request [env: NEXUS_READ_TIMEOUT] [default: 30s]
    #[arg(long, value_name = "TIME")]
    pub read_timeout: Option<Seconds>,
    /// Run a skill here when no node can [env: NEXUS_LOCAL_FALLBACK] [default: on]
    #[arg(long, value_name = "on|off")]
    pub local_fallback: Option<Switch>,
    /// Bundles for the local fallback [env: NEXUS_SKILLS] [default: {data dir}/skills]
    #[arg(long, value_name = "DIR")]
    pub skills: Option<PathBuf>,
    /// What those skills may do here [env: NEXUS_POLICY] [default: {data dir}/policy.toml]
    #[arg(long, value_name = "FILE")]
    pub policy: Option<PathBuf>,
    /// Who may publish skills [env: VENOM_TRUST] [default: {data dir}/trust.toml]
    #[arg(long, value_name = "FILE")]
    pub trust: Option<PathBuf>,
    /// Log of security events [env: NEXUS_AUDIT_LOG] [default: {data dir}/audit.jsonl]
    #[arg(long, value_name = "FILE")]
    pub audit_log: Option<PathBuf>,
    /// Where tasks are kept.
    #[command(flatten)]
    pub hive: HiveArgs,
    /// Where agents and what they saw are kept.
    #[command(flatten)]
    pub fleet: FleetArgs,
    /// Another server it shows itself to.
    #[command(flatten)]
    pub uplink: UplinkArgs,
    /// Whether it is found in the LAN.
    #[command(flatten)]
    pub mdns: MdnsArgs,
}

/// Where a nexus keeps its fleet, and where agents reach it.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct FleetArgs {
    /// Database of agents and what they saw, sqlite:PATH or postgres://… [env: DATABASE_URL] [default: {data dir}/fleet.db]
    #[arg(long, value_name = "URL")]
    pub database_url: Option<String>,
    /// Keep no agents [env: ENABLE_FLEET=false]
    #[arg(long, conflicts_with = "database_url")]
    pub no_fleet: bool,
    /// Where agents reach this nexus, for enrol strings [env: NEXUS_PUBLIC_URL] [default: where the operator does]
    #[arg(long, value_name = "URL")]
    pub public_url: Option<String>,
}

/// A server that a nexus or a spore shows itself to, beside its own work.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct UplinkArgs {
    /// Nexus or older hive server to register with, beside the work itself [env: HIVE_URL] [default: none]
    #[arg(long, value_name = "URL")]
    pub hive_url: Option<String>,
    /// Registration token of that server [env: HIVE_REGISTRATION_TOKEN]
    #[arg(long, value_name = "T")]
    pub hive_token: Option<String>,
}

/// Where a nexus keeps tasks.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct HiveArgs {
    /// Redis that keeps the tasks, for several nexuses [env: REDIS_URL] [default: {data dir}/hive.db keeps them]
    #[arg(long, value_name = "URL")]
    pub redis_url: Option<String>,
    /// Keep no tasks: skills are only called at once [env: ENABLE_HIVE=false]
    #[arg(long, conflicts_with_all = ["redis_url", "hive_durability"])]
    pub no_hive: bool,
    /// What tasks in hive.db survive: the end of the `process`, or `power` cuts too [env: HIVE_DURABILITY] [default: process]
    #[arg(long, value_name = "WHAT", hide_possible_values = true)]
    pub hive_durability: Option<DurabilityArg>,
}

/// What tasks survive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum DurabilityArg {
    /// The end of the process, however it comes.
    Process,
    /// Power cuts too; each commit waits for the disk.
    Power,
}

/// `venom-host spore`.
#[derive(Debug, Default, Args)]
#[command(
    after_help = "Examples:\n  venom-host spore --dev\n  venom-host spore --nexus https://nexus.example:8000 --token T --tag gpu --tag rack:7\n\n\
                  Prints `spore ready NODE_ID` on stdout once the nexus took it. SIGTERM drains, a second one quits."
)]
pub(crate) struct SporeArgs {
    /// Development mode: nexus on loopback only, FileSkill and ShellSkill may use {data dir}/workspace
    #[arg(long)]
    pub dev: bool,
    /// Nexus to work for [env: SPORE_NEXUS_URL, SPORE_NEXUS_HOST, SPORE_NEXUS_PORT] [default: one found in the LAN, else http://127.0.0.1:8000]
    #[arg(long, value_name = "URL")]
    pub nexus: Option<String>,
    /// Show the token to a nexus that was only found in the LAN, whoever announced it [env: SPORE_TRUST_LAN]
    #[arg(long)]
    pub trust_lan: bool,
    /// Token the nexus asks of spores [env: SPORE_SHARED_TOKEN] [default: {data dir}/node.token]
    #[arg(long, value_name = "T")]
    pub token: Option<String>,
    /// Name for people [env: SPORE_NODE_NAME] [default: the host's name]
    #[arg(long, value_name = "N")]
    pub name: Option<String>,
    /// Tag calls can ask for; may be repeated [env: SPORE_NODE_TAGS, comma separated]
    #[arg(long = "tag", value_name = "T")]
    pub tags: Vec<String>,
    /// Calls run at one time [env: SPORE_CONCURRENCY] [default: 256]
    #[arg(long, value_name = "N")]
    pub concurrency: Option<u32>,
    /// Calls that may wait for a slot [env: SPORE_QUEUE] [default: 1024]
    #[arg(long, value_name = "N")]
    pub queue: Option<u32>,
    /// Time between heartbeats [env: SPORE_HEARTBEAT_INTERVAL] [default: 30s]
    #[arg(long, value_name = "TIME")]
    pub heartbeat_interval: Option<Seconds>,
    /// Time running calls get on shutdown [env: SPORE_DRAIN_TIMEOUT] [default: 30s]
    #[arg(long, value_name = "TIME")]
    pub drain_timeout: Option<Seconds>,
    /// Certificates that may have signed the nexus's, PEM [env: SPORE_CA_FILE] [default: the public ones]
    #[arg(long, value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
    /// Bundles to offer [env: SPORE_SKILLS] [default: {data dir}/skills]
    #[arg(long, value_name = "DIR")]
    pub skills: Option<PathBuf>,
    /// What the skills may do here [env: SPORE_POLICY] [default: {data dir}/policy.toml]
    #[arg(long, value_name = "FILE")]
    pub policy: Option<PathBuf>,
    /// Who may publish skills [env: VENOM_TRUST] [default: {data dir}/trust.toml]
    #[arg(long, value_name = "FILE")]
    pub trust: Option<PathBuf>,
    /// Redis whose broadcasts the spore hears itself, beside its nexus [env: REDIS_URL]
    #[arg(long, value_name = "URL")]
    pub redis_url: Option<String>,
    /// Updates over the air.
    #[command(flatten)]
    pub updates: UpdateArgs,
    /// Another server it shows itself to.
    #[command(flatten)]
    pub uplink: UplinkArgs,
    /// Whether it looks for a nexus in the LAN, and is found there.
    #[command(flatten)]
    pub mdns: MdnsArgs,
}

/// Which releases a spore takes, and when it is content with them.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct UpdateArgs {
    /// Line of releases to follow [env: VENOM_CHANNEL] [default: stable]
    #[arg(long, value_name = "NAME")]
    pub channel: Option<Channel>,
    /// Root that says which keys releases are trusted by [env: VENOM_ROOT] [default: {data dir}/root.json]
    #[arg(long, value_name = "FILE")]
    pub root: Option<PathBuf>,
    /// Take no releases: only what lies in the skills directory runs [env: VENOM_UPDATES=off]
    #[arg(long)]
    pub no_updates: bool,
    /// How long a new bundle is watched before it stays [env: VENOM_UPDATE_SOAK] [default: 30s]
    #[arg(long, value_name = "TIME")]
    pub update_soak: Option<Span>,
    /// Time between questions for a newer release, beside announcements [env: VENOM_UPDATE_POLL] [default: 5m]
    #[arg(long, value_name = "TIME")]
    pub update_poll: Option<Seconds>,
}
