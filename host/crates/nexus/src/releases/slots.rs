//! How many downloads may run. A place whose holder does not move is given to the next: a client that stops reading
//! must not hold up a fleet.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A download that has not moved for this long gives its place up when another wants it.
const STALLED: Duration = Duration::from_secs(30);

/// See the module.
#[derive(Debug)]
pub(crate) struct Slots {
    most: usize,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    next: u64,
    moved: HashMap<u64, Instant>,
}

/// A place; dropping it gives it up.
#[derive(Debug)]
pub(crate) struct Slot {
    slots: Arc<Slots>,
    number: u64,
}

impl Slots {
    pub(crate) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self {
            most,
            inner: Mutex::default(),
        })
    }

    /// A place, if there is one.
    pub(crate) fn take(self: &Arc<Self>, now: Instant) -> Option<Slot> {
        let mut inner = self.lock();
        if inner.moved.len() >= self.most {
            inner
                .moved
                .retain(|_, moved| now.saturating_duration_since(*moved) < STALLED);
        }
        if inner.moved.len() >= self.most {
            return None;
        }
        let number = inner.next;
        inner.next += 1;
        inner.moved.insert(number, now);
        drop(inner);
        Some(Slot {
            slots: Arc::clone(self),
            number,
        })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Slot {
    /// It moves. False: the place was given to another.
    pub(crate) fn moves(&self, now: Instant) -> bool {
        let mut inner = self.slots.lock();
        let moved = inner.moved.get_mut(&self.number);
        moved.map(|moved| *moved = now).is_some()
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.slots.lock().moved.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_bounded_and_given_back() {
        let (slots, now) = (Slots::new(2), Instant::now());
        let (one, two) = (slots.take(now).unwrap(), slots.take(now).unwrap());
        assert!(slots.take(now).is_none());
        drop(one);
        let three = slots.take(now).unwrap();
        assert!(two.moves(now) && three.moves(now) && slots.take(now).is_none());
    }

    #[test]
    fn who_does_not_move_makes_room_only_when_another_wants_it() {
        let (slots, now) = (Slots::new(2), Instant::now());
        let (still, moving) = (slots.take(now).unwrap(), slots.take(now).unwrap());
        let later = now + STALLED;
        assert!(still.moves(now) && moving.moves(later), "nobody wanted it");
        let next = slots.take(later).unwrap();
        assert!(!still.moves(later), "its place is gone");
        assert!(moving.moves(later) && next.moves(later));
        drop(still);
        assert!(slots.take(later).is_none(), "what was given up is not given up twice");
    }
}
