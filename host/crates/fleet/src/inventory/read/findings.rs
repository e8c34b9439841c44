//! Findings, the worst first; and an operator's word on one.

use sqlx::AnyPool;
use venom_protocol::{AssetView, FindingStatus, FindingUpdate, FindingView, Page, Severity, Timestamp};

use super::Listing;
use crate::inventory::finding::{self, Happening};
use crate::inventory::store::findings::{self as store, weight};
use crate::inventory::store::{Columns, Place, Statement};
use crate::inventory::{clean, events, report};
use crate::{Fleet, FleetError, Outcome, cursor};

/// The longest reason, in bytes.
const MAX_REASON: usize = 1_000;

/// Which findings are asked for.
#[derive(Debug, Clone, Default)]
pub struct FindingQuery {
    /// Of this site.
    pub site: Option<String>,
    /// This bad or worse.
    pub severity: Option<Severity>,
    /// That stand there.
    pub status: Option<FindingStatus>,
    /// Of this module.
    pub module: Option<String>,
    /// On one page: 1,000, at most 5,000.
    pub limit: Option<u32>,
    /// Where the page begins.
    pub cursor: Option<String>,
}

/// What is read beside it.
const ALSO: &str = ", site_name, network";

impl Fleet {
    /// Findings, the worst first, and of those the newest.
    ///
    /// # Errors
    /// The cursor is none of this list, or the database failed.
    pub async fn findings(&self, ask: FindingQuery) -> Result<Page<FindingView>, FleetError> {
        let after = ask.cursor.as_deref().map(cursor::decode::<(i64, String)>).transpose()?;
        let matching = |statement: Statement| {
            statement
                .then(" FROM findings WHERE 1 = 1")
                .and_text("site_name = ", ask.site.as_deref())
                .and("severity >= ", ask.severity.map(weight))
                .and_text("status = ", ask.status.map(FindingStatus::as_str))
                .and_text("module = ", ask.module.as_deref())
        };
        let later = |statement: Statement| {
            let (weight, id) = after.clone().unwrap_or_default();
            statement
                .then(" AND (severity, id) < (")
                .value(weight)
                .then(", ")
                .text(&id)
                .then(")")
        };
        let listing = Listing {
            columns: (store::COLUMNS, ALSO),
            matching: &matching,
            after: after
                .is_some()
                .then_some(&later as &(dyn Fn(Statement) -> Statement + Sync)),
            order: " ORDER BY severity DESC, id DESC",
            limit: ask.limit,
            read,
        };
        listing
            .page(self.database().read(), |finding| {
                (weight(finding.severity), finding.id.clone())
            })
            .await
    }

    /// An operator's word on a finding.
    ///
    /// # Errors
    /// `Unknown`: there is none with this id; `Invalid`: only a check can say that one is fixed, or the reason is too long.
    pub async fn update_finding(
        &self,
        id: &str,
        ask: FindingUpdate,
        by: &str,
        now: Timestamp,
    ) -> Result<Outcome<FindingView>, FleetError> {
        if ask.reason.len() > MAX_REASON {
            return Err(FleetError::Invalid(format!(
                "`reason` is longer than {MAX_REASON} bytes"
            )));
        }
        let unknown = || FleetError::Unknown(format!("there is no finding `{}`", clean::line(id, clean::NAME)));
        // twice: the site is the room of all that writes about it, and it is only known from the finding
        let select = Statement::new("SELECT site_name FROM findings WHERE id = ").text(id);
        let site = select
            .first(self.database().read(), |mut columns| columns.text())
            .await?;
        let mut writing = self
            .database()
            .write_alone(&format!("site:{}", site.ok_or_else(unknown)?))
            .await?;
        let (place, mut known) = store::one(&mut writing, id).await?.ok_or_else(unknown)?;
        let (status, turn) = finding::next(known.status, Happening::Said(ask.status)).map_err(|_| {
            FleetError::Invalid(
                "`status` is `open`, `accepted` or `false_positive`; that it is fixed only a check can say".to_owned(),
            )
        })?;
        known.status = status;
        known.reason = Some(clean::lines(&ask.reason, MAX_REASON)).filter(|reason| !reason.is_empty());
        known.changed_by = clean::line(by, clean::NAME);
        if turn.is_some() {
            known.changed_at = now;
        }
        store::write(&mut writing, &place, std::slice::from_ref(&known)).await?;
        writing.commit().await?;
        let events = turn.map(|turn| events::of_finding(&place, &known, turn, None, now));
        let answer = view(known, place.site, place.network);
        Ok(Outcome {
            answer,
            events: events.into_iter().collect(),
        })
    }
}

/// Those on the asset's address, the worst first.
pub(super) async fn of_asset(pool: &AnyPool, asset: &AssetView, most: u32) -> Result<Vec<FindingView>, FleetError> {
    let place = Place::of(asset.site_name.clone(), asset.network.clone());
    let select = Statement::new("SELECT ")
        .then(store::COLUMNS)
        .then(ALSO)
        .then(" FROM findings WHERE place_key = ")
        .value(place.key_at_text(&asset.ip))
        .then(" ORDER BY severity DESC, id DESC LIMIT ")
        .value(i64::from(most));
    select.all(pool, |mut columns| read(&mut columns)).await
}

fn read(columns: &mut Columns<'_>) -> Result<FindingView, FleetError> {
    let finding = store::read(columns)?;
    Ok(view(finding, columns.text()?, columns.text()?))
}

fn view(finding: report::Finding, site_name: String, network: String) -> FindingView {
    let (key, said) = (finding.key, finding.said);
    FindingView {
        id: finding.id,
        site_name,
        network,
        module: said.module,
        check_id: key.check_id,
        severity: said.severity,
        title: said.title,
        detail: said.detail,
        target_ip: Some(key.target_ip).filter(|ip| !ip.is_empty()),
        port: Some(key.port).filter(|port| *port != 0),
        remediation: said.remediation,
        status: finding.status,
        first_seen: finding.first_seen,
        last_seen: finding.last_seen,
        changed_at: finding.changed_at,
        changed_by: finding.changed_by,
        reason: finding.reason,
        agent_id: finding.agent,
        extra: said.extra,
    }
}
