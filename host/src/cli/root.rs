//! `root`: which keys updates are trusted by, and how that changes.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use venom_bundle::Digest;

use super::NexusClientArgs;
use crate::settings::Lifetime;

/// `venom-host root ...`.
#[derive(Debug, Subcommand)]
#[command(after_help = "Example:\n  venom-host root show\n\n\
                  The root names the keys that sign roots, releases and rollouts, and the publishers of skills. Spores keep\n\
                  the newest root they have seen; each root must be signed by enough keys of the one before it, and by\n\
                  enough of its own.")]
pub(crate) enum RootCommand {
    /// Show the keys, roles and publishers of a root
    Show(ShowRootArgs),
    /// Write the next root, without signatures
    New(Box<NewRootArgs>),
    /// Add a signature to a root
    Sign(SignRootArgs),
    /// Give a root to the nexus, which hands it to the spores
    Publish(PublishRootArgs),
}

/// `venom-host root show`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  venom-host root show\n  venom-host root show next.json --json")]
pub(crate) struct ShowRootArgs {
    /// Root to show [default: {data dir}/root.json]
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Print as JSON
    #[arg(long)]
    pub json: bool,
}

/// `venom-host root new`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  venom-host root new --root-key a.pub --root-key b.pub --root-key c.pub --root-threshold 2 --out next.json\n  \
                  venom-host root new --publisher acme --prefix Acme --publisher-key acme.pub --out next.json\n  \
                  venom-host root new --release-key new.pub --revoke OLDKEYID --epoch-up --out next.json\n\n\
                  What is not given stays as it is. Then: root sign (by keys of the old and of the new root), root publish."
)]
pub(crate) struct NewRootArgs {
    /// Root to go on from [default: {data dir}/root.json]
    #[arg(long, value_name = "FILE")]
    pub from: Option<PathBuf>,
    /// Key that signs roots from now on, a .pub file or base64; all of them, may be repeated
    #[arg(long = "root-key", value_name = "PUB")]
    pub root_keys: Vec<String>,
    /// How many root keys must sign
    #[arg(long, value_name = "N")]
    pub root_threshold: Option<usize>,
    /// Key that signs releases from now on; all of them, may be repeated
    #[arg(long = "release-key", value_name = "PUB")]
    pub release_keys: Vec<String>,
    /// How many release keys must sign
    #[arg(long, value_name = "N")]
    pub release_threshold: Option<usize>,
    /// Key nexuses sign rollouts with from now on; all of them, may be repeated
    #[arg(long = "rollout-key", value_name = "PUB")]
    pub rollout_keys: Vec<String>,
    /// Publisher to add, or to change
    #[arg(long, value_name = "NAME", requires = "publisher_keys")]
    pub publisher: Option<String>,
    /// Names of skills it may publish: a prefix, or * for any
    #[arg(long, value_name = "P", requires = "publisher")]
    pub prefix: Option<String>,
    /// A key of that publisher; all of them, may be repeated
    #[arg(long = "publisher-key", value_name = "PUB", requires = "publisher")]
    pub publisher_keys: Vec<String>,
    /// How many of the publisher's keys must sign
    #[arg(long, value_name = "N", requires = "publisher")]
    pub publisher_threshold: Option<usize>,
    /// Publisher to take out; may be repeated
    #[arg(long, value_name = "NAME")]
    pub without_publisher: Vec<String>,
    /// Bundle digest or key id that is good for nothing any more; may be repeated
    #[arg(long, value_name = "DIGEST")]
    pub revoke: Vec<Digest>,
    /// Begin a new epoch: no release made so far counts any more
    #[arg(long)]
    pub epoch_up: bool,
    /// How long it counts: hours, days or years
    #[arg(long, value_name = "TIME", default_value = "10y")]
    pub expires: Lifetime,
    /// File to write
    #[arg(long, short, value_name = "FILE", default_value = "next.json")]
    pub out: PathBuf,
    /// Print as JSON
    #[arg(long)]
    pub json: bool,
}

/// `venom-host root sign`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  venom-host root sign next.json --key old.key\n  \
                  venom-host root sign next.json --key a.key --from root.json\n\n\
                  Says whose signatures are still missing.")]
pub(crate) struct SignRootArgs {
    /// Root to sign
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Key that signs; may be repeated [default: {data dir}/keys/publisher.key]
    #[arg(long = "key", value_name = "FILE")]
    pub keys: Vec<PathBuf>,
    /// The root before it [default: {data dir}/root.json, where it is that]
    #[arg(long, value_name = "FILE")]
    pub from: Option<PathBuf>,
    /// Print as JSON
    #[arg(long)]
    pub json: bool,
}

/// `venom-host root publish`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  venom-host root publish next.json\n  venom-host root publish --nexus https://nexus.example:8000\n\n\
                  {data dir}/root.json becomes this root too; the one before is kept as root-N.json."
)]
pub(crate) struct PublishRootArgs {
    /// Signed root [default: {data dir}/root.json]
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Which nexus.
    #[command(flatten)]
    pub nexus: NexusClientArgs,
    /// Print as JSON
    #[arg(long)]
    pub json: bool,
}
