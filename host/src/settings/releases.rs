//! Settings of releases on a nexus: how much it keeps, how many it serves at one time, how long its word counts.

use std::time::Duration;

use bytesize::ByteSize;

use super::{Seconds, SettingError, Sources, env};

const DEFAULT_QUOTA: ByteSize = ByteSize::gib(4);
const DEFAULT_DOWNLOADS: usize = 64;
const DEFAULT_LIFETIME: Duration = Duration::from_secs(600);
/// Spores ask every few minutes: a shorter life would leave them with no order that counts.
const LEAST_LIFETIME: Duration = Duration::from_secs(30);

/// Settings of releases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ReleaseSettings {
    /// Most bytes of bundles it keeps.
    pub quota: ByteSize,
    /// Bundles it sends at one time.
    pub max_downloads: usize,
    /// How long a signed rollout counts; it is signed anew in time.
    pub rollout_lifetime: Duration,
}

impl ReleaseSettings {
    /// Merges environment, file and defaults, and checks what came out.
    pub(crate) fn merge(sources: &Sources) -> Result<Self, SettingError> {
        let file = &sources.file.releases;
        let lifetime = sources.pick(None, env::ROLLOUT_LIFETIME, file.rollout_lifetime)?;
        let settings = Self {
            quota: sources
                .pick(None, env::RELEASE_QUOTA, file.quota)?
                .unwrap_or(DEFAULT_QUOTA),
            max_downloads: sources
                .pick(None, env::RELEASE_MAX_DOWNLOADS, file.max_downloads)?
                .unwrap_or(DEFAULT_DOWNLOADS),
            rollout_lifetime: lifetime.map_or(DEFAULT_LIFETIME, |Seconds(time)| time),
        };
        settings.check()?;
        Ok(settings)
    }

    fn check(&self) -> Result<(), SettingError> {
        if self.max_downloads == 0 {
            return Err(SettingError::Impossible(format!(
                "{} is 0, so no spore could fetch a bundle; give 1 or more",
                env::RELEASE_MAX_DOWNLOADS
            )));
        }
        if self.rollout_lifetime < LEAST_LIFETIME {
            return Err(SettingError::Impossible(format!(
                "{} is {:?}; give {LEAST_LIFETIME:?} or more, as a spore that is late would have no order that counts",
                env::ROLLOUT_LIFETIME,
                self.rollout_lifetime
            )));
        }
        Ok(())
    }
}
