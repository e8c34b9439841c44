//! Which calls may begin: at most `concurrency` of a skill and `slots` in all. Those over it wait for their turn,
//! but no longer than their own deadline, and not without end.

use std::sync::atomic::{AtomicU32, Ordering};

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Calls of one skill that may wait. More would only wait to time out; their callers should go elsewhere.
const MAX_WAITING: u32 = 4_096;

/// The door of one skill.
#[derive(Debug)]
pub(crate) struct Admission {
    permits: Semaphore,
    waiting: AtomicU32,
}

/// Held while a call runs.
pub(crate) struct Admitted<'a> {
    _skill: SemaphorePermit<'a>,
    _slot: SemaphorePermit<'a>,
}

/// Why a call may not begin.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NotAdmitted {
    /// Too many are waiting already.
    Full,
    /// Its turn did not come in time.
    Late,
    /// Its caller went away.
    Cancelled,
    /// Another version took over.
    Replaced,
}

impl Admission {
    pub(crate) fn new(concurrency: u32) -> Self {
        Self {
            permits: Semaphore::new(
                usize::try_from(concurrency)
                    .unwrap_or(Semaphore::MAX_PERMITS)
                    .min(Semaphore::MAX_PERMITS),
            ),
            waiting: AtomicU32::new(0),
        }
    }

    pub(crate) async fn enter<'a>(
        &'a self,
        slots: &'a Semaphore,
        deadline: Instant,
        cancel: &CancellationToken,
    ) -> Result<Admitted<'a>, NotAdmitted> {
        if cancel.is_cancelled() {
            return Err(NotAdmitted::Cancelled);
        }
        if let Ok(skill) = self.permits.try_acquire()
            && let Ok(slot) = slots.try_acquire()
        {
            return Ok(Admitted {
                _skill: skill,
                _slot: slot,
            });
        }
        let _place = Place::take(&self.waiting)?;
        let turn = async {
            let skill = self.permits.acquire().await;
            let slot = slots.acquire().await;
            skill.ok().zip(slot.ok())
        };
        tokio::select! {
            biased;
            turn = turn => {
                let (skill, slot) = turn.ok_or(NotAdmitted::Full)?;
                Ok(Admitted { _skill: skill, _slot: slot })
            }
            () = cancel.cancelled() => Err(NotAdmitted::Cancelled),
            () = tokio::time::sleep_until(deadline) => Err(NotAdmitted::Late),
        }
    }
}

/// One place in the queue.
struct Place<'a>(&'a AtomicU32);

impl<'a> Place<'a> {
    fn take(waiting: &'a AtomicU32) -> Result<Self, NotAdmitted> {
        let room = |waiting: u32| (waiting < MAX_WAITING).then_some(waiting + 1);
        match waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, room) {
            Ok(_) => Ok(Self(waiting)),
            Err(_) => Err(NotAdmitted::Full),
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_call_waits_for_its_turn_but_not_past_its_deadline() {
        let (door, slots, cancel) = (Admission::new(1), Semaphore::new(9), CancellationToken::new());
        let soon = Instant::now() + Duration::from_secs(1);
        let first = door.enter(&slots, soon, &cancel).await.unwrap();
        assert_eq!(door.enter(&slots, soon, &cancel).await.err(), Some(NotAdmitted::Late));
        drop(first);
        assert!(door.enter(&slots, soon, &cancel).await.is_ok());
        assert_eq!(door.waiting.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn the_queue_is_bounded() {
        let (door, slots, cancel) = (Admission::new(1), Semaphore::new(9), CancellationToken::new());
        let later = Instant::now() + Duration::from_secs(60);
        let _first = door.enter(&slots, later, &cancel).await.unwrap();
        door.waiting.store(MAX_WAITING, Ordering::Relaxed);
        assert_eq!(door.enter(&slots, later, &cancel).await.err(), Some(NotAdmitted::Full));
    }
}
