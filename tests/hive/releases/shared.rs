//! Releases on nexuses that share a Redis: what one publishes, spores of the other get from theirs, and what it announces
//! on the channel they hear.

use std::sync::Arc;

use anyhow::Result;
use serde_json::json;
use tempfile::TempDir;
use venom_broker::Broker;
use venom_broker::redis::{RedisBroker, RedisSettings};
use venom_tests::releases::{Desk, Swarm};
use venom_tests::{TestHive, eventually};

use super::{until, variant};
use crate::redis_server::RedisServer;

async fn nexus(swarm: &Swarm, redis: &RedisServer) -> Result<TestHive> {
    let broker: Arc<dyn Broker> = Arc::new(RedisBroker::new(
        RedisSettings::new(redis.url()),
        venom_broker::Settings::default(),
    )?);
    TestHive::with_releases_in(swarm, TempDir::new()?, broker, |_| {}).await
}

#[tokio::test(flavor = "multi_thread")]
async fn any_nexus_serves_what_another_published() -> Result<()> {
    let swarm = Swarm::new("shared")?;
    let redis = tokio::task::spawn_blocking(RedisServer::new).await?;
    let (here, there) = (nexus(&swarm, &redis).await?, nexus(&swarm, &redis).await?);
    let near = here.node()?.follows(&swarm).start().await?;
    let far = there.node()?.follows(&swarm).start().await?;
    let (client, far_client) = (here.client()?, there.client()?);
    let mut desk = Desk::new(here.client()?, &swarm);
    for (version, word) in [("1.0.0", "one"), ("2.0.0", "two")] {
        desk.publish(&[&swarm.versioned(version, word, "")?]).await?;
        until(&client, near.id, "committed", version).await?;
        until(&far_client, far.id, "committed", version).await?;
        assert_eq!(variant(&far_client, far.id).await?, json!(word));
        // and the one that published sees the spores of the other
        eventually("both spores to be counted", async || {
            let rollout = desk.rollout().await?;
            let done = rollout["state"] == "completed" && rollout["counts"]["committed"] == 2;
            Ok(done.then_some(()))
        })
        .await?;
    }
    Ok(())
}
