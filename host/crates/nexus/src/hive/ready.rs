//! What this nexus believes about waiting work: lanes and priorities that may have some. Told by hints and by its own
//! submissions, corrected by every claim, and looked up anew now and then.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use tokio::time::Instant;
use venom_protocol::{Lane, Priority};

/// Lanes known at most. More than that are found again as others empty.
const MOST: usize = 10_000;

/// See the module.
#[derive(Default)]
pub(crate) struct ReadySet {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    /// The most urgent last; with the number of the last news.
    known: BTreeMap<(Priority, Lane), News>,
    news: u64,
}

struct News {
    number: u64,
    /// A group's limit holds it back until then.
    not_before: Option<Instant>,
}

/// A point in the news, to tell what came later.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mark(u64);

impl ReadySet {
    /// There may be work there. True when that is news.
    pub(crate) fn add(&self, lane: Lane, priority: Priority) -> bool {
        let mut inner = self.lock();
        inner.news += 1;
        let number = inner.news;
        let place = (priority, lane);
        if let Some(known) = inner.known.get_mut(&place) {
            known.number = number;
            return false;
        }
        if inner.known.len() >= MOST {
            return false;
        }
        inner.known.insert(
            place,
            News {
                number,
                not_before: None,
            },
        );
        true
    }

    /// Where to look for work now, the most urgent first, and when to look again for what is held back.
    pub(crate) fn look(&self) -> (Mark, Vec<(Lane, Priority)>, Option<Instant>) {
        let mut inner = self.lock();
        let now = Instant::now();
        let mut again: Option<Instant> = None;
        let mut open = Vec::with_capacity(inner.known.len());
        for ((priority, lane), news) in inner.known.iter_mut().rev() {
            match news.not_before {
                Some(until) if until > now => again = Some(again.map_or(until, |first| first.min(until))),
                _ => {
                    news.not_before = None;
                    open.push((lane.clone(), *priority));
                }
            }
        }
        (Mark(inner.news), open, again)
    }

    /// A claim found nothing (more) there. What was told since the claim began stays.
    pub(crate) fn remove(&self, lane: Lane, priority: Priority, since: Mark) {
        let mut inner = self.lock();
        let place = (priority, lane);
        if inner.known.get(&place).is_some_and(|news| news.number <= since.0) {
            inner.known.remove(&place);
        }
    }

    /// A group's limit holds it back.
    pub(crate) fn hold_back(&self, lane: Lane, priority: Priority, until: Instant) {
        if let Some(news) = self.lock().known.get_mut(&(priority, lane)) {
            news.not_before = Some(until);
        }
    }

    /// A group may have room again: nothing of it is held back.
    pub(crate) fn release(&self, group: &str) {
        for ((_, lane), news) in &mut self.lock().known {
            if news.not_before.is_some() && lane.group().as_deref() == Some(group) {
                news.not_before = None;
            }
        }
    }

    /// Some group may have room again.
    pub(crate) fn release_all(&self) {
        for news in self.lock().known.values_mut() {
            news.not_before = None;
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use venom_protocol::Requirements;

    use super::*;

    fn lane(name: &str) -> Lane {
        Lane::of(name, &Requirements::default(), None)
    }

    #[test]
    fn the_most_urgent_comes_first() {
        let set = ReadySet::default();
        assert!(set.add(lane("a"), Priority::BACKGROUND));
        assert!(set.add(lane("b"), Priority::HIGH));
        assert!(!set.add(lane("b"), Priority::HIGH));
        let (_, open, _) = set.look();
        assert_eq!(open, [(lane("b"), Priority::HIGH), (lane("a"), Priority::BACKGROUND)]);
    }

    #[test]
    fn news_that_came_while_a_claim_was_under_way_is_kept() {
        let set = ReadySet::default();
        set.add(lane("a"), Priority::HIGH);
        let (mark, ..) = set.look();
        set.add(lane("a"), Priority::HIGH);
        set.remove(lane("a"), Priority::HIGH, mark);
        let (mark, open, _) = set.look();
        assert_eq!(open.len(), 1);
        set.remove(lane("a"), Priority::HIGH, mark);
        assert!(set.look().1.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_held_back_is_not_looked_at_until_its_time_or_its_release() {
        let set = ReadySet::default();
        let grouped = Lane::of("a", &Requirements::default(), Some("nightly"));
        set.add(grouped.clone(), Priority::HIGH);
        let until = Instant::now() + Duration::from_secs(1);
        set.hold_back(grouped.clone(), Priority::HIGH, until);
        let (_, open, again) = set.look();
        assert_eq!((open.len(), again), (0, Some(until)));
        set.release("other");
        assert!(set.look().1.is_empty());
        set.release("nightly");
        assert_eq!(set.look().1.len(), 1);
        set.hold_back(grouped, Priority::HIGH, until);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(set.look().1.len(), 1);
    }
}
