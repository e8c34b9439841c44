//! Texts that strangers wrote, made fit to be passed on: short, and without control characters.

/// Longest text of an answer.
pub(super) const LONGEST: usize = 512;

/// The beginning of a text, at a character's end.
pub(super) fn cut(text: &str, bytes: usize) -> &str {
    let end = (0..=bytes.min(text.len())).rev().find(|at| text.is_char_boundary(*at));
    text.get(..end.unwrap_or(0)).unwrap_or_default()
}

/// The same without control characters, as long as any text of an answer may be.
pub(super) fn tame(text: &str) -> String {
    let tame: String = text.chars().filter(|character| !character.is_control()).collect();
    cut(tame.trim(), LONGEST).to_owned()
}

/// `02:00:5e:10:00:01`; nothing for what is no MAC, or none at all.
pub(super) fn mac(bytes: &[u8]) -> String {
    if bytes.len() != 6 || bytes.iter().all(|byte| *byte == 0) {
        return String::new();
    }
    let pairs: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    pairs.join(":")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_between_characters_and_tamed() {
        assert_eq!(cut("aä", 2), "a");
        assert_eq!(cut("aä", 3), "aä");
        assert_eq!(tame(" a\u{1b}[31m\r\nb "), "a[31mb");
        assert_eq!(tame(&"x".repeat(9_999)).len(), LONGEST);
    }

    #[test]
    fn only_six_bytes_are_a_mac() {
        assert_eq!(mac(&[2, 0, 0x5e, 0x10, 0, 1]), "02:00:5e:10:00:01");
        assert_eq!(mac(&[0; 6]), "");
        assert_eq!(mac(&[1; 20]), "");
    }
}
