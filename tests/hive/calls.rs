//! The main road: a REST call runs a signed, sandboxed skill on a spore, and the answer comes back.

use std::time::{Duration, Instant};

use anyhow::Result;
use futures_util::future::try_join_all;
use serde_json::json;
use venom_tests::{SkillName, TestHive, file_skill, shell_skill};

#[tokio::test(flavor = "multi_thread")]
async fn echo_shell_and_file_answer_over_rest() -> Result<()> {
    let hive = TestHive::start().await?;
    let node = hive
        .node()?
        .skill(SkillName::Echo)
        .skill(SkillName::Shell)
        .skill(SkillName::File);
    let node = node.grant(file_skill).grant(shell_skill).start().await?;
    let client = hive.client()?;

    let said = client
        .call(node.id, "EchoSkill.say", json!({"text": "hi ", "times": 2}))
        .await?;
    assert_eq!((said.success, said.result), (true, json!("hi hi ")));
    assert_eq!(said.node_id, Some(node.id));

    let written = json!({"path": "dir/note.txt", "content": "grüße"});
    assert!(client.call(node.id, "FileSkill.write_file", written).await?.success);
    assert_eq!(std::fs::read_to_string(node.workspace().join("dir/note.txt"))?, "grüße");
    let read = client
        .call(node.id, "FileSkill.read_file", json!({"path": "dir/note.txt"}))
        .await?;
    assert_eq!(read.result, json!("grüße"));
    let listed = client.call(node.id, "FileSkill.list_files", json!({})).await?;
    assert_eq!(listed.result, json!("dir/"));

    let shell = client
        .call(node.id, "ShellSkill.run", json!({"command": "cat dir/note.txt"}))
        .await?;
    assert_eq!(shell.result, json!("grüße"), "{:?}", shell.error);
    let echoed = client
        .call(node.id, "ShellSkill.run", json!({"command": "echo 'one two' three"}))
        .await?;
    assert_eq!(echoed.result, json!("one two three\n"));

    node.stop().await?;
    hive.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_nexus_shows_what_the_spore_has() -> Result<()> {
    let hive = TestHive::start().await?;
    let node = hive
        .node()?
        .skill(SkillName::Echo)
        .with(|settings| settings.tags = vec!["location:lab".to_owned()]);
    let node = node
        .with(|settings| settings.name = "bench-7".to_owned())
        .start()
        .await?;
    let shown = hive.client()?.until_online(node.id, true).await?;
    assert_eq!(shown["node_name"], "bench-7");
    assert_eq!(shown["protocol"], 2);
    assert_eq!(shown["capabilities"]["skills"], json!(["EchoSkill"]));
    assert_eq!(shown["capabilities"]["tags"][0], "location:lab");
    assert!(
        shown["capabilities"]["cpu_cores"]
            .as_u64()
            .is_some_and(|cores| cores > 0)
    );
    assert!(
        shown["capabilities"]["memory_mb"]
            .as_u64()
            .is_some_and(|memory| memory > 0)
    );
    assert!(
        shown["capabilities"]["platform"]
            .as_str()
            .is_some_and(|platform| platform.starts_with("linux-"))
    );
    Ok(())
}

/// The bench holds this to half a second on a release build; here it is enough that they run side by side.
#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_sleeps_run_at_the_same_time() -> Result<()> {
    let hive = TestHive::start().await?;
    let node = hive.node()?.skill(SkillName::Echo).start().await?;
    let client = hive.client()?;
    client.call(node.id, "EchoSkill.noop", json!({})).await?;
    let began = Instant::now();
    let sleeps = (0..200).map(|_| client.call(node.id, "EchoSkill.sleep", json!({"milliseconds": 500})));
    let answers = try_join_all(sleeps).await?;
    let took = began.elapsed();
    assert!(
        answers
            .iter()
            .all(|answer| answer.success && answer.result == json!(500))
    );
    assert!(took >= Duration::from_millis(500), "{took:?}: nothing slept");
    assert!(
        took < Duration::from_secs(10),
        "{took:?}: one after the other they take 100 s"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_over_concurrency_and_queue_are_refused_as_busy_and_the_rest_finish() -> Result<()> {
    let hive = TestHive::start().await?;
    let node = hive
        .node()?
        .skill(SkillName::Echo)
        .with(|settings| (settings.concurrency, settings.queue) = (2, 2));
    let node = node.start().await?;
    let client = hive.client()?;
    let calls = (0..12).map(|_| client.execute(node.id, "EchoSkill.sleep", json!({"milliseconds": 300}), 30.0));
    let answers = try_join_all(calls).await?;
    let (fine, busy): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 200);
    assert!(fine.len() >= 4, "{} finished", fine.len());
    assert!(!busy.is_empty(), "all 12 were taken");
    assert!(
        busy.iter().all(|answer| answer.status == 503 && answer.is_problem()),
        "{busy:?}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_times_out_is_504_and_its_slot_is_free_again() -> Result<()> {
    let hive = TestHive::start().await?;
    let node = hive
        .node()?
        .skill(SkillName::Echo)
        .with(|settings| (settings.concurrency, settings.queue) = (1, 0));
    let node = node.start().await?;
    let client = hive.client()?;
    let late = client
        .execute(node.id, "EchoSkill.sleep", json!({"milliseconds": 60_000}), 0.2)
        .await?;
    assert_eq!(late.status, 504, "{}", late.body);
    assert!(late.is_problem());
    venom_tests::eventually("a free slot", async || {
        let next = client
            .execute(node.id, "EchoSkill.say", json!({"text": "x"}), 30.0)
            .await?;
        Ok((next.status == 200).then_some(()))
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_goes_away_frees_the_slot() -> Result<()> {
    let hive = TestHive::start().await?;
    let node = hive
        .node()?
        .skill(SkillName::Echo)
        .with(|settings| (settings.concurrency, settings.queue) = (1, 0));
    let node = node
        .with(|settings| settings.heartbeat_interval = Duration::from_millis(50))
        .start()
        .await?;
    let client = hive.client()?;
    let caller = client.clone();
    let id = node.id;
    let call = tokio::spawn(async move {
        caller
            .execute(id, "EchoSkill.sleep", json!({"milliseconds": 60_000}), 60.0)
            .await
    });
    venom_tests::eventually("the call to run", async || {
        Ok(client.node(id).await?.filter(|node| node["active_tasks"] == 1))
    })
    .await?;
    call.abort();
    venom_tests::eventually("a free slot", async || {
        let next = client.execute(id, "EchoSkill.say", json!({"text": "x"}), 30.0).await?;
        Ok((next.status == 200).then_some(()))
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_best_node_is_the_least_loaded_with_the_tag() -> Result<()> {
    let hive = TestHive::start().await?;
    let patience = venom_tests::DEADLINE;
    let tagged = |tag: &str| hive.simulated().with(|settings| settings.tags = vec![tag.to_owned()]);
    let busy = tagged("lab").load(0.9, 0.9).connect(patience).await?;
    let free = tagged("lab").load(0.1, 0.1).connect(patience).await?;
    let idle_elsewhere = tagged("office").load(0.0, 0.0).connect(patience).await?;
    let client = hive.client()?;
    for node in [&busy, &free, &idle_elsewhere] {
        venom_tests::eventually("a heartbeat", async || {
            let shown = client.node(node.node_id()).await?;
            Ok(shown.filter(|shown| shown["cpu_usage"] != 0.0 || node.node_id() == idle_elsewhere.node_id()))
        })
        .await?;
    }
    let call = json!({"skill_name": "EchoSkill", "method_name": "any", "parameters": {"a": 1}, "tag": "lab"});
    let answer = client.post("/api/v1/execute", &call).await?;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(answer.body["node_id"], json!(free.node_id()));
    assert_eq!(answer.body["executed_by"], "node");
    Ok(())
}
