//! Counting invalid messages in a row, and wording what was wrong.
