//! The bundles that are known: what each is, where it is, and bringing one in.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use venom_bundle::{Digest, Trust, UnverifiedBundle, VerifiedBundle};
use venom_protocol::{BundleList, BundleView, Timestamp};

use super::blobs::Incoming;
use super::{ReleaseError, Releases, Who, chain, records};

/// Bundles that are listed; older ones can still be fetched.
const LISTED: usize = 10_000;

/// What is known of bundles. A bundle never changes, so what was read once is good for ever.
#[derive(Debug, Default)]
pub(super) struct Store {
    views: Mutex<HashMap<String, BundleView>>,
}

impl Store {
    fn get(&self, file: &str) -> Option<BundleView> {
        self.views
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(file)
            .cloned()
    }

    fn remember(&self, view: BundleView) {
        let mut views = self.views.lock().unwrap_or_else(PoisonError::into_inner);
        if views.len() >= LISTED {
            views.clear();
        }
        views.insert(view.file_sha256.clone(), view);
    }
}

impl Releases {
    /// Takes a complete upload in. True: it was not there before.
    pub(crate) async fn take_in(
        self: &Arc<Self>,
        mut arrived: Incoming,
        who: &Who,
    ) -> Result<(BundleView, bool), ReleaseError> {
        let (file, size) = arrived.complete().await?;
        let taken = self.take(arrived, file, size).await;
        if let Err(error) = &taken
            && error.is_suspicious()
        {
            self.refused("bundle", error, who);
        }
        let (view, is_new) = taken?;
        if is_new {
            let facts = serde_json::json!({ "skill": view.name, "version": view.version, "by": &*who.name,
                "bundle_sha256": view.bundle_sha256, "file_sha256": view.file_sha256, "peer": who.peer });
            self.audit.record("bundle_stored", facts);
        }
        Ok((view, is_new))
    }

    async fn take(
        self: &Arc<Self>,
        arrived: Incoming,
        file: Digest,
        size: u64,
    ) -> Result<(BundleView, bool), ReleaseError> {
        let trust = self.root()?.root().trust(&[]);
        let view = self.verified(arrived.path().to_owned(), trust).await?;
        let view = view_of(&view, &file, size);
        let known = self.view(&file).await?;
        self.blobs.keep(arrived, &file).await?;
        if self.is_shared() {
            self.share(&file).await?;
        }
        if let Some(known) = known {
            return Ok((known, false));
        }
        let name = records::bundle(&view.file_sha256);
        records::put(&*self.broker, &name, records::bytes_of(&view)?, 0).await?;
        let first = view.file_sha256.clone();
        records::change(&*self.broker, records::BUNDLES, |mut files: Vec<String>| {
            if files.contains(&first) {
                return None;
            }
            files.insert(0, first.clone());
            files.truncate(LISTED);
            Some(files)
        })
        .await?;
        self.store.remember(view.clone());
        Ok((view, true))
    }

    /// The root that counts now.
    pub(super) fn root(&self) -> Result<Arc<venom_bundle::TrustedRoot>, ReleaseError> {
        let picture = self.picture()?;
        if let Some(conflict) = &picture.conflict {
            return Err(ReleaseError::NotReady(conflict.clone()));
        }
        let chain: Option<&chain::Chain> = picture.chain.as_ref();
        chain.map(|chain| Arc::clone(chain.newest())).ok_or_else(no_root)
    }

    /// Verifies a file. One at a time for each place: a bundle is held in memory meanwhile.
    pub(super) async fn verified(&self, path: PathBuf, trust: Trust) -> Result<VerifiedBundle, ReleaseError> {
        let _place = self.uploads.acquire().await;
        let host = self.host.clone();
        let verifying = tokio::task::spawn_blocking(move || {
            Ok::<_, ReleaseError>(UnverifiedBundle::read(&path)?.verify(&trust, &host)?)
        });
        verifying
            .await
            .unwrap_or_else(|panicked| Err(ReleaseError::Disk(format!("verifying broke off: {panicked}"))))
    }

    /// Begins an upload.
    pub(crate) async fn incoming(&self) -> Result<Incoming, ReleaseError> {
        self.root()?;
        self.blobs.incoming(super::MAX_BUNDLE_BYTES).await
    }

    /// What is known of a bundle.
    pub(super) async fn view(&self, file: &Digest) -> Result<Option<BundleView>, ReleaseError> {
        let file = file.to_string();
        if let Some(view) = self.store.get(&file) {
            return Ok(Some(view));
        }
        let found: Option<(u64, BundleView)> = records::read(&*self.broker, &records::bundle(&file)).await?;
        let view = found.map(|(_, view)| view);
        if let Some(view) = &view {
            self.store.remember(view.clone());
        }
        Ok(view)
    }

    /// All bundles, the newest first.
    pub(crate) async fn bundles(&self) -> Result<BundleList, ReleaseError> {
        let files: Option<(u64, Vec<String>)> = records::read(&*self.broker, records::BUNDLES).await?;
        let mut bundles = Vec::new();
        for file in files.into_iter().flat_map(|(_, files)| files) {
            if let Ok(digest) = file.parse()
                && let Some(view) = self.view(&digest).await?
            {
                bundles.push(view);
            }
        }
        Ok(BundleList { bundles })
    }

    /// Where a bundle's file is, after fetching it from the shared broker if need be. `None`: nobody has it.
    pub(crate) async fn find(&self, file: &Digest) -> Result<Option<(PathBuf, u64)>, ReleaseError> {
        if let Some(size) = self.blobs.size(file).await? {
            return Ok(Some((self.blobs.path(file), size)));
        }
        if !self.is_shared() {
            return Ok(None);
        }
        let _one = self.fetching.lock().await;
        if self.blobs.size(file).await?.is_none() && !self.fetch(file).await? {
            return Ok(None);
        }
        let size = self.blobs.size(file).await?;
        Ok(size.map(|size| (self.blobs.path(file), size)))
    }

    /// A place among the downloads.
    pub(crate) fn slot(&self) -> Result<super::Slot, ReleaseError> {
        self.slots.take(std::time::Instant::now()).ok_or_else(|| {
            self.metrics.downloads_refused.inc();
            ReleaseError::Busy {
                why: format!("{} downloads run, as many as may", self.settings.max_downloads),
                after: std::time::Duration::from_secs(1 + rand::random_range(0..5)),
            }
        })
    }
}

pub(super) fn no_root() -> ReleaseError {
    ReleaseError::NotReady(
        "this nexus trusts no root, so nobody may publish: put root.json (made by `venom-host init`) into its data \
         directory and start it again"
            .to_owned(),
    )
}

fn view_of(bundle: &VerifiedBundle, file: &Digest, size: u64) -> BundleView {
    let manifest = bundle.manifest();
    BundleView {
        name: manifest.name.clone(),
        version: manifest.version.to_string(),
        summary: manifest.summary.clone(),
        publisher: bundle.publisher().to_owned(),
        bundle_sha256: bundle.digest().to_string(),
        file_sha256: file.to_string(),
        size,
        asks: manifest.capabilities.lines(),
        stored_at: Timestamp::now(),
    }
}
