//! Control broadcasts: which of them are new, meant for this spore, and to be believed. They come over the link, from an
//! authenticated nexus, and where a spore is attached to Redis from there too, from anybody who can write to it. Decides,
//! and does nothing itself.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::mpsc;
use tokio::time::Instant;
use venom_protocol::{Broadcast, ControlBroadcast, NodeId};

/// A copy that comes later than this is taken for a new broadcast.
const REMEMBERED: Duration = Duration::from_secs(300);

/// Broadcasts remembered at one time; the oldest go first.
const MOST_REMEMBERED: usize = 256;

/// Reports that Redis can ask for: whoever writes there must not make the spores flood their nexus.
const REPORT_GAP: Duration = Duration::from_secs(1);

/// Where a broadcast came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Via {
    /// The nexus sent it over the link.
    Link,
    /// Somebody wrote it to Redis.
    Redis,
}

/// What to do about a broadcast.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// Tell the nexus now how this spore is.
    Report,
    /// Finish what runs, then end.
    Drain,
    /// Ask the nexus what is new.
    Update,
    /// Have the agent that this spore is part of ask for its commands.
    Commands,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Broadcasts {
    node_id: NodeId,
    redis: Option<mpsc::Receiver<ControlBroadcast>>,
    /// Oldest first.
    seen: VecDeque<(Instant, u64)>,
    reported: Option<Instant>,
}

impl Broadcasts {
    pub(crate) fn new(node_id: NodeId, redis: Option<mpsc::Receiver<ControlBroadcast>>) -> Self {
        Self {
            node_id,
            redis,
            seen: VecDeque::new(),
            reported: None,
        }
    }

    /// The next one from Redis; waits for ever where there is none. Loses nothing when dropped.
    pub(crate) async fn next(&mut self) -> Broadcast {
        if let Some(redis) = &mut self.redis
            && let Some(heard) = redis.recv().await
        {
            return Broadcast {
                command: heard.command,
                data: heard.data,
                sent_at: heard.timestamp,
            };
        }
        self.redis = None;
        std::future::pending().await
    }

    /// What to do about it; `None`: nothing.
    pub(crate) fn judge(&mut self, broadcast: &Broadcast, via: Via, now: Instant) -> Option<Order> {
        let Broadcast { command, data, .. } = broadcast;
        if command == "SHUTDOWN" && via == Via::Redis {
            // not remembered: the nexus may send the same on
            tracing::warn!(%data, "SHUTDOWN on redis is not obeyed: anybody can write there; send it through a nexus");
            return None;
        }
        if !self.is_new(broadcast, now) {
            tracing::debug!(command, "a control broadcast came again");
            return None;
        }
        match command.as_str() {
            "STATUS" => self.may_report(via, now).then_some(Order::Report),
            "SHUTDOWN" => self.is_meant(data).then(|| {
                tracing::info!("told by the nexus to shut down");
                Order::Drain
            }),
            "UPDATE_SYSTEM" => {
                tracing::debug!(%data, ?via, "the hive announces an update");
                Some(Order::Update)
            }
            Broadcast::AGENT_COMMANDS if via == Via::Link => Some(Order::Commands),
            _ => {
                tracing::warn!(
                    command,
                    ?via,
                    "unknown control broadcast; known are STATUS, SHUTDOWN, UPDATE_SYSTEM"
                );
                None
            }
        }
    }

    fn is_new(&mut self, broadcast: &Broadcast, now: Instant) -> bool {
        while self
            .seen
            .front()
            .is_some_and(|(at, _)| now.saturating_duration_since(*at) >= REMEMBERED)
        {
            self.seen.pop_front();
        }
        let digest = digest(broadcast);
        if self.seen.iter().any(|(_, seen)| *seen == digest) {
            return false;
        }
        if self.seen.len() >= MOST_REMEMBERED {
            self.seen.pop_front();
        }
        self.seen.push_back((now, digest));
        true
    }

    fn may_report(&mut self, via: Via, now: Instant) -> bool {
        let soon = |at: Instant| now.saturating_duration_since(at) < REPORT_GAP;
        if via == Via::Redis && self.reported.is_some_and(soon) {
            return false;
        }
        self.reported = Some(now);
        true
    }

    /// Whether `node_ids` names this node, or nobody in particular is named.
    fn is_meant(&self, data: &Value) -> bool {
        let Some(named) = data.get("node_ids").filter(|named| !named.is_null()) else {
            return true;
        };
        let Some(named) = named.as_array() else {
            tracing::warn!(%data, "SHUTDOWN is not obeyed: its `node_ids` is no list of node ids");
            return false;
        };
        let own = self.node_id.to_string();
        named
            .iter()
            .filter_map(Value::as_str)
            .any(|id| id.eq_ignore_ascii_case(&own))
    }
}

/// Tells broadcasts apart without keeping their data, which may be large.
fn digest(broadcast: &Broadcast) -> u64 {
    let mut hasher = DefaultHasher::new();
    broadcast.command.hash(&mut hasher);
    broadcast.sent_at.to_string().hash(&mut hasher);
    broadcast.data.to_string().hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use venom_protocol::Timestamp;

    use super::*;

    fn broadcast(command: &str, data: Value, second: u32) -> Broadcast {
        let sent_at = format!("2026-03-01T12:00:{second:02}Z");
        Broadcast {
            command: command.to_owned(),
            data,
            sent_at: Timestamp::parse(&sent_at).expect("a time"),
        }
    }

    fn broadcasts() -> Broadcasts {
        Broadcasts::new(NodeId::random(), None)
    }

    #[test]
    fn a_second_copy_is_ignored_until_it_is_forgotten() {
        let (mut heard, now) = (broadcasts(), Instant::now());
        let status = broadcast("STATUS", json!({}), 0);
        assert_eq!(heard.judge(&status, Via::Link, now), Some(Order::Report));
        assert_eq!(heard.judge(&status, Via::Link, now), None);
        assert_eq!(heard.judge(&status, Via::Redis, now), None);
        for other in [
            broadcast("STATUS", json!({"a": 1}), 0),
            broadcast("STATUS", json!({}), 1),
        ] {
            assert_eq!(heard.judge(&other, Via::Link, now), Some(Order::Report));
        }
        assert_eq!(heard.judge(&status, Via::Link, now + REMEMBERED), Some(Order::Report));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let (mut heard, now) = (broadcasts(), Instant::now());
        for number in 0..3 * MOST_REMEMBERED {
            heard.judge(&broadcast("STATUS", json!(number), 0), Via::Link, now);
        }
        assert_eq!(heard.seen.len(), MOST_REMEMBERED);
    }

    #[test]
    fn that_commands_wait_is_for_the_nexus_to_say() {
        let (mut heard, now) = (broadcasts(), Instant::now());
        let hint = |second| broadcast(Broadcast::AGENT_COMMANDS, json!({}), second);
        assert_eq!(heard.judge(&hint(0), Via::Redis, now), None);
        assert_eq!(heard.judge(&hint(1), Via::Link, now), Some(Order::Commands));
    }

    #[test]
    fn shutdown_is_obeyed_from_the_nexus_only_even_when_redis_had_it_first() {
        let (mut heard, now) = (broadcasts(), Instant::now());
        let shutdown = broadcast("SHUTDOWN", json!({}), 0);
        assert_eq!(heard.judge(&shutdown, Via::Redis, now), None);
        assert_eq!(heard.judge(&shutdown, Via::Link, now), Some(Order::Drain));
    }

    #[test]
    fn shutdown_of_named_nodes_is_for_them() {
        let (mut heard, now) = (broadcasts(), Instant::now());
        let own = heard.node_id.to_string();
        let cases = [
            (json!({"node_ids": [NodeId::random().to_string(), own]}), true),
            (json!({"node_ids": null}), true),
            (json!(null), true),
            (json!({"node_ids": [NodeId::random().to_string()]}), false),
            (json!({"node_ids": []}), false),
            (json!({"node_ids": own}), false),
            (json!({"node_ids": [7, null]}), false),
        ];
        for (data, obeyed) in cases {
            let order = heard.judge(&broadcast("SHUTDOWN", data.clone(), 0), Via::Link, now);
            assert_eq!(order.is_some(), obeyed, "{data}");
        }
    }

    #[test]
    fn redis_cannot_ask_for_a_flood_of_reports() {
        let (mut heard, now) = (broadcasts(), Instant::now());
        let asked = (0..60).map(|second| heard.judge(&broadcast("STATUS", json!({}), second), Via::Redis, now));
        assert_eq!(asked.flatten().count(), 1);
        let later = heard.judge(&broadcast("STATUS", json!(2), 0), Via::Redis, now + REPORT_GAP);
        assert_eq!(later, Some(Order::Report));
    }

    #[test]
    fn news_and_nonsense_change_nothing() {
        let (mut heard, now) = (broadcasts(), Instant::now());
        for command in ["status", "", "REBOOT"] {
            assert_eq!(heard.judge(&broadcast(command, json!({}), 0), Via::Link, now), None);
        }
    }

    #[test]
    fn an_announcement_from_anywhere_is_a_reason_to_ask_once() {
        let (mut heard, now) = (broadcasts(), Instant::now());
        let announced = broadcast("UPDATE_SYSTEM", json!({"seq": 3}), 0);
        assert_eq!(heard.judge(&announced, Via::Redis, now), Some(Order::Update));
        assert_eq!(heard.judge(&announced, Via::Link, now), None);
    }
}
