//! Releases: what belongs where on all spores, and how it gets there. Documents and the state of rollouts are records of
//! the broker, so any nexus serves them and any advances them; bundles are files on the nexus's own disk and, with a
//! shared broker, also records, so that a nexus that lacks one finds it. Nothing is believed because of where it came
//! from: every document is verified as a spore would. The nexus decides when, never what.

mod answers;
mod blobs;
mod chain;
mod drive;
mod dry_run;
mod error;
mod metrics;
mod orders;
mod publish;
mod range;
mod records;
mod reports;
mod rollout;
mod settings;
mod sharing;
mod shelf;
mod slots;
mod standing;
mod store;
mod view;
mod words;

use std::sync::Arc;

use semver::Version;
use tokio::sync::{Mutex, Notify, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use venom_broker::Broker;
use venom_bundle::Channel;

use crate::audit::Audit;
use crate::hive::Hive;
use crate::{NexusError, NexusSettings};

pub(crate) use blobs::{Incoming, MAX_BUNDLE_BYTES};
pub(crate) use error::ReleaseError;
pub(crate) use metrics::ReleaseMetrics;
pub(crate) use publish::{Published, Who};
pub(crate) use range::{Wanted, wanted};
pub(crate) use reports::of_node;
pub(crate) use rollout::Action;
pub use settings::ReleasesSettings;
use shelf::{Line, Picture};
pub(crate) use slots::Slot;
pub(crate) use view::Shown;
pub(crate) use words::is_ours as is_about_releases;

/// Uploads that are verified at one time: each holds a whole bundle in memory.
const UPLOADS: usize = 2;
/// Longest wait for the broker before callers are let in.
const FIRST_LOOK: std::time::Duration = std::time::Duration::from_secs(2);

/// See the module.
pub(crate) struct Releases {
    pub(crate) settings: ReleasesSettings,
    pub(crate) metrics: ReleaseMetrics,
    broker: Arc<dyn Broker>,
    hive: Arc<Hive>,
    audit: Audit,
    blobs: blobs::Blobs,
    store: store::Store,
    slots: Arc<slots::Slots>,
    uploads: tokio::sync::Semaphore,
    /// Version this nexus verifies bundles as.
    host: Version,
    /// As of the last look; `None` before the first.
    picture: watch::Sender<Option<Arc<Picture>>>,
    /// One look at a time, so that an older one never replaces a newer.
    looking: Mutex<()>,
    /// A missing bundle is fetched once, not once for each who wants it.
    fetching: Mutex<()>,
    /// Something was reported or changed: look at the rollouts.
    stirred: Notify,
}

impl Releases {
    /// Opens the directory; `None` when there is none, or no broker.
    pub(crate) fn new(
        settings: &NexusSettings,
        hive: Option<&Arc<Hive>>,
        audit: &Audit,
        metrics: ReleaseMetrics,
    ) -> Result<Option<Arc<Self>>, NexusError> {
        let (Some(hive), Some(directory)) = (hive, &settings.releases.directory) else {
            return Ok(None);
        };
        let blobs = blobs::Blobs::open(directory, settings.releases.quota.0).map_err(|source| NexusError::File {
            path: directory.clone(),
            source,
        })?;
        let releases = settings.releases.clone();
        Ok(Some(Arc::new(Self {
            slots: slots::Slots::new(releases.max_downloads),
            settings: releases,
            metrics,
            broker: Arc::clone(&hive.broker),
            hive: Arc::clone(hive),
            audit: audit.clone(),
            blobs,
            store: store::Store::default(),
            uploads: tokio::sync::Semaphore::new(UPLOADS),
            host: host_version(&settings.version),
            picture: watch::channel(None).0,
            looking: Mutex::new(()),
            fetching: Mutex::new(()),
            stirred: Notify::new(),
        })))
    }

    /// Starts everything that goes on by itself, until `ending`.
    pub(crate) fn start(self: &Arc<Self>, tasks: &TaskTracker, ending: &CancellationToken) {
        // subscribed before anything is looked at, so that nothing falls between
        let hints = self.broker.hints();
        let hear = Arc::clone(self).hear(hints);
        tasks.spawn(ending.clone().run_until_cancelled_owned(hear));
        tasks.spawn(ending.clone().run_until_cancelled_owned(Arc::clone(self).drive()));
    }

    /// Waits for the first look, so that who comes first is not sent away; no longer than [`FIRST_LOOK`], as the broker may
    /// be away.
    pub(crate) async fn first_look(&self) {
        let mut picture = self.picture.subscribe();
        let looked = picture.wait_for(Option::is_some);
        // without one, routes say what is wrong
        let _ = tokio::time::timeout(FIRST_LOOK, looked).await;
    }

    /// Everything as of the last look.
    ///
    /// # Errors
    /// There was none yet.
    pub(crate) fn picture(&self) -> Result<Arc<Picture>, ReleaseError> {
        self.picture.borrow().clone().ok_or_else(|| {
            let why = match self.hive.trouble() {
                Some(trouble) => format!("releases could not be read yet: {trouble}"),
                None => "releases are being read".to_owned(),
            };
            let after = std::time::Duration::from_secs(1);
            ReleaseError::Busy { why, after }
        })
    }

    /// A channel that has a release.
    fn line(picture: &Picture, channel: &Channel) -> Result<Arc<Line>, ReleaseError> {
        picture.lines.get(channel).cloned().ok_or_else(|| {
            ReleaseError::Unknown(format!(
                "channel `{channel}` has no release; publish one with POST /api/v1/releases"
            ))
        })
    }

    /// Looks at everything anew.
    pub(crate) async fn look(&self) -> Result<Arc<Picture>, ReleaseError> {
        let _one = self.looking.lock().await;
        let before = self.picture.borrow().clone();
        let mut picture = shelf::look(&*self.broker, before.as_deref()).await?;
        if let Some(own) = &self.settings.root {
            if picture.chain.is_none() {
                chain::begin(&*self.broker, own).await?;
                picture = shelf::look(&*self.broker, before.as_deref()).await?;
            }
            self.compare(&mut picture, own, before.as_deref());
        }
        let picture = Arc::new(picture);
        self.picture.send_replace(Some(Arc::clone(&picture)));
        Ok(picture)
    }

    fn compare(&self, picture: &mut Picture, own: &venom_bundle::TrustedRoot, before: Option<&Picture>) {
        let disagreement = picture.chain.as_ref().and_then(|chain| chain.agrees_with(own).err());
        if let Some(why) = &disagreement
            && before.is_none_or(|before| before.conflict.is_none())
        {
            tracing::error!("{why}");
            self.alarm("nexus", why);
        }
        picture.conflict = disagreement;
    }
}

/// A version that is none (a build of one's own) counts as this crate's.
fn host_version(text: &str) -> Version {
    let own = || Version::parse(env!("CARGO_PKG_VERSION"));
    Version::parse(text).or_else(|_| own()).unwrap_or(Version::new(0, 0, 0))
}
