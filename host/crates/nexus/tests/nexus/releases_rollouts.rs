//! Rollouts with spores on links: waves, gates, orders, restarts, and what is signed.

use std::time::Duration;

use serde_json::{Value, json};
use venom_bundle::{Channel, Release, TrustState};
use venom_protocol::Timestamp;

use crate::harness::{Answer, FakeSpore, TestNexus, sqlite_in, until};
use crate::release_kit::*;
use crate::sse::Sse;

/// A tenth first, then everybody; no soaking.
fn canary() -> Value {
    json!({ "waves": [{ "percent": 10.0 }, { "percent": 100.0 }] })
}

async fn says(spore: &mut FakeSpore, release: &Release, state: &str) {
    spore.say("UPDATE_REPORT", report(release, state)).await;
}

async fn order(nexus: &TestNexus, action: &str, body: Value) -> Answer {
    admin(nexus, &format!("/api/v1/rollouts/stable/{action}"), &body).await
}

/// The rollout as a spore believes it that has nothing but the root.
async fn believed(spore: &mut FakeSpore) -> venom_bundle::Rollout {
    let answer = asked(spore, 1, None, 0).await;
    let mut state = TrustState::new(trusted_root(), Channel::default());
    state
        .take_release(answer["release"].as_str().unwrap().as_bytes())
        .unwrap();
    state
        .take_rollout(answer["rollout"].as_str().unwrap().as_bytes())
        .unwrap();
    state.current().unwrap().rollout.clone().unwrap().rollout().clone()
}

#[tokio::test]
async fn waves_go_on_as_spores_report_and_each_is_told() {
    let kept = Kept::start().await;
    let nexus = &kept.nexus;
    let release = release(1, None, vec![uploaded(nexus, "1.0.0").await]);
    let mut first = spore_in(nexus, &release, 0..1_000).await;
    let mut second = spore_in(nexus, &release, 1_000..10_000).await;
    let mut events = Sse::open(nexus, "/api/v1/events", None).await;
    assert_eq!(publish(nexus, &release, Some(canary())).await.status, 201);
    let rollout = believed(&mut second).await;
    assert_eq!((rollout.wave, rollout.counter), (1_000, 1));
    says(&mut first, &release, "soaking").await;
    let view = rollout_when(nexus, "soaking", |view| view["counts"]["soaking"] == 1).await;
    assert_eq!((&view["state"], &view["wave"]), (&json!("running"), &json!(1)));
    assert_eq!(
        (&view["counts"]["targeted"], &view["counts"]["in_wave"]),
        (&json!(2), &json!(1))
    );
    says(&mut first, &release, "committed").await;
    loop {
        let hint = heard(&mut second, "BROADCAST").await;
        if hint["data"]["counter"] == 2 {
            break;
        }
    }
    assert_eq!(believed(&mut second).await.wave, 10_000);
    says(&mut second, &release, "committed").await;
    let view = rollout_when(nexus, "the end", |view| view["state"] == "completed").await;
    assert_eq!((&view["wave"], &view["counts"]["committed"]), (&json!(2), &json!(2)));
    let node = nexus.get(&format!("/api/v1/nodes/{}", first.node_id)).await.body;
    assert_eq!(node["node"]["update"]["skills"][0]["state"], "committed");
    let spores = view["spores"].as_array().unwrap();
    let waves: std::collections::BTreeMap<_, _> = spores
        .iter()
        .map(|spore| (spore["node_id"].as_str().unwrap(), &spore["wave"]))
        .collect();
    assert_eq!(
        (waves[&*first.node_id], waves[&*second.node_id]),
        (&json!(1), &json!(2))
    );
    for kind in [
        "RELEASE_PUBLISHED",
        "SKILL_UPDATED",
        "ROLLOUT_WAVE",
        "ROLLOUT_COMPLETED",
    ] {
        events.find(kind).await;
    }
    assert_eq!(nexus.metric("venom_nexus_rollout_wave{channel=\"stable\"}").await, 2.0);
    drop(events);
    let directory = kept.stop().await;
    assert_eq!(Kept::audited(&directory, "rollout_wave")[0]["by"], "nexus");
}

#[tokio::test]
async fn a_wave_that_fails_stops_and_an_operator_lets_it_go_on_or_takes_it_back() {
    let kept = Kept::start().await;
    let nexus = &kept.nexus;
    let release = release(1, None, vec![uploaded(nexus, "1.0.0").await]);
    let mut bad = spore_in(nexus, &release, 0..1_000).await;
    let mut good = spore_in(nexus, &release, 0..1_000).await;
    let mut late = spore_in(nexus, &release, 1_000..10_000).await;
    assert_eq!(publish(nexus, &release, Some(canary())).await.status, 201);
    says(&mut bad, &release, "rolled_back").await;
    let view = rollout_when(nexus, "the stop", |view| view["state"] == "paused").await;
    assert!(view["reason"].as_str().unwrap().contains("wave 1 failed"), "{view}");
    assert_eq!(believed(&mut late).await.state, venom_bundle::RolloutOrder::Pause);
    says(&mut good, &release, "committed").await;
    rollout_when(nexus, "the report", |view| view["counts"]["committed"] == 1).await;
    assert_eq!(rollout(nexus).await["state"], "paused", "it does not go on by itself");

    let resumed = order(nexus, "resume", json!({ "reason": "it was the disk" })).await;
    assert_eq!(
        (resumed.status, &resumed.body["reason"]),
        (200, &json!("")),
        "{resumed:?}"
    );
    rollout_when(nexus, "the second wave", |view| {
        view["wave"] == 2 && view["state"] == "running"
    })
    .await;
    let reverted = order(nexus, "revert", json!({ "reason": "it was not" })).await;
    assert_eq!((reverted.status, &reverted.body["state"]), (200, &json!("reverted")));
    assert_eq!(reverted.body["reason"], "reverted by owner: it was not");
    assert_eq!(believed(&mut late).await.state, venom_bundle::RolloutOrder::Revert);
    let path = "/api/v1/rollouts/stable/resume";
    order(nexus, "resume", json!({}))
        .await
        .assert_problem(409, path, "publish another release");
    assert_eq!(order(nexus, "revert", json!({})).await.status, 200, "it is so already");
    let directory = kept.stop().await;
    for (event, by) in [
        ("rollout_paused", "nexus"),
        ("rollout_resumed", "owner"),
        ("rollout_reverted", "owner"),
    ] {
        assert_eq!(Kept::audited(&directory, event)[0]["by"], by, "{event}");
    }
    assert_eq!(
        Kept::audited(&directory, "skill_rolled_back")[0]["node_id"],
        *bad.node_id
    );
}

#[tokio::test]
async fn a_wave_that_fails_is_taken_back_where_the_plan_says_so() {
    let kept = Kept::start().await;
    let nexus = &kept.nexus;
    let release = release(1, None, vec![uploaded(nexus, "1.0.0").await]);
    let mut bad = spore_in(nexus, &release, 0..10_000).await;
    let plan = json!({ "waves": [{ "percent": 100.0 }], "on_failure": "revert" });
    assert_eq!(publish(nexus, &release, Some(plan)).await.status, 201);
    says(&mut bad, &release, "failed").await;
    rollout_when(nexus, "the way back", |view| view["state"] == "reverted").await;
    says(&mut bad, &release, "reverted").await;
    rollout_when(nexus, "the spore is back", |view| view["counts"]["reverted"] == 1).await;
    kept.stop().await;
}

#[tokio::test]
async fn what_is_paused_or_aborted_stays_so_and_words_are_checked() {
    let kept = Kept::start().await;
    let nexus = &kept.nexus;
    let release = published(nexus, 1, None, Some(canary())).await;
    let mut spore = spore_in(nexus, &release, 0..1_000).await;
    let path = "/api/v1/rollouts/stable/pause";
    order(nexus, "pause", json!({ "why": 1 }))
        .await
        .assert_problem(400, path, "unknown field `why`");
    order(nexus, "pause", json!({ "reason": "a\nb" }))
        .await
        .assert_problem(400, path, "one line");
    let unknown = "/api/v1/rollouts/nothing/pause";
    admin(nexus, unknown, &json!({}))
        .await
        .assert_problem(404, unknown, "has no release");
    let empty = nexus.http.post(nexus.url(path)).bearer_auth(crate::harness::ADMIN);
    assert_eq!(Answer::of(empty).await.body["reason"], "paused by owner");
    says(&mut spore, &release, "committed").await;
    rollout_when(nexus, "the report", |view| view["counts"]["committed"] == 1).await;
    let paused = rollout(nexus).await;
    assert_eq!(
        (&paused["state"], &paused["wave"], &paused["counter"]),
        (&json!("paused"), &json!(1), &json!(2))
    );
    assert_eq!(order(nexus, "abort", json!({})).await.body["state"], "aborted");
    let path = "/api/v1/rollouts/stable/resume";
    order(nexus, "resume", json!({}))
        .await
        .assert_problem(409, path, "is aborted");
    let again = publish(nexus, &release, Some(canary())).await;
    assert_eq!(
        (again.status, &again.body["state"]),
        (200, &json!("aborted")),
        "publishing again does not begin again"
    );
    kept.stop().await;
}

#[tokio::test]
async fn a_silent_fleet_is_not_taken_for_a_healthy_one() {
    let kept = Kept::start().await;
    let nexus = &kept.nexus;
    let release = release(1, None, vec![uploaded(nexus, "1.0.0").await]);
    let _quiet = spore_in(nexus, &release, 0..1_000).await;
    let mut other = spore_in(nexus, &release, 1_000..10_000).await;
    assert_eq!(publish(nexus, &release, Some(canary())).await.status, 201);
    // of another wave, and of another release: neither says anything of this wave
    says(&mut other, &release, "committed").await;
    rollout_when(nexus, "the report", |view| {
        view["spores"]
            .as_array()
            .unwrap()
            .iter()
            .any(|spore| !spore["report"]["release"].is_null())
    })
    .await;
    let view = rollout(nexus).await;
    assert_eq!(
        (&view["wave"], &view["counts"]["silent"], &view["counts"]["committed"]),
        (&json!(1), &json!(1), &json!(0))
    );
    kept.stop().await;
}

#[tokio::test]
async fn a_rollout_outlives_its_nexus() {
    let kept = Kept::start().await;
    let release = release(1, None, vec![uploaded(&kept.nexus, "1.0.0").await]);
    let mut first = spore_in(&kept.nexus, &release, 0..1_000).await;
    assert_eq!(publish(&kept.nexus, &release, Some(canary())).await.status, 201);
    says(&mut first, &release, "fetching").await;
    let node_id = first.node_id.clone();
    drop(first);
    let directory = kept.stop().await;

    let again = started(
        keeping(directory.path()),
        sqlite_in(directory.path(), Default::default()),
    )
    .await;
    // the first to come back is not of the wave that is watched, so nothing goes on because of it
    let mut other = spore_in(&again, &release, 1_000..10_000).await;
    let mut back = FakeSpore::connect(&again).await;
    back.node_id = node_id;
    back.introduce_v2(&[], &[], "boot-2").await;
    says(&mut back, &release, "soaking").await;
    let view = rollout_when(&again, "its report", |view| view["counts"]["soaking"] == 1).await;
    assert_eq!(
        (&view["wave"], &view["release_sha256"]),
        (&json!(1), &json!(release.unsigned().digest()))
    );
    says(&mut back, &release, "committed").await;
    rollout_when(&again, "the second wave", |view| view["wave"] == 2).await;
    says(&mut other, &release, "committed").await;
    rollout_when(&again, "the end", |view| view["state"] == "completed").await;
    again.stop().await;
}

#[tokio::test]
async fn a_rollout_is_signed_anew_before_it_runs_out() {
    let lifetime = Duration::from_secs(3);
    let kept = Kept::start_with(|settings| settings.releases.rollout_lifetime = lifetime).await;
    let nexus = &kept.nexus;
    let release = published(nexus, 1, None, None).await;
    assert_eq!(order(nexus, "pause", json!({})).await.status, 200);
    let mut spore = spore_in(nexus, &release, 0..10_000).await;
    let first = believed(&mut spore).await;
    let later = until("a newer rollout", async || {
        let now = believed(&mut spore).await;
        assert!(Timestamp::now() < now.expires, "it ran out");
        (now.counter > first.counter + 1).then_some(now)
    })
    .await;
    assert_eq!((later.state, later.wave), (first.state, first.wave), "it says the same");
    assert!(later.expires > first.expires);
    kept.stop().await;
}

#[tokio::test]
async fn spores_are_watched_and_alarms_are_heard() {
    let kept = Kept::start().await;
    let nexus = &kept.nexus;
    let release = published(nexus, 1, None, None).await;
    let mut events = Sse::open(nexus, "/api/v1/events", None).await;
    let mut spore = spore_in(nexus, &release, 0..10_000).await;
    for (state, kind) in [
        ("held", "SKILL_HELD"),
        ("failed", "SKILL_FAILED"),
        ("rolled_back", "SKILL_ROLLED_BACK"),
    ] {
        says(&mut spore, &release, state).await;
        let (_, event) = events.find(kind).await;
        assert_eq!(event["data"]["node_id"], *spore.node_id);
        assert_eq!(
            (&event["data"]["skill"], &event["data"]["wanted_version"]),
            (&json!("EchoSkill"), &json!("1.0.0"))
        );
    }
    let mut alarmed = report(&release, "committed");
    alarmed["alarm"] = json!("two releases 1.1");
    // whose name it bears is the link's, whatever it says
    alarmed["node_id"] = json!(crate::harness::new_id());
    for _ in 0..2 {
        spore.say("UPDATE_REPORT", alarmed.clone()).await;
    }
    let (_, event) = events.find("TRUST_ALARM").await;
    assert_eq!(event["data"]["found_by"], format!("node {}", spore.node_id));
    events.find("SKILL_UPDATED").await;
    assert_eq!(nexus.metric("venom_nexus_trust_alarms_total").await, 1.0);
    drop(events);
    let directory = kept.stop().await;
    assert_eq!(Kept::audited(&directory, "trust_alarm").len(), 1);
}

#[tokio::test]
async fn a_release_signed_anew_after_a_change_of_keys_goes_on_where_it_was() {
    let kept = Kept::start().await;
    let nexus = &kept.nexus;
    let release = published(nexus, 1, None, Some(canary())).await;
    assert_eq!(order(nexus, "pause", json!({})).await.body["counter"], 2);
    let mut next = root();
    next.version = 2;
    next.roles.release.keys = vec![key(22).public()];
    let next = signed(next.unsigned(), &[ROOT_KEY]);
    assert_eq!(
        admin(nexus, "/api/v1/trust/roots", &json!({ "root": next }))
            .await
            .status,
        201
    );
    let text = signed(release.unsigned(), &[22]);
    let answer = admin(nexus, "/api/v1/releases", &json!({ "release": text })).await;
    assert_eq!((answer.status, &answer.body["counter"]), (201, &json!(3)), "{answer:?}");
    assert_eq!(
        (&answer.body["state"], &answer.body["wave"]),
        (&json!("paused"), &json!(1))
    );
    assert_eq!(answer.body["plan"]["waves"][0]["percent"], 10.0);
    // whoever has it under the old key is given it again, as it is the same by its digest
    let mut spore = spore_in(nexus, &release, 0..10_000).await;
    let answer = asked(&mut spore, 2, Some(&release), 2).await;
    assert_eq!(answer["release"], text);
    let mut state = TrustState::new(trusted_root(), Channel::default());
    state.take_root(next.as_bytes()).unwrap();
    state
        .take_release(answer["release"].as_str().unwrap().as_bytes())
        .unwrap();
    state
        .take_rollout(answer["rollout"].as_str().unwrap().as_bytes())
        .unwrap();
    let nothing = asked(&mut spore, 2, Some(&release), 3).await;
    assert!(nothing.get("release").is_none(), "{nothing}");
    kept.stop().await;
}
