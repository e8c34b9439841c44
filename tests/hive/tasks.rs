//! Tasks over the whole hive: real skills in their sandbox, real processes, brokers that come and go.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use reqwest::StatusCode;
use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;
use venom_tests::{Client, HostProcess, Publisher, SPORE_TOKEN, SkillName, TestHive, eventually, parallel_skill};

use crate::redis_server::RedisServer;

/// Submits one task and gives its id.
async fn submit(client: &Client, task: &Value) -> Result<String> {
    let answer = client.post("/api/v1/tasks", task).await?;
    ensure!(
        answer.status == StatusCode::ACCEPTED,
        "{} {}",
        answer.status,
        answer.body
    );
    Ok(answer.body["task_id"].as_str().context("no id")?.to_owned())
}

/// The task, once it has this status.
async fn task_in(client: &Client, id: &str, status: &str) -> Result<Value> {
    eventually(&format!("task {id} {status}"), async || {
        let body = client.get(&format!("/api/v1/tasks/{id}?wait=1")).await?.body;
        ensure!(body["status"] != "failed" || status == "failed", "it failed: {body}");
        Ok((body["status"] == status).then_some(body))
    })
    .await
}

fn echo(method: &str, parameters: Value) -> Value {
    json!({ "skill_name": "EchoSkill", "method_name": method, "parameters": parameters })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_skill_maps_over_the_hive_from_inside_its_sandbox_on_a_single_place() -> Result<()> {
    let hive = TestHive::with_tasks().await?;
    let client = hive.client()?;
    // one place in all: the parent must lend it to its children
    let node = hive.node()?.skill(SkillName::Echo).skill(SkillName::Parallel);
    let node = node
        .grant(|_| parallel_skill())
        .with(|settings| settings.concurrency = 1);
    let _node = node.start().await?;
    let parameters = json!({ "task_description": "count", "items": [1, 2, 3], "skill_name": "EchoSkill", "method_name": "item",
        "reduce": { "skill_name": "EchoSkill", "method_name": "sum" } });
    let id = submit(
        &client,
        &json!({ "skill_name": "ParallelSkill", "method_name": "map_reduce", "parameters": parameters }),
    )
    .await?;
    let result = task_in(&client, &id, "completed").await?["result"].clone();
    let summary = json!({ "total_tasks": 3, "completed": 3, "failed": 0, "pending": 0, "success_rate": "100.0%" });
    assert_eq!(result["summary"], summary, "{result}");
    let items: Vec<(&Value, &Value)> = result["results"]
        .as_array()
        .context("no results")?
        .iter()
        .map(|item| (&item["item_index"], &item["result"]))
        .collect();
    assert_eq!(
        items,
        [(&json!(0), &json!(1)), (&json!(1), &json!(2)), (&json!(2), &json!(3))]
    );
    assert_eq!(result["reduced"], 6.0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_skill_submits_only_what_its_grants_name() -> Result<()> {
    let hive = TestHive::with_tasks().await?;
    let client = hive.client()?;
    let node = hive.node()?.skill(SkillName::Echo).skill(SkillName::Parallel);
    let node = node
        .grant(|_| "[skills.ParallelSkill]\nhive = ['EchoSkill.item']\n".to_owned())
        .start()
        .await?;
    let with = |method: &str| json!({ "task_description": "x", "subtasks": [1], "skill_name": "EchoSkill", "method_name": method });
    let allowed = client
        .call(node.id, "ParallelSkill.parallel_execute", with("item"))
        .await?;
    assert_eq!(allowed.result["summary"]["completed"], 1, "{allowed:?}");
    let refused = client
        .call(node.id, "ParallelSkill.parallel_execute", with("say"))
        .await?;
    assert!(
        !refused.success && refused.why().contains("EchoSkill.say"),
        "{refused:?}"
    );
    assert_eq!(refused.code(), "denied");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn partial_results_of_a_real_skill_can_be_read_after_it_ran() -> Result<()> {
    let hive = TestHive::with_tasks().await?;
    let client = hive.client()?;
    let _node = hive.node()?.skill(SkillName::Echo).start().await?;
    let id = submit(&client, &echo("count", json!({ "to": 5 }))).await?;
    task_in(&client, &id, "completed").await?;
    let seen = eventually("five partial results", async || {
        let request = client.request(reqwest::Method::GET, &format!("/api/v1/tasks/{id}/events"));
        let text = request.send().await?.text().await?;
        let partials: Vec<String> = text
            .split("\n\n")
            .filter(|block| block.contains("event: partial"))
            .map(str::to_owned)
            .collect();
        Ok((partials.len() == 5).then_some(partials))
    })
    .await?;
    for (number, block) in (1..=5).zip(&seen) {
        assert!(block.contains(&format!("\"value\":{number}")), "{block}");
    }
    Ok(())
}

/// A spore as a process, with `EchoSkill`.
async fn spore(nexus: &str) -> Result<(TempDir, HostProcess, String)> {
    let data = TempDir::new()?;
    HostProcess::run(data.path(), &["init"]).await?;
    Publisher::of_data_dir(data.path())?.fill(&data.path().join("skills"), &[SkillName::Echo])?;
    let mut process = HostProcess::start(data.path(), &["spore", "--nexus", nexus, "--token", SPORE_TOKEN])?;
    let id = process.ready("spore ready").await?;
    Ok((data, process, id))
}

/// A task that runs on this spore and no other, for now.
async fn running_on(client: &Client, node: &str) -> Result<String> {
    let id = submit(client, &echo("sleep", json!({ "milliseconds": 1_500 }))).await?;
    let running = task_in(client, &id, "running").await?;
    eventually("the node to be known", async || {
        let body = client.get(&format!("/api/v1/tasks/{id}")).await?.body;
        Ok((body["assigned_node"] == *node).then_some(()))
    })
    .await
    .with_context(|| running.to_string())?;
    Ok(id)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_spores_task_runs_elsewhere() -> Result<()> {
    let hive = TestHive::with_tasks().await?;
    let client = hive.client()?;
    let (_first_data, first, first_id) = spore(&hive.url()).await?;
    let id = running_on(&client, &first_id).await?;
    let second = hive.node()?.skill(SkillName::Echo).start().await?;
    first.kill().await?;
    let done = task_in(&client, &id, "completed").await?;
    assert_eq!(
        (&done["assigned_node"], &done["losses"]),
        (&json!(second.id), &json!(1))
    );
    assert_eq!(done["result"], 1_500);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spore_that_hangs_loses_its_task_within_seconds_though_its_link_is_open() -> Result<()> {
    let hive = TestHive::with_tasks().await?;
    let client = hive.client()?;
    let (_first_data, first, first_id) = spore(&hive.url()).await?;
    let id = running_on(&client, &first_id).await?;
    let second = hive.node()?.skill(SkillName::Echo).start().await?;
    first.signal(Signal::STOP)?;
    let done = task_in(&client, &id, "completed").await?;
    assert_eq!(done["assigned_node"], json!(second.id));
    let node = client.node(first_id.parse()?).await?.context("unknown")?;
    assert_eq!(node["is_online"], true, "its heartbeat timeout is far longer");
    // it wakes up and answers: too late, and nothing is recorded twice
    first.signal(Signal::CONT)?;
    eventually("the late answer", async || {
        let queues = client.get("/api/v1/queues").await?.body;
        ensure!(queues["tasks_completed"] == 1, "{queues}");
        let node = client.node(first_id.parse()?).await?.context("unknown")?;
        Ok((node["active_tasks"] == 0).then_some(()))
    })
    .await
}

/// A nexus as a process.
async fn nexus(data: &TempDir, more: &[&str]) -> Result<(HostProcess, Client)> {
    let mut arguments = vec!["nexus", "--dev", "--port", "0", "--token", SPORE_TOKEN];
    arguments.extend(more);
    let mut process = HostProcess::start(data.path(), &arguments)?;
    let url = process.ready("nexus ready").await?;
    Ok((process, Client::new(url, None)?))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_embedded_nexus_killed_with_work_loses_none_of_it() -> Result<()> {
    let data = TempDir::new()?;
    let (process, client) = nexus(&data, &[]).await?;
    let tasks: Vec<Value> = (0..500)
        .map(|n| echo("say", json!({ "text": n.to_string() })))
        .collect();
    let answer = client.post("/api/v1/tasks", &json!({ "tasks": tasks })).await?;
    ensure!(answer.status == StatusCode::ACCEPTED, "{}", answer.body);
    let ids = answer.body["task_ids"].as_array().context("no ids")?.clone();
    process.kill().await?;
    let (_process, client) = nexus(&data, &[]).await?;
    let url = client.base().to_owned();
    let (_data, _spore, _) = spore(&url).await?;
    for (n, id) in ids.iter().enumerate() {
        let done = task_in(&client, id.as_str().context("no id")?, "completed").await?;
        assert_eq!(done["result"], n.to_string());
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_is_down_or_refuses_is_told_and_the_nexus_recovers_by_itself() -> Result<()> {
    let mut redis = tokio::task::spawn_blocking(|| RedisServer::stopped(&["--requirepass", "right"])).await?;
    let data = TempDir::new()?;
    let url = format!("redis://:wrong@127.0.0.1:{}", redis.port());
    let (_process, client) = nexus(&data, &["--redis-url", &url]).await?;
    let not_ready = async |words: &str| {
        eventually(&format!("readyz to say {words}"), async || {
            let answer = client.get("/readyz").await?;
            Ok((answer.status == 503 && answer.detail().contains(words)).then(|| answer.detail().to_owned()))
        })
        .await
    };
    not_ready("cannot be reached").await?;
    let answer = client
        .post("/api/v1/tasks", &echo("say", json!({ "text": "x" })))
        .await?;
    ensure!(
        answer.status == 503 && answer.is_problem(),
        "{} {}",
        answer.status,
        answer.body
    );
    redis = tokio::task::spawn_blocking(move || {
        redis.start();
        redis
    })
    .await?;
    let told = not_ready("refused").await?;
    ensure!(
        !told.contains("wrong@") && told.to_lowercase().contains("password"),
        "{told}"
    );
    let redis = tokio::task::spawn_blocking(move || {
        redis.commands(&[&["AUTH", "right"], &["CONFIG", "SET", "requirepass", "wrong"]]);
        redis
    })
    .await?;
    eventually("the nexus to be ready", async || {
        Ok((client.get("/readyz").await?.status == 200).then_some(()))
    })
    .await?;
    let id = submit(&client, &echo("say", json!({ "text": "at last" }))).await?;
    let url = client.base().to_owned();
    let (_data, _spore, _) = spore(&url).await?;
    assert_eq!(task_in(&client, &id, "completed").await?["result"], "at last");
    drop(redis);
    tokio::time::timeout(Duration::from_secs(60), not_ready("cannot be reached")).await??;
    Ok(())
}
