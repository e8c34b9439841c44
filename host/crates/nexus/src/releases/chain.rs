//! The roots this swarm has had, each believed because of the one before.

use std::sync::Arc;

use venom_broker::{Broker, BrokerError};
use venom_bundle::{Digest, TrustedRoot};

use super::{ReleaseError, records};

/// Never empty.
#[derive(Debug, Clone)]
pub(crate) struct Chain {
    /// The one trust began with.
    first: Arc<TrustedRoot>,
    /// Those after it.
    later: Vec<Arc<TrustedRoot>>,
}

impl Chain {
    fn begun(first: TrustedRoot) -> Self {
        Self {
            first: Arc::new(first),
            later: Vec::new(),
        }
    }

    /// The root trusted now.
    pub(crate) fn newest(&self) -> &Arc<TrustedRoot> {
        self.later.last().unwrap_or(&self.first)
    }

    /// All, the first one first.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Arc<TrustedRoot>> {
        std::iter::once(&self.first).chain(&self.later)
    }

    /// Those after a version, in their order.
    pub(crate) fn after(&self, version: u64) -> impl Iterator<Item = &Arc<TrustedRoot>> {
        self.all().filter(move |root| root.root().version > version)
    }

    /// The root of this version.
    pub(crate) fn at(&self, version: u64) -> Option<&Arc<TrustedRoot>> {
        self.all().find(|root| root.root().version == version)
    }

    /// Whether the operator's own root is one of these, or would be the next. `Err`: why it is neither.
    pub(crate) fn agrees_with(&self, own: &TrustedRoot) -> Result<(), String> {
        let version = own.root().version;
        match self.at(version) {
            Some(kept) if kept.digest() == own.digest() => Ok(()),
            Some(kept) => Err(format!(
                "root {version} kept in the broker is {}, the one of this nexus is {}: one of them is not this swarm's; \
                 give this nexus the right root.json, or the swarm a broker of its own",
                short(&kept.digest()),
                short(&own.digest())
            )),
            None if version > self.newest().root().version => self
                .newest()
                .rotate(own.to_text().as_bytes())
                .map(|_| ())
                .map_err(|error| format!("root {version} of this nexus does not follow those in the broker: {error}")),
            // older than where trust began here: it cannot be compared
            None if own.root().swarm_id == self.first.root().swarm_id => Ok(()),
            None => Err(format!(
                "this nexus has a root of swarm {}, the broker has those of {}",
                own.root().swarm_id,
                self.first.root().swarm_id
            )),
        }
    }
}

fn short(digest: &Digest) -> String {
    digest.short()
}

/// Reads the roots that are kept, from those already known on. A root that is not believed ends the chain: whoever
/// writes to the broker can withhold roots, and no more than that.
pub(super) async fn load(broker: &dyn Broker, known: Option<&Chain>) -> Result<Option<Chain>, ReleaseError> {
    let mut chain = match known {
        Some(known) => known.clone(),
        None => match first(broker).await? {
            Some(first) => Chain::begun(first),
            None => return Ok(None),
        },
    };
    loop {
        let next = chain.newest().root().version.saturating_add(1);
        let Some(record) = broker.record(&records::root(next)).await? else {
            return Ok(Some(chain));
        };
        match chain.newest().rotate(&record.bytes) {
            Ok(root) => chain.later.push(Arc::new(root)),
            Err(error) => {
                tracing::error!(version = next, %error, "a root kept in the broker is not believed");
                return Ok(Some(chain));
            }
        }
    }
}

async fn first(broker: &dyn Broker) -> Result<Option<TrustedRoot>, ReleaseError> {
    let Some((_, version)) = records::read::<u64>(broker, records::FIRST_ROOT).await? else {
        return Ok(None);
    };
    let name = records::root(version);
    let Some(record) = broker.record(&name).await? else {
        return Ok(None);
    };
    TrustedRoot::pin(&record.bytes).map(Some).map_err(|error| {
        let (broker, why) = (broker.place(), error.to_string());
        let what = format!("record `{name}`");
        BrokerError::Corrupt { broker, what, why }.into()
    })
}

/// Begins trust with this root, unless somebody else just did.
pub(super) async fn begin(broker: &dyn Broker, root: &TrustedRoot) -> Result<(), ReleaseError> {
    let version = root.root().version;
    keep(broker, root).await?;
    records::put(broker, records::FIRST_ROOT, records::bytes_of(&version)?, 0).await?;
    Ok(())
}

/// Keeps a root. A root of its number that is there already must be the same.
pub(super) async fn keep(broker: &dyn Broker, root: &TrustedRoot) -> Result<(), ReleaseError> {
    let version = root.root().version;
    if records::put(broker, &records::root(version), root.to_text().into_bytes(), 0).await? {
        return Ok(());
    }
    Err(ReleaseError::Alarm(format!(
        "another root {version} is kept already: two roots of one version must not exist"
    )))
}
