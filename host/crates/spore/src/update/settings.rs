//! What an updater is told. Plain values: this module reads neither flags nor environment.

use std::path::PathBuf;
use std::time::Duration;

use venom_bundle::Channel;

use super::gate::Gate;
use super::window::Window;

/// Everything an updater is told.
#[derive(Debug, Clone)]
pub struct UpdateSettings {
    /// Where it keeps its trust, its ledger and its bundles; made when absent.
    pub directory: PathBuf,
    /// Text of the root the operator put there. `None`: no release is taken, unless `trust_on_first_use`.
    pub root: Option<String>,
    /// Pin the first root the nexus has. For development on one machine only.
    pub trust_on_first_use: bool,
    /// Which line of releases.
    pub channel: Channel,
    /// Between two looks at what there is, when nothing is announced; up to a fifth less, by chance.
    pub poll: Duration,
    /// When installing is allowed; empty: always.
    pub window: Vec<Window>,
    /// Shortest time between two installs.
    pub min_interval: Duration,
    /// Hosts beside the nexus that bundles may be fetched from: `packages.example.com`, `*.example.com`.
    pub allowed_hosts: Vec<String>,
    /// Bundle files kept for each skill, those in use included.
    pub keep: usize,
    /// How long a new version is watched before it is there to stay.
    pub soak: Duration,
    /// How long calls of the version before may go on.
    pub drain: Duration,
    /// What makes a watched version go back.
    pub gate: Gate,
    /// Longest a skill may take to answer its probe.
    pub probe_timeout: Duration,
    /// Whether grants in a release count for skills that the policy does not name.
    pub release_grants: bool,
    /// Skills that are never installed.
    pub switched_off: Vec<String>,
}

impl UpdateSettings {
    /// Defaults, with everything kept in `directory`.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
            root: None,
            trust_on_first_use: false,
            channel: Channel::default(),
            poll: Duration::from_secs(300),
            window: Vec::new(),
            min_interval: Duration::ZERO,
            allowed_hosts: Vec::new(),
            keep: 5,
            soak: Duration::from_secs(30),
            drain: Duration::from_secs(30),
            gate: Gate::default(),
            probe_timeout: Duration::from_secs(10),
            release_grants: false,
            switched_off: Vec::new(),
        }
    }
}
