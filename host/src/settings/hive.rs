//! Settings of the hive: where a nexus keeps tasks, and how it deals with them.

use std::path::PathBuf;
use std::time::Duration;

use venom_broker::redis::RedisSettings;
use venom_broker::sqlite::Durability;

use super::{Seconds, SettingError, Sources, env, redis};
use crate::cli::{DurabilityArg, HiveArgs};

/// A shorter silence is what a busy machine has now and then: healthy nexuses and nodes would lose their tasks.
const SHORTEST_SILENCE: Duration = Duration::from_secs(1);

/// Settings of the hive.
#[derive(Debug, Clone)]
pub(crate) struct HiveSettings {
    pub kept: Kept,
    pub broker: venom_broker::Settings,
    pub tasks: venom_nexus::HiveSettings,
}

/// Where tasks are kept.
#[derive(Debug, Clone)]
pub(crate) enum Kept {
    /// Nowhere: there are none.
    Nowhere,
    /// In a file of this nexus alone.
    File {
        /// Which.
        path: PathBuf,
        /// What they survive there.
        durability: Durability,
    },
    /// In a Redis that several nexuses share.
    Redis(RedisSettings),
}

impl HiveSettings {
    /// Merges flags, environment, file and defaults, and checks what came out.
    pub(crate) fn merge(args: HiveArgs, sources: &Sources) -> Result<Self, SettingError> {
        Ok(Self {
            kept: kept(args, sources)?,
            broker: broker(sources)?,
            tasks: tasks(sources)?,
        })
    }
}

fn kept(args: HiveArgs, sources: &Sources) -> Result<Kept, SettingError> {
    let file = &sources.file.hive;
    let is_on = sources
        .pick_switch(None, env::ENABLE_HIVE, file.enabled)?
        .unwrap_or(true);
    if args.no_hive || !is_on {
        return Ok(Kept::Nowhere);
    }
    if let Some(redis) = redis(args.redis_url.as_deref(), sources)? {
        return Ok(Kept::Redis(redis));
    }
    let durability = sources.pick(args.hive_durability, env::HIVE_DURABILITY, file.durability)?;
    Ok(Kept::File {
        path: sources.in_data_dir("hive.db"),
        durability: durability.map_or(Durability::default(), Durability::from),
    })
}

fn broker(sources: &Sources) -> Result<venom_broker::Settings, SettingError> {
    let built_in = venom_broker::Settings::default();
    let file = &sources.file.hive;
    let text = |name, file: &Option<String>, default: String| -> Result<String, SettingError> {
        let value = sources.pick(None, name, file.clone())?.unwrap_or(default);
        plain(name, value)
    };
    let settings = venom_broker::Settings {
        max_waiting: sources
            .pick(None, env::HIVE_MAX_QUEUED, file.max_queued)?
            .unwrap_or(built_in.max_waiting),
        result_ttl: time(sources, env::HIVE_RESULT_TTL, file.result_ttl, built_in.result_ttl)?,
        session_ttl: silence(sources, env::HIVE_SESSION_TTL, file.session_ttl, built_in.session_ttl)?,
        namespace: text(env::HIVE_NAMESPACE, &file.namespace, built_in.namespace)?,
        high_queue: text(
            env::HIVE_HIGH_PRIORITY_QUEUE,
            &file.high_priority_queue,
            built_in.high_queue,
        )?,
        background_queue: text(
            env::HIVE_BACKGROUND_QUEUE,
            &file.background_queue,
            built_in.background_queue,
        )?,
        broadcast_channel: text(
            env::HIVE_BROADCAST_CHANNEL,
            &file.broadcast_channel,
            built_in.broadcast_channel,
        )?,
        max_progress: built_in.max_progress,
    };
    at_least_one(env::HIVE_MAX_QUEUED, settings.max_waiting)?;
    if settings.high_queue == settings.background_queue {
        return Err(SettingError::Impossible(format!(
            "both queues are called `{}`; give {} and {} different names",
            settings.high_queue,
            env::HIVE_HIGH_PRIORITY_QUEUE,
            env::HIVE_BACKGROUND_QUEUE
        )));
    }
    Ok(settings)
}

fn tasks(sources: &Sources) -> Result<venom_nexus::HiveSettings, SettingError> {
    let built_in = venom_nexus::HiveSettings::default();
    let file = &sources.file.hive;
    let settings = venom_nexus::HiveSettings {
        task_timeout: time(
            sources,
            env::HIVE_TASK_TIMEOUT,
            file.task_timeout,
            built_in.task_timeout,
        )?,
        max_retries: sources
            .pick(None, env::HIVE_MAX_RETRIES, file.max_retries)?
            .unwrap_or(built_in.max_retries),
        zombie_task_timeout: time(
            sources,
            env::HIVE_ZOMBIE_TASK_TIMEOUT,
            file.zombie_task_timeout,
            built_in.zombie_task_timeout,
        )?,
        lease_ttl: silence(sources, env::HIVE_LEASE_TTL, file.lease_ttl, built_in.lease_ttl)?,
        poison_losses: sources
            .pick(None, env::HIVE_POISON_LOSSES, file.poison_losses)?
            .unwrap_or(built_in.poison_losses),
        low_share: share(
            env::HIVE_LOW_SHARE,
            sources.pick(None, env::HIVE_LOW_SHARE, file.low_share)?,
            built_in.low_share,
        )?,
        ..built_in
    };
    at_least_one(env::HIVE_POISON_LOSSES, settings.poison_losses.into())?;
    if settings.task_timeout > settings.zombie_task_timeout {
        return Err(SettingError::Impossible(format!(
            "{} is {:?}, but whatever runs longer than {} ({:?}) is a zombie; raise that one too",
            env::HIVE_TASK_TIMEOUT,
            settings.task_timeout,
            env::HIVE_ZOMBIE_TASK_TIMEOUT,
            settings.zombie_task_timeout
        )));
    }
    Ok(settings)
}

fn time(
    sources: &Sources,
    name: &'static str,
    file: Option<Seconds>,
    default: Duration,
) -> Result<Duration, SettingError> {
    Ok(sources.pick(None, name, file)?.map_or(default, |Seconds(time)| time))
}

fn silence(
    sources: &Sources,
    name: &'static str,
    file: Option<Seconds>,
    default: Duration,
) -> Result<Duration, SettingError> {
    let silence = time(sources, name, file, default)?;
    if silence < SHORTEST_SILENCE {
        return Err(SettingError::Impossible(format!(
            "{name} is {silence:?}, which a healthy but busy machine is over now and then; give 1 s or more"
        )));
    }
    Ok(silence)
}

fn at_least_one(name: &str, value: u64) -> Result<(), SettingError> {
    if value == 0 {
        return Err(SettingError::Impossible(format!("{name} is 0; give 1 or more")));
    }
    Ok(())
}

fn share(name: &str, given: Option<f64>, default: f64) -> Result<f64, SettingError> {
    let share = given.unwrap_or(default);
    if (0.0..=1.0).contains(&share) {
        return Ok(share);
    }
    Err(SettingError::Impossible(format!(
        "{name} is {share}, but a share is 0 to 1"
    )))
}

/// A name that can be part of a key: braces would be taken as its hash tag.
fn plain(name: &str, value: String) -> Result<String, SettingError> {
    let is_plain = |c: char| c.is_ascii_graphic() && !matches!(c, '{' | '}' | '*' | '?' | '[' | ']' | '\\');
    if !value.is_empty() && value.len() <= 128 && value.chars().all(is_plain) {
        return Ok(value);
    }
    Err(SettingError::Impossible(format!(
        "{name} is `{value}`, but a name has 1 to 128 printable characters and none of {{}}[]*?\\ and spaces"
    )))
}

impl From<DurabilityArg> for Durability {
    fn from(durability: DurabilityArg) -> Self {
        match durability {
            DurabilityArg::Process => Self::Process,
            DurabilityArg::Power => Self::Power,
        }
    }
}

impl std::str::FromStr for DurabilityArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "process" => Ok(Self::Process),
            "power" => Ok(Self::Power),
            _ => Err(format!("`{text}` is neither process nor power")),
        }
    }
}
