//! The public face of the nexus: made from settings, served over a listener the caller gives.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use venom_broker::Broker;
use venom_fleet::Fleet;
use venom_foreman::Event;
use venom_protocol::Disconnect;
use venom_runtime::SkillSet;

use crate::link::Outgoing;
use crate::local::LocalSkills;
use crate::serve::Server;
use crate::state::Shared;
use crate::{InvalidSettings, NexusSettings, api, tls};

/// Between two looks at the tasks that still run.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// For links to close and answers to be written, after the drain.
const END_LIMIT: Duration = Duration::from_secs(5);

/// Why the nexus cannot start or go on.
#[derive(Debug, thiserror::Error)]
pub enum NexusError {
    /// A setting that cannot be kept.
    #[error("settings cannot be used")]
    Settings(#[from] InvalidSettings),
    /// A file that cannot be read or opened.
    #[error("cannot open {path}")]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A certificate or key that rustls does not take.
    #[error("certificate and key cannot be used: {why}")]
    Tls {
        /// What is wrong with them.
        why: String,
    },
    /// `--dev` on an address others can reach.
    #[error("development mode is loopback only, but the listener is on {address}; bind 127.0.0.1 or leave dev mode")]
    DevNotLoopback {
        /// Where the listener is.
        address: SocketAddr,
    },
    /// The listener is of no use.
    #[error("listener cannot be used")]
    Listener(#[source] io::Error),
}

/// What a nexus may be given beside its settings.
#[derive(Default)]
pub struct Parts {
    /// What it may run itself when no node fits.
    pub local: Option<Arc<dyn LocalSkills>>,
    /// Keeps its tasks. Without one there are none: their routes answer 503.
    pub broker: Option<Arc<dyn Broker>>,
    /// Keeps its agents and what they saw. Without one there are none: their routes answer 503.
    pub fleet: Option<Fleet>,
}

/// A nexus, ready to serve.
pub struct Nexus {
    shared: Arc<Shared>,
    tls: Option<TlsAcceptor>,
}

impl Nexus {
    /// Checks the settings and opens what they name (certificate, audit log). Binds nothing.
    ///
    /// `local` is what the nexus may run itself when no node fits.
    ///
    /// # Errors
    /// What is wrong with the settings or the files they name.
    pub fn new(settings: NexusSettings, local: Option<SkillSet>) -> Result<Self, NexusError> {
        Self::with_local(settings, local.map(|skills| Arc::new(skills) as Arc<dyn LocalSkills>))
    }

    /// As [`Nexus::new`], with anything that can run skills.
    ///
    /// # Errors
    /// As [`Nexus::new`].
    pub fn with_local(settings: NexusSettings, local: Option<Arc<dyn LocalSkills>>) -> Result<Self, NexusError> {
        Self::with_broker(settings, local, None)
    }

    /// As [`Nexus::with_local`], with the broker that keeps its tasks. Without one there are no tasks: their routes answer
    /// 503.
    ///
    /// # Errors
    /// As [`Nexus::new`].
    pub fn with_broker(
        settings: NexusSettings,
        local: Option<Arc<dyn LocalSkills>>,
        broker: Option<Arc<dyn Broker>>,
    ) -> Result<Self, NexusError> {
        let fleet = None;
        Self::with_parts(settings, Parts { local, broker, fleet })
    }

    /// As [`Nexus::new`], with all a nexus may be given.
    ///
    /// # Errors
    /// As [`Nexus::new`].
    pub fn with_parts(settings: NexusSettings, parts: Parts) -> Result<Self, NexusError> {
        settings.check()?;
        let tls = settings.tls.as_ref().map(tls::acceptor).transpose()?;
        Ok(Self {
            shared: Arc::new(Shared::new(settings, parts)?),
            tls,
        })
    }

    /// Serves until `shutdown` is cancelled and what is in flight has finished or the drain timeout passed.
    ///
    /// # Errors
    /// When the listener cannot be used, or dev mode is not on loopback.
    pub async fn serve(self, listener: TcpListener, shutdown: CancellationToken) -> Result<(), NexusError> {
        let address = listener.local_addr().map_err(NexusError::Listener)?;
        if self.shared.settings.dev && !address.ip().to_canonical().is_loopback() {
            return Err(NexusError::DevNotLoopback { address });
        }
        let shared = self.shared;
        let stop_writing = CancellationToken::new();
        let audit = shared
            .audit
            .take_writer()
            .map(|writer| tokio::spawn(writer.run(stop_writing.clone())));
        shared.tasks.spawn(tick(Arc::clone(&shared)));
        if let Some(hive) = &shared.hive {
            hive.start(&shared.tasks, &shared.ending);
        }
        if let Some(fleet) = &shared.fleet {
            fleet.start(&shared.tasks, &shared.ending);
        }
        if let Some(releases) = &shared.releases {
            releases.start(&shared.tasks, &shared.ending);
            releases.first_look().await;
        }
        let server = Server {
            router: api::router(Arc::clone(&shared)),
            shared: Arc::clone(&shared),
            tls: self.tls,
        };
        shared.audit.record(
            "nexus_started",
            serde_json::json!({ "address": address, "dev": shared.settings.dev }),
        );
        let accepting = shared.tasks.spawn(server.accept(listener));
        shared.set_ready();

        shutdown.cancelled().await;
        shared.stopping.cancel();
        // fails only when the task panicked, and then there is no listener either
        let _ = accepting.await;
        end_in_order(&shared).await;
        shared
            .audit
            .record("nexus_stopped", serde_json::json!({ "address": address }));
        stop_writing.cancel();
        if let Some(audit) = audit {
            let _ = audit.await;
        }
        Ok(())
    }

    /// The OpenAPI 3.1 document, as `/openapi.json` serves it.
    #[must_use]
    pub fn openapi_json() -> String {
        api::openapi::text().to_owned()
    }
}

/// Calls finish, then links say goodbye, then every task ends. Bounded by the drain timeout and the time a
/// close takes.
async fn end_in_order(shared: &Shared) {
    shared.connections.close();
    if tokio::time::timeout(shared.settings.drain_timeout, shared.connections.wait())
        .await
        .is_err()
    {
        let left = shared.driver.counts().calls_in_flight;
        tracing::warn!(left, "drain timeout passed, calls in flight are lost");
    }
    if tokio::time::timeout(shared.settings.drain_timeout, tasks_end(shared))
        .await
        .is_err()
    {
        let left = shared.driver.counts().tasks_running;
        tracing::warn!(left, "drain timeout passed, tasks that run will run again");
    }
    shared.driver.for_each_link(|link| {
        if link.protocol >= 2 {
            let reason = "the nexus is shutting down".to_owned();
            link.send(Outgoing::Goodbye(Box::new(Disconnect { reason })));
        }
    });
    shared.ending.cancel();
    shared.tasks.close();
    if tokio::time::timeout(END_LIMIT, shared.tasks.wait()).await.is_err() {
        tracing::warn!(left = shared.tasks.len(), "tasks did not end in time");
    }
}

/// Waits until no task of this nexus runs; it claims no more.
async fn tasks_end(shared: &Shared) {
    while shared.driver.counts().tasks_running > 0 {
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

async fn tick(shared: Arc<Shared>) {
    let mut interval = tokio::time::interval(shared.driver.tick());
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = interval.tick() => shared.driver.tell(Event::Tick),
            () = shared.ending.cancelled() => return,
        }
    }
}
