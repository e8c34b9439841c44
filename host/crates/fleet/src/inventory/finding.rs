//! The life of a finding: a pure rule from where it stands and what happened to where it stands then.

use venom_protocol::FindingStatus;

/// What happens to a finding that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Happening {
    /// Its check ran and found it.
    Found,
    /// Its check ran to its end and did not find it.
    Cleared,
    /// An operator says where it stands.
    Said(FindingStatus),
}

/// What is told of it, as an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Turn {
    Opened,
    Fixed,
    Reopened,
    Accepted,
    FalsePositive,
}

impl Turn {
    /// The kind of its event.
    pub(crate) const fn event(self) -> &'static str {
        match self {
            Self::Opened => "FINDING_OPENED",
            Self::Fixed => "FINDING_FIXED",
            Self::Reopened => "FINDING_REOPENED",
            Self::Accepted => "FINDING_ACCEPTED",
            Self::FalsePositive => "FINDING_FALSE_POSITIVE",
        }
    }

    /// For people: what became of it.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Opened => "is new",
            Self::Fixed => "is fixed",
            Self::Reopened => "is open again",
            Self::Accepted => "is accepted",
            Self::FalsePositive => "is none, says an operator",
        }
    }
}

/// An operator cannot say that: only a check can say that it is fixed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotForPeople;

/// Where it stands next, and what there is to tell. What an operator said stands until an operator says otherwise.
pub(crate) const fn next(
    status: FindingStatus,
    happening: Happening,
) -> Result<(FindingStatus, Option<Turn>), NotForPeople> {
    use FindingStatus::{Accepted, FalsePositive, Fixed, Open};
    use Happening::{Cleared, Found, Said};
    Ok(match (status, happening) {
        (Open, Found | Said(Open)) => (Open, None),
        (Open, Cleared) => (Fixed, Some(Turn::Fixed)),
        (Fixed, Found | Said(Open)) => (Open, Some(Turn::Reopened)),
        (Fixed, Cleared) => (Fixed, None),
        (Accepted, Found | Cleared | Said(Accepted)) => (Accepted, None),
        (FalsePositive, Found | Cleared | Said(FalsePositive)) => (FalsePositive, None),
        (Accepted | FalsePositive, Said(Open)) => (Open, Some(Turn::Reopened)),
        (Open | Fixed | FalsePositive, Said(Accepted)) => (Accepted, Some(Turn::Accepted)),
        (Open | Fixed | Accepted, Said(FalsePositive)) => (FalsePositive, Some(Turn::FalsePositive)),
        (Open | Fixed | Accepted | FalsePositive, Said(Fixed)) => return Err(NotForPeople),
    })
}

#[cfg(test)]
mod tests {
    use FindingStatus::{Accepted, FalsePositive, Fixed, Open};
    use Happening::{Cleared, Found, Said};

    use super::*;

    const ALL: [FindingStatus; 4] = [Open, Fixed, Accepted, FalsePositive];

    #[test]
    fn checks_open_fix_and_reopen() {
        assert_eq!(next(Open, Found), Ok((Open, None)));
        assert_eq!(next(Open, Cleared), Ok((Fixed, Some(Turn::Fixed))));
        assert_eq!(next(Fixed, Found), Ok((Open, Some(Turn::Reopened))));
        assert_eq!(next(Fixed, Cleared), Ok((Fixed, None)));
    }

    #[test]
    fn what_an_operator_said_no_check_changes() {
        for status in [Accepted, FalsePositive] {
            for happening in [Found, Cleared] {
                assert_eq!(next(status, happening), Ok((status, None)));
            }
        }
    }

    #[test]
    fn an_operator_can_say_anything_but_fixed_and_saying_it_twice_tells_it_once() {
        for status in ALL {
            assert_eq!(next(status, Said(Fixed)), Err(NotForPeople));
            for said in [Open, Accepted, FalsePositive] {
                let (now, turn) = next(status, Said(said)).unwrap();
                assert_eq!((now, turn.is_some()), (said, status != said));
                assert_eq!(next(now, Said(said)), Ok((said, None)));
            }
        }
    }
}
