//! Settings of a server that a nexus or spore shows itself to, beside its own work.

use std::path::PathBuf;

use super::{Secret, SettingError, Sources, env};
use crate::cli::UplinkArgs;

/// A server to show itself to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UplinkSettings {
    /// `http` or `https` URL.
    pub url: String,
    /// Registration token; absent: it is asked without one.
    pub token: Option<Secret>,
    /// Certificates to trust; absent: the public ones.
    pub ca_file: Option<PathBuf>,
}

impl UplinkSettings {
    /// Merges flags, environment and file; `None`: there is none to show itself to.
    pub(crate) fn merge(args: UplinkArgs, sources: &Sources) -> Result<Option<Self>, SettingError> {
        let file = &sources.file.hive;
        let Some(url) = sources.pick(args.hive_url, env::HIVE_URL, file.url.clone())? else {
            return Ok(None);
        };
        if !(url.starts_with("http://") || url.starts_with("https://")) {
            return Err(SettingError::Impossible(format!(
                "{} is `{url}`, which is no URL of a server (write it as http://HOST:PORT or https://HOST:PORT)",
                env::HIVE_URL
            )));
        }
        Ok(Some(Self {
            url: url.trim_end_matches('/').to_owned(),
            token: sources.pick(
                args.hive_token.map(Secret::new),
                env::HIVE_REGISTRATION_TOKEN,
                file.token.clone(),
            )?,
            ca_file: sources.pick(None, env::HIVE_CA_FILE, file.ca_file.clone())?,
        }))
    }
}
