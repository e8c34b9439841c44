//! `host sign`: an artefact of a program, or one more signature on it.

use std::path::{Path, PathBuf};

use venom_bundle::{Digest, DocumentKind, HostArtefact, MissingSignatures, SignedDocument, TrustedRoot};
use venom_protocol::Timestamp;

use super::verify::{open, read_document};
use crate::cli::SignHostArgs;
use crate::commands::{key, root};
use crate::data_dir::{DataDir, SHARED_FILE, replace_file};
use crate::failure::{Explain as _, Failure};
use crate::output;

/// Signs.
pub(super) fn run(args: &SignHostArgs, data: &DataDir) -> Result<(), Failure> {
    let keys = key::load_all(&args.keys, data)?;
    let root = root_of(args, data)?;
    let path = out(args);
    let artefact = describe(args, root.as_ref())?;
    let mut signed = match read_again(&path, &artefact)? {
        Some(signed) => signed,
        None => artefact.to_sign().or_fail("no such artefact can be made")?,
    };
    for key in keys {
        check_key(&key.public(), root.as_ref())?;
        signed.add_signature(&key);
    }
    replace_file(&path, signed.to_text().as_bytes(), SHARED_FILE)?;
    let artefact: HostArtefact = signed.claimed().or_fail("the artefact cannot be read back")?;
    told(args, &path, &artefact, &signed, root.as_ref())
}

/// The root of the swarm it is for; none: any swarm.
fn root_of(args: &SignHostArgs, data: &DataDir) -> Result<Option<TrustedRoot>, Failure> {
    let nothing = args.root.is_none() && !data.root().exists();
    if args.any_swarm || nothing {
        return Ok(None);
    }
    root::load(args.root.as_deref(), data).map(Some)
}

fn out(args: &SignHostArgs) -> PathBuf {
    args.out.clone().unwrap_or_else(|| {
        let mut name = args.file.clone().into_os_string();
        name.push(".json");
        PathBuf::from(name)
    })
}

fn describe(args: &SignHostArgs, root: Option<&TrustedRoot>) -> Result<HostArtefact, Failure> {
    let measured = super::verify::measure(open(&args.file)?, std::io::sink());
    let (sha256, size) = measured
        .or_fail(format!("cannot read {}", args.file.display()))?
        .into_parts();
    let now = Timestamp::now();
    Ok(HostArtefact {
        format: HostArtefact::FORMAT,
        swarm_id: root.map(|root| root.root().swarm_id.clone()),
        version: args.version.clone(),
        target: args.target.clone(),
        sha256,
        size,
        created: now,
        expires: args.expires.map(|expires| expires.after(now)).transpose()?,
    })
}

/// The artefact that is there already, of the same program.
fn read_again(path: &Path, artefact: &HostArtefact) -> Result<Option<SignedDocument>, Failure> {
    if !path.exists() {
        return Ok(None);
    }
    let other = || {
        Failure::new(format!("{} is there already and of something else", path.display()))
            .help("name another file with --out FILE, or delete that one")
    };
    let signed = SignedDocument::parse(DocumentKind::Host, &read_document(path)?).map_err(|_| other())?;
    let there: HostArtefact = signed.claimed().map_err(|_| other())?;
    let same = HostArtefact {
        created: there.created,
        // Whoever adds a signature leaves the times as they are.
        expires: artefact.expires.or(there.expires),
        ..artefact.clone()
    };
    if there == same { Ok(Some(signed)) } else { Err(other()) }
}

fn check_key(key: &venom_bundle::PublicKey, root: Option<&TrustedRoot>) -> Result<(), Failure> {
    match root.map(TrustedRoot::root) {
        Some(root) if !root.roles.release.keys.contains(key) => Err(Failure::new(format!(
            "key {} is no release key of root {}",
            key.id().short(),
            root.version
        ))
        .because("nobody of that swarm would count its signature")
        .help("name a release key with --key FILE; `venom-host root show` lists them")),
        _ => Ok(()),
    }
}

fn told(
    args: &SignHostArgs,
    path: &Path,
    artefact: &HostArtefact,
    signed: &SignedDocument,
    root: Option<&TrustedRoot>,
) -> Result<(), Failure> {
    let missing: Option<MissingSignatures> = root.map(TrustedRoot::root).and_then(|root| {
        let name = format!("release keys of root {}", root.version);
        signed.missing(&name, &root.roles.release)
    });
    if args.json {
        return output::say_json(&serde_json::json!({
            "path": path, "version": artefact.version, "target": artefact.target, "sha256": artefact.sha256,
            "size": artefact.size, "expires": artefact.expires, "swarm_id": artefact.swarm_id, "artefact_sha256": signed.digest(),
            "key_ids": signed.key_ids(), "missing": missing.as_ref().map(root::as_json),
        }));
    }
    output::say(format!(
        "venom-host {} for {} -> {}",
        artefact.version,
        artefact.target,
        path.display()
    ))?;
    let sha256: Digest = artefact.sha256;
    output::say(format!("sha256  {sha256}\nsigned  {}", signed.key_ids().join(", ")))?;
    if let Some(expires) = &artefact.expires {
        output::say(format!("expires {expires}"))?;
    }
    missing.iter().try_for_each(|one| output::say(root::words(one)))
}
