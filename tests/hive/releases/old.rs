//! Old releases, two of one number, hints that lie: whoever serves them, a spore only goes forward.

use anyhow::Result;
use serde_json::{Value, json};
use venom_tests::releases::{Desk, Swarm, signed};
use venom_tests::{TestHive, eventually};

use super::impostor::Impostor;
use super::{SKILL, report, until, variant};

#[tokio::test(flavor = "multi_thread")]
async fn case_06_an_old_release_changes_nothing_from_another_nexus_or_after_a_restart() -> Result<()> {
    let swarm = Swarm::new("old")?;
    let (one, two) = (
        swarm.versioned("1.0.0", "one", "")?,
        swarm.versioned("2.0.0", "two", "")?,
    );
    let hive = TestHive::with_releases(&swarm).await?;
    let node = hive.node()?.follows(&swarm).start().await?;
    let mut desk = Desk::new(hive.client()?, &swarm);
    desk.publish(&[&one]).await?;
    desk.publish(&[&two]).await?;
    until(&hive.client()?, node.id, "committed", "2.0.0").await?;
    let left = node.break_off().await?;

    // a nexus restored from last week's backup knows the first release only
    let backup = TestHive::with_releases(&swarm).await?;
    Desk::new(backup.client()?, &swarm).publish(&[&one]).await?;
    let node = backup.node()?.follows(&swarm).in_place_of(left).start().await?;
    let client = backup.client()?;
    until(&client, node.id, "committed", "2.0.0").await?;
    for _ in 0..3 {
        let hint = json!({"command": "UPDATE_SYSTEM", "data": {"channel": "stable", "epoch": 1, "seq": 1}, "timestamp": "2026-01-01T00:00:00Z"});
        client.post("/api/v1/cluster/broadcast", &hint).await?;
    }
    assert_eq!(variant(&client, node.id).await?, json!("two"));
    let view = client.node(node.id).await?.unwrap_or_default();
    assert_eq!(
        (&view["update"]["release"]["seq"], &view["update"]["alarm"]),
        (&json!(2), &Value::Null)
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn case_06_a_release_replayed_by_the_nexus_itself_is_refused() -> Result<()> {
    let swarm = Swarm::new("replay")?;
    let hive = TestHive::start().await?;
    let impostor = Impostor::start().await?;
    let (one, two) = (
        swarm.versioned("1.0.0", "one", "")?,
        swarm.versioned("2.0.0", "two", "")?,
    );
    impostor.release(&swarm, 2, &[&two]);
    let _node = impostor.spore(&hive, &swarm).await?;
    impostor.until("committed", "2.0.0").await?;
    impostor.release(&swarm, 1, &[&one]);
    impostor.asked_again().await?;
    let report = impostor.report();
    assert_eq!(
        (&report["release"]["seq"], &report["skills"][0]["version"]),
        (&json!(2), &json!("2.0.0"))
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn case_07_two_releases_of_one_number_are_an_alarm_and_the_first_stays() -> Result<()> {
    let swarm = Swarm::new("alarm")?;
    let hive = TestHive::start().await?;
    let impostor = Impostor::start().await?;
    let (one, two) = (
        swarm.versioned("1.0.0", "one", "")?,
        swarm.versioned("2.0.0", "two", "")?,
    );
    impostor.release(&swarm, 1, &[&one]);
    let _node = impostor.spore(&hive, &swarm).await?;
    impostor.until("committed", "1.0.0").await?;
    impostor.release(&swarm, 1, &[&two]);
    let alarm = eventually("the alarm", async || {
        Ok(impostor.report()["alarm"].as_str().map(str::to_owned))
    });
    assert!(alarm.await?.contains("1.1"));
    assert_eq!(impostor.report()["skills"][0]["version"], "1.0.0");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn case_10_a_rollout_that_expired_lets_nobody_install_and_stops_nothing() -> Result<()> {
    let swarm = Swarm::new("expired")?;
    let hive = TestHive::start().await?;
    let impostor = Impostor::start().await?;
    let one = swarm.versioned("1.0.0", "one", "")?;
    impostor.release(&swarm, 1, &[&one]);
    let _node = impostor.spore(&hive, &swarm).await?;
    impostor.until("committed", "1.0.0").await?;
    let two = swarm.versioned("2.0.0", "two", "")?;
    impostor.serve(&two, &two.bytes);
    let release = swarm.release(2, None, vec![two.entry()]);
    let mut rollout = swarm.rollout(release.unsigned().digest(), 1);
    rollout.expires = venom_tests::releases::in_seconds(-1);
    rollout.issued = venom_tests::releases::in_seconds(-100);
    let rollout = signed(rollout.unsigned(), &[&swarm.online_key()]);
    impostor.answer(&[], Some(&swarm.sign(&release)), Some(&rollout));
    let waits = impostor.until("waiting", "1.0.0").await?;
    assert!(
        waits["reason"].as_str().unwrap_or_default().contains("expired"),
        "{waits}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn case_21_three_hundred_releases_later_a_spore_catches_up_in_one_step() -> Result<()> {
    const RELEASES: u64 = 300;
    let swarm = Swarm::new("catch-up")?;
    let hive = TestHive::with_releases(&swarm).await?;
    let client = hive.client()?;
    let node = hive.node()?.follows(&swarm).start().await?;
    let mut desk = Desk::new(hive.client()?, &swarm);
    desk.publish(&[&swarm.versioned("1.0.0", "one", "")?]).await?;
    until(&client, node.id, "committed", "1.0.0").await?;
    let left = node.break_off().await?;
    let (two, three) = (
        swarm.versioned("2.0.0", "two", "")?,
        swarm.versioned("3.0.0", "three", "")?,
    );
    desk.store(&two).await?;
    for _ in 1..RELEASES - 1 {
        desk.publish_as(&[], vec![two.entry()], |_| {}, Value::Null).await?;
    }
    desk.publish(&[&three]).await?;
    let node = hive.node()?.follows(&swarm).in_place_of(left).start().await?;
    assert_eq!(variant(&client, node.id).await?, json!("one"), "what it had it has");
    until(&client, node.id, "committed", "3.0.0").await?;
    let view = client.node(node.id).await?.unwrap_or_default();
    assert_eq!(view["update"]["release"]["seq"], RELEASES);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn case_22_hints_lost_doubled_and_reordered_come_to_the_same() -> Result<()> {
    let swarm = Swarm::new("hints")?;
    let hive = TestHive::start().await?;
    let impostor = Impostor::start().await?;
    // this nexus announces nothing at all
    let one = swarm.versioned("1.0.0", "one", "")?;
    impostor.release(&swarm, 1, &[&one]);
    let _node = impostor.spore(&hive, &swarm).await?;
    impostor.until("committed", "1.0.0").await?;

    // and this one announces everything many times, the last first
    let honest = TestHive::with_releases(&swarm).await?;
    let client = honest.client()?;
    let node = honest.node()?.follows(&swarm).start().await?;
    let mut desk = Desk::new(honest.client()?, &swarm);
    desk.publish(&[&one]).await?;
    desk.publish(&[&swarm.versioned("2.0.0", "two", "")?]).await?;
    for seq in [9, 2, 1, 2, 0] {
        let hint = json!({"command": "UPDATE_SYSTEM", "data": {"channel": "stable", "seq": seq}, "timestamp": "2026-01-01T00:00:00Z"});
        client.post("/api/v1/cluster/broadcast", &hint).await?;
    }
    until(&client, node.id, "committed", "2.0.0").await?;
    assert_eq!(report(&client, node.id).await?["skill"], SKILL);
    Ok(())
}
