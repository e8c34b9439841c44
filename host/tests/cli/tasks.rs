//! `task` against a real nexus and a real spore.

use serde_json::json;

use crate::hive::{Hive, LONG};
use crate::home::until;

/// An id that no task has.
const NOBODY: &str = "00000000-0000-7000-8000-000000000000";

/// Longer than any test.
const DAY: &str = "24h";

#[test]
fn a_task_is_submitted_run_and_looked_at() {
    let hive = Hive::new();
    let said = hive.run(&[
        "task",
        "submit",
        "EchoSkill.say",
        "text=hi",
        "--priority",
        "high_priority",
        "--wait",
        LONG,
    ]);
    assert_eq!(said.fine(), "hi\n");

    let id = hive.submit(&[
        "EchoSkill.say",
        "{\"text\": \"ho\"}",
        "--type",
        "greeting",
        "--tag",
        "nowhere",
    ]);
    assert_eq!(hive.task(&id)["status"], "pending", "no node has that tag");
    hive.run(&["task", "cancel", &id]).fine();

    let id = hive.submit(&[
        "EchoSkill.say",
        "text=ho",
        "--type",
        "greeting",
        "--node",
        "worker",
        "--priority",
        "9",
    ]);
    let task = hive.ended(&id);
    for (name, expected) in [
        ("status", json!("completed")),
        ("result", json!("ho")),
        ("task_type", json!("greeting")),
        ("priority", json!(9)),
        ("attempt", json!(1)),
        ("error", json!(null)),
    ] {
        assert_eq!(task[name], expected, "{name}");
    }
    let shown = hive.run(&["task", "get", &id]).fine();
    for words in [&id, "greeting", "completed", "EchoSkill.say", "result       ho"] {
        assert!(shown.contains(words), "{words}: {shown}");
    }
    assert!(hive.listed("completed").contains(&id));
    let table = hive
        .run(&["task", "list", "--status", "completed", "--limit", "1"])
        .fine();
    assert!(
        table.starts_with("ID ") && table.contains(&id) && table.lines().count() == 2,
        "{table}"
    );
    let queues = hive.run(&["task", "queues", "--json"]).json();
    assert_eq!(
        (&queues["tasks_completed"], &queues["tasks_cancelled"]),
        (&json!(2), &json!(1))
    );
    let text = hive.run(&["task", "queues"]).fine();
    assert!(text.contains("completed               2\n"), "{text}");
}

#[test]
fn the_same_key_with_the_same_task_starts_nothing_and_with_another_is_refused() {
    let hive = Hive::new();
    let submit = |text: &str| hive.run(&["task", "submit", "EchoSkill.say", text, "--key", "monday", "--json"]);
    let (first, second) = (submit("text=a").json(), submit("text=a").json());
    assert_eq!(first["task_id"], second["task_id"]);
    assert_eq!((&first["existing"], &second["existing"]), (&json!(false), &json!(true)));
    let other = submit("text=b");
    assert_eq!(other.code, 1);
    assert!(
        other.err.contains("`monday`") && other.err.contains("not the same task"),
        "{}",
        other.err
    );
}

#[test]
fn watching_shows_partial_results_then_the_result_and_ends_as_the_task_did() {
    let hive = Hive::new();
    let id = hive.submit(&["EchoSkill.count", "to:=3"]);
    let said = hive.run(&["task", "watch", &id]);
    assert_eq!((said.code, said.out.as_str()), (0, "1\n2\n3\n3\n"), "{}", said.err);
    assert!(said.err.contains("3/3 counting"), "{}", said.err);

    let lines = hive.run(&["task", "watch", &id, "--json"]).fine();
    let events: Vec<serde_json::Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let partial =
        |number: u64| json!({"event": "partial", "id": 2 * number - 1, "data": {"kind": "partial", "value": number}});
    assert_eq!(
        [&events[0], &events[2], &events[4]],
        [&partial(1), &partial(2), &partial(3)]
    );
    let last = events.last().unwrap();
    assert_eq!(
        (&last["event"], &last["data"]["status"]),
        (&json!("status"), &json!("completed"))
    );

    let id = hive.submit(&["EchoSkill.nosuch", "--max-retries", "0"]);
    let said = hive.run(&["task", "watch", &id]);
    assert_eq!(said.code, 1);
    assert!(
        said.err.contains("no method `nosuch`") && said.err.contains(&id),
        "{}",
        said.err
    );
    assert_eq!(hive.run(&["task", "watch", &id, "--json"]).code, 1);
    assert_eq!(hive.run(&["task", "watch", NOBODY]).code, 1);
}

#[test]
fn watching_begins_before_the_task_does_and_ends_when_it_is_cancelled() {
    let hive = Hive::new();
    let id = hive.submit(&["EchoSkill.say", "text=x", "--delay", DAY]);
    let watch = ["task", "watch", &id, "--nexus", &hive.nexus.ready];
    let watcher = hive
        .home
        .command(&watch)
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    hive.run(&["task", "cancel", &id]).fine();
    let output = watcher.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().contains("was cancelled"));
}

#[test]
fn tasks_wait_for_their_time_and_for_each_other_and_are_taken_back() {
    let hive = Hive::new();
    let first = hive.submit(&["EchoSkill.say", "text=x", "--delay", DAY]);
    let second = hive.submit(&["EchoSkill.say", "text=y", "--depends-on", &first, "--max-retries", "0"]);
    assert_eq!(hive.listed("pending"), std::slice::from_ref(&first));
    assert_eq!(hive.listed("blocked"), std::slice::from_ref(&second));

    let too_short = hive.run(&["task", "get", &first, "--wait", "10ms"]);
    assert_eq!(too_short.code, 1);
    assert!(too_short.err.contains("is pending after 0.01 s"), "{}", too_short.err);
    assert_eq!(
        hive.run(&[
            "task",
            "submit",
            "EchoSkill.say",
            "text=z",
            "--delay",
            DAY,
            "--wait",
            "10ms"
        ])
        .code,
        1
    );

    let cancelled = hive.run(&["task", "cancel", &first, NOBODY]);
    assert_eq!(cancelled.code, 1, "one of them is not known");
    assert_eq!(cancelled.out, format!("{first} is cancelled\n"));
    assert!(cancelled.err.contains(NOBODY), "{}", cancelled.err);
    assert_eq!(
        hive.ended(&second)["status"],
        "failed",
        "what it depends on was cancelled"
    );
    let again = hive.run(&["task", "cancel", &second]).fine();
    assert_eq!(again, format!("{second} had failed before\n"));

    let requeued = hive.run(&["task", "requeue", &second, "--json"]).json();
    assert_eq!(
        (&requeued["count"], &requeued["tasks"][0]["task_id"]),
        (&json!(1), &json!(second))
    );
    assert_eq!(hive.ended(&second)["result"], "y", "it no longer waits for the other");
    let refused = hive.run(&["task", "requeue", &second]);
    assert_eq!(refused.code, 1);
    assert!(refused.err.contains("is completed"), "{}", refused.err);
}

#[test]
fn a_running_task_is_stopped() {
    let hive = Hive::new();
    let id = hive.submit(&["EchoSkill.sleep", "milliseconds:=600000"]);
    until("the task runs", || {
        (hive.task(&id)["status"] == "running").then_some(())
    });
    let said = hive.run(&["task", "cancel", &id]).fine();
    // by the time of the answer it may have ended
    let right = [
        format!("{id} runs and is being stopped\n"),
        format!("{id} is cancelled\n"),
    ];
    assert!(right.contains(&said), "{said}");
    assert_eq!(hive.ended(&id)["status"], "cancelled");
}

#[test]
fn dead_letters_go_back_together() {
    let hive = Hive::new();
    let ids = [0, 1, 2].map(|_| hive.submit(&["EchoSkill.nosuch", "--max-retries", "0"]));
    for id in &ids {
        assert_eq!(hive.run(&["task", "get", id, "--wait", LONG]).code, 1);
    }
    let report = hive.run(&["task", "requeue", "--all-dead", "--json"]).json();
    assert_eq!(report["requeued"], 3);
    for id in &ids {
        until("it failed again", || (hive.ended(id)["attempt"] == 1).then_some(()));
    }
    let text = hive.run(&["task", "requeue", "--all-dead"]).fine();
    assert_eq!(text, "3 dead letters wait again\n");
}

#[test]
fn many_tasks_come_from_a_file_or_stdin() {
    let hive = Hive::new();
    let line =
        |text: &str| json!({"skill_name": "EchoSkill", "method_name": "say", "parameters": {"text": text}}).to_string();
    let lines: Vec<String> = (0..1_500).map(|number| line(&number.to_string())).collect();
    let out = hive
        .run_with_stdin(&["task", "submit", "--file", "-"], &lines.join("\n"))
        .fine();
    let ids: Vec<&str> = out.lines().collect();
    assert_eq!(ids.len(), 1_500);
    assert_eq!(
        hive.ended(ids[1_499])["result"],
        "1499",
        "ids are in the order of the file"
    );

    let graph = json!([
        {"ref": "a", "skill_name": "EchoSkill", "method_name": "say", "parameters": {"text": "ab"}},
        {"depends_on": ["a"], "skill_name": "EchoSkill", "method_name": "say",
         "parameters": {"text": {"$result": "a"}, "times": 2}},
    ]);
    hive.home.write("graph.json", &graph.to_string());
    let path = hive.home.path().join("graph.json").display().to_string();
    let accepted = hive.run(&["task", "submit", "--file", &path, "--json"]).json();
    assert_eq!(hive.ended(accepted["task_ids"][1].as_str().unwrap())["result"], "abab");

    let circle = json!([{"ref": "a", "depends_on": ["a"], "skill_name": "S", "method_name": "m"}]).to_string();
    let said = hive.run_with_stdin(&["task", "submit", "--file", "-"], &circle);
    assert_eq!((said.code, said.out.as_str()), (1, ""));
    assert!(said.err.contains("circle"), "{}", said.err);
}

#[test]
fn groups_are_limited_and_set_free() {
    let hive = Hive::new();
    let group = |args: &[&str]| hive.run(&[&["task", "group", "a/b c"], args].concat());
    assert_eq!(
        group(&["--concurrency", "1"]).fine(),
        "a/b c: 1 at one time, any begin in a second\n"
    );
    assert_eq!(
        group(&["--rate", "2.5", "--json"]).json(),
        json!({"concurrency": 1, "rate": 2.5})
    );
    let (first, second) = ("EchoSkill.sleep", "milliseconds:=600000");
    let ids = [0, 1].map(|_| hive.submit(&[first, second, "--group", "a/b c"]));
    until("one of them runs", || (hive.listed("running").len() == 1).then_some(()));
    let queues = hive.run(&["task", "queues", "--json"]).json();
    assert_eq!(
        queues["groups"],
        json!([{"name": "a/b c", "concurrency": 1, "rate": 2.5, "running": 1}])
    );
    assert!(hive.run(&["task", "queues"]).fine().contains("a/b c"));
    assert_eq!(
        group(&["--remove"]).fine(),
        "a/b c: any at one time, any begin in a second\n"
    );
    until("both run", || (hive.listed("running").len() == 2).then_some(()));
    hive.run(&["task", "cancel", &ids[0], &ids[1]]).fine();
}
