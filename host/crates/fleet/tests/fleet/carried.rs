//! What `sqlx::Any` carries to both back ends and back.

use sqlx::{AnyConnection, Row as _};

use venom_fleet::{Fleet, FleetError, FleetSettings};

use crate::admitted::admitted;
use crate::base::{Base, at};

on_both!(
    a_fleet_is_opened_twice,
    values_and_nulls_come_back,
    a_statement_of_many_rows_updates_from_values
);

async fn a_fleet_is_opened_twice(base: &Base) {
    let (first, second) = tokio::join!(base.open(), base.open());
    first.close().await;
    second.close().await;
    let third = base.open().await;
    third.close().await;
    let migrations = base.number("SELECT COUNT(*) FROM _sqlx_migrations").await;
    assert_eq!(migrations, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(no_postgres, ignore = "needs PostgreSQL (Debian: postgresql)")]
async fn connections_that_broke_are_made_again() {
    let base = Base::postgres().await;
    let fleet = base.open().await;
    let pass = admitted(&fleet, "a", "Berlin").await;
    let others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                  WHERE datname = current_database() AND pid <> pg_backend_pid()";
    base.run(others).await;
    // the first word on a broken connection may be lost, with an error that says to try again
    let mut tries = 0;
    while let Err(error) = fleet.heartbeat(&pass, Default::default(), at(1)).await {
        tries += 1;
        assert!(error.is_retryable() && tries < 10, "{error:?}");
    }
    assert_eq!(fleet.agent(&pass.agent_id).await.unwrap().last_seen, Some(at(1)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_not_there_is_named() {
    let settings = FleetSettings::default;
    let nowhere = Fleet::open("postgres:///none?host=/nonexistent&user=nobody", settings()).await;
    assert!(nowhere.as_ref().is_err_and(FleetError::is_retryable), "{nowhere:?}");
    let no_address = Fleet::open("mysql://localhost/fleet", settings()).await;
    assert!(matches!(no_address, Err(FleetError::Invalid(_))), "{no_address:?}");
}

async fn table(base: &Base) -> AnyConnection {
    if base.is_sqlite() {
        std::fs::File::create(base.url().strip_prefix("sqlite:").unwrap()).unwrap();
    }
    let mut connection = base.connect().await;
    sqlx::raw_sql("CREATE TABLE carried (id BIGINT PRIMARY KEY, words TEXT, number BIGINT, fraction DOUBLE PRECISION)")
        .execute(&mut connection)
        .await
        .unwrap();
    connection
}

async fn values_and_nulls_come_back(base: &Base) {
    let mut connection = table(base).await;
    let insert = "INSERT INTO carried (id, words, number, fraction) VALUES ($1, $2, $3, $4)";
    // the first use of a statement decides its types in PostgreSQL: so begin with what is absent
    for (id, value) in [(1_i64, None), (2, Some(0.1)), (3, None), (4, Some(1.0))] {
        let insert = sqlx::query(insert)
            .bind(id)
            .bind(value.map(|_: f64| "ä\"'€"))
            .bind(value.map(|_| i64::MAX));
        // sqlx 0.9 swaps the types of the two absent fractions on their way to PostgreSQL
        let insert = match value {
            Some(value) => insert.bind(value),
            None => insert.bind(None::<f32>),
        };
        insert.execute(&mut connection).await.unwrap();
    }
    let read = "SELECT words, number, fraction FROM carried ORDER BY id";
    let rows = sqlx::query(read).fetch_all(&mut connection).await.unwrap();
    let read: Vec<(Option<String>, Option<i64>, Option<f64>)> = rows
        .iter()
        .map(|row| (row.get(0), row.get(1), row.get("fraction")))
        .collect();
    let full = |fraction| (Some("ä\"'€".to_owned()), Some(i64::MAX), Some(fraction));
    assert_eq!(read, [(None, None, None), full(0.1), (None, None, None), full(1.0)]);
    let sum = "SELECT COUNT(*), CAST(SUM(id) AS BIGINT), MAX(number) FROM carried WHERE words IS NOT NULL";
    let row = sqlx::query(sum).fetch_one(&mut connection).await.unwrap();
    assert_eq!(
        (row.get::<i64, _>(0), row.get::<i64, _>(1), row.get(2)),
        (2, 6, i64::MAX)
    );
}

async fn a_statement_of_many_rows_updates_from_values(base: &Base) {
    let mut connection = table(base).await;
    let upsert = "INSERT INTO carried (id, number) VALUES ($1, $2), ($3, $4) \
                  ON CONFLICT (id) DO UPDATE SET number = carried.number + excluded.number RETURNING number";
    for expected in [[10, 20], [20, 40]] {
        let numbers: Vec<i64> = sqlx::query_scalar(upsert)
            .bind(1_i64)
            .bind(10_i64)
            .bind(2_i64)
            .bind(20_i64)
            .fetch_all(&mut connection)
            .await
            .unwrap();
        assert_eq!(numbers, expected);
    }
    let update =
        "UPDATE carried SET words = v.column2 FROM (VALUES ($1, $2), ($3, $4)) AS v WHERE carried.id = v.column1";
    let updated = sqlx::query(update)
        .bind(1_i64)
        .bind("one")
        .bind(3_i64)
        .bind(None::<String>)
        .execute(&mut connection)
        .await
        .unwrap();
    assert_eq!(updated.rows_affected(), 1);
}
