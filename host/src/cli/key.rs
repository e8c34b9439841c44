//! `key`: the publisher key that signs bundles.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// `venom-host key ...`.
#[derive(Debug, Subcommand)]
#[command(after_help = "Example:\n  venom-host key show")]
pub(crate) enum KeyCommand {
    /// Make a publisher key
    New(NewKeyArgs),
    /// Show the publisher key's id and public half
    Show(ShowKeyArgs),
    /// Make a new publisher key, keep the old one trusted and on disk
    Rotate(ShowKeyArgs),
}

/// `venom-host key new`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  venom-host key new\n  venom-host key new --out release.key")]
pub(crate) struct NewKeyArgs {
    /// Private key to write, PKCS#8 PEM; the public half goes beside it as .pub [default: {data dir}/keys/publisher.key]
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Print as JSON
    #[arg(long)]
    pub json: bool,
}

/// `venom-host key show` and `key rotate`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  venom-host key show --json\n  venom-host key rotate")]
pub(crate) struct ShowKeyArgs {
    /// Print as JSON
    #[arg(long)]
    pub json: bool,
}
