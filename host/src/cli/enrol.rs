//! `enrol`: tokens by which agents get in the first time.

use clap::{Args, Subcommand};

use super::NexusClientArgs;
use crate::settings::Lifetime;

/// `venom-host enrol ...`.
#[derive(Debug, Subcommand)]
#[command(after_help = "Example:\n  venom-host enrol create --site Berlin")]
pub(crate) enum EnrolCommand {
    /// Make an enrolment token for agents of a site
    Create(CreateEnrolArgs),
    /// List enrolments, those that ended too
    List(ListEnrolsArgs),
    /// Withdraw one; agents that are in stay in
    Revoke(RevokeEnrolArgs),
}

/// `venom-host enrol create`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  venom-host enrol create --site Berlin\n  \
                  venom-host enrol create --site Berlin --tag location:server_room --uses 20 --expires 7d --approval\n\n\
                  The token is shown this once. Prints the one command to run on the other machine.")]
pub(crate) struct CreateEnrolArgs {
    /// Site that every agent with this token belongs to
    #[arg(long, value_name = "S")]
    pub site: String,
    /// Name for people
    #[arg(long, value_name = "N", default_value = "")]
    pub name: String,
    /// Where in the site, for agents that do not say
    #[arg(long, value_name = "L")]
    pub location: Option<String>,
    /// Tag of every agent with this token; may be repeated
    #[arg(long = "tag", value_name = "T")]
    pub tags: Vec<String>,
    /// How many agents may enrol with it
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub uses: u32,
    /// How long it is good for: 12h, 7d, at most 1y
    #[arg(long, value_name = "LIFETIME", default_value = "1d")]
    pub expires: Lifetime,
    /// Take in nothing from an agent until it is approved
    #[arg(long)]
    pub approval: bool,
    /// Print the enrol string alone, for a pipe
    #[arg(long, conflicts_with = "json")]
    pub quiet: bool,
    /// Which nexus.
    #[command(flatten)]
    pub nexus: NexusClientArgs,
    /// Print the nexus's answer as JSON
    #[arg(long)]
    pub json: bool,
}

/// `venom-host enrol list`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  venom-host enrol list")]
pub(crate) struct ListEnrolsArgs {
    /// Which nexus.
    #[command(flatten)]
    pub nexus: NexusClientArgs,
    /// Print the nexus's answer as JSON
    #[arg(long)]
    pub json: bool,
}

/// `venom-host enrol revoke`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  venom-host enrol revoke 0198f2c4-7a54-7cc1-8a5e-3f6c1b9d2e10")]
pub(crate) struct RevokeEnrolArgs {
    /// The enrolment's id; `enrol list` shows it
    pub id: String,
    /// Which nexus.
    #[command(flatten)]
    pub nexus: NexusClientArgs,
    /// Print the nexus's answer as JSON
    #[arg(long)]
    pub json: bool,
}
