//! `root`: which keys updates are trusted by. What makes a root believable is the bundle crate's business; here files
//! are read, signed, shown and sent.

mod edit;
mod publish;
mod show;

use std::path::{Path, PathBuf};

use venom_bundle::{DocumentKind, MissingSignatures, PublicKey, Root, SignedDocument, TrustedRoot};

use crate::cli::{RootCommand, SignRootArgs};
use crate::data_dir::{DataDir, SHARED_FILE, make_file, replace_file};
use crate::failure::{Explain as _, Failure};
use crate::output;
use crate::settings::Sources;

use super::key;

/// Runs one of the `root` commands.
pub(crate) fn run(command: RootCommand, sources: Sources, data: DataDir) -> Result<(), Failure> {
    match command {
        RootCommand::Show(args) => show::run(&args, &data),
        RootCommand::New(args) => edit::run(*args, &data),
        RootCommand::Sign(args) => sign(&args, &data),
        RootCommand::Publish(args) => super::wait(publish::run(args, sources, data)),
    }
}

/// The root that is trusted here: the file named, or the data directory's.
pub(crate) fn load(named: Option<&Path>, data: &DataDir) -> Result<TrustedRoot, Failure> {
    let path = named.map_or_else(|| data.root(), Path::to_owned);
    if !path.exists() {
        return Err(Failure::new(format!("there is no root at {}", path.display()))
            .because("it says which keys updates are trusted by")
            .help(
                "run `venom-host init` to begin a swarm of your own, or copy root.json from the nexus's data directory",
            ));
    }
    TrustedRoot::pin(&read(&path)?).or_advise(
        format!("the root {} cannot be used", path.display()),
        "take it from a backup, or copy root.json from the nexus's data directory",
    )
}

/// Makes `root` the data directory's, and keeps the one before.
pub(crate) fn install(root: &TrustedRoot, before: Option<&TrustedRoot>, data: &DataDir) -> Result<(), Failure> {
    if let Some(before) = before {
        let kept = data.old_root(before.root().version);
        make_file(&kept, &before.to_text(), SHARED_FILE)?;
    }
    replace_file(&data.root(), root.to_text().as_bytes(), SHARED_FILE)
}

/// Reads a file of at most the size a document has.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(path).or_fail(format!("cannot read {}", path.display()))
}

/// A root nobody vouches for yet, and what it claims.
fn draft(path: &Path) -> Result<(SignedDocument, Root), Failure> {
    let what = || format!("{} cannot be used", path.display());
    let signed = SignedDocument::parse(DocumentKind::Root, &read(path)?).or_fail(what())?;
    let claimed = signed.claimed().or_fail(what())?;
    Ok((signed, claimed))
}

/// The root before `next`: the file named, or the data directory's where it is that.
fn before(next: &Root, named: Option<&Path>, data: &DataDir) -> Result<Option<TrustedRoot>, Failure> {
    if named.is_none() && !data.root().exists() {
        return Ok(None);
    }
    let root = load(named, data)?;
    let precedes = root.root().version + 1 == next.version && root.root().swarm_id == next.swarm_id;
    if named.is_some() && !precedes {
        let (before, after) = (root.root(), next);
        return Err(
            Failure::new("the root given with --from is not the one before").because(format!(
                "it is root {} of swarm {}, and the file is root {} of swarm {}",
                before.version, before.swarm_id, after.version, after.swarm_id
            )),
        );
    }
    Ok(precedes.then_some(root))
}

fn sign(args: &SignRootArgs, data: &DataDir) -> Result<(), Failure> {
    let (mut signed, next) = draft(&args.file)?;
    let before = before(&next, args.from.as_deref(), data)?;
    let before = before.as_ref().map(TrustedRoot::root);
    for key in key::load_all(&args.keys, data)? {
        let public = key.public();
        let counts = |root: &Root| root.roles.root.keys.contains(&public);
        if !counts(&next) && !before.is_some_and(counts) {
            return Err(Failure::new(format!("key {} is no root key", public.id().short()))
                .because("neither this root nor the one before it names it, so its signature would count for nothing")
                .help("name a root key with --key FILE; `venom-host root show FILE` lists them"));
        }
        signed.add_signature(&key);
    }
    replace_file(&args.file, signed.to_text().as_bytes(), SHARED_FILE)?;
    let missing = signed.missing_of_root(&next, before);
    report(&args.file, &next, &signed, &missing, args.json)?;
    if before.is_none() && next.version > 1 && !args.json {
        output::note("the root before it is not known here, so nothing is said of its signatures; name it with --from");
    }
    Ok(())
}

/// What was written, and what it lacks.
fn report(
    path: &Path,
    root: &Root,
    signed: &SignedDocument,
    missing: &[MissingSignatures],
    json: bool,
) -> Result<(), Failure> {
    if json {
        return output::say_json(&serde_json::json!({
            "path": path, "version": root.version, "epoch": root.epoch, "root_sha256": signed.digest(),
            "expires": root.expires, "missing": missing.iter().map(as_json).collect::<Vec<_>>(),
        }));
    }
    output::say(format!(
        "root {} of swarm {} -> {}",
        root.version,
        root.swarm_id,
        path.display()
    ))?;
    output::say(format!("digest  {}\nexpires {}", signed.digest(), root.expires))?;
    if missing.is_empty() {
        let green = output::GREEN;
        return output::say(format!(
            "{green}signed{green:#}: publish it with `venom-host root publish {}`",
            path.display()
        ));
    }
    for one in missing {
        output::say(words(one))?;
    }
    output::say(format!(
        "sign it with `venom-host root sign {} --key FILE`",
        path.display()
    ))
}

/// `still missing: 1 more of the release keys (any of 0123456789ab)`.
pub(crate) fn words(one: &MissingSignatures) -> String {
    let keys: Vec<String> = one.keys.iter().map(venom_bundle::KeyId::short).collect();
    format!(
        "still missing: {} more of the {} (any of {})",
        one.missing,
        one.role,
        keys.join(", ")
    )
}

/// The same for programs.
pub(crate) fn as_json(one: &MissingSignatures) -> serde_json::Value {
    serde_json::json!({ "role": one.role, "missing": one.missing, "keys": one.keys })
}

/// A public key: the name of a file, or base64.
fn public_key(text: &str) -> Result<PublicKey, Failure> {
    let path = PathBuf::from(text);
    let key = if path.is_file() {
        PublicKey::load(&path)
    } else {
        PublicKey::parse(text)
    };
    key.or_advise(
        format!("`{text}` is neither a file nor a public key"),
        "give the .pub file that `venom-host key new` writes beside the private key, or its base64",
    )
}
