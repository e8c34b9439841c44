//! Enrolment tokens: made by operators, bound to a site, good for so many agents and so long.

use serde_json::json;
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row as _};
use uuid::Uuid;
use venom_protocol::{CreateEnrolment, EnrolmentView, Event, Timestamp};

use super::tokens::{hash, mint};
use crate::database::{micros, timestamp};
use crate::fleet::event;
use crate::stored::{from_json, json as to_json};
use crate::text::{NAME, line, name, without_nul};
use crate::{Fleet, FleetError, Outcome};

/// Agents that may enrol with one token.
const MOST_USES: u32 = 100_000;
/// For so long a token may be good: a year, in seconds.
const LONGEST: u64 = 366 * 86_400;
/// Tags one token may give.
const MOST_TAGS: usize = 64;
/// Enrolments that are listed.
const LISTED: i64 = 1_000;

/// What is read of an enrolment.
const COLUMNS: &str =
    "id, name, site_name, location, tags, uses, used, approval, created_at, created_by, expires_at, revoked_at";

impl Fleet {
    /// Makes an enrolment token. It is in the answer and nowhere else. `by`: name of the token it was asked for with.
    ///
    /// # Errors
    /// What was asked makes no sense; the database cannot be used.
    pub async fn create_enrolment(
        &self,
        ask: CreateEnrolment,
        by: &str,
        now: Timestamp,
    ) -> Result<Outcome<(String, EnrolmentView)>, FleetError> {
        let token = mint();
        let enrolment = checked(&ask, by, now)?;
        let insert = "INSERT INTO enrolments (id, token_hash, name, site_name, location, tags, uses, used, approval, created_at, \
                      created_by, expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7, 0, $8, $9, $10, $11)";
        let mut writing = self.database().write().await?;
        sqlx::query(insert)
            .bind(&enrolment.id)
            .bind(hash(&token))
            .bind(&enrolment.name)
            .bind(&enrolment.site_name)
            .bind(&enrolment.location)
            .bind(to_json(&enrolment.tags)?)
            .bind(i64::from(enrolment.uses))
            .bind(i64::from(enrolment.approval))
            .bind(micros(now))
            .bind(&enrolment.created_by)
            .bind(micros(enrolment.expires_at))
            .execute(&mut *writing)
            .await?;
        writing.commit().await?;
        let event = told("ENROLMENT_CREATED", "was made", &enrolment, by, now);
        Ok(Outcome::told((token, enrolment), event))
    }

    /// Enrolments, those first that still open, of each the newest first.
    ///
    /// # Errors
    /// The database cannot be used.
    pub async fn enrolments(&self, now: Timestamp) -> Result<Vec<EnrolmentView>, FleetError> {
        let select = format!(
            "SELECT {COLUMNS} FROM enrolments ORDER BY \
             CASE WHEN revoked_at IS NULL AND used < uses AND expires_at > $1 THEN 0 ELSE 1 END, created_at DESC, id DESC \
             LIMIT {LISTED}"
        );
        let rows = sqlx::query(sqlx::AssertSqlSafe(select))
            .bind(micros(now))
            .fetch_all(self.database().read())
            .await?;
        rows.iter().map(view).collect()
    }

    /// Withdraws an enrolment token: nobody gets in with it any more. Agents that did stay.
    ///
    /// # Errors
    /// There is none of that id; the database cannot be used.
    pub async fn revoke_enrolment(
        &self,
        id: &str,
        by: &str,
        now: Timestamp,
    ) -> Result<Outcome<EnrolmentView>, FleetError> {
        let id = without_nul(id);
        let id = id.as_str();
        let mut writing = self.database().write().await?;
        let revoke = sqlx::query("UPDATE enrolments SET revoked_at = $1 WHERE id = $2 AND revoked_at IS NULL");
        let revoked = revoke.bind(micros(now)).bind(id).execute(&mut *writing).await?;
        let select = format!("SELECT {COLUMNS} FROM enrolments WHERE id = $1");
        let row = sqlx::query(sqlx::AssertSqlSafe(select))
            .bind(id)
            .fetch_optional(&mut *writing)
            .await?;
        let row = row.ok_or_else(|| FleetError::Unknown(format!("there is no enrolment `{}`", line(id, NAME))))?;
        let enrolment = view(&row)?;
        writing.commit().await?;
        if revoked.rows_affected() == 0 {
            return Ok(Outcome::quiet(enrolment));
        }
        let event = told("ENROLMENT_REVOKED", "was withdrawn", &enrolment, by, now);
        Ok(Outcome::told(enrolment, event))
    }
}

/// The enrolment a token opens, when it is good for anything: there, in its time, not withdrawn. Whether it is used up is for
/// [`count_use`] to say: a lost reply is no use.
pub(super) async fn opened_by(
    writing: &mut AnyConnection,
    token: &str,
    now: Timestamp,
) -> Result<EnrolmentView, FleetError> {
    let select = format!("SELECT {COLUMNS} FROM enrolments WHERE token_hash = $1");
    let row = sqlx::query(sqlx::AssertSqlSafe(select))
        .bind(hash(token))
        .fetch_optional(writing)
        .await?;
    let row = row.ok_or_else(|| FleetError::Denied("this is no enrolment token".to_owned()))?;
    let enrolment = view(&row)?;
    if enrolment.revoked_at.is_some() {
        return Err(FleetError::Denied(
            "this enrolment token was withdrawn; ask for another".to_owned(),
        ));
    }
    if enrolment.expires_at <= now {
        let expired = enrolment.expires_at;
        return Err(FleetError::Denied(format!(
            "this enrolment token ended at {expired}; ask for another"
        )));
    }
    Ok(enrolment)
}

/// One more agent enrols.
pub(super) async fn count_use(writing: &mut AnyConnection, enrolment: &EnrolmentView) -> Result<(), FleetError> {
    let count =
        sqlx::query("UPDATE enrolments SET used = used + 1 WHERE id = $1 AND used < uses AND revoked_at IS NULL");
    let counted = count.bind(&enrolment.id).execute(writing).await?;
    if counted.rows_affected() == 1 {
        return Ok(());
    }
    let uses = enrolment.uses;
    Err(FleetError::Denied(format!(
        "this enrolment token was good for {uses} and is used up; ask for another"
    )))
}

fn checked(ask: &CreateEnrolment, by: &str, now: Timestamp) -> Result<EnrolmentView, FleetError> {
    let wrong = |text: String| Err(FleetError::Invalid(text));
    let Some(site_name) = name(Some(&ask.site_name)) else {
        return wrong("`site_name` is empty: say which site agents that enrol with this token belong to".to_owned());
    };
    if ask.uses == 0 || ask.uses > MOST_USES {
        return wrong(format!("`uses` is {}: it is from 1 to {MOST_USES}", ask.uses));
    }
    if ask.expires_in == 0 || ask.expires_in > LONGEST {
        return wrong(format!(
            "`expires_in` is {}: it is from 1 to {LONGEST} seconds",
            ask.expires_in
        ));
    }
    if ask.tags.len() > MOST_TAGS {
        return wrong(format!("`tags` has {} entries: at most {MOST_TAGS}", ask.tags.len()));
    }
    let length = i64::try_from(ask.expires_in)
        .unwrap_or(i64::MAX)
        .saturating_mul(1_000_000);
    Ok(EnrolmentView {
        // those made later sort later
        id: Uuid::now_v7().hyphenated().to_string(),
        name: line(&ask.name, NAME),
        site_name,
        location: name(ask.location.as_deref()),
        tags: ask.tags.iter().filter_map(|tag| name(Some(tag))).collect(),
        uses: ask.uses,
        used: 0,
        created_at: now,
        created_by: line(by, NAME),
        expires_at: timestamp(micros(now).saturating_add(length))?,
        revoked_at: None,
        approval: ask.approval,
    })
}

fn view(row: &AnyRow) -> Result<EnrolmentView, FleetError> {
    let count = |column: &str| -> Result<u32, FleetError> {
        let count: i64 = row.try_get(column)?;
        u32::try_from(count).map_err(|_| FleetError::Corrupt(format!("{column} is {count}")))
    };
    Ok(EnrolmentView {
        id: row.try_get("id")?,
        name: row.try_get("name")?,
        site_name: row.try_get("site_name")?,
        location: row.try_get("location")?,
        tags: from_json(row.try_get("tags")?, "tags")?,
        uses: count("uses")?,
        used: count("used")?,
        created_at: timestamp(row.try_get("created_at")?)?,
        created_by: row.try_get("created_by")?,
        expires_at: timestamp(row.try_get("expires_at")?)?,
        revoked_at: row
            .try_get::<Option<i64>, _>("revoked_at")?
            .map(timestamp)
            .transpose()?,
        approval: row.try_get::<i64, _>("approval")? != 0,
    })
}

fn told(kind: &str, what: &str, enrolment: &EnrolmentView, by: &str, now: Timestamp) -> Event {
    let data = json!({
        "enrolment_id": enrolment.id, "name": enrolment.name, "site_name": enrolment.site_name,
        "uses": enrolment.uses, "expires_at": enrolment.expires_at, "by": by,
    });
    let site = &enrolment.site_name;
    event(kind, format!("an enrolment token for {site} {what} by {by}"), data, now)
}
