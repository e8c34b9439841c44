//! Laws of the local hive, with a closure in place of skills.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Semaphore;
use venom_protocol::{CallError, ErrorCode};
use venom_runtime::{Call, HiveBackend, HiveCaller, HiveRequest, Outcome, Usage};

use super::*;

#[derive(Clone)]
struct Script {
    gate: Arc<Semaphore>,
    running: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
    order: Arc<Mutex<Vec<String>>>,
}

impl Script {
    fn new() -> Self {
        Self {
            gate: Arc::new(Semaphore::new(0)),
            running: Arc::default(),
            most: Arc::default(),
            order: Arc::default(),
        }
    }
}

impl Executor for Script {
    fn skills(&self) -> Vec<String> {
        vec!["S".to_owned()]
    }

    async fn execute(&self, _: String, call: Call) -> Outcome {
        let running = self.running.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(running, Ordering::SeqCst);
        self.order.lock().expect("locked").push(call.params.get().to_owned());
        let result = match call.method.as_str() {
            "echo" => Ok(call.params),
            "gated" => {
                self.gate.acquire().await.expect("open").forget();
                Ok(call.params)
            }
            "depth" => Ok(RawValue::from_string(call.depth.to_string()).expect("json")),
            "timeout" => Ok(RawValue::from_string(call.timeout.as_secs().to_string()).expect("json")),
            "cancelled" => {
                call.cancel.cancelled().await;
                Err(CallError::new(ErrorCode::Cancelled, "cancelled"))
            }
            "panic" => panic!("on purpose"),
            other => Err(CallError::new(ErrorCode::UnknownMethod, format!("no method `{other}`"))),
        };
        self.running.fetch_sub(1, Ordering::SeqCst);
        Outcome {
            result,
            elapsed: Duration::ZERO,
            usage: Usage::default(),
        }
    }
}

fn hive(script: &Script, change: impl FnOnce(&mut LocalHiveLimits)) -> LocalHive<Script> {
    let mut limits = LocalHiveLimits::default();
    change(&mut limits);
    LocalHive::new(script.clone(), limits, CancellationToken::new())
}

fn caller(depth: u32) -> HiveCaller {
    HiveCaller {
        skill: "Asker".to_owned(),
        task_id: "t".to_owned(),
        depth,
        traceparent: None,
    }
}

fn request(method: &str, params: &str, priority: &str) -> HiveRequest {
    HiveRequest {
        skill: "S".to_owned(),
        method: method.to_owned(),
        params: params.to_owned(),
        priority: priority.to_owned(),
        timeout: None,
    }
}

const LONG: Duration = Duration::from_secs(20);

async fn outcomes(hive: &LocalHive<Script>, ids: Vec<String>) -> Vec<HiveOutcome> {
    hive.await_tasks(&caller(1), ids, LONG).await.expect("known")
}

#[tokio::test]
async fn tasks_run_and_are_answered_in_the_order_asked() {
    let hive = hive(&Script::new(), |_| {});
    let requests = (0..20)
        .map(|n| request("echo", &format!("{{\"n\":{n}}}"), "background"))
        .collect();
    let mut ids = hive.submit(&caller(1), requests).await.expect("taken");
    ids.reverse();
    let found = outcomes(&hive, ids.clone()).await;
    for (place, outcome) in found.iter().enumerate() {
        assert_eq!(outcome.task_id, ids[place]);
        assert_eq!(outcome.status, "completed");
        assert_eq!(
            outcome.value.as_deref(),
            Some(format!("{{\"n\":{}}}", 19 - place).as_str())
        );
    }
}

#[tokio::test]
async fn a_failed_task_says_why() {
    let hive = hive(&Script::new(), |_| {});
    let ids = hive
        .submit(
            &caller(1),
            vec![request("nonsense", "{}", "5"), request("panic", "{}", "5")],
        )
        .await;
    let found = outcomes(&hive, ids.expect("taken")).await;
    assert_eq!(found[0].status, "failed");
    assert_eq!(found[0].reason.as_deref(), Some("no method `nonsense`"));
    assert_eq!(found[1].status, "failed", "a panic gives its slot back and says so");
}

#[tokio::test]
async fn no_more_run_at_one_time_than_the_limit_and_the_highest_priority_goes_first() {
    let script = Script::new();
    let hive = hive(&script, |limits| limits.concurrency = 1);
    let requests = [
        request("gated", "{\"n\":\"first\"}", "0"),
        request("gated", "{\"n\":\"low\"}", "0"),
        request("gated", "{\"n\":\"high\"}", "high_priority"),
        request("gated", "{\"n\":\"low too\"}", "0"),
        request("gated", "{\"n\":\"top\"}", "10"),
    ];
    // alone, so that it is running when the others come
    let mut ids = hive.submit(&caller(1), requests[..1].to_vec()).await.expect("taken");
    ids.extend(hive.submit(&caller(1), requests[1..].to_vec()).await.expect("taken"));
    script.gate.add_permits(5);
    outcomes(&hive, ids).await;
    assert_eq!(script.most.load(Ordering::SeqCst), 1);
    let order = script.order.lock().expect("locked").join(" ");
    assert_eq!(
        order,
        r#"{"n":"first"} {"n":"top"} {"n":"high"} {"n":"low"} {"n":"low too"}"#
    );
}

#[tokio::test]
async fn parents_that_wait_do_not_starve_their_children() {
    let script = Script::new();
    let hive = hive(&script, |limits| limits.concurrency = 1);
    hive.submit(&caller(1), vec![request("gated", "{}", "5")])
        .await
        .expect("the parent");
    let children = hive
        .submit(&caller(2), vec![request("depth", "{}", "5")])
        .await
        .expect("the child");
    assert_eq!(outcomes(&hive, children).await[0].value.as_deref(), Some("2"));
}

#[tokio::test]
async fn depth_is_limited() {
    let hive = hive(&Script::new(), |limits| limits.depth = 2);
    hive.submit(&caller(2), vec![request("echo", "{}", "5")])
        .await
        .expect("deep enough");
    let error = hive
        .submit(&caller(3), vec![request("echo", "{}", "5")])
        .await
        .expect_err("too deep");
    assert!(
        matches!(&error, BackendError::Limit(text) if text.contains("2 deep")),
        "{error}"
    );
}

#[tokio::test]
async fn tasks_are_bounded_and_taken_all_or_none() {
    let script = Script::new();
    let hive = hive(&script, |limits| limits.tasks = 3);
    let two = || vec![request("gated", "{}", "5"), request("gated", "{}", "5")];
    let ids = hive.submit(&caller(1), two()).await.expect("taken");
    let error = hive.submit(&caller(1), two()).await.expect_err("one too many");
    assert!(
        matches!(&error, BackendError::Limit(text) if text.contains("2 of at most 3")),
        "{error}"
    );
    script.gate.add_permits(2);
    outcomes(&hive, ids).await;
    assert_eq!(script.order.lock().expect("locked").len(), 2, "none of the refused ran");
}

#[tokio::test]
async fn results_are_forgotten_when_their_time_is_up() {
    let hive = hive(&Script::new(), |limits| {
        (limits.tasks, limits.keep) = (1, Duration::from_millis(200))
    });
    let began = Instant::now();
    let ids = hive
        .submit(&caller(1), vec![request("echo", "{}", "5")])
        .await
        .expect("taken");
    outcomes(&hive, ids.clone()).await;
    let forgotten = async {
        while hive.status(&caller(1), ids[0].clone()).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LONG, forgotten).await.expect("it is forgotten");
    assert!(began.elapsed() >= Duration::from_millis(200), "but not before its time");
    hive.submit(&caller(1), vec![request("echo", "{}", "5")])
        .await
        .expect("its place is free");
}

#[tokio::test]
async fn results_are_bounded_in_bytes() {
    let hive = hive(&Script::new(), |limits| limits.result_bytes = 100);
    let bulk = format!("{{\"bulk\":\"{}\"}}", "x".repeat(60));
    let mut ids = Vec::new();
    for _ in 0..2 {
        let id = hive
            .submit(&caller(1), vec![request("echo", &bulk, "5")])
            .await
            .expect("taken");
        outcomes(&hive, id.clone()).await;
        ids.extend(id);
    }
    assert!(
        hive.status(&caller(1), ids[0].clone()).await.is_err(),
        "the oldest is forgotten"
    );
    assert_eq!(
        hive.status(&caller(1), ids[1].clone()).await.expect("kept").status,
        "completed"
    );
}

#[tokio::test]
async fn tasks_of_another_skill_are_not_shown() {
    let hive = hive(&Script::new(), |_| {});
    let ids = hive
        .submit(&caller(1), vec![request("echo", "{}", "5")])
        .await
        .expect("taken");
    let stranger = HiveCaller {
        skill: "Stranger".to_owned(),
        ..caller(1)
    };
    let error = hive.status(&stranger, ids[0].clone()).await.expect_err("not his");
    assert!(matches!(error, BackendError::NotFound(_)), "{error}");
}

#[tokio::test]
async fn what_is_wrong_with_a_request_is_named_and_nothing_runs() {
    let script = Script::new();
    let hive = hive(&script, |_| {});
    let good = request("echo", "{}", "5");
    let cases = [
        (
            HiveRequest {
                skill: "Absent".to_owned(),
                ..good.clone()
            },
            "Absent",
        ),
        (request("echo", "{}", "urgent"), "urgent"),
        (request("echo", "{}", "11"), "11"),
        (request("echo", "[]", "5"), "json object"),
        (request("echo", "{", "5"), "json object"),
    ];
    for (bad, word) in cases {
        let error = hive
            .submit(&caller(1), vec![good.clone(), bad])
            .await
            .expect_err(word)
            .to_string();
        assert!(error.contains(word), "{error}");
    }
    assert!(script.order.lock().expect("locked").is_empty());
}

#[tokio::test]
async fn waiting_ends_at_the_timeout_and_tells_the_state() {
    let script = Script::new();
    let hive = hive(&script, |limits| limits.concurrency = 1);
    let requests = vec![request("gated", "{}", "5"), request("gated", "{}", "5")];
    let ids = hive.submit(&caller(1), requests).await.expect("taken");
    let found = hive
        .await_tasks(&caller(1), ids, Duration::from_millis(20))
        .await
        .expect("known");
    let states: Vec<&str> = found.iter().map(|outcome| outcome.status.as_str()).collect();
    assert_eq!(states, ["running", "pending"]);
}

#[tokio::test]
async fn a_task_is_given_its_own_timeout_or_the_default() {
    let hive = hive(&Script::new(), |limits| limits.timeout = Duration::from_secs(77));
    let own = HiveRequest {
        timeout: Some(Duration::from_secs(5)),
        ..request("timeout", "{}", "5")
    };
    let ids = hive
        .submit(&caller(1), vec![own, request("timeout", "{}", "5")])
        .await
        .expect("taken");
    let found = outcomes(&hive, ids).await;
    assert_eq!(
        (found[0].value.as_deref(), found[1].value.as_deref()),
        (Some("5"), Some("77"))
    );
}

#[tokio::test]
async fn stopping_cancels_what_runs_and_takes_nothing_new() {
    let stop = CancellationToken::new();
    let hive = LocalHive::new(Script::new(), LocalHiveLimits::default(), stop.clone());
    let ids = hive
        .submit(&caller(1), vec![request("cancelled", "{}", "5")])
        .await
        .expect("taken");
    stop.cancel();
    assert_eq!(outcomes(&hive, ids).await[0].reason.as_deref(), Some("cancelled"));
    let error = hive
        .submit(&caller(1), vec![request("echo", "{}", "5")])
        .await
        .expect_err("ending");
    assert!(matches!(error, BackendError::Unavailable(_)), "{error}");
}
