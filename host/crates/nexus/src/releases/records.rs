//! How documents are kept in the broker: names of records, and changing one when others may change it too.

use serde::Serialize;
use serde::de::DeserializeOwned;
use venom_broker::{Broker, BrokerError, Record};

use super::ReleaseError;

/// Number of the first root: the one trust began with.
pub(super) const FIRST_ROOT: &str = "releases/root";
/// Names of all channels.
pub(super) const CHANNELS: &str = "releases/channels";
/// File digests of all bundles, the newest first.
pub(super) const BUNDLES: &str = "releases/bundles";

/// Tries of a change that others get in the way of.
const TRIES: usize = 32;

pub(super) fn root(version: u64) -> String {
    format!("releases/root/{version}")
}

pub(super) fn channel(name: &str) -> String {
    format!("releases/channel/{name}")
}

pub(super) fn history(channel: &str) -> String {
    format!("releases/history/{channel}")
}

pub(super) fn bundle(file: &str) -> String {
    format!("releases/bundle/{file}")
}

pub(super) fn chunk(file: &str, number: u64) -> String {
    format!("releases/chunk/{file}/{number}")
}

/// Reads a record as JSON, with its version.
pub(super) async fn read<T: DeserializeOwned>(
    broker: &dyn Broker,
    name: &str,
) -> Result<Option<(u64, T)>, BrokerError> {
    let Some(Record { version, bytes }) = broker.record(name).await? else {
        return Ok(None);
    };
    match serde_json::from_slice(&bytes) {
        Ok(value) => Ok(Some((version, value))),
        Err(error) => Err(BrokerError::Corrupt {
            broker: broker.place(),
            what: format!("record `{name}`"),
            why: error.to_string(),
        }),
    }
}

pub(super) fn bytes_of(value: &impl Serialize) -> Result<Vec<u8>, ReleaseError> {
    serde_json::to_vec(value)
        .map_err(|error| ReleaseError::Disk(format!("a record cannot be written as JSON: {error}")))
}

/// Writes if nobody else did since `expected`. An answer that was lost is found out by the bytes.
pub(super) async fn put(broker: &dyn Broker, name: &str, bytes: Vec<u8>, expected: u64) -> Result<bool, BrokerError> {
    match broker.put_record(name, bytes.clone(), expected).await {
        Ok(true) => Ok(true),
        Ok(false) => holds(broker, name, &bytes).await,
        Err(BrokerError::Unavailable { .. }) => {
            if broker.put_record(name, bytes.clone(), expected).await? {
                return Ok(true);
            }
            holds(broker, name, &bytes).await
        }
        Err(error) => Err(error),
    }
}

async fn holds(broker: &dyn Broker, name: &str, bytes: &[u8]) -> Result<bool, BrokerError> {
    Ok(broker.record(name).await?.is_some_and(|record| record.bytes == bytes))
}

/// Changes a record, again when another was faster. `change` gives `None` when there is nothing to change.
pub(super) async fn change<T, F>(broker: &dyn Broker, name: &str, change: F) -> Result<(), ReleaseError>
where
    T: DeserializeOwned + Serialize + Default,
    F: Fn(T) -> Option<T>,
{
    for _ in 0..TRIES {
        let (version, value) = read::<T>(broker, name).await?.unwrap_or_default();
        let Some(value) = change(value) else { return Ok(()) };
        if put(broker, name, bytes_of(&value)?, version).await? {
            return Ok(());
        }
    }
    Err(ReleaseError::Busy {
        why: format!("record `{name}` is changed by others all the time"),
        after: std::time::Duration::from_secs(1),
    })
}
