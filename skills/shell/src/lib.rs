//! `ShellSkill`: one granted program per call, from a command line in POSIX words. There is no shell: what would
//! need one is refused with the reason. What may run is the operator's decision, not this skill's.

mod words;

use std::fmt::Write;
use std::time::Duration;

use venom_sdk::command::{Command, Output};
use venom_sdk::{Error, Result};

/// The skill.
pub struct ShellSkill;

/// Runs granted programs of the machine, without a shell.
#[venom_sdk::skill]
impl ShellSkill {
    /// Runs one program and returns what it printed. Standard error follows under `[STDERR]`. A program that
    /// fails is no failure of the call: its output ends with `[EXIT CODE] n`, or `[SIGNAL] n` when a signal ended it.
    /// Output cut at the granted size ends with `[TRUNCATED]`.
    fn run(
        &self,
        /// The program and its arguments, quoted as for a POSIX shell. Pipes, redirects, globs, variables and
        /// everything else a shell does is refused.
        command: String,
        /// Seconds it may take; never more than the operator granted.
        #[default(30.0)]
        timeout: f64,
    ) -> Result<String> {
        let timeout = seconds(timeout)?;
        let (program, arguments) = words::split(&command)?;
        let output = Command::new(program).args(arguments).timeout(timeout).run()?;
        Ok(text(&output))
    }
}

fn seconds(given: f64) -> Result<Duration> {
    match Duration::try_from_secs_f64(given) {
        Ok(timeout) if !timeout.is_zero() => Ok(timeout),
        _ => Err(Error::InvalidParams(format!(
            "parameter `timeout`: expected seconds, more than 0, got {given}"
        ))),
    }
}

/// What callers have always been given: standard output as it is, and only then anything else.
fn text(output: &Output) -> String {
    let mut text = output.text().into_owned();
    let mut section = |title: &str, body: &str| {
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        // Writing to a String cannot fail.
        let _ = write!(text, "{title}{body}");
    };
    if !output.stderr.is_empty() {
        section("[STDERR]\n", &output.error_text());
    }
    match (output.exit_code, output.signal) {
        (Some(0), _) | (None, None) => {}
        (Some(code), _) => section("[EXIT CODE] ", &code.to_string()),
        (None, Some(signal)) => section("[SIGNAL] ", &signal.to_string()),
    }
    if output.truncated {
        section("[TRUNCATED]", "");
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use venom_sdk::{Skill, call, fake::Host};

    use super::*;

    fn run(params: Value) -> Result<Value> {
        call::<ShellSkill>("run", params)
    }

    #[test]
    fn the_words_reach_the_program_and_its_output_comes_back() {
        let host = Host::new().command("echo", |_| Ok("hello world\n".into())).install();
        let answer = run(json!({ "command": "echo 'hello world' \"two three\" four\\ five" }));
        assert_eq!(answer, Ok(json!("hello world\n")));
        let commands = host.commands();
        assert_eq!(commands[0].arguments, ["hello world", "two three", "four five"]);
        assert_eq!(commands[0].timeout, Some(Duration::from_secs(30)));
    }

    #[test]
    fn standard_error_and_exit_codes_are_told_after_the_output() {
        let _host = Host::new()
            .command("ls", |_| {
                let stderr = b"ls: no such file\n".to_vec();
                Ok(Output {
                    exit_code: Some(2),
                    stdout: b"a".to_vec(),
                    stderr,
                    ..Output::default()
                })
            })
            .command("kill", |_| {
                Ok(Output {
                    signal: Some(9),
                    truncated: true,
                    ..Output::default()
                })
            })
            .install();
        assert_eq!(
            run(json!({ "command": "ls x" })),
            Ok(json!("a\n[STDERR]\nls: no such file\n[EXIT CODE] 2"))
        );
        assert_eq!(run(json!({ "command": "kill" })), Ok(json!("[SIGNAL] 9\n[TRUNCATED]")));
    }

    #[test]
    fn timeouts_are_passed_on_and_checked() {
        let host = Host::new().command("date", |_| Ok("now".into())).install();
        run(json!({ "command": "date", "timeout": 1.5 })).unwrap();
        assert_eq!(host.commands()[0].timeout, Some(Duration::from_millis(1500)));
        for timeout in [json!(-1), json!(0), json!(1e300)] {
            let refused = run(json!({ "command": "date", "timeout": timeout }));
            assert!(matches!(refused, Err(Error::InvalidParams(text)) if text.contains("`timeout`")));
        }
        assert_eq!(host.commands().len(), 1);
    }

    #[test]
    fn a_program_that_is_not_granted_is_the_hosts_refusal() {
        let _host = Host::new().install();
        assert!(matches!(run(json!({ "command": "rm -rf x" })), Err(Error::Denied(refusal)) if refusal.target == "rm"));
    }

    #[test]
    fn the_name_is_the_bundles() {
        assert_eq!(ShellSkill::describe().name, "ShellSkill");
        assert!(include_str!("../skill.toml").contains("name = \"ShellSkill\""));
    }
}
