//! What a check is, and what comes of one at a place. Judging is pure: facts in, [`Verdict`] out.

use serde::{Deserialize, Serialize};

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Good to know.
    Info,
    /// Hardly matters.
    Low,
    /// Matters.
    Medium,
    /// Matters much.
    High,
    /// Now.
    Critical,
}

/// One thing that is looked for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Check {
    /// `tls.expired`: its module, then its name. It never changes, as the fleet knows findings by it.
    pub(crate) id: &'static str,
    pub(crate) severity: Severity,
    pub(crate) title: &'static str,
    /// What to do.
    pub(crate) remediation: &'static str,
}

/// What a check found at a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Issue {
    pub(crate) check: &'static Check,
    pub(crate) severity: Severity,
    /// The evidence.
    pub(crate) detail: String,
}

/// What came of a module at a place.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) issues: Vec<Issue>,
    /// Checks that came to no end: nothing follows from their silence.
    pub(crate) open: Vec<&'static Check>,
}

impl Verdict {
    pub(crate) fn add(&mut self, check: &'static Check, detail: impl Into<String>) {
        self.add_as(check.severity, check, detail);
    }

    /// With a severity of its own. A check has one finding at a place: more evidence is added to it, the worst counts.
    pub(crate) fn add_as(&mut self, severity: Severity, check: &'static Check, detail: impl Into<String>) {
        let detail = detail.into();
        if let Some(issue) = self.issues.iter_mut().find(|issue| issue.check == check) {
            issue.severity = issue.severity.max(severity);
            issue.detail = format!("{} {detail}", issue.detail);
            return;
        }
        self.issues.push(Issue {
            check,
            severity,
            detail,
        });
    }

    pub(crate) fn add_if(&mut self, fires: bool, check: &'static Check, detail: impl FnOnce() -> String) {
        if fires {
            self.add(check, detail());
        }
    }

    /// None of these came to an end.
    pub(crate) fn all_open(checks: impl IntoIterator<Item = &'static Check>) -> Self {
        Self {
            issues: Vec::new(),
            open: checks.into_iter().collect(),
        }
    }
}

/// What a module saw at a place.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) enum Look<F> {
    /// The module was not asked to look.
    #[default]
    NotAsked,
    /// Certainly nothing of its kind is there: all its checks are done, and found nothing.
    Absent,
    /// Could not be told, and why.
    Unknown(String),
    /// Something of its kind.
    Seen(F),
}

impl<F> Look<F> {
    /// Judges what was seen; what was not asked for has no verdict.
    pub(crate) fn judge(
        &self,
        checks: impl IntoIterator<Item = &'static Check>,
        judge: impl FnOnce(&F) -> Verdict,
    ) -> Option<Verdict> {
        match self {
            Self::NotAsked => None,
            Self::Absent => Some(Verdict::default()),
            Self::Unknown(_) => Some(Verdict::all_open(checks)),
            Self::Seen(facts) => Some(judge(facts)),
        }
    }

    /// Why it could not be told.
    pub(crate) fn reason(&self) -> Option<&str> {
        match self {
            Self::Unknown(why) => Some(why),
            _ => None,
        }
    }

    pub(crate) fn seen(&self) -> Option<&F> {
        match self {
            Self::Seen(facts) => Some(facts),
            _ => None,
        }
    }
}

/// Longest piece of what a server said that is repeated.
const EVIDENCE: usize = 200;

/// What a server said, fit to be shown: no control characters, bounded.
pub(crate) fn evidence(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes.get(..EVIDENCE * 4).unwrap_or(bytes));
    let mut shown: String = text
        .trim()
        .chars()
        .map(|letter| if letter.is_control() { ' ' } else { letter })
        .take(EVIDENCE)
        .collect();
    if text.trim().chars().nth(EVIDENCE).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
pub(crate) fn ids(verdict: &Verdict) -> Vec<&'static str> {
    verdict.issues.iter().map(|issue| issue.check.id).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evidence_is_bounded_and_printable() {
        assert_eq!(evidence(b"220 hello\x1b[2J\r\n"), "220 hello [2J");
        let long = evidence(&[b'x'; 5000]);
        assert_eq!(long.chars().count(), EVIDENCE + 1);
        assert!(!evidence(&[0xff, 0xfe, 0, 7]).chars().any(char::is_control));
    }

    #[test]
    fn a_check_has_one_finding_at_a_place() {
        static CHECK: Check = Check {
            id: "a.b",
            severity: Severity::Low,
            title: "t",
            remediation: "r",
        };
        let mut verdict = Verdict::default();
        verdict.add(&CHECK, "One.");
        verdict.add_as(Severity::High, &CHECK, "Two.");
        assert_eq!(ids(&verdict), ["a.b"]);
        assert_eq!(
            (verdict.issues[0].severity, verdict.issues[0].detail.as_str()),
            (Severity::High, "One. Two.")
        );
    }

    #[test]
    fn a_look_that_saw_nothing_or_could_not_tell_is_no_all_clear() {
        static CHECKS: [Check; 1] = [Check {
            id: "a.b",
            severity: Severity::Low,
            title: "t",
            remediation: "r",
        }];
        let judge = |_: &u8| Verdict::default();
        assert_eq!(Look::NotAsked.judge(&CHECKS, judge), None);
        assert_eq!(Look::Absent.judge(&CHECKS, judge), Some(Verdict::default()));
        let unknown = Look::Unknown("late".to_owned()).judge(&CHECKS, judge).unwrap();
        assert_eq!(unknown.open, [&CHECKS[0]]);
    }
}
