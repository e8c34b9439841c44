//! What a token was found to be worth.

use std::fmt;

use venom_protocol::{AgentId, AgentStatus};

/// Who an agent's token belongs to. Only [`Fleet::admit`](crate::Fleet::admit) makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentPass {
    /// Whose.
    pub agent_id: AgentId,
    /// Its name for people.
    pub name: String,
    /// The site everything it sends belongs to.
    pub site_name: String,
    /// Its tags.
    pub tags: Vec<String>,
    /// False: an operator must approve it before anything it sends is taken in.
    pub approved: bool,
    /// Which token it was: its SHA-256.
    pub(crate) token: String,
    /// Where it stood when it came in.
    pub(crate) status: AgentStatus,
    /// The run of it that was heard of last.
    pub(crate) boot_id: Option<String>,
}

/// What a registration rests on.
#[derive(Clone, Copy)]
pub enum Admission<'a> {
    /// The caller has checked the registration token that all share.
    Shared,
    /// This token is to be checked: it should be an enrolment's.
    Enrolment(&'a str),
    /// An agent that has a token of its own.
    Agent(&'a AgentPass),
}

impl fmt::Debug for Admission<'_> {
    /// Without the token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shared => f.write_str("Shared"),
            Self::Enrolment(_) => f.write_str("Enrolment(..)"),
            Self::Agent(pass) => f.debug_tuple("Agent").field(&pass.agent_id).finish(),
        }
    }
}
