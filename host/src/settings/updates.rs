//! Settings of updates over the air on a spore: which releases it follows, when it may install, and when what it
//! installed is bad.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, de::Error as _};
use venom_bundle::Channel;
use venom_spore::Window;

use super::file::UpdatesFile;
use super::{Seconds, SettingError, Sources, Switch, env};
use crate::cli::UpdateArgs;

const DEFAULT_POLL: Duration = Duration::from_secs(300);
const DEFAULT_KEEP: usize = 5;
const DEFAULT_SOAK: Duration = Duration::from_secs(30);
const DEFAULT_DRAIN: Duration = Duration::from_secs(30);
const DEFAULT_MAX_ERROR_RATE: f64 = 0.5;
const DEFAULT_MIN_CALLS: u32 = 20;

/// Settings of updates over the air.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct UpdateSettings {
    /// Whether releases are taken at all.
    pub enabled: bool,
    /// Line of releases.
    pub channel: Channel,
    /// The root pinned at first.
    pub root: PathBuf,
    /// Time between questions for a newer release, while nothing announces one.
    pub poll: Duration,
    /// Times of day at which it may install; empty: always.
    pub window: Vec<Window>,
    /// Least time between the installs of two releases.
    pub min_interval: Duration,
    /// Hosts bundles may come from, beside the nexus.
    pub allowed_hosts: Vec<String>,
    /// Bundles kept on disk of each skill.
    pub keep: usize,
    /// How long a new bundle is watched before it stays.
    pub soak: Duration,
    /// Time running calls of the old bundle get.
    pub drain: Duration,
    /// Traps while it is watched that are still fine.
    pub max_traps: u32,
    /// Share of failed calls while it is watched that is still fine.
    pub max_error_rate: f64,
    /// Calls before that share counts.
    pub min_calls: u32,
    /// Whether a release may grant rights to skills this spore's policy does not name.
    pub release_grants: bool,
}

impl UpdateSettings {
    /// Merges flags, environment, file and defaults, and checks what came out.
    pub(crate) fn merge(args: UpdateArgs, sources: &Sources) -> Result<Self, SettingError> {
        let file = &sources.file.updates;
        let off = args.no_updates.then_some(Switch(false));
        let settings = Self {
            enabled: sources.pick_switch(off, env::UPDATES, file.enabled)?.unwrap_or(true),
            channel: sources
                .pick(args.channel, env::CHANNEL, file.channel.clone())?
                .unwrap_or_default(),
            root: sources
                .pick(args.root, env::ROOT, file.root.clone())?
                .unwrap_or_else(|| sources.in_data_dir("root.json")),
            poll: over_zero(
                sources.pick(args.update_poll, env::UPDATE_POLL, file.poll)?,
                DEFAULT_POLL,
            ),
            window: list(sources, env::UPDATE_WINDOW, file.window.as_ref())?,
            min_interval: span(
                sources,
                env::UPDATE_MIN_INTERVAL,
                None,
                file.min_interval,
                Duration::ZERO,
            )?,
            allowed_hosts: list::<AllowedHost>(sources, env::UPDATE_ALLOWED_HOSTS, file.allowed_hosts.as_ref())?
                .into_iter()
                .map(|AllowedHost(host)| host)
                .collect(),
            keep: sources.pick(None, env::UPDATE_KEEP, file.keep)?.unwrap_or(DEFAULT_KEEP),
            soak: span(sources, env::UPDATE_SOAK, args.update_soak, file.soak, DEFAULT_SOAK)?,
            drain: span(sources, env::UPDATE_DRAIN, None, file.drain, DEFAULT_DRAIN)?,
            max_traps: sources.pick(None, env::UPDATE_MAX_TRAPS, file.max_traps)?.unwrap_or(0),
            max_error_rate: error_rate(sources, file)?,
            min_calls: sources
                .pick(None, env::UPDATE_MIN_CALLS, file.min_calls)?
                .unwrap_or(DEFAULT_MIN_CALLS),
            release_grants: sources
                .pick_switch(None, env::UPDATE_RELEASE_GRANTS, file.release_grants)?
                .unwrap_or(false),
        };
        settings.check()?;
        Ok(settings)
    }

    fn check(&self) -> Result<(), SettingError> {
        // The bundle that runs and the one before it, which it rolls back to.
        if self.keep < 2 {
            return Err(SettingError::Impossible(format!(
                "{} is {}, but the bundle that runs and the one before it must be kept; give 2 or more",
                env::UPDATE_KEEP,
                self.keep
            )));
        }
        Ok(())
    }
}

fn over_zero(given: Option<Seconds>, default: Duration) -> Duration {
    given.map_or(default, |Seconds(time)| time)
}

fn span(
    sources: &Sources,
    name: &'static str,
    flag: Option<Span>,
    file: Option<Span>,
    default: Duration,
) -> Result<Duration, SettingError> {
    Ok(sources.pick(flag, name, file)?.map_or(default, |Span(time)| time))
}

fn error_rate(sources: &Sources, file: &UpdatesFile) -> Result<f64, SettingError> {
    let name = env::UPDATE_MAX_ERROR_RATE;
    let rate = sources
        .pick(None, name, file.max_error_rate)?
        .unwrap_or(DEFAULT_MAX_ERROR_RATE);
    if (0.0..=1.0).contains(&rate) {
        return Ok(rate);
    }
    Err(SettingError::Impossible(format!(
        "{name} is {rate}, but a share is 0 to 1"
    )))
}

/// A list: comma separated in the environment.
fn list<T>(sources: &Sources, name: &'static str, file: Option<&Vec<T>>) -> Result<Vec<T>, SettingError>
where
    T: FromStr<Err: std::fmt::Display> + Clone,
{
    let Some(text) = sources.env.get(name) else {
        return Ok(file.cloned().unwrap_or_default());
    };
    let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
    items
        .map(|item| {
            item.parse().map_err(|why: T::Err| SettingError::Variable {
                name,
                value: text.to_owned(),
                why: why.to_string(),
            })
        })
        .collect()
}

/// A span of time that may be zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span(pub Duration);

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let zero = matches!(text.trim(), "0" | "0s" | "0ms" | "0m" | "0h");
        if zero {
            return Ok(Self(Duration::ZERO));
        }
        text.parse().map(|Seconds(time)| Self(time))
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "a time: 0, 30, 1.5, \"250ms\", \"30s\", \"5m\" or \"2h\"")]
        enum Written {
            Number(f64),
            Text(String),
        }
        let text = match Written::deserialize(deserializer)? {
            Written::Number(number) => number.to_string(),
            Written::Text(text) => text,
        };
        text.parse().map_err(D::Error::custom)
    }
}

/// A host, as URLs name it: `bundles.example`, or `*.example`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AllowedHost(pub String);

impl FromStr for AllowedHost {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match venom_bundle::capability::HttpHost::parse(text) {
            Some(_) => Ok(Self(text.to_owned())),
            None => Err(format!(
                "`{text}` is no host (write bundles.example, *.example or bundles.example:8443)"
            )),
        }
    }
}

impl<'de> Deserialize<'de> for AllowedHost {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_may_be_zero() {
        assert_eq!("0s".parse(), Ok(Span(Duration::ZERO)));
        assert_eq!("5m".parse(), Ok(Span(Duration::from_secs(300))));
        assert!("-1s".parse::<Span>().is_err());
    }
}
