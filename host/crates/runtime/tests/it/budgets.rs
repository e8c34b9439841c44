//! Each budget against a guest that ignores it. Each test fails when its budget is not enforced: the guest would
//! get further than it may, or run until the test's own deadline.

use std::time::{Duration, Instant};

use bytesize::ByteSize;
use serde_json::json;
use tokio::sync::mpsc;
use venom_bundle::capability::{CacheGrant, Grants, NetGrant, NetProtocol};
use venom_protocol::{ErrorCode, ProgressUpdate};

use crate::stage::{answer, call, error, hostile, run, with_budgets};

#[track_caller]
fn names(error: &venom_protocol::CallError, budget: &str) {
    assert_eq!(error.code, ErrorCode::LimitExceeded, "{error}");
    assert!(error.message.contains(&format!("`{budget}`")), "{error}");
}

#[tokio::test]
async fn cpu_ends_a_guest_that_never_calls_the_host() {
    let skill = with_budgets(|budgets| budgets.cpu = Duration::from_millis(100));
    let begun = Instant::now();
    let outcome = run(&skill, "spin", json!({})).await;
    names(&outcome.result.unwrap_err(), "cpu");
    assert!(begun.elapsed() < Duration::from_secs(5));
    assert!(outcome.usage.cpu >= Duration::from_millis(100), "{:?}", outcome.usage);
}

#[tokio::test]
async fn cpu_ends_a_guest_that_calls_the_host_all_the_time() {
    let skill = with_budgets(|budgets| budgets.cpu = Duration::from_millis(100));
    names(&error(&skill, "spin_on_host", json!({})).await, "cpu");
}

#[tokio::test]
async fn cpu_is_not_spent_by_waiting() {
    let skill = with_budgets(|budgets| budgets.cpu = Duration::from_millis(150));
    assert_eq!(answer(&skill, "sleep", json!({"milliseconds": 400})).await, json!(400));
}

#[tokio::test]
async fn wall_ends_a_sleeping_guest_and_says_whose_limit_it_was() {
    let skill = with_budgets(|budgets| budgets.wall = Duration::from_millis(200));
    let error = error(&skill, "sleep", json!({"milliseconds": 60_000})).await;
    assert_eq!(error.code, ErrorCode::TimedOut);
    assert!(error.message.contains("200ms (the budget `wall`)"), "{error}");
}

#[tokio::test]
async fn memory_is_bounded_and_named() {
    let skill = with_budgets(|budgets| budgets.memory = ByteSize::mib(8));
    let outcome = run(&skill, "memory_bomb", json!({"mebibytes": 64})).await;
    let text = format!("{:?}", outcome.result);
    match outcome.result {
        // The guest may notice that it gets no more, and say how far it came.
        Ok(answer) => assert!(answer.get().contains("\"escaped\":false"), "{text}"),
        Err(error) => names(&error, "memory"),
    }
    assert!(outcome.usage.memory_peak <= ByteSize::mib(8), "{:?}", outcome.usage);
    assert!(outcome.usage.memory_peak >= ByteSize::mib(4), "{:?}", outcome.usage);
}

#[tokio::test]
async fn handles_are_bounded_and_named() {
    let skill = with_budgets(|budgets| budgets.handles = 50);
    names(&error(&skill, "pollable_bomb", json!({"count": 100})).await, "handles");
    let fewer = answer(&skill, "pollable_bomb", json!({"count": 20})).await;
    assert_eq!(fewer["detail"], "20 timers");
}

#[tokio::test]
async fn host_call_bytes_bound_one_call() {
    let skill = with_budgets(|budgets| budgets.host_call_bytes = ByteSize::kib(64));
    names(
        &error(&skill, "log_huge", json!({"bytes": 100_000})).await,
        "host_call_bytes",
    );
    assert!(run(&skill, "log_huge", json!({"bytes": 10_000})).await.result.is_ok());
}

#[tokio::test]
async fn random_bytes_are_a_total() {
    let skill = with_budgets(|budgets| budgets.random_bytes = ByteSize::kib(64));
    names(
        &error(&skill, "random_flood", json!({"bytes": 100_000})).await,
        "random_bytes",
    );
    assert!(
        run(&skill, "random_flood", json!({"bytes": 32_000}))
            .await
            .result
            .is_ok()
    );
}

#[tokio::test]
async fn output_bytes_bound_the_result() {
    let skill = with_budgets(|budgets| budgets.output_bytes = ByteSize::b(1_000));
    names(
        &error(&skill, "result_flood", json!({"bytes": 2_000})).await,
        "output_bytes",
    );
    assert!(run(&skill, "result_flood", json!({"bytes": 500})).await.result.is_ok());
}

#[tokio::test]
async fn output_bytes_bound_partial_results() {
    let skill = with_budgets(|budgets| budgets.output_bytes = ByteSize::kib(10));
    let (sender, mut receiver) = mpsc::channel(64);
    let mut flood = call("partial_flood", json!({"count": 50}));
    flood.progress = Some(sender);
    let outcome = skill.invoke(flood).await;
    let mut bytes = 0;
    while let Ok(update) = receiver.try_recv() {
        let ProgressUpdate::Partial { value } = update else {
            panic!("no partial result")
        };
        bytes += value.to_string().len();
    }
    assert!((8_000..=10_240).contains(&bytes), "{bytes} bytes came through");
    drop(outcome);
}

#[tokio::test]
async fn partial_results_reach_the_watcher() {
    let skill = hostile(Grants::default());
    let (sender, mut receiver) = mpsc::channel(1);
    let mut flood = call("partial_flood", json!({"count": 20}));
    flood.progress = Some(sender);
    let running = tokio::spawn(async move { skill.invoke(flood).await });
    let mut count = 0;
    while receiver.recv().await.is_some() {
        count += 1;
    }
    assert_eq!(count, 20, "a slow watcher must slow the guest, not lose results");
    assert!(running.await.unwrap().result.is_ok());
}

#[tokio::test]
async fn instances_are_bounded() {
    let bundle = crate::stage::verified(&crate::stage::manifest("hostile"), &crate::stage::component("hostile"));
    let mut grants = Grants::default();
    grants.budgets.instances = 1;
    let refused = crate::stage::runtime().load(&bundle, grants, &venom_runtime::Backends::local());
    let text = refused.unwrap_err().to_string();
    assert!(text.contains("`instances`"), "{text}");
}

#[tokio::test]
async fn table_elements_are_bounded() {
    let bundle = crate::stage::verified(&crate::stage::manifest("hostile"), &crate::stage::component("hostile"));
    let mut grants = Grants::default();
    grants.budgets.table_elements = 10;
    let refused = crate::stage::runtime().load(&bundle, grants, &venom_runtime::Backends::local());
    let text = refused.unwrap_err().to_string();
    assert!(text.contains("`table_elements`"), "{text}");
}

#[tokio::test]
async fn submissions_are_counted_before_any_hive_is_asked() {
    let mut grants = Grants {
        hive: vec!["EchoSkill.*".to_owned()],
        ..Grants::default()
    };
    grants.budgets.submissions = 5;
    let skill = hostile(grants);
    let flood = |count: u32| json!({"skill": "EchoSkill", "method": "say", "count": count});
    let many = answer(&skill, "hive_flood", flood(6)).await.to_string();
    assert!(many.contains("submissions"), "{many}");
    let few = answer(&skill, "hive_flood", flood(5)).await.to_string();
    assert!(few.contains("not part of a hive"), "{few}");
}

#[tokio::test]
async fn the_cache_has_a_quota_and_lasts_from_call_to_call() {
    let skill = hostile(Grants {
        cache: Some(CacheGrant {
            quota: ByteSize::kib(4),
            max_ttl: Duration::from_secs(60),
            namespace: None,
        }),
        ..Grants::default()
    });
    let flood = answer(&skill, "cache_flood", json!({"count": 1_000})).await;
    assert_eq!(flood["escaped"], json!(false), "{flood}");
    assert!(
        flood["detail"].to_string().contains("cache quota of 4096 bytes"),
        "{flood}"
    );
    let again = answer(&skill, "cache_bomb", json!({"bytes": 100})).await;
    assert_eq!(
        again["escaped"],
        json!(false),
        "the entries of the first call are still there: {again}"
    );
}

#[tokio::test]
async fn commands_are_counted_before_any_is_looked_at() {
    let skill = with_budgets(|budgets| budgets.commands = 0);
    let refused = answer(&skill, "command", json!({"program": "ls"})).await.to_string();
    assert!(refused.contains("`commands`"), "{refused}");
}

#[tokio::test]
async fn connections_are_a_total() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut grants = Grants {
        net: vec![NetGrant {
            to: "127.0.0.1".to_owned(),
            ports: vec![address.port().to_string()],
            protocols: vec![NetProtocol::Tcp],
        }],
        ..Grants::default()
    };
    grants.budgets.connections = 3;
    let skill = hostile(grants);
    let flood = |count: u32| json!({"address": address.to_string(), "count": count});
    let many = answer(&skill, "tcp_flood", flood(5)).await;
    assert_eq!(many["escaped"], json!(false), "{many}");
    assert!(many["detail"].to_string().contains("3 of 5"), "{many}");
    assert_eq!(answer(&skill, "tcp_flood", flood(3)).await["escaped"], json!(true));
    let elsewhere = answer(&skill, "tcp", json!({"address": "127.0.0.1:1"})).await;
    assert!(
        elsewhere["detail"].to_string().contains("ermission"),
        "refused, not tried: {elsewhere}"
    );
}

#[tokio::test]
async fn concurrency_makes_calls_wait_and_a_waiting_call_times_out_by_itself() {
    let skill = with_budgets(|budgets| budgets.concurrency = 1);
    let first = {
        let skill = skill.clone();
        tokio::spawn(async move { run(&skill, "sleep", json!({"milliseconds": 400})).await })
    };
    while !first.is_finished() {
        let mut late = call("sleep", json!({"milliseconds": 0}));
        late.timeout = Duration::from_millis(50);
        if let Err(error) = skill.invoke(late).await.result {
            assert_eq!(error.code, ErrorCode::TimedOut);
            assert!(error.message.contains("`concurrency` is 1"), "{error}");
            first.await.unwrap().result.unwrap();
            assert!(run(&skill, "sleep", json!({"milliseconds": 0})).await.result.is_ok());
            return;
        }
    }
    panic!("no call had to wait for another");
}

#[tokio::test]
async fn a_spinning_guest_does_not_starve_others() {
    let spinner = with_budgets(|budgets| budgets.cpu = Duration::from_secs(3));
    let other = spinner.clone();
    let spinning = tokio::spawn(async move { run(&spinner, "spin", json!({})).await });
    tokio::task::yield_now().await;
    // One thread for both (the default of tokio::test): this only gets a turn when the spinner gives it one.
    let begun = Instant::now();
    assert_eq!(answer(&other, "sleep", json!({"milliseconds": 1})).await, json!(1));
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    assert!(!spinning.is_finished());
    spinning.abort();
}
