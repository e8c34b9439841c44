//! What a task says while it runs, and going on where a stream broke off.

use futures_util::StreamExt;
use serde_json::{Value, json};
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use crate::harness::{FakeSpore, TestNexus, VIEWER, echo_task, soon};
use crate::sse::Sse;

async fn partial(spore: &mut FakeSpore, call: &Value, value: Value) {
    let said = json!({ "request_id": call["request_id"], "kind": "partial", "value": value });
    spore.say("PROGRESS", said).await;
}

#[tokio::test]
async fn partial_results_come_while_it_runs_and_the_stream_ends_with_the_task() {
    let nexus = TestNexus::with_tasks().await;
    let mut spore = FakeSpore::v2(&nexus, &["EchoSkill"]).await;
    let id = nexus.submit(echo_task("x")).await;
    let call = spore.expect("EXECUTE_SKILL").await;
    let mut stream = Sse::open(&nexus, &format!("/api/v1/tasks/{id}/events"), None).await;
    partial(&mut spore, &call, json!("one")).await;
    let mut seen = Vec::new();
    while seen.last() != Some(&("partial".to_owned(), json!("one"))) {
        let said = stream.said().await.unwrap();
        seen.push((
            said.name.clone(),
            said.data.get("value").unwrap_or(&said.data["status"]).clone(),
        ));
    }
    let report = json!({ "request_id": call["request_id"], "kind": "report", "done": 1, "total": 2, "note": "half" });
    spore.say("PROGRESS", report).await;
    let said = stream.said().await.unwrap();
    assert_eq!(
        (said.name.as_str(), said.id.as_str(), &said.data["note"]),
        ("report", "2", &json!("half"))
    );
    partial(&mut spore, &call, json!("two")).await;
    spore.respond(&call, json!("all")).await;
    let said = stream.said().await.unwrap();
    assert_eq!((said.name.as_str(), &said.data["value"]), ("partial", &json!("two")));
    let said = stream.said().await.unwrap();
    assert_eq!(
        (said.name.as_str(), &said.data["status"]),
        ("status", &json!("completed"))
    );
    assert_eq!(said.data["result"], "all");
    assert!(stream.said().await.is_none(), "the stream ends with the task");
    nexus.stop().await;
}

#[tokio::test]
async fn a_stream_that_broke_off_goes_on_after_the_last_id() {
    let nexus = TestNexus::with_tasks().await;
    let mut spore = FakeSpore::v2(&nexus, &["EchoSkill"]).await;
    let id = nexus.submit(echo_task("x")).await;
    let call = spore.expect("EXECUTE_SKILL").await;
    for n in 1..=3 {
        partial(&mut spore, &call, json!(n)).await;
    }
    spore.respond(&call, json!("all")).await;
    nexus.task_in(&id, "completed").await;
    let path = format!("/api/v1/tasks/{id}/events");
    // progress is written a moment after it is said
    let all = crate::harness::until("three entries", async || {
        let mut stream = Sse::open(&nexus, &path, None).await;
        let mut all = Vec::new();
        while let Some(said) = stream.said().await {
            all.push((said.name, said.id, said.data["value"].clone()));
        }
        (all.len() == 4).then_some(all)
    })
    .await;
    let values: Vec<&Value> = all.iter().take(3).map(|(_, _, value)| value).collect();
    assert_eq!(values, [&json!(1), &json!(2), &json!(3)]);
    let mut stream = Sse::open(&nexus, &path, Some(&all[1].1)).await;
    let said = stream.said().await.unwrap();
    assert_eq!((said.id.as_str(), &said.data["value"]), ("3", &json!(3)));
    assert_eq!(stream.said().await.unwrap().name, "status");

    let url = format!("ws://{}/ws/tasks/{id}?after=2", nexus.address);
    let mut request = url.into_client_request().unwrap();
    let token = format!("Bearer {VIEWER}").parse().unwrap();
    request.headers_mut().insert("authorization", token);
    let (mut socket, _) = connect_async(request).await.unwrap();
    let mut frames = Vec::new();
    while let Some(Ok(Message::Text(text))) = soon("a frame", socket.next()).await {
        frames.push(serde_json::from_str::<Value>(&text).unwrap());
    }
    assert_eq!(frames.len(), 2, "{frames:?}");
    assert_eq!((&frames[0]["event"], &frames[0]["id"]), (&json!("partial"), &json!(3)));
    assert_eq!(
        (&frames[1]["event"], &frames[1]["data"]["status"]),
        (&json!("status"), &json!("completed"))
    );
    nexus.stop().await;
}

#[tokio::test]
async fn a_stream_needs_a_token_and_takes_it_from_the_query() {
    let nexus = TestNexus::with_tasks().await;
    let id = nexus.submit(echo_task("x")).await;
    let url = nexus.url(&format!("/api/v1/tasks/{id}/events"));
    assert_eq!(nexus.http.get(&url).send().await.unwrap().status(), 401);
    let answer = nexus
        .http
        .get(format!("{url}?access_token={VIEWER}"))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 200);
    let plain = nexus.url(&format!("/api/v1/tasks/{id}?access_token={VIEWER}"));
    assert_eq!(
        nexus.http.get(plain).send().await.unwrap().status(),
        401,
        "only streams take it"
    );
    nexus.stop().await;
}
