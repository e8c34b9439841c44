//! `map` against a real nexus and a real spore.

use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::hive::Hive;
use crate::home::until;

fn lines(out: &str) -> Vec<Value> {
    out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn results_come_in_the_order_of_the_items_and_are_reduced() {
    let hive = Hive::new();
    let numbers: Vec<u32> = (1..=1_200).collect();
    let items = json!(numbers).to_string();
    let said = hive.run_with_stdin(
        &[
            "map",
            "EchoSkill.item",
            "--items",
            "-",
            "--reduce",
            "EchoSkill.sum",
            "--json",
        ],
        &items,
    );
    let result = said.json();
    assert_eq!(said.code, 0, "{}", said.err);
    let summary =
        json!({"total_tasks": 1_200, "completed": 1_200, "failed": 0, "pending": 0, "success_rate": "100.0%"});
    assert_eq!(result["summary"], summary);
    assert_eq!(result["reduced"], json!(720_600.0));
    let found: Vec<u64> = result["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["result"].as_u64().unwrap())
        .collect();
    assert!(
        found.iter().eq(numbers
            .iter()
            .map(|number| u64::from(*number))
            .collect::<Vec<_>>()
            .iter())
    );
}

#[test]
fn items_are_lines_of_text_or_parameters_and_one_failure_is_exit_code_1() {
    let hive = Hive::new();
    hive.home.write(
        "items.txt",
        "first\n\n{\"text\": \"second\", \"times\": 2}\n{\"wrong\": 1}\n",
    );
    let path = hive.home.path().join("items.txt").display().to_string();
    let said = hive.run(&[
        "map",
        "EchoSkill.say",
        "--items",
        &path,
        "--param",
        "text",
        "--max-retries",
        "0",
    ]);
    assert_eq!(said.code, 1);
    let results = lines(&said.out);
    let shown: Vec<(&Value, &Value)> = results.iter().map(|item| (&item["status"], &item["result"])).collect();
    let expected = [
        (json!("completed"), json!("first")),
        (json!("completed"), json!("secondsecond")),
        (json!("failed"), json!(null)),
    ];
    assert_eq!(shown, expected.each_ref().map(|(status, result)| (status, result)));
    assert!(results[2]["error"].as_str().unwrap().contains("text"), "{}", results[2]);
    assert!(
        said.err.contains("3 items: 2 completed, 1 failed, 0 pending (66.7%)"),
        "{}",
        said.err
    );

    let reduced = hive.run(&[
        "map",
        "EchoSkill.say",
        "--items",
        &path,
        "--param",
        "text",
        "--reduce",
        "EchoSkill.nosuch",
    ]);
    assert_eq!(reduced.code, 1);
    assert!(
        reduced.err.contains("the reduce step failed") && reduced.err.contains("nosuch"),
        "{}",
        reduced.err
    );
    let none = hive.run_with_stdin(&["map", "EchoSkill.say", "--items", "-"], "");
    assert_eq!((none.code, none.out.as_str()), (0, ""), "nothing to do is done");
}

#[test]
fn what_has_not_ended_in_time_is_pending_and_goes_on() {
    let hive = Hive::new();
    let item = "{\"milliseconds\": 600000}";
    let said = hive.run_with_stdin(
        &[
            "map",
            "EchoSkill.sleep",
            "--items",
            "-",
            "--wait",
            "500ms",
            "--reduce",
            "EchoSkill.sum",
        ],
        item,
    );
    assert_eq!(said.code, 1);
    let results = lines(&said.out);
    assert_eq!(
        (&results[0]["status"], &results[0]["error"]),
        (&json!("pending"), &json!("Timeout"))
    );
    assert!(
        said.err.contains("1 items had not ended, so nothing was reduced"),
        "{}",
        said.err
    );
    let id = results[0]["task_id"].as_str().unwrap();
    until("it runs on", || (hive.task(id)["status"] == "running").then_some(()));
}

#[test]
fn an_interrupt_takes_back_what_has_not_begun() {
    let hive = Hive::with_concurrency(1);
    let items = "{\"milliseconds\": 600000}\n".repeat(5);
    hive.home.write("items.jsonl", &items);
    let mut map = start_map(&hive);
    until("one item runs", || (hive.listed("running").len() == 1).then_some(()));
    until("all are submitted", || {
        (hive.listed("pending").len() == 4).then_some(())
    });
    interrupt(&map);
    let status = map.wait().unwrap();
    assert_eq!(status.code(), Some(1));
    let results = lines(&hive.home.read("map.out"));
    let count = |status: &str| results.iter().filter(|item| item["status"] == status).count();
    assert_eq!((count("cancelled"), count("pending")), (4, 1));
    assert!(results.iter().any(|item| item["error"] == "Interrupted"));
    assert_eq!(hive.listed("cancelled").len(), 4);
    assert_eq!(hive.listed("running").len(), 1, "what had begun goes on");
}

fn start_map(hive: &Hive) -> Child {
    let items = hive.home.path().join("items.jsonl").display().to_string();
    let args = [
        "map",
        "EchoSkill.sleep",
        "--items",
        &items,
        "--nexus",
        &hive.nexus.ready,
    ];
    let out = std::fs::File::create(hive.home.path().join("map.out")).unwrap();
    hive.home
        .command(&args)
        .stdout(out)
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn interrupt(child: &Child) {
    let status = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status()
        .unwrap();
    assert!(status.success());
}

#[test]
fn a_second_interrupt_leaves_at_once_even_when_the_nexus_does_not_answer() {
    let hive = Hive::with_concurrency(1);
    hive.home
        .write("items.jsonl", &"{\"milliseconds\": 600000}\n".repeat(5));
    let mut map = start_map(&hive);
    until("all are submitted", || {
        (hive.listed("pending").len() == 4).then_some(())
    });
    hive.nexus.signal("-STOP");
    let status = until("it leaves", || {
        interrupt(&map);
        map.try_wait().unwrap()
    });
    hive.nexus.signal("-CONT");
    assert_eq!(status.code(), Some(1));
    assert_eq!(hive.home.read("map.out"), "", "it asked nobody what came of the items");
    assert_eq!(hive.listed("pending").len(), 4, "what was submitted stays");
}
