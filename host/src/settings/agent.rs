//! Settings of the agent that are this machine's business: its log. What it does for which nexus is in `agent.toml`.

use std::path::PathBuf;

use bytesize::ByteSize;

use super::{SettingError, Sources, env};

/// Bytes of a log before it is put aside, unless told otherwise.
const DEFAULT_MAX_SIZE: ByteSize = ByteSize::mib(10);
/// Logs put aside that are kept, unless told otherwise.
const DEFAULT_KEEP: u32 = 5;
/// A smaller log would be put aside at every few lines.
const LEAST_MAX_SIZE: ByteSize = ByteSize::kib(4);
/// More is a slip of the pen: each is a file that is renamed whenever one is put aside.
const MOST_KEEP: u32 = 1_000;

/// Settings of the agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AgentSettings {
    /// Where it logs when it runs in the background.
    pub log_file: PathBuf,
    /// Bytes after which that file is put aside.
    pub log_max_size: ByteSize,
    /// Files put aside that are kept.
    pub log_keep: u32,
}

impl AgentSettings {
    /// Merges environment, file and defaults, and checks what came out.
    pub(crate) fn merge(sources: &Sources) -> Result<Self, SettingError> {
        let file = &sources.file.agent;
        let settings = Self {
            log_file: sources
                .pick(None, env::AGENT_LOG_FILE, file.log_file.clone())?
                .unwrap_or_else(|| sources.in_data_dir("agent.log")),
            log_max_size: sources
                .pick(None, env::AGENT_LOG_MAX_SIZE, file.log_max_size)?
                .unwrap_or(DEFAULT_MAX_SIZE),
            log_keep: sources
                .pick(None, env::AGENT_LOG_KEEP, file.log_keep)?
                .unwrap_or(DEFAULT_KEEP),
        };
        if settings.log_max_size < LEAST_MAX_SIZE {
            return Err(SettingError::Impossible(format!(
                "{} is {}, which holds a few lines; give {LEAST_MAX_SIZE} or more",
                env::AGENT_LOG_MAX_SIZE,
                settings.log_max_size
            )));
        }
        if settings.log_keep > MOST_KEEP {
            return Err(SettingError::Impossible(format!(
                "{} is {}; give {MOST_KEEP} or less",
                env::AGENT_LOG_KEEP,
                settings.log_keep
            )));
        }
        Ok(settings)
    }
}
