//! Commands are done once, and what became of them is said.

use std::time::Duration;

use serde_json::{Value, json};
use venom_agent::{Phase, Schedule};

use crate::server::{Misdeed, Server, World};
use crate::stage::{Stage, discoveries, reports};

fn ended(world: &World, id: &str) -> bool {
    let told = world.told(id);
    told.last()
        .is_some_and(|(status, _)| status == "completed" || status == "failed")
}

fn statuses(world: &World, id: &str) -> Vec<String> {
    world.told(id).into_iter().map(|(status, _)| status).collect()
}

#[tokio::test]
async fn scan_now_scans_now() {
    let server = Server::start().await;
    server.with(|world| world.command("c1", "scan_now", json!({"targets": ["10.0.0.0/24"], "shield": true})));
    let stage = Stage::new(&server);
    let mut found = discoveries(1);
    found["discoveries"][0]["left_out"] = json!(["10.0.0.5:8000"]);
    stage.skills.will([Ok(found), Ok(reports(2))]);
    let life = stage.start();
    server.until("it ended", |world| ended(world, "c1")).await;
    server
        .until("three batches are there", |world| world.batches.len() == 3)
        .await;
    server.with(|world| {
        assert_eq!(statuses(world, "c1"), ["ack", "running", "completed"]);
        let result = &world.told("c1")[2].1;
        assert_eq!(
            *result,
            json!({"discoveries": 1, "assets": 2, "reports": 2, "findings": 2, "queued": 3, "left_out": ["10.0.0.5:8000"]})
        );
    });
    assert_eq!(
        stage.skills.called()[0].2,
        json!({"targets": ["10.0.0.0/24"], "ports": "top100"})
    );
    // without a closer look, when that is asked
    server.with(|world| world.command("c2", "scan_now", json!({"targets": [], "shield": false})));
    server.until("it ended", |world| ended(world, "c2")).await;
    assert_eq!(stage.skills.called().len(), 3);
    assert_eq!(stage.skills.called()[2].2, json!({}));
    life.stop().await;
}

#[tokio::test]
async fn what_cannot_be_done_is_said() {
    let server = Server::start().await;
    server.with(|world| {
        world.command("unknown", "make_coffee", json!({}));
        world.command("odd", "scan_now", json!({"targets": 7}));
        world.command("fails", "scan_now", json!({}));
    });
    let stage = Stage::new(&server);
    stage.skills.will([Err("no grant".to_owned())]);
    let life = stage.start();
    for (id, why) in [
        ("unknown", "make_coffee"),
        ("odd", "cannot be understood"),
        ("fails", "no grant"),
    ] {
        server.until("it ended", |world| ended(world, id)).await;
        let told = server.with(|world| world.told(id));
        let (status, result) = told.last().unwrap();
        assert_eq!(status, "failed");
        assert!(result["error"].as_str().unwrap().contains(why), "{result}");
    }
    life.stop().await;
}

#[tokio::test]
async fn lost_answers_do_not_make_it_run_twice() {
    let server = Server::start().await;
    server.with(|world| {
        world.misdo("/agents/commands", [Misdeed::LoseAnswer, Misdeed::Page]);
        // ack and running are not heard; of the end, the answer is lost first
        world.misdo(
            "/agents/commands/c1",
            [Misdeed::Say(500, "a fault"), Misdeed::Hang, Misdeed::LoseAnswer],
        );
        world.command("c1", "scan_now", json!({"shield": false}));
    });
    let stage = Stage::new(&server);
    let mut life = stage.start();
    server.until("it ended", |world| ended(world, "c1")).await;
    life.until("nothing is in hand", |state| {
        state.commands == 0 && state.phase == Phase::Online
    })
    .await;
    server
        .until("it beats on", |world| world.paths("/heartbeat").len() > 8)
        .await;
    life.stop().await;
    assert_eq!(stage.skills.called().len(), 1);
}

#[tokio::test]
async fn one_that_a_crash_broke_off_is_done_once_more_and_then_reported() {
    let server = Server::start().await;
    server.with(|world| {
        world.command("deadly", "scan_now", json!({"targets": ["10.0.0.0/24"]}));
    });
    let stage = Stage::new(&server);
    *stage.skills.takes.lock().unwrap() = Duration::from_secs(3_600);
    for beginning in 1..=2 {
        let mut life = stage.start();
        let begun = |world: &World| statuses(world, "deadly").iter().filter(|it| *it == "running").count();
        server.until("it runs", |world| begun(world) == beginning).await;
        life.until("it is in hand", |state| state.commands == 1).await;
        let end = std::time::Instant::now() + Duration::from_secs(20);
        while stage.skills.called().len() < beginning {
            assert!(std::time::Instant::now() < end);
            tokio::task::yield_now().await;
        }
        life.kill().await;
    }
    let mut life = stage.start();
    server.until("it is given up", |world| ended(world, "deadly")).await;
    life.until("nothing is in hand", |state| state.commands == 0).await;
    life.stop().await;
    server.with(|world| {
        let told = world.told("deadly");
        let (status, result): &(String, Value) = told.last().unwrap();
        assert_eq!(status, "failed");
        assert!(result["error"].as_str().unwrap().contains("twice"), "{result}");
    });
    assert_eq!(stage.skills.called().len(), 2);
}

#[tokio::test]
async fn a_command_that_was_withdrawn_is_not_done() {
    let server = Server::start().await;
    server.with(|world| {
        world.misdo(
            "/agents/commands/c1",
            [Misdeed::Say(409, "withdrawn"), Misdeed::Say(409, "withdrawn")],
        );
        world.command("c1", "scan_now", json!({}));
    });
    let stage = Stage::new(&server);
    let mut life = stage.start();
    server
        .until("it was told of", |world| world.paths("/commands/c1").len() == 2)
        .await;
    life.until("nothing is in hand", |state| state.commands == 0).await;
    life.stop().await;
    assert!(stage.skills.called().is_empty());
}

#[tokio::test]
async fn an_old_server_that_does_not_count_commands_is_asked_each_time() {
    let server = Server::start().await;
    server.with(|world| world.old = true);
    let stage = Stage::new(&server);
    let life = stage.start();
    server
        .until("it asks", |world| world.paths("/agents/commands").len() > 3)
        .await;
    server.with(|world| world.command("c1", "scan_now", json!({"shield": false})));
    server.until("it ended", |world| ended(world, "c1")).await;
    life.stop().await;
}

#[tokio::test]
async fn being_told_to_stop_is_no_crash() {
    let server = Server::start().await;
    server.with(|world| world.command("long", "scan_now", json!({"shield": false})));
    let mut stage = Stage::new(&server);
    stage.file.schedules = vec![Schedule::new("lan", Duration::from_secs(86_400))];
    *stage.skills.takes.lock().unwrap() = Duration::from_secs(3_600);
    for beginning in 1..=4 {
        let life = stage.start();
        server
            .until("both run", |_| stage.skills.called().len() == 2 * beginning)
            .await;
        life.stop().await;
    }
    *stage.skills.takes.lock().unwrap() = Duration::ZERO;
    let mut life = stage.start();
    server.until("it ended", |world| ended(world, "long")).await;
    let state = life
        .until("the schedule ran", |state| {
            state
                .schedules
                .get("lan")
                .is_some_and(|lan| lan.succeeded + lan.failed > 0)
        })
        .await;
    assert_eq!(state.schedules["lan"].succeeded, 1);
    life.stop().await;
    assert_eq!(server.with(|world| world.told("long")).last().unwrap().0, "completed");
}

#[tokio::test]
async fn a_sweep_that_is_too_large_for_one_batch_arrives_in_parts() {
    let server = Server::start().await;
    server.with(|world| world.command("c1", "scan_now", json!({"shield": false})));
    let stage = Stage::new(&server);
    let asset = |n: usize| json!({"ip": format!("10.0.{}.{}", n / 256, n % 256)});
    let mut found = discoveries(1);
    found["discoveries"][0]["ports_scanned"] = json!([22]);
    found["discoveries"][0]["assets"] = (0..10_000).map(asset).collect();
    stage.skills.will([Ok(found)]);
    let life = stage.start();
    server.until("it ended", |world| ended(world, "c1")).await;
    server.until("all is there", |world| world.batches.len() == 3).await;
    server.with(|world| {
        let bodies: Vec<&Value> = world.batches.values().map(|(body, _)| body).collect();
        let count = |body: &Value| body["assets"].as_array().unwrap().len();
        assert_eq!(bodies.iter().map(|body| count(body)).sum::<usize>(), 10_000);
        for body in bodies {
            assert!(count(body) <= 4_096);
            assert!(body.get("completed_at").is_none() && body.get("ports_scanned").is_none());
        }
        let result = world.told("c1").pop().unwrap().1;
        assert_eq!((&result["assets"], &result["queued"]), (&json!(10_000), &json!(3)));
    });
    life.stop().await;
}

/// A finding ends when a look finds nobody there: what was open at the last look is looked at once more.
#[tokio::test]
async fn a_port_that_closed_is_looked_at_once_more() {
    let server = Server::start().await;
    let stage = Stage::new(&server);
    let sweep = |ports: Value| {
        json!({"discoveries": [{"target": "10.0.0.0/24", "started_at": "2026-01-01T00:00:00Z",
            "network_fingerprint": {"fingerprint_hash": "home"}, "assets": [{"ip": "10.0.0.1", "open_ports": ports}]}]})
    };
    let scan = async |id: &str, ports: Value| {
        stage.skills.will([Ok(sweep(ports)), Ok(json!({"reports": []}))]);
        server.with(|world| world.command(id, "scan_now", json!({"targets": ["10.0.0.0/24"], "shield": true})));
        server.until("it ended", |world| ended(world, id)).await;
        stage.skills.called().last().unwrap().clone()
    };
    let looked_at = |ports: Value| json!({"targets": [{"ip": "10.0.0.1", "ports": ports}]});
    let life = stage.start();
    assert_eq!(scan("c1", json!([22, 6379])).await.2, looked_at(json!([22, 6379])));
    life.stop().await;
    // also by the next process
    let life = stage.start();
    assert_eq!(scan("c2", json!([22])).await.2, looked_at(json!([22, 6379])));
    assert_eq!(scan("c3", json!([])).await.2, looked_at(json!([22])));
    life.stop().await;
}
