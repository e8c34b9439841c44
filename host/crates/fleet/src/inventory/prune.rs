//! What is old is forgotten, a piece at a time, so that nobody waits long for it.

use venom_protocol::Timestamp;

use super::store::Statement;
use crate::database::{micros, micros_of};
use crate::{Fleet, FleetError};

/// Rows of one transaction.
const AT_ONCE: i64 = 2_000;

/// What was forgotten.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Keys of batches.
    pub batches: u64,
    /// Changes.
    pub changes: u64,
    /// Findings that are fixed, or about which an operator had said something, and that nobody found since.
    pub findings: u64,
    /// Scans.
    pub scans: u64,
    /// Certificates that nobody was shown since.
    pub certificates: u64,
    /// Assets that are gone.
    pub assets: u64,
    /// Networks and subnets in which there is nothing and was no scan since.
    pub networks: u64,
    /// Commands that have ended.
    pub commands: u64,
}

/// A place to forget something from: the rows up to a time.
struct Old {
    /// `DELETE FROM table WHERE key IN (SELECT key FROM table WHERE … <`, up to the time.
    delete: &'static str,
    before: i64,
    /// The rest.
    rest: &'static str,
}

impl Fleet {
    /// Forgets what is older than the settings say: `history`, and `batch_memory` for keys of batches.
    ///
    /// # Errors
    /// The database failed; what was forgotten until then is.
    pub async fn prune(&self, now: Timestamp) -> Result<Pruned, FleetError> {
        let before = |length| micros(now).saturating_sub(micros_of(length));
        let history = before(self.settings().history);
        let old = |delete, rest| Old {
            delete,
            before: history,
            rest,
        };
        let batches = Old {
            delete: "DELETE FROM batches WHERE (agent_id, batch_key) IN (SELECT agent_id, batch_key FROM batches WHERE received_at < ",
            before: before(self.settings().batch_memory),
            rest: "",
        };
        Ok(Pruned {
            batches: self.forget(batches).await?,
            changes: self
                .forget(old("DELETE FROM changes WHERE id IN (SELECT id FROM changes WHERE at < ", ""))
                .await?,
            findings: self
                .forget(old(
                    "DELETE FROM findings WHERE id IN (SELECT id FROM findings WHERE status <> 'open' AND \
                     (CASE WHEN changed_at > last_seen THEN changed_at ELSE last_seen END) < ",
                    "",
                ))
                .await?,
            scans: self
                .forget(old("DELETE FROM scans WHERE id IN (SELECT id FROM scans WHERE received_at < ", ""))
                .await?,
            certificates: self
                .forget(old(
                    "DELETE FROM certificates WHERE (place_key, port) IN (SELECT place_key, port FROM certificates WHERE last_seen < ",
                    "",
                ))
                .await?,
            assets: self
                .forget(old(
                    "DELETE FROM assets WHERE id IN (SELECT id FROM assets WHERE is_gone = 1 AND last_seen < ",
                    "",
                ))
                .await?,
            networks: self.forget_networks(history).await?,
            commands: self
                .forget(old(
                    "DELETE FROM commands WHERE id IN (SELECT id FROM commands WHERE status IN ('completed', 'failed') AND updated_at < ",
                    "",
                ))
                .await?,
        })
    }

    async fn forget_networks(&self, before: i64) -> Result<u64, FleetError> {
        let subnets = Old {
            delete: "DELETE FROM subnets WHERE (site_name, cidr) IN (SELECT site_name, cidr FROM subnets WHERE last_scan < ",
            before,
            rest: "",
        };
        let networks = Old {
            delete: "DELETE FROM networks WHERE (site_name, network) IN (SELECT n.site_name, n.network FROM networks n \
                     WHERE n.last_seen < ",
            before,
            rest: " AND NOT EXISTS (SELECT 1 FROM assets a WHERE a.site_name = n.site_name AND a.network = n.network) \
                   AND NOT EXISTS (SELECT 1 FROM findings f WHERE f.site_name = n.site_name AND f.network = n.network)",
        };
        Ok(self.forget(subnets).await? + self.forget(networks).await?)
    }

    async fn forget(&self, old: Old) -> Result<u64, FleetError> {
        let mut forgotten = 0;
        loop {
            let mut writing = self.database().write().await?;
            let delete = Statement::new(old.delete)
                .value(old.before)
                .then(old.rest)
                .then(" LIMIT ")
                .value(AT_ONCE)
                .then(")");
            let count = delete.execute(&mut *writing).await?;
            writing.commit().await?;
            forgotten += count;
            if count < AT_ONCE.unsigned_abs() {
                return Ok(forgotten);
            }
        }
    }
}
