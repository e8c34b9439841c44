//! One event for every state change of a task, for those who listen here or on another nexus. They pass: a flood of
//! tasks must not push what is rare out of the history. What became of one task is always in its record.

use serde_json::{Value, json};
use venom_broker::{Dependent, Ending, EndingKind, State, Submitted, Tended};
use venom_protocol::{Event, TaskId};

use super::Hive;

impl Hive {
    /// Publishes here, and where another nexus has listeners.
    fn tell_of(&self, make: impl Fn() -> Event) {
        self.events.publish_passing(&make);
        if self.directory.others_listen() {
            self.relay(make());
        }
    }

    fn tell_task(&self, kind: &'static str, task: TaskId, what: &str, facts: impl Fn() -> Value) {
        self.tell_of(|| {
            let mut data = facts();
            if let Some(fields) = data.as_object_mut() {
                fields.insert("task_id".to_owned(), json!(task));
            }
            Event::new(kind, format!("task {task} {what}"), data)
        });
    }

    pub(super) fn tell_submitted(&self, submitted: &[Submitted]) {
        for task in submitted.iter().filter(|task| !task.existing) {
            self.tell_task("TASK_SUBMITTED", task.id, "was submitted", || json!({}));
        }
    }

    pub(super) fn tell_cancelled(&self, task: TaskId) {
        self.tell_task("TASK_CANCELLED", task, "was cancelled", || json!({}));
    }

    pub(super) fn tell_requeued(&self, task: TaskId) {
        self.tell_task("TASK_REQUEUED", task, "is in the queue again", || json!({}));
    }

    pub(super) fn tell_settled(&self, ending: &Ending, state: State) {
        let node = ending.node;
        let cancelled = |reason: &str| {
            self.tell_task(
                "TASK_CANCELLED",
                ending.id,
                "was cancelled",
                || json!({ "node_id": node, "reason": reason }),
            );
        };
        match &ending.kind {
            EndingKind::Completed { .. } => self.tell_task(
                "TASK_COMPLETED",
                ending.id,
                "completed",
                || json!({ "node_id": node, "started_at_ms": ending.started_at }),
            ),
            EndingKind::Failed { code, error } => self.tell_task(
                "TASK_FAILED",
                ending.id,
                "failed",
                || json!({ "node_id": node, "error": error, "error_code": code }),
            ),
            EndingKind::Cancelled { reason } => cancelled(reason),
            EndingKind::Retry { error, .. } if state == State::Cancelled => {
                cancelled(error);
            }
            EndingKind::Retry {
                delay,
                code,
                error,
                lost_node,
            } => self.tell_task("TASK_RETRYING", ending.id, "will run again", || {
                json!({ "node_id": node, "error": error, "error_code": code, "lost_node": lost_node,
                    "delay": delay.as_secs_f64() })
            }),
            EndingKind::Returned if state == State::Cancelled => cancelled("cancelled before it ran"),
            EndingKind::Returned => {
                self.tell_task("TASK_RETURNED", ending.id, "found no free node and waits again", || {
                    json!({})
                });
            }
        }
    }

    pub(super) fn tell_dependent(&self, dependent: &Dependent) {
        match dependent.state {
            State::Failed => self.tell_task("TASK_FAILED", dependent.id, "failed with a task it depends on", || {
                json!({})
            }),
            State::Cancelled => self.tell_task("TASK_CANCELLED", dependent.id, "was cancelled", || json!({})),
            _ => self.tell_task(
                "TASK_UNBLOCKED",
                dependent.id,
                "waits for no other task any more",
                || json!({}),
            ),
        }
    }

    pub(super) fn tell_tended(&self, tended: &Tended) {
        for task in &tended.requeued {
            self.tell_task(
                "TASK_RETRYING",
                *task,
                "lost its nexus and will run again",
                || json!({ "lost_nexus": true }),
            );
        }
        for task in &tended.cancelled {
            self.tell_task("TASK_CANCELLED", *task, "was cancelled", || json!({}));
        }
        for session in &tended.sessions_ended {
            self.events.publish(&Event::new(
                "NEXUS_LOST",
                format!(
                    "nexus {session} is gone, {} of its tasks run again",
                    tended.requeued.len()
                ),
                json!({ "session": session, "tasks": tended.requeued.len() }),
            ));
        }
    }

    pub(super) fn tell_trouble(&self, why: &str) {
        self.events.publish(&Event::new(
            "BROKER_LOST",
            why.to_owned(),
            json!({ "broker": self.broker.kind() }),
        ));
    }

    pub(super) fn tell_recovered(&self) {
        let text = format!("{} answers", self.broker.place());
        self.events.publish(&Event::new(
            "BROKER_FOUND",
            text,
            json!({ "broker": self.broker.kind() }),
        ));
    }
}
