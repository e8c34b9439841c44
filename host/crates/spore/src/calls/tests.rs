//! Laws of the calls in hand, with a closure in place of skills.

use std::sync::Mutex;
use std::time::Duration;

use serde_json::value::RawValue;
use tokio::time::timeout;
use venom_protocol::{ProgressUpdate, Response};
use venom_runtime::{Call, Outcome, Usage};

use super::*;

/// Holds every call until its method's name says otherwise.
struct Script;

impl Executor for Script {
    fn skills(&self) -> Vec<String> {
        vec!["S".to_owned()]
    }

    async fn execute(&self, _: String, call: Call) -> Outcome {
        let result = match call.method.as_str() {
            "hang" => std::future::pending().await,
            "deaf" => std::future::pending().await,
            "until-cancelled" => {
                call.cancel.cancelled().await;
                Err(CallError::new(ErrorCode::Cancelled, "cancelled"))
            }
            "flood" => {
                let progress = call.progress.expect("watched");
                for done in 0..10_000 {
                    let report = ProgressUpdate::Report {
                        done,
                        total: 0,
                        note: String::new(),
                    };
                    progress.send(report).await.expect("taken");
                }
                Ok(call.params)
            }
            "partials" => {
                let progress = call.progress.expect("watched");
                for number in 0..1_000 {
                    progress
                        .send(ProgressUpdate::Partial { value: number.into() })
                        .await
                        .expect("taken");
                }
                Ok(call.params)
            }
            _ => Ok(call.params),
        };
        Outcome {
            result,
            elapsed: Duration::ZERO,
            usage: Usage::default(),
        }
    }
}

static NODE: Mutex<Option<NodeId>> = Mutex::new(None);

fn node() -> NodeId {
    *NODE.lock().expect("locked").get_or_insert_with(NodeId::random)
}

fn calls(concurrency: u32, queue: u32) -> Calls<Script> {
    let slots = Arc::new(Slots::new());
    Calls::new(node(), Arc::new(Script), Limits { concurrency, queue }, slots)
}

fn execute(method: &str, parameters: &str) -> ExecuteSkill {
    ExecuteSkill {
        request_id: RequestId::random(),
        node_id: node(),
        skill_name: "S".to_owned(),
        method_name: method.to_owned(),
        parameters: RawValue::from_string(parameters.to_owned()).expect("json"),
        timeout: 30.0,
        traceparent: None,
        task: None,
    }
}

async fn answer(calls: &mut Calls<Script>) -> Response {
    loop {
        let said = timeout(Duration::from_secs(20), calls.next()).await.expect("an answer");
        if let Said::Finished(finished) = said {
            let frame: serde_json::Value = serde_json::from_str(&finished.frame.expect("a frame")).expect("json");
            return serde_json::from_value(frame["payload"].clone()).expect("a response");
        }
    }
}

#[tokio::test]
async fn credits_and_active_count_what_is_in_hand() {
    let mut calls = calls(3, 1);
    assert_eq!((calls.active(), calls.credits()), (0, 3));
    for _ in 0..4 {
        calls.start(execute("hang", "{}"), Watched::No).expect("taken");
    }
    assert_eq!((calls.active(), calls.credits()), (4, 0));
    let refused = calls.start(execute("hang", "{}"), Watched::No).expect_err("full");
    assert!(matches!(refused, NotStarted::Refused(error) if error.code == ErrorCode::Busy));
}

#[tokio::test]
async fn parameters_in_hand_are_bounded_in_bytes_and_freed_with_their_call() {
    let mut calls = calls(1_000, 0);
    let bulk = format!("{{\"bulk\":\"{}\"}}", "x".repeat(MAX_PARAMETER_BYTES / 3));
    for _ in 0..2 {
        calls
            .start(execute("until-cancelled", &bulk), Watched::No)
            .expect("taken");
    }
    let refused = calls
        .start(execute("echo", &bulk), Watched::No)
        .expect_err("too many bytes");
    assert!(
        matches!(&refused, NotStarted::Refused(error) if error.code == ErrorCode::Busy),
        "{refused:?}"
    );
    calls.cancel_all();
    answer(&mut calls).await;
    answer(&mut calls).await;
    assert_eq!(calls.bytes, 0);
    calls.start(execute("echo", &bulk), Watched::No).expect("taken again");
}

#[tokio::test]
async fn an_abandoned_call_is_cancelled_keeps_its_slot_and_is_never_answered() {
    let mut calls = calls(1, 0);
    calls.start(execute("deaf", "{}"), Watched::No).expect("taken");
    tokio::task::yield_now().await;
    calls.abandon_all();
    assert_eq!((calls.wanted(), calls.active(), calls.credits()), (0, 1, 0));
    let refused = calls
        .start(execute("echo", "{}"), Watched::No)
        .expect_err("its slot is in use");
    assert!(matches!(refused, NotStarted::Refused(_)));
    assert!(
        timeout(Duration::from_millis(50), calls.next()).await.is_err(),
        "nothing is said of it"
    );
}

#[tokio::test]
async fn abandoned_calls_leave_the_books_when_they_end() {
    let mut calls = calls(8, 0);
    for _ in 0..8 {
        calls
            .start(execute("until-cancelled", "{}"), Watched::No)
            .expect("taken");
    }
    calls.abandon_all();
    timeout(Duration::from_secs(20), calls.emptied())
        .await
        .expect("they end");
    assert_eq!((calls.active(), calls.wanted(), calls.bytes), (0, 0, 0));
    assert!(calls.requests.is_empty() && calls.entries.is_empty());
}

#[tokio::test]
async fn a_watcher_that_is_slow_loses_updates_but_never_holds_up_the_call() {
    let mut calls = calls(1, 0);
    calls.start(execute("flood", "{}"), Watched::Yes).expect("taken");
    let response = answer(&mut calls).await;
    assert!(response.success, "{:?}", response.error);
    assert!(calls.progress_out.is_empty(), "what was said came before the answer");
}

#[tokio::test]
async fn partial_results_are_never_dropped_and_keep_their_order() {
    let mut calls = calls(1, 0);
    calls.start(execute("partials", "{}"), Watched::Yes).expect("taken");
    for expected in 0..1_000 {
        let said = timeout(Duration::from_secs(20), calls.next())
            .await
            .expect("a partial result");
        match said {
            Said::Progress(Progress {
                update: ProgressUpdate::Partial { value },
                ..
            }) => assert_eq!(value, expected),
            other => panic!("{other:?} instead of partial result {expected}"),
        }
    }
    assert!(answer(&mut calls).await.success);
}

#[test]
fn timeouts_are_checked_and_bounded() {
    for wrong in [0.0, -1.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let error = run::timeout(wrong).expect_err("refused");
        assert_eq!(error.code, ErrorCode::InvalidParams);
        assert!(error.message.contains("timeout"), "{}", error.message);
    }
    assert_eq!(run::timeout(0.25).expect("taken"), Duration::from_millis(250));
    assert_eq!(run::timeout(1e300).expect("taken"), Duration::from_secs(86_400));
}
