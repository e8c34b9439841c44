//! Statements that are put together piece by piece, and rows read column by column.

use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::any::{AnyArguments, AnyRow};
use sqlx::{Any, Arguments as _, AssertSqlSafe, Encode, Executor, Row as _, Type};
use venom_protocol::Timestamp;

use crate::FleetError;
use crate::database::{self, timestamp};
use crate::text::without_nul;

/// Placeholders of one statement: `SQLite` looks each one up by its name, one after the other.
const MAX_PLACEHOLDERS: usize = 320;

/// A statement and its values. Text from outside only ever becomes a value.
#[derive(Default)]
pub(crate) struct Statement {
    text: String,
    values: AnyArguments,
    /// Whether its text depends on how much there is.
    is_long: bool,
    wrong: Option<sqlx::error::BoxDynError>,
}

impl Statement {
    pub(crate) fn new(text: &'static str) -> Self {
        Self::default().then(text)
    }

    /// Goes on with this text.
    pub(crate) fn then(mut self, text: &'static str) -> Self {
        self.text.push_str(text);
        self
    }

    /// Goes on with a placeholder for this value.
    pub(crate) fn value(mut self, value: impl for<'q> Encode<'q, Any> + Type<Any>) -> Self {
        self.bind(value);
        self.text.push('$');
        self.text.push_str(&self.values.len().to_string());
        self
    }

    /// Goes on with a placeholder for a text from outside.
    pub(crate) fn text(self, text: &str) -> Self {
        self.value(without_nul(text))
    }

    /// Goes on with ` AND what` and a placeholder for a text from outside, when there is one.
    pub(crate) fn and_text(self, what: &'static str, text: Option<&str>) -> Self {
        match text {
            Some(text) => self.then(" AND ").then(what).text(text),
            None => self,
        }
    }

    /// Goes on with ` AND text` and a placeholder, when there is a value.
    pub(crate) fn and(self, text: &'static str, value: Option<impl for<'q> Encode<'q, Any> + Type<Any>>) -> Self {
        match value {
            Some(value) => self.then(" AND ").then(text).value(value),
            None => self,
        }
    }

    /// Goes on with `(a, b, c)`.
    pub(crate) fn list(mut self, values: &[String]) -> Self {
        self.is_long = true;
        for (number, value) in values.iter().enumerate() {
            self = self.then(if number == 0 { "(" } else { ", " }).value(value.clone());
        }
        self.then(")")
    }

    /// Goes on with placeholders of so many rows; their values are to be bound next.
    pub(crate) fn rows(mut self, rows: usize, columns: usize) -> Self {
        self.is_long |= rows > 1;
        self.text
            .push_str(&database::rows(self.values.len() + 1, rows, columns));
        self
    }

    /// The value of the next placeholder.
    pub(crate) fn bind(&mut self, value: impl for<'q> Encode<'q, Any> + Type<Any>) -> &mut Self {
        if let Err(error) = self.values.add(value) {
            self.wrong.get_or_insert(error);
        }
        self
    }

    fn ready(self) -> Result<sqlx::query::Query<'static, Any, AnyArguments>, FleetError> {
        match self.wrong {
            Some(error) => Err(sqlx::Error::Encode(error).into()),
            // to keep one prepared for each length would fill the cache
            None => Ok(sqlx::query_with(AssertSqlSafe(self.text), self.values).persistent(!self.is_long)),
        }
    }

    /// Does it; how many rows it touched.
    pub(crate) async fn execute<'c>(self, on: impl Executor<'c, Database = Any>) -> Result<u64, FleetError> {
        Ok(self.ready()?.execute(on).await?.rows_affected())
    }

    /// All rows.
    pub(crate) async fn all<'c, T>(
        self,
        on: impl Executor<'c, Database = Any>,
        read: impl Fn(Columns<'_>) -> Result<T, FleetError>,
    ) -> Result<Vec<T>, FleetError> {
        let rows = self.ready()?.fetch_all(on).await?;
        rows.iter().map(|row| read(Columns::of(row))).collect()
    }

    /// The first row, when there is one.
    pub(crate) async fn first<'c, T>(
        self,
        on: impl Executor<'c, Database = Any>,
        read: impl Fn(Columns<'_>) -> Result<T, FleetError>,
    ) -> Result<Option<T>, FleetError> {
        let row = self.ready()?.fetch_optional(on).await?;
        row.as_ref().map(|row| read(Columns::of(row))).transpose()
    }

    /// The only number of the only row.
    pub(crate) async fn count<'c>(self, on: impl Executor<'c, Database = Any>) -> Result<u64, FleetError> {
        let count = self.first(on, |mut columns| columns.number()).await?;
        Ok(count.map_or(0, |count| u64::try_from(count).unwrap_or(0)))
    }
}

/// How many rows of so many columns go into one statement.
pub(crate) const fn rows_at_once(columns: usize) -> usize {
    MAX_PLACEHOLDERS / columns
}

/// How many values go into one list.
pub(crate) const LIST_AT_ONCE: usize = MAX_PLACEHOLDERS / 4;

/// The columns of a row, from left to right.
pub(crate) struct Columns<'r> {
    row: &'r AnyRow,
    next: usize,
}

impl<'r> Columns<'r> {
    const fn of(row: &'r AnyRow) -> Self {
        Self { row, next: 0 }
    }

    fn place(&mut self) -> usize {
        self.next += 1;
        self.next - 1
    }

    pub(crate) fn text(&mut self) -> Result<String, FleetError> {
        let place = self.place();
        Ok(self.row.try_get(place)?)
    }

    /// A text that is empty when it is not known.
    pub(crate) fn maybe(&mut self) -> Result<Option<String>, FleetError> {
        Ok(Some(self.text()?).filter(|text| !text.is_empty()))
    }

    /// A text that may be absent.
    pub(crate) fn nullable(&mut self) -> Result<Option<String>, FleetError> {
        let place = self.place();
        Ok(self.row.try_get(place)?)
    }

    pub(crate) fn number(&mut self) -> Result<i64, FleetError> {
        let place = self.place();
        Ok(self.row.try_get(place)?)
    }

    pub(crate) fn count(&mut self) -> Result<u64, FleetError> {
        Ok(u64::try_from(self.number()?).unwrap_or(0))
    }

    pub(crate) fn flag(&mut self) -> Result<bool, FleetError> {
        Ok(self.number()? != 0)
    }

    pub(crate) fn time(&mut self) -> Result<Timestamp, FleetError> {
        timestamp(self.number()?)
    }

    pub(crate) fn maybe_time(&mut self) -> Result<Option<Timestamp>, FleetError> {
        let place = self.place();
        let micros: Option<i64> = self.row.try_get(place)?;
        micros.map(timestamp).transpose()
    }

    /// Text of what has a form of its own.
    pub(crate) fn parsed<T: std::str::FromStr>(&mut self) -> Result<T, FleetError> {
        let text = self.text()?;
        text.parse()
            .map_err(|_| FleetError::Corrupt(format!("`{text}` is no {}", std::any::type_name::<T>())))
    }

    pub(crate) fn json<T: DeserializeOwned>(&mut self) -> Result<T, FleetError> {
        serde_json::from_str(&self.text()?).map_err(|error| FleetError::Corrupt(error.to_string()))
    }
}

/// As JSON text.
pub(crate) fn json(value: &impl Serialize) -> Result<String, FleetError> {
    serde_json::to_string(value).map_err(|error| FleetError::Corrupt(error.to_string()))
}

/// The pattern of `LIKE … ESCAPE '!'` that finds `text` anywhere.
pub(crate) fn like(text: &str) -> String {
    let mut pattern = String::from("%");
    for letter in text.chars().filter(|letter| *letter != '\0') {
        if matches!(letter, '%' | '_' | '!') {
            pattern.push('!');
        }
        pattern.push(letter);
    }
    pattern.push('%');
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_searched_for_is_no_pattern() {
        assert_eq!(like("50%_!\0"), "%50!%!_!!%");
    }

    #[test]
    fn placeholders_are_numbered_in_their_order() {
        let statement = Statement::new("SELECT ")
            .value(1_i64)
            .and("a = ", None::<i64>)
            .and("b = ", Some("x".to_owned()))
            .then(" AND c IN ")
            .list(&["y".into(), "z".into()])
            .rows(1, 2);
        assert_eq!(statement.text, "SELECT $1 AND b = $2 AND c IN ($3, $4)($5, $6)");
    }
}
