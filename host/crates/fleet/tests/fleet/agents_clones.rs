//! Two machines that speak as one agent, and restarts, which are none.

use std::time::Duration;

use venom_fleet::{Admission, Fleet, FleetSettings};
use venom_protocol::{AgentHeartbeat, RegisterAgent, Timestamp};

use crate::admitted::{agent, beat, kinds, register};
use crate::base::{Base, at};

on_both!(
    a_restart_is_no_clone,
    two_that_speak_in_turn_are_suspected,
    it_is_told_once_in_ten_minutes,
    a_machine_set_back_is_no_clone,
    a_registration_tells_a_clone_too,
    two_nexuses_see_the_clone_that_each_heard_one_of,
);

async fn run(fleet: &Fleet, token: &str, boot: &str, second: i64) -> Vec<String> {
    let boot_id = Some(boot.to_owned());
    let told = beat(
        fleet,
        token,
        AgentHeartbeat {
            boot_id,
            ..Default::default()
        },
        second,
    )
    .await;
    told.into_iter()
        .map(|event| event.kind)
        .filter(|kind| kind != "AGENT_ONLINE")
        .collect()
}

async fn suspected_at(fleet: &Fleet) -> Option<Timestamp> {
    fleet.agent(&"a".parse().unwrap()).await.unwrap().clone_suspected_at
}

const SUSPECTED: [&str; 1] = ["AGENT_CLONE_SUSPECTED"];

async fn a_restart_is_no_clone(base: &Base) {
    let fleet = base.open().await;
    let token = register(
        &fleet,
        RegisterAgent {
            boot_id: Some("0".to_owned()),
            ..agent("a")
        },
        0,
    )
    .await
    .token;
    for second in 1..40 {
        let boot = (second / 3).to_string();
        assert!(run(&fleet, &token, &boot, second).await.is_empty());
        // an older part of it that knows of no runs
        assert!(beat(&fleet, &token, Default::default(), second).await.len() <= 1);
    }
    assert_eq!(suspected_at(&fleet).await, None);
}

async fn two_that_speak_in_turn_are_suspected(base: &Base) {
    let fleet = base.open().await;
    let token = register(&fleet, agent("a"), 0).await.token;
    assert!(run(&fleet, &token, "original", 0).await.is_empty());
    assert!(
        run(&fleet, &token, "copy", 30).await.is_empty(),
        "that may be a restart"
    );
    assert_eq!(run(&fleet, &token, "original", 60).await, SUSPECTED);
    assert_eq!(suspected_at(&fleet).await, Some(at(60)));
}

async fn it_is_told_once_in_ten_minutes(base: &Base) {
    let fleet = base.open().await;
    let token = register(&fleet, agent("a"), 0).await.token;
    let mut told = Vec::new();
    for second in (0..1_500).step_by(30) {
        for boot in ["original", "copy"] {
            let kinds = run(&fleet, &token, boot, second).await;
            told.extend(kinds.into_iter().map(|_| second));
        }
        fleet.flush(at(second)).await.unwrap();
    }
    assert_eq!(told, [30, 660, 1_290]);
    assert_eq!(suspected_at(&fleet).await, Some(at(1_470)), "when they were seen last");
}

async fn a_machine_set_back_is_no_clone(base: &Base) {
    let settings = FleetSettings {
        offline_after: Duration::from_secs(50),
        ..FleetSettings::default()
    };
    let fleet = base.open_with(settings).await;
    let token = register(&fleet, agent("a"), 0).await.token;
    run(&fleet, &token, "before", 0).await;
    run(&fleet, &token, "after", 10).await;
    // heard in memory only: that counts as well
    run(&fleet, &token, "after", 20).await;
    assert!(run(&fleet, &token, "before", 71).await.is_empty(), "the other is gone");
    assert_eq!(run(&fleet, &token, "after", 121).await, SUSPECTED, "the other is there");
}

async fn a_registration_tells_a_clone_too(base: &Base) {
    let fleet = base.open().await;
    let ask = |boot: &str| RegisterAgent {
        boot_id: Some(boot.to_owned()),
        ..agent("a")
    };
    register(&fleet, ask("original"), 0).await;
    register(&fleet, ask("copy"), 30).await;
    let outcome = fleet
        .register(ask("original"), Admission::Shared, at(60))
        .await
        .unwrap();
    assert_eq!(kinds(&outcome.events), ["AGENT_REGISTERED", "AGENT_CLONE_SUSPECTED"]);
    assert_eq!(suspected_at(&fleet).await, Some(at(60)));
}

async fn two_nexuses_see_the_clone_that_each_heard_one_of(base: &Base) {
    let (one, other) = tokio::join!(base.open(), base.open());
    let token = register(&one, agent("a"), 0).await.token;
    run(&one, &token, "original", 0).await;
    run(&other, &token, "copy", 30).await;
    assert_eq!(run(&one, &token, "original", 60).await, SUSPECTED);
    assert!(run(&other, &token, "copy", 61).await.is_empty());
    assert!(
        run(&one, &token, "original", 90).await.is_empty(),
        "told a short while ago, by whomever"
    );
}
