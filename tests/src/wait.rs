//! Waiting for conditions, with a deadline.

use std::time::Duration;

use anyhow::{Result, bail};
use tokio::time::{Instant, interval, timeout};

/// Nothing in a test takes this long unless it is broken.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// Pause between two looks at a condition nobody announces.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// The outcome of `future`, which must come before the deadline.
///
/// # Errors
/// When it does not.
pub async fn soon<T>(what: &str, future: impl Future<Output = T>) -> Result<T> {
    match timeout(DEADLINE, future).await {
        Ok(outcome) => Ok(outcome),
        Err(_) => bail!("{what} did not happen within {DEADLINE:?}"),
    }
}

/// Looks again and again until `look` finds something.
///
/// # Errors
/// When it finds nothing before the deadline, or fails.
pub async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Result<Option<T>>) -> Result<T> {
    let end = Instant::now() + DEADLINE;
    let mut looks = interval(LOOK_EVERY);
    while Instant::now() < end {
        looks.tick().await;
        if let Some(found) = look().await? {
            return Ok(found);
        }
    }
    bail!("{what} did not happen within {DEADLINE:?}")
}
