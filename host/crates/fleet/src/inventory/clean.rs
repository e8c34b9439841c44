//! What strangers wrote, made fit to keep: no control characters (PostgreSQL refuses NUL, terminals obey the rest), no marks that turn
//! the direction of text, and no more bytes than there is room for. Nothing is refused here; it is cut.

use serde_json::{Map, Value};

use crate::text;
pub(crate) use crate::text::NAME;

/// Bytes of what a service said first.
pub(crate) const BANNER: usize = 1_024;
/// Bytes of a text of several lines.
pub(crate) const TEXT: usize = 4_096;
/// Bytes of whatever else was sent, as JSON.
pub(crate) const EXTRA: usize = 4_096;
/// Lines of a list of names.
pub(crate) const LIST: usize = 64;

/// One line of at most `most` bytes.
pub(crate) fn line(text: &str, most: usize) -> String {
    if text.contains(turns_text) {
        return line(&text.replace(turns_text, ""), most);
    }
    text::line(text, most).trim().to_owned()
}

/// Several lines of at most `most` bytes together.
pub(crate) fn lines(text: &str, most: usize) -> String {
    let mut kept = String::new();
    for letter in text.chars().filter(|letter| !turns_text(*letter)) {
        if kept.len() + letter.len_utf8() > most {
            break;
        }
        if !letter.is_control() || matches!(letter, '\n' | '\t') {
            kept.push(letter);
        }
    }
    kept.trim().to_owned()
}

/// A name, when there is one.
pub(crate) fn name(text: Option<&str>) -> Option<String> {
    text.map(|text| line(text, NAME)).filter(|text| !text.is_empty())
}

/// The names in a list: each once, in order, no more than [`LIST`].
pub(crate) fn names(texts: &[String]) -> Vec<String> {
    let mut kept: Vec<String> = Vec::new();
    for text in texts {
        let text = line(text, NAME);
        if !text.is_empty() && !kept.contains(&text) {
            kept.push(text);
        }
        if kept.len() == LIST {
            break;
        }
    }
    kept
}

/// `newer` laid over `older`, as far as there is room: what is newer comes first. An absent value (`null`) overwrites nothing.
pub(crate) fn extra(newer: &Map<String, Value>, older: &Map<String, Value>) -> Map<String, Value> {
    let mut kept = Map::new();
    // the braces
    let mut bytes = 2;
    let added = older
        .iter()
        .filter(|(key, _)| newer.get(*key).is_none_or(Value::is_null));
    for map in [sorted(newer.iter()), sorted(added)] {
        for (key, value) in map {
            // colon, comma and the quotes that escaping may add are in these
            let more = Value::String(key.clone()).to_string().len() + value.to_string().len() + 2;
            if !value.is_null() && bytes + more <= EXTRA {
                bytes += more;
                kept.insert(key.clone(), value.clone());
            }
        }
    }
    kept
}

fn sorted<'a>(entries: impl Iterator<Item = (&'a String, &'a Value)>) -> Vec<(&'a String, &'a Value)> {
    let mut entries: Vec<_> = entries.collect();
    entries.sort_by_key(|(key, _)| *key);
    entries
}

/// Marks that turn the direction of what follows, and separators that begin a line: a name must not look like another.
fn turns_text(letter: char) -> bool {
    matches!(letter, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{2028}' | '\u{2029}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn hostile_names_are_cut_and_not_refused() {
        assert_eq!(line("  a\0b\u{1b}[31mc\r\n\u{202e}d ", NAME), "ab[31mcd");
        assert_eq!(lines("a\n\tb\0", TEXT), "a\n\tb");
        assert_eq!(line(&"x".repeat(1_000_000), NAME).len(), NAME);
        // three bytes each: 85 fit
        assert_eq!(line(&"€".repeat(500), NAME).len(), 255);
        assert_eq!(line(&"é".repeat(500), NAME).len(), 254);
        assert_eq!(name(Some("\0 \n")), None);
    }

    #[test]
    fn of_lists_each_is_kept_once_and_not_too_many() {
        let texts: Vec<String> = (0..1_000).map(|n| format!("{}", n % 500)).collect();
        let kept = names(&texts);
        assert_eq!((kept.len(), kept[63].as_str()), (LIST, "63"));
        assert_eq!(names(&["a".into(), "\0".into(), "a".into()]), ["a"]);
    }

    #[test]
    fn the_newer_of_two_has_the_room() {
        let map = |value: Value| value.as_object().unwrap().clone();
        let older = map(serde_json::json!({"a": 1, "b": 2, "z": "o".repeat(3_000)}));
        let newer = map(serde_json::json!({"a": null, "b": 3, "c": "n".repeat(3_000)}));
        let kept = extra(&newer, &older);
        assert_eq!((kept.get("a"), kept.get("b")), (Some(&1.into()), Some(&3.into())));
        assert!(kept.contains_key("c") && !kept.contains_key("z"));
        assert!(extra(&map(serde_json::json!({"k": "x".repeat(5_000)})), &Map::new()).is_empty());
    }

    proptest! {
        #[test]
        fn what_is_kept_is_clean_short_and_stays_as_it_is(text in any::<String>(), most in 0_usize..300) {
            let kept = line(&text, most);
            prop_assert!(kept.len() <= most);
            prop_assert!(!kept.chars().any(char::is_control));
            prop_assert_eq!(&line(&kept, most), &kept);
        }

        #[test]
        fn extra_never_grows_over_its_room_and_again_changes_nothing(
            newer in proptest::collection::btree_map(".{0,40}", ".{0,900}", 0..12),
            older in proptest::collection::btree_map(".{0,40}", ".{0,900}", 0..12),
        ) {
            let map = |texts: std::collections::BTreeMap<String, String>| -> Map<String, Value> {
                texts.into_iter().map(|(key, text)| (key, Value::String(text))).collect()
            };
            let newer = map(newer);
            let kept = extra(&newer, &map(older));
            prop_assert!(Value::Object(kept.clone()).to_string().len() <= EXTRA);
            prop_assert_eq!(&extra(&newer, &kept), &kept);
            prop_assert_eq!(&extra(&Map::new(), &kept), &kept);
        }
    }
}
