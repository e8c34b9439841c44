//! What is logged, and how it looks.

use super::{SettingError, Sources, env};
use crate::cli::{GlobalArgs, LogFormat};

/// Settings of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LogSettings {
    /// A `tracing_subscriber::EnvFilter`; absent: what the command thinks right.
    pub filter: Option<String>,
    /// How lines look.
    pub format: LogFormat,
}

impl std::str::FromStr for LogFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err(format!("`{text}` is neither text nor json")),
        }
    }
}

impl LogSettings {
    /// Merges flags, environment, file and defaults.
    pub(crate) fn merge(args: &GlobalArgs, sources: &Sources) -> Result<Self, SettingError> {
        let own = sources.pick(args.log.clone(), env::LOG, None)?;
        let filter = match own {
            Some(filter) => Some(filter),
            None => sources.pick(None, env::RUST_LOG, sources.file.log.filter.clone())?,
        };
        let format = sources.pick(args.log_format, env::LOG_FORMAT, sources.file.log.format)?;
        Ok(Self {
            filter,
            format: format.unwrap_or(LogFormat::Text),
        })
    }
}
