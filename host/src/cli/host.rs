//! `host`: the host program itself as a signed file.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use semver::Version;

use crate::settings::Lifetime;

/// `venom-host host ...`.
#[derive(Debug, Subcommand)]
#[command(
    after_help = "Examples:\n  venom-host host sign venom-host --version 1.2.0 --target x86_64-unknown-linux-musl --key release.key\n  \
                  venom-host host apply venom-host --artefact venom-host.json --to /usr/local/bin/venom-host\n\n\
                  No spore and no skill replaces the program: systemd, a container or you do."
)]
pub(crate) enum HostCommand {
    /// Sign a host program
    Sign(SignHostArgs),
    /// Check a host program against its signed artefact
    Verify(VerifyHostArgs),
    /// Check a host program and put it in the place of the installed one
    Apply(ApplyHostArgs),
}

/// `venom-host host sign`.
#[derive(Debug, Args)]
#[command(
    disable_version_flag = true,
    after_help = "Examples:\n  venom-host host sign venom-host --version 1.2.0 --target x86_64-unknown-linux-musl\n  \
                  venom-host host sign venom-host --version 1.2.0 --target x86_64-unknown-linux-musl --key second.key\n\n\
                  Where the artefact is there already, of the same program, one more signature is added to it."
)]
pub(crate) struct SignHostArgs {
    /// Program to sign
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Its version
    #[arg(long, value_name = "VERSION")]
    pub version: Version,
    /// What it runs on, as rustc names it
    #[arg(long, value_name = "TRIPLE")]
    pub target: String,
    /// Key that signs; may be repeated [default: {data dir}/keys/publisher.key]
    #[arg(long = "key", value_name = "FILE")]
    pub keys: Vec<PathBuf>,
    /// Root of the only swarm it is for [default: {data dir}/root.json; without one: any swarm]
    #[arg(long, value_name = "FILE", conflicts_with = "any_swarm")]
    pub root: Option<PathBuf>,
    /// It is for any swarm whose release keys signed it
    #[arg(long)]
    pub any_swarm: bool,
    /// How long it may be installed: hours, days or years [default: as long as the root]
    #[arg(long, value_name = "TIME")]
    pub expires: Option<Lifetime>,
    /// Artefact to write [default: {FILE}.json]
    #[arg(long, short, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Print as JSON
    #[arg(long)]
    pub json: bool,
}

/// What is believed, and of which program.
#[derive(Debug, Clone, Args)]
pub(crate) struct ArtefactArgs {
    /// Program
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Its signed artefact
    #[arg(long, value_name = "FILE")]
    pub artefact: PathBuf,
    /// Root whose release keys must have signed [default: {data dir}/root.json]
    #[arg(long, value_name = "FILE")]
    pub root: Option<PathBuf>,
    /// What it must run on [default: what this program runs on]
    #[arg(long, value_name = "TRIPLE")]
    pub target: Option<String>,
    /// Print as JSON
    #[arg(long)]
    pub json: bool,
}

/// `venom-host host verify`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  venom-host host verify venom-host --artefact venom-host.json\n  \
                  venom-host host verify venom-host --artefact venom-host.json --root /etc/venom/root.json --json\n\n\
                  Exit code 0: it is the program that was signed; 1: do not run it."
)]
pub(crate) struct VerifyHostArgs {
    /// What is believed, and of which program.
    #[command(flatten)]
    pub artefact: ArtefactArgs,
}

/// `venom-host host apply`.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  venom-host host apply venom-host --artefact venom-host.json --root /etc/venom/root.json --to /usr/local/bin/venom-host\n\n\
                  The place holds the old program or the new one, whenever this is interrupted; the old one is kept beside it as .previous.\n\
                  What runs goes on until it is restarted: systemctl try-restart venom-spore. Doing it again changes nothing."
)]
pub(crate) struct ApplyHostArgs {
    /// What is believed, and of which program.
    #[command(flatten)]
    pub artefact: ArtefactArgs,
    /// Program to replace, or to put there
    #[arg(long, value_name = "FILE")]
    pub to: PathBuf,
    /// Install it even where that is not newer than what is installed
    #[arg(long)]
    pub allow_older: bool,
}
