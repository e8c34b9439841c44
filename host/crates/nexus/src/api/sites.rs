//! What the multi-site dashboard reads: things, changes, scans, networks, certificates, findings. `site` filters everywhere.

use axum::Extension;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;
use venom_fleet::{AssetQuery, CertificateQuery, ChangeQuery, FindingQuery, ScanQuery};
use venom_protocol::{
    AssetDetail, AssetView, CertificateView, ChangeKind, ChangeView, FindingStatus, FindingUpdate, FindingView,
    NetworkView, Page, ScanView, Severity, SiteView, SubnetView, Timestamp, Topology,
};

use super::App;
use super::body::{Json, TextPath, json as answer};
use super::problem::{Problem, ProblemBody};
use super::query::Query;
use crate::auth::door::Visitor;

/// Entries on one page at most.
pub(super) const MOST: usize = 1_000;
/// Entries on one page when nobody says.
const SOME: u32 = 200;

macro_rules! pages {
    ($($(#[$doc:meta])* $name:ident { $field:ident: $item:ty })*) => { $(
        $(#[$doc])*
        #[derive(Debug, Serialize, ToSchema)]
        pub(crate) struct $name {
            /// What is on this page.
            $field: Vec<$item>,
            /// How many are on this page.
            count: u64,
            /// How many there are on all pages.
            total: u64,
            /// Where the next page begins; absent on the last.
            #[serde(skip_serializing_if = "Option::is_none")]
            next_cursor: Option<String>,
        }

        impl From<Page<$item>> for $name {
            fn from(page: Page<$item>) -> Self {
                Self {
                    count: page.items.len() as u64,
                    $field: page.items,
                    total: page.total,
                    next_cursor: page.next_cursor,
                }
            }
        }
    )* };
}

pages! {
    /// Things.
    AssetPage { assets: AssetView }
    /// Changes, the newest first.
    ChangePage { changes: ChangeView }
    /// Scans, the newest first.
    ScanPage { scans: ScanView }
    /// Certificates, those that end first first.
    CertificatePage { certificates: CertificateView }
    /// Findings, the worst first.
    FindingPage { findings: FindingView }
}

macro_rules! lists {
    ($($(#[$doc:meta])* $name:ident { $field:ident: $item:ty })*) => { $(
        $(#[$doc])*
        #[derive(Debug, Serialize, ToSchema)]
        pub(crate) struct $name {
            /// All of them.
            $field: Vec<$item>,
            /// How many.
            count: u64,
        }

        impl From<Vec<$item>> for $name {
            fn from($field: Vec<$item>) -> Self {
                Self { count: $field.len() as u64, $field }
            }
        }
    )* };
}

lists! {
    /// All that is known about an address, one for each site and network that has it.
    AssetDetails { assets: AssetDetail }
    /// Sites, by name.
    SiteList { sites: SiteView }
    /// Subnets, by site and address.
    SubnetList { subnets: SubnetView }
    /// Networks, by site.
    NetworkList { networks: NetworkView }
}

/// Things in all networks of all sites.
#[utoipa::path(get, path = "/api/data", tag = "fleet", operation_id = "list_assets",
    params(
        ("site" = Option<String>, Query, description = "only of this site"),
        ("network" = Option<String>, Query, description = "only of the network with this fingerprint"),
        ("gone" = Option<bool>, Query, description = "only those that are gone, or that are there; both when absent"),
        ("text" = Option<String>, Query, description = "only those with this in their address, name, MAC or vendor"),
        ("limit" = Option<u32>, Query, description = "1 to 1,000; 200 when absent"),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before"),
    ),
    responses(
        (status = 200, description = "the things", body = AssetPage),
        (status = 400, description = "bad query", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "no fleet is kept here, or its database cannot be reached", body = ProblemBody, content_type = "application/problem+json"),
    ))]
pub(super) async fn assets(State(shared): App, RawQuery(query): RawQuery) -> Result<Response, Problem> {
    let query = Query::parse(
        query.as_deref(),
        &["site", "network", "gone", "text", "limit", "cursor"],
    )?;
    let ask = AssetQuery {
        site: query.owned("site"),
        network: query.owned("network"),
        gone: query.flag("gone")?,
        text: query.owned("text"),
        limit: Some(query.count("limit", MOST)?.unwrap_or(SOME)),
        cursor: query.owned("cursor"),
    };
    let page = shared.fleet()?.fleet.assets(ask).await.map_err(Problem::of_fleet)?;
    answer(&AssetPage::from(page))
}

/// All that is known about an address: one entry for each site and network that has it.
#[utoipa::path(get, path = "/api/assets/{name}", tag = "fleet", operation_id = "show_asset",
    params(
        ("name" = String, Path, description = "the address"),
        ("site" = Option<String>, Query, description = "only of this site"),
    ),
    responses(
        (status = 200, description = "what is known; nothing, when nobody saw that address", body = AssetDetails),
        (status = 400, description = "no address, or a bad query", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "no fleet is kept here, or its database cannot be reached", body = ProblemBody, content_type = "application/problem+json"),
    ))]
pub(super) async fn asset(
    State(shared): App,
    TextPath(ip): TextPath,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let query = Query::parse(query.as_deref(), &["site"])?;
    let fleet = &shared.fleet()?.fleet;
    let details = fleet.asset_details(&ip, query.text("site"), Timestamp::now()).await;
    answer(&AssetDetails::from(details.map_err(Problem::of_fleet)?))
}

/// What changed, the newest first.
#[utoipa::path(get, path = "/api/changes", tag = "fleet", operation_id = "list_changes",
    params(
        ("site" = Option<String>, Query, description = "only of this site"),
        ("asset" = Option<String>, Query, description = "only of the thing with this id"),
        ("kind" = Option<ChangeKind>, Query, description = "only those"),
        ("since" = Option<Timestamp>, Query, description = "only those after this time"),
        ("limit" = Option<u32>, Query, description = "1 to 1,000; 200 when absent"),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before"),
    ),
    responses(
        (status = 200, description = "the changes", body = ChangePage),
        (status = 400, description = "bad query", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "no fleet is kept here, or its database cannot be reached", body = ProblemBody, content_type = "application/problem+json"),
    ))]
pub(super) async fn changes(State(shared): App, RawQuery(query): RawQuery) -> Result<Response, Problem> {
    let query = Query::parse(query.as_deref(), &["site", "asset", "kind", "since", "limit", "cursor"])?;
    let ask = ChangeQuery {
        site: query.owned("site"),
        asset_id: query.owned("asset"),
        kind: query.word("kind", "new, gone, returned, ip_changed, port_opened, port_closed, service_changed, hostname_changed or certificate_changed")?,
        since: query.word("since", "an ISO 8601 time such as 2026-01-02T03:04:05Z")?,
        limit: Some(query.count("limit", MOST)?.unwrap_or(SOME)),
        cursor: query.owned("cursor"),
    };
    let page = shared.fleet()?.fleet.changes(ask).await.map_err(Problem::of_fleet)?;
    answer(&ChangePage::from(page))
}

/// Scans that came in, the newest first.
#[utoipa::path(get, path = "/api/scans", tag = "fleet", operation_id = "list_scans",
    params(
        ("site" = Option<String>, Query, description = "only of this site"),
        ("agent" = Option<String>, Query, description = "only of the agent with this id"),
        ("kind" = Option<String>, Query, description = "only `discovery` or only `shield`"),
        ("limit" = Option<u32>, Query, description = "1 to 1,000; 200 when absent"),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before"),
    ),
    responses(
        (status = 200, description = "the scans", body = ScanPage),
        (status = 400, description = "bad query", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "no fleet is kept here, or its database cannot be reached", body = ProblemBody, content_type = "application/problem+json"),
    ))]
pub(super) async fn scans(State(shared): App, RawQuery(query): RawQuery) -> Result<Response, Problem> {
    let query = Query::parse(query.as_deref(), &["site", "agent", "kind", "limit", "cursor"])?;
    let ask = ScanQuery {
        site: query.owned("site"),
        agent_id: query.word("agent", "an agent's id")?,
        kind: query.owned("kind"),
        limit: Some(query.count("limit", MOST)?.unwrap_or(SOME)),
        cursor: query.owned("cursor"),
    };
    let page = shared.fleet()?.fleet.scans(ask).await.map_err(Problem::of_fleet)?;
    answer(&ScanPage::from(page))
}

/// Subnets that agents are in or scanned.
#[utoipa::path(get, path = "/api/subnets", tag = "fleet", operation_id = "list_subnets",
    params(("site" = Option<String>, Query, description = "only of this site")),
    responses(
        (status = 200, description = "the subnets", body = SubnetList),
        (status = 400, description = "bad query", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "no fleet is kept here, or its database cannot be reached", body = ProblemBody, content_type = "application/problem+json"),
    ))]
pub(super) async fn subnets(State(shared): App, RawQuery(query): RawQuery) -> Result<Response, Problem> {
    let query = Query::parse(query.as_deref(), &["site"])?;
    let subnets = shared.fleet()?.fleet.subnets(query.text("site")).await;
    answer(&SubnetList::from(subnets.map_err(Problem::of_fleet)?))
}

/// Sites, with counts.
#[utoipa::path(get, path = "/api/sites", tag = "fleet", operation_id = "list_sites",
    params(("site" = Option<String>, Query, description = "only this one")),
    responses(
        (status = 200, description = "the sites", body = SiteList),
        (status = 400, description = "bad query", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "no fleet is kept here, or its database cannot be reached", body = ProblemBody, content_type = "application/problem+json"),
    ))]
pub(super) async fn sites(State(shared): App, RawQuery(query): RawQuery) -> Result<Response, Problem> {
    let query = Query::parse(query.as_deref(), &["site"])?;
    let mut sites = shared.fleet()?.fleet.sites().await.map_err(Problem::of_fleet)?;
    if let Some(wanted) = query.text("site") {
        sites.retain(|site| site.name == wanted);
    }
    answer(&SiteList::from(sites))
}

/// Networks, by their fingerprints.
#[utoipa::path(get, path = "/api/networks", tag = "fleet", operation_id = "list_networks",
    params(("site" = Option<String>, Query, description = "only of this site")),
    responses(
        (status = 200, description = "the networks", body = NetworkList),
        (status = 400, description = "bad query", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "no fleet is kept here, or its database cannot be reached", body = ProblemBody, content_type = "application/problem+json"),
    ))]
pub(super) async fn networks(State(shared): App, RawQuery(query): RawQuery) -> Result<Response, Problem> {
    let query = Query::parse(query.as_deref(), &["site"])?;
    let networks = shared.fleet()?.fleet.networks(query.text("site")).await;
    answer(&NetworkList::from(networks.map_err(Problem::of_fleet)?))
}

/// Sites, networks, agents and things, and what belongs to what.
#[utoipa::path(get, path = "/api/topology", tag = "fleet", operation_id = "topology",
    params(("site" = Option<String>, Query, description = "only of this site")),
    responses(
        (status = 200, description = "the picture", body = Topology),
        (status = 400, description = "bad query", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "no fleet is kept here, or its database cannot be reached", body = ProblemBody, content_type = "application/problem+json"),
    ))]
pub(super) async fn topology(State(shared): App, RawQuery(query): RawQuery) -> Result<Response, Problem> {
    let query = Query::parse(query.as_deref(), &["site"])?;
    let fleet = &shared.fleet()?.fleet;
    let picture = fleet.topology(query.text("site")).await;
    answer(&picture.map_err(Problem::of_fleet)?)
}

/// Certificates, those that end first first.
#[utoipa::path(get, path = "/api/certificates", tag = "fleet", operation_id = "list_certificates",
    params(
        ("site" = Option<String>, Query, description = "only of this site"),
        ("expiring_within" = Option<f64>, Query, description = "only those that end within so many seconds, expired ones included"),
        ("limit" = Option<u32>, Query, description = "1 to 1,000; 200 when absent"),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before"),
    ),
    responses(
        (status = 200, description = "the certificates", body = CertificatePage),
        (status = 400, description = "bad query", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "no fleet is kept here, or its database cannot be reached", body = ProblemBody, content_type = "application/problem+json"),
    ))]
pub(super) async fn certificates(State(shared): App, RawQuery(query): RawQuery) -> Result<Response, Problem> {
    let query = Query::parse(query.as_deref(), &["site", "expiring_within", "limit", "cursor"])?;
    let ask = CertificateQuery {
        site: query.owned("site"),
        expiring_within: query.seconds("expiring_within", LONGEST)?,
        limit: Some(query.count("limit", MOST)?.unwrap_or(SOME)),
        cursor: query.owned("cursor"),
    };
    let page = shared.fleet()?.fleet.certificates(ask, Timestamp::now()).await;
    answer(&CertificatePage::from(page.map_err(Problem::of_fleet)?))
}

/// A hundred years.
const LONGEST: std::time::Duration = std::time::Duration::from_secs(100 * 366 * 86_400);

/// Findings, the worst first.
#[utoipa::path(get, path = "/api/shield-findings", tag = "fleet", operation_id = "list_findings",
    params(
        ("site" = Option<String>, Query, description = "only of this site"),
        ("severity" = Option<Severity>, Query, description = "only those at least as bad"),
        ("status" = Option<FindingStatus>, Query, description = "only those"),
        ("module" = Option<String>, Query, description = "only of this module"),
        ("limit" = Option<u32>, Query, description = "1 to 1,000; 200 when absent"),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before"),
    ),
    responses(
        (status = 200, description = "the findings", body = FindingPage),
        (status = 400, description = "bad query", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "no fleet is kept here, or its database cannot be reached", body = ProblemBody, content_type = "application/problem+json"),
    ))]
pub(super) async fn findings(State(shared): App, RawQuery(query): RawQuery) -> Result<Response, Problem> {
    let query = Query::parse(
        query.as_deref(),
        &["site", "severity", "status", "module", "limit", "cursor"],
    )?;
    let page = shared.fleet()?.fleet.findings(finding_query(&query)?).await;
    answer(&FindingPage::from(page.map_err(Problem::of_fleet)?))
}

/// What of a query is about findings.
pub(super) fn finding_query(query: &Query) -> Result<FindingQuery, Problem> {
    let severity = match query.text("severity") {
        None => None,
        Some(text) => Some(severity(text)?),
    };
    Ok(FindingQuery {
        site: query.owned("site"),
        severity,
        status: query.word("status", "open, fixed, accepted or false_positive")?,
        module: query.owned("module"),
        limit: Some(query.count("limit", MOST)?.unwrap_or(SOME)),
        cursor: query.owned("cursor"),
    })
}

fn severity(text: &str) -> Result<Severity, Problem> {
    let found = Severity::of(text);
    // what is not known reads as `info` where agents say it; here it is a mistake
    if found == Severity::Info && !text.eq_ignore_ascii_case("info") {
        let detail = format!("severity is `{text}`, give info, low, medium, high or critical");
        return Err(Problem::bad_request(detail));
    }
    Ok(found)
}

/// An operator's word on a finding: it is lived with, it is none, or it is open again. That it is fixed only a check can say.
#[utoipa::path(patch, path = "/api/v1/findings/{name}", tag = "fleet", operation_id = "update_finding", request_body = FindingUpdate,
    params(("name" = String, Path, description = "the finding's id")),
    responses(
        (status = 200, description = "noted", body = FindingView),
        (status = 400, description = "bad body", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "no such finding", body = ProblemBody, content_type = "application/problem+json"),
        (status = 408, description = "the body came too slowly", body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "it is fixed", body = ProblemBody, content_type = "application/problem+json"),
        (status = 413, description = "the body is too big", body = ProblemBody, content_type = "application/problem+json"),
        (status = 415, description = "the body is no JSON", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "no fleet is kept here, or its database cannot be reached", body = ProblemBody, content_type = "application/problem+json"),
    ))]
pub(super) async fn update_finding(
    State(shared): App,
    Extension(visitor): Extension<Visitor>,
    TextPath(id): TextPath,
    Json(ask): Json<FindingUpdate>,
) -> Result<Response, Problem> {
    let room = shared.fleet()?;
    let updated = room.done(visitor.name, visitor.peer, |room, by| async move {
        room.fleet.update_finding(&id, ask, &by, Timestamp::now()).await
    });
    answer(&updated.await?)
}
