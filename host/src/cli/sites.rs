//! `sites`, `assets` and `findings`: what the agents of a nexus saw.

use clap::{Args, Subcommand, ValueEnum};

use super::NexusClientArgs;

/// `venom-host sites`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  venom-host sites")]
pub(crate) struct SitesArgs {
    /// Which nexus.
    #[command(flatten)]
    pub nexus: NexusClientArgs,
    /// Print the nexus's answer as JSON
    #[arg(long)]
    pub json: bool,
}

/// `venom-host assets`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  venom-host assets --site Berlin\n  venom-host assets --csv > assets.csv")]
pub(crate) struct AssetsArgs {
    /// Only those of this site
    #[arg(long, value_name = "S")]
    pub site: Option<String>,
    /// Print all of them as CSV
    #[arg(long, conflicts_with = "json")]
    pub csv: bool,
    /// Which nexus.
    #[command(flatten)]
    pub nexus: NexusClientArgs,
    /// Print all of them as JSON
    #[arg(long)]
    pub json: bool,
}

/// `venom-host findings`.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = "Examples:\n  venom-host findings --site Berlin --severity high\n  venom-host findings --sarif > venom.sarif\n  \
                  venom-host findings accept FINDING --reason 'printer, replaced in May'"
)]
pub(crate) struct FindingsArgs {
    /// What to do with one of them.
    #[command(subcommand)]
    pub command: Option<FindingsCommand>,
    /// What to list.
    #[command(flatten)]
    pub list: ListFindingsArgs,
}

/// What to list.
#[derive(Debug, Args)]
pub(crate) struct ListFindingsArgs {
    /// Only those of this site
    #[arg(long, value_name = "S")]
    pub site: Option<String>,
    /// Only those at least this bad
    #[arg(long, value_name = "info|low|medium|high|critical", hide_possible_values = true)]
    pub severity: Option<SeverityArg>,
    /// Those that are fixed, accepted or no findings too
    #[arg(long)]
    pub all: bool,
    /// Print them as SARIF, for code scanning tools
    #[arg(long, conflicts_with_all = ["ocsf", "json"])]
    pub sarif: bool,
    /// Print them as OCSF, for security data lakes
    #[arg(long, conflicts_with = "json")]
    pub ocsf: bool,
    /// Which nexus.
    #[command(flatten)]
    pub nexus: NexusClientArgs,
    /// Print them as JSON
    #[arg(long)]
    pub json: bool,
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SeverityArg {
    /// Nothing to do.
    Info,
    /// Some day.
    Low,
    /// Soon.
    Medium,
    /// Now.
    High,
    /// Yesterday.
    Critical,
}

/// What to do with a finding.
#[derive(Debug, Subcommand)]
pub(crate) enum FindingsCommand {
    /// Live with a finding
    Accept(FindingWordArgs),
    /// Say that a finding is none
    FalsePositive(FindingWordArgs),
    /// Take back either
    Reopen(FindingWordArgs),
}

/// `venom-host findings accept` and the like.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  venom-host findings accept FINDING --reason 'printer, replaced in May'")]
pub(crate) struct FindingWordArgs {
    /// The finding's id; `findings` shows it
    pub id: String,
    /// Why, for whoever reads it next year
    #[arg(long, value_name = "R", default_value = "")]
    pub reason: String,
    /// Which nexus.
    #[command(flatten)]
    pub nexus: NexusClientArgs,
    /// Print the nexus's answer as JSON
    #[arg(long)]
    pub json: bool,
}
