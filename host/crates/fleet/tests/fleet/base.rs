//! A database of a test's own, and looks behind the fleet's back.

use std::fmt::Write as _;

use sqlx::any::{AnyConnectOptions, install_default_drivers};
use sqlx::{AnyConnection, AnyPool, AssertSqlSafe, ConnectOptions as _, Row as _, ValueRef as _};
use venom_fleet::{Fleet, FleetSettings};
use venom_protocol::Timestamp;

use crate::postgres;

/// A database of a test's own.
pub(crate) struct Base {
    url: String,
    _directory: Option<tempfile::TempDir>,
}

impl Base {
    /// A file of SQLite.
    pub(crate) fn sqlite() -> Self {
        let directory = tempfile::tempdir().unwrap();
        Self {
            url: format!("sqlite:{}", directory.path().join("fleet.db").display()),
            _directory: Some(directory),
        }
    }

    /// A database of the PostgreSQL that all tests share.
    pub(crate) async fn postgres() -> Self {
        let name = format!("test_{}", uuid::Uuid::new_v4().simple());
        let mut connection = connect(&postgres::url("postgres")).await;
        run(&mut connection, format!("CREATE DATABASE {name}")).await;
        Self {
            url: postgres::url(&name),
            _directory: None,
        }
    }

    /// Its address.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Whether it is SQLite's.
    pub(crate) fn is_sqlite(&self) -> bool {
        self.url.starts_with("sqlite:")
    }

    /// A fleet on it that was told nothing.
    pub(crate) async fn open(&self) -> Fleet {
        self.open_with(FleetSettings::default()).await
    }

    /// A fleet on it; a second one on the same is another nexus.
    pub(crate) async fn open_with(&self, settings: FleetSettings) -> Fleet {
        Fleet::open(&self.url, settings).await.unwrap()
    }

    /// A connection that the fleet knows nothing of.
    pub(crate) async fn connect(&self) -> AnyConnection {
        connect(&self.url).await
    }

    /// Does something behind the fleet's back.
    pub(crate) async fn run(&self, sql: &str) {
        run(&mut self.connect().await, sql.to_owned()).await;
    }

    /// One number from the database, such as a count. It must be there.
    pub(crate) async fn number(&self, sql: &str) -> i64 {
        let mut connection = self.connect().await;
        sqlx::query_scalar(AssertSqlSafe(sql))
            .fetch_one(&mut connection)
            .await
            .unwrap()
    }

    /// Everything that is in all tables, as text.
    pub(crate) async fn everything(&self) -> String {
        let tables = if self.is_sqlite() {
            "SELECT name FROM sqlite_schema WHERE type = 'table'"
        } else {
            "SELECT CAST(tablename AS TEXT) FROM pg_tables WHERE schemaname = 'public'"
        };
        let pool = AnyPool::connect(&self.url).await.unwrap();
        let tables: Vec<String> = sqlx::query_scalar(tables).fetch_all(&pool).await.unwrap();
        let mut all = String::new();
        for table in tables.iter().filter(|table| !table.starts_with('_')) {
            let rows = format!("SELECT * FROM {table}");
            for row in sqlx::query(AssertSqlSafe(rows)).fetch_all(&pool).await.unwrap() {
                write!(all, "{table}:").unwrap();
                for column in 0..row.len() {
                    let text = row.try_get::<String, _>(column);
                    let number = row.try_get::<i64, _>(column).map(|number| number.to_string());
                    let is_null = row.try_get_raw(column).unwrap().is_null();
                    let other = if is_null { "-" } else { "?" };
                    write!(all, " {}", text.or(number).unwrap_or_else(|_| other.to_owned())).unwrap();
                }
                all.push('\n');
            }
        }
        pool.close().await;
        all
    }

    /// From now on counts how many rows of `table` are updated: [`Base::updates`].
    pub(crate) async fn count_updates(&self, table: &str) {
        let mut connection = self.connect().await;
        run(&mut connection, "CREATE TABLE counted (one BIGINT NOT NULL)".to_owned()).await;
        let count = "INSERT INTO counted VALUES (1)";
        if self.is_sqlite() {
            let trigger = format!("CREATE TRIGGER counting AFTER UPDATE ON {table} BEGIN {count}; END");
            run(&mut connection, trigger).await;
        } else {
            let body = format!("BEGIN {count}; RETURN NULL; END");
            let function = format!("CREATE FUNCTION counting() RETURNS trigger LANGUAGE plpgsql AS '{body}'");
            run(&mut connection, function).await;
            let trigger =
                format!("CREATE TRIGGER counting AFTER UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION counting()");
            run(&mut connection, trigger).await;
        }
    }

    /// How many rows were updated since [`Base::count_updates`].
    pub(crate) async fn updates(&self) -> i64 {
        self.number("SELECT COUNT(*) FROM counted").await
    }
}

async fn connect(url: &str) -> AnyConnection {
    install_default_drivers();
    let options: AnyConnectOptions = url.parse().unwrap();
    options.connect().await.unwrap()
}

async fn run(connection: &mut AnyConnection, sql: String) {
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await.unwrap();
}

/// So many seconds into the time of the tests, 2026-03-01 12:00 UTC.
pub(crate) fn at(seconds: i64) -> Timestamp {
    let noon = Timestamp::parse("2026-03-01T12:00:00Z").unwrap();
    Timestamp(noon.0 + jiff::SignedDuration::from_secs(seconds))
}
