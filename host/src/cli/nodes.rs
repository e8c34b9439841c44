//! `nodes`: what a nexus knows of its spores.

use clap::{Args, Subcommand};

use super::NexusClientArgs;

/// `venom-host nodes ...`.
#[derive(Debug, Subcommand)]
#[command(after_help = "Example:\n  venom-host nodes list --online")]
pub(crate) enum NodesCommand {
    /// List nodes
    List(ListNodesArgs),
    /// Show one node
    Show(ShowNodeArgs),
    /// Give a node no new calls; it finishes what it has
    Drain(DrainArgs),
}

/// `venom-host nodes list`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  venom-host nodes list\n  venom-host nodes list --online --json")]
pub(crate) struct ListNodesArgs {
    /// Only nodes that are online
    #[arg(long)]
    pub online: bool,
    /// Which nexus.
    #[command(flatten)]
    pub nexus: NexusClientArgs,
    /// Print the nexus's answer as JSON
    #[arg(long)]
    pub json: bool,
}

/// `venom-host nodes show`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  venom-host nodes show 6fa459ea-ee8a-4ca4-894e-db77e160355e")]
pub(crate) struct ShowNodeArgs {
    /// Node id or name
    #[arg(value_name = "ID|NAME")]
    pub node: String,
    /// Which nexus.
    #[command(flatten)]
    pub nexus: NexusClientArgs,
    /// Print the node as JSON
    #[arg(long)]
    pub json: bool,
}

/// `venom-host nodes drain`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  venom-host nodes drain 6fa459ea-ee8a-4ca4-894e-db77e160355e\n  venom-host nodes drain worker-3 --undo"
)]
pub(crate) struct DrainArgs {
    /// Node id or name
    #[arg(value_name = "ID|NAME")]
    pub node: String,
    /// Take the node back into service
    #[arg(long)]
    pub undo: bool,
    /// Which nexus.
    #[command(flatten)]
    pub nexus: NexusClientArgs,
    /// Print the nexus's answer as JSON
    #[arg(long)]
    pub json: bool,
}
