//! A command line as words, by POSIX quoting rules. Whatever a shell would act upon is refused here, so that
//! text is never taken for something it is not.

use venom_sdk::{Error, Result};

const BUILTINS: [&str; 12] = [
    "cd", "export", "source", ".", "alias", "set", "unset", "eval", "exec", "umask", "ulimit", "trap",
];
const KEYWORDS: [&str; 9] = ["if", "for", "while", "until", "case", "function", "{", "!", "time"];

/// The program and its arguments.
pub(crate) fn split(line: &str) -> Result<(String, Vec<String>)> {
    refuse_shell_syntax(line)?;
    let mut words = shell_words::split(line)
        .map_err(|_| Error::InvalidParams("parameter `command`: a quote is never closed".to_owned()))?
        .into_iter();
    let program = words
        .next()
        .filter(|program| !program.is_empty())
        .ok_or_else(|| Error::InvalidParams("parameter `command`: it names no program".to_owned()))?;
    refuse_program(&program)?;
    Ok((program, words.collect()))
}

#[derive(Clone, Copy, PartialEq)]
enum Quoting {
    None,
    Single,
    Double,
}

fn refuse_shell_syntax(line: &str) -> Result<()> {
    let mut quoting = Quoting::None;
    let mut word_begins = true;
    let mut letters = line.trim().chars();
    while let Some(letter) = letters.next() {
        match (quoting, letter) {
            (_, '\0') => {
                return Err(Error::InvalidParams(
                    "parameter `command`: it holds a zero byte".to_owned(),
                ));
            }
            (Quoting::Single, '\'') | (Quoting::Double, '"') => quoting = Quoting::None,
            (Quoting::Single, _) => {}
            (Quoting::None, '\'') => quoting = Quoting::Single,
            (Quoting::None, '"') => quoting = Quoting::Double,
            (_, '\\') => drop(letters.next()),
            (Quoting::Double, '$' | '`') => {
                return Err(needs_shell(letter, "it is expanded even inside double quotes"));
            }
            (Quoting::Double, _) => {}
            (Quoting::None, _) => {
                if let Some(why) = meaning(letter, word_begins) {
                    return Err(needs_shell(letter, why));
                }
            }
        }
        word_begins = quoting == Quoting::None && letter.is_whitespace();
    }
    Ok(())
}

/// What a shell would do at this unquoted letter.
fn meaning(letter: char, word_begins: bool) -> Option<&'static str> {
    match letter {
        '|' => Some("pipes connect programs; run one program a call and pass its output on yourself"),
        '>' | '<' => Some("redirects open files; use FileSkill for files"),
        ';' | '\n' => Some("it separates commands; run one program a call"),
        '&' => Some("it joins commands or runs them in the background; run one program a call"),
        '(' | ')' => Some("subshells run commands; run one program a call"),
        '`' => Some("it runs a command inside a command; run one program a call"),
        '$' => Some("variables and substitutions are not expanded; write the value itself"),
        '*' | '?' | '[' => Some("globs are not expanded; write the names themselves"),
        '~' if word_begins => Some("home directories are not expanded; write the path itself"),
        '#' if word_begins => Some("it begins a comment; leave the comment out"),
        _ => None,
    }
}

fn needs_shell(letter: char, why: &str) -> Error {
    let shown = letter.escape_debug();
    Error::InvalidParams(format!(
        "parameter `command`: `{shown}` needs a shell, and there is none: {why} (to mean the letter itself, put it in single quotes)"
    ))
}

fn refuse_program(program: &str) -> Result<()> {
    let complaint = if BUILTINS.contains(&program) || KEYWORDS.contains(&program) {
        format!(
            "`{program}` is part of a shell, and there is none; each call runs one program in its granted directory"
        )
    } else if let Some((name, _)) = program.split_once('=').filter(|(name, _)| is_variable(name)) {
        format!("setting `{name}` for a program needs a shell, and there is none; the operator grants environment")
    } else if let Some((_, name)) = program.rsplit_once('/') {
        format!("`{program}` is a path; programs are known by their granted names, so write `{name}`")
    } else {
        return Ok(());
    };
    Err(Error::InvalidParams(format!("parameter `command`: {complaint}")))
}

fn is_variable(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|letter: char| letter.is_ascii_digit())
        && name
            .chars()
            .all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(line: &str) -> String {
        match split(line) {
            Err(Error::InvalidParams(text)) => text,
            other => panic!("`{line}` should be refused, got {other:?}"),
        }
    }

    #[test]
    fn quoting_is_that_of_posix() {
        for (line, words) in [
            ("ls", vec!["ls"]),
            ("  ls   -l  ", vec!["ls", "-l"]),
            ("a 'b c' \"d 'e'\" f\\ g ''", vec!["a", "b c", "d 'e'", "f g", ""]),
            (
                "grep 'a|b' \"c;d\" e\\;f '$HOME' \"\\$x\"",
                vec!["grep", "a|b", "c;d", "e;f", "$HOME", "$x"],
            ),
            (
                "find . -name '*.rs' -newer x~",
                vec!["find", ".", "-name", "*.rs", "-newer", "x~"],
            ),
            ("a b#c {} k=v ü", vec!["a", "b#c", "{}", "k=v", "ü"]),
            ("a'b'\"c\"", vec!["abc"]),
            ("a 'two\nlines'", vec!["a", "two\nlines"]),
        ] {
            let (program, arguments) = split(line).unwrap();
            assert_eq!([vec![program], arguments].concat(), words, "{line}");
        }
    }

    #[test]
    fn what_needs_a_shell_is_refused_and_named() {
        for (line, letter) in [
            ("ls | wc", "`|`"),
            ("ls > f", "`>`"),
            ("cat < f", "`<`"),
            ("a; b", "`;`"),
            ("a && b", "`&`"),
            ("a &", "`&`"),
            ("(a)", "`(`"),
            ("echo `id`", "```"),
            ("echo \"`id`\"", "```"),
            ("echo $HOME", "`$`"),
            ("echo \"$(id)\"", "`$`"),
            ("ls *.rs", "`*`"),
            ("ls a?", "`?`"),
            ("ls [ab]", "`[`"),
            ("ls ~", "`~`"),
            ("ls ~root/x", "`~`"),
            ("ls # x", "`#`"),
            ("a\nb", "`\\n`"),
            ("'a';b", "`;`"),
            ("a\\\\;b", "`;`"),
        ] {
            let text = refusal(line);
            assert!(text.contains(&format!("{letter} needs a shell")), "{line}: {text}");
        }
    }

    #[test]
    fn parts_of_a_shell_are_no_programs() {
        assert!(refusal("cd /tmp").contains("`cd` is part of a shell"));
        assert!(refusal("if true").contains("`if` is part of a shell"));
        assert!(refusal("A=1 ls").contains("setting `A`"));
        assert!(refusal("/bin/ls -l").contains("write `ls`"));
        assert!(refusal("").contains("names no program"));
        assert!(refusal("''").contains("names no program"));
        assert!(refusal("echo 'a").contains("never closed"));
        assert!(refusal("echo a\0b").contains("zero byte"));
    }
}
