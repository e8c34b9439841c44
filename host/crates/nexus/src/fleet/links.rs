//! Agents that are linked as spores: by a token of their own they get bundles while they are linked, and lose the link with it.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use serde_json::{Map, Value};
use venom_protocol::{AgentId, Broadcast, Timestamp, close};

use crate::link::{LinkHandle, Outgoing};

/// Agents that are linked now.
#[derive(Default)]
pub(crate) struct AgentLinks {
    linked: Mutex<HashMap<AgentId, Linked>>,
}

struct Linked {
    /// Tells this link from one that came after it.
    link: venom_foreman::LinkId,
    handle: LinkHandle,
}

impl AgentLinks {
    /// An agent has linked; a link it had before is replaced elsewhere.
    pub(crate) fn begin(&self, agent: AgentId, link: venom_foreman::LinkId, handle: LinkHandle) {
        self.lock().insert(agent, Linked { link, handle });
    }

    /// That link is gone.
    pub(crate) fn end(&self, agent: &AgentId, link: venom_foreman::LinkId) {
        let mut linked = self.lock();
        if linked.get(agent).is_some_and(|held| held.link == link) {
            linked.remove(agent);
        }
    }

    /// Whether that agent is linked now.
    pub(crate) fn has(&self, agent: &AgentId) -> bool {
        self.lock().contains_key(agent)
    }

    /// Tells that agent that a command waits. One that is not linked here hears it with its next heartbeat.
    pub(crate) fn say_a_command_waits(&self, agent: &AgentId, now: Timestamp) {
        let linked = self.lock();
        let Some(held) = linked.get(agent).filter(|held| held.handle.protocol >= 2) else {
            return;
        };
        held.handle.send(Outgoing::Broadcast(Box::new(Broadcast {
            command: Broadcast::AGENT_COMMANDS.to_owned(),
            data: Value::Object(Map::new()),
            sent_at: now,
        })));
    }

    /// Ends the link of an agent that was deregistered.
    pub(crate) fn cut(&self, agent: &AgentId) {
        if let Some(held) = self.lock().remove(agent) {
            held.handle
                .close(close::POLICY, close::AUTHENTICATION_FAILED.to_owned());
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<AgentId, Linked>> {
        self.linked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
