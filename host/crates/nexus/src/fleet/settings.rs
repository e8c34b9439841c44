//! What an operator may set about agents' way in. What the fleet keeps and for how long is the fleet's own.

use crate::Secret;

/// What an operator may set about agents' way in.
#[derive(Debug, Clone)]
pub struct AgentSettings {
    /// What hive clients show when they register (`HIVE_REGISTRATION_TOKEN`). `None`: they cannot.
    pub registration_token: Option<Secret>,
    /// What LAN scan agents show when they register (`AGENT_REGISTRATION_SECRET`). `None`: they cannot.
    pub registration_secret: Option<Secret>,
    /// Registrations a minute from one address (60). 0: no limit.
    pub registrations_per_minute: u32,
    /// Requests a minute of one agent (600). 0: no limit.
    pub requests_per_minute: u32,
    /// Where agents reach this nexus, for enrol strings: `https://nexus.example:8000`. `None`: where the operator who asks does.
    pub public_url: Option<String>,
}

impl Default for AgentSettings {
    fn default() -> Self {
        Self {
            registration_token: None,
            registration_secret: None,
            registrations_per_minute: 60,
            requests_per_minute: 600,
            public_url: None,
        }
    }
}
