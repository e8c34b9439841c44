//! From the ways a guest can fail to the error its caller reads. It names the skill, the method, the limit and who
//! set it; it decides nothing.

use wasmtime::component::ResourceTableError;
use wasmtime::{PoolConcurrencyLimitError, Trap};
use wasmtime_wasi::I32Exit;

use venom_bundle::capability::Budgets;
use venom_protocol::{CallError, ErrorCode};

use crate::bindings::{GuestError, GuestRefusal};
use crate::capability::Refusals;
use crate::journal::Journal;
use crate::skill::Description;
use crate::stop::Stop;

/// Longest error text handed to a caller; a guest writes part of it.
const MAX_TEXT: usize = 16 << 10;

/// What a caller reads whose call the replaced version had no time left for.
pub(crate) const REPLACED: &str =
    "this version of the skill was replaced or taken away, and the time for its calls to finish is over; try again";

/// What a failed call was, for its error.
pub(crate) struct Blame<'a> {
    pub(crate) skill: &'a str,
    pub(crate) method: &'a str,
    pub(crate) budgets: &'a Budgets,
}

impl Blame<'_> {
    fn error(&self, code: ErrorCode, text: &str) -> CallError {
        let (skill, method) = (self.skill, self.method);
        CallError::new(code, shorten(format!("{skill}.{method}: {text}")))
    }

    /// The host's own reason to stop it.
    pub(crate) fn stopped(&self, stop: &Stop, waited: &str) -> CallError {
        match stop {
            Stop::Budget { budget, limit } => {
                let text = format!(
                    "the budget `{budget}` ({limit}) is used up; an operator can raise it in the policy: [skills.{}.budgets] {budget}",
                    self.skill
                );
                self.error(ErrorCode::LimitExceeded, &text)
            }
            Stop::Cancelled => self.error(ErrorCode::Cancelled, "cancelled by the caller"),
            Stop::Deadline => self.error(ErrorCode::TimedOut, waited),
            Stop::Replaced => self.error(ErrorCode::Unavailable, REPLACED),
        }
    }

    /// An error the guest returned.
    pub(crate) fn returned(&self, error: GuestError, about: &Description, refusals: &Refusals) -> CallError {
        let (code, text) = match error {
            GuestError::UnknownMethod(name) => (ErrorCode::UnknownMethod, unknown_method(&name, about)),
            GuestError::InvalidParams(text) => (ErrorCode::InvalidParams, text),
            GuestError::Denied(refusal) => {
                let text = refused(self.skill, &refusal);
                // a skill that tells of a refusal in its own words does not know which entry is missing
                let reasons = refusals.explain().filter(|_| refusal.missing_grant.is_empty());
                let text = reasons.map_or(text.clone(), |reasons| format!("{text}\n{reasons}"));
                return CallError::new(ErrorCode::Denied, shorten(text));
            }
            GuestError::NotFound(text) => (ErrorCode::NotFound, text),
            GuestError::Limit(text) => (ErrorCode::LimitExceeded, text),
            GuestError::TimedOut(text) => (ErrorCode::TimedOut, text),
            GuestError::Cancelled => (ErrorCode::Cancelled, "cancelled by the caller".to_owned()),
            GuestError::Unavailable(text) => (ErrorCode::Unavailable, text),
            GuestError::Failed(text) => (ErrorCode::SkillFailed, text),
        };
        // WASI told the guest no more than "access denied"; the reason is known here.
        let text = match refusals.explain() {
            Some(reasons) => format!("{text}\n{reasons}"),
            None => text,
        };
        CallError::new(code, shorten(text))
    }

    /// A result that is none.
    pub(crate) fn not_json(&self, error: &serde_json::Error) -> CallError {
        self.error(
            ErrorCode::SkillFailed,
            &format!("the skill's result is not JSON: {error}"),
        )
    }

    /// A trap, and whatever else ends a guest from within.
    pub(crate) fn trapped(
        &self,
        error: &wasmtime::Error,
        denied: Option<&Stop>,
        journal: &Journal,
        waited: &str,
    ) -> CallError {
        if let Some(stop) = error.downcast_ref::<Stop>() {
            return self.stopped(stop, waited);
        }
        if error.downcast_ref::<PoolConcurrencyLimitError>().is_some() {
            return self.error(
                ErrorCode::Busy,
                "all slots of this spore's sandbox are in use; try again",
            );
        }
        if let Some(stop) = implied(error, self.budgets).as_ref().or(denied) {
            return self.stopped(stop, waited);
        }
        let reason = reason(error);
        let text = match journal.last_words() {
            Some(words) => format!("trapped: {reason}; {words}"),
            None => format!("trapped: {reason}"),
        };
        self.error(ErrorCode::Trapped, &text)
    }
}

/// Budgets that wasmtime enforces itself: it tells by text only, which a test of each budget pins down.
fn implied(error: &wasmtime::Error, budgets: &Budgets) -> Option<Stop> {
    let is_full =
        |cause: &(dyn std::error::Error + 'static)| matches!(cause.downcast_ref(), Some(ResourceTableError::Full));
    let text = format!("{error:#}");
    if error.chain().any(is_full) || text.contains("store handle limit exceeded") {
        return Some(Stop::budget("handles", budgets.handles));
    }
    if text.contains("fuel allocated for hostcalls has been exhausted") {
        return Some(Stop::budget("host_call_bytes", budgets.host_call_bytes));
    }
    if text.contains("resource limit exceeded: instance count") {
        return Some(Stop::budget("instances", budgets.instances));
    }
    None
}

fn reason(error: &wasmtime::Error) -> String {
    if let Some(I32Exit(status)) = error.downcast_ref() {
        return format!("it exited with status {status}");
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::StackOverflow) => "its stack overflowed (recursion too deep)".to_owned(),
        // Skills from Rust and C keep part of their stack at the bottom of their memory and fall out of it there.
        Some(Trap::MemoryOutOfBounds) => "memory access out of bounds, as too deep recursion causes".to_owned(),
        Some(trap) => trap.to_string(),
        None => format!("{error:#}"),
    }
}

fn unknown_method(name: &str, about: &Description) -> String {
    let known: Vec<&str> = about.methods.iter().map(|method| method.name.as_str()).collect();
    format!("{} has no method `{name}` (it has: {})", about.name, known.join(", "))
}

/// `fs `/etc` refused: ...; to allow it add to the policy of FileSkill: ...`
fn refused(skill: &str, refusal: &GuestRefusal) -> String {
    let GuestRefusal {
        capability,
        target,
        reason,
        missing_grant,
    } = refusal;
    let refused = format!("{capability} `{target}` refused: {reason}");
    if missing_grant.is_empty() {
        return refused;
    }
    format!("{refused}; to allow it add to the policy of {skill}: {missing_grant}")
}

fn shorten(mut text: String) -> String {
    if text.len() > MAX_TEXT {
        let end = (0..=MAX_TEXT)
            .rev()
            .find(|end| text.is_char_boundary(*end))
            .unwrap_or(0);
        text.truncate(end);
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_what_to_write() {
        let refusal = GuestRefusal {
            capability: "fs".to_owned(),
            target: "/etc".to_owned(),
            reason: "no directory is granted there".to_owned(),
            missing_grant: "x = 1".to_owned(),
        };
        assert_eq!(
            refused("FileSkill", &refusal),
            "fs `/etc` refused: no directory is granted there; to allow it add to the policy of FileSkill: x = 1"
        );
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        let text = shorten("é".repeat(MAX_TEXT));
        assert!(text.len() <= MAX_TEXT + 3 && text.ends_with("é…"), "{}", text.len());
    }
}
