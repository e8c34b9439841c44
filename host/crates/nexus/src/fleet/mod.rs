//! The fleet on this nexus: who registers, whose token opens what, and who has fallen silent.
//!
//! What is kept and what follows from it is `venom_fleet`'s; here are the shared secrets, the limits, the clock, and the links of
//! agents that are spores too.

mod enrol;
mod links;
mod metrics;
mod settings;
mod watch;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;
use subtle::ConstantTimeEq;
use tokio_util::task::TaskTracker;
use venom_fleet::{AgentPass, Fleet, FleetError, Outcome};
use venom_protocol::{AgentId, Event, Timestamp, with_causes};

pub(crate) use enrol::EnrolAddress;
pub(crate) use links::AgentLinks;
pub(crate) use metrics::FleetMetrics;
pub use settings::AgentSettings;

use crate::NexusError;
use crate::api::problem::Problem;
use crate::audit::Audit;
use crate::auth::digest;
use crate::auth::limits::{Buckets, Visitor as Bucket};
use crate::events::Events;
use crate::settings::NexusSettings;

/// Both limits are by the minute.
const FILL: Duration = Duration::from_secs(60);
/// For so long the gauges of sites stay as they are: they are counted, and whoever asks for metrics may ask often.
const GAUGES_LAST: Duration = Duration::from_secs(30);

/// The fleet on this nexus.
pub(crate) struct FleetRoom {
    /// What is kept.
    pub(crate) fleet: Fleet,
    /// Agents that are linked as spores.
    pub(crate) links: AgentLinks,
    /// For enrol strings.
    pub(crate) address: EnrolAddress,
    /// What is counted.
    pub(crate) metrics: FleetMetrics,
    secrets: Vec<[u8; 32]>,
    /// What was begun and goes on to its end, whoever still waits for it.
    work: TaskTracker,
    /// When the gauges of sites were set last.
    gauges: tokio::sync::Mutex<Option<Instant>>,
    registrations: Buckets,
    requests: Buckets,
    events: Arc<Events>,
    audit: Audit,
}

/// Who did something, for events and the audit.
#[derive(Clone, Copy)]
pub(crate) struct Doer<'a> {
    pub(crate) name: &'a str,
    pub(crate) peer: Option<IpAddr>,
}

impl FleetRoom {
    /// Puts everything in its place; starts nothing.
    pub(crate) fn new(
        fleet: Fleet,
        settings: &NexusSettings,
        events: Arc<Events>,
        audit: Audit,
        metrics: FleetMetrics,
    ) -> Result<Self, NexusError> {
        let agents = &settings.agents;
        let secrets = [&agents.registration_token, &agents.registration_secret];
        Ok(Self {
            fleet,
            links: AgentLinks::default(),
            address: EnrolAddress::new(settings)?,
            metrics,
            secrets: secrets
                .into_iter()
                .flatten()
                .map(|secret| digest(secret.expose()))
                .collect(),
            work: TaskTracker::new(),
            gauges: tokio::sync::Mutex::default(),
            registrations: Buckets::new(agents.registrations_per_minute, FILL),
            requests: Buckets::new(agents.requests_per_minute, FILL),
            events,
            audit,
        })
    }

    /// Whether a token is one of the two that any number of agents may register with.
    pub(crate) fn is_shared(&self, token: &str) -> bool {
        let presented = digest(token);
        self.secrets
            .iter()
            .fold(false, |found, secret| found | bool::from(secret.ct_eq(&presented)))
    }

    /// Takes one registration of those an address may make, or says how long to wait.
    pub(crate) fn take_registration(&self, peer: IpAddr) -> Result<(), Duration> {
        self.registrations.take(Bucket::from_address(peer), Instant::now())
    }

    /// Takes one request of those an agent may make, or says how long to wait.
    pub(crate) fn take_request(&self, agent: &AgentId) -> Result<(), Duration> {
        self.requests.take(Bucket::from_agent(agent), Instant::now())
    }

    /// Whose token that is now.
    pub(crate) async fn admit(&self, token: &str) -> Result<Option<AgentPass>, FleetError> {
        self.fleet.admit(token, Timestamp::now()).await
    }

    /// Does something that writes from its beginning to its end, also when whoever asked for it hangs up on the way: what was
    /// written is told, and is in the audit.
    pub(crate) async fn whole<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, Problem>> + Send + 'static,
    ) -> Result<T, Problem> {
        match self.work.spawn(work).await {
            Ok(done) => done,
            Err(error) => Err(Problem::internal(format!("it broke off: {error}"))),
        }
    }

    /// Does what somebody asked for, to its end (see [`FleetRoom::whole`]), and tells what came of it as theirs.
    pub(crate) async fn done<T, F>(
        self: &Arc<Self>,
        name: Arc<str>,
        peer: IpAddr,
        deed: impl FnOnce(Arc<Self>, Arc<str>) -> F,
    ) -> Result<T, Problem>
    where
        T: Send + 'static,
        F: Future<Output = Result<Outcome<T>, FleetError>> + Send + 'static,
    {
        let (room, deed) = (Arc::clone(self), deed(Arc::clone(self), Arc::clone(&name)));
        self.whole(async move {
            let outcome = deed.await.map_err(Problem::of_fleet)?;
            let by = Doer {
                name: &name,
                peer: Some(peer),
            };
            Ok(room.told(outcome, by))
        })
        .await
    }

    /// Sets the gauges of sites when they are old. Who asks meanwhile waits, and asks no second time.
    pub(crate) async fn set_gauges(&self) {
        let mut set = self.gauges.lock().await;
        if set.is_some_and(|at| at.elapsed() < GAUGES_LAST) {
            return;
        }
        match self.fleet.sites().await {
            Ok(sites) => {
                self.metrics.mirror(&sites);
                *set = Some(Instant::now());
            }
            Err(error) => tracing::warn!(error = %with_causes(&error), "the gauges of sites are old"),
        }
    }

    /// Tells what came of something, and writes into the audit what concerns who may do what.
    pub(crate) fn told<T>(&self, outcome: Outcome<T>, by: Doer<'_>) -> T {
        for event in &outcome.events {
            self.publish(event, by);
        }
        outcome.answer
    }

    fn publish(&self, event: &Event, by: Doer<'_>) {
        if event.kind == "AGENT_REGISTERED" {
            self.metrics.registrations.inc();
        }
        if let Some(what) = audited(&event.kind) {
            let facts = json!({ "by": by.name, "peer": by.peer, "what": event.data });
            self.audit.record(what, facts);
        }
        self.events.publish(event);
    }
}

/// The audit's name of an event that belongs there.
fn audited(kind: &str) -> Option<&'static str> {
    Some(match kind {
        "AGENT_REGISTERED" => "agent_registered",
        "AGENT_APPROVED" => "agent_approved",
        "AGENT_DEREGISTERED" => "agent_deregistered",
        "AGENT_TOKEN_ROTATED" => "agent_token_rotated",
        "AGENT_CLONE_SUSPECTED" => "agent_clone_suspected",
        "ENROLMENT_CREATED" => "enrolment_created",
        "ENROLMENT_REVOKED" => "enrolment_revoked",
        "COMMAND_SENT" => "command_sent",
        "FINDING_ACCEPTED" => "finding_accepted",
        "FINDING_FALSE_POSITIVE" => "finding_false_positive",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use venom_fleet::FleetSettings;

    use super::*;
    use crate::Parts;
    use crate::state::Shared;

    #[tokio::test]
    async fn what_was_begun_ends_though_nobody_waits_for_it() {
        let directory = tempfile::tempdir().unwrap();
        let database = format!("sqlite:{}", directory.path().join("fleet.db").display());
        let parts = Parts {
            fleet: Some(Fleet::open(&database, FleetSettings::default()).await.unwrap()),
            ..Parts::default()
        };
        let shared = Shared::new(NexusSettings::default(), parts).unwrap();
        let room = Arc::clone(shared.fleet().ok().unwrap());
        let (go, gone) = tokio::sync::oneshot::channel::<()>();
        let (done, is_done) = tokio::sync::oneshot::channel();
        let work = room.whole(async move {
            let _ = gone.await;
            let _ = done.send("told");
            Ok(())
        });
        let hung_up = tokio::time::timeout(Duration::from_millis(1), work).await;
        assert!(hung_up.is_err(), "whoever asked is gone");
        go.send(()).unwrap();
        assert_eq!(is_done.await, Ok("told"));
        room.fleet.close().await;
    }
}
