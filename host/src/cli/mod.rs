//! The command line as types: what can be written, and the help for it. No logic, no environment, no I/O.

mod agent;
mod audit;
mod bundle;
mod call;
mod enrol;
mod host;
mod key;
mod lan;
mod map;
mod nodes;
mod provision;
mod registry;
mod release;
mod root;
mod serve;
mod sites;
mod skill;
mod task;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub(crate) use agent::{
    AgentCommand, ListAgentsArgs, OneAgentArgs, OutboxCommand, OutboxKeyArgs, OutboxListArgs, RegisterArgs, RunNowArgs,
    ScanArgs, StartArgs, StatusArgs, StopArgs,
};
pub(crate) use audit::{AuditCommand, ShowAuditArgs, VerifyAuditArgs};
pub(crate) use bundle::{BundleCommand, InspectBundleArgs, PackArgs, PublishBundleArgs, SignArgs, VerifyArgs};
pub(crate) use call::{ExecArgs, NexusClientArgs, RunArgs, SandboxArgs};
pub(crate) use enrol::{CreateEnrolArgs, EnrolCommand, ListEnrolsArgs, RevokeEnrolArgs};
pub(crate) use host::{ApplyHostArgs, ArtefactArgs, HostCommand, SignHostArgs, VerifyHostArgs};
pub(crate) use key::{KeyCommand, NewKeyArgs, ShowKeyArgs};
pub(crate) use lan::{DiscoverArgs, MdnsArgs};
pub(crate) use map::MapArgs;
pub(crate) use nodes::{DrainArgs, ListNodesArgs, NodesCommand, ShowNodeArgs};
pub(crate) use provision::ProvisionArgs;
pub(crate) use registry::{PullArgs, PushArgs, RegistryArgs};
pub(crate) use release::{
    ApproveArgs, ChannelArgs, CreateReleaseArgs, ListReleasesArgs, OnFailureArg, OrderArgs, PlanArgs,
    PublishReleaseArgs, ReleaseCommand, ReleaseStatusArgs, SelectorArgs, SignReleaseArgs,
};
pub(crate) use root::{NewRootArgs, PublishRootArgs, RootCommand, ShowRootArgs, SignRootArgs};
pub(crate) use serve::{DurabilityArg, FleetArgs, HiveArgs, NexusArgs, SporeArgs, UpdateArgs, UplinkArgs};
pub(crate) use sites::{
    AssetsArgs, FindingWordArgs, FindingsArgs, FindingsCommand, ListFindingsArgs, SeverityArg, SitesArgs,
};
pub(crate) use skill::{BuildArgs, InspectSkillArgs, Language, ListSkillsArgs, NewSkillArgs, SkillCommand};
pub(crate) use task::{
    CancelTasksArgs, GetTaskArgs, GroupArgs, ListTasksArgs, NodeNeedsArgs, QueuesArgs, RequeueTasksArgs, StrategyArg,
    SubmitArgs, TaskCommand, WatchTaskArgs,
};

/// Sandboxed skills, run anywhere in the swarm.
#[derive(Debug, Parser)]
#[command(
    name = "venom-host",
    version,
    about = "Runs signed, sandboxed skills on this machine and across a swarm of nodes",
    after_help = "First steps:\n  venom-host init\n  venom-host nexus --dev\n  venom-host spore --dev\n  \
                  venom-host exec EchoSkill.say text=hello\n\n\
                  Settings come from flags, then the environment, then <data dir>/venom.toml, then defaults.",
    subcommand_required = true,
    max_term_width = 110
)]
pub(crate) struct Cli {
    /// Flags every command takes.
    #[command(flatten)]
    pub global: GlobalArgs,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Flags every command takes.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct GlobalArgs {
    /// Where keys, tokens, policy and skills live [env: VENOM_DATA_DIR] [default: ~/.local/share/venom]
    #[arg(long, global = true, value_name = "DIR", help_heading = "Global options")]
    pub data_dir: Option<PathBuf>,
    /// Settings file [env: VENOM_CONFIG] [default: {data dir}/venom.toml]
    #[arg(long, global = true, value_name = "FILE", help_heading = "Global options")]
    pub config: Option<PathBuf>,
    /// What to log, for example `debug` or `venom_nexus=trace,info` [env: VENOM_LOG, RUST_LOG]
    #[arg(long, global = true, value_name = "FILTER", help_heading = "Global options")]
    pub log: Option<String>,
    /// How log lines look [env: VENOM_LOG_FORMAT] [default: text]
    #[arg(
        long,
        global = true,
        value_name = "text|json",
        hide_possible_values = true,
        help_heading = "Global options"
    )]
    pub log_format: Option<LogFormat>,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object a line.
    Json,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make keys, tokens, trust, policy and settings; safe to repeat
    Init(InitArgs),
    /// Run a control plane: REST, WebSocket, node registry
    Nexus(Box<NexusArgs>),
    /// Run a worker that offers its skills to a nexus
    Spore(Box<SporeArgs>),
    /// Run one skill method here, without a nexus
    Run(RunArgs),
    /// Run one skill method on a node of the swarm
    Exec(ExecArgs),
    /// Submit durable tasks to a nexus and look after them
    #[command(subcommand)]
    Task(TaskCommand),
    /// Run one skill method over many items
    Map(Box<MapArgs>),
    /// Write, build and look at skills
    #[command(subcommand)]
    Skill(SkillCommand),
    /// Make, show and rotate the publisher key
    #[command(subcommand)]
    Key(KeyCommand),
    /// Pack, sign, verify and look at bundles
    #[command(subcommand)]
    Bundle(BundleCommand),
    /// Publish releases and look how they come to the spores
    #[command(subcommand)]
    Release(ReleaseCommand),
    /// Show and change which keys updates are trusted by
    #[command(subcommand)]
    Root(RootCommand),
    /// Sign, check and install this program itself
    #[command(subcommand)]
    Host(HostCommand),
    /// List, show and drain the nodes of a nexus
    #[command(subcommand)]
    Nodes(NodesCommand),
    /// Scan the networks this machine is in, for a nexus; and look after agents
    #[command(subcommand)]
    Agent(AgentCommand),
    /// Make and withdraw the tokens agents get in by
    #[command(subcommand)]
    Enrol(EnrolCommand),
    /// List the sites of a nexus
    Sites(SitesArgs),
    /// List what agents saw in their networks
    Assets(AssetsArgs),
    /// List what is wrong with it
    Findings(Box<FindingsArgs>),
    /// Make another machine an agent, over SSH
    Provision(Box<ProvisionArgs>),
    /// List who announces itself in the LAN
    Discover(DiscoverArgs),
    /// Check and show the log of security events
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Check this installation and say what to repair
    Doctor(DoctorArgs),
    /// Print shell completions
    Completions(CompletionsArgs),
    /// Compile a component for the process that started this one
    #[command(hide = true)]
    CompileWorker(CompileWorkerArgs),
}

/// `venom-host init`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  venom-host init --data-dir ./hive")]
pub(crate) struct InitArgs {
    /// Print what was made as JSON
    #[arg(long)]
    pub json: bool,
}

/// `venom-host doctor`.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  venom-host doctor\n  venom-host doctor --json | jq '.checks[] | select(.status != \"ok\")'\n\n\
                  Exit code 1 when a check failed; warnings do not count."
)]
pub(crate) struct DoctorArgs {
    /// Nexus to look for [env: VENOM_NEXUS] [default: http://127.0.0.1:8000]
    #[arg(long, value_name = "URL")]
    pub nexus: Option<String>,
    /// Print the checks as JSON
    #[arg(long)]
    pub json: bool,
}

/// What the sandbox starts to compile a component, outside of itself.
#[derive(Debug, Args)]
pub(crate) struct CompileWorkerArgs {
    /// Largest memory of a skill, in bytes
    pub max_memory: u64,
    /// Bytes of the component that follows on standard input
    pub length: u64,
}

/// `venom-host completions`.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  venom-host completions bash > ~/.local/share/bash-completion/completions/venom-host"
)]
pub(crate) struct CompletionsArgs {
    /// Shell to complete for
    pub shell: clap_complete::Shell,
}
