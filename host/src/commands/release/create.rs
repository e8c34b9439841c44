//! `release create` and `release sign`: the next release as a file, for whoever keeps release keys away from nexuses.

use std::path::{Path, PathBuf};

use serde::Serialize;
use venom_bundle::capability::{Policy, SkillPolicy};
use venom_bundle::{Digest, MissingSignatures, Release, Root, Selector, SignedDocument, SigningKey};
use venom_protocol::SkillChange;

use super::base::{Base, draft};
use super::bundles::BundleFile;
use super::changes::{changes, lines};
use crate::cli::{CreateReleaseArgs, SelectorArgs, SignReleaseArgs};
use crate::client::NexusClient;
use crate::commands::{key, root};
use crate::data_dir::{DataDir, SHARED_FILE, replace_file};
use crate::failure::{Explain as _, Failure, chain};
use crate::output;
use crate::sandbox::near;

/// Writes the next release.
pub(super) async fn run(args: CreateReleaseArgs, client: &NexusClient, data: &DataDir) -> Result<(), Failure> {
    let root = root::load(args.root.as_deref(), data)?;
    let channel = &args.channel.channel;
    let before = match &args.from {
        Some(path) => Some(Base::of_file(path)?),
        None if args.first => None,
        None => Base::current(client, &root, channel, data).await?,
    };
    let mut release = Base::next(before.as_ref(), root.root(), channel, args.expires)?;
    let files = edit(&mut release, &args, root.root())?;
    let release = release.checked().or_fail("no such release can be made")?;
    let mut signed = release.unsigned();
    if args.sign || !args.keys.is_empty() {
        sign_with(&mut signed, &key::load_all(&args.keys, data)?, root.root())?;
    }
    replace_file(&args.out, signed.to_text().as_bytes(), SHARED_FILE)?;
    let changes = changes(client, &release, before.as_ref(), &files).await;
    let written = Written::new(&args.out, &release, &signed, root.root(), changes);
    if args.json {
        output::say_json(&written)
    } else {
        written.tell()
    }
}

/// Makes all the changes that are asked for; gives the bundles that came.
fn edit(release: &mut Release, args: &CreateReleaseArgs, root: &Root) -> Result<Vec<BundleFile>, Failure> {
    release.revoke(&args.revoke);
    let trust = root.trust(&release.revoked);
    let files = BundleFile::read_all(&args.add, &trust)?;
    for skill in &args.remove {
        let known = release.clone();
        found(release.remove(skill), skill, &known)?;
    }
    for file in &files {
        release.put(&file.manifest.name, file.reference.clone(), selector(&args.selector));
    }
    for given in &args.grants {
        let grants = read_grants(&given.skill, &given.value)?;
        found(release.grant(&given.skill, &grants), &given.skill, release)?;
    }
    for given in &args.floor {
        found(release.set_floor(&given.skill, &given.value), &given.skill, release)?;
    }
    for given in &args.fallback {
        let file = BundleFile::read(&given.value, &trust)?;
        if file.manifest.name != given.skill {
            let (path, name) = (given.value.display(), &file.manifest.name);
            return Err(Failure::usage(format!(
                "{path} is a bundle of {name}, not of {}",
                given.skill
            )));
        }
        found(
            release.set_fallback(&given.skill, &file.reference),
            &given.skill,
            release,
        )?;
    }
    for given in &args.source {
        found(release.add_source(&given.skill, &given.value), &given.skill, release)?;
    }
    approve(release, &args.approve)?;
    Ok(files)
}

/// Approves skills of a release.
pub(super) fn approve(release: &mut Release, skills: &[String]) -> Result<(), Failure> {
    skills
        .iter()
        .try_for_each(|skill| found(release.approve(skill), skill, release))
}

/// Whom the bundles are for.
pub(super) fn selector(args: &SelectorArgs) -> Selector {
    Selector {
        tags: args.tags.clone(),
        ids: args.ids.clone(),
        percent: args.percent,
    }
}

fn found(is_there: bool, skill: &str, release: &Release) -> Result<(), Failure> {
    if is_there {
        return Ok(());
    }
    let names: Vec<String> = release.entries.iter().map(|entry| entry.skill.clone()).collect();
    let failure = Failure::usage(format!("the release has no skill `{skill}`"));
    Err(match near(skill, &names).as_slice() {
        [] if names.is_empty() => failure
            .because("it has none at all")
            .help("put one in with --add BUNDLE"),
        [] => failure.help(format!("it has: {}", names.join(", "))),
        near => failure.help(format!("did you mean {}?", near.join(" or "))),
    })
}

fn read_grants(skill: &str, path: &Path) -> Result<SkillPolicy, Failure> {
    let what = || format!("the grants {} cannot be used", path.display());
    let text = std::fs::read_to_string(path).or_fail(what())?;
    let grants: SkillPolicy = toml::from_str(&text).or_advise(
        what(),
        "write what stands under [skills.NAME] in policy.toml, without that heading",
    )?;
    let policy = Policy {
        skills: [(skill.to_owned(), grants.clone())].into(),
        ..Policy::default()
    };
    policy
        .check()
        .map_err(|error| Failure::new(what()).because(chain(&error)))?;
    Ok(grants)
}

/// Signs with keys that count.
pub(super) fn sign_with(signed: &mut SignedDocument, keys: &[SigningKey], root: &Root) -> Result<(), Failure> {
    for key in keys {
        if !root.roles.release.keys.contains(&key.public()) {
            let (id, version) = (key.public().id().short(), root.version);
            return Err(Failure::new(format!("key {id} is no release key of root {version}"))
                .because("spores would not count its signature")
                .help("name a release key with --key FILE; `venom-host root show` lists them"));
        }
        signed.add_signature(key);
    }
    Ok(())
}

/// Adds signatures to a file.
pub(super) fn sign(args: &SignReleaseArgs, data: &DataDir) -> Result<(), Failure> {
    let root = root::load(args.root.as_deref(), data)?;
    let (mut signed, release) = draft(&args.file)?;
    let checked = release
        .checked()
        .or_fail(format!("{} cannot be signed", args.file.display()))?;
    sign_with(&mut signed, &key::load_all(&args.keys, data)?, root.root())?;
    replace_file(&args.file, signed.to_text().as_bytes(), SHARED_FILE)?;
    let written = Written::new(&args.file, &checked, &signed, root.root(), Vec::new());
    if args.json {
        output::say_json(&written)
    } else {
        written.tell_signatures()
    }
}

/// What the release lacks of the root's release keys.
pub(super) fn missing(signed: &SignedDocument, root: &Root) -> Option<MissingSignatures> {
    let name = format!("release keys of root {}", root.version);
    signed.missing(&name, &root.roles.release)
}

/// What `release create --json` and `release sign --json` print.
#[derive(Serialize)]
struct Written {
    path: PathBuf,
    channel: String,
    epoch: u64,
    seq: u64,
    release_sha256: Digest,
    missing: Option<serde_json::Value>,
    #[serde(skip)]
    missing_words: Option<String>,
    changes: Vec<SkillChange>,
}

impl Written {
    fn new(path: &Path, release: &Release, signed: &SignedDocument, root: &Root, changes: Vec<SkillChange>) -> Self {
        let missing = missing(signed, root);
        Self {
            path: path.to_owned(),
            channel: release.channel.to_string(),
            epoch: release.epoch,
            seq: release.seq,
            release_sha256: signed.digest(),
            missing: missing.as_ref().map(root::as_json),
            missing_words: missing.as_ref().map(root::words),
            changes,
        }
    }

    fn tell(&self) -> Result<(), Failure> {
        lines(&self.changes).into_iter().try_for_each(output::say)?;
        output::say("")?;
        self.tell_signatures()
    }

    fn tell_signatures(&self) -> Result<(), Failure> {
        let path = self.path.display();
        output::say(format!(
            "release {}.{} of {} -> {path}",
            self.epoch, self.seq, self.channel
        ))?;
        output::say(format!("digest  {}", self.release_sha256))?;
        if let Some(missing) = &self.missing_words {
            output::say(missing)?;
            return output::say(format!("sign it with `venom-host release sign {path} --key FILE`"));
        }
        let green = output::GREEN;
        output::say(format!(
            "{green}signed{green:#}: publish it with `venom-host release publish {path}`"
        ))
    }
}
