//! Whether agents are there: heartbeats, silence, goodbyes, and two nexuses on one database.

use std::time::Duration;

use venom_fleet::FleetSettings;
use venom_protocol::{AgentHeartbeat, AgentStatus, Event, OutboxStatus};

use crate::admitted::{admitted, agent, beat, is_good, kinds, pass, register};
use crate::base::{Base, at};

on_both!(
    many_heartbeats_are_one_write,
    what_heartbeats_said_survives_a_restart,
    a_heartbeat_says_what_changed,
    silence_makes_stale_and_then_offline,
    the_settings_say_what_silence_is,
    silence_is_not_counted_from_before_the_nexus_was_up,
    who_was_never_heard_of_does_not_fall_silent,
    who_was_heard_of_in_the_future_falls_silent_too,
    a_goodbye_is_told_at_once,
    two_nexuses_tell_each_transition_once,
    who_comes_back_is_told_once,
    a_heartbeat_of_a_deregistered_agent_changes_nothing,
    a_flush_that_fails_loses_nothing,
);

fn plain() -> AgentHeartbeat {
    AgentHeartbeat::default()
}

fn goodbye() -> AgentHeartbeat {
    AgentHeartbeat {
        status: Some("Offline".to_owned()),
        ..plain()
    }
}

async fn many_heartbeats_are_one_write(base: &Base) {
    let fleet = base.open().await;
    let token = register(&fleet, agent("a"), 0).await.token;
    assert_eq!(kinds(&beat(&fleet, &token, plain(), 1).await), ["AGENT_ONLINE"]);
    base.count_updates("agents").await;
    for second in 2..50 {
        assert!(beat(&fleet, &token, plain(), second).await.is_empty());
    }
    assert_eq!(base.updates().await, 0, "nothing changes that must be known at once");
    fleet.flush(at(50)).await.unwrap();
    assert_eq!(base.updates().await, 1);
    fleet.flush(at(51)).await.unwrap();
    assert_eq!(base.updates().await, 1, "there is nothing to write");
    let last_seen = base.number("SELECT last_seen FROM agents").await;
    assert_eq!(last_seen, at(49).0.as_microsecond());
}

async fn what_heartbeats_said_survives_a_restart(base: &Base) {
    let fleet = base.open().await;
    let token = register(&fleet, agent("a"), 0).await.token;
    beat(&fleet, &token, plain(), 1).await;
    beat(&fleet, &token, plain(), 40).await;
    fleet.flush(at(41)).await.unwrap();
    // as after a crash: nothing of the first one is left but the database
    let crashed = fleet;
    let fleet = base.open().await;
    let view = fleet.agent(&"a".parse().unwrap()).await.unwrap();
    assert_eq!((view.last_seen, view.status), (Some(at(40)), AgentStatus::Online));
    drop(crashed);
    beat(&fleet, &token, plain(), 70).await;
    fleet.close().await;
    let fleet = base.open().await;
    let view = fleet.agent(&"a".parse().unwrap()).await.unwrap();
    assert_eq!(view.last_seen, Some(at(70)), "an orderly end flushes");
}

async fn a_heartbeat_says_what_changed(base: &Base) {
    let fleet = base.open().await;
    let token = register(&fleet, agent("a"), 0).await.token;
    let id = "a".parse().unwrap();
    beat(&fleet, &token, plain(), 1).await;
    let outbox = OutboxStatus {
        waiting: 3,
        bytes: 4_096,
        dropped: 1,
        dead: 2,
        damaged: 1,
        refused: 4,
    };
    let full = AgentHeartbeat {
        version: Some("2.0".to_owned()),
        subnets: Some(vec!["10.1.0.0/16".to_owned()]),
        outbox: Some(outbox),
        ..plain()
    };
    beat(&fleet, &token, full, 2).await;
    beat(&fleet, &token, plain(), 3).await;
    for flushed in [false, true] {
        let view = fleet.agent(&id).await.unwrap();
        assert_eq!(view.version.as_deref(), Some("2.0"), "flushed: {flushed}");
        assert_eq!(
            (view.subnets, view.outbox),
            (vec!["10.1.0.0/16".to_owned()], Some(outbox))
        );
        assert_eq!(view.last_seen, Some(at(3)));
        fleet.flush(at(4)).await.unwrap();
    }
    let other = base.open().await;
    assert_eq!(other.agent(&id).await.unwrap(), fleet.agent(&id).await.unwrap());
}

async fn silence_makes_stale_and_then_offline(base: &Base) {
    let fleet = base.open().await;
    let token = register(&fleet, agent("a"), 0).await.token;
    beat(&fleet, &token, plain(), 10).await;
    // a second one that speaks on, in memory only
    let lively = register(&fleet, agent("b"), 0).await.token;
    beat(&fleet, &lively, plain(), 10).await;
    let status = async || fleet.agent(&"a".parse().unwrap()).await.unwrap().status;
    let mut told: Vec<(i64, Event)> = Vec::new();
    for second in 11..1_000 {
        if second % 30 == 0 {
            beat(&fleet, &lively, plain(), second).await;
        }
        if second % 7 == 0 || (305..315).contains(&second) || (905..915).contains(&second) {
            let events = fleet.tick(at(second), at(0)).await.unwrap();
            told.extend(events.into_iter().map(|event| (second, event)));
        }
    }
    let kinds: Vec<(i64, &str)> = told
        .iter()
        .map(|(second, event)| (*second, event.kind.as_str()))
        .collect();
    assert_eq!(kinds, [(311, "AGENT_STALE"), (911, "AGENT_OFFLINE")]);
    let data = &told[1].1.data;
    assert_eq!(
        (&data["agent_id"], &data["reason"], &data["site_name"]),
        (&"a".into(), &"silent".into(), &"default".into())
    );
    assert_eq!(told[1].1.timestamp, at(911));
    assert_eq!(status().await, AgentStatus::Offline);
    assert_eq!(kinds_of_beat(&fleet, &token, 1_001).await, ["AGENT_ONLINE"]);
    assert_eq!(status().await, AgentStatus::Online);
}

async fn kinds_of_beat(fleet: &venom_fleet::Fleet, token: &str, second: i64) -> Vec<String> {
    let told = beat(fleet, token, plain(), second).await;
    told.into_iter().map(|event| event.kind).collect()
}

async fn the_settings_say_what_silence_is(base: &Base) {
    let settings = FleetSettings {
        stale_after: Duration::from_secs(5),
        offline_after: Duration::from_secs(9),
        ..FleetSettings::default()
    };
    let fleet = base.open_with(settings).await;
    let token = register(&fleet, agent("a"), 0).await.token;
    beat(&fleet, &token, plain(), 0).await;
    let mut told = Vec::new();
    for second in 1..20 {
        let events = fleet.tick(at(second), at(-100)).await.unwrap();
        told.extend(events.into_iter().map(|event| (second, event.kind)));
    }
    assert_eq!(told, [(6, "AGENT_STALE".to_owned()), (10, "AGENT_OFFLINE".to_owned())]);
}

async fn silence_is_not_counted_from_before_the_nexus_was_up(base: &Base) {
    let fleet = base.open().await;
    let token = register(&fleet, agent("a"), 0).await.token;
    beat(&fleet, &token, plain(), 1).await;
    fleet.close().await;
    // down for a day
    let fleet = base.open().await;
    let up_since = 86_400;
    let quiet = fleet.tick(at(up_since + 300), at(up_since)).await.unwrap();
    assert!(quiet.is_empty(), "{quiet:?}");
    assert_eq!(
        fleet.agent(&"a".parse().unwrap()).await.unwrap().status,
        AgentStatus::Online
    );
    let late = fleet.tick(at(up_since + 301), at(up_since)).await.unwrap();
    assert_eq!(kinds(&late), ["AGENT_STALE"]);
    let gone = fleet.tick(at(up_since + 901), at(up_since)).await.unwrap();
    assert_eq!(kinds(&gone), ["AGENT_OFFLINE"]);
}

async fn who_was_never_heard_of_does_not_fall_silent(base: &Base) {
    let fleet = base.open().await;
    register(&fleet, agent("a"), 0).await;
    assert!(fleet.tick(at(100_000), at(0)).await.unwrap().is_empty());
    let view = fleet.agent(&"a".parse().unwrap()).await.unwrap();
    assert_eq!((view.status, view.last_seen), (AgentStatus::Pending, None));
}

async fn who_was_heard_of_in_the_future_falls_silent_too(base: &Base) {
    let fleet = base.open().await;
    let token = register(&fleet, agent("a"), 0).await.token;
    // the clock is a year ahead, and is then set right
    beat(&fleet, &token, plain(), 31_000_000).await;
    beat(&fleet, &token, plain(), 31_000_001).await;
    assert!(fleet.tick(at(10), at(10)).await.unwrap().is_empty());
    assert_eq!(
        fleet.agent(&"a".parse().unwrap()).await.unwrap().last_seen,
        Some(at(10))
    );
    assert!(fleet.tick(at(310), at(10)).await.unwrap().is_empty());
    assert_eq!(kinds(&fleet.tick(at(311), at(10)).await.unwrap()), ["AGENT_STALE"]);
}

async fn a_goodbye_is_told_at_once(base: &Base) {
    let fleet = base.open().await;
    let token = register(&fleet, agent("a"), 0).await.token;
    beat(&fleet, &token, plain(), 1).await;
    let told = beat(&fleet, &token, goodbye(), 2).await;
    assert_eq!(
        (kinds(&told), &told[0].data["reason"]),
        (vec!["AGENT_OFFLINE"], &"goodbye".into())
    );
    let view = base.open().await.agent(&"a".parse().unwrap()).await.unwrap();
    assert_eq!((view.status, view.last_seen), (AgentStatus::Offline, Some(at(2))));
    assert!(beat(&fleet, &token, goodbye(), 3).await.is_empty());
    assert!(
        fleet.tick(at(10_000), at(0)).await.unwrap().is_empty(),
        "it is told already"
    );
    assert_eq!(kinds_of_beat(&fleet, &token, 10_001).await, ["AGENT_ONLINE"]);
}

async fn two_nexuses_tell_each_transition_once(base: &Base) {
    let (one, other) = tokio::join!(base.open(), base.open());
    for id in 0..20 {
        let token = register(&one, agent(&format!("a{id}")), 0).await.token;
        let fleet = if id % 2 == 0 { &one } else { &other };
        beat(fleet, &token, plain(), 1).await;
    }
    for (second, kind) in [(302, "AGENT_STALE"), (902, "AGENT_OFFLINE")] {
        let mut told = Vec::new();
        for _ in 0..3 {
            let (first, second) = tokio::join!(one.tick(at(second), at(0)), other.tick(at(second), at(0)));
            told.extend(first.unwrap());
            told.extend(second.unwrap());
        }
        let mut ids: Vec<&str> = told
            .iter()
            .map(|event| event.data["agent_id"].as_str().unwrap())
            .collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!((told.len(), ids.len()), (20, 20));
        assert!(told.iter().all(|event| event.kind == kind));
    }
}

async fn who_comes_back_is_told_once(base: &Base) {
    let (one, other) = tokio::join!(base.open(), base.open());
    let its_pass = admitted(&one, "a", "Berlin").await;
    // both have let it in before either heard it
    let beats = (0..6).map(|beat| {
        let (fleet, its_pass) = (
            if beat % 2 == 0 { one.clone() } else { other.clone() },
            its_pass.clone(),
        );
        tokio::spawn(async move { fleet.heartbeat(&its_pass, plain(), at(1)).await.unwrap().events })
    });
    let mut told = Vec::new();
    for beat in beats.collect::<Vec<_>>() {
        told.extend(beat.await.unwrap());
    }
    assert_eq!(kinds(&told), ["AGENT_ONLINE"]);
}

async fn a_heartbeat_of_a_deregistered_agent_changes_nothing(base: &Base) {
    let fleet = base.open().await;
    let token = register(&fleet, agent("a"), 0).await.token;
    beat(&fleet, &token, plain(), 1).await;
    let its_pass = pass(&fleet, &token, 2).await;
    let id = its_pass.agent_id.clone();
    fleet.heartbeat(&its_pass, plain(), at(2)).await.unwrap();
    fleet.deregister(&id, "ops", at(3)).await.unwrap();
    // let in before, heard after
    fleet.heartbeat(&its_pass, plain(), at(4)).await.unwrap();
    let says_goodbye = fleet.heartbeat(&its_pass, goodbye(), at(5)).await;
    assert!(
        matches!(says_goodbye, Err(venom_fleet::FleetError::Denied(_))),
        "{says_goodbye:?}"
    );
    assert!(fleet.tick(at(6), at(0)).await.unwrap().is_empty());
    let view = fleet.agent(&id).await.unwrap();
    assert_eq!((view.is_active, view.status), (false, AgentStatus::Offline));
    assert!(view.last_seen <= Some(at(2)), "{view:?}");
    assert!(!is_good(&fleet, &token, 7).await);
}

async fn a_flush_that_fails_loses_nothing(base: &Base) {
    let fleet = base.open().await;
    let token = register(&fleet, agent("a"), 0).await.token;
    beat(&fleet, &token, plain(), 1).await;
    let version = AgentHeartbeat {
        version: Some("2".to_owned()),
        ..plain()
    };
    beat(&fleet, &token, version, 2).await;
    base.run("ALTER TABLE agents RENAME TO agents_gone").await;
    fleet.flush(at(3)).await.unwrap_err();
    base.run("ALTER TABLE agents_gone RENAME TO agents").await;
    beat(&fleet, &token, plain(), 4).await;
    fleet.flush(at(5)).await.unwrap();
    let view = base.open().await.agent(&"a".parse().unwrap()).await.unwrap();
    assert_eq!((view.version.as_deref(), view.last_seen), (Some("2"), Some(at(4))));
}
