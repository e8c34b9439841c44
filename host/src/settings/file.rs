//! `venom.toml`: every key it may have. A key that is not listed here is an error that names it.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use bytesize::ByteSize;
use serde::Deserialize;
use venom_bundle::Channel;

use super::{AllowedHost, Seconds, Secret, SettingError, Span};
use crate::cli::{DurabilityArg, LogFormat};

/// The whole file. All keys may be absent.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct File {
    /// Log lines.
    pub log: LogFile,
    /// `venom-host nexus`.
    pub nexus: NexusFile,
    /// `venom-host spore`.
    pub spore: SporeFile,
    /// `venom-host agent`.
    pub agent: AgentFile,
    /// Updates over the air, on a spore.
    pub updates: UpdatesFile,
    /// Updates over the air, on a nexus.
    pub releases: ReleasesFile,
    /// `venom-host exec` and `nodes`.
    pub client: ClientFile,
    /// Agents and what they saw, on a nexus.
    pub fleet: FleetFile,
    /// OCI registries.
    pub registry: RegistryFile,
    /// Finding each other in the LAN.
    pub mdns: MdnsFile,
    /// The sandbox, wherever skills run.
    pub runtime: RuntimeFile,
    /// Tasks.
    pub hive: HiveFile,
    /// Redis.
    pub redis: RedisFile,
    /// Trust file of everything that loads bundles.
    pub trust: Option<PathBuf>,
}

/// `[log]`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct LogFile {
    pub filter: Option<String>,
    pub format: Option<LogFormat>,
}

/// `[nexus]`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct NexusFile {
    pub bind: Option<IpAddr>,
    pub port: Option<u16>,
    pub token: Option<Secret>,
    pub nodes: Option<bool>,
    pub heartbeat_timeout: Option<Seconds>,
    pub drain_timeout: Option<Seconds>,
    pub tls_cert: Option<PathBuf>,
    pub tls_key: Option<PathBuf>,
    pub max_body: Option<ByteSize>,
    pub rate_limit: Option<u32>,
    pub auth_failures: Option<u32>,
    pub max_connections: Option<usize>,
    pub read_timeout: Option<Seconds>,
    pub local_fallback: Option<bool>,
    pub skills: Option<PathBuf>,
    pub policy: Option<PathBuf>,
    pub audit_log: Option<PathBuf>,
    pub load: LoadFile,
}

/// `[nexus.load]`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct LoadFile {
    pub cpu: Option<f64>,
    pub memory: Option<f64>,
    pub tasks: Option<f64>,
    pub normalization: Option<f64>,
    pub failures: Option<f64>,
    pub latency: Option<f64>,
}

/// `[hive]`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct HiveFile {
    pub enabled: Option<bool>,
    pub durability: Option<DurabilityArg>,
    pub high_priority_queue: Option<String>,
    pub background_queue: Option<String>,
    pub broadcast_channel: Option<String>,
    pub task_timeout: Option<Seconds>,
    pub max_retries: Option<u32>,
    pub zombie_task_timeout: Option<Seconds>,
    pub max_queued: Option<u64>,
    pub result_ttl: Option<Seconds>,
    pub session_ttl: Option<Seconds>,
    pub namespace: Option<String>,
    pub lease_ttl: Option<Seconds>,
    pub poison_losses: Option<u32>,
    pub low_share: Option<f64>,
    /// Of another server, which a nexus or spore shows itself to.
    pub url: Option<String>,
    /// Its registration token.
    pub token: Option<Secret>,
    /// Certificates that may have signed its own.
    pub ca_file: Option<PathBuf>,
}

/// `[spore]`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct SporeFile {
    pub nexus: Option<String>,
    pub trust_lan: Option<bool>,
    pub token: Option<Secret>,
    pub name: Option<String>,
    pub tags: Option<Vec<String>>,
    pub concurrency: Option<u32>,
    pub queue: Option<u32>,
    pub heartbeat_interval: Option<Seconds>,
    pub drain_timeout: Option<Seconds>,
    pub ca_file: Option<PathBuf>,
    pub skills: Option<PathBuf>,
    pub policy: Option<PathBuf>,
    pub shell: Option<bool>,
    pub file: Option<bool>,
}

/// `[agent]`: what `agent.toml` does not say, as registering does not ask for it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct AgentFile {
    pub log_file: Option<PathBuf>,
    pub log_max_size: Option<ByteSize>,
    pub log_keep: Option<u32>,
}

/// `[updates]`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct UpdatesFile {
    pub enabled: Option<bool>,
    pub channel: Option<Channel>,
    pub root: Option<PathBuf>,
    pub poll: Option<Seconds>,
    pub window: Option<Vec<venom_spore::Window>>,
    pub min_interval: Option<Span>,
    pub allowed_hosts: Option<Vec<AllowedHost>>,
    pub keep: Option<usize>,
    pub soak: Option<Span>,
    pub drain: Option<Span>,
    pub max_traps: Option<u32>,
    pub max_error_rate: Option<f64>,
    pub min_calls: Option<u32>,
    pub release_grants: Option<bool>,
}

/// `[releases]`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ReleasesFile {
    pub quota: Option<ByteSize>,
    pub max_downloads: Option<usize>,
    pub rollout_lifetime: Option<Seconds>,
}

/// `[fleet]`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct FleetFile {
    pub enabled: Option<bool>,
    pub database_url: Option<Secret>,
    pub registration_token: Option<Secret>,
    pub registration_secret: Option<Secret>,
    pub registrations_per_minute: Option<u32>,
    pub requests_per_minute: Option<u32>,
    pub public_url: Option<String>,
    pub stale_after: Option<Span>,
    pub offline_after: Option<Span>,
    pub rotation_overlap: Option<Span>,
    pub command_lifetime: Option<Span>,
    pub batch_memory: Option<Span>,
    pub history: Option<Span>,
    pub misses_until_gone: Option<u32>,
    pub max_agents: Option<u64>,
    pub max_assets_per_site: Option<u64>,
}

/// `[registry]`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RegistryFile {
    pub username: Option<String>,
    pub password: Option<Secret>,
    pub ca_file: Option<PathBuf>,
    pub plain_http: Option<bool>,
}

/// `[client]`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ClientFile {
    pub nexus: Option<String>,
    pub token: Option<Secret>,
    pub ca_file: Option<PathBuf>,
}

/// `[mdns]`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct MdnsFile {
    pub enabled: Option<bool>,
    pub interfaces: Option<Vec<venom_mdns::Selector>>,
}

/// `[runtime]`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RuntimeFile {
    pub max_memory: Option<ByteSize>,
    pub dirty_page_scan: Option<PageScan>,
}

/// `[redis]`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RedisFile {
    pub url: Option<Secret>,
    pub username: Option<String>,
    pub password: Option<Secret>,
    pub ca_file: Option<PathBuf>,
}

/// Whether pages a skill wrote are found by asking the kernel. Quicker, but only safe without swap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum PageScan {
    Off,
    On,
    Auto,
}

impl std::str::FromStr for PageScan {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "off" => Ok(Self::Off),
            "on" => Ok(Self::On),
            "auto" => Ok(Self::Auto),
            _ => Err(format!("`{text}` is none of off, on and auto")),
        }
    }
}

impl File {
    /// Reads `path`. A file that does not exist is an empty one, unless somebody asked for it by name.
    pub(crate) fn load(path: &Path, asked_for: bool) -> Result<Self, SettingError> {
        match std::fs::read_to_string(path) {
            Ok(text) => Self::parse(&text, path),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && !asked_for => Ok(Self::default()),
            Err(error) => Err(SettingError::Unreadable {
                path: path.to_owned(),
                source: error,
            }),
        }
    }

    /// Reads the text of the file at `path`; relative paths in it start from its directory.
    pub(crate) fn parse(text: &str, path: &Path) -> Result<Self, SettingError> {
        let mut file: Self = toml::from_str(text).map_err(|error| SettingError::File {
            path: path.to_owned(),
            why: error.to_string().trim_end().to_owned(),
        })?;
        file.rebase(path.parent().unwrap_or(Path::new(".")));
        Ok(file)
    }

    fn rebase(&mut self, base: &Path) {
        let paths = [
            &mut self.trust,
            &mut self.nexus.tls_cert,
            &mut self.nexus.tls_key,
            &mut self.nexus.skills,
            &mut self.nexus.policy,
            &mut self.nexus.audit_log,
            &mut self.spore.ca_file,
            &mut self.spore.skills,
            &mut self.spore.policy,
            &mut self.agent.log_file,
            &mut self.hive.ca_file,
            &mut self.updates.root,
            &mut self.client.ca_file,
            &mut self.redis.ca_file,
            &mut self.registry.ca_file,
        ];
        for path in paths.into_iter().flatten() {
            *path = base.join(&*path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_key_is_named() {
        let error = File::parse("[nexus]\nprot = 8000\n", Path::new("/d/venom.toml"))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("/d/venom.toml") && error.contains("`prot`") && error.contains("line 2"),
            "{error}"
        );
    }

    #[test]
    fn relative_paths_start_at_the_file() {
        let file = File::parse(
            "[spore]\nskills = \"s\"\npolicy = \"/abs\"\n",
            Path::new("/d/venom.toml"),
        )
        .unwrap();
        assert_eq!(file.spore.skills.unwrap(), Path::new("/d/s"));
        assert_eq!(file.spore.policy.unwrap(), Path::new("/abs"));
    }
}
