//! One session with the nexus, from the handshake to its end. Runs calls through [`Calls`], which outlives
//! it; opens no socket and never comes back by itself.
//!
//! A nexus that speaks protocol 1 sends no welcome. So a link counts as accepted when the welcome comes, when
//! a call comes, or when [`WELCOME_WAIT`] has passed without a close; until a welcome says otherwise
//! the nexus is sent only what protocol 1 knows.

mod due;
mod session;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use venom_protocol::Capabilities;

use crate::broadcasts::Broadcasts;
use crate::calls::Calls;
use crate::error::LinkError;
use crate::hive::Line;
use crate::update::UpdateLine;
use crate::vitals::Vitals;
use crate::wire::Wire;
use crate::{Executor, Ready, SporeSettings};
use session::Session;

/// Silence after the handshake that is taken for the consent of a nexus which never welcomes anybody.
pub(crate) const WELCOME_WAIT: Duration = Duration::from_secs(5);

/// What all links of a spore share.
pub(crate) struct Core<E> {
    pub(crate) settings: SporeSettings,
    pub(crate) executor: Arc<E>,
    /// What the machine has; the skills are filled in for each link.
    pub(crate) machine: Capabilities,
    /// New for each start of the process.
    pub(crate) boot_id: String,
    pub(crate) vitals: Arc<Vitals>,
    /// Questions of the skills to the hive.
    pub(crate) line: Arc<Line>,
    /// Between the updater and the link.
    pub(crate) updates: Arc<UpdateLine>,
}

/// What one link hands on to the next.
pub(crate) struct Lasting<E> {
    pub(crate) calls: Calls<E>,
    pub(crate) broadcasts: Broadcasts,
    /// The agent it is part of, which fetches commands when it is woken.
    pub(crate) commands: Option<Arc<Notify>>,
    /// Whoever waits for the first link.
    pub(crate) ready: Option<oneshot::Sender<Ready>>,
}

/// The two ways to end a spore.
pub(crate) struct Signals {
    /// Finish what runs, then go.
    pub(crate) drain: CancellationToken,
    /// Go.
    pub(crate) quit: CancellationToken,
}

/// How a link ended.
#[derive(Debug)]
pub(crate) enum Ended {
    /// It broke or was closed; come back.
    Lost(LinkError),
    /// The drain is done.
    Drained,
    /// Told to quit.
    Quit,
}

/// A link that ended.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) ended: Ended,
    /// How long the nexus had accepted it; `None`: never.
    pub(crate) held: Option<Duration>,
}

/// Talks over `wire` until it ends.
pub(crate) async fn talk<E: Executor>(
    core: &Core<E>,
    lasting: &mut Lasting<E>,
    wire: Wire,
    signals: &Signals,
) -> Report {
    let mut session = Session::new(core, lasting, wire);
    let ended = match session.run(signals).await {
        Ok(ended) => ended,
        Err(error) => Ended::Lost(error),
    };
    let held = session.accepted_at().map(|at| Instant::now() - at);
    session.end(&ended).await;
    Report { ended, held }
}
