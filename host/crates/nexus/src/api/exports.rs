//! The same for other tools: findings as SARIF and OCSF, things as CSV and JSON.

use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use http::HeaderValue;
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use venom_fleet::{AssetQuery, FindingQuery, Fleet, export};
use venom_protocol::{AssetView, FindingStatus, FindingView, Severity};

use super::App;
use super::body::TextPath;
use super::problem::{Problem, ProblemBody};
use super::query::Query;
use super::sites::{MOST, finding_query};

/// Entries of one export: they are put together in memory.
const MOST_EXPORTED: u64 = 100_000;
/// Entries that are asked for at one time.
const PAGE: u32 = MOST as u32;

/// Everything at once, for other tools: `findings.sarif` (SARIF 2.1.0), `findings.ocsf` (OCSF, one event a line), `assets.csv`, `assets.json`.
#[utoipa::path(get, path = "/api/v1/export/{name}", tag = "fleet", operation_id = "export",
    params(
        ("name" = String, Path, description = "`findings.sarif`, `findings.ocsf`, `assets.csv` or `assets.json`"),
        ("site" = Option<String>, Query, description = "only of this site"),
        ("severity" = Option<Severity>, Query, description = "findings: only those at least as bad"),
        ("status" = Option<FindingStatus>, Query, description = "findings: only those; open ones when absent"),
        ("module" = Option<String>, Query, description = "findings: only of this module"),
    ),
    responses(
        (status = 200, description = "the file", body = String, content_type = "application/octet-stream"),
        (status = 400, description = "bad query", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "no such export", body = ProblemBody, content_type = "application/problem+json"),
        (status = 413, description = "too much for one file: ask site by site", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "no fleet is kept here, or its database cannot be reached", body = ProblemBody, content_type = "application/problem+json"),
    ))]
pub(super) async fn export(
    State(shared): App,
    TextPath(name): TextPath,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let fleet = &shared.fleet()?.fleet;
    match name.as_str() {
        "findings.sarif" => {
            let log = export::sarif(&findings(fleet, query.as_deref()).await?);
            file(&name, "application/sarif+json", text(&log)?)
        }
        "findings.ocsf" => {
            let mut lines = String::new();
            for event in export::ocsf(&findings(fleet, query.as_deref()).await?) {
                lines.push_str(&text(&event)?);
                lines.push('\n');
            }
            file(&name, "application/x-ndjson", lines)
        }
        "assets.csv" => {
            let assets = assets(fleet, query.as_deref()).await?;
            file(&name, "text/csv; charset=utf-8", export::assets_csv(&assets))
        }
        "assets.json" => {
            let assets = assets(fleet, query.as_deref()).await?;
            file(&name, "application/json", text(&assets)?)
        }
        other => {
            let other: String = other.chars().take(64).collect();
            let known = "findings.sarif, findings.ocsf, assets.csv, assets.json";
            Err(Problem::no_export(format!(
                "there is no export `{other}`; there are {known}"
            )))
        }
    }
}

async fn findings(fleet: &Fleet, query: Option<&str>) -> Result<Vec<FindingView>, Problem> {
    let query = Query::parse(query, &["site", "severity", "status", "module"])?;
    let asked = finding_query(&query)?;
    let mut ask = FindingQuery {
        status: asked.status.or(Some(FindingStatus::Open)),
        limit: Some(PAGE),
        ..asked
    };
    let mut all = Vec::new();
    loop {
        let page = fleet.findings(ask.clone()).await.map_err(Problem::of_fleet)?;
        not_too_many(page.total)?;
        all.extend(page.items);
        match page.next_cursor {
            Some(next) => ask.cursor = Some(next),
            None => return Ok(all),
        }
    }
}

async fn assets(fleet: &Fleet, query: Option<&str>) -> Result<Vec<AssetView>, Problem> {
    let query = Query::parse(query, &["site"])?;
    let mut ask = AssetQuery {
        site: query.owned("site"),
        limit: Some(PAGE),
        ..AssetQuery::default()
    };
    let mut all = Vec::new();
    loop {
        let page = fleet.assets(ask.clone()).await.map_err(Problem::of_fleet)?;
        not_too_many(page.total)?;
        all.extend(page.items);
        match page.next_cursor {
            Some(next) => ask.cursor = Some(next),
            None => return Ok(all),
        }
    }
}

fn not_too_many(total: u64) -> Result<(), Problem> {
    if total <= MOST_EXPORTED {
        return Ok(());
    }
    Err(Problem::too_much(format!(
        "there are {total} entries, one file holds {MOST_EXPORTED}; ask site by site with `?site=`"
    )))
}

fn text(value: &impl serde::Serialize) -> Result<String, Problem> {
    serde_json::to_string(value).map_err(|error| Problem::internal(error.to_string()))
}

fn file(name: &str, kind: &'static str, content: String) -> Result<Response, Problem> {
    let mut response = Response::new(Body::from(content));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    let disposition = HeaderValue::try_from(format!("attachment; filename=\"{name}\""));
    headers.insert(
        CONTENT_DISPOSITION,
        disposition.map_err(|error| Problem::internal(error.to_string()))?,
    );
    Ok(response)
}
