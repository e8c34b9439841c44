//! The loop of development: build, publish to the spores of a nexus, wait until it answers calls there, and again
//! whenever the sources change. A build that fails is shown and the loop goes on.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use semver::{Prerelease, Version};
use serde::Serialize;
use venom_bundle::SkillToml;

use super::live::{Standing, standing};
use super::watch::Sources as Files;
use super::{build, install};
use crate::cli::{BuildArgs, SelectorArgs};
use crate::client::NexusClient;
use crate::commands::bundle::{Packed, pack_as};
use crate::commands::key;
use crate::commands::release::{Made, publish_bundles, status};
use crate::commands::task::bulk::patiently;
use crate::data_dir::{DataDir, make_directory};
use crate::failure::{Explain as _, Failure};
use crate::output;
use crate::settings::{ClientSettings, Lifetime, Sources};

/// How often the spores are asked whether they have it.
const EVERY: Duration = Duration::from_millis(50);
/// Longest wait for the spores: they fetch and compile in a second or two.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a spore that is online gets to say that it takes releases.
const GRACE: Duration = Duration::from_secs(3);
/// Mode of directories with builds.
const DIRECTORY: u32 = 0o755;

/// What one turn came to.
#[derive(Serialize)]
struct Turn {
    #[serde(flatten)]
    packed: Packed,
    installed: Option<PathBuf>,
    release: Option<String>,
    spores: usize,
    build_seconds: f64,
    /// From the beginning of the build until it answered calls on all spores.
    live_seconds: Option<f64>,
}

/// Builds once, or again whenever the sources change.
pub(super) async fn run(args: BuildArgs, sources: Sources, data: DataDir) -> Result<(), Failure> {
    let client = if args.publish {
        Some(NexusClient::new(
            &ClientSettings::merge(args.nexus.clone(), &sources)?,
            &data,
        )?)
    } else {
        None
    };
    let loop_ = Loop { args, data, client };
    let mut files = Files::of(&loop_.args.dir);
    loop {
        let outcome = loop_.turn().await.and_then(|turn| loop_.tell(&turn));
        if !loop_.args.watch {
            return outcome;
        }
        if let Err(failure) = outcome {
            failure.print();
        }
        output::note(format!("watching {} (Ctrl-C ends)", loop_.args.dir.display()));
        files = files.after_build().changed().await;
    }
}

struct Loop {
    args: BuildArgs,
    data: DataDir,
    client: Option<NexusClient>,
}

impl Loop {
    async fn turn(&self) -> Result<Turn, Failure> {
        let began = Instant::now();
        let packed = self.build()?;
        let mut turn = Turn {
            installed: if self.args.install {
                Some(install(&packed, &self.data)?)
            } else {
                None
            },
            packed,
            release: None,
            spores: 0,
            build_seconds: began.elapsed().as_secs_f64(),
            live_seconds: None,
        };
        if let Some(client) = &self.client {
            let (release, spores) = self.publish(&turn.packed, client).await?;
            turn.release = Some(release);
            turn.spores = spores;
            turn.live_seconds = (spores > 0).then(|| began.elapsed().as_secs_f64());
        }
        Ok(turn)
    }

    fn build(&self) -> Result<Packed, Failure> {
        let manifest = self.args.dir.join("skill.toml");
        let key = key::load(None, &self.data)?;
        let mut skill = SkillToml::load(&manifest).or_fail(format!("{} cannot be used", manifest.display()))?;
        let component = build(&self.args, &skill.name)?;
        let target = self.args.dir.join("target");
        make_directory(&target, DIRECTORY)?;
        if self.args.publish {
            skill.version = dev_version(&skill.version, jiff::Timestamp::now().as_second())?;
        }
        let out = match &self.args.out {
            Some(out) => out.clone(),
            // A version of development does not take the place of the bundle beside the sources.
            None if self.args.publish => target.join(format!("{}.venom", skill.name)),
            None => self.args.dir.join(format!("{}.venom", skill.name)),
        };
        pack_as(skill, &component, &key, out)
    }

    /// Publishes the bundle and waits for the spores; gives the release and how many have it.
    async fn publish(&self, packed: &Packed, client: &NexusClient) -> Result<(String, usize), Failure> {
        let wish = Made {
            bundles: vec![packed.path.clone()],
            selector: SelectorArgs::default(),
            approve: self.args.approve.then(|| packed.name.clone()).into_iter().collect(),
            channel: self.args.channel.channel.clone(),
            expires: Lifetime::OF_A_RELEASE,
            keys: Vec::new(),
        };
        let (view, changes) = publish_bundles(&wish, client, &self.data).await?;
        for change in changes.iter().filter(|change| change.held) {
            let yellow = output::YELLOW;
            output::note(format!(
                "{yellow}asks for more:{yellow:#} {}",
                change.asks_more.join(", ")
            ));
        }
        let spores = self.wait(packed, &view.release_sha256, client).await?;
        Ok((format!("{}.{}", view.epoch, view.seq), spores))
    }

    async fn wait(&self, packed: &Packed, release: &str, client: &NexusClient) -> Result<usize, Failure> {
        let began = Instant::now();
        let until = tokio::time::Instant::now() + PATIENCE;
        let channel = self.args.channel.channel.as_str();
        let not_live = || Failure::new(format!("{} {} is published, but not live", packed.name, packed.version));
        loop {
            let view = patiently(until, || status::fetch(client, channel)).await?;
            if view.release_sha256 != release {
                return Err(not_live().because(format!("release {}.{} took its place", view.epoch, view.seq)));
            }
            match standing(&view, &packed.name, &packed.digest) {
                Standing::Live(spores) => return Ok(spores),
                Standing::Stuck(why) => return Err(not_live().because(why.join("\n"))),
                // One that has just come says in a moment whether it takes releases.
                Standing::Nowhere(why) if !why.is_empty() && began.elapsed() < GRACE => tokio::time::sleep(EVERY).await,
                Standing::Nowhere(why) => {
                    let yellow = output::YELLOW;
                    output::note(format!(
                        "{yellow}no spore that is online takes it{yellow:#} {}",
                        why.join("; ")
                    ));
                    return Ok(0);
                }
                Standing::Coming(names) if tokio::time::Instant::now() > until => {
                    return Err(not_live()
                        .because(format!(
                            "after {PATIENCE:?} it was still coming on {}",
                            names.join(", ")
                        ))
                        .help(format!("look why: venom-host release status --channel {channel}")));
                }
                Standing::Coming(_) => tokio::time::sleep(EVERY).await,
            }
        }
    }

    fn tell(&self, turn: &Turn) -> Result<(), Failure> {
        if self.args.json {
            return output::say(serde_json::to_string(turn).or_fail("cannot write the answer as JSON")?);
        }
        let yellow = output::YELLOW;
        for warning in &turn.packed.warnings {
            output::note(format!("{yellow}warning:{yellow:#} {warning}"));
        }
        let (name, version) = (&turn.packed.name, &turn.packed.version);
        let built = format!("built in {:.1} s", turn.build_seconds);
        output::say(match (turn.live_seconds, &turn.release) {
            (Some(live), _) => {
                let green = output::GREEN;
                format!(
                    "{name} {version} {green}live{green:#} on {} spore(s) after {live:.1} s ({built})",
                    turn.spores
                )
            }
            (None, Some(release)) => format!("{name} {version} published in release {release} ({built})"),
            (None, None) => format!("{name} {version} -> {} ({built})", turn.packed.path.display()),
        })
    }
}

/// `1.2.3-dev.N`: another one with each build. Releases go by their own numbers, not by this one.
fn dev_version(version: &Version, number: i64) -> Result<Version, Failure> {
    let pre = if version.pre.is_empty() {
        format!("dev.{number}")
    } else {
        format!("{}.dev.{number}", version.pre)
    };
    Ok(Version {
        pre: Prerelease::new(&pre).or_fail(format!("{version} cannot be made a version of development"))?,
        build: semver::BuildMetadata::EMPTY,
        ..version.clone()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_development_grow_by_themselves() {
        for (version, expected) in [
            ("1.2.3", "1.2.3-dev.7"),
            ("1.2.3+build", "1.2.3-dev.7"),
            ("1.2.3-rc.1", "1.2.3-rc.1.dev.7"),
        ] {
            let made = dev_version(&version.parse().unwrap(), 7).unwrap();
            assert_eq!(made.to_string(), expected);
        }
    }
}
