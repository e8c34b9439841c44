//! A nexus whose broker is behind a network that loses requests and answers: slower, and nothing else.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::chance::Chance;
use crate::faulty::Faulty;
use crate::harness::{FakeSpore, Frame, TestNexus, echo_task, settings, sqlite_in, until};

const TASKS: usize = 60;

#[tokio::test]
async fn with_every_third_message_lost_each_task_still_completes_once() {
    let directory = tempfile::tempdir().unwrap();
    let broker = sqlite_in(directory.path(), venom_broker::Settings::default());
    let broker = Arc::new(Faulty::new(broker, Chance::new(7)));
    let nexus = TestNexus::start_all(settings(), None, Some(broker)).await;
    let mut spore = FakeSpore::v2(&nexus, &["EchoSkill"]).await;
    let node = spore.node_id.clone();
    let work = tokio::spawn(async move {
        while let Frame::Json(message) = spore.next().await {
            if message["message_type"] == "EXECUTE_SKILL" {
                let call = message["payload"].clone();
                spore.respond(&call, call["parameters"]["text"].clone()).await;
            }
        }
    });
    let mut ids = Vec::new();
    for n in 0..TASKS {
        let mut task = echo_task(&n.to_string());
        task["idempotency_key"] = json!(format!("key-{n}"));
        let id = until("the task to be taken", async || {
            let answer = nexus.post("/api/v1/tasks", &task).await;
            assert!([202, 503].contains(&answer.status), "{answer:?}");
            answer.body["task_id"].as_str().map(str::to_owned)
        })
        .await;
        ids.push(id);
    }
    for (n, id) in ids.iter().enumerate() {
        let done: Value = nexus.task_in(id, "completed").await;
        assert_eq!(
            (&done["result"], &done["assigned_node"]),
            (&json!(n.to_string()), &json!(node))
        );
    }
    until("the queues to say so", async || {
        let queues = nexus.get("/api/v1/queues").await.body;
        (queues["tasks_completed"] == TASKS && queues["tasks_running"] == 0).then_some(())
    })
    .await;
    nexus.ask_to_stop();
    work.await.unwrap();
    nexus.stopped().await;
}
