//! Patterns that grant arguments. Paths are only recognised here; where they lead is [`super::path`]'s work.

/// One pattern of `CommandGrant::args`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ArgPattern {
    Anything,
    /// Literal parts with any run of characters between each two.
    Glob(Vec<String>),
    /// `<path>` and its like, perhaps after a literal as in `--file=<path>`.
    Placed {
        prefix: String,
        place: Place,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Path,
    Int,
    Number,
    Text,
}

/// What one pattern says of one argument.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Match<'a> {
    No,
    Yes,
    /// Yes, if this path stays inside the granted directory.
    Path {
        prefix: &'a str,
        path: &'a str,
    },
}

impl ArgPattern {
    /// Reads a pattern; the error says what is wrong.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if text == "**" {
            return Ok(Self::Anything);
        }
        if let Some((prefix, word)) = text.strip_suffix('>').and_then(|text| text.rsplit_once('<')) {
            if prefix.contains('*') {
                return Err(format!("argument pattern `{text}` mixes `*` and `<{word}>`"));
            }
            let prefix = prefix.to_owned();
            return Ok(Self::Placed {
                prefix,
                place: place(word).ok_or_else(|| {
                    format!("argument pattern `{text}`: <{word}> is unknown (write <path>, <int>, <number> or <text>)")
                })?,
            });
        }
        Ok(Self::Glob(text.split('*').map(str::to_owned).collect()))
    }

    pub(super) fn matches<'a>(&'a self, argument: &'a str) -> Match<'a> {
        let yes = match self {
            Self::Anything => true,
            Self::Glob(parts) => glob(parts, argument),
            Self::Placed { prefix, place } => {
                let Some(rest) = argument.strip_prefix(prefix.as_str()) else {
                    return Match::No;
                };
                match place {
                    // a path that begins with a dash would be read as an option (`-exec`)
                    Place::Path if rest.is_empty() || (prefix.is_empty() && rest.starts_with('-')) => false,
                    Place::Path => return Match::Path { prefix, path: rest },
                    Place::Int => is_int(rest),
                    Place::Number => is_number(rest),
                    Place::Text => !prefix.is_empty() || !rest.starts_with('-'),
                }
            }
        };
        if yes { Match::Yes } else { Match::No }
    }
}

fn place(word: &str) -> Option<Place> {
    Some(match word {
        "path" => Place::Path,
        "int" => Place::Int,
        "number" => Place::Number,
        "text" => Place::Text,
        _ => return None,
    })
}

fn is_int(text: &str) -> bool {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_number(text: &str) -> bool {
    match text.split_once('.') {
        None => is_int(text),
        Some((whole, fraction)) => is_int(whole) && !fraction.starts_with(['-', '+']) && is_int(fraction),
    }
}

/// First part at the start, last at the end, those between in order, each at its leftmost place.
fn glob(parts: &[String], text: &str) -> bool {
    let (Some((first, rest)), Some(last)) = (parts.split_first(), parts.last()) else {
        return false;
    };
    let Some((_, between)) = rest.split_last() else {
        return text == first;
    };
    let Some(mut left) = text.strip_prefix(first.as_str()) else {
        return false;
    };
    for part in between {
        let Some((_, after)) = left.split_once(part.as_str()) else {
            return false;
        };
        left = after;
    }
    left.ends_with(last.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn says(pattern: &str, argument: &str) -> bool {
        let pattern = ArgPattern::parse(pattern).unwrap();
        pattern.matches(argument) != Match::No
    }

    #[test]
    fn patterns_mean_what_the_policy_documents() {
        for (pattern, argument, granted) in [
            ("-l", "-l", true),
            ("-l", "-la", false),
            ("-l", "l", false),
            ("-*", "-anything", true),
            ("-*", "-", true),
            ("-*", "x", false),
            ("--*=*", "--a=b", true),
            ("--*=*", "--a", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "abc", true),
            ("a*b*c", "acb", false),
            ("a*a", "a", false),
            ("*", "-rf", true),
            ("**", "", true),
            ("**", "-exec", true),
            ("<int>", "42", true),
            ("<int>", "-42", true),
            ("<int>", "4.2", false),
            ("<int>", "", false),
            ("<int>", "-", false),
            ("<int>", "4x", false),
            ("<number>", "0.5", true),
            ("<number>", "5", true),
            ("<number>", "5.", false),
            ("<number>", ".5", false),
            ("<number>", "1.-5", false),
            ("<number>", "1e5", false),
            ("<text>", "hello world", true),
            ("<text>", "", true),
            ("<text>", "-exec", false),
            ("<path>", "a/b", true),
            ("<path>", "", false),
            ("<path>", "-exec", false),
            ("<path>", "./-exec", true),
            ("--lines=<int>", "--lines=3", true),
            ("--lines=<int>", "--lines=a", false),
            ("--lines=<int>", "3", false),
            ("--file=<path>", "--file=x", true),
            ("--file=<path>", "--file=", false),
        ] {
            assert_eq!(says(pattern, argument), granted, "{pattern} {argument}");
        }
    }

    #[test]
    fn a_path_is_handed_on_without_its_prefix() {
        let pattern = ArgPattern::parse("--file=<path>").unwrap();
        assert_eq!(
            pattern.matches("--file=a/b"),
            Match::Path {
                prefix: "--file=",
                path: "a/b"
            }
        );
    }

    #[test]
    fn unknown_placeholders_are_errors() {
        assert!(ArgPattern::parse("<file>").unwrap_err().contains("<file> is unknown"));
        assert!(ArgPattern::parse("-*=<path>").is_err());
    }
}
