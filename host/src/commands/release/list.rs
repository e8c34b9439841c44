//! `release list`: the releases of a channel.

use venom_protocol::{ReleaseList, ReleaseView};

use crate::cli::ListReleasesArgs;
use crate::client::NexusClient;
use crate::failure::Failure;
use crate::output;

/// Lists them, newest first.
pub(super) async fn run(args: &ListReleasesArgs, client: &NexusClient) -> Result<(), Failure> {
    let path = format!("/api/v1/releases?channel={}", args.channel.channel);
    let list: ReleaseList = client.get(&path).await?;
    if args.json {
        return output::say_json(&list);
    }
    if list.releases.is_empty() {
        output::note("no releases; publish one with `venom-host release publish --bundle FILE`");
        return Ok(());
    }
    let rows: Vec<Vec<String>> = list.releases.iter().map(row).collect();
    output::say(output::table(
        &["RELEASE", "", "ID", "CREATED", "EXPIRES", "SKILLS"],
        &rows,
    ))
}

fn row(release: &ReleaseView) -> Vec<String> {
    vec![
        format!("{}.{}", release.epoch, release.seq),
        if release.current {
            "current".to_owned()
        } else {
            String::new()
        },
        release.release_sha256.chars().take(12).collect(),
        release.created.to_string(),
        release.expires.to_string(),
        release.entries.join(", "),
    ]
}
