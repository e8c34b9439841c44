//! What all parts of one nexus share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::api::problem::Problem;
use crate::audit::Audit;
use crate::auth::keyring::Keyring;
use crate::auth::limits::Buckets;
use crate::driver::Driver;
use crate::events::Events;
use crate::fleet::FleetRoom;
use crate::hive::Hive;
use crate::local::LocalSkills;
use crate::metrics::Metrics;
use crate::nexus::Parts;
use crate::releases::Releases;
use crate::{NexusError, NexusSettings};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Time in which the bucket of wrong tokens fills; it holds as many as the settings allow in a minute.
const FAILURE_FILL: Duration = Duration::from_secs(60);

/// What all parts of one nexus share. Behind one `Arc`.
pub(crate) struct Shared {
    pub(crate) settings: NexusSettings,
    pub(crate) keyring: Keyring,
    pub(crate) names: Names,
    pub(crate) request_buckets: Buckets,
    pub(crate) failure_buckets: Buckets,
    pub(crate) events: Arc<Events>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) audit: Audit,
    pub(crate) driver: Arc<Driver>,
    pub(crate) local: Option<Arc<dyn LocalSkills>>,
    /// Tasks; absent without a broker.
    pub(crate) hive: Option<Arc<Hive>>,
    /// Agents and what they saw; absent without a database for them.
    pub(crate) fleet: Option<Arc<FleetRoom>>,
    /// Releases; absent without a directory for bundles or without a broker.
    pub(crate) releases: Option<Arc<Releases>>,
    /// One task for each connection that speaks HTTP; one that becomes a WebSocket leaves.
    pub(crate) connections: TaskTracker,
    /// Every other task of this nexus.
    pub(crate) tasks: TaskTracker,
    /// Cancelled first: no new connections or calls, listeners of events are let go.
    pub(crate) stopping: CancellationToken,
    /// Cancelled last: links say goodbye.
    pub(crate) ending: CancellationToken,
    ready: AtomicBool,
}

/// Names of visitors, made once.
pub(crate) struct Names {
    pub(crate) anonymous: Arc<str>,
    pub(crate) dev: Arc<str>,
    pub(crate) spore: Arc<str>,
    holders: Vec<Arc<str>>,
}

impl Names {
    /// Name of the token with that place in the keyring.
    pub(crate) fn holder(&self, index: u32) -> Arc<str> {
        let found = usize::try_from(index).ok().and_then(|index| self.holders.get(index));
        Arc::clone(found.unwrap_or(&self.anonymous))
    }
}

impl Shared {
    /// Puts everything in its place; starts nothing.
    pub(crate) fn new(mut settings: NexusSettings, parts: Parts) -> Result<Self, NexusError> {
        let Parts { local, broker, fleet } = parts;
        let operators = std::mem::take(&mut settings.operator_tokens);
        let names = Names {
            anonymous: "anonymous".into(),
            dev: "dev".into(),
            spore: "spore".into(),
            holders: operators.iter().map(|record| record.name.as_str().into()).collect(),
        };
        let keyring = Keyring::new(operators, settings.shared_token.take().as_ref());
        let events = Arc::new(Events::new(settings.event_history));
        let metrics = Arc::new(Metrics::new());
        let audit = Audit::open(settings.audit_log.as_deref())?;
        let driver = Arc::new(Driver::new(
            &settings,
            Arc::clone(&events),
            Arc::clone(&metrics),
            audit.clone(),
        ));
        let stopping = CancellationToken::new();
        let hive = broker.map(|broker| {
            Arc::new(Hive::new(
                broker,
                settings.hive.clone(),
                Arc::clone(&driver),
                Arc::clone(&events),
                metrics.tasks.clone(),
                stopping.clone(),
            ))
        });
        let releases = Releases::new(&settings, hive.as_ref(), &audit, metrics.releases.clone())?;
        if let (Some(hive), Some(_)) = (&hive, &releases) {
            hive.leave_updates_to_releases();
        }
        let room = |fleet| {
            let (events, audit) = (Arc::clone(&events), audit.clone());
            FleetRoom::new(fleet, &settings, events, audit, metrics.fleet.clone())
        };
        let fleet = fleet.map(room).transpose()?.map(Arc::new);
        let limits = settings.rate_limits;
        Ok(Self {
            keyring,
            names,
            request_buckets: Buckets::new(limits.requests_per_second, Duration::from_secs(1)),
            failure_buckets: Buckets::new(limits.auth_failures_per_minute, FAILURE_FILL),
            events,
            metrics,
            audit,
            driver,
            local,
            hive,
            fleet,
            releases,
            connections: TaskTracker::new(),
            tasks: TaskTracker::new(),
            stopping,
            ending: CancellationToken::new(),
            ready: AtomicBool::new(false),
            settings,
        })
    }

    /// The listener is up.
    pub(crate) fn set_ready(&self) {
        self.ready.store(true, Ordering::Release);
    }

    /// The hive, to look at.
    pub(crate) fn hive(&self) -> Result<&Arc<Hive>, Problem> {
        self.hive.as_ref().ok_or_else(Problem::no_hive)
    }

    /// The hive, to give it work.
    pub(crate) fn hive_for_work(&self) -> Result<&Arc<Hive>, Problem> {
        if self.stopping.is_cancelled() {
            return Err(Problem::stopping());
        }
        self.hive()
    }

    /// The fleet.
    pub(crate) fn fleet(&self) -> Result<&Arc<FleetRoom>, Problem> {
        self.fleet.as_ref().ok_or_else(Problem::no_fleet)
    }

    /// Releases, to look at.
    pub(crate) fn releases(&self) -> Result<&Arc<Releases>, Problem> {
        self.releases.as_ref().ok_or_else(Problem::no_releases)
    }

    /// Releases, to change something.
    pub(crate) fn releases_for_work(&self) -> Result<&Arc<Releases>, Problem> {
        if self.stopping.is_cancelled() {
            return Err(Problem::stopping());
        }
        self.releases()
    }

    /// Whether new calls are welcome.
    pub(crate) fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Acquire) && !self.stopping.is_cancelled()
    }
}
