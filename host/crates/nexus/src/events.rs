//! State changes for whoever listens: a bounded ring to catch up from and a bounded channel to follow.
//!
//! Nobody is waited for: a listener that is too slow is told how many events it missed.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::ws::Utf8Bytes;
use tokio::sync::broadcast;
use venom_protocol::Event;

/// Events a listener may lag behind before it misses some. Each slot is one pointer.
const LISTENER_LAG: usize = 1_024;

/// One event, written once for all listeners.
#[derive(Debug)]
pub(crate) struct Published {
    /// Its place in the history; progress has none, as it is not kept.
    pub(crate) seq: Option<u64>,
    /// As both event routes send it.
    pub(crate) json: Utf8Bytes,
}

struct Ring {
    kept: VecDeque<Arc<Published>>,
    next_seq: u64,
}

/// Where events go.
pub(crate) struct Events {
    /// Tells this process's ids from those of one before it.
    epoch: u32,
    history: usize,
    ring: Mutex<Ring>,
    live: broadcast::Sender<Arc<Published>>,
}

/// What a new listener gets: what it missed, then what comes.
pub(crate) struct Subscription {
    pub(crate) missed: VecDeque<Arc<Published>>,
    pub(crate) live: broadcast::Receiver<Arc<Published>>,
}

impl Events {
    /// Keeps the last `history` events.
    pub(crate) fn new(history: usize) -> Self {
        Self {
            epoch: rand::random(),
            history,
            ring: Mutex::new(Ring {
                kept: VecDeque::new(),
                next_seq: 1,
            }),
            live: broadcast::channel(LISTENER_LAG).0,
        }
    }

    /// Tells all listeners and keeps the event for those that come back.
    pub(crate) fn publish(&self, event: &Event) {
        let Some(json) = written(event) else { return };
        let mut ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        let published = Arc::new(Published {
            seq: Some(ring.next_seq),
            json,
        });
        ring.next_seq += 1;
        if ring.kept.len() == self.history {
            ring.kept.pop_front();
        }
        ring.kept.push_back(Arc::clone(&published));
        // under the lock, so that a new listener sees every event once; no listener is no error
        let _ = self.live.send(published);
    }

    /// Tells those that listen now. For what is frequent and soon stale; it must not push out what is kept.
    pub(crate) fn publish_passing(&self, event: impl FnOnce() -> Event) {
        if self.live.receiver_count() == 0 {
            return;
        }
        if let Some(json) = written(&event()) {
            let _ = self.live.send(Arc::new(Published { seq: None, json }));
        }
    }

    /// Starts listening. `last_id` is the last id the listener has seen: what came after it and is still
    /// kept comes first. An id of an earlier process means all that is kept.
    pub(crate) fn subscribe(&self, last_id: Option<&str>) -> Subscription {
        let ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        let missed = match last_id {
            None => VecDeque::new(),
            Some(id) => {
                let after = self.seq_of(id).unwrap_or(0);
                ring.kept
                    .iter()
                    .filter(|event| event.seq > Some(after))
                    .cloned()
                    .collect()
            }
        };
        Subscription {
            missed,
            live: self.live.subscribe(),
        }
    }

    /// The id a listener can come back with.
    pub(crate) fn id_of(&self, seq: u64) -> String {
        format!("{:08x}-{seq}", self.epoch)
    }

    /// Listeners now.
    pub(crate) fn listeners(&self) -> usize {
        self.live.receiver_count()
    }

    fn seq_of(&self, id: &str) -> Option<u64> {
        let (epoch, seq) = id.split_once('-')?;
        let ours = u32::from_str_radix(epoch, 16).ok()? == self.epoch;
        if ours { seq.parse().ok() } else { None }
    }
}

fn written(event: &Event) -> Option<Utf8Bytes> {
    match serde_json::to_string(event) {
        Ok(json) => Some(json.into()),
        Err(error) => {
            tracing::error!(%error, kind = event.kind, "event cannot be written as JSON");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(n: u32) -> Event {
        Event::new("TEST", format!("event {n}"), serde_json::json!({ "n": n }))
    }

    fn numbers(missed: &VecDeque<Arc<Published>>) -> Vec<u64> {
        missed.iter().filter_map(|event| event.seq).collect()
    }

    #[test]
    fn keeps_no_more_than_it_was_told() {
        let events = Events::new(3);
        (0..10).for_each(|n| events.publish(&event(n)));
        assert_eq!(numbers(&events.subscribe(Some("0-0")).missed), [8, 9, 10]);
    }

    #[test]
    fn replays_what_came_after_the_last_id_and_nothing_to_a_newcomer() {
        let events = Events::new(10);
        (0..5).for_each(|n| events.publish(&event(n)));
        assert_eq!(numbers(&events.subscribe(Some(&events.id_of(3))).missed), [4, 5]);
        assert!(events.subscribe(None).missed.is_empty());
    }

    #[test]
    fn an_id_of_another_process_replays_all() {
        let events = Events::new(10);
        (0..5).for_each(|n| events.publish(&event(n)));
        let foreign = format!("{:08x}-99", events.epoch.wrapping_add(1));
        assert_eq!(numbers(&events.subscribe(Some(&foreign)).missed), [1, 2, 3, 4, 5]);
        assert_eq!(numbers(&events.subscribe(Some("gibberish")).missed), [1, 2, 3, 4, 5]);
    }

    #[test]
    fn a_slow_listener_is_told_how_many_it_missed() {
        let events = Events::new(1);
        let mut slow = events.subscribe(None).live;
        for n in 0..(LISTENER_LAG as u32 + 5) {
            events.publish(&event(n));
        }
        assert!(matches!(
            slow.try_recv(),
            Err(broadcast::error::TryRecvError::Lagged(5))
        ));
    }

    #[test]
    fn passing_events_push_out_nothing() {
        let events = Events::new(1);
        events.publish(&event(1));
        let mut listener = events.subscribe(None).live;
        events.publish_passing(|| event(2));
        assert_eq!(listener.try_recv().unwrap().seq, None);
        assert_eq!(numbers(&events.subscribe(Some("x")).missed), [1]);
    }

    #[test]
    fn passing_events_are_not_made_for_nobody() {
        Events::new(1).publish_passing(|| panic!("made for nobody"));
    }
}
