//! The loop: heartbeats, schedules, what is published, and the end.

use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::json;
use venom_agent::{AgentState, Missed, Phase, Schedule};

use crate::server::{Misdeed, Server};
use crate::stage::{Stage, discoveries, reports};

#[tokio::test]
async fn heartbeats_say_who_and_how_and_the_last_one_is_a_goodbye() {
    let server = Server::start().await;
    let mut stage = Stage::new(&server);
    stage.file.subnets.push("10.0.0.0/24".to_owned());
    let mut life = stage.start();
    let online = life.until("it is online", |state| state.phase == Phase::Online).await;
    assert!(online.last_seen.is_some() && online.error.is_none());
    assert!(online.clock_ahead.unwrap().abs() < 60);
    server
        .until("it beats", |world| world.paths("/heartbeat").len() > 3)
        .await;
    let state = life.stop().await;
    assert_eq!(state.phase, Phase::Stopped);
    server.with(|world| {
        let beats = world.paths("/heartbeat");
        let (first, last) = (&beats[0].body, &beats.last().unwrap().body);
        assert_eq!(first["status"], "online");
        assert_eq!(first["subnets"], json!(["10.0.0.0/24"]));
        assert_eq!(first["version"], env!("CARGO_PKG_VERSION"));
        assert_eq!(first["boot_id"], json!(state.boot_id));
        assert_eq!(first["outbox"]["waiting"], 0);
        assert_eq!(
            (&last["status"], &last["boot_id"]),
            (&json!("offline"), &first["boot_id"])
        );
        assert!(beats[1].body.get("subnets").is_none(), "only when they changed");
    });
    let written = AgentState::read(&stage.data_dir()).unwrap();
    assert_eq!((written.phase, written.boot_id), (Phase::Stopped, state.boot_id));
    let text = std::fs::read_to_string(stage.data_dir().join("agent-status.json")).unwrap();
    assert!(!text.contains(crate::server::TOKEN));
}

#[tokio::test]
async fn heartbeats_that_fail_are_tried_again_and_the_state_says_so() {
    let server = Server::start().await;
    server.with(|world| {
        world.misdo(
            "/heartbeat",
            [
                Misdeed::Say(500, "a fault"),
                Misdeed::LoseAnswer,
                Misdeed::Page,
                Misdeed::Hang,
                Misdeed::Endless,
            ],
        );
    });
    let stage = Stage::new(&server);
    let mut life = stage.start();
    let state = life.until("it knows", |state| state.phase == Phase::Unreachable).await;
    assert!(state.error.unwrap().contains("a fault"));
    let state = life.until("it is online", |state| state.phase == Phase::Online).await;
    assert_eq!(state.error, None);
    life.stop().await;
}

#[tokio::test]
async fn a_goodbye_nobody_hears_does_not_hold_the_end_up() {
    let server = Server::start().await;
    let stage = Stage::new(&server);
    let mut life = stage.start();
    life.until("it is online", |state| state.phase == Phase::Online).await;
    server.with(|world| world.misdo("/heartbeat", vec![Misdeed::Hang; 100]));
    tokio::time::timeout(Duration::from_secs(20), life.stop())
        .await
        .unwrap();
}

#[tokio::test]
async fn a_schedule_scans_looks_closer_and_all_of_it_arrives() {
    let server = Server::start().await;
    let mut stage = Stage::new(&server);
    stage.file.subnets.push("10.0.0.0/23".to_owned());
    let mut schedule = Schedule::new("lan", Duration::from_secs(3_600));
    schedule.shield = true;
    schedule.parameters.insert("ports".to_owned(), json!([22, 443]));
    stage.file.schedules.push(schedule);
    stage.skills.will([Ok(discoveries(2)), Ok(reports(1)), Ok(reports(1))]);
    let mut life = stage.start();
    server
        .until("four batches are there", |world| world.batches.len() == 4)
        .await;
    let state = life
        .until("it ended", |state| state.schedules["lan"].succeeded == 1)
        .await;
    let lan = &state.schedules["lan"];
    assert!(!lan.running && lan.error.is_none() && lan.next.is_some() && lan.ended >= lan.began);
    life.stop().await;
    let calls = stage.skills.called();
    assert_eq!(calls.len(), 3, "{calls:?}");
    assert_eq!((calls[0].0.as_str(), calls[0].1.as_str()), ("NetScanSkill", "scan"));
    assert_eq!(calls[0].2, json!({"targets": ["10.0.0.0/23"], "ports": [22, 443]}));
    assert_eq!((calls[1].0.as_str(), calls[1].1.as_str()), ("ShieldSkill", "check"));
    assert_eq!(calls[1].2, json!({"targets": [{"ip": "10.0.0.1", "ports": [22, 443]}]}));
    server.with(|world| {
        let reports = world.paths("/ingest/shield");
        let network = |seen: &&crate::server::Seen| seen.body["network_fingerprint"]["fingerprint_hash"].clone();
        let networks: Vec<_> = reports.iter().map(network).collect();
        assert_eq!(
            networks,
            [json!("net-0"), json!("net-1")],
            "a report is of the network of its sweep"
        );
    });
    // it ran in this hour: not again after a restart
    let mut life = stage.start();
    life.until("it decided", |state| state.schedules.contains_key("lan"))
        .await;
    server
        .until("it beats", |world| world.paths("/heartbeat").len() > 5)
        .await;
    life.stop().await;
    assert_eq!(stage.skills.called().len(), 3);
}

#[tokio::test]
async fn a_failed_run_says_why_and_what_it_saw_before_arrives() {
    let server = Server::start().await;
    let mut stage = Stage::new(&server);
    for name in ["a", "b"] {
        let mut schedule = Schedule::new(name, Duration::from_secs(3_600));
        schedule.shield = name == "b";
        stage.file.schedules.push(schedule);
    }
    stage.skills.will([
        Err("no grant for 10.0.0.0/8".to_owned()),
        Ok(discoveries(1)),
        Err("shield trapped".to_owned()),
    ]);
    let mut life = stage.start();
    let state = life
        .until("both ended", |state| {
            state.schedules.values().filter(|it| it.ended.is_some()).count() == 2
        })
        .await;
    let errors: Vec<String> = state.schedules.values().filter_map(|it| it.error.clone()).collect();
    assert!(errors.iter().any(|error| error.contains("no grant")), "{errors:?}");
    assert!(
        errors.iter().any(|error| error.contains("shield trapped")),
        "{errors:?}"
    );
    server
        .until("the sweep is there", |world| world.batches.len() == 1)
        .await;
    life.stop().await;
}

#[tokio::test]
async fn a_run_that_takes_too_long_is_ended() {
    let server = Server::start().await;
    let mut stage = Stage::new(&server);
    let mut schedule = Schedule::new("slow", Duration::from_secs(3_600));
    schedule.timeout = Duration::from_millis(100);
    stage.file.schedules.push(schedule);
    *stage.skills.takes.lock().unwrap() = Duration::from_secs(3_600);
    let mut life = stage.start();
    let state = life
        .until("it failed", |state| {
            state.schedules.get("slow").is_some_and(|it| it.failed == 1)
        })
        .await;
    assert!(state.schedules["slow"].error.as_ref().unwrap().contains("in time"));
    assert_eq!(stage.skills.at_once.load(Ordering::SeqCst), 0);
    life.stop().await;
}

#[tokio::test]
async fn runs_are_few_at_once_and_one_of_each_schedule() {
    let server = Server::start().await;
    let mut stage = Stage::new(&server);
    for n in 0..6 {
        stage
            .file
            .schedules
            .push(Schedule::new(format!("s{n}"), Duration::from_secs(1)));
    }
    *stage.skills.takes.lock().unwrap() = Duration::from_millis(400);
    let mut life = stage.start();
    life.until("each ran twice", |state| {
        state.schedules.len() == 6 && state.schedules.values().all(|it| it.succeeded >= 2)
    })
    .await;
    life.stop().await;
    assert_eq!(stage.skills.most_at_once.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_run_that_was_broken_off_is_made_once_more_and_not_for_ever() {
    let server = Server::start().await;
    let mut stage = Stage::new(&server);
    let mut skipping = Schedule::new("skips", Duration::from_secs(86_400));
    skipping.missed = Missed::Skip;
    stage.file.schedules = vec![Schedule::new("makes-up", Duration::from_secs(86_400)), skipping];
    *stage.skills.takes.lock().unwrap() = Duration::from_secs(3_600);
    let running = |state: &AgentState| state.schedules.values().filter(|it| it.running).count();
    let mut life = stage.start();
    life.until("both run", |state| running(state) == 2).await;
    life.kill().await;
    let mut life = stage.start();
    life.until("one runs", |state| running(state) == 1).await;
    life.kill().await;
    assert_eq!(stage.skills.called().len(), 3);
    let mut life = stage.start();
    life.until("none runs", |state| state.schedules.len() == 2).await;
    server
        .until("it beats", |world| world.paths("/heartbeat").len() > 3)
        .await;
    life.stop().await;
    assert_eq!(stage.skills.called().len(), 3);
}
