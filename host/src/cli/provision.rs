//! `provision`: making another machine an agent, over SSH.

use std::path::PathBuf;

use clap::Args;

use super::call::NexusClientArgs;
use crate::settings::Seconds;

/// `venom-host provision`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  venom-host provision pi@10.0.0.7 --site Berlin --tag location:server_room\n  \
                  venom-host provision root@host.example -p 2222 --dry-run\n  \
                  venom-host provision pi@10.0.0.7 --user-service --enrol - < enrol.txt\n\n\
                  Uses the ssh program of this machine with the keys and known hosts it has; it never asks for a \
                  password and never takes an unknown host key. The same command again upgrades. What fails is undone."
)]
pub(crate) struct ProvisionArgs {
    /// The machine, as ssh is told
    #[arg(value_name = "USER@HOST")]
    pub target: String,
    /// Port of its SSH server [default: as ssh has it, 22]
    #[arg(short = 'p', long = "ssh-port", value_name = "PORT")]
    pub ssh_port: Option<u16>,
    /// Option for ssh, as after its -o; may be repeated
    #[arg(long = "ssh-option", value_name = "NAME=VALUE")]
    pub ssh_options: Vec<String>,
    /// Site the agent belongs to [default: default]
    #[arg(long, value_name = "S", conflicts_with = "enrol")]
    pub site: Option<String>,
    /// Tag of the agent; may be repeated
    #[arg(long = "tag", value_name = "T", conflicts_with = "enrol")]
    pub tags: Vec<String>,
    /// Enrol string for it; - reads it from standard input [default: one is made at the nexus, good for once]
    #[arg(long, value_name = "STRING|-")]
    pub enrol: Option<String>,
    /// Directory the program goes to [default: /usr/local/bin, or ~/.local/bin without root]
    #[arg(long, value_name = "DIR")]
    pub prefix: Option<String>,
    /// Data directory of the agent, on that machine [default: /var/lib/venom/agent, or ~/.local/share/venom without root]
    #[arg(long, value_name = "DIR")]
    pub remote_data_dir: Option<String>,
    /// Account the agent runs as; made when there is none [default: venom, or the one that logs in without root]
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,
    /// Start it without systemd
    #[arg(long, conflicts_with = "user_service")]
    pub no_service: bool,
    /// A systemd service of the user that logs in, without root
    #[arg(long, conflicts_with = "user")]
    pub user_service: bool,
    /// Program to put there [default: this one]
    #[arg(long, value_name = "FILE")]
    pub program: Option<PathBuf>,
    /// How long the agent may take to come online
    #[arg(long, value_name = "TIME", default_value = "60s")]
    pub wait: Seconds,
    /// Look, say what would be done, and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Which nexus.
    #[command(flatten)]
    pub nexus: NexusClientArgs,
    /// Print what came of it as JSON
    #[arg(long)]
    pub json: bool,
}
