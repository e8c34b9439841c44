//! `sites`, `assets` and `findings`: what the agents of a nexus saw, for people, scripts and other tools.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use venom_protocol::{AssetView, FindingStatus, FindingUpdate, FindingView, Severity, SiteView};

use crate::cli::{
    AssetsArgs, FindingWordArgs, FindingsArgs, FindingsCommand, ListFindingsArgs, NexusClientArgs, SeverityArg,
    SitesArgs,
};
use crate::client::{NexusClient, path_part, path_with};
use crate::data_dir::DataDir;
use crate::failure::Failure;
use crate::output;
use crate::settings::{ClientSettings, Sources};

/// Entries asked for at one time.
const PAGE: &str = "1000";

/// The answer of `GET /api/sites`.
#[derive(Deserialize, Serialize)]
struct SiteList {
    sites: Vec<SiteView>,
}

/// One page of the answers of `GET /api/data` and `GET /api/shield-findings`.
#[derive(Deserialize)]
struct PageOf<T> {
    #[serde(alias = "assets", alias = "findings")]
    items: Vec<T>,
    #[serde(default)]
    next_cursor: Option<String>,
}

fn client(nexus: &NexusClientArgs, sources: &Sources, data: &DataDir) -> Result<NexusClient, Failure> {
    NexusClient::new(&ClientSettings::merge(nexus.clone(), sources)?, data)
}

/// All pages of a list, one after the other.
async fn all<T: DeserializeOwned>(
    client: &NexusClient,
    path: &str,
    query: &[(&str, Option<&str>)],
) -> Result<Vec<T>, Failure> {
    let mut found = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let place = [("limit", Some(PAGE)), ("cursor", cursor.as_deref())];
        let page: PageOf<T> = client.get(&path_with(path, &[query, &place].concat())?).await?;
        found.extend(page.items);
        match page.next_cursor {
            Some(next) if Some(&next) != cursor.as_ref() => cursor = Some(next),
            _ => return Ok(found),
        }
    }
}

/// `sites`.
pub(crate) async fn sites(args: SitesArgs, sources: Sources, data: DataDir) -> Result<(), Failure> {
    let list: SiteList = client(&args.nexus, &sources, &data)?.get("/api/sites").await?;
    if args.json {
        return output::say_json(&list);
    }
    if list.sites.is_empty() {
        output::note("no sites; `venom-host enrol create --site NAME` lets the first agent in");
        return Ok(());
    }
    let row = |site: &SiteView| {
        vec![
            site.name.clone(),
            format!("{}/{}", site.agents_online, site.agents),
            site.networks.to_string(),
            site.assets.to_string(),
            site.open_findings.to_string(),
            site.last_scan
                .map_or_else(|| "never".to_owned(), |scan| scan.to_string()),
        ]
    };
    let rows: Vec<Vec<String>> = list.sites.iter().map(row).collect();
    output::say(output::table(
        &["SITE", "AGENTS ONLINE", "NETWORKS", "ASSETS", "FINDINGS", "LAST SCAN"],
        &rows,
    ))
}

/// `assets`.
pub(crate) async fn assets(args: AssetsArgs, sources: Sources, data: DataDir) -> Result<(), Failure> {
    let client = client(&args.nexus, &sources, &data)?;
    let site = [("site", args.site.as_deref())];
    if args.csv || args.json {
        let form = if args.csv { "csv" } else { "json" };
        let path = path_with(&format!("/api/v1/export/assets.{form}"), &site)?;
        return export(&client, &path).await;
    }
    let assets: Vec<AssetView> = all(&client, "/api/data", &site).await?;
    if assets.is_empty() {
        output::note("nothing was seen yet; `venom-host agent scan ID` has an agent look");
        return Ok(());
    }
    let row = |asset: &AssetView| {
        let ports: Vec<String> = asset.open_ports.iter().map(ToString::to_string).collect();
        vec![
            asset.site_name.clone(),
            asset.ip.clone(),
            asset.hostname.clone().unwrap_or_default(),
            asset.mac.clone().unwrap_or_default(),
            asset.bigr_category.clone().unwrap_or_default(),
            ports.join(","),
            asset.open_findings.to_string(),
            if asset.is_gone { "gone" } else { "there" }.to_owned(),
        ]
    };
    let rows: Vec<Vec<String>> = assets.iter().map(row).collect();
    output::say(output::table(
        &["SITE", "ADDRESS", "NAME", "MAC", "KIND", "PORTS", "FINDINGS", "STATE"],
        &rows,
    ))
}

/// `findings`, and an operator's word on one of them.
pub(crate) async fn findings(args: FindingsArgs, sources: Sources, data: DataDir) -> Result<(), Failure> {
    match args.command {
        None => list_findings(args.list, &sources, &data).await,
        Some(FindingsCommand::Accept(args)) => say(args, FindingStatus::Accepted, &sources, &data).await,
        Some(FindingsCommand::FalsePositive(args)) => say(args, FindingStatus::FalsePositive, &sources, &data).await,
        Some(FindingsCommand::Reopen(args)) => say(args, FindingStatus::Open, &sources, &data).await,
    }
}

async fn list_findings(args: ListFindingsArgs, sources: &Sources, data: &DataDir) -> Result<(), Failure> {
    let client = client(&args.nexus, sources, data)?;
    let which = [
        ("site", args.site.as_deref()),
        (
            "severity",
            args.severity.map(|severity| Severity::from(severity).as_str()),
        ),
    ];
    if args.sarif || args.ocsf {
        let form = if args.sarif { "sarif" } else { "ocsf" };
        return export(&client, &path_with(&format!("/api/v1/export/findings.{form}"), &which)?).await;
    }
    let open = (!args.all).then_some(FindingStatus::Open.as_str());
    let query = [&which[..], &[("status", open)]].concat();
    let findings: Vec<FindingView> = all(&client, "/api/shield-findings", &query).await?;
    if args.json {
        return output::say_json(&findings);
    }
    if findings.is_empty() {
        output::note("no findings");
        return Ok(());
    }
    let row = |finding: &FindingView| {
        let place = match (&finding.target_ip, finding.port) {
            (Some(ip), Some(port)) => format!("{ip}:{port}"),
            (Some(ip), None) => ip.clone(),
            _ => String::new(),
        };
        vec![
            finding.id.clone(),
            finding.severity.as_str().to_owned(),
            finding.site_name.clone(),
            place,
            finding.module.clone(),
            finding.status.as_str().to_owned(),
            finding.title.clone(),
        ]
    };
    let rows: Vec<Vec<String>> = findings.iter().map(row).collect();
    output::say(output::table(
        &["ID", "SEVERITY", "SITE", "WHERE", "MODULE", "STATE", "TITLE"],
        &rows,
    ))
}

/// A file another tool reads, to stdout as it comes.
async fn export(client: &NexusClient, path: &str) -> Result<(), Failure> {
    client.copy_to(path, &mut std::io::stdout().lock()).await
}

async fn say(args: FindingWordArgs, status: FindingStatus, sources: &Sources, data: &DataDir) -> Result<(), Failure> {
    let client = client(&args.nexus, sources, data)?;
    let word = FindingUpdate {
        status,
        reason: args.reason,
    };
    let path = format!("/api/v1/findings/{}", path_part(&args.id)?);
    let finding: FindingView = client.patch(&path, &word).await?;
    if args.json {
        return output::say_json(&finding);
    }
    output::say(format!(
        "{} is {}: {}",
        finding.id,
        finding.status.as_str(),
        finding.title
    ))
}

impl From<SeverityArg> for Severity {
    fn from(severity: SeverityArg) -> Self {
        match severity {
            SeverityArg::Info => Self::Info,
            SeverityArg::Low => Self::Low,
            SeverityArg::Medium => Self::Medium,
            SeverityArg::High => Self::High,
            SeverityArg::Critical => Self::Critical,
        }
    }
}
