//! Counting invalid messages in a row, and wording what was wrong. Never decides whether to send the words.

use super::MAX_CLOSE_REASON_BYTES;
use crate::{ErrorReport, MAX_INVALID_IN_A_ROW};

/// Longest text of one complaint, in characters: it may quote the peer.
const MAX_COMPLAINT_CHARS: usize = 400;

/// Invalid messages since the last valid one.
#[derive(Debug, Default)]
pub(super) struct Invalid {
    in_a_row: u32,
}

impl Invalid {
    /// A valid frame came.
    pub(super) fn reset(&mut self) {
        self.in_a_row = 0;
    }

    /// An invalid frame came. `Err` holds the close reason once there were too many.
    pub(super) fn count(&mut self, what: &str) -> Result<ErrorReport, String> {
        self.in_a_row = self.in_a_row.saturating_add(1);
        if self.in_a_row >= MAX_INVALID_IN_A_ROW {
            return Err(close_reason(&format!(
                "{MAX_INVALID_IN_A_ROW} invalid messages in a row, last: {what}"
            )));
        }
        Ok(ErrorReport { error: printable(what) })
    }
}

/// Fit for a close frame: one line, cut at a character boundary.
pub(super) fn close_reason(text: &str) -> String {
    let mut reason = printable(text);
    let mut end = MAX_CLOSE_REASON_BYTES.min(reason.len());
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    reason.truncate(end);
    reason
}

/// Fit for a log line or a terminal: what a peer wrote may hold line breaks and escape codes.
fn printable(text: &str) -> String {
    text.chars()
        .take(MAX_COMPLAINT_CHARS)
        .map(|c| if c.is_control() { '?' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_fit_a_close_frame_and_one_line() {
        let reason = close_reason(&"ß\n".repeat(200));
        assert!(
            reason.len() <= MAX_CLOSE_REASON_BYTES && reason.starts_with("ß?ß?"),
            "{reason}"
        );
    }

    #[test]
    fn the_tenth_in_a_row_is_one_too_many_and_a_valid_one_starts_over() {
        let mut invalid = Invalid::default();
        for _ in 0..2 {
            for _ in 1..MAX_INVALID_IN_A_ROW {
                assert!(invalid.count("x").is_ok());
            }
            invalid.reset();
        }
        for _ in 1..MAX_INVALID_IN_A_ROW {
            assert!(invalid.count("x").is_ok());
        }
        assert_eq!(
            invalid.count("it").unwrap_err(),
            "10 invalid messages in a row, last: it"
        );
    }
}
