//! What becomes of a task whose run has ended: one table, no state.

use std::time::Duration;

use venom_protocol::ErrorCode;

use crate::backoff;
use crate::task::{CallReport, Settlement, TaskOrder};

/// How a run ended.
#[derive(Debug, Clone, Copy)]
pub(crate) enum RunEnd<'a> {
    /// The node answered.
    Answered(&'a CallReport),
    /// The node is gone. The text says how, and names it.
    Lost(&'a str),
    /// The deadline passed without an answer. The text names the node.
    Overran(&'a str),
}

/// What is done about it. `cancelled`: somebody wanted the task stopped while it ran; `poison`: as many lost nodes park
/// a task.
pub(crate) fn verdict(order: &TaskOrder, end: RunEnd<'_>, cancelled: bool, poison: u32) -> Settlement {
    match end {
        RunEnd::Answered(report) if report.success => Settlement::Complete,
        _ if cancelled => cancel(),
        RunEnd::Answered(report) => answered(order, report),
        RunEnd::Lost(why) => lost(order, why, poison),
        RunEnd::Overran(message) => again_or_fail(order, ErrorCode::TimedOut, message.to_owned()),
    }
}

/// Somebody wanted it stopped.
pub(crate) fn cancel() -> Settlement {
    Settlement::Cancel {
        reason: "cancelled on request".to_owned(),
    }
}

fn answered(order: &TaskOrder, report: &CallReport) -> Settlement {
    let code = report.code.unwrap_or(ErrorCode::SkillFailed);
    let message = || match &report.error {
        Some(error) => error.clone(),
        None => format!("the skill failed ({}) and said no more", code.as_str()),
    };
    match code {
        // the skill never began
        ErrorCode::Busy | ErrorCode::Draining => Settlement::Return,
        // another run would be told the same
        ErrorCode::InvalidParams | ErrorCode::UnknownMethod | ErrorCode::Denied => Settlement::Fail {
            code,
            message: message(),
        },
        // `UnknownSkill`: the node has just lost it; `Cancelled`: nobody here asked for that, so the node gave up
        ErrorCode::SkillFailed
        | ErrorCode::Trapped
        | ErrorCode::TimedOut
        | ErrorCode::LimitExceeded
        | ErrorCode::Unavailable
        | ErrorCode::UnknownSkill
        | ErrorCode::NotFound
        | ErrorCode::Cancelled
        | ErrorCode::NodeLost => again_or_fail(order, code, message()),
    }
}

fn lost(order: &TaskOrder, why: &str, poison: u32) -> Settlement {
    let losses = order.losses.saturating_add(1);
    let code = ErrorCode::NodeLost;
    if losses >= poison {
        let message = format!(
            "parked after it lost {losses} nodes while they ran it; the last time: {why}; requeue it when the cause is mended"
        );
        return Settlement::Fail { code, message };
    }
    Settlement::Retry {
        delay: Duration::ZERO,
        code,
        message: why.to_owned(),
        lost_node: true,
    }
}

fn again_or_fail(order: &TaskOrder, code: ErrorCode, message: String) -> Settlement {
    // runs that lost their node were not the task's fault
    let failed_runs = order.attempt.saturating_sub(order.losses).max(1);
    if failed_runs > order.max_retries {
        return Settlement::Fail { code, message };
    }
    Settlement::Retry {
        delay: backoff::wait(&order.backoff, order.task_id, failed_runs),
        code,
        message,
        lost_node: false,
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;
    use venom_protocol::{Backoff, Lane, Placement, Priority, RequestId, Requirements, TaskId};

    use super::*;

    const POISON: u32 = 5;

    fn order(attempt: u32, losses: u32, max_retries: u32) -> TaskOrder {
        TaskOrder {
            request_id: RequestId(Uuid::from_u128(1)),
            task_id: TaskId(Uuid::from_u128(2)),
            fence: 7,
            attempt,
            losses,
            max_retries,
            lane: Lane::of("EchoSkill", &Requirements::default(), None),
            priority: Priority::BACKGROUND,
            placement: Placement::default(),
            backoff: Backoff::default(),
            timeout: Duration::from_secs(30),
            avoid: None,
        }
    }

    /// The verdict in a word.
    fn word(settlement: &Settlement) -> &'static str {
        match settlement {
            Settlement::Complete => "complete",
            Settlement::Fail { .. } => "fail",
            Settlement::Retry { lost_node: false, .. } => "retry",
            Settlement::Retry { lost_node: true, .. } => "again",
            Settlement::Cancel { .. } => "cancel",
            Settlement::Return => "return",
        }
    }

    #[test]
    fn the_table() {
        use ErrorCode::{
            Busy, Cancelled, Denied, Draining, InvalidParams, LimitExceeded, NodeLost, NotFound, SkillFailed, TimedOut,
            Trapped, Unavailable, UnknownMethod, UnknownSkill,
        };
        // code, with retries left, without, when somebody wanted it stopped
        let table = [
            (None, "retry", "fail", "cancel"),
            (Some(SkillFailed), "retry", "fail", "cancel"),
            (Some(Trapped), "retry", "fail", "cancel"),
            (Some(TimedOut), "retry", "fail", "cancel"),
            (Some(LimitExceeded), "retry", "fail", "cancel"),
            (Some(Unavailable), "retry", "fail", "cancel"),
            (Some(UnknownSkill), "retry", "fail", "cancel"),
            (Some(NotFound), "retry", "fail", "cancel"),
            (Some(Cancelled), "retry", "fail", "cancel"),
            (Some(NodeLost), "retry", "fail", "cancel"),
            (Some(Busy), "return", "return", "cancel"),
            (Some(Draining), "return", "return", "cancel"),
            (Some(InvalidParams), "fail", "fail", "cancel"),
            (Some(UnknownMethod), "fail", "fail", "cancel"),
            (Some(Denied), "fail", "fail", "cancel"),
        ];
        for (code, left, none_left, cancelled) in table {
            let report = CallReport {
                code,
                ..CallReport::default()
            };
            let said = |order, cancelled| word(&verdict(&order, RunEnd::Answered(&report), cancelled, POISON));
            assert_eq!(said(order(1, 0, 1), false), left, "{code:?}");
            assert_eq!(said(order(2, 0, 1), false), none_left, "{code:?}");
            assert_eq!(said(order(1, 0, 1), true), cancelled, "{code:?}");
        }
        let other_ends: [(RunEnd<'_>, [&str; 3]); 3] = [
            (
                RunEnd::Answered(&CallReport::success()),
                ["complete", "complete", "complete"],
            ),
            (RunEnd::Overran("late"), ["retry", "fail", "cancel"]),
            (RunEnd::Lost("gone"), ["again", "again", "cancel"]),
        ];
        for (end, expected) in other_ends {
            let ends = [(order(1, 0, 1), false), (order(2, 0, 1), false), (order(1, 0, 1), true)];
            let words = ends.map(|(order, cancelled)| word(&verdict(&order, end, cancelled, POISON)));
            assert_eq!(words, expected, "{end:?}");
        }
    }

    #[test]
    fn lost_nodes_use_up_no_retries_but_park_a_task_in_the_end() {
        let failed = CallReport::failure(ErrorCode::SkillFailed, "no");
        let after_losses = verdict(&order(4, 3, 1), RunEnd::Answered(&failed), false, POISON);
        assert_eq!(word(&after_losses), "retry", "one failure of its own, one retry");
        for losses in 0..4 {
            let Settlement::Retry { delay, lost_node, .. } =
                verdict(&order(losses + 1, losses, 0), RunEnd::Lost("gone"), false, POISON)
            else {
                panic!("parked after {losses} losses");
            };
            assert_eq!((delay, lost_node), (Duration::ZERO, true));
        }
        let Settlement::Fail { code, message } = verdict(&order(5, 4, 9), RunEnd::Lost("gone"), false, POISON) else {
            panic!("not parked");
        };
        assert_eq!(code, ErrorCode::NodeLost);
        assert!(
            message.contains("lost 5 nodes") && message.contains("gone"),
            "{message}"
        );
    }

    #[test]
    fn the_last_error_is_told_and_the_wait_is_the_backoff() {
        let failed = CallReport::failure(ErrorCode::Trapped, "EchoSkill.echo trapped: unreachable");
        let Settlement::Fail { code, message } = verdict(&order(1, 0, 0), RunEnd::Answered(&failed), false, POISON)
        else {
            panic!("no retry was left");
        };
        assert_eq!(
            (code, message.as_str()),
            (ErrorCode::Trapped, "EchoSkill.echo trapped: unreachable")
        );
        let Settlement::Retry { delay, message, .. } =
            verdict(&order(3, 1, 5), RunEnd::Answered(&CallReport::default()), false, POISON)
        else {
            panic!("retries were left");
        };
        assert_eq!(delay, backoff::wait(&Backoff::default(), TaskId(Uuid::from_u128(2)), 2));
        assert_eq!(message, "the skill failed (skill_failed) and said no more");
    }
}
