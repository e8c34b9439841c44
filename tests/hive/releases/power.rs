//! Case 20 with real processes: killed at any moment of an update, and on a disk that is full. (That every single write
//! can fail is tested where they are made, in the spore.)

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use serde_json::json;
use tempfile::TempDir;
use venom_protocol::NodeId;
use venom_tests::releases::{Desk, Swarm};
use venom_tests::{HostProcess, SPORE_TOKEN, TestHive, eventually};

use super::{report, until, variant};

/// A data directory whose root is the swarm's.
async fn data_dir(swarm: &Swarm) -> Result<TempDir> {
    let data = TempDir::new()?;
    HostProcess::run(data.path(), &["init"]).await?;
    std::fs::write(data.path().join("root.json"), swarm.root_text())?;
    Ok(data)
}

async fn spore(data: &Path, nexus: &str, through: &[&str]) -> Result<(HostProcess, NodeId)> {
    let arguments = [
        "spore",
        "--nexus",
        nexus,
        "--token",
        SPORE_TOKEN,
        "--update-soak",
        "100ms",
    ];
    let mut process = HostProcess::start_through(data, through, &arguments)?;
    let id = process.ready("spore ready").await?.parse()?;
    Ok((process, id))
}

#[tokio::test(flavor = "multi_thread")]
async fn case_20_a_spore_killed_at_any_moment_of_an_update_comes_back_with_the_old_or_the_new() -> Result<()> {
    const KILLS: u64 = 10;
    let swarm = Swarm::new("kills")?;
    let hive = TestHive::with_releases(&swarm).await?;
    let client = hive.client()?;
    let data = data_dir(&swarm).await?;
    let mut desk = Desk::new(hive.client()?, &swarm);
    desk.publish(&[&swarm.versioned("1.0.0", "v0", "")?]).await?;
    let (mut process, id) = spore(data.path(), &hive.url(), &[]).await?;
    until(&client, id, "committed", "1.0.0").await?;
    for n in 1..=KILLS {
        let version = format!("1.0.{n}");
        desk.publish(&[&swarm.versioned(&version, &format!("v{n}"), "")?])
            .await?;
        // not a wait for anything: the moment of the kill is what is tried
        tokio::time::sleep(Duration::from_millis(n * 23)).await;
        process.kill().await?;
        let before = n - 1;
        (process, _) = spore(data.path(), &hive.url(), &[]).await?;
        let now = variant(&client, id).await?;
        assert!(
            [json!(format!("v{before}")), json!(format!("v{n}"))].contains(&now),
            "{now} after kill {n}"
        );
        until(&client, id, "committed", &version).await?;
        assert_eq!(variant(&client, id).await?, json!(format!("v{n}")));
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn case_20_a_full_disk_stops_the_update_and_nothing_else_until_there_is_room() -> Result<()> {
    let swarm = Swarm::new("full")?;
    let hive = TestHive::with_releases(&swarm).await?;
    let client = hive.client()?;
    let data = data_dir(&swarm).await?;
    std::fs::create_dir(data.path().join("updates"))?;
    let small = "mount -t tmpfs -o size=512k tmpfs \"$VENOM_DATA_DIR/updates\" && exec \"$@\"";
    let through = ["unshare", "--map-root-user", "--mount", "sh", "-c", small, "sh"];
    let (process, id) = spore(data.path(), &hive.url(), &through).await?;
    let mut desk = Desk::new(hive.client()?, &swarm);
    desk.publish(&[&swarm.versioned("1.0.0", "one", "")?]).await?;
    until(&client, id, "committed", "1.0.0").await?;

    let seen_from_here = format!(
        "/proc/{}/root{}",
        process.id()?,
        data.path().join("updates/filler").display()
    );
    let filler = vec![0; 512 * 1024];
    let filled = std::fs::write(&seen_from_here, filler);
    assert!(filled.is_err(), "the disk is full now");
    desk.publish(&[&swarm.versioned("2.0.0", "two", "")?]).await?;
    let release = eventually("the update to stand still", async || {
        let report = report(&client, id).await?;
        Ok((report["version"] == "1.0.0" && variant(&client, id).await? == json!("one")).then_some(report))
    });
    release.await?;
    std::fs::remove_file(&seen_from_here)?;
    until(&client, id, "committed", "2.0.0").await?;
    assert_eq!(variant(&client, id).await?, json!("two"));
    Ok(())
}
