//! Calling one method: `run` here, `exec` on a node.

use std::path::PathBuf;

use clap::Args;

use crate::settings::Seconds;

const PARAMS_HELP: &str =
    "Parameters are one JSON object, or name=text and name:=json pairs, or @FILE, or - for stdin.";

/// What to call, and with what.
#[derive(Debug, Args)]
pub(crate) struct ParamArgs {
    /// Skill and method, for example FileSkill.read_file
    #[arg(value_name = "SKILL.METHOD")]
    pub target: String,
    /// Parameters: a JSON object, name=text and name:=json pairs, @FILE or - (stdin)
    #[arg(value_name = "JSON|NAME=TEXT|NAME:=JSON|@FILE|-")]
    pub params: Vec<String>,
}

/// Which skills, trust and policy a command looks at.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct SandboxArgs {
    /// Directory of bundles [env: SPORE_SKILLS] [default: {data dir}/skills]
    #[arg(long, value_name = "DIR")]
    pub skills: Option<PathBuf>,
    /// What the skills may do here [env: SPORE_POLICY] [default: {data dir}/policy.toml]
    #[arg(long, value_name = "FILE")]
    pub policy: Option<PathBuf>,
    /// Who may publish skills [env: VENOM_TRUST] [default: {data dir}/trust.toml]
    #[arg(long, value_name = "FILE")]
    pub trust: Option<PathBuf>,
}

/// `venom-host run`.
#[derive(Debug, Args)]
#[command(after_help = format!("Examples:\n  venom-host run EchoSkill.say text=hello\n  \
                  venom-host run Greeter.hello '{{\"name\":\"Ada\"}}' --bundle Greeter.venom\n\n{PARAMS_HELP}"))]
pub(crate) struct RunArgs {
    /// What to call.
    #[command(flatten)]
    pub call: ParamArgs,
    /// Run this bundle, wherever it lies
    #[arg(long, value_name = "FILE", conflicts_with = "skills")]
    pub bundle: Option<PathBuf>,
    /// Which skills and policy.
    #[command(flatten)]
    pub sandbox: SandboxArgs,
    /// Development mode: FileSkill and ShellSkill may use {data dir}/workspace
    #[arg(long, conflicts_with = "policy")]
    pub dev: bool,
    /// Longest the call may take
    #[arg(long, value_name = "TIME", default_value = "30s")]
    pub timeout: Seconds,
    /// Print the whole outcome as JSON
    #[arg(long)]
    pub json: bool,
}

/// `venom-host exec`.
#[derive(Debug, Args)]
#[command(after_help = format!("Examples:\n  venom-host exec ShellSkill.run command='uname -a'\n  \
                  venom-host exec FileSkill.read_file '{{\"path\":\"notes.txt\"}}' --tag location:server_room --timeout 5\n\n{PARAMS_HELP}"))]
pub(crate) struct ExecArgs {
    /// What to call.
    #[command(flatten)]
    pub call: ParamArgs,
    /// Run on this node; absent: the nexus picks the least loaded one
    #[arg(long, value_name = "ID", conflicts_with = "tag")]
    pub node: Option<String>,
    /// Run on a node with this tag
    #[arg(long, value_name = "T")]
    pub tag: Option<String>,
    /// Longest the call may take
    #[arg(long, value_name = "TIME", default_value = "30s")]
    pub timeout: Seconds,
    /// Which nexus.
    #[command(flatten)]
    pub nexus: NexusClientArgs,
    /// Print the nexus's whole answer as JSON
    #[arg(long)]
    pub json: bool,
}

/// How to reach a nexus.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct NexusClientArgs {
    /// Nexus to talk to [env: VENOM_NEXUS] [default: http://127.0.0.1:8000]
    #[arg(long, value_name = "URL")]
    pub nexus: Option<String>,
    /// Operator token [env: VENOM_TOKEN] [default: {data dir}/operator.token]
    #[arg(long, value_name = "T")]
    pub token: Option<String>,
    /// Certificates that may have signed the nexus's, PEM [env: VENOM_CA_FILE] [default: the public ones]
    #[arg(long, value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
}
