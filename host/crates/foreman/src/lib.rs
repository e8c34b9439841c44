//! The foreman: which nodes there are, which of them a call goes to, and what becomes of it. Pure: events
//! and the time come in, actions go out. It never touches tokio, a socket, a clock or randomness.
//!
//! Promises, held by the property tests:
//! - every accepted `CallRequested` ends in exactly one of [`Action::CompleteCall`], [`Action::FailCall`] or
//!   [`Action::RejectCall`];
//! - no call goes to a node that is offline, draining, or lacks the skill or a requirement;
//! - a node has at most one live link;
//! - the same events at the same moments give the same actions.

mod action;
mod calls;
mod choose;
mod connect;
mod event;
mod foreman;
mod index;
mod liveness;
mod node;
mod settings;

pub use action::{Action, Rejection};
pub use event::{Event, LinkId, Moment, Target};
pub use foreman::{Counts, Foreman};
pub use node::{NodeRecord, Presence};
pub use settings::{LoadWeights, Settings};
