//! The skill against a fake hive.

use serde_json::{Value, json};
use venom_sdk::fake::{Host, Recorder};
use venom_sdk::{Error, Skill, call};

use super::*;

/// `Math.square` squares an item and fails on others; `Math.sum` adds up; `Math.hang` never ends.
fn host() -> Host {
    Host::new()
        .task("Math.square", |params| {
            let item = params["item"].as_i64().ok_or(Error::Failed("no number".to_owned()))?;
            Ok(json!(item.wrapping_mul(item)))
        })
        .task("Math.sum", |params| {
            let all = params["results"].as_array().or(params["numbers"].as_array());
            let all = all.ok_or(Error::InvalidParams("no list".to_owned()))?;
            Ok(json!(all.iter().filter_map(Value::as_i64).sum::<i64>()))
        })
        .unfinished("Math.hang")
}

fn params(more: Value) -> Value {
    let mut params = json!({"task_description": "squares", "skill_name": "Math", "method_name": "square"});
    for (name, value) in more.as_object().into_iter().flatten() {
        params[name] = value.clone();
    }
    params
}

fn map(more: Value) -> Result<Value> {
    call::<ParallelSkill>("map_reduce", params(more))
}

fn invalid(result: Result<Value>) -> String {
    match result {
        Err(Error::InvalidParams(text)) => text,
        other => panic!("expected invalid parameters, got {other:?}"),
    }
}

fn submitted(host: &Recorder) -> Vec<Value> {
    let tasks = host.tasks();
    tasks
        .iter()
        .map(|task| serde_json::from_str(&task.params).expect("json"))
        .collect()
}

#[test]
fn each_item_is_one_task_and_results_keep_its_place() {
    let host = host().install();
    let result = map(json!({"items": [3, "x", 2]})).expect("a result");
    let expected = json!({
        "summary": {"total_tasks": 3, "completed": 2, "failed": 1, "pending": 0, "success_rate": "66.7%"},
        "results": [
            {"task_id": "task-1", "status": "completed", "result": 9, "error": null, "item_index": 0},
            {"task_id": "task-2", "status": "failed", "result": null, "error": "no number", "item_index": 1},
            {"task_id": "task-3", "status": "completed", "result": 4, "error": null, "item_index": 2},
        ],
    });
    assert_eq!(result, expected);
    let given = |item: Value, index: u32| json!({"task_description": "squares", "item": item, "item_index": index, "total_items": 3});
    assert_eq!(
        submitted(&host),
        [given(json!(3), 0), given(json!("x"), 1), given(json!(2), 2)]
    );
    assert!(host.tasks().iter().all(|task| task.priority == "background"));
    assert_eq!(host.partials(), *expected["results"].as_array().expect("a list"));
    let reports = host.reports();
    let seen: Vec<(u32, u32)> = reports.iter().map(|report| (report.done, report.total)).collect();
    assert_eq!(seen, [(0, 3), (1, 3), (2, 3), (3, 3)]);
    assert_eq!(
        reports.last().map(|report| report.note.as_str()),
        Some("items, 1 failed")
    );
}

#[test]
fn a_list_may_come_as_text_and_items_are_passed_as_written() {
    let host = host().install();
    let result = map(json!({"items": "[1, 9007199254740993, {\"a\": 1.50}]"})).expect("a result");
    assert_eq!(result["summary"]["total_tasks"], 3);
    let tasks = host.tasks();
    assert!(tasks[1].params.contains("9007199254740993"), "{}", tasks[1].params);
    assert!(tasks[2].params.contains("{\"a\": 1.50}"), "{}", tasks[2].params);
}

#[test]
fn subtasks_are_urgent_unless_said_otherwise() {
    let host = host().install();
    let result = call::<ParallelSkill>("parallel_execute", params(json!({"subtasks": [5]}))).expect("a result");
    assert_eq!(result["results"][0]["result"], 25);
    assert_eq!(host.tasks()[0].priority, "high_priority");
    map(json!({"items": [1], "priority": 7})).expect("a result");
    map(json!({"items": [1], "priority": "10"})).expect("a result");
    let priorities: Vec<String> = host.tasks().into_iter().map(|task| task.priority).collect();
    assert_eq!(priorities, ["high_priority", "7", "10"]);
}

#[test]
fn nothing_to_do_is_done_at_once() {
    let host = host().install();
    for items in [json!([]), json!("[]"), json!(" [ ] ")] {
        let result = map(json!({"items": items})).expect("a result");
        assert_eq!(result["summary"]["success_rate"], "100.0%");
        assert_eq!(result["results"], json!([]));
    }
    assert!(host.tasks().is_empty());
    let reduced = map(json!({"items": [], "reduce": {"skill_name": "Math", "method_name": "sum"}})).expect("a result");
    assert_eq!(reduced["reduced"], 0);
}

#[test]
fn reduce_is_a_task_over_the_results_of_what_completed() {
    let host = host().install();
    let reduce = json!({"skill_name": "Math", "method_name": "sum"});
    let result = map(json!({"items": [1, "x", 3], "reduce": reduce, "priority": 9})).expect("a result");
    assert_eq!(result["reduced"], 10);
    assert!(result.get("reduce_error").is_none());
    assert_eq!(submitted(&host).last(), Some(&json!({"results": [1, 9]})));
    assert_eq!(
        host.tasks().last().map(|task| task.priority.clone()),
        Some("9".to_owned())
    );
    let named = json!({"skill_name": "Math", "method_name": "sum", "param": "numbers"});
    assert_eq!(
        map(json!({"items": [2], "reduce": named})).expect("a result")["reduced"],
        4
    );
}

#[test]
fn a_reduce_that_fails_leaves_the_results() {
    let _host = host().install();
    for (method, why) in [("square", "no number"), ("missing", "hive denied"), ("hang", "Timeout")] {
        let reduce = json!({"skill_name": "Math", "method_name": method});
        let result = map(json!({"items": [2], "reduce": reduce, "wait_timeout": 0.1})).expect("a result");
        assert_eq!(result["results"][0]["result"], 4);
        assert!(result.get("reduced").is_none());
        let error = result["reduce_error"].as_str().expect("why");
        assert!(error.contains(why), "{method}: {error}");
    }
}

#[test]
fn what_does_not_end_in_time_is_pending() {
    let _host = host().install();
    let result = map(json!({"items": [1, 2], "method_name": "hang", "wait_timeout": 0.1})).expect("a result");
    assert_eq!(
        result["summary"],
        json!({"total_tasks": 2, "completed": 0, "failed": 0, "pending": 2, "success_rate": "0.0%"})
    );
    assert_eq!(
        result["results"][1],
        json!({"task_id": "task-2", "status": "pending", "result": null, "error": "Timeout", "item_index": 1})
    );
}

#[test]
fn the_wait_ends_before_the_call_does() {
    let short = Duration::from_millis(500);
    let _host = host().remaining(short).install();
    let began = Instant::now();
    let result = map(json!({"items": [1], "method_name": "hang", "wait_timeout": 1e300})).expect("a result");
    assert_eq!(result["summary"]["pending"], 1);
    assert!(began.elapsed() < short, "an answer after the end of the call is none");
}

#[test]
fn a_caller_that_goes_away_ends_the_wait() {
    let _host = host().cancel_after(3).install();
    assert_eq!(map(json!({"items": [1], "method_name": "hang"})), Err(Error::Cancelled));
}

#[test]
fn large_results_are_not_sent_twice() {
    let host = Host::new()
        .task("Math.bulk", |_| Ok(json!("x".repeat(400_000))))
        .install();
    let result = map(json!({"items": [1, 2, 3, 4], "method_name": "bulk"})).expect("a result");
    assert_eq!(result["summary"]["completed"], 4);
    assert_eq!(host.partials().len(), 2, "within a megabyte");
    assert_eq!(host.reports().last().map(|report| report.done), Some(4));
}

#[test]
fn what_is_no_list_or_no_priority_is_told() {
    let host = host().install();
    for items in [
        json!(5),
        json!("abc"),
        json!({"a": 1}),
        json!("{\"a\": 1}"),
        json!(null),
        json!(""),
    ] {
        let why = invalid(map(json!({"items": items})));
        assert!(why.contains("`items`") && why.contains("list"), "{why}");
    }
    let subtasks = call::<ParallelSkill>("parallel_execute", params(json!({"subtasks": 5})));
    assert!(invalid(subtasks).contains("`subtasks`"));
    for priority in [json!("urgent"), json!(11), json!(-1), json!(1.5), json!([]), json!("")] {
        let why = invalid(map(json!({"items": [1], "priority": priority})));
        assert!(why.contains("`priority`") && why.contains("0 to 10"), "{why}");
    }
    for wait in [json!(-1), json!("long")] {
        let why = invalid(map(json!({"items": [1], "wait_timeout": wait})));
        assert!(why.contains("`wait_timeout`"), "{why}");
    }
    let why = invalid(map(json!({"items": [1], "reduce": {"skill": "Math"}})));
    assert!(why.contains("`reduce`"), "{why}");
    assert!(host.tasks().is_empty(), "nothing was submitted");
}

#[test]
fn tasks_that_are_not_granted_are_refused() {
    let _host = Host::new().install();
    assert!(matches!(map(json!({"items": [1]})), Err(Error::Denied(refusal)) if refusal.capability == "hive"));
}

#[test]
fn a_task_can_be_asked_after() {
    let _host = host().install();
    map(json!({"items": [4, "x"]})).expect("a result");
    map(json!({"items": [1], "method_name": "hang", "wait_timeout": 0})).expect("a result");
    let status = |id: &str| call::<ParallelSkill>("get_task_status", json!({"task_id": id}));
    let expected = json!({"task_id": "task-1", "status": "completed", "result": 16, "error": null});
    assert_eq!(status("task-1"), Ok(expected));
    assert_eq!(status("task-2").expect("known")["error"], "no number");
    assert_eq!(status("task-3").expect("known")["status"], "pending");
    assert!(matches!(status("task-9"), Err(Error::NotFound(_))));
}

#[test]
fn it_describes_itself() {
    let description = ParallelSkill::describe();
    assert_eq!(description.name, "ParallelSkill");
    assert!(include_str!("../skill.toml").contains("name = \"ParallelSkill\""));
    let names: Vec<&str> = description.methods.iter().map(|method| method.name.as_str()).collect();
    assert_eq!(names, ["map_reduce", "parallel_execute", "get_task_status"]);
    let schema: Value = serde_json::from_str(&description.methods[0].params_schema).expect("json");
    assert_eq!(
        schema["required"],
        json!(["task_description", "items", "skill_name", "method_name"])
    );
    assert_eq!(schema["properties"]["priority"]["default"], "background");
    assert_eq!(schema["properties"]["wait_timeout"]["default"], 300.0);
    assert_eq!(schema["properties"]["items"]["type"], json!(["array", "string"]));
    let schema: Value = serde_json::from_str(&description.methods[1].params_schema).expect("json");
    assert_eq!(schema["properties"]["priority"]["default"], "high_priority");
    assert_eq!(schema["properties"]["wait_timeout"]["default"], 600.0);
    assert!(description.methods[0].result_schema.contains("success_rate"));
}
