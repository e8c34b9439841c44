//! What was refused, why, and what an operator would have to write to allow it. It decides nothing itself.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

/// Refusals kept of one call: enough to explain a failure, too few for a guest in a loop to fill memory.
const KEPT: usize = 8;

/// One refused use of a capability.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{capability} {target}: {reason}{}", self.advice())]
pub struct Refusal {
    /// `command`, `net`, `dns`, `http` or `secret`.
    pub capability: &'static str,
    /// What was asked for: a program, `host:port`, a name.
    pub target: String,
    /// Why it was refused, for people.
    pub reason: String,
    /// The policy entry that would grant it, as TOML; empty when nothing can.
    pub missing_grant: String,
}

impl Refusal {
    fn advice(&self) -> String {
        if self.missing_grant.is_empty() {
            String::new()
        } else {
            format!("; to allow it, add to the policy:\n{}", self.missing_grant)
        }
    }
}

/// A skill's name as a key of the policy file: quoted when TOML asks for it.
pub(crate) fn policy_key(skill: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if !skill.is_empty() && skill.chars().all(bare) {
        skill.to_owned()
    } else {
        format!("{skill:?}")
    }
}

/// A grant that cannot be used on this machine, found when the skill is loaded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("grant of {capability} `{target}`: {problem}")]
pub struct GrantError {
    /// `command`, `net`, `dns`, `http` or `secret`.
    pub capability: &'static str,
    /// What was granted.
    pub target: String,
    /// What is wrong and what to do.
    pub problem: String,
}

impl GrantError {
    pub(crate) fn new(capability: &'static str, target: &str, problem: impl Into<String>) -> Self {
        Self {
            capability,
            target: target.to_owned(),
            problem: problem.into(),
        }
    }
}

/// The last refusals of one call. WASI tells a guest only "access denied"; these are added to the error
/// of a call that failed, so that people learn the reason. Cheap to clone; all clones share one list.
#[derive(Debug, Clone, Default)]
pub struct Refusals(Arc<Mutex<VecDeque<Refusal>>>);

impl Refusals {
    /// Remembers one refusal; the same one twice is kept once, the oldest goes first.
    pub fn record(&self, refusal: Refusal) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.contains(&refusal) {
            return;
        }
        if kept.len() == KEPT {
            kept.pop_front();
        }
        kept.push_back(refusal);
    }

    /// What was refused so far, oldest first.
    #[must_use]
    pub fn list(&self) -> Vec<Refusal> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.iter().cloned().collect()
    }

    /// The text to add to a failed call's error; none when nothing was refused.
    #[must_use]
    pub fn explain(&self) -> Option<String> {
        let list = self.list();
        if list.is_empty() {
            return None;
        }
        let lines: Vec<String> = list.iter().map(|refusal| format!("refused: {refusal}")).collect();
        Some(lines.join("\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(target: usize) -> Refusal {
        Refusal {
            capability: "net",
            target: target.to_string(),
            reason: "not granted".to_owned(),
            missing_grant: "x = 1".to_owned(),
        }
    }

    #[test]
    fn keeps_the_newest_and_each_once() {
        let refusals = Refusals::default();
        for target in 0..KEPT + 2 {
            refusals.record(refusal(target));
            refusals.record(refusal(target));
        }
        let targets: Vec<String> = refusals.list().into_iter().map(|refusal| refusal.target).collect();
        let expected: Vec<String> = (2..KEPT + 2).map(|target| target.to_string()).collect();
        assert_eq!(targets, expected);
    }

    #[test]
    fn explains_with_the_grant_to_write() {
        let refusals = Refusals::default();
        assert_eq!(refusals.explain(), None);
        refusals.record(refusal(1));
        assert_eq!(
            refusals.explain().unwrap(),
            "refused: net 1: not granted; to allow it, add to the policy:\nx = 1"
        );
    }
}
