//! Texts from outside, made fit to be kept and shown.

/// Of a name, in bytes.
pub(crate) const NAME: usize = 255;

/// `text` without control characters (a terminal obeys them, PostgreSQL refuses NUL) and without blanks around it, cut to `most`
/// bytes at the end of a character.
pub(crate) fn line(text: &str, most: usize) -> String {
    let mut kept = String::with_capacity(text.len().min(most));
    for letter in text.trim().chars().filter(|letter| !letter.is_control()) {
        if kept.len() + letter.len_utf8() > most {
            break;
        }
        kept.push(letter);
    }
    kept
}

/// A text to look for: PostgreSQL refuses NUL, and nothing is called that.
pub(crate) fn without_nul(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

/// A name: one [`line()`]; `None` when nothing of it is left.
pub(crate) fn name(text: Option<&str>) -> Option<String> {
    text.map(|text| line(text, NAME)).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_cut_between_characters_and_lose_what_a_terminal_obeys() {
        assert_eq!(line("  a\0b\x1b[31m\u{9b}c\n ", 255), "ab[31mc");
        assert_eq!(line("äöü", 5), "äö");
        assert_eq!(name(Some(&"x".repeat(300))).unwrap().len(), NAME);
        assert_eq!((name(Some(" \n")), name(None)), (None, None));
    }
}
