//! Tasks in a file: a JSON array, `{"tasks": [...]}` as the REST API takes it, or one JSON object a line. Pure.

use serde::Deserialize;
use serde_json::value::RawValue;
use venom_protocol::TaskRequest;

use crate::failure::Failure;

const FORMS: &str = "write a JSON array of tasks, or one a line: {\"skill_name\": \"EchoSkill\", \"method_name\": \"say\", \
                     \"parameters\": {\"text\": \"hello\"}}";

/// The body of a bulk submission.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body<'a> {
    #[serde(borrow)]
    tasks: Vec<&'a RawValue>,
}

/// Reads all tasks, or says which one is wrong.
pub(super) fn read(text: &str) -> Result<Vec<TaskRequest>, Failure> {
    let trimmed = text.trim_start();
    if trimmed.starts_with('[') {
        let tasks: Vec<&RawValue> = serde_json::from_str(trimmed).map_err(|error| {
            Failure::usage("the tasks begin like a JSON array and are none")
                .because(error.to_string())
                .help(FORMS)
        })?;
        return numbered(&tasks);
    }
    if let Ok(body) = serde_json::from_str::<Body<'_>>(trimmed) {
        return numbered(&body.tasks);
    }
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(index, line)| task(line, &format!("line {}", index + 1)))
        .collect()
}

fn numbered(tasks: &[&RawValue]) -> Result<Vec<TaskRequest>, Failure> {
    let tasks = tasks.iter().enumerate();
    tasks
        .map(|(index, raw)| task(raw.get(), &format!("task {}", index + 1)))
        .collect()
}

fn task(json: &str, place: &str) -> Result<TaskRequest, Failure> {
    serde_json::from_str(json).map_err(|error| {
        Failure::usage(format!("{place} is no task"))
            .because(error.to_string())
            .help(FORMS)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = r#"{"skill_name":"S","method_name":"m","parameters":{"n":1}}"#;

    fn methods(text: &str) -> Vec<String> {
        read(text).unwrap().into_iter().map(|task| task.method_name).collect()
    }

    #[test]
    fn all_forms_are_read() {
        assert_eq!(methods(&format!("[{ONE}, {ONE}]")), ["m", "m"]);
        assert_eq!(methods(&format!("{{\"tasks\": [\n{ONE}]}}")), ["m"]);
        assert_eq!(methods(&format!("\n{ONE}\n\n{ONE}\n")), ["m", "m"]);
        assert_eq!(methods(ONE), ["m"]);
        assert!(methods("").is_empty() && methods("[]").is_empty());
    }

    #[test]
    fn what_is_wrong_is_named() {
        let why = |text: &str| {
            let failure = read(text).map(|_| ()).unwrap_err();
            assert_eq!(failure.exit_code(), 2);
            failure.summary()
        };
        assert!(
            why(&format!("{ONE}\n{{\"skill_name\":\"S\"}}")).contains("line 2 is no task: missing field `method_name`")
        );
        assert!(why(&format!("[{ONE}, 3]")).contains("task 2 is no task"));
        assert!(why("[1,").contains("begin like a JSON array"));
        assert!(why(r#"{"skill_name":"S","method_name":"m","priority":"urgent"}"#).contains("`urgent` is no priority"));
        assert!(why(r#"{"skill_name":"S","method_name":"m","parmeters":{}}"#).contains("parmeters"));
    }
}
