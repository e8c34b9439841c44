//! `audit`: the hash-chained log of security events.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// `venom-host audit ...`.
#[derive(Debug, Subcommand)]
#[command(after_help = "Example:\n  venom-host audit verify ~/.local/share/venom/audit.jsonl")]
pub(crate) enum AuditCommand {
    /// Check that no line of an audit log was changed, removed, put in or moved
    Verify(VerifyAuditArgs),
    /// Show the events of an audit log
    Show(ShowAuditArgs),
}

/// `venom-host audit verify`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  venom-host audit verify audit.jsonl\n  venom-host audit verify audit.jsonl --head 5f2c...\n\n\
                  Exit code 0: intact, 1: broken, or not readable. Lines missing at the end show only with --head: note the head that \
                  this prints somewhere the writer of the log cannot change it."
)]
pub(crate) struct VerifyAuditArgs {
    /// The log, for example {data dir}/audit.jsonl
    pub file: PathBuf,
    /// Hash of a line that was in the log earlier and must still be there
    #[arg(long, value_name = "HASH", value_parser = hash)]
    pub head: Option<String>,
    /// Print what was found as JSON
    #[arg(long)]
    pub json: bool,
}

/// `venom-host audit show`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  venom-host audit show audit.jsonl --event auth_failed --last 20\n  \
                  venom-host audit show audit.jsonl --json | jq '.[].peer'"
)]
pub(crate) struct ShowAuditArgs {
    /// The log, for example {data dir}/audit.jsonl
    pub file: PathBuf,
    /// Only events of this name
    #[arg(long, value_name = "NAME")]
    pub event: Option<String>,
    /// Only the last N of them
    #[arg(long, value_name = "N")]
    pub last: Option<usize>,
    /// Print as JSON
    #[arg(long)]
    pub json: bool,
}

/// SHA-256 in hex, as it is kept in the log.
fn hash(text: &str) -> Result<String, String> {
    let is_hash = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hash
        .then(|| text.to_ascii_lowercase())
        .ok_or_else(|| "a hash has 64 hexadecimal digits, as `audit verify` prints it".to_owned())
}
