//! Bundles of a release: read and verified here before anything names them, uploaded, and fetched back to compare what
//! they ask for.

use std::path::{Path, PathBuf};

use venom_bundle::{BundleRef, Digest, Manifest, Trust, UnverifiedBundle};
use venom_protocol::BundleView;

use crate::client::NexusClient;
use crate::failure::{Explain as _, Failure};
use crate::sandbox::host_version;

/// A bundle that spores would take.
#[derive(Debug, Clone)]
pub(super) struct BundleFile {
    pub(super) reference: BundleRef,
    pub(super) manifest: Manifest,
}

impl BundleFile {
    /// Reads it and checks it as a spore would.
    pub(super) fn read(path: &Path, trust: &Trust) -> Result<Self, Failure> {
        let what = || format!("the bundle {} cannot be released", path.display());
        let bytes = std::fs::read(path).or_fail(what())?;
        let (file_sha256, size) = (Digest::of(&bytes), bytes.len() as u64);
        let bundle = UnverifiedBundle::parse(bytes).or_fail(what())?;
        let verified = bundle.verify(trust, &host_version()?).or_advise(
            what(),
            "spores take bundles of the root's publishers only: `venom-host root show` lists them, `venom-host bundle sign` adds a signature",
        )?;
        let manifest = verified.manifest().clone();
        let reference = BundleRef {
            version: manifest.version.clone(),
            sha256: verified.digest(),
            file_sha256,
            size,
            sources: Vec::new(),
        };
        Ok(Self { reference, manifest })
    }

    /// Reads several; two of one skill would leave open which is meant.
    pub(super) fn read_all(paths: &[PathBuf], trust: &Trust) -> Result<Vec<Self>, Failure> {
        let mut files: Vec<Self> = Vec::new();
        for path in paths {
            let file = Self::read(path, trust)?;
            if files.iter().any(|known| known.manifest.name == file.manifest.name) {
                return Err(
                    Failure::usage(format!("two bundles of {} are given", file.manifest.name)).help(
                        "give one for each skill; a second `release create --from FILE` adds one for other spores",
                    ),
                );
            }
            files.push(file);
        }
        Ok(files)
    }
}

/// What a bundle that the nexus keeps says of itself; none where it cannot be had.
pub(super) async fn fetch_manifest(client: &NexusClient, reference: &BundleRef) -> Option<Manifest> {
    let path = format!("/api/v1/bundles/{}", reference.file_sha256);
    let bytes = client.download(&path, reference.size).await.ok()?;
    if Digest::of(&bytes) != reference.file_sha256 {
        return None;
    }
    let bundle = UnverifiedBundle::parse(bytes).ok()?;
    let claimed = bundle.claimed();
    let manifest = claimed
        .manifest()
        .ok()
        .filter(|_| *claimed.digest() == reference.sha256);
    manifest.cloned()
}

/// Gives bundles to the nexus, with a bar on a terminal.
pub(crate) async fn upload_all(client: &NexusClient, paths: &[PathBuf]) -> Result<Vec<BundleView>, Failure> {
    let mut views = Vec::new();
    for path in paths {
        let size = std::fs::metadata(path)
            .or_fail(format!("cannot read {}", path.display()))?
            .len();
        let bar = super::plan::bytes_bar(size, path);
        let view = client.upload("/api/v1/bundles", path, bar.clone()).await;
        bar.finish_and_clear();
        views.push(view?);
    }
    Ok(views)
}
