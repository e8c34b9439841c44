//! `release`: which bundles belong where, and how far that has come.

use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Subcommand, ValueEnum};
use semver::Version;
use venom_bundle::{Channel, Digest};
use venom_protocol::NodeId;

use super::NexusClientArgs;
use crate::settings::{Lifetime, Seconds};

/// `venom-host release ...`.
#[derive(Debug, Subcommand)]
#[command(
    after_help = "Examples:\n  venom-host release publish --bundle Greeter.venom --follow\n  venom-host release status\n\n\
                  A release is a signed list of which bundles belong where. Spores install what it says, wave by wave."
)]
pub(crate) enum ReleaseCommand {
    /// Write the next release
    Create(Box<CreateReleaseArgs>),
    /// Add a signature to a release
    Sign(SignReleaseArgs),
    /// Give a release to the nexus, which rolls it out
    Publish(Box<PublishReleaseArgs>),
    /// Show how far the release has come on every spore
    Status(ReleaseStatusArgs),
    /// List releases
    List(ListReleasesArgs),
    /// Let no more spores install the release
    Pause(OrderArgs),
    /// Go on with a paused rollout
    Resume(OrderArgs),
    /// End a rollout where it is, for good
    Abort(OrderArgs),
    /// Let the spores that have the release go back to what ran before it
    Revert(OrderArgs),
    /// Approve what held skills ask for: sign and publish the next release with that
    Approve(ApproveArgs),
}

/// Which line of releases.
#[derive(Debug, Clone, Args)]
pub(crate) struct ChannelArgs {
    /// Line of releases
    #[arg(long, value_name = "NAME", default_value = "stable")]
    pub channel: Channel,
}

/// Whom bundles are for.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct SelectorArgs {
    /// Only for spores with this tag; all of them when repeated
    #[arg(long = "tag", value_name = "T")]
    pub tags: Vec<String>,
    /// Only for this spore; any of them when repeated
    #[arg(long = "id", value_name = "NODE")]
    pub ids: Vec<NodeId>,
    /// Only for this share of the spores, 1 to 100
    #[arg(long, value_name = "P", value_parser = clap::value_parser!(u8).range(1..=100))]
    pub percent: Option<u8>,
}

/// `SKILL=VALUE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ForSkill<T> {
    /// Name of the skill.
    pub skill: String,
    /// What is said of it.
    pub value: T,
}

impl<T> FromStr for ForSkill<T>
where
    T: FromStr,
    T::Err: std::fmt::Display,
{
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (skill, value) = text.split_once('=').ok_or("write it as SKILL=VALUE")?;
        venom_bundle::check_skill_name(skill).map_err(|error| error.to_string())?;
        Ok(Self {
            skill: skill.to_owned(),
            value: value.parse().map_err(|error: T::Err| error.to_string())?,
        })
    }
}

/// `venom-host release create`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  venom-host release create --add Greeter.venom --sign\n  \
                  venom-host release create --add Greeter.venom --tag canary --from release.json --out next-release.json\n  \
                  venom-host release create --remove OldSkill --floor Greeter=2.0.0 --key release.key\n\n\
                  Goes on from the nexus's current release, unless --from names one: with --from or --first no nexus is needed. Bundles must be on the nexus before the\n\
                  release is published: venom-host bundle publish.")]
pub(crate) struct CreateReleaseArgs {
    /// Bundle to put in, a file or oci://REGISTRY/REPOSITORY:TAG; may be repeated
    #[arg(long, value_name = "BUNDLE")]
    pub add: Vec<PathBuf>,
    /// Whom those bundles are for; nothing: everybody.
    #[command(flatten)]
    pub selector: SelectorArgs,
    /// Skill to take out; may be repeated
    #[arg(long, value_name = "SKILL")]
    pub remove: Vec<String>,
    /// Skill whose bundle may have what it asks for beyond the one before; may be repeated
    #[arg(long, value_name = "SKILL")]
    pub approve: Vec<String>,
    /// Rights of a skill where a spore's own policy is silent, as a table of policy.toml
    #[arg(long, value_name = "SKILL=FILE")]
    pub grants: Vec<ForSkill<PathBuf>>,
    /// Lowest version of a skill that may still run, not even to roll back to
    #[arg(long, value_name = "SKILL=VERSION")]
    pub floor: Vec<ForSkill<Version>>,
    /// Bundle to run when the skill's own fails and nothing before it may run
    #[arg(long, value_name = "SKILL=BUNDLE")]
    pub fallback: Vec<ForSkill<PathBuf>>,
    /// One more place a skill's bundle may come from
    #[arg(long, value_name = "SKILL=URL")]
    pub source: Vec<ForSkill<String>>,
    /// Bundle digest or key id that is good for nothing any more, at once
    #[arg(long, value_name = "DIGEST")]
    pub revoke: Vec<Digest>,
    /// Release to go on from, instead of the nexus's current one
    #[arg(long, value_name = "FILE")]
    pub from: Option<PathBuf>,
    /// Go on from nothing: the channel has had no release
    #[arg(long, conflicts_with = "from")]
    pub first: bool,
    /// Which line of releases.
    #[command(flatten)]
    pub channel: ChannelArgs,
    /// Root it is made under [default: {data dir}/root.json]
    #[arg(long, value_name = "FILE")]
    pub root: Option<PathBuf>,
    /// How long it may be installed: hours, days or years
    #[arg(long, value_name = "TIME", default_value = "90d")]
    pub expires: Lifetime,
    /// File to write
    #[arg(long, short, value_name = "FILE", default_value = "release.json")]
    pub out: PathBuf,
    /// Sign it with {data dir}/keys/publisher.key
    #[arg(long)]
    pub sign: bool,
    /// Sign it with this key; may be repeated
    #[arg(long = "key", value_name = "FILE")]
    pub keys: Vec<PathBuf>,
    /// Which nexus.
    #[command(flatten)]
    pub nexus: NexusClientArgs,
    /// Print as JSON
    #[arg(long)]
    pub json: bool,
}

/// `venom-host release sign`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  venom-host release sign release.json --key release.key")]
pub(crate) struct SignReleaseArgs {
    /// Release to sign
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Key that signs; may be repeated [default: {data dir}/keys/publisher.key]
    #[arg(long = "key", value_name = "FILE")]
    pub keys: Vec<PathBuf>,
    /// Root whose release keys must sign [default: {data dir}/root.json]
    #[arg(long, value_name = "FILE")]
    pub root: Option<PathBuf>,
    /// Print as JSON
    #[arg(long)]
    pub json: bool,
}

/// How a release comes to the spores.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct PlanArgs {
    /// Share of the spores, in percent, that each wave reaches; the last is 100 [default: 100]
    #[arg(long, value_name = "P,P,...", value_delimiter = ',')]
    pub waves: Vec<f64>,
    /// How long a wave must have been good before the next begins [default: not at all]
    #[arg(long, value_name = "TIME")]
    pub soak: Option<Seconds>,
    /// Spores that must have reported before the next wave begins [default: 1]
    #[arg(long, value_name = "N")]
    pub min_reports: Option<u32>,
    /// Share of the reports that must be good, 0 to 1 [default: 0.9]
    #[arg(long, value_name = "SHARE")]
    pub min_success: Option<f64>,
    /// What happens when a wave fails [default: pause]
    #[arg(long, value_name = "pause|revert", hide_possible_values = true)]
    pub on_failure: Option<OnFailureArg>,
}

/// What happens when a wave fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum OnFailureArg {
    /// Nobody else installs.
    Pause,
    /// Those that have it go back.
    Revert,
}

/// `venom-host release publish`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  venom-host release publish --bundle Greeter.venom --follow\n  \
                  venom-host release publish release.json --waves 1,10,50,100 --soak 10m --on-failure revert\n  \
                  venom-host release publish --bundle Greeter.venom --dry-run\n\n\
                  With --bundle it uploads the bundles, makes the next release from the nexus's current one, signs it with the\n\
                  data directory's key and publishes it.",
    group(clap::ArgGroup::new("what").required(true).multiple(false).args(["file", "bundles"]))
)]
pub(crate) struct PublishReleaseArgs {
    /// Signed release
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Bundle to publish in a release of its own making, a file or oci://REGISTRY/REPOSITORY:TAG; may be repeated
    #[arg(long = "bundle", value_name = "BUNDLE")]
    pub bundles: Vec<PathBuf>,
    /// Whom the bundles are for; nothing: everybody.
    #[command(flatten)]
    pub selector: SelectorArgs,
    /// Skill whose bundle may have what it asks for beyond the one before; may be repeated
    #[arg(long, value_name = "SKILL", requires = "bundles")]
    pub approve: Vec<String>,
    /// How it comes to the spores.
    #[command(flatten)]
    pub plan: PlanArgs,
    /// Only show what it would do
    #[arg(long, conflicts_with = "follow")]
    pub dry_run: bool,
    /// Show how it goes until it ends
    #[arg(long)]
    pub follow: bool,
    /// Which line of releases.
    #[command(flatten)]
    pub channel: ChannelArgs,
    /// How long it may be installed: hours, days or years
    #[arg(long, value_name = "TIME", default_value = "90d")]
    pub expires: Lifetime,
    /// Key that signs; may be repeated [default: {data dir}/keys/publisher.key]
    #[arg(long = "key", value_name = "FILE", requires = "bundles")]
    pub keys: Vec<PathBuf>,
    /// Which nexus.
    #[command(flatten)]
    pub nexus: NexusClientArgs,
    /// Print as JSON
    #[arg(long)]
    pub json: bool,
}

/// `venom-host release status`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  venom-host release status\n  venom-host release status --follow --channel canary\n  \
                  venom-host release status --json | jq '.counts'\n\n\
                  With --follow it ends with the rollout: exit code 0 when that is completed, 1 when it is paused, aborted or\n\
                  reverted."
)]
pub(crate) struct ReleaseStatusArgs {
    /// Which line of releases.
    #[command(flatten)]
    pub channel: ChannelArgs,
    /// Show each change until the rollout ends
    #[arg(long)]
    pub follow: bool,
    /// Which nexus.
    #[command(flatten)]
    pub nexus: NexusClientArgs,
    /// Print as JSON; with --follow one object a line
    #[arg(long)]
    pub json: bool,
}

/// `venom-host release list`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  venom-host release list --channel stable")]
pub(crate) struct ListReleasesArgs {
    /// Which line of releases.
    #[command(flatten)]
    pub channel: ChannelArgs,
    /// Which nexus.
    #[command(flatten)]
    pub nexus: NexusClientArgs,
    /// Print as JSON
    #[arg(long)]
    pub json: bool,
}

/// `venom-host release pause`, `resume`, `abort` and `revert`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  venom-host release pause --reason 'error rate in the north'\n  \
                  venom-host release resume\n  venom-host release revert --channel canary"
)]
pub(crate) struct OrderArgs {
    /// Which line of releases.
    #[command(flatten)]
    pub channel: ChannelArgs,
    /// Why, for whoever looks at it later
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// Which nexus.
    #[command(flatten)]
    pub nexus: NexusClientArgs,
    /// Print as JSON
    #[arg(long)]
    pub json: bool,
}

/// `venom-host release approve`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  venom-host release approve Greeter\n  venom-host release approve Greeter Files --key release.key --follow\n\n\
                  What a skill asks for: venom-host release status, and venom-host bundle inspect FILE."
)]
pub(crate) struct ApproveArgs {
    /// Skills to approve
    #[arg(value_name = "SKILL", required = true)]
    pub skills: Vec<String>,
    /// Which line of releases.
    #[command(flatten)]
    pub channel: ChannelArgs,
    /// How it comes to the spores.
    #[command(flatten)]
    pub plan: PlanArgs,
    /// Show how it goes until it ends
    #[arg(long)]
    pub follow: bool,
    /// How long it may be installed: hours, days or years
    #[arg(long, value_name = "TIME", default_value = "90d")]
    pub expires: Lifetime,
    /// Key that signs; may be repeated [default: {data dir}/keys/publisher.key]
    #[arg(long = "key", value_name = "FILE")]
    pub keys: Vec<PathBuf>,
    /// Which nexus.
    #[command(flatten)]
    pub nexus: NexusClientArgs,
    /// Print as JSON
    #[arg(long)]
    pub json: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_for_a_skill_names_it() {
        let floor: ForSkill<Version> = "Echo=1.2.3".parse().unwrap();
        assert_eq!((&*floor.skill, floor.value), ("Echo", Version::new(1, 2, 3)));
        let source: ForSkill<String> = "Echo=https://a/?b=c".parse().unwrap();
        assert_eq!(source.value, "https://a/?b=c");
        for bad in ["Echo", "echo=1.0.0", "=1.0.0", "Echo=one"] {
            assert!(bad.parse::<ForSkill<Version>>().is_err(), "{bad}");
        }
    }
}
