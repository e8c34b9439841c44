//! Findings, written and read for writing.

use std::collections::BTreeMap;

use sqlx::{Any, Transaction};
use venom_protocol::{FindingStatus, Severity};

use super::statement::{LIST_AT_ONCE, rows_at_once};
use super::{Columns, Place, Statement, json};
use crate::FleetError;
use crate::database::micros;
use crate::inventory::report::{Finding, FindingKey, Ran, Report, Said};

/// What [`read`] reads.
pub(crate) const COLUMNS: &str = "id, target_ip, port, check_id, module, target, severity, title, detail, remediation, extra, \
                                  status, first_seen, last_seen, changed_at, changed_by, reason, agent_id";

/// One finding from [`COLUMNS`].
pub(crate) fn read(columns: &mut Columns<'_>) -> Result<Finding, FleetError> {
    Ok(Finding {
        id: columns.text()?,
        key: FindingKey {
            target_ip: columns.text()?,
            port: u16::try_from(columns.number()?).unwrap_or_default(),
            check_id: columns.text()?,
        },
        said: Said {
            module: columns.text()?,
            target: columns.text()?,
            severity: severity(columns.number()?),
            title: columns.text()?,
            detail: columns.text()?,
            remediation: columns.text()?,
            extra: columns.json()?,
        },
        status: status(&columns.text()?)?,
        first_seen: columns.time()?,
        last_seen: columns.time()?,
        changed_at: columns.time()?,
        changed_by: columns.text()?,
        reason: columns.maybe()?,
        agent: columns.parsed()?,
    })
}

/// The severities by weight.
const SEVERITIES: [Severity; 5] = [
    Severity::Info,
    Severity::Low,
    Severity::Medium,
    Severity::High,
    Severity::Critical,
];

/// As it is kept, so that it sorts.
pub(crate) fn weight(severity: Severity) -> i64 {
    let place = SEVERITIES.iter().position(|known| *known == severity);
    place.and_then(|place| i64::try_from(place).ok()).unwrap_or(0)
}

fn severity(weight: i64) -> Severity {
    let place = usize::try_from(weight).unwrap_or(0);
    SEVERITIES.get(place).copied().unwrap_or(Severity::Info)
}

fn status(text: &str) -> Result<FindingStatus, FleetError> {
    use FindingStatus::{Accepted, FalsePositive, Fixed, Open};
    [Open, Fixed, Accepted, FalsePositive]
        .into_iter()
        .find(|status| status.as_str() == text)
        .ok_or_else(|| FleetError::Corrupt(format!("`{text}` is no status of a finding")))
}

/// All of the place that a report may be about: those at its places, and the open ones in its target.
pub(crate) async fn about(
    writing: &mut Transaction<'static, Any>,
    place: &Place,
    report: &Report,
) -> Result<Vec<Finding>, FleetError> {
    let mut known = BTreeMap::new();
    let keys: Vec<String> = report.places().iter().map(|ip| place.key_at_text(ip)).collect();
    let mut selects: Vec<Statement> = keys
        .chunks(LIST_AT_ONCE)
        .map(|keys| select().then("place_key IN ").list(keys))
        .collect();
    if matches!(report.ran, Ran::Modules(_)) {
        let open = |(first, last)| {
            let between = select()
                .then("place_key >= ")
                .value(first)
                .then(" AND place_key <= ")
                .value(last);
            between.then(" AND status = 'open'")
        };
        selects.extend(report.target.range.map(|range| open(place.keys(range))));
        // those that are nowhere in particular
        let of_target = open(place.keys_of_names()).then(" AND target = ");
        selects.push(of_target.value(report.target.text.clone()));
    }
    for select in selects {
        let found = select.all(&mut **writing, |mut columns| read(&mut columns)).await?;
        known.extend(found.into_iter().map(|finding| (finding.id.clone(), finding)));
    }
    Ok(known.into_values().collect())
}

fn select() -> Statement {
    Statement::new("SELECT ").then(COLUMNS).then(" FROM findings WHERE ")
}

/// How many a site has.
pub(crate) async fn count(writing: &mut Transaction<'static, Any>, site: &str) -> Result<u64, FleetError> {
    let count = Statement::new("SELECT COUNT(*) FROM findings WHERE site_name = ").value(site.to_owned());
    count.count(&mut **writing).await
}

/// One by its id, with where it is.
pub(crate) async fn one(
    writing: &mut Transaction<'static, Any>,
    id: &str,
) -> Result<Option<(Place, Finding)>, FleetError> {
    let select = Statement::new("SELECT site_name, network, ")
        .then(COLUMNS)
        .then(" FROM findings WHERE id = ")
        .value(id.to_owned());
    select
        .first(&mut **writing, |mut columns| {
            let place = Place::of(columns.text()?, columns.text()?);
            Ok((place, read(&mut columns)?))
        })
        .await
}

/// Writes them, whether they were there or not.
pub(crate) async fn write(
    writing: &mut Transaction<'static, Any>,
    place: &Place,
    findings: &[Finding],
) -> Result<(), FleetError> {
    const WRITTEN: usize = 21;
    for findings in findings.chunks(rows_at_once(WRITTEN)) {
        let mut insert = Statement::new(
            "INSERT INTO findings (id, site_name, network, target_ip, place_key, port, check_id, module, target, severity, title, \
             detail, remediation, extra, status, first_seen, last_seen, changed_at, changed_by, reason, agent_id) VALUES ",
        )
        .rows(findings.len(), WRITTEN)
        .then(
            " ON CONFLICT (id) DO UPDATE SET module = excluded.module, target = excluded.target, severity = excluded.severity, \
             title = excluded.title, detail = excluded.detail, remediation = excluded.remediation, extra = excluded.extra, \
             status = excluded.status, last_seen = excluded.last_seen, changed_at = excluded.changed_at, \
             changed_by = excluded.changed_by, reason = excluded.reason, agent_id = excluded.agent_id",
        );
        for finding in findings {
            let (key, said) = (&finding.key, &finding.said);
            insert
                .bind(finding.id.clone())
                .bind(place.site.clone())
                .bind(place.network.clone())
                .bind(key.target_ip.clone())
                .bind(place.key_at_text(&key.target_ip))
                .bind(i64::from(key.port))
                .bind(key.check_id.clone())
                .bind(said.module.clone())
                .bind(said.target.clone())
                .bind(weight(said.severity))
                .bind(said.title.clone())
                .bind(said.detail.clone())
                .bind(said.remediation.clone())
                .bind(json(&said.extra)?)
                .bind(finding.status.as_str().to_owned())
                .bind(micros(finding.first_seen))
                .bind(micros(finding.last_seen))
                .bind(micros(finding.changed_at))
                .bind(finding.changed_by.clone())
                .bind(finding.reason.clone().unwrap_or_default())
                .bind(finding.agent.to_string());
        }
        insert.execute(&mut **writing).await?;
    }
    Ok(())
}
