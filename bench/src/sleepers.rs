//! Many calls that wait at the same time on one spore.

use std::time::Instant;

use anyhow::{Context, Result};
use tokio::task::JoinSet;

use crate::processes::{start_nexus, start_spore};
use crate::table::Row;
use crate::{Effort, guests, load};

const CALLS: usize = 200;

pub(crate) fn measure(_effort: Effort) -> Result<Vec<Row>> {
    let directory = tempfile::tempdir()?;
    let data_dir = directory.path().join("spore");
    let skills = guests::pack_with_host(&data_dir, &[guests::ECHO])?;
    let nexus = start_nexus(&directory.path().join("nexus"), &[])?;
    let spore = start_spore(&nexus.ready, &data_dir, &skills, &[])?;
    let address = nexus
        .ready
        .strip_prefix("http://")
        .context("an http address")?
        .to_owned();
    let body = r#"{"skill_name":"EchoSkill","method_name":"sleep","parameters":{"milliseconds":100}}"#;
    let request = load::post(&address, &format!("/api/v1/nodes/{}/execute", spore.ready), body);

    let took = tokio::runtime::Runtime::new()?.block_on(async {
        let mut clients = Vec::new();
        for _ in 0..CALLS {
            clients.push(load::Client::connect(&address, &request).await?);
        }
        let began = Instant::now();
        let mut running = JoinSet::new();
        for mut client in clients {
            running.spawn(async move { client.exchange().await });
        }
        while let Some(done) = running.join_next().await {
            done??;
        }
        anyhow::Ok(began.elapsed().as_secs_f64())
    })?;
    let row = Row::absolute(
        "200 concurrent calls of 100 ms on one spore",
        format!("{took:.3} s"),
        "< 0.5 s",
        took < 0.5,
    );
    Ok(vec![row])
}
