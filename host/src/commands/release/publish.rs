//! `release publish` and `release approve`: a signed release goes to the nexus, and is watched if asked.

use std::path::PathBuf;
use std::time::Duration;

use venom_bundle::{Channel, SignedDocument, TrustedRoot};
use venom_protocol::{BundleList, DryRun, PublishRelease, RolloutPlan, RolloutView, SkillChange};

use super::base::{Base, draft};
use super::bundles::{BundleFile, upload_all};
use super::changes::{changes, lines};
use super::create::{self, selector, sign_with};
use super::{plan, rows, status};
use crate::cli::{ApproveArgs, PublishReleaseArgs, SelectorArgs};
use crate::client::NexusClient;
use crate::commands::{key, root};
use crate::data_dir::DataDir;
use crate::failure::Failure;
use crate::output;
use crate::settings::Lifetime;

/// What is to be made of bundles.
pub(crate) struct Made {
    /// Bundles to put in.
    pub(crate) bundles: Vec<PathBuf>,
    /// Whom they are for.
    pub(crate) selector: SelectorArgs,
    /// Skills to approve.
    pub(crate) approve: Vec<String>,
    /// Which line of releases.
    pub(crate) channel: Channel,
    /// How long it may be installed.
    pub(crate) expires: Lifetime,
    /// Keys that sign; none: the data directory's.
    pub(crate) keys: Vec<PathBuf>,
}

/// A release ready to be published.
struct Ready {
    signed: SignedDocument,
    changes: Vec<SkillChange>,
    /// Digests of the bundles and their files that are here.
    local: Vec<String>,
}

/// Publishes a file, or a release made of bundles.
pub(super) async fn run(args: PublishReleaseArgs, client: &NexusClient, data: &DataDir) -> Result<(), Failure> {
    let plan = plan::plan(&args.plan)?;
    let ready = match &args.file {
        Some(path) => Ready {
            signed: of_file(path, args.dry_run, data)?,
            changes: Vec::new(),
            local: Vec::new(),
        },
        None => make(&wish(&args), client, data).await?,
    };
    if args.dry_run {
        return dry_run(ready, plan, client, args.json).await;
    }
    if !args.json && args.file.is_none() {
        lines(&ready.changes).into_iter().try_for_each(output::say)?;
    }
    upload_all(client, &args.bundles).await?;
    let view = publish(client, &ready.signed, plan).await?;
    told(&view, args.follow, args.json, client).await
}

fn wish(args: &PublishReleaseArgs) -> Made {
    Made {
        bundles: args.bundles.clone(),
        selector: args.selector.clone(),
        approve: args.approve.clone(),
        channel: args.channel.channel.clone(),
        expires: args.expires,
        keys: args.keys.clone(),
    }
}

/// Uploads bundles and publishes a release with them, to everybody they are for at once.
pub(crate) async fn publish_bundles(
    wish: &Made,
    client: &NexusClient,
    data: &DataDir,
) -> Result<(RolloutView, Vec<SkillChange>), Failure> {
    let ready = make(wish, client, data).await?;
    upload_all(client, &wish.bundles).await?;
    let view = publish(client, &ready.signed, None).await?;
    Ok((view, ready.changes))
}

/// The next release with these bundles, signed.
async fn make(wish: &Made, client: &NexusClient, data: &DataDir) -> Result<Ready, Failure> {
    let keys = key::load_all(&wish.keys, data)?;
    let root = root::load(None, data)?;
    let before = Base::current(client, &root, &wish.channel, data).await?;
    let mut release = Base::next(before.as_ref(), root.root(), &wish.channel, wish.expires)?;
    let files = BundleFile::read_all(&wish.bundles, &root.root().trust(&release.revoked))?;
    for file in &files {
        release.put(&file.manifest.name, file.reference.clone(), selector(&wish.selector));
    }
    create::approve(&mut release, &wish.approve)?;
    let changes = changes(client, &release, before.as_ref(), &files).await;
    let mut signed = release.unsigned();
    sign_with(&mut signed, &keys, root.root())?;
    complete(&signed, &root)?;
    let digests = files
        .iter()
        .flat_map(|file| [file.reference.sha256, file.reference.file_sha256]);
    Ok(Ready {
        signed,
        changes,
        local: digests.map(|digest| digest.to_string()).collect(),
    })
}

/// A release as it lies in a file. What it lacks is told before the nexus is asked; a dry run takes it all the same.
fn of_file(path: &std::path::Path, dry_run: bool, data: &DataDir) -> Result<SignedDocument, Failure> {
    let (signed, release) = draft(path)?;
    if dry_run || !data.root().exists() {
        return Ok(signed);
    }
    let root = root::load(None, data)?;
    if root.root().swarm_id == release.swarm_id {
        complete(&signed, &root)?;
    }
    Ok(signed)
}

/// Whether enough release keys signed.
fn complete(signed: &SignedDocument, root: &TrustedRoot) -> Result<(), Failure> {
    match create::missing(signed, root.root()) {
        None => Ok(()),
        Some(missing) => Err(Failure::new("the release is not signed by enough keys")
            .because(root::words(&missing))
            .help("add signatures with `venom-host release sign FILE --key KEY`; `release create` writes the file")),
    }
}

/// Hands a release to the nexus.
async fn publish(
    client: &NexusClient,
    signed: &SignedDocument,
    plan: Option<RolloutPlan>,
) -> Result<RolloutView, Failure> {
    let body = PublishRelease {
        release: signed.to_text(),
        plan,
    };
    client.post("/api/v1/releases", &body, Duration::ZERO).await
}

/// Shows what a publication came to.
async fn told(view: &RolloutView, follow: bool, json: bool, client: &NexusClient) -> Result<(), Failure> {
    if follow {
        return status::follow(client, &view.channel, Some(view.release_sha256.clone()), json).await;
    }
    if json {
        return output::say_json(view);
    }
    output::say(rows::headline(view))?;
    output::note("look how it goes: venom-host release status --follow");
    Ok(())
}

async fn dry_run(ready: Ready, plan: Option<RolloutPlan>, client: &NexusClient, json: bool) -> Result<(), Failure> {
    let body = PublishRelease {
        release: ready.signed.to_text(),
        plan,
    };
    let mut answer: DryRun = client
        .post("/api/v1/releases?dry_run=true", &body, Duration::ZERO)
        .await?;
    if !ready.changes.is_empty() {
        // Bundles that are not uploaded yet are known here only, and nothing is wrong with that.
        answer.changes = ready.changes;
        let is_local = |problem: &String| ready.local.iter().any(|digest| problem.contains(digest));
        answer
            .problems
            .retain(|problem| !(problem.contains("is not here") && is_local(problem)));
    }
    if json {
        return output::say_json(&answer);
    }
    output::say(format!("release {} would change:", short(&answer.release_sha256)))?;
    lines(&answer.changes).into_iter().try_for_each(output::say)?;
    if !answer.spores.is_empty() {
        output::say("")?;
        output::say(rows::planned(&answer.spores))?;
    }
    let yellow = output::YELLOW;
    for problem in &answer.problems {
        output::note(format!("{yellow}in the way:{yellow:#} {problem}"));
    }
    output::note("dry run: nothing was uploaded or published");
    Ok(())
}

fn short(digest: &str) -> String {
    digest.chars().take(12).collect()
}

/// The next release with approvals, signed and published.
pub(super) async fn approve(args: ApproveArgs, client: &NexusClient, data: &DataDir) -> Result<(), Failure> {
    let plan = plan::plan(&args.plan)?;
    let keys = key::load_all(&args.keys, data)?;
    let root = root::load(None, data)?;
    let channel = &args.channel.channel;
    let before = Base::current(client, &root, channel, data)
        .await?
        .ok_or_else(|| status::no_release(channel.as_str()))?;
    let mut release = Base::next(Some(&before), root.root(), channel, args.expires)?;
    create::approve(&mut release, &args.skills)?;
    if !args.json {
        tell_asks(&release, &args.skills, client).await?;
    }
    let mut signed = release.unsigned();
    sign_with(&mut signed, &keys, root.root())?;
    complete(&signed, &root)?;
    let view = publish(client, &signed, plan).await?;
    told(&view, args.follow, args.json, client).await
}

/// Says what is being approved: all that the bundles ask for.
async fn tell_asks(release: &venom_bundle::Release, skills: &[String], client: &NexusClient) -> Result<(), Failure> {
    let list: BundleList = client.get("/api/v1/bundles").await?;
    for entry in release.entries.iter().filter(|entry| skills.contains(&entry.skill)) {
        let digest = entry.bundle.sha256.to_string();
        let known = list.bundles.iter().find(|bundle| bundle.bundle_sha256 == digest);
        let asks = known.map_or_else(
            || "nothing that is known here".to_owned(),
            |bundle| match bundle.asks.as_slice() {
                [] => "nothing".to_owned(),
                asks => asks.join(", "),
            },
        );
        output::say(format!(
            "approved: {} {} asks for {asks}",
            entry.skill, entry.bundle.version
        ))?;
    }
    Ok(())
}
