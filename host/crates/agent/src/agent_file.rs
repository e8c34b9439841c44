//! `agent.toml`: who this agent is, where its nexus is, and what it does. The token has a file of its own.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use venom_protocol::AgentId;

use crate::disk::{Disk, RealDisk};
use crate::outbox::OutboxSettings;
use crate::pin::Pin;
use crate::schedule::{InvalidSchedule, Schedule};
use crate::span;

/// Its name in the data directory.
pub const AGENT_FILE: &str = "agent.toml";

/// Most schedules of one agent.
pub const MOST_SCHEDULES: usize = 64;

/// Bounds of the time between heartbeats.
const HEARTBEAT: std::ops::RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(3_600);

/// The shortest life of a token.
const SHORTEST_ROTATION: Duration = Duration::from_secs(3_600);

/// Everything an agent is told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgentFile {
    /// `http://HOST:PORT` or `https://HOST:PORT`.
    pub nexus: String,
    /// The only key to trust there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pin: Option<Pin>,
    /// Certificates to trust beside the public authorities (PEM).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// Who this is; never changes.
    pub agent_id: AgentId,
    /// Name for people.
    pub name: String,
    /// Where it stands.
    #[serde(default = "default_site")]
    pub site_name: String,
    /// Where in the site, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    /// Networks it is in, CIDR: what it tells its nexus, and what it scans when nobody says what.
    #[serde(default)]
    pub subnets: Vec<String>,
    /// Time between heartbeats.
    #[serde(with = "span", default = "thirty_seconds")]
    pub heartbeat: Duration,
    /// Age at which its token is exchanged for a new one; `0`: never.
    #[serde(with = "span", default = "thirty_days")]
    pub rotate_token: Duration,
    /// Whether this process is a spore too.
    #[serde(default)]
    pub link: bool,
    /// What waits on disk.
    #[serde(default)]
    pub outbox: OutboxSettings,
    /// What runs again and again.
    #[serde(default, rename = "schedule", skip_serializing_if = "Vec::is_empty")]
    pub schedules: Vec<Schedule>,
}

fn default_site() -> String {
    "default".to_owned()
}

const fn thirty_seconds() -> Duration {
    Duration::from_secs(30)
}

const fn thirty_days() -> Duration {
    Duration::from_secs(30 * 86_400)
}

/// Why there are no settings.
#[derive(Debug, thiserror::Error)]
pub enum AgentFileError {
    /// The file cannot be read.
    #[error("{} cannot be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// There is none.
    #[error("there is no {}: this machine is no agent yet; register it with `venom-host agent register`", path.display())]
    Absent {
        /// The file.
        path: PathBuf,
    },
    /// The file cannot be written.
    #[error("{} cannot be written", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// It is no TOML, or not of this shape.
    #[error("the settings of the agent cannot be understood: {why}")]
    Shape {
        /// Line, column and what is wrong there.
        why: String,
    },
    /// A value makes no sense.
    #[error("the agent's setting `{setting}` is wrong: {why}")]
    Value {
        /// Which.
        setting: &'static str,
        /// What is wrong, and what would be right.
        why: String,
    },
    /// A schedule makes no sense.
    #[error(transparent)]
    Schedule(#[from] InvalidSchedule),
}

impl AgentFile {
    /// The usual settings.
    #[must_use]
    pub fn new(nexus: impl Into<String>, agent_id: AgentId, name: impl Into<String>) -> Self {
        Self {
            nexus: nexus.into(),
            pin: None,
            ca_file: None,
            agent_id,
            name: name.into(),
            site_name: default_site(),
            location: None,
            subnets: Vec::new(),
            heartbeat: thirty_seconds(),
            rotate_token: thirty_days(),
            link: false,
            outbox: OutboxSettings::default(),
            schedules: Vec::new(),
        }
    }

    /// Reads and checks `agent.toml` of a data directory.
    ///
    /// # Errors
    /// When it is absent, cannot be read, or says something that makes no sense.
    pub fn read(data_dir: &Path) -> Result<Self, AgentFileError> {
        let path = data_dir.join(AGENT_FILE);
        match std::fs::read_to_string(&path) {
            Ok(text) => Self::parse(&text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(AgentFileError::Absent { path }),
            Err(source) => Err(AgentFileError::Read { path, source }),
        }
    }

    /// Reads and checks settings.
    ///
    /// # Errors
    /// When they make no sense.
    pub fn parse(text: &str) -> Result<Self, AgentFileError> {
        let file: Self = toml::from_str(text).map_err(|error| AgentFileError::Shape {
            why: error.to_string().trim().to_owned(),
        })?;
        file.check()?;
        Ok(file)
    }

    /// As it is written.
    ///
    /// # Errors
    /// When a value cannot be written as TOML (a parameter that is null).
    pub fn to_text(&self) -> Result<String, AgentFileError> {
        toml::to_string(self).map_err(|error| AgentFileError::Shape { why: error.to_string() })
    }

    /// Checks and writes `agent.toml` into a data directory: whole or not at all, 0600, in a directory that is made 0700.
    ///
    /// # Errors
    /// When something makes no sense or the disk says no.
    pub fn write(&self, data_dir: &Path) -> Result<(), AgentFileError> {
        self.check()?;
        let path = data_dir.join(AGENT_FILE);
        let text = self.to_text()?;
        RealDisk
            .make_directory(data_dir)
            .and_then(|()| RealDisk.replace(&path, text.as_bytes()))
            .map_err(|source| AgentFileError::Write { path, source })
    }

    /// Whether it makes sense.
    ///
    /// # Errors
    /// When it does not.
    pub fn check(&self) -> Result<(), AgentFileError> {
        let wrong = |setting, why: &str| {
            Err(AgentFileError::Value {
                setting,
                why: why.to_owned(),
            })
        };
        let url = reqwest::Url::parse(&self.nexus);
        let Some(url) = url
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
        else {
            return wrong("nexus", "it is no address of a nexus (write https://HOST:PORT)");
        };
        if self.pin.is_some() && url.scheme() != "https" {
            return wrong("pin", "a pin needs https:// in `nexus`");
        }
        if self.name.is_empty() || self.name.len() > 255 {
            return wrong("name", "it is empty or longer than 255 bytes");
        }
        if !HEARTBEAT.contains(&self.heartbeat) {
            return wrong("heartbeat", "it is not between 1s and 1h");
        }
        if !self.rotate_token.is_zero() && self.rotate_token < SHORTEST_ROTATION {
            return wrong("rotate_token", "it is below 1h (0 means never)");
        }
        self.outbox.check().or_else(|why| wrong("outbox", why))?;
        if self.schedules.len() > MOST_SCHEDULES {
            return wrong("schedule", "there are more than 64");
        }
        for (at, schedule) in self.schedules.iter().enumerate() {
            schedule.check()?;
            if self.schedules.iter().take(at).any(|other| other.name == schedule.name) {
                return wrong("schedule", "two have the same name");
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Spoil = fn(&mut AgentFile);

    fn agent() -> AgentFile {
        AgentFile::new("https://hub:8443", "agent-1".parse().unwrap(), "pi")
    }

    #[test]
    fn what_is_written_is_read_again() {
        let directory = tempfile::tempdir().unwrap();
        let data_dir = directory.path().join("agent");
        assert!(matches!(AgentFile::read(&data_dir), Err(AgentFileError::Absent { .. })));
        let mut file = agent();
        file.pin = Some(Pin([7; 32]));
        file.subnets.push("10.0.0.0/24".to_owned());
        file.link = true;
        file.schedules.push(Schedule::new("lan", Duration::from_secs(900)));
        file.write(&data_dir).unwrap();
        assert_eq!(AgentFile::read(&data_dir).unwrap(), file);
    }

    #[test]
    fn little_is_enough() {
        let file = AgentFile::parse("nexus = \"http://hub:8000\"\nagent_id = \"a\"\nname = \"pi\"\n").unwrap();
        assert_eq!(file, AgentFile::new("http://hub:8000", "a".parse().unwrap(), "pi"));
        assert_eq!((file.heartbeat.as_secs(), file.rotate_token.as_secs()), (30, 2_592_000));
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        let wrong: [(Spoil, &str); 8] = [
            (|it| it.nexus = "hub:8000".to_owned(), "nexus"),
            (
                |it| {
                    it.nexus = "http://hub".to_owned();
                    it.pin = Some(Pin([1; 32]));
                },
                "pin",
            ),
            (|it| it.name.clear(), "name"),
            (|it| it.heartbeat = Duration::ZERO, "heartbeat"),
            (|it| it.rotate_token = Duration::from_secs(60), "rotate_token"),
            (|it| it.outbox.max_bytes = 1, "outbox"),
            (|it| it.schedules = vec![Schedule::new("a", Duration::ZERO)], "every"),
            (
                |it| it.schedules = vec![Schedule::new("a", Duration::from_secs(60)); 2],
                "same name",
            ),
        ];
        for (spoil, word) in wrong {
            let mut file = agent();
            spoil(&mut file);
            let error = file.check().unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        }
        let error = AgentFile::parse("nexus = \"http://hub\"\nagent_id = \"a\"\nname = \"pi\"\nhartbeat = \"1s\"\n");
        assert!(error.unwrap_err().to_string().contains("hartbeat"));
    }
}
