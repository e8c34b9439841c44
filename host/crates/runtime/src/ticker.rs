//! The one thread that advances an engine's epoch. It does nothing else, so that nothing can hold it up.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use wasmtime::Engine;

use crate::RuntimeError;

/// Stops its thread when dropped.
#[derive(Debug)]
pub(crate) struct Ticker {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Ticker {
    pub(crate) fn start(engine: &Engine, every: Duration) -> Result<Self, RuntimeError> {
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, engine) = (Arc::clone(&stop), engine.clone());
        let thread = thread::Builder::new()
            .name("venom-epoch".to_owned())
            .spawn(move || tick(&engine, every, &stopped))
            .map_err(RuntimeError::Ticker)?;
        Ok(Self {
            stop,
            thread: Some(thread),
        })
    }
}

/// Sleeps towards fixed points in time, so that lateness does not add up.
fn tick(engine: &Engine, every: Duration, stop: &AtomicBool) {
    let mut next = Instant::now() + every;
    while !stop.load(Ordering::Acquire) {
        let now = Instant::now();
        if now < next {
            thread::park_timeout(next - now);
            continue;
        }
        engine.increment_epoch();
        next = now.max(next) + every;
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // A panic of the ticker would have been reported by its own hook; there is nothing to add here.
            drop(thread.join());
        }
    }
}
