//! `agent`: an agent's own life on its machine, and what an operator does with the agents of a nexus.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::NexusClientArgs;
use crate::settings::Seconds;

/// `venom-host agent ...`.
#[derive(Debug, Subcommand)]
#[command(
    after_help = "Examples:\n  venom-host agent register --enrol 'venom://nexus.example:8000/?token=T&tls=1'\n  \
                  venom-host agent start\n  venom-host agent list --site Berlin\n\n\
                  register, start, stop, status, run-now and outbox concern the agent of this data directory; list, show, approve, \
                  remove and scan ask a nexus, with an operator's token."
)]
pub(crate) enum AgentCommand {
    /// Make this data directory an agent of a nexus; safe to repeat
    Register(Box<RegisterArgs>),
    /// Start the agent of this data directory, in the background
    Start(StartArgs),
    /// Stop it: what runs is finished, and the nexus is told goodbye
    Stop(StopArgs),
    /// Say whether it runs, and how it does
    Status(StatusArgs),
    /// Run one of its schedules at once
    RunNow(RunNowArgs),
    /// Look at what waits on disk for the nexus
    #[command(subcommand)]
    Outbox(OutboxCommand),
    /// List the agents of a nexus
    List(ListAgentsArgs),
    /// Show one agent
    Show(OneAgentArgs),
    /// Let an agent in that waits for it
    Approve(OneAgentArgs),
    /// Deregister an agent: its tokens end at once, what it saw stays
    Remove(OneAgentArgs),
    /// Have an agent scan its network now
    Scan(ScanArgs),
}

/// `venom-host agent register`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  venom-host agent register --enrol 'venom://nexus.example:8000/?token=T&tls=1&pin=sha256:HEX'\n  \
                  venom-host agent register --nexus https://nexus.example:8000 --token SECRET --site Berlin --subnet 10.1.0.0/24\n  \
                  ssh nexus venom-host enrol create --site Berlin --quiet | venom-host agent register --enrol -\n\n\
                  Writes agent.toml and agent.token (readable for this user only) to the data directory."
)]
pub(crate) struct RegisterArgs {
    /// Nexus to work for
    #[arg(long, value_name = "URL", required_unless_present = "enrol")]
    pub nexus: Option<String>,
    /// All in one text, as `venom-host enrol create` prints it; - reads it from standard input
    #[arg(long, value_name = "STRING|-", conflicts_with_all = ["nexus", "token", "pin"])]
    pub enrol: Option<String>,
    /// Registration or enrolment token [env: AGENT_REGISTRATION_SECRET]
    #[arg(long, value_name = "T")]
    pub token: Option<String>,
    /// Name for people [default: the host name]
    #[arg(long, value_name = "N")]
    pub name: Option<String>,
    /// Where it stands; an enrolment that is bound to a site overrules it [default: default]
    #[arg(long, value_name = "S")]
    pub site: Option<String>,
    /// Where in the site
    #[arg(long, value_name = "L")]
    pub location: Option<String>,
    /// A network it is in; may be repeated
    #[arg(long = "subnet", value_name = "CIDR")]
    pub subnets: Vec<String>,
    /// Certificates that may have signed the nexus's, PEM [default: the public ones]
    #[arg(long, value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
    /// The one key the nexus's certificate may have, in the place of any authority
    #[arg(long, value_name = "sha256:HEX")]
    pub pin: Option<String>,
    /// Replace the registration that is there
    #[arg(long)]
    pub force: bool,
    /// Print what came of it as JSON
    #[arg(long)]
    pub json: bool,
}

/// `venom-host agent start`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  venom-host agent start\n  venom-host agent start --foreground      # for systemd and containers\n\n\
                  Returns once the nexus has answered its first heartbeat; exit code 1 says why it did not. Its log is agent.log in \
                  the data directory. In the foreground it logs to stderr and prints `agent ready ID` on stdout."
)]
pub(crate) struct StartArgs {
    /// Stay in this process
    #[arg(long)]
    pub foreground: bool,
    /// How long to wait for the first heartbeat
    #[arg(long, value_name = "TIME", default_value = "30s")]
    pub wait: Seconds,
    /// Started by `agent start`, which reads stderr until the agent runs
    #[arg(long, hide = true, requires = "foreground")]
    pub detached: bool,
}

/// `venom-host agent stop`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  venom-host agent stop --timeout 10s\n\nIt is fine when none runs.")]
pub(crate) struct StopArgs {
    /// How long what runs may take to finish; then it is told to quit at once
    #[arg(long, value_name = "TIME", default_value = "45s")]
    pub timeout: Seconds,
}

/// `venom-host agent status`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  venom-host agent status\n  venom-host agent status --json | jq .outbox\n\n\
                  Exit code 0: it runs, 1: it does not."
)]
pub(crate) struct StatusArgs {
    /// Print it as JSON
    #[arg(long)]
    pub json: bool,
}

/// `venom-host agent run-now`.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  venom-host agent run-now lan\n\nThe schedules are in agent.toml; `agent status` lists them."
)]
pub(crate) struct RunNowArgs {
    /// Name of the schedule
    pub schedule: String,
}

/// `venom-host agent outbox ...`.
#[derive(Debug, Subcommand)]
#[command(after_help = "Example:\n  venom-host agent outbox list")]
pub(crate) enum OutboxCommand {
    /// List what waits, and what the nexus refused for good
    List(OutboxListArgs),
    /// Try again to send what was refused
    Retry(OutboxKeyArgs),
    /// Delete what was refused
    DropDead(OutboxKeyArgs),
}

/// `venom-host agent outbox list`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  venom-host agent outbox list --json")]
pub(crate) struct OutboxListArgs {
    /// Print it as JSON
    #[arg(long)]
    pub json: bool,
}

/// `venom-host agent outbox retry` and `drop-dead`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  venom-host agent outbox retry\n  venom-host agent outbox drop-dead KEY")]
pub(crate) struct OutboxKeyArgs {
    /// Which batch; all that were refused when absent
    pub key: Option<String>,
}

/// `venom-host agent list`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  venom-host agent list\n  venom-host agent list --site Berlin --json")]
pub(crate) struct ListAgentsArgs {
    /// Only those of this site
    #[arg(long, value_name = "S")]
    pub site: Option<String>,
    /// Which nexus.
    #[command(flatten)]
    pub nexus: NexusClientArgs,
    /// Print the nexus's answer as JSON
    #[arg(long)]
    pub json: bool,
}

/// `venom-host agent show`, `approve` and `remove`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  venom-host agent show office-pi\n  venom-host agent approve office-pi\n  \
                  venom-host agent remove 6fa459ea-ee8a-4ca4-894e-db77e160355e"
)]
pub(crate) struct OneAgentArgs {
    /// Agent id or name
    #[arg(value_name = "ID|NAME")]
    pub agent: String,
    /// Which nexus.
    #[command(flatten)]
    pub nexus: NexusClientArgs,
    /// Print the nexus's answer as JSON
    #[arg(long)]
    pub json: bool,
}

/// `venom-host agent scan`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  venom-host agent scan office-pi --wait\n  venom-host agent scan office-pi --target 10.1.0.0/24 --no-shield\n\n\
                  The agent asks for its commands; it begins within one heartbeat."
)]
pub(crate) struct ScanArgs {
    /// Agent id or name
    #[arg(value_name = "ID|NAME")]
    pub agent: String,
    /// What to scan, a network or an address; may be repeated [default: the agent's own networks]
    #[arg(long = "target", value_name = "CIDR")]
    pub targets: Vec<String>,
    /// Leave out the checks of what is found
    #[arg(long)]
    pub no_shield: bool,
    /// Wait until it is done, and say what came of it
    #[arg(long)]
    pub wait: bool,
    /// Longest such wait
    #[arg(long, value_name = "TIME", default_value = "15m", requires = "wait")]
    pub timeout: Seconds,
    /// Which nexus.
    #[command(flatten)]
    pub nexus: NexusClientArgs,
    /// Print the nexus's answer as JSON
    #[arg(long)]
    pub json: bool,
}
