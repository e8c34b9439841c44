//! `bundle`: packing, signing and looking at the signed package of one skill. It never runs one.

use std::path::{Path, PathBuf};

use serde::Serialize;
use venom_bundle::{Manifest, SignedBundle, SkillToml, UnverifiedBundle};
use venom_protocol::Timestamp;

use super::{key, registry};
use crate::cli::{BundleCommand, InspectBundleArgs, PackArgs, PublishBundleArgs, SignArgs, VerifyArgs};
use crate::client::NexusClient;
use crate::data_dir::{DataDir, SHARED_FILE, replace_file};
use crate::failure::{Explain as _, Failure};
use crate::output;
use crate::sandbox;
use crate::settings::{ClientSettings, SandboxNames, SandboxSettings, Sources};

/// Runs one of the `bundle` commands.
pub(crate) fn run(command: BundleCommand, sources: &Sources, data: &DataDir) -> Result<(), Failure> {
    match command {
        BundleCommand::Pack(args) => pack(args, data),
        BundleCommand::Sign(args) => sign(args, data),
        BundleCommand::Publish(args) => super::wait(publish(args, sources.clone(), data.clone())),
        BundleCommand::Push(args) => super::wait(registry::push(args, sources.clone())),
        BundleCommand::Pull(args) => super::wait(registry::pull(args, sources.clone())),
        BundleCommand::Verify(args) => verify(args, sources),
        BundleCommand::Inspect(args) => inspect(&args),
    }
}

/// What packing and signing made.
#[derive(Debug, Serialize)]
pub(crate) struct Packed {
    /// Name of the skill.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The bundle's id.
    pub digest: String,
    /// The key that signed.
    pub key_id: String,
    /// The `.venom` file.
    pub path: PathBuf,
    /// Its size.
    pub bytes: usize,
    /// What an author should look at.
    pub warnings: Vec<String>,
}

/// Packs a component and signs it. `out` is the file to write; absent: `<name>.venom` in `directory`.
pub(crate) fn pack_and_sign(
    manifest: &Path,
    component: &Path,
    key: &venom_bundle::SigningKey,
    out: Option<PathBuf>,
    directory: &Path,
) -> Result<Packed, Failure> {
    let skill = SkillToml::load(manifest).or_advise(
        format!("{} cannot be used", manifest.display()),
        "see `venom-host skill new` for one that can",
    )?;
    let path = out.unwrap_or_else(|| directory.join(format!("{}.venom", skill.name)));
    pack_as(skill, component, key, path)
}

/// Packs a component as the skill that is described, and signs it.
pub(crate) fn pack_as(
    skill: SkillToml,
    component: &Path,
    key: &venom_bundle::SigningKey,
    path: PathBuf,
) -> Result<Packed, Failure> {
    let code = std::fs::read(component).or_fail(format!("cannot read the component {}", component.display()))?;
    let unsigned = venom_bundle::pack(&skill, &code, Timestamp::now()).or_fail(format!(
        "{} cannot be packed as {}",
        component.display(),
        skill.name
    ))?;
    let warnings = unsigned.warnings().to_vec();
    let signed = unsigned.sign(key);
    let bytes = signed.to_bytes();
    replace_file(&path, &bytes, SHARED_FILE)?;
    Ok(Packed {
        name: skill.name,
        version: skill.version.to_string(),
        digest: signed.digest().to_string(),
        key_id: key.public().id().to_string(),
        path,
        bytes: bytes.len(),
        warnings,
    })
}

impl Packed {
    /// Tells people.
    pub(crate) fn tell(&self) -> Result<(), Failure> {
        let yellow = output::YELLOW;
        for warning in &self.warnings {
            output::note(format!("{yellow}warning:{yellow:#} {warning}"));
        }
        output::say(format!(
            "{} {} -> {} ({} KiB)",
            self.name,
            self.version,
            self.path.display(),
            self.bytes.div_ceil(1024)
        ))?;
        output::say(format!("digest  {}\nsigned  {}", self.digest, self.key_id))
    }
}

fn pack(args: PackArgs, data: &DataDir) -> Result<(), Failure> {
    let key = key::load(args.key.as_deref(), data)?;
    let packed = pack_and_sign(&args.manifest, &args.component, &key, args.out, Path::new("."))?;
    if args.json {
        output::say_json(&packed)
    } else {
        packed.tell()
    }
}

fn sign(args: SignArgs, data: &DataDir) -> Result<(), Failure> {
    let key = key::load(args.key.as_deref(), data)?;
    let bundle = read(&args.bundle)?;
    let mut signed = SignedBundle::reopen(bundle);
    signed.add_signature(&key);
    let bytes = signed.to_bytes();
    let path = args.out.unwrap_or(args.bundle);
    replace_file(&path, &bytes, SHARED_FILE)?;
    let key_id = key.public().id().to_string();
    if args.json {
        return output::say_json(&serde_json::json!({
            "digest": signed.digest().to_string(), "key_id": key_id, "path": path,
        }));
    }
    output::say(format!("{} signed by {key_id}", path.display()))
}

/// The nexus verifies what comes; here it is only read, so that a wrong file is told at once.
async fn publish(mut args: PublishBundleArgs, sources: Sources, data: DataDir) -> Result<(), Failure> {
    let _fetched = registry::fetch(&mut args.bundles, &sources).await?;
    for path in &args.bundles {
        read(path)?;
    }
    let client = NexusClient::new(&ClientSettings::merge(args.nexus, &sources)?, &data)?;
    let bundles = super::release::upload_all(&client, &args.bundles).await?;
    if args.json {
        return output::say_json(&venom_protocol::BundleList { bundles });
    }
    for bundle in &bundles {
        output::say(format!(
            "{} {} of {} is on the nexus",
            bundle.name, bundle.version, bundle.publisher
        ))?;
        output::say(format!("digest  {}", bundle.bundle_sha256))?;
    }
    output::note("no spore installs it yet: put it in a release with `venom-host release create --add BUNDLE`");
    Ok(())
}

fn read(path: &Path) -> Result<UnverifiedBundle, Failure> {
    UnverifiedBundle::read(path).or_fail(format!("cannot use the bundle {}", path.display()))
}

fn verify(args: VerifyArgs, sources: &Sources) -> Result<(), Failure> {
    let flags = crate::cli::SandboxArgs {
        trust: args.trust,
        ..Default::default()
    };
    let settings = SandboxSettings::merge(flags, false, SandboxNames::of_spore(sources), sources)?;
    let trust = sandbox::read_trust(&settings.trust)?;
    let bundle = sandbox::verify(&args.bundle, &trust, &settings.trust)?;
    let manifest = bundle.manifest();
    let signers: Vec<String> = bundle.signers().iter().map(ToString::to_string).collect();
    if args.json {
        return output::say_json(&serde_json::json!({
            "trusted": true,
            "name": manifest.name,
            "version": manifest.version,
            "digest": bundle.digest().to_string(),
            "publisher": bundle.publisher(),
            "signers": signers,
        }));
    }
    let green = output::GREEN;
    output::say(format!(
        "{green}trusted{green:#}: {} {}, published by {}",
        manifest.name,
        manifest.version,
        bundle.publisher()
    ))?;
    output::say(format!("digest  {}\nsigned  {}", bundle.digest(), signers.join(", ")))
}

/// What `bundle inspect --json` prints.
#[derive(Serialize)]
struct Claims<'a> {
    verified: bool,
    digest: String,
    key_ids: &'a [String],
    manifest: Option<&'a Manifest>,
    problem: Option<String>,
    component_sha256: String,
    component_bytes: u64,
}

fn inspect(args: &InspectBundleArgs) -> Result<(), Failure> {
    let bundle = read(&args.bundle)?;
    let claimed = bundle.claimed();
    let claims = Claims {
        verified: false,
        digest: claimed.digest().to_string(),
        key_ids: claimed.key_ids(),
        manifest: claimed.manifest().ok(),
        problem: claimed.manifest().err().map(|error| crate::failure::chain(error)),
        component_sha256: claimed.component_digest().to_string(),
        component_bytes: claimed.component_size(),
    };
    if args.json {
        output::say_json(&claims)
    } else {
        claims.tell()
    }
}

impl Claims<'_> {
    fn tell(&self) -> Result<(), Failure> {
        let (red, yellow) = (output::RED, output::YELLOW);
        output::note(format!(
            "{yellow}not verified:{yellow:#} this is what the bundle says of itself"
        ));
        if let Some(problem) = &self.problem {
            output::say(format!("{red}problem{red:#}    {problem}"))?;
        }
        if let Some(manifest) = self.manifest {
            output::say(format!(
                "skill      {} {}\nsummary    {}",
                manifest.name, manifest.version, manifest.summary
            ))?;
            output::say(format!("created    {}\nhost       {}", manifest.created, manifest.host))?;
        }
        output::say(format!(
            "digest     {}\nkeys       {}",
            self.digest,
            self.key_ids.join(", ")
        ))?;
        output::say(format!(
            "component  {} bytes, sha256 {}",
            self.component_bytes, self.component_sha256
        ))
    }
}
