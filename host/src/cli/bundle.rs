//! `bundle`: the signed package of one skill, without building it.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{NexusClientArgs, PullArgs, PushArgs};

/// `venom-host bundle ...`.
#[derive(Debug, Subcommand)]
#[command(after_help = "Example:\n  venom-host bundle verify Greeter.venom")]
pub(crate) enum BundleCommand {
    /// Pack a component with its skill.toml and sign it
    Pack(PackArgs),
    /// Add a signature to a bundle
    Sign(SignArgs),
    /// Give bundles to the nexus, for releases
    Publish(PublishBundleArgs),
    /// Put a bundle into an OCI registry
    Push(PushArgs),
    /// Get a bundle from an OCI registry
    Pull(PullArgs),
    /// Check a bundle against the trust file
    Verify(VerifyArgs),
    /// Show what a bundle says of itself, trusted or not
    Inspect(InspectBundleArgs),
}

/// `venom-host bundle pack`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  venom-host bundle pack greeter.wasm --manifest skill.toml --out Greeter.venom")]
pub(crate) struct PackArgs {
    /// WASI 0.2 component
    #[arg(value_name = "COMPONENT")]
    pub component: PathBuf,
    /// What the skill is and asks for
    #[arg(long, value_name = "FILE", default_value = "skill.toml")]
    pub manifest: PathBuf,
    /// Bundle to write [default: {name}.venom]
    #[arg(long, short, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Key that signs [default: {data dir}/keys/publisher.key]
    #[arg(long, value_name = "FILE")]
    pub key: Option<PathBuf>,
    /// Print as JSON
    #[arg(long)]
    pub json: bool,
}

/// `venom-host bundle sign`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  venom-host bundle sign Greeter.venom --key second.key --out Greeter-signed.venom")]
pub(crate) struct SignArgs {
    /// Bundle to sign
    #[arg(value_name = "BUNDLE")]
    pub bundle: PathBuf,
    /// Key that signs [default: {data dir}/keys/publisher.key]
    #[arg(long, value_name = "FILE")]
    pub key: Option<PathBuf>,
    /// Bundle to write [default: replace BUNDLE]
    #[arg(long, short, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Print as JSON
    #[arg(long)]
    pub json: bool,
}

/// `venom-host bundle publish`.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  venom-host bundle publish Greeter.venom Files.venom --nexus https://nexus.example:8000\n\n\
                  The nexus keeps it; no spore installs it until a release names it: venom-host release create."
)]
pub(crate) struct PublishBundleArgs {
    /// Bundles to upload: files, or oci://REGISTRY/REPOSITORY:TAG
    #[arg(value_name = "BUNDLE", required = true)]
    pub bundles: Vec<PathBuf>,
    /// Which nexus.
    #[command(flatten)]
    pub nexus: NexusClientArgs,
    /// Print as JSON
    #[arg(long)]
    pub json: bool,
}

/// `venom-host bundle verify`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  venom-host bundle verify Greeter.venom --trust trust.toml")]
pub(crate) struct VerifyArgs {
    /// Bundle to check
    #[arg(value_name = "BUNDLE")]
    pub bundle: PathBuf,
    /// Who may publish skills [env: VENOM_TRUST] [default: {data dir}/trust.toml]
    #[arg(long, value_name = "FILE")]
    pub trust: Option<PathBuf>,
    /// Print as JSON
    #[arg(long)]
    pub json: bool,
}

/// `venom-host bundle inspect`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  venom-host bundle inspect Greeter.venom --json\n\n\
                  Nothing is verified: use `bundle verify` or `skill inspect` for that.")]
pub(crate) struct InspectBundleArgs {
    /// Bundle to read
    #[arg(value_name = "BUNDLE")]
    pub bundle: PathBuf,
    /// Print as JSON
    #[arg(long)]
    pub json: bool,
}
