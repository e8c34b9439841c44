//! Why the fleet did not do something.

use std::time::Duration;

/// Why the fleet did not do something.
#[derive(Debug, thiserror::Error)]
pub enum FleetError {
    /// What was asked makes no sense as it is. Names the field.
    #[error("{0}")]
    Invalid(String),
    /// There is no such thing. Names it.
    #[error("{0}")]
    Unknown(String),
    /// The token that was shown opens nothing, or no longer.
    #[error("{0}")]
    Denied(String),
    /// The token is right, and this is not for it: the agent waits for approval, or the command is another agent's.
    #[error("{0}")]
    Forbidden(String),
    /// It is in a state in which this cannot be done.
    #[error("{0}")]
    Conflict(String),
    /// There is no room for more. Names the limit.
    #[error("{0}")]
    Full(String),
    /// The database cannot be reached or is busy; trying again may work.
    #[error("the fleet's database cannot be reached")]
    Unavailable(#[source] sqlx::Error),
    /// The database did not do what it was told.
    #[error("the fleet's database failed")]
    Database(#[source] sqlx::Error),
    /// The database is no fleet's, or of a newer Venom.
    #[error("the fleet's database cannot be used")]
    Migration(#[from] sqlx::migrate::MigrateError),
    /// What is in the database cannot be read.
    #[error("the fleet's database holds something unreadable: {0}")]
    Corrupt(String),
}

impl FleetError {
    /// Whether the same may succeed later.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }

    /// After how long trying again makes sense.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        if self.is_retryable() {
            Some(Duration::from_secs(1))
        } else {
            None
        }
    }
}

impl From<sqlx::Error> for FleetError {
    fn from(error: sqlx::Error) -> Self {
        let is_passing = match &error {
            sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => {
                true
            }
            // SQLite: busy, locked, full; PostgreSQL: connection trouble, shutdown, serialization, deadlock, too many clients
            sqlx::Error::Database(database) => database.code().is_some_and(|code| {
                matches!(
                    code.as_ref(),
                    "5" | "6" | "13" | "40001" | "40P01" | "53300" | "57P01" | "57P02" | "57P03"
                ) || code.starts_with("08")
            }),
            _ => false,
        };
        if is_passing {
            Self::Unavailable(error)
        } else {
            Self::Database(error)
        }
    }
}
