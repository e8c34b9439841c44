//! When spores of this process heard an announcement: taken from their own log events.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;

/// The module whose debug event is the moment a spore has read an announcement.
const TARGET: &str = "venom_spore::broadcasts";

/// Moments at which announcements were heard. Clones share them.
#[derive(Clone, Default)]
pub(super) struct Heard(Arc<Mutex<Vec<Instant>>>);

impl Heard {
    /// Begins to listen in this process.
    pub(super) fn listen() -> Self {
        let heard = Self::default();
        // a second measurement of one run finds the first one's listener in place
        let _ = tracing_subscriber::registry().with(heard.clone()).try_init();
        heard
    }

    pub(super) fn take(&self) -> Vec<Instant> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn count(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

impl<S: Subscriber> Layer<S> for Heard {
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        metadata.target() == TARGET && *metadata.level() == Level::DEBUG
    }

    fn on_event(&self, _: &Event<'_>, _: Context<'_, S>) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(Instant::now());
    }
}
