//! `bundle push`, `bundle pull`, and bundles of a registry where a command wants a file.

use std::path::{Path, PathBuf};

use serde::Serialize;
use tempfile::TempDir;
use venom_bundle::Digest;

use super::release::bytes_bar;
use crate::cli::{PullArgs, PushArgs, RegistryArgs};
use crate::data_dir::{SHARED_FILE, replace_file};
use crate::failure::{Explain as _, Failure};
use crate::output;
use crate::registry::{OciLocation, Pulled, Registry};
use crate::settings::{RegistrySettings, Sources};

/// What `bundle push --json` and `bundle pull --json` print.
#[derive(Serialize)]
struct Moved<'a> {
    name: &'a str,
    version: String,
    location: String,
    pinned: String,
    path: &'a Path,
    file_sha256: Digest,
    bytes: usize,
    verified: bool,
}

/// Puts a bundle into a registry.
pub(super) async fn push(args: PushArgs, sources: Sources) -> Result<(), Failure> {
    if args.location.digest().is_some() {
        return Err(Failure::usage(format!("{} names a digest", args.location))
            .help("a digest follows from what is pushed: name a tag, and take the digest that is printed"));
    }
    let file = std::fs::read(&args.bundle).or_fail(format!("cannot read {}", args.bundle.display()))?;
    let registry = Registry::of(&args.location, &RegistrySettings::merge(args.registry, &sources)?)?;
    let bar = bytes_bar(file.len() as u64, &args.bundle);
    let pushed = registry.push(&file, &bar).await;
    bar.finish_and_clear();
    let pushed = pushed?;
    let moved = Moved {
        name: &pushed.manifest.name,
        version: pushed.manifest.version.to_string(),
        location: args.location.to_string(),
        pinned: pushed.pinned.to_string(),
        path: &args.bundle,
        file_sha256: pushed.file_sha256,
        bytes: file.len(),
        verified: false,
    };
    if args.json {
        return output::say_json(&moved);
    }
    output::say(format!("{} {} -> {}", moved.name, moved.version, moved.location))?;
    output::say(format!("pinned  {}", moved.pinned))
}

/// Gets a bundle from a registry.
pub(super) async fn pull(args: PullArgs, sources: Sources) -> Result<(), Failure> {
    let settings = RegistrySettings::merge(args.registry, &sources)?;
    let pulled = get(&args.location, &settings).await?;
    // The name is one of a skill: it points nowhere else.
    let path = args
        .out
        .unwrap_or_else(|| PathBuf::from(format!("{}.venom", pulled.manifest.name)));
    replace_file(&path, &pulled.file, SHARED_FILE)?;
    let moved = Moved {
        name: &pulled.manifest.name,
        version: pulled.manifest.version.to_string(),
        location: args.location.to_string(),
        pinned: pulled.pinned.to_string(),
        path: &path,
        file_sha256: Digest::of(&pulled.file),
        bytes: pulled.file.len(),
        verified: false,
    };
    if args.json {
        return output::say_json(&moved);
    }
    let (yellow, shown) = (output::YELLOW, path.display());
    output::say(format!("{} {} -> {shown}", moved.name, moved.version))?;
    output::say(format!("pinned  {}", moved.pinned))?;
    output::note(format!(
        "{yellow}not verified:{yellow:#} a registry vouches for nothing; `venom-host bundle verify {shown}` does, and a nexus before it takes it"
    ));
    Ok(())
}

async fn get(location: &OciLocation, settings: &RegistrySettings) -> Result<Pulled, Failure> {
    let bar = bytes_bar(0, Path::new(&location.name()));
    let pulled = Registry::of(location, settings)?.pull(&bar).await;
    bar.finish_and_clear();
    pulled
}

/// Bundles that came from registries, until this is dropped.
pub(crate) struct Fetched {
    #[expect(dead_code, reason = "kept for its end, which deletes the files")]
    directory: Option<TempDir>,
}

/// Fetches those of `bundles` that lie in registries, and puts the files in their places.
pub(crate) async fn fetch<'a>(
    bundles: impl IntoIterator<Item = &'a mut PathBuf>,
    sources: &Sources,
) -> Result<Fetched, Failure> {
    let mut directory = None;
    let mut settings = None;
    for (index, bundle) in bundles.into_iter().enumerate() {
        let Some(location) = OciLocation::of_path(bundle) else {
            continue;
        };
        let location = location.map_err(|error| Failure::usage(error.to_string()))?;
        let settings = match &mut settings {
            Some(settings) => settings,
            none => none.insert(RegistrySettings::merge(RegistryArgs::default(), sources)?),
        };
        let pulled = get(&location, settings).await?;
        let directory = match &mut directory {
            Some(directory) => directory,
            none => none.insert(tempfile::tempdir().or_fail("cannot make a directory for what is fetched")?),
        };
        let path = directory.path().join(format!("{index}-{}.venom", pulled.manifest.name));
        replace_file(&path, &pulled.file, SHARED_FILE)?;
        output::note(format!("fetched {} as {}", pulled.pinned, path.display()));
        *bundle = path;
    }
    Ok(Fetched { directory })
}
