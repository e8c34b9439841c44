//! `root publish`: a signed root goes to the nexus, and becomes the data directory's.

use std::time::Duration;

use venom_bundle::{Root, SignedDocument, TrustedRoot};
use venom_protocol::{RootDocument, TrustView};

use super::{before, draft, install, words};
use crate::cli::PublishRootArgs;
use crate::client::NexusClient;
use crate::data_dir::DataDir;
use crate::failure::{Explain as _, Failure};
use crate::output;
use crate::settings::{ClientSettings, Sources};

/// Checks what can be checked here, sends it, and keeps it.
pub(super) async fn run(args: PublishRootArgs, sources: Sources, data: DataDir) -> Result<(), Failure> {
    let path = args.file.clone().unwrap_or_else(|| data.root());
    let (signed, next) = draft(&path)?;
    let before = before(&next, None, &data)?;
    let trusted = judge(&signed, &next, before.as_ref())?;
    let client = NexusClient::new(&ClientSettings::merge(args.nexus, &sources)?, &data)?;
    catch_up(&client, &next, &data).await?;
    let view = post(&client, signed.to_text()).await?;
    if let Some(before) = &before {
        install(&trusted, Some(before), &data)?;
    }
    if args.json {
        return output::say_json(&view);
    }
    output::say(format!(
        "the nexus trusts root {} of swarm {}, epoch {}, until {}",
        view.root_version, view.swarm_id, view.epoch, view.expires
    ))?;
    if before.is_some() {
        output::note(format!("{} is that root now", data.root().display()));
    }
    Ok(())
}

async fn post(client: &NexusClient, root: String) -> Result<TrustView, Failure> {
    let body = RootDocument { root };
    client.post("/api/v1/trust/roots", &body, Duration::ZERO).await
}

/// A nexus takes one root after the other: gives it those between its own and `next` that are kept here.
async fn catch_up(client: &NexusClient, next: &Root, data: &DataDir) -> Result<(), Failure> {
    let view: TrustView = client.get("/api/v1/trust").await?;
    for version in view.root_version + 1..next.version {
        let path = data.old_root(version);
        if !path.exists() {
            return Err(Failure::new(format!("root {} cannot be published yet", next.version))
                .because(format!(
                    "the nexus has root {}, and takes none before root {version}",
                    view.root_version
                ))
                .help(format!("publish root {version} first; it is not at {}", path.display())));
        }
        let (signed, _) = draft(&path)?;
        post(client, signed.to_text()).await?;
    }
    Ok(())
}

/// Whether the nexus could take it, as far as can be told here; says what is missing where it could not.
fn judge(signed: &SignedDocument, next: &Root, before: Option<&TrustedRoot>) -> Result<TrustedRoot, Failure> {
    let missing = signed.missing_of_root(next, before.map(TrustedRoot::root));
    if !missing.is_empty() {
        let why: Vec<String> = missing.iter().map(words).collect();
        return Err(
            Failure::new(format!("root {} is not signed by enough keys", next.version))
                .because(why.join("\n"))
                .help("add signatures with `venom-host root sign FILE --key KEY`"),
        );
    }
    let bytes = signed.to_text().into_bytes();
    let trusted = match before {
        Some(before) => before.rotate(&bytes),
        None => TrustedRoot::pin(&bytes),
    };
    trusted.or_fail(format!("root {} cannot be published", next.version))
}
