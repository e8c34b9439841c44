//! Errors of SQLite, told as errors of a broker.

use rusqlite::{Error, ErrorCode, ffi};

use crate::BrokerError;

/// Why a step was not done.
#[derive(Debug)]
pub(super) enum Fault {
    /// Checked before anything was written: an answer like any other.
    Answer(BrokerError),
    /// The store failed: everything of the transaction is undone.
    Store(Error),
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Store(error)
    }
}

impl From<BrokerError> for Fault {
    fn from(error: BrokerError) -> Self {
        Self::Answer(error)
    }
}

/// Whether one record cannot be read, while the file as a whole can.
pub(super) const fn is_unreadable(error: &Error) -> bool {
    matches!(
        error,
        Error::FromSqlConversionFailure(..)
            | Error::IntegralValueOutOfRange(..)
            | Error::InvalidColumnType(..)
            | Error::Utf8Error(..)
    )
}

/// Tells an error of SQLite as one of a broker.
pub(super) fn told(place: &str, error: &Error) -> BrokerError {
    let broker = place.to_owned();
    if is_unreadable(error) {
        let what = "a record".to_owned();
        let why = error.to_string();
        return BrokerError::Corrupt { broker, what, why };
    }
    let Error::SqliteFailure(failure, text) = error else {
        let why = error.to_string();
        return BrokerError::Unavailable { broker, why };
    };
    let text = text.clone().unwrap_or_else(|| failure.to_string());
    match failure.code {
        ErrorCode::DiskFull => out_of_space(broker, text),
        ErrorCode::SystemIoFailure if failure.extended_code == ffi::SQLITE_IOERR_SHMSIZE => out_of_space(broker, text),
        ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => BrokerError::Corrupt {
            broker,
            what: "the file".to_owned(),
            why: format!("{text}; stop the nexus, and repair it with `sqlite3 FILE .recover` or move it away"),
        },
        ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::CannotOpen => BrokerError::Refused {
            broker,
            why: format!("{text}; the user that runs the nexus must be able to write the file and its directory"),
        },
        _ => BrokerError::Unavailable { broker, why: text },
    }
}

fn out_of_space(broker: String, text: String) -> BrokerError {
    let why = format!("{text}; free space on its disk, then it goes on by itself");
    BrokerError::OutOfSpace { broker, why }
}
