//! What is said about releases: hints to spores and nexuses, events, audit lines. A hint carries no authority: whoever
//! hears one asks.

use serde_json::{Value, json};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use venom_broker::Hint;
use venom_protocol::{ControlBroadcast, Event, Timestamp};

use super::shelf::Line;
use super::{Releases, Who};

/// The command of hints about releases.
const COMMAND: &str = "UPDATE_SYSTEM";

impl Releases {
    /// Says on the broadcast channel that there is something new. It comes back as a hint to every nexus, this one too,
    /// which looks and then tells its spores.
    pub(super) async fn announce(&self, data: Value) {
        let control = ControlBroadcast {
            command: COMMAND.to_owned(),
            data,
            timestamp: Timestamp::now(),
        };
        let said = match serde_json::to_string(&control) {
            Ok(text) => self.broker.broadcast(text).await,
            Err(error) => return tracing::error!(%error, "hint cannot be written as JSON"),
        };
        if let Err(error) = said {
            tracing::warn!(%error, "the hint did not reach the broker: other nexuses and their spores learn of it by looking");
            self.hive.pass_on(&control);
        }
    }

    /// Facts of a channel for a hint.
    pub(super) fn facts(line: &Line) -> Value {
        let release = line.release();
        json!({ "channel": release.channel, "epoch": release.epoch, "seq": release.seq,
            "release_sha256": line.sha256, "counter": line.counter() })
    }

    /// Follows hints for ever: looks, and only then tells the spores, so that who asks finds what was hinted.
    pub(super) async fn hear(self: std::sync::Arc<Self>, mut hints: Receiver<Hint>) {
        loop {
            match hints.recv().await {
                Ok(Hint::Broadcast(text)) => self.on_broadcast(&text).await,
                Ok(Hint::Resync) | Err(RecvError::Lagged(_)) => self.look_or_complain().await,
                Ok(_) => {}
                Err(RecvError::Closed) => return,
            }
        }
    }

    async fn on_broadcast(&self, text: &str) {
        // whatever else is on the channel is the hive's
        let control = serde_json::from_str::<ControlBroadcast>(text).ok();
        let Some(control) = control.filter(is_ours) else {
            return;
        };
        self.look_or_complain().await;
        self.hive.pass_on(&control);
        self.stirred.notify_one();
    }

    pub(super) async fn look_or_complain(&self) {
        if let Err(error) = self.look().await {
            tracing::warn!(%error, "releases cannot be looked at; what was seen last is served");
        }
    }

    /// An event for listeners everywhere, and a line of the audit with who did it.
    pub(super) fn record(&self, kind: &'static str, message: String, mut facts: Value, who: &Who) {
        self.hive.tell_everybody(Event::new(kind, message, facts.clone()));
        if let Some(fields) = facts.as_object_mut() {
            fields.insert("by".to_owned(), json!(&*who.name));
            fields.insert("peer".to_owned(), json!(who.peer));
        }
        self.audit.record(audit_name(kind), facts);
    }

    /// A document that should not exist.
    pub(super) fn alarm(&self, found_by: &str, why: &str) {
        self.metrics.alarms.inc();
        let facts = json!({ "found_by": found_by, "reason": why });
        self.audit.record("trust_alarm", facts.clone());
        self.hive
            .tell_everybody(Event::new("TRUST_ALARM", format!("{found_by}: {why}"), facts));
    }
}

/// Whether a control broadcast is a hint about releases.
pub(crate) fn is_ours(control: &ControlBroadcast) -> bool {
    control.command == COMMAND
}

/// The audit writes small what events write large.
pub(super) fn audit_name(kind: &'static str) -> &'static str {
    match kind {
        "RELEASE_PUBLISHED" => "release_published",
        "ROLLOUT_WAVE" => "rollout_wave",
        "ROLLOUT_PAUSED" => "rollout_paused",
        "ROLLOUT_RESUMED" => "rollout_resumed",
        "ROLLOUT_ABORTED" => "rollout_aborted",
        "ROLLOUT_REVERTED" => "rollout_reverted",
        "ROLLOUT_COMPLETED" => "rollout_completed",
        "ROOT_ROTATED" => "root_rotated",
        "SKILL_UPDATED" => "skill_updated",
        "SKILL_ROLLED_BACK" => "skill_rolled_back",
        "SKILL_HELD" => "skill_held",
        "SKILL_FAILED" => "skill_failed",
        other => other,
    }
}
