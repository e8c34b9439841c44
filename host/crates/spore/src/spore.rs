//! The life of a spore: dial, talk, wait, again, until it is told to end. It never ends by itself.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;
use venom_protocol::{ControlBroadcast, NodeId};
use venom_runtime::SkillSet;

use crate::backoff::Tries;
use crate::broadcasts::Broadcasts;
use crate::calls::{Calls, Limits};
use crate::dial::Dialer;
use crate::dial::http_client;
use crate::error::LinkError;
use crate::hive::Line;
use crate::link::{self, Core, Ended, Lasting, Report, Signals};
use crate::update::{Employer, Fetcher, UpdateLine};
use crate::vitals::{Vitals, sample};
use crate::{Executor, LinkPort, SporeError, SporeSettings, Updater, detect};

/// Cancelled calls get this long to clean up behind themselves (kill a command, close a file) at the end.
const LAST_GRACE: Duration = Duration::from_secs(1);

/// What a spore knows once a nexus took it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ready {
    /// Its own id.
    pub node_id: NodeId,
    /// Swarm protocol of this link: 1 or 2.
    pub protocol: u32,
    /// Version of the nexus; absent when it speaks 1.
    pub nexus_version: Option<String>,
}

/// What a spore is connected to beside its nexus.
#[derive(Debug, Default)]
pub struct Attached {
    /// Of the backends its skills were loaded with.
    pub port: LinkPort,
    /// Control broadcasts it hears without its nexus, from Redis. They are not trusted: a SHUTDOWN among them is not
    /// obeyed.
    pub broadcasts: Option<mpsc::Receiver<ControlBroadcast>>,
    /// Takes releases over the air.
    pub updater: Option<Updater>,
    /// Woken when the nexus says that commands wait for the agent that this spore is part of.
    pub commands: Option<Arc<Notify>>,
}

/// Runs a spore until `drain` (finish what runs, refuse what is new, say goodbye), until its nexus broadcasts SHUTDOWN
/// (the same), or until `quit` (at once). Sends `ready` when a nexus first takes it. A nexus that is away, refuses the
/// token or vanishes is tried again for ever.
///
/// # Errors
/// [`SporeError`], before anything is dialled: a setting cannot work.
pub async fn run(
    settings: SporeSettings,
    skills: SkillSet,
    attached: Attached,
    ready: oneshot::Sender<Ready>,
    drain: CancellationToken,
    quit: CancellationToken,
) -> Result<(), SporeError> {
    settings.check()?;
    let dialer = Dialer::new(&settings)?;
    let tags = settings.tags.clone();
    let machine = tokio::task::spawn_blocking(move || detect(&tags))
        .await
        .unwrap_or_default();
    let vitals = Arc::new(Vitals::default());
    let line = attached.port.0;
    let updates = Arc::new(UpdateLine::default());
    let updating = updating(attached.updater, &settings, &machine, &updates)?;
    let core = core(settings, Arc::new(skills), machine, Arc::clone(&vitals), line, updates);
    tokio::select! {
        () = live(&core, &dialer, Signals { drain, quit }, attached.broadcasts, attached.commands, ready) => {}
        () = sample(&vitals) => {}
        () = updating => {}
    }
    Ok(())
}

/// The work of the updater, for ever; none without one.
pub(crate) fn updating(
    updater: Option<Updater>,
    settings: &SporeSettings,
    machine: &venom_protocol::Capabilities,
    line: &Arc<UpdateLine>,
) -> Result<impl Future<Output = ()> + use<>, SporeError> {
    let employed = match updater {
        None => None,
        Some(updater) => {
            let client = http_client(settings)?;
            let allowed = updater.allowed_hosts();
            let employer = Employer {
                node_id: settings.node_id,
                tags: machine.tags.clone(),
                fetcher: Fetcher::new(client, &settings.nexus, settings.token.clone(), allowed),
                line: Arc::clone(line),
            };
            Some((updater, employer))
        }
    };
    Ok(async move {
        if let Some((updater, employer)) = employed {
            // a task of its own: a fault of the updater must not take the calls down with it
            let updating = AbortOnDropHandle::new(tokio::spawn(updater.run(employer)));
            if let Err(error) = updating.await {
                tracing::error!(%error, "the updater broke off; this spore takes no releases until it is started again");
            }
        }
        std::future::pending().await
    })
}

/// What all links of a new process share.
pub(crate) fn core<E>(
    settings: SporeSettings,
    executor: Arc<E>,
    machine: venom_protocol::Capabilities,
    vitals: Arc<Vitals>,
    line: Arc<Line>,
    updates: Arc<UpdateLine>,
) -> Core<E> {
    Core {
        settings,
        executor,
        machine,
        boot_id: Uuid::new_v4().to_string(),
        vitals,
        line,
        updates,
    }
}

/// Links, one after the other.
pub(crate) async fn live<E: Executor>(
    core: &Core<E>,
    dialer: &Dialer,
    signals: Signals,
    broadcasts: Option<mpsc::Receiver<ControlBroadcast>>,
    commands: Option<Arc<Notify>>,
    ready: oneshot::Sender<Ready>,
) {
    // a SHUTDOWN of the nexus ends this spore, not whatever else its owner drains with it
    let signals = Signals {
        drain: signals.drain.child_token(),
        ..signals
    };
    let settings = &core.settings;
    let limits = Limits {
        concurrency: settings.concurrency,
        queue: settings.queue,
    };
    let slots = Arc::clone(&core.line.slots);
    let mut lasting = Lasting {
        calls: Calls::new(settings.node_id, Arc::clone(&core.executor), limits, slots),
        broadcasts: Broadcasts::new(settings.node_id, broadcasts),
        commands,
        ready: Some(ready),
    };
    let mut tries = Tries::new(settings.backoff);
    let mut complaint = Complaint::default();
    loop {
        let Some(report) = attempt(core, dialer, &mut lasting, &signals).await else {
            break;
        };
        let Ended::Lost(error) = report.ended else {
            break;
        };
        dialer.try_another();
        if report.held.is_some() {
            complaint.forget();
        }
        if report.held.is_some_and(|held| held >= settings.backoff.cap) {
            tries.reset();
        }
        let wait = if error.needs_people() {
            tries.wait_at_cap(&mut rand::rng())
        } else {
            tries.wait(&mut rand::rng())
        };
        complaint.say(&error, tries.failures(), wait);
        tokio::select! {
            () = sleep(wait) => {}
            () = signals.drain.cancelled() => break,
            () = signals.quit.cancelled() => break,
        }
    }
    let grace = Instant::now() + LAST_GRACE;
    // calls that are not gone by then go with the process
    let _ = timeout_at(grace, lasting.calls.emptied()).await;
}

/// One try. `None`: told to end before there was a link.
async fn attempt<E: Executor>(
    core: &Core<E>,
    dialer: &Dialer,
    lasting: &mut Lasting<E>,
    signals: &Signals,
) -> Option<Report> {
    let dialled = tokio::select! {
        dialled = dialer.dial() => dialled,
        () = signals.drain.cancelled() => return None,
        () = signals.quit.cancelled() => return None,
    };
    match dialled {
        Ok(wire) => Some(link::talk(core, lasting, wire, signals).await),
        Err(error) => Some(Report {
            ended: Ended::Lost(error),
            held: None,
        }),
    }
}

/// Says why there is no link: once for each new reason, not once a try.
#[derive(Debug, Default)]
struct Complaint {
    last: String,
}

impl Complaint {
    fn say(&mut self, error: &LinkError, tries: u32, wait: Duration) {
        let text = error.to_string();
        if !self.is_news(&text) {
            tracing::debug!(tries, ?wait, "still no link to the nexus: {text}");
            return;
        }
        if error.needs_people() {
            tracing::error!(?wait, "no link to the nexus: {text}; trying again");
        } else {
            tracing::warn!(?wait, "no link to the nexus: {text}; trying again");
        }
    }

    fn is_news(&mut self, text: &str) -> bool {
        let news = text != self.last;
        text.clone_into(&mut self.last);
        news
    }

    /// There was a link in between: the same reason is news again.
    fn forget(&mut self) {
        self.last.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_news_once_until_it_changes_or_a_link_came_between() {
        let mut complaint = Complaint::default();
        let said = ["refused", "refused", "silent", "refused"].map(|text| complaint.is_news(text));
        assert_eq!(said, [true, false, true, true]);
        complaint.forget();
        assert!(complaint.is_news("refused"));
    }
}
