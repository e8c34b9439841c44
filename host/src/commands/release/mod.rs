//! `release`: which bundles belong where. What a release may say is the bundle crate's business, what becomes of it the
//! nexus's; here it is put together, signed, sent and watched.

mod base;
mod bundles;
mod changes;
mod create;
mod list;
mod plan;
mod publish;
mod rows;
pub(crate) mod status;

use std::time::Duration;

use venom_protocol::RolloutView;

use crate::cli::{OrderArgs, ReleaseCommand};
use crate::client::NexusClient;
use crate::commands::registry::fetch;
use crate::data_dir::DataDir;
use crate::failure::Failure;
use crate::output;
use crate::settings::{ClientSettings, Sources};

pub(crate) use bundles::upload_all;
pub(crate) use plan::bytes_bar;
pub(crate) use publish::{Made, publish_bundles};

/// Runs one of the `release` commands.
pub(crate) async fn run(command: ReleaseCommand, sources: Sources, data: DataDir) -> Result<(), Failure> {
    let nexus = match &command {
        ReleaseCommand::Sign(args) => return create::sign(args, &data),
        ReleaseCommand::Create(args) => &args.nexus,
        ReleaseCommand::Publish(args) => &args.nexus,
        ReleaseCommand::Status(args) => &args.nexus,
        ReleaseCommand::List(args) => &args.nexus,
        ReleaseCommand::Pause(args)
        | ReleaseCommand::Resume(args)
        | ReleaseCommand::Abort(args)
        | ReleaseCommand::Revert(args) => &args.nexus,
        ReleaseCommand::Approve(args) => &args.nexus,
    };
    let client = NexusClient::new(&ClientSettings::merge(nexus.clone(), &sources)?, &data)?;
    match command {
        ReleaseCommand::Create(mut args) => {
            let fallbacks = args.fallback.iter_mut().map(|given| &mut given.value);
            let _fetched = fetch(args.add.iter_mut().chain(fallbacks), &sources).await?;
            create::run(*args, &client, &data).await
        }
        ReleaseCommand::Sign(args) => create::sign(&args, &data),
        ReleaseCommand::Publish(mut args) => {
            let _fetched = fetch(&mut args.bundles, &sources).await?;
            publish::run(*args, &client, &data).await
        }
        ReleaseCommand::Status(args) => status::run(&args, &client).await,
        ReleaseCommand::List(args) => list::run(&args, &client).await,
        ReleaseCommand::Pause(args) => order("pause", &args, &client).await,
        ReleaseCommand::Resume(args) => order("resume", &args, &client).await,
        ReleaseCommand::Abort(args) => order("abort", &args, &client).await,
        ReleaseCommand::Revert(args) => order("revert", &args, &client).await,
        ReleaseCommand::Approve(args) => publish::approve(args, &client, &data).await,
    }
}

async fn order(verb: &str, args: &OrderArgs, client: &NexusClient) -> Result<(), Failure> {
    let path = format!("/api/v1/rollouts/{}/{verb}", args.channel.channel);
    let body = match &args.reason {
        Some(reason) => serde_json::json!({ "reason": reason }),
        None => serde_json::json!({}),
    };
    let view: RolloutView = client.post(&path, &body, Duration::ZERO).await?;
    if args.json {
        output::say_json(&view)
    } else {
        output::say(rows::headline(&view))
    }
}
