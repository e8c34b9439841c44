//! Who is next. Pure: knows batches by their seq, and no disk.
//!
//! Turns alternate: one for the oldest that waits, one for the oldest of those that are fresh. So a backlog is worked off in its
//! order, and what is seen today does not wait for it.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use venom_protocol::Timestamp;

use super::batch::BatchKey;
use super::record::Head;

/// How long a batch is fresh.
const FRESH: Duration = Duration::from_secs(15 * 60);

/// A batch that waits.
#[derive(Debug, Clone, Copy)]
pub(super) struct Waiting {
    pub(super) head: Head,
    pub(super) segment: u64,
    /// Where its body begins in the segment.
    pub(super) body_at: u64,
    pub(super) tries: u32,
    pub(super) in_flight: bool,
    /// Not before this, on the caller's steady clock.
    not_before: Duration,
}

/// All that wait.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: BTreeMap<u64, Waiting>,
    seqs: HashMap<BatchKey, u64>,
    bytes: u64,
    turn_of_fresh: bool,
}

impl Queue {
    pub(super) fn add(&mut self, head: Head, segment: u64, body_at: u64) {
        self.bytes = self.bytes.saturating_add(u64::from(head.length));
        self.seqs.insert(head.key, head.seq);
        let waiting = Waiting {
            head,
            segment,
            body_at,
            tries: 0,
            in_flight: false,
            not_before: Duration::ZERO,
        };
        self.waiting.insert(head.seq, waiting);
    }

    pub(super) fn remove(&mut self, seq: u64) -> Option<Waiting> {
        let waiting = self.waiting.remove(&seq)?;
        self.seqs.remove(&waiting.head.key);
        self.bytes = self.bytes.saturating_sub(u64::from(waiting.head.length));
        Some(waiting)
    }

    pub(super) fn find(&self, key: &BatchKey) -> Option<Waiting> {
        self.waiting.get(self.seqs.get(key)?).copied()
    }

    pub(super) fn len(&self) -> u64 {
        self.waiting.len() as u64
    }

    /// Bytes of all bodies.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The oldest that is not being sent.
    pub(super) fn oldest_idle(&self) -> Option<Waiting> {
        self.waiting.values().find(|waiting| !waiting.in_flight).copied()
    }

    /// Those of one segment that are not being sent.
    pub(super) fn idle_of(&self, segment: u64) -> Vec<Waiting> {
        let idle = |waiting: &&Waiting| waiting.segment == segment && !waiting.in_flight;
        self.waiting.values().filter(idle).copied().collect()
    }

    /// Whose turn it is; it is being sent from now on.
    pub(super) fn next(&mut self, wall: Timestamp, steady: Duration) -> Option<Waiting> {
        let ready = |waiting: &&Waiting| !waiting.in_flight && waiting.not_before <= steady;
        let fresh_since = wall.0.saturating_sub(FRESH).map_or(wall, Timestamp);
        let mut chosen = None;
        if self.turn_of_fresh {
            let fresh = self.waiting.values().rev().take_while(|it| it.head.at >= fresh_since);
            chosen = fresh.filter(ready).last().map(|it| it.head.seq);
        }
        let chosen = chosen.or_else(|| self.waiting.values().find(ready).map(|it| it.head.seq))?;
        self.turn_of_fresh = !self.turn_of_fresh;
        let waiting = self.waiting.get_mut(&chosen)?;
        waiting.in_flight = true;
        let copy = *waiting;
        waiting.tries = waiting.tries.saturating_add(1);
        Some(copy)
    }

    /// It was not taken; its next turn is not before this.
    pub(super) fn postpone(&mut self, key: &BatchKey, until: Duration) {
        let waiting = self.seqs.get(key).and_then(|seq| self.waiting.get_mut(seq));
        if let Some(waiting) = waiting {
            waiting.in_flight = false;
            waiting.not_before = until;
        }
    }

    /// When the first of those that are not being sent is ready.
    pub(super) fn ready_at(&self) -> Option<Duration> {
        let idle = self.waiting.values().filter(|waiting| !waiting.in_flight);
        idle.map(|waiting| waiting.not_before).min()
    }
}

#[cfg(test)]
mod tests {
    use super::super::batch::BatchKind;
    use super::*;

    fn at(minute: i64) -> Timestamp {
        Timestamp(jiff::Timestamp::from_second(1_780_000_000 + minute * 60).unwrap())
    }

    fn queue(minutes: impl IntoIterator<Item = i64>) -> Queue {
        let mut queue = Queue::default();
        for (seq, minute) in (1..).zip(minutes) {
            let head = Head {
                seq,
                key: BatchKey::new(),
                kind: BatchKind::Discovery,
                at: at(minute),
                length: 10,
                body_crc: 0,
            };
            queue.add(head, 1, 0);
        }
        queue
    }

    fn order(queue: &mut Queue, wall: Timestamp) -> Vec<u64> {
        let next = || queue.next(wall, Duration::ZERO).map(|waiting| waiting.head.seq);
        std::iter::from_fn(next).collect()
    }

    #[test]
    fn a_backlog_is_in_order_and_fresh_ones_go_between() {
        // five of last week, three of now
        let mut queue = queue([-9_000, -8_000, -7_000, -6_000, -5_000, 0, 1, 2]);
        assert_eq!(order(&mut queue, at(2)), [1, 6, 2, 7, 3, 8, 4, 5]);
    }

    #[test]
    fn without_a_backlog_everything_is_in_order() {
        assert_eq!(order(&mut queue([0, 1, 2, 3]), at(3)), [1, 2, 3, 4]);
        assert_eq!(order(&mut queue([-90, -80, -70]), at(3)), [1, 2, 3]);
    }

    #[test]
    fn a_clock_that_was_set_back_hides_nothing() {
        let mut queue = queue([0, 1, -500_000, -500_000]);
        assert_eq!(order(&mut queue, at(-500_000)).len(), 4);
    }

    #[test]
    fn what_is_postponed_lets_the_others_by() {
        let mut queue = queue([0, 1, 2]);
        let first = queue.next(at(3), Duration::ZERO).unwrap();
        queue.postpone(&first.head.key, Duration::from_secs(60));
        assert_eq!(order(&mut queue, at(3)), [2, 3]);
        assert_eq!(queue.ready_at(), Some(Duration::from_secs(60)));
        assert!(queue.next(at(3), Duration::from_secs(59)).is_none());
        let again = queue.next(at(3), Duration::from_secs(60)).unwrap();
        assert_eq!((again.head.seq, again.tries), (1, 1));
        assert_eq!((queue.len(), queue.bytes()), (3, 30));
        queue.remove(1);
        assert_eq!((queue.len(), queue.bytes()), (2, 20));
    }
}
