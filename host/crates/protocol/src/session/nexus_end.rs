//! The nexus end of one link.

use crate::{Disconnect, ErrorReport, Handshake, Heartbeat, NodeId, Progress, Response, StatusUpdate};

/// What the nexus is to do about one frame.
#[derive(Debug, Clone)]
pub enum NexusStep {
    /// First valid frame. Check the token, then register. `protocol` is set to what both speak (1 or 2).
    Handshake(Handshake),
    /// Sign of life; shares are within 0..1.
    Heartbeat(Heartbeat),
    /// Outcome of a call. The caller still has to see that the call is this node's.
    Response(Response),
    /// Something a running skill said (v2).
    Progress(Progress),
    /// Skills changed or draining begun (v2).
    Status(StatusUpdate),
    /// Graceful goodbye.
    Goodbye(Disconnect),
    /// The peer says our last message was wrong. Never answered, so that two ends cannot argue for ever.
    PeerError(ErrorReport),
    /// The frame was wrong and is dropped. Log it; send it when `send`.
    Complain {
        /// What was wrong.
        error: ErrorReport,
        /// False for v1 peers, which count any message but a call as invalid.
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

/// The nexus end of one link.
#[derive(Debug, Default)]
pub struct NexusEnd {}

impl NexusEnd {
    /// An end that waits for the handshake.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes one text frame.
    pub fn on_text(&mut self, _text: &str) -> NexusStep {
        todo!()
    }

    /// Takes one binary frame: there are none, it counts as invalid.
    pub fn on_binary(&mut self) -> NexusStep {
        todo!()
    }

    /// Protocol agreed upon: 1 until a v2 handshake.
    #[must_use]
    pub fn protocol(&self) -> u32 {
        todo!()
    }

    /// Who the peer is, after the handshake.
    #[must_use]
    pub fn node_id(&self) -> Option<NodeId> {
        todo!()
    }
}
