//! The running task: who it is, how far it is, and whether anyone still wants it.

use std::time::Duration;

use serde::Serialize;

use crate::{Error, Result, answer, host};

/// The task being run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// Unique for this call; the same id is in logs, events and the caller's answer.
    pub id: String,
    /// W3C trace id (32 hex digits), or empty when the caller sent none.
    pub trace_id: String,
    /// 1 for the first try.
    pub attempt: u32,
    /// Time left until the deadline at the time of asking.
    pub remaining: Duration,
}

/// The task being run.
#[must_use]
pub fn task() -> Task {
    host::current()
}

/// Sends one partial result to whoever watches the task. Fails with [`Error::Limit`] once the budget
/// `output_bytes` is used up.
pub fn emit<T: Serialize + ?Sized>(partial: &T) -> Result<()> {
    host::emit(&answer::answer(&partial)?)
}

/// Reports work done out of a total (0: not known), with a short note for people.
pub fn report(done: u32, total: u32, note: &str) {
    host::report(done, total, note);
}

/// True once the caller cancelled or went away.
#[must_use]
pub fn cancelled() -> bool {
    host::cancelled()
}

/// [`Error::Cancelled`] once the caller cancelled: `progress::check()?` in a long loop.
pub fn check() -> Result<()> {
    if cancelled() { Err(Error::Cancelled) } else { Ok(()) }
}
