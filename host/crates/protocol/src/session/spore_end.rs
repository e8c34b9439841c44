//! The spore end of one link.

use crate::{Cancel, Disconnect, ErrorReport, ExecuteSkill, NodeId, Welcome};

/// What the spore is to do about one frame.
#[derive(Debug, Clone)]
pub enum SporeStep {
    /// The nexus took the handshake (v2).
    Welcome(Welcome),
    /// Run one method. May come without a welcome, from a v1 nexus.
    Execute(ExecuteSkill),
    /// Stop a call (v2).
    Cancel(Cancel),
    /// The nexus goes away.
    Goodbye(Disconnect),
    /// The nexus says our last message was wrong. Never answered.
    PeerError(ErrorReport),
    /// The frame was wrong and is dropped. Log it; send it when `send`.
    Complain {
        /// What was wrong.
        error: ErrorReport,
        /// False until the nexus is known to speak v2.
        send: bool,
    },
    /// Close the socket; every later frame gives the same.
    Close {
        /// WebSocket close code.
        code: u16,
        /// At most [`super::MAX_CLOSE_REASON_BYTES`].
        reason: String,
    },
}

/// The spore end of one link.
#[derive(Debug)]
pub struct SporeEnd {
    node_id: NodeId,
}

impl SporeEnd {
    /// The end of the spore with this id.
    #[must_use]
    pub const fn new(node_id: NodeId) -> Self {
        Self { node_id }
    }

    /// Takes one text frame.
    pub fn on_text(&mut self, _text: &str) -> SporeStep {
        let _ = self.node_id;
        todo!()
    }

    /// Takes one binary frame: there are none, it counts as invalid.
    pub fn on_binary(&mut self) -> SporeStep {
        todo!()
    }

    /// Protocol agreed upon: 1 until a welcome says 2.
    #[must_use]
    pub fn protocol(&self) -> u32 {
        todo!()
    }
}
