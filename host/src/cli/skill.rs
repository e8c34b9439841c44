//! `skill`: from an empty directory to a signed bundle, and what is in the skills directory.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::{ChannelArgs, NexusClientArgs, SandboxArgs};

/// `venom-host skill ...`.
#[derive(Debug, Subcommand)]
#[command(after_help = "Example:\n  venom-host skill new Greeter && cd greeter && venom-host skill build")]
pub(crate) enum SkillCommand {
    /// Start a new skill from a template
    New(NewSkillArgs),
    /// Build, pack and sign the skill in a directory
    Build(Box<BuildArgs>),
    /// Show what a skill asks for and what it is granted here
    Inspect(InspectSkillArgs),
    /// List the skills in the skills directory
    List(ListSkillsArgs),
}

/// `venom-host skill new`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  venom-host skill new Greeter\n  venom-host skill new Greeter --lang python --dir ./skills/greeter"
)]
pub(crate) struct NewSkillArgs {
    /// Name as callers write it, for example Greeter
    pub name: String,
    /// Language of the template
    #[arg(
        long,
        value_name = "rust|python|js",
        hide_possible_values = true,
        default_value = "rust"
    )]
    pub lang: Language,
    /// Where to put it [default: ./{name in kebab-case}]
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// Use the venom-sdk at this path (Rust) [default: the one this program was built with]
    #[arg(long, value_name = "DIR")]
    pub sdk: Option<PathBuf>,
}

/// Languages with a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Language {
    /// Built by cargo.
    Rust,
    /// Built by componentize-py.
    Python,
    /// Built by jco.
    Js,
}

/// `venom-host skill build`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  venom-host skill build\n  venom-host skill build ./greeter --install\n  \
                  venom-host skill build --watch --publish --profile dev\n\n\
                  The bundle is signed with the data directory's publisher key."
)]
pub(crate) struct BuildArgs {
    /// Directory with skill.toml
    #[arg(default_value = ".", value_name = "DIR")]
    pub dir: PathBuf,
    /// Bundle to write [default: DIR/{name}.venom]
    #[arg(long, short, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Put the bundle into {data dir}/skills too
    #[arg(long)]
    pub install: bool,
    /// Cargo profile (Rust) [default: skill where Cargo.toml has it, else release]
    #[arg(long, value_name = "NAME")]
    pub profile: Option<String>,
    /// Build again whenever the sources change, until Ctrl-C
    #[arg(long)]
    pub watch: bool,
    /// Publish each build as a version of development, and wait until it answers calls on the nexus's spores
    #[arg(long)]
    pub publish: bool,
    /// Approve what it asks for beyond the version before
    #[arg(long, requires = "publish")]
    pub approve: bool,
    /// Which line of releases.
    #[command(flatten)]
    pub channel: ChannelArgs,
    /// Which nexus.
    #[command(flatten)]
    pub nexus: NexusClientArgs,
    /// Print what was built as JSON; with --watch one object a line
    #[arg(long)]
    pub json: bool,
}

/// `venom-host skill inspect`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  venom-host skill inspect FileSkill\n  venom-host skill inspect ./Greeter.venom --policy policy.toml --json"
)]
pub(crate) struct InspectSkillArgs {
    /// A bundle, or the name of a skill in the skills directory
    #[arg(value_name = "FILE|NAME")]
    pub skill: String,
    /// Which skills and policy.
    #[command(flatten)]
    pub sandbox: SandboxArgs,
    /// Judge by the development policy
    #[arg(long, conflicts_with = "policy")]
    pub dev: bool,
    /// Print as JSON
    #[arg(long)]
    pub json: bool,
}

/// `venom-host skill list`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  venom-host skill list --json | jq -r '.skills[].name'")]
pub(crate) struct ListSkillsArgs {
    /// Which skills and policy.
    #[command(flatten)]
    pub sandbox: SandboxArgs,
    /// Print as JSON
    #[arg(long)]
    pub json: bool,
}
