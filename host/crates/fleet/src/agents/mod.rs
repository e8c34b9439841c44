//! Agents: how they get in, who they are, whether they are there, and what they are told to do.

mod pass;
mod pulse;

pub use pass::{Admission, AgentPass};
pub(crate) use pulse::Pulses;
