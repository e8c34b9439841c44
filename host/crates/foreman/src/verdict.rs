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
