//! What errors of Redis mean to a hive, in words that say what to do.

use redis::{ErrorKind, RedisError, ServerErrorKind};

use crate::BrokerError;

/// The same as an error of the broker. Never shows more of it than Redis said, and Redis knows no password of ours.
pub(super) fn told(place: &str, error: &RedisError) -> BrokerError {
    let broker = place.to_owned();
    let said = said(error);
    let code = error.code().unwrap_or_default();
    match code {
        "OOM" => BrokerError::OutOfSpace {
            broker,
            why: "its memory limit is reached; raise maxmemory or wait until results expire".to_owned(),
        },
        "MISCONF" => BrokerError::OutOfSpace {
            broker,
            why: format!("it cannot write to its disk, so it takes no changes; free space there ({said})"),
        },
        "NOAUTH" | "WRONGPASS" => refused(
            broker,
            "user or password are wrong or missing; set them in the URL",
            &said,
        ),
        "NOPERM" => refused(
            broker,
            "its user lacks a right; give it all commands, the keys `~{name}*` and the channels `&name*`",
            &said,
        ),
        "LOADING" => unavailable(broker, "it is still loading its data; wait"),
        "BUSY" => unavailable(
            broker,
            "it is busy with a script of somebody; wait, or stop it with SCRIPT KILL",
        ),
        "READONLY" => unavailable(broker, "it is a replica that takes no changes; connect to the master"),
        "MASTERDOWN" | "CLUSTERDOWN" | "TRYAGAIN" | "NOREPLICAS" => unavailable(broker, &said),
        "MOVED" | "ASK" | "CROSSSLOT" => refused(
            broker,
            "it is a node of a cluster that does not have this hive's keys; connect to the node that has them",
            &said,
        ),
        "WRONGTYPE" => BrokerError::Corrupt {
            broker,
            what: "a key".to_owned(),
            why: said,
        },
        _ => by_kind(broker, error, &said),
    }
}

fn by_kind(broker: String, error: &RedisError, said: &str) -> BrokerError {
    match error.kind() {
        ErrorKind::AuthenticationFailed => refused(
            broker,
            "user or password are wrong or missing; set them in the URL",
            said,
        ),
        ErrorKind::InvalidClientConfig => refused(broker, "the settings cannot be used", said),
        ErrorKind::Server(_) | ErrorKind::Extension => refused(broker, "it does not do what was asked", said),
        _ if error.is_connection_refusal() => {
            unavailable(broker, "nobody listens there; start Redis or correct the address")
        }
        _ if error.is_timeout() => unavailable(broker, "it does not answer in time; connecting again"),
        _ => unavailable(broker, &format!("{said}; connecting again")),
    }
}

/// After it, nothing more can be asked on this connection, or another server must be found.
pub(super) fn breaks(error: &RedisError) -> bool {
    match error.kind() {
        ErrorKind::Server(ServerErrorKind::ReadOnly | ServerErrorKind::MasterDown | ServerErrorKind::ClusterDown) => {
            true
        }
        ErrorKind::Server(_) => false,
        ErrorKind::Extension => matches!(error.code(), Some("NOAUTH" | "WRONGPASS")),
        _ => true,
    }
}

fn said(error: &RedisError) -> String {
    let code = match error.kind() {
        ErrorKind::Server(_) | ErrorKind::Extension => error.code(),
        _ => None,
    };
    match (code, error.detail()) {
        (Some(code), Some(detail)) => format!("{code} {detail}"),
        _ => error.to_string(),
    }
}

pub(super) fn unavailable(broker: String, why: &str) -> BrokerError {
    BrokerError::Unavailable {
        broker,
        why: why.to_owned(),
    }
}

fn refused(broker: String, what: &str, said: &str) -> BrokerError {
    BrokerError::Refused {
        broker,
        why: format!("{what} (it said: {said})"),
    }
}
