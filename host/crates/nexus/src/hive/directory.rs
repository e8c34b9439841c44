//! The other nexuses that share the broker, and their nodes. As of the last renewal, about a second ago: whoever acts
//! on it must be ready to be wrong.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use venom_broker::Peer;
use venom_protocol::{NodeId, NodeView, SessionId};

/// See the module.
#[derive(Default)]
pub(crate) struct Directory {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    peers: Vec<SessionId>,
    others_listen: bool,
    nodes: HashMap<NodeId, (SessionId, NodeView)>,
    /// What others were told of our nodes.
    told: HashMap<NodeId, NodeView>,
}

/// What a nexus tells of itself.
#[derive(Debug, Default, Serialize, Deserialize)]
struct About {
    /// Listeners of its event routes.
    #[serde(default)]
    listeners: usize,
}

impl Directory {
    /// What this nexus tells of itself.
    pub(crate) fn own_note(&self, listeners: usize) -> String {
        serde_json::to_string(&About { listeners }).unwrap_or_default()
    }

    /// Our nodes that others have not been told of as they are now, and those that are gone. Nothing while there are
    /// no others.
    pub(crate) fn news(&self, nodes: Vec<NodeView>) -> (Vec<(NodeId, String)>, Vec<NodeId>) {
        let mut inner = self.lock();
        if inner.peers.is_empty() {
            inner.told.clear();
            return (Vec::new(), Vec::new());
        }
        let mut told = std::mem::take(&mut inner.told);
        let mut news = Vec::new();
        for node in nodes {
            let known = told.remove(&node.node_id);
            if known.is_none_or(|known| !is_same(&known, &node))
                && let Ok(text) = serde_json::to_string(&node)
            {
                news.push((node.node_id, text));
            }
            inner.told.insert(node.node_id, node);
        }
        (news, told.into_keys().collect())
    }

    /// What was told last did not arrive: everything is news again.
    pub(crate) fn untold(&self) {
        self.lock().told.clear();
    }

    pub(crate) fn set_peers(&self, peers: Vec<Peer>) {
        let mut inner = self.lock();
        let listens = |peer: &Peer| serde_json::from_str::<About>(&peer.text).is_ok_and(|about| about.listeners > 0);
        inner.others_listen = peers.iter().any(listens);
        inner.peers = peers.into_iter().map(|peer| peer.session).collect();
        let Inner { peers, nodes, .. } = &mut *inner;
        nodes.retain(|_, (session, _)| peers.contains(session));
    }

    pub(crate) fn set_nodes(&self, nodes: Vec<(SessionId, NodeId, String)>) {
        let read = |(session, node_id, text): (SessionId, NodeId, String)| {
            serde_json::from_str(&text)
                .ok()
                .map(|view: NodeView| (node_id, (session, view)))
        };
        let mut found: HashMap<NodeId, (SessionId, NodeView)> = HashMap::new();
        for (node_id, entry) in nodes.into_iter().filter_map(read) {
            // a spore that moved is listed by its old nexus as offline and by its new one as online
            let is_better = found
                .get(&node_id)
                .is_none_or(|(_, known)| !known.is_online && entry.1.is_online);
            if is_better {
                found.insert(node_id, entry);
            }
        }
        self.lock().nodes = found;
    }

    pub(crate) fn has_peers(&self) -> bool {
        !self.lock().peers.is_empty()
    }

    pub(crate) fn peers(&self) -> usize {
        self.lock().peers.len()
    }

    pub(crate) fn others_listen(&self) -> bool {
        self.lock().others_listen
    }

    /// A node of another nexus, and which.
    pub(crate) fn node(&self, node_id: &NodeId) -> Option<(SessionId, NodeView)> {
        self.lock().nodes.get(node_id).cloned()
    }

    /// All nodes of other nexuses.
    pub(crate) fn nodes(&self) -> Vec<(SessionId, NodeView)> {
        self.lock().nodes.values().cloned().collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The same but for the time it was heard last.
fn is_same(before: &NodeView, now: &NodeView) -> bool {
    let before = NodeView {
        last_heartbeat: now.last_heartbeat,
        ..before.clone()
    };
    before == *now
}

#[cfg(test)]
mod tests {
    use venom_protocol::{Capabilities, Timestamp};

    use super::*;

    fn view(is_online: bool) -> NodeView {
        NodeView {
            node_id: NodeId(uuid::Uuid::nil()),
            node_name: "n".to_owned(),
            capabilities: Capabilities::default(),
            last_heartbeat: Timestamp::now(),
            cpu_usage: 0.0,
            memory_usage: 0.0,
            active_tasks: 0,
            is_online,
            registered_at: Timestamp::now(),
            protocol: 2,
            draining: false,
            update: None,
        }
    }

    fn peer(text: &str) -> Peer {
        Peer {
            session: SessionId::random(),
            text: text.to_owned(),
        }
    }

    #[test]
    fn nodes_are_told_once_and_when_they_change() {
        let directory = Directory::default();
        let node = view(true);
        assert_eq!(directory.news(vec![node.clone()]).0.len(), 0, "nobody to tell");
        directory.set_peers(vec![peer("{}")]);
        assert_eq!(directory.news(vec![node.clone()]).0.len(), 1);
        let later = NodeView {
            last_heartbeat: Timestamp::now(),
            ..node.clone()
        };
        assert_eq!(directory.news(vec![later]).0.len(), 0);
        assert_eq!(directory.news(vec![view(false)]).0.len(), 1);
        directory.untold();
        assert_eq!(directory.news(vec![view(false)]).0.len(), 1);
        assert_eq!(directory.news(Vec::new()).1, [node.node_id]);
    }

    #[test]
    fn a_spore_that_moved_is_where_it_is_online() {
        let directory = Directory::default();
        let (old, new) = (peer(""), peer("{\"listeners\":1}"));
        directory.set_peers(vec![old.clone(), new.clone()]);
        assert!(directory.others_listen());
        let text = |online| serde_json::to_string(&view(online)).unwrap();
        let id = view(true).node_id;
        directory.set_nodes(vec![(new.session, id, text(true)), (old.session, id, text(false))]);
        assert_eq!(directory.node(&id).unwrap().0, new.session);
        directory.set_peers(vec![old]);
        assert!(directory.node(&id).is_none());
    }
}
