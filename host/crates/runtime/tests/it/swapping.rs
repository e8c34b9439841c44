//! Replacing a skill while it works: every call is answered by the version it began on, none fails, and what was
//! replaced is freed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use venom_bundle::capability::Grants;
use venom_bundle::{Probe, VerifiedBundle};
use venom_protocol::ErrorCode;
use venom_runtime::{Backends, Health, Runtime, Skill, SkillSet};

use crate::stage::{call, component, hostile, manifest, run, runtime, verified, with_budgets};

/// Longest that anything here may take before it counts as stuck.
const PATIENCE: Duration = Duration::from_secs(60);

/// The hostile guest, as two bundles of different versions.
struct Versions([VerifiedBundle; 2]);

impl Versions {
    fn new() -> Self {
        Self([0, 1].map(|minor| {
            let mut manifest = manifest("hostile");
            manifest.version = semver::Version::new(1, minor, 0);
            verified(&manifest, &component("hostile"))
        }))
    }

    /// The generation of this number: one bundle or the other by turns, told by its only setting which one it is.
    fn load(&self, runtime: &Runtime, number: u64) -> Skill {
        let [even, odd] = &self.0;
        let bundle = if number.is_multiple_of(2) { even } else { odd };
        let mut grants = Grants::default();
        grants.config.insert("version".to_owned(), number.to_string());
        runtime.load(bundle, grants, &Backends::local()).unwrap()
    }
}

/// Which generation answers.
async fn answering(skills: &SkillSet) -> u64 {
    let outcome = skills
        .call("HostileSkill", call("config", json!({"key": "version"})))
        .await;
    let answer: serde_json::Value = serde_json::from_str(outcome.result.unwrap().get()).unwrap();
    let detail = answer.get("detail").and_then(|detail| detail.as_str()).unwrap();
    detail
        .rsplit(|character: char| !character.is_ascii_digit())
        .find(|word| !word.is_empty())
        .unwrap()
        .parse()
        .unwrap()
}

async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(value) => value,
        Err(_) => panic!("{what} took over {PATIENCE:?}"),
    }
}

/// Waits until `done`, looking often.
async fn eventually(what: &str, done: impl Fn() -> bool) {
    within(what, async {
        while !done() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
}

/// Resident memory of this process in bytes.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    let kibibytes: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kibibytes * 1024
}

/// What the load of the thousand swaps shares with them.
struct Shared {
    skills: SkillSet,
    /// The latest generation that is certainly in the set.
    current: AtomicU64,
    stop: AtomicBool,
    calls: AtomicU64,
}

async fn call_until_stopped(shared: Arc<Shared>) {
    while !shared.stop.load(Ordering::SeqCst) {
        let floor = shared.current.load(Ordering::SeqCst);
        let number = answering(&shared.skills).await;
        assert!(
            number >= floor,
            "a call that began after generation {floor} was in place was answered by {number}"
        );
        shared.calls.fetch_add(1, Ordering::SeqCst);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_23_a_thousand_swaps_under_load_fail_no_call_and_leave_nothing_behind() {
    const SWAPS: u64 = 1_000;
    const CALLERS: usize = 2;
    let runtime = runtime();
    let slots = runtime.free_slots();
    let versions = Arc::new(Versions::new());
    let first = versions.load(&runtime, 0);
    let shared = Arc::new(Shared {
        skills: SkillSet::empty(),
        current: AtomicU64::new(0),
        stop: AtomicBool::new(false),
        calls: AtomicU64::new(0),
    });
    shared.skills.insert(first);
    let callers: Vec<_> = (0..CALLERS)
        .map(|_| tokio::spawn(call_until_stopped(Arc::clone(&shared))))
        .collect();
    let mut settled = 0;
    for number in 1..=SWAPS {
        let skill = {
            let (runtime, versions) = (runtime.clone(), Arc::clone(&versions));
            let loading = tokio::task::spawn_blocking(move || versions.load(&runtime, number));
            loading.await.unwrap()
        };
        let old = shared.skills.insert(skill).unwrap();
        shared.current.store(number, Ordering::SeqCst);
        assert!(runtime.generations() <= 2, "{} generations", runtime.generations());
        within("draining", old.drained()).await;
        assert_eq!(old.health().failures, 0);
        old.retire();
        drop(old);
        eventually("freeing the old version", || runtime.generations() == 1).await;
        if number == SWAPS / 10 {
            settled = resident();
        }
    }
    shared.stop.store(true, Ordering::SeqCst);
    for caller in callers {
        within("a caller", caller).await.unwrap();
    }
    let calls = shared.calls.load(Ordering::SeqCst);
    assert!(calls >= SWAPS / 2, "only {calls} calls: that was no load");
    assert_eq!(answering(&shared.skills).await, SWAPS);
    let grown = resident().saturating_sub(settled);
    assert!(grown < 64 << 20, "900 swaps kept {} KiB", grown >> 10);
    assert_eq!(runtime.free_slots(), slots, "slots were lost");
    drop(shared.skills.remove("HostileSkill"));
    assert_eq!(runtime.generations(), 0);
}

#[tokio::test]
async fn case_23_a_gated_call_finishes_on_the_old_version_while_new_calls_hit_the_new() {
    let runtime = runtime();
    let skills = SkillSet::empty();
    let versions = Versions::new();
    skills.insert(versions.load(&runtime, 1));
    let gated = {
        let skills = skills.clone();
        tokio::spawn(async move {
            skills
                .call("HostileSkill", call("sleep", json!({"milliseconds": 1500})))
                .await
        })
    };
    let first = skills.get("HostileSkill").unwrap();
    eventually("the gated call", || first.health().in_flight == 1).await;
    let old = skills.insert(versions.load(&runtime, 2)).unwrap();
    drop(first);
    for _ in 0..5 {
        assert_eq!(answering(&skills).await, 2);
    }
    assert!(!gated.is_finished(), "the gate opened too soon to show anything");
    assert_eq!((old.health().in_flight, runtime.generations()), (1, 2));
    within("draining", old.drained()).await;
    assert!(within("the gated call", gated).await.unwrap().result.is_ok());
    assert_eq!((old.health().calls, old.health().failures), (1, 0));
    drop(old);
    assert_eq!(runtime.generations(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn retiring_ends_stuck_and_waiting_calls_at_once_and_lets_nothing_new_in() {
    for stuck in ["spin", "nap_forever"] {
        let skill = with_budgets(|budgets| budgets.concurrency = 1);
        let calls: Vec<_> = (0..2)
            .map(|_| {
                let skill = skill.clone();
                tokio::spawn(async move { skill.invoke(call(stuck, json!({}))).await })
            })
            .collect();
        eventually("two calls", || skill.health().in_flight == 2).await;
        let begun = Instant::now();
        skill.retire();
        for ended in calls {
            let error = within("a stuck call", ended).await.unwrap().result.unwrap_err();
            assert_eq!(error.code, ErrorCode::Unavailable, "{error}");
            assert!(error.message.starts_with(&format!("HostileSkill.{stuck}: ")), "{error}");
            assert!(
                error.message.contains("replaced") && error.message.contains("try again"),
                "{error}"
            );
        }
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
        within("draining", skill.drained()).await;
        let late = run(&skill, "sleep", json!({"milliseconds": 0})).await;
        assert_eq!(late.result.unwrap_err().code, ErrorCode::Unavailable);
        assert_eq!(skill.health(), Health::default(), "it is not the skill's fault");
    }
}

#[tokio::test]
async fn health_tells_failures_from_crashes_and_from_what_callers_did() {
    let skill = hostile(Grants::default());
    let before = skill.health();
    run(&skill, "sleep", json!({"milliseconds": 0})).await.result.unwrap();
    run(&skill, "no_such_method", json!({})).await.result.unwrap_err();
    run(&skill, "sleep", json!({"milliseconds": "no"}))
        .await
        .result
        .unwrap_err();
    let mut impatient = call("nap_forever", json!({}));
    impatient.timeout = Duration::from_millis(20);
    skill.invoke(impatient).await.result.unwrap_err();
    let cancelled = call("sleep", json!({"milliseconds": 0}));
    cancelled.cancel.cancel();
    skill.invoke(cancelled).await.result.unwrap_err();
    let well = Health {
        calls: 1,
        ..Health::default()
    };
    assert_eq!(skill.health(), well);
    let trouble = skill.troubled(&before);
    run(&skill, "recurse", json!({})).await.result.unwrap_err();
    within("hearing of the trap", trouble).await;
    assert_eq!(
        skill.health(),
        Health {
            calls: 2,
            failures: 1,
            traps: 1,
            in_flight: 0
        }
    );
}

#[tokio::test]
async fn a_dropped_call_is_in_flight_no_more() {
    let skill = hostile(Grants::default());
    let mut endless = Box::pin(skill.invoke(call("nap_forever", json!({}))));
    tokio::select! {
        _ = &mut endless => panic!("it must not end"),
        () = eventually("the call", || skill.health().in_flight == 1) => {}
    }
    drop(endless);
    within("draining", skill.drained()).await;
    assert_eq!(skill.health(), Health::default());
}

fn probe(method: &str, params: serde_json::Value) -> Probe {
    let serde_json::Value::Object(params) = params else {
        panic!("parameters are an object")
    };
    Probe {
        method: method.to_owned(),
        params,
    }
}

#[tokio::test]
async fn a_probe_is_a_call_that_does_not_count() {
    let skill = Versions::new().load(&runtime(), 7);
    let soon = Duration::from_secs(10);
    skill
        .probe(&probe("config", json!({"key": "version"})), soon)
        .await
        .unwrap();
    let trapped = skill.probe(&probe("recurse", json!({})), soon).await.unwrap_err();
    assert_eq!(trapped.code, ErrorCode::Trapped, "{trapped}");
    let late = skill
        .probe(&probe("nap_forever", json!({})), Duration::from_millis(50))
        .await
        .unwrap_err();
    assert_eq!(late.code, ErrorCode::TimedOut, "{late}");
    assert_eq!(skill.health(), Health::default());
}

#[tokio::test]
async fn a_removed_skill_is_unknown_and_finishes_its_calls() {
    let skills = SkillSet::empty();
    skills.insert(hostile(Grants::default()));
    let skill = skills.remove("HostileSkill").unwrap();
    assert!(skills.remove("HostileSkill").is_none());
    let error = skills
        .call("HostileSkill", call("sleep", json!({"milliseconds": 0})))
        .await
        .result
        .unwrap_err();
    assert_eq!(error.code, ErrorCode::UnknownSkill);
    run(&skill, "sleep", json!({"milliseconds": 0})).await.result.unwrap();
}
