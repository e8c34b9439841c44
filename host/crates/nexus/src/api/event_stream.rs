//! One listener's place in the events: catches up, follows, is told what it missed, ends with the nexus.

use std::sync::Arc;

use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;
use venom_protocol::Event;

use crate::events::{Events, Published, Subscription};
use crate::metrics::Metrics;
use crate::state::Shared;

/// One listener's place in the events.
pub(super) struct Follower {
    events: Arc<Events>,
    metrics: Arc<Metrics>,
    stopping: CancellationToken,
    from: Subscription,
}

impl Follower {
    /// Starts after `last_id`, or now.
    pub(super) fn new(shared: &Shared, last_id: Option<&str>) -> Self {
        Self {
            events: Arc::clone(&shared.events),
            metrics: Arc::clone(&shared.metrics),
            stopping: shared.stopping.clone(),
            from: shared.events.subscribe(last_id),
        }
    }

    /// The next event; `None` when the nexus shuts down. Loses nothing when it is dropped and asked again.
    pub(super) async fn next(&mut self) -> Option<Arc<Published>> {
        if let Some(missed) = self.from.missed.pop_front() {
            return Some(missed);
        }
        let received = tokio::select! {
            received = self.from.live.recv() => received,
            () = self.stopping.cancelled() => return None,
        };
        match received {
            Ok(event) => Some(event),
            Err(RecvError::Closed) => None,
            Err(RecvError::Lagged(count)) => Some(self.missed(count)),
        }
    }

    /// The id a listener can come back with.
    pub(super) fn id_of(&self, seq: u64) -> String {
        self.events.id_of(seq)
    }

    fn missed(&self, count: u64) -> Arc<Published> {
        self.metrics.events_missed.inc_by(count);
        let notice = Event::new(
            "EVENTS_MISSED",
            format!("{count} events were not sent, since this listener is too slow"),
            serde_json::json!({ "count": count }),
        );
        Arc::new(Published {
            seq: None,
            json: serde_json::to_string(&notice).unwrap_or_default().into(),
        })
    }
}
