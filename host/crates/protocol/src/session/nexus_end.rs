//! The nexus end of one link.

use super::MAX_HANDSHAKE_BYTES;
use super::introduction::{agreed_protocol, check_capabilities, check_handshake, check_report};
use super::invalid::{Invalid, close_reason};
use crate::{
    Disconnect, ErrorReport, FrameError, FromSpore, Handshake, Heartbeat, HiveAsk, MAX_FRAME_BYTES, NodeId, Progress,
    ReleaseAsk, Response, StatusUpdate, UpdateReport, close, decode_from_spore, with_causes,
};

/// What the nexus is to do about one frame.
#[derive(Debug, Clone)]
pub enum NexusStep {
    /// First valid frame. Check the token, then register. `protocol` is set to what both speak (1 or 2).
    Handshake(Handshake),
    /// Sign of life. Shares out of 0..1 are pulled in: a wrong figure is no reason to take a node for dead.
    Heartbeat(Heartbeat),
    /// Outcome of a call. The caller still has to see that the call is this node's.
    Response(Response),
    /// Something a running skill said (v2).
    Progress(Progress),
    /// Skills changed or draining begun (v2).
    Status(StatusUpdate),
    /// A running skill asks something of the hive (v2).
    Ask(HiveAsk),
    /// What releases there are (v2).
    ReleaseAsk(ReleaseAsk),
    /// How the updates of the spore stand (v2).
    UpdateReport(UpdateReport),
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

#[derive(Debug, Default)]
enum Stage {
    #[default]
    Unknown,
    Known {
        node_id: NodeId,
        protocol: u32,
    },
    Closed {
        code: u16,
        reason: String,
    },
}

/// The nexus end of one link.
///
/// An invalid handshake closes at once with the reason, since a v1 peer can be told in no other way and
/// nothing useful can follow. Any other frame before the handshake, and any invalid one after it, is a
/// complaint; [`crate::MAX_INVALID_IN_A_ROW`] of them close.
#[derive(Debug, Default)]
pub struct NexusEnd {
    stage: Stage,
    invalid: Invalid,
}

impl NexusEnd {
    /// An end that waits for the handshake.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes one text frame.
    pub fn on_text(&mut self, text: &str) -> NexusStep {
        match &self.stage {
            Stage::Unknown => self.first(text),
            Stage::Known { node_id, .. } => {
                let node_id = *node_id;
                self.later(node_id, text)
            }
            Stage::Closed { code, reason } => NexusStep::Close {
                code: *code,
                reason: reason.clone(),
            },
        }
    }

    /// Takes one binary frame: there are none, it counts as invalid.
    pub fn on_binary(&mut self) -> NexusStep {
        match &self.stage {
            Stage::Closed { code, reason } => NexusStep::Close {
                code: *code,
                reason: reason.clone(),
            },
            _ => self.complain("binary frame; messages are JSON in text frames"),
        }
    }

    /// Protocol agreed upon: 1 until a v2 handshake.
    #[must_use]
    pub fn protocol(&self) -> u32 {
        match self.stage {
            Stage::Known { protocol, .. } => protocol,
            Stage::Unknown | Stage::Closed { .. } => 1,
        }
    }

    /// Who the peer is, after the handshake.
    #[must_use]
    pub fn node_id(&self) -> Option<NodeId> {
        match self.stage {
            Stage::Known { node_id, .. } => Some(node_id),
            Stage::Unknown | Stage::Closed { .. } => None,
        }
    }

    fn first(&mut self, text: &str) -> NexusStep {
        if text.len() > MAX_HANDSHAKE_BYTES {
            let reason = format!("{} bytes before the handshake, over {MAX_HANDSHAKE_BYTES}", text.len());
            return self.close(close::TOO_BIG, &reason);
        }
        match decode_from_spore(text) {
            Ok(FromSpore::Handshake(handshake)) => self.handshake(handshake),
            Ok(_) => self.complain("message before the handshake; HANDSHAKE must be the first"),
            Err(
                error @ FrameError::Payload {
                    message_type: "HANDSHAKE",
                    ..
                },
            ) => self.close(close::POLICY, &format!("handshake refused: {}", with_causes(&error))),
            Err(error) => self.complain(&with_causes(&error)),
        }
    }

    fn handshake(&mut self, mut handshake: Handshake) -> NexusStep {
        if let Err(why) = check_handshake(&handshake) {
            return self.close(close::POLICY, &format!("handshake refused: {why}"));
        }
        let protocol = agreed_protocol(handshake.protocol);
        handshake.protocol = Some(protocol);
        self.stage = Stage::Known {
            node_id: handshake.node_id,
            protocol,
        };
        self.invalid.reset();
        NexusStep::Handshake(handshake)
    }

    fn later(&mut self, node_id: NodeId, text: &str) -> NexusStep {
        let message = match decode_from_spore(text) {
            Ok(message) => message,
            Err(FrameError::TooBig { size }) => {
                let reason = format!("frame of {size} bytes, over {MAX_FRAME_BYTES}");
                return self.close(close::TOO_BIG, &reason);
            }
            Err(error) => return self.complain(&with_causes(&error)),
        };
        match checked(message, node_id, self.protocol()) {
            Ok(step) => {
                self.invalid.reset();
                step
            }
            Err(why) => self.complain(&why),
        }
    }

    fn complain(&mut self, what: &str) -> NexusStep {
        match self.invalid.count(what) {
            Ok(error) => NexusStep::Complain {
                error,
                send: self.protocol() >= 2,
            },
            Err(reason) => self.close(close::POLICY, &reason),
        }
    }

    fn close(&mut self, code: u16, reason: &str) -> NexusStep {
        let reason = close_reason(reason);
        self.stage = Stage::Closed {
            code,
            reason: reason.clone(),
        };
        NexusStep::Close { code, reason }
    }
}

/// A well-formed message of a known peer, or what is wrong with it.
fn checked(message: FromSpore, node_id: NodeId, protocol: u32) -> Result<NexusStep, String> {
    Ok(match message {
        FromSpore::Handshake(_) => return Err("second HANDSHAKE; a link registers once".to_owned()),
        FromSpore::Heartbeat(heartbeat) => {
            same_node("HEARTBEAT", heartbeat.node_id, node_id)?;
            NexusStep::Heartbeat(within_bounds(heartbeat))
        }
        FromSpore::Response(response) => {
            same_node("RESPONSE", response.node_id, node_id)?;
            NexusStep::Response(sane_time(response))
        }
        FromSpore::Progress(progress) => {
            needs_v2("PROGRESS", protocol)?;
            NexusStep::Progress(progress)
        }
        FromSpore::Status(status) => {
            needs_v2("STATUS", protocol)?;
            same_node("STATUS", status.node_id, node_id)?;
            check_capabilities(&status.capabilities)?;
            NexusStep::Status(status)
        }
        FromSpore::Ask(ask) => {
            needs_v2("HIVE_ASK", protocol)?;
            NexusStep::Ask(ask)
        }
        FromSpore::ReleaseAsk(ask) => {
            needs_v2("RELEASE_ASK", protocol)?;
            NexusStep::ReleaseAsk(ask)
        }
        FromSpore::UpdateReport(report) => {
            needs_v2("UPDATE_REPORT", protocol)?;
            same_node("UPDATE_REPORT", report.node_id, node_id)?;
            check_report(&report)?;
            NexusStep::UpdateReport(report)
        }
        FromSpore::Disconnect(goodbye) => NexusStep::Goodbye(goodbye),
        FromSpore::Error(error) => NexusStep::PeerError(error),
    })
}

fn same_node(what: &str, said: NodeId, node_id: NodeId) -> Result<(), String> {
    if said == node_id {
        return Ok(());
    }
    Err(format!("{what} for node {said} on the link of node {node_id}"))
}

fn needs_v2(what: &str, protocol: u32) -> Result<(), String> {
    if protocol >= 2 {
        return Ok(());
    }
    Err(format!("{what} needs protocol 2; say so in the handshake"))
}

fn within_bounds(mut heartbeat: Heartbeat) -> Heartbeat {
    // JSON has no NaN; `clamp` would keep one
    heartbeat.cpu_usage = heartbeat.cpu_usage.clamp(0.0, 1.0);
    heartbeat.memory_usage = heartbeat.memory_usage.clamp(0.0, 1.0);
    heartbeat
}

fn sane_time(mut response: Response) -> Response {
    response.execution_time = response.execution_time.max(0.0);
    response
}
