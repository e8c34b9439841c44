//! The foreman: which nodes there are, which of them a call or a task goes to, and what becomes of it. Pure: events
//! and the time come in, actions go out. It never touches tokio, a socket, a clock or randomness.
//!
//! Promises, held by the property tests:
//! - every accepted `CallRequested` ends in exactly one of [`Action::CompleteCall`], [`Action::FailCall`] or
//!   [`Action::RejectCall`];
//! - every lease told by `TaskLeased` ends in exactly one [`Action::SettleTask`], unless all leases are lost;
//! - no call goes to a node that is offline, draining, or lacks the skill or a requirement, and no task to one without a
//!   free credit;
//! - a task runs on one node at a time;
//! - a plan never wants more than there is room for, and no priority that waits starves;
//! - a node has at most one live link;
//! - the same events at the same moments give the same actions.

mod action;
mod backoff;
mod calls;
mod choose;
mod connect;
mod event;
mod foreman;
mod health;
mod held;
mod index;
mod lanes;
mod leases;
mod liveness;
mod node;
mod plan;
mod settings;
mod task;
mod tasks;
mod turns;
mod verdict;

pub use action::{Action, Rejection};
pub use event::{Event, LinkId, Moment, Target};
pub use foreman::{Counts, Foreman};
pub use node::{NodeRecord, Presence};
pub use plan::{Plan, PlanWant};
pub use settings::{LoadWeights, Settings};
pub use task::{CallReport, Settlement, TaskOrder};
