//! SIGTERM and SIGINT: the first one drains, the second one quits.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::failure::{Explain as _, Failure};

/// What the signals have asked for so far.
pub(crate) struct Signals {
    /// Cancelled by the first signal: finish what runs, take nothing new.
    pub drain: CancellationToken,
    /// Cancelled by the second: stop now.
    pub quit: CancellationToken,
    watcher: JoinHandle<()>,
}

impl Signals {
    /// Starts to listen. From here on the signals no longer end the process by themselves.
    pub(crate) fn watch() -> Result<Self, Failure> {
        let terminate = signal(SignalKind::terminate()).or_fail("cannot listen for SIGTERM")?;
        let interrupt = signal(SignalKind::interrupt()).or_fail("cannot listen for SIGINT")?;
        let (drain, quit) = (CancellationToken::new(), CancellationToken::new());
        let watcher = tokio::spawn(watch(terminate, interrupt, drain.clone(), quit.clone()));
        Ok(Self { drain, quit, watcher })
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        self.watcher.abort();
    }
}

async fn watch(mut terminate: Signal, mut interrupt: Signal, drain: CancellationToken, quit: CancellationToken) {
    next(&mut terminate, &mut interrupt).await;
    tracing::info!("asked to stop: draining; a second signal quits at once");
    drain.cancel();
    next(&mut terminate, &mut interrupt).await;
    tracing::warn!("asked to stop again: quitting");
    quit.cancel();
}

async fn next(terminate: &mut Signal, interrupt: &mut Signal) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}
