//! What goes on by itself: the session is renewed, time brings delayed tasks and dead sessions, lanes are looked up
//! anew, and other nexuses are told of our nodes.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use venom_broker::{Note, Tended};

use super::Hive;

/// How often everything is looked at anew. A session lives a few of these.
const ROUND: Duration = Duration::from_secs(1);
/// Lanes with work looked up at one time.
pub(super) const LANES_LOOKED_AT: usize = 2_000;
/// A leave that is not answered by then is left to the expiry.
const LEAVE_PATIENCE: Duration = Duration::from_secs(2);

impl Hive {
    /// Renews the session until `ending`, then gives it up in good order.
    pub(super) async fn keep(self: Arc<Self>, ending: CancellationToken) {
        let mut round = tokio::time::interval(ROUND.min(self.broker.settings().session_ttl / 4));
        round.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut first = true;
        loop {
            tokio::select! {
                _ = round.tick() => {}
                () = ending.cancelled() => break,
            }
            if self.renew(first).await {
                first = false;
            }
        }
        let leaving = async {
            self.written.cancelled().await;
            self.broker.leave(self.session).await
        };
        if tokio::time::timeout(LEAVE_PATIENCE, leaving).await.is_err() {
            tracing::debug!("session was not given up in time; it expires");
        }
    }

    /// One round. True when the broker answered.
    async fn renew(&self, first: bool) -> bool {
        let note = self.note();
        let renewal = match self.broker.renew(self.session, note.clone()).await {
            Ok(renewal) => renewal,
            Err(error) => {
                self.unwell(&error);
                self.driver.not_noted(&note.assigned);
                self.directory.untold();
                return false;
            }
        };
        self.well();
        if renewal.fresh && !first {
            tracing::warn!("the session was given up meanwhile: what ran here runs again elsewhere");
            self.driver.lose_leases();
            self.directory.untold();
        }
        for task in renewal.cancels {
            self.driver.cancel_task(task);
        }
        self.directory.set_peers(renewal.peers);
        self.look_around().await;
        true
    }

    fn note(&self) -> Note {
        let (nodes, nodes_gone) = self.directory.news(self.driver.nodes(|_| true));
        Note {
            text: self.directory.own_note(self.events.listeners()),
            assigned: self.driver.unnoted(),
            nodes,
            nodes_gone,
        }
    }

    /// What hints may have missed.
    async fn look_around(&self) {
        let looked = async {
            self.look_for_work().await?;
            self.look_for_strays().await?;
            let counts = self.broker.counts().await?;
            *self.counts.lock().unwrap_or_else(PoisonError::into_inner) = counts;
            if self.directory.has_peers() {
                self.directory.set_nodes(self.broker.nodes(self.session).await?);
            }
            Ok::<(), venom_broker::BrokerError>(())
        };
        if let Err(error) = looked.await {
            self.unwell(&error);
        }
    }

    /// Does what time brings, when it does.
    pub(super) async fn tend(self: Arc<Self>) {
        loop {
            let wait = match self.broker.tend().await {
                Ok(tended) => {
                    let next = tended.next_due.unwrap_or(ROUND).min(ROUND);
                    self.after_tending(tended);
                    next
                }
                Err(error) => {
                    self.unwell(&error);
                    ROUND
                }
            };
            // woken by a new delayed task; a pause keeps a stream of them from turning this into a busy loop
            tokio::time::sleep(wait.min(Duration::from_millis(2))).await;
            let _ = tokio::time::timeout(wait, self.to_tend.notified()).await;
        }
    }

    fn after_tending(&self, tended: Tended) {
        for session in &tended.sessions_ended {
            tracing::warn!(%session, tasks = tended.requeued.len(), "a nexus is gone; its tasks are in the queue again");
        }
        if tended.corrupt > 0 {
            tracing::error!(
                count = tended.corrupt,
                "records in {} could not be read and were put aside",
                self.broker.place()
            );
            self.metrics.broker_corrupt.inc_by(tended.corrupt);
        }
        self.tell_tended(&tended);
        let ended = tended.requeued.iter().chain(&tended.cancelled).copied();
        self.bells.ring(ended);
        if tended.promoted > 0 || !tended.requeued.is_empty() {
            self.desk.to_claim.notify_one();
        }
    }
}
