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

/// Beginnings of statements, up to the time: `DELETE FROM table WHERE key IN (SELECT key FROM table WHERE … <`. Each finds what is old by
/// an index: others wait to write meanwhile.
const BATCHES: &str =
    "DELETE FROM batches WHERE (agent_id, batch_key) IN (SELECT agent_id, batch_key FROM batches WHERE received_at < ";
const CHANGES: &str = "DELETE FROM changes WHERE id IN (SELECT id FROM changes WHERE at < ";
const FINDINGS: &str = "DELETE FROM findings WHERE id IN (SELECT id FROM findings WHERE status <> 'open' AND \
                        (CASE WHEN changed_at > last_seen THEN changed_at ELSE last_seen END) < ";
const SCANS: &str = "DELETE FROM scans WHERE id IN (SELECT id FROM scans WHERE received_at < ";
const CERTIFICATES: &str =
    "DELETE FROM certificates WHERE (place_key, port) IN (SELECT place_key, port FROM certificates WHERE last_seen < ";
const ASSETS: &str = "DELETE FROM assets WHERE id IN (SELECT id FROM assets WHERE is_gone = 1 AND last_seen < ";
const COMMANDS: &str = "DELETE FROM commands WHERE id IN (SELECT id FROM commands WHERE status IN ('completed', 'failed') \
                        AND updated_at < ";
/// Few for each site, so without an index of their own.
const SUBNETS: &str =
    "DELETE FROM subnets WHERE (site_name, cidr) IN (SELECT site_name, cidr FROM subnets WHERE last_scan < ";
const NETWORKS: &str = "DELETE FROM networks WHERE (site_name, network) IN (SELECT n.site_name, n.network FROM networks n WHERE n.last_seen < ";
/// The rest of that.
const WITH_NOTHING_IN_THEM: &str = " AND NOT EXISTS (SELECT 1 FROM assets a WHERE a.site_name = n.site_name AND a.network = n.network) \
                                    AND NOT EXISTS (SELECT 1 FROM findings f WHERE f.site_name = n.site_name AND f.network = n.network)";

impl Fleet {
    /// Forgets what is older than the settings say: `history`, and `batch_memory` for keys of batches.
    ///
    /// # Errors
    /// The database failed; what was forgotten until then is.
    pub async fn prune(&self, now: Timestamp) -> Result<Pruned, FleetError> {
        let before = |length| micros(now).saturating_sub(micros_of(length));
        let (history, memory) = (before(self.settings().history), before(self.settings().batch_memory));
        Ok(Pruned {
            batches: self.forget(BATCHES, memory, "").await?,
            changes: self.forget(CHANGES, history, "").await?,
            findings: self.forget(FINDINGS, history, "").await?,
            scans: self.forget(SCANS, history, "").await?,
            certificates: self.forget(CERTIFICATES, history, "").await?,
            assets: self.forget(ASSETS, history, "").await?,
            networks: self.forget(SUBNETS, history, "").await?
                + self.forget(NETWORKS, history, WITH_NOTHING_IN_THEM).await?,
            commands: self.forget(COMMANDS, history, "").await?,
        })
    }

    async fn forget(&self, delete: &'static str, before: i64, rest: &'static str) -> Result<u64, FleetError> {
        let mut forgotten = 0;
        loop {
            let mut writing = self.database().write().await?;
            let delete = Statement::new(delete)
                .value(before)
                .then(rest)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::tests::plan_of;

    #[tokio::test]
    async fn what_is_old_is_found_by_an_index() {
        for delete in [BATCHES, CHANGES, FINDINGS, SCANS, CERTIFICATES, ASSETS, COMMANDS] {
            let plan = plan_of(&format!("{delete}$1 LIMIT $2)")).await;
            assert!(!plan.iter().any(|step| step.starts_with("SCAN")), "{delete}: {plan:?}");
        }
        let plan = plan_of(&format!("{NETWORKS}$1{WITH_NOTHING_IN_THEM} LIMIT $2)")).await;
        let scans = plan.iter().filter(|step| step.starts_with("SCAN"));
        assert_eq!(scans.count(), 1, "the networks and nothing else: {plan:?}");
    }
}
