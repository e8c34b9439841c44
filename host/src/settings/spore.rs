//! Settings of `venom-host spore`.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use venom_broker::redis::RedisSettings;
use venom_spore::{DEFAULT_CONCURRENCY, DEFAULT_QUEUE};

use super::client::DEFAULT_NEXUS;
use super::sandbox::SandboxNames;
use super::{
    MdnsSettings, SandboxSettings, Seconds, Secret, SettingError, Sources, Switch, UpdateSettings, UplinkSettings, env,
    redis,
};
use crate::cli::{SandboxArgs, SporeArgs};

const DEFAULT_HEARTBEAT: Duration = Duration::from_secs(30);
const DEFAULT_DRAIN: Duration = Duration::from_secs(30);

/// Settings of `venom-host spore`.
#[derive(Debug, Clone)]
pub(crate) struct SporeSettings {
    pub dev: bool,
    pub nexus: String,
    /// False: nobody named a nexus, `nexus` is the default, and one in the LAN comes before it.
    pub nexus_is_named: bool,
    /// Whether the token is shown to a nexus that was only found in the LAN.
    pub trust_lan: bool,
    /// Absent: the one in the data directory.
    pub token: Option<Secret>,
    pub name: String,
    pub tags: Vec<String>,
    pub concurrency: u32,
    pub queue: u32,
    pub heartbeat_interval: Duration,
    pub drain_timeout: Duration,
    pub ca_file: Option<PathBuf>,
    /// Skills that are not offered, whatever lies in the skills directory.
    pub switched_off: Vec<&'static str>,
    pub sandbox: SandboxSettings,
    /// Updates over the air.
    pub updates: UpdateSettings,
    /// Redis whose broadcasts it hears; none: it hears those that its nexus sends on.
    pub redis: Option<RedisSettings>,
    /// Channel of those broadcasts.
    pub broadcast_channel: String,
    /// Server it shows itself to, beside its nexus.
    pub uplink: Option<UplinkSettings>,
    pub mdns: MdnsSettings,
}

impl SporeSettings {
    /// Merges flags, environment, file and defaults, and checks what came out. `host_name` is the default name.
    pub(crate) fn merge(args: SporeArgs, sources: &Sources, host_name: String) -> Result<Self, SettingError> {
        let file = &sources.file.spore;
        let time = |flag, name, file, default| -> Result<Duration, SettingError> {
            Ok(sources.pick(flag, name, file)?.map_or(default, |Seconds(time)| time))
        };
        let sandbox = SandboxArgs {
            skills: args.skills,
            policy: args.policy,
            trust: args.trust,
        };
        let named = nexus(args.nexus, sources)?;
        let settings = Self {
            dev: args.dev,
            nexus_is_named: named.is_some(),
            nexus: named.unwrap_or_else(|| DEFAULT_NEXUS.to_owned()),
            trust_lan: sources
                .pick_switch(
                    args.trust_lan.then_some(Switch(true)),
                    env::SPORE_TRUST_LAN,
                    file.trust_lan,
                )?
                .unwrap_or(false),
            token: sources.pick(args.token.map(Secret::new), env::SPORE_SHARED_TOKEN, file.token.clone())?,
            name: sources
                .pick(args.name, env::SPORE_NODE_NAME, file.name.clone())?
                .unwrap_or(host_name),
            tags: tags(args.tags, sources),
            concurrency: sources
                .pick(args.concurrency, env::SPORE_CONCURRENCY, file.concurrency)?
                .unwrap_or(DEFAULT_CONCURRENCY),
            queue: sources
                .pick(args.queue, env::SPORE_QUEUE, file.queue)?
                .unwrap_or(DEFAULT_QUEUE),
            heartbeat_interval: time(
                args.heartbeat_interval,
                env::SPORE_HEARTBEAT_INTERVAL,
                file.heartbeat_interval,
                DEFAULT_HEARTBEAT,
            )?,
            drain_timeout: time(
                args.drain_timeout,
                env::SPORE_DRAIN_TIMEOUT,
                file.drain_timeout,
                DEFAULT_DRAIN,
            )?,
            ca_file: sources.pick(args.ca_file, env::SPORE_CA_FILE, file.ca_file.clone())?,
            switched_off: switched_off(sources)?,
            sandbox: SandboxSettings::merge(sandbox, args.dev, SandboxNames::of_spore(sources), sources)?,
            updates: UpdateSettings::merge(args.updates, sources)?,
            redis: own_redis(args.redis_url.as_deref(), sources)?,
            broadcast_channel: sources
                .pick(
                    None,
                    env::HIVE_BROADCAST_CHANNEL,
                    sources.file.hive.broadcast_channel.clone(),
                )?
                .unwrap_or_else(|| venom_broker::Settings::default().broadcast_channel),
            uplink: UplinkSettings::merge(args.uplink, sources)?,
            mdns: MdnsSettings::merge(args.mdns, sources)?,
        };
        settings.check()?;
        Ok(settings)
    }

    fn check(&self) -> Result<(), SettingError> {
        if self.concurrency == 0 {
            return Err(SettingError::Impossible(
                "a concurrency of 0 would run no call; give 1 or more".to_owned(),
            ));
        }
        if self.dev && !self.stays_on_this_machine() {
            return Err(SettingError::Impossible(format!(
                "--dev lets whoever asks run commands and use files here, so it works for a nexus on loopback only, \
                 not for {}; leave --dev out and write a policy.toml, or use http://127.0.0.1:PORT",
                self.nexus
            )));
        }
        Ok(())
    }
}

/// One URL, or host and port as the first spores had them; `None` when nobody said.
fn nexus(flag: Option<String>, sources: &Sources) -> Result<Option<String>, SettingError> {
    if let Some(url) = flag.or_else(|| sources.env.get(env::SPORE_NEXUS_URL).map(str::to_owned)) {
        return Ok(Some(url));
    }
    let host = sources.env.get(env::SPORE_NEXUS_HOST);
    let port: Option<u16> = sources.env.parse(env::SPORE_NEXUS_PORT)?;
    if host.is_some() || port.is_some() {
        let host = host.unwrap_or("127.0.0.1");
        let port = port.unwrap_or(super::nexus::DEFAULT_PORT);
        return Ok(Some(format!("http://{host}:{port}")));
    }
    Ok(sources.file.spore.nexus.clone())
}

/// A flag means it; otherwise `ENABLE_HIVE=false` keeps a spore away from the Redis of its environment.
fn own_redis(flag: Option<&str>, sources: &Sources) -> Result<Option<RedisSettings>, SettingError> {
    let is_on = sources.pick_switch(None, env::ENABLE_HIVE, sources.file.hive.enabled)?;
    if flag.is_none() && is_on == Some(false) {
        return Ok(None);
    }
    redis(flag, sources)
}

fn tags(flags: Vec<String>, sources: &Sources) -> Vec<String> {
    if !flags.is_empty() {
        return flags;
    }
    match sources.env.get(env::SPORE_NODE_TAGS) {
        Some(list) => list
            .split(',')
            .map(str::trim)
            .filter(|tag| !tag.is_empty())
            .map(str::to_owned)
            .collect(),
        None => sources.file.spore.tags.clone().unwrap_or_default(),
    }
}

fn switched_off(sources: &Sources) -> Result<Vec<&'static str>, SettingError> {
    let file = &sources.file.spore;
    let shell = sources
        .pick_switch(None, env::SPORE_ENABLE_SHELL, file.shell)?
        .unwrap_or(true);
    let files = sources
        .pick_switch(None, env::SPORE_ENABLE_FILE, file.file)?
        .unwrap_or(true);
    let switches = [("ShellSkill", shell), ("FileSkill", files)];
    Ok(switches
        .into_iter()
        .filter(|(_, on)| !on)
        .map(|(skill, _)| skill)
        .collect())
}

impl SporeSettings {
    /// Whether all its nexuses are on this machine, so that nobody else has to do with it.
    pub(crate) fn stays_on_this_machine(&self) -> bool {
        self.nexus.split(',').all(|nexus| is_loopback(nexus.trim()))
    }
}

/// Whether the host of `scheme://host:port/...` or `host:port` is this machine and cannot be another.
fn is_loopback(nexus: &str) -> bool {
    let rest = nexus.split_once("://").map_or(nexus, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.contains('@') {
        return false;
    }
    let host = match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => authority.rsplit_once(':').map_or(authority, |(host, _)| host),
    };
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_told_from_what_only_looks_like_it() {
        for url in [
            "http://127.0.0.1:8000",
            "ws://localhost:1/ws/nodes",
            "http://[::1]:8000",
            "127.9.9.9:80",
        ] {
            assert!(is_loopback(url), "{url}");
        }
        for url in [
            "http://127.0.0.1.example.com",
            "http://127.0.0.1@evil.example",
            "http://10.0.0.1",
            "localhost.evil:80",
        ] {
            assert!(!is_loopback(url), "{url}");
        }
    }
}
