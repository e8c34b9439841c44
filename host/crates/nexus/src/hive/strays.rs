//! Leases this nexus holds and does not know of: the answer to a claim was lost on its way. They would stay leased for as
//! long as the session lives, so they are looked for after every claim that went wrong, and given back.

use std::sync::PoisonError;

use venom_broker::{BrokerError, Ending, EndingKind, State};
use venom_protocol::TaskId;

use super::Hive;

/// Running tasks looked at; more strays are found the next time.
const LOOKED_AT: usize = 10_000;

/// What is known of strays.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) enum Strays {
    /// No claim went wrong.
    #[default]
    None,
    /// One did: there may be some.
    Suspected,
    /// Leases nobody here knew a round ago. One whose claim or ending was on its way then has arrived by now.
    Seen(Vec<(TaskId, u64)>),
}

impl Hive {
    /// The answer to a claim did not come.
    pub(super) fn suspect_strays(&self) {
        *self.strays.lock().unwrap_or_else(PoisonError::into_inner) = Strays::Suspected;
    }

    /// One look each round, while there may be some.
    pub(super) async fn look_for_strays(&self) -> Result<(), BrokerError> {
        let before = std::mem::take(&mut *self.strays.lock().unwrap_or_else(PoisonError::into_inner));
        if before == Strays::None {
            return Ok(());
        }
        let unknown = match self.unknown_leases().await {
            Ok(unknown) => unknown,
            Err(error) => {
                self.suspect_strays();
                return Err(error);
            }
        };
        let Strays::Seen(seen) = before else {
            *self.strays.lock().unwrap_or_else(PoisonError::into_inner) = Strays::Seen(unknown);
            return Ok(());
        };
        for (id, fence) in unknown.into_iter().filter(|lease| seen.contains(lease)) {
            tracing::info!(task = %id, "its claim was lost on the way; it waits again");
            self.desk.end(Ending {
                id,
                fence,
                node: None,
                started_at: 0,
                kind: EndingKind::Returned,
            });
        }
        Ok(())
    }

    async fn unknown_leases(&self) -> Result<Vec<(TaskId, u64)>, BrokerError> {
        let running = self.broker.list(State::Running, LOOKED_AT).await?;
        let ours = running.into_iter().filter(|task| task.session == Some(self.session));
        let unknown = ours.filter(|task| !self.driver.holds(task.id, task.fence));
        Ok(unknown.map(|task| (task.id, task.fence)).collect())
    }
}
