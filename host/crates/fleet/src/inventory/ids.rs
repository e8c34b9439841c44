//! Ids of what one batch makes: UUIDs of version 7, which sort in the order in which they were made.

use uuid::timestamp::context::ContextV7;
use uuid::{Timestamp as UuidTime, Uuid};
use venom_protocol::Timestamp;

/// Makes ids of one moment.
pub(crate) struct Ids {
    context: ContextV7,
    seconds: u64,
    nanoseconds: u32,
}

impl Ids {
    pub(crate) fn at(now: Timestamp) -> Self {
        Self {
            context: ContextV7::new(),
            // before 1970 there is no such id
            seconds: u64::try_from(now.0.as_second()).unwrap_or(0),
            nanoseconds: u32::try_from(now.0.subsec_nanosecond()).unwrap_or(0),
        }
    }

    pub(crate) fn next(&self) -> String {
        let at = UuidTime::from_unix(&self.context, self.seconds, self.nanoseconds);
        Uuid::new_v7(at).hyphenated().to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_sort_as_they_were_made_and_are_never_the_same() {
        let now = Timestamp::parse("2026-01-01T00:00:00Z").unwrap();
        let ids = Ids::at(now);
        let made: Vec<String> = (0..1_000).map(|_| ids.next()).collect();
        assert!(made.is_sorted() && made.windows(2).all(|pair| pair[0] != pair[1]));
        assert_ne!(Ids::at(now).next(), made[0]);
        let _ = Ids::at(Timestamp::parse("1950-01-01T00:00:00Z").unwrap()).next();
    }
}
