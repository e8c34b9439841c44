//! Agents: how they get in, who they are, whether they are there, and what they are told to do.
//!
//! Whoever writes to rows of several tables does it in this order, so that no two wait for each other: enrolment, agent, commands,
//! tokens. Registration counts its enrolment last, which is safe because nobody else locks both.

mod boots;
mod commands;
mod enrolments;
mod heartbeat;
mod lists;
mod newcomer;
mod pass;
mod presence;
mod pulse;
mod registration;
mod standing;
mod tokens;

pub use lists::AgentQuery;
pub use pass::{Admission, AgentPass};
pub(crate) use pulse::Pulses;
pub(crate) use tokens::hold_to;

use venom_protocol::AgentStatus;

use crate::FleetError;

/// The room of transactions that let somebody in: see [`Database::write_alone`](crate::Database::write_alone).
const DOOR: &str = "agents";

/// What [`AgentStatus::as_str`] wrote.
fn status(text: &str) -> Result<AgentStatus, FleetError> {
    [
        AgentStatus::Pending,
        AgentStatus::Online,
        AgentStatus::Stale,
        AgentStatus::Offline,
    ]
    .into_iter()
    .find(|status| status.as_str() == text)
    .ok_or_else(|| FleetError::Corrupt(format!("`{text}` is no agent's status")))
}
