//! What an operator may set about releases.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytesize::ByteSize;
use venom_bundle::{SigningKey, TrustedRoot};

/// What an operator may set about releases. `Default` keeps none: their routes answer 503.
#[derive(Debug, Clone)]
pub struct ReleasesSettings {
    /// Where `.venom` files are kept. `None`: this nexus keeps no releases.
    pub directory: Option<PathBuf>,
    /// Signs rollouts. `None`: rollouts of other nexuses are passed on, and no release can be published here.
    pub online_key: Option<Arc<SigningKey>>,
    /// Where trust begins, when nothing is kept yet; later a root that must be among those kept, or follow them.
    pub root: Option<TrustedRoot>,
    /// Downloads at one time (64); more are told to come back.
    pub max_downloads: usize,
    /// Bytes of all `.venom` files together (4 GiB).
    pub quota: ByteSize,
    /// How long a signed rollout is good for (10 min); it is signed anew when half of that is over.
    pub rollout_lifetime: Duration,
    /// How long a wave with fewer spores than it must have reports of is watched at least (30 s): after a start the
    /// spores of a wave may only be on their way.
    pub thin_wave_patience: Duration,
    /// How often what is kept is looked at without having heard anything (10 s).
    pub poll: Duration,
}

impl Default for ReleasesSettings {
    fn default() -> Self {
        Self {
            directory: None,
            online_key: None,
            root: None,
            max_downloads: 64,
            quota: ByteSize::gib(4),
            rollout_lifetime: Duration::from_secs(600),
            thin_wave_patience: Duration::from_secs(30),
            poll: Duration::from_secs(10),
        }
    }
}
