//! How `exec`, `nodes` and `doctor` reach a nexus.

use std::path::PathBuf;

use super::{Secret, SettingError, Sources, env};
use crate::cli::NexusClientArgs;

/// Where a nexus listens unless told otherwise.
pub(crate) const DEFAULT_NEXUS: &str = "http://127.0.0.1:8000";

/// How to reach a nexus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ClientSettings {
    /// `http` or `https` URL.
    pub nexus: String,
    /// Operator token; absent: the one in the data directory, where there is one.
    pub token: Option<Secret>,
    /// Certificates to trust; absent: the public ones.
    pub ca_file: Option<PathBuf>,
}

impl ClientSettings {
    /// Merges flags, environment, file and defaults.
    pub(crate) fn merge(args: NexusClientArgs, sources: &Sources) -> Result<Self, SettingError> {
        let file = &sources.file.client;
        let nexus = sources.pick(args.nexus, env::CLIENT_NEXUS, file.nexus.clone())?;
        let nexus = nexus.unwrap_or_else(|| DEFAULT_NEXUS.to_owned());
        if !(nexus.starts_with("http://") || nexus.starts_with("https://")) {
            return Err(SettingError::Impossible(format!(
                "`{nexus}` is no nexus URL (write it as http://HOST:PORT or https://HOST:PORT)"
            )));
        }
        Ok(Self {
            nexus: nexus.trim_end_matches('/').to_owned(),
            token: sources.pick(args.token.map(Secret::new), env::CLIENT_TOKEN, file.token.clone())?,
            ca_file: sources.pick(args.ca_file, env::CLIENT_CA_FILE, file.ca_file.clone())?,
        })
    }
}
