//! The spore end of one link.

use super::invalid::{Invalid, close_reason};
use crate::{
    Broadcast, Cancel, Disconnect, ErrorReport, ExecuteSkill, FrameError, FromNexus, HiveAnswer, MAX_FRAME_BYTES,
    NodeId, PROTOCOL_VERSION, ReleaseAnswer, Welcome, close, decode_from_nexus, with_causes,
};

/// What the spore is to do about one frame.
#[derive(Debug, Clone)]
pub enum SporeStep {
    /// The nexus took the handshake (v2).
    Welcome(Welcome),
    /// Run one method. May come without a welcome, from a v1 nexus.
    Execute(ExecuteSkill),
    /// Stop a call (v2).
    Cancel(Cancel),
    /// The answer to a question of a running skill (v2).
    Answer(HiveAnswer),
    /// A control broadcast (v2).
    Broadcast(Broadcast),
    /// What releases there are (v2).
    ReleaseAnswer(ReleaseAnswer),
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

#[derive(Debug, Clone)]
enum Stage {
    /// No welcome yet, and none will come from a v1 nexus.
    Unwelcomed,
    Welcomed {
        protocol: u32,
    },
    Closed {
        code: u16,
        reason: String,
    },
}

/// The spore end of one link.
#[derive(Debug)]
pub struct SporeEnd {
    node_id: NodeId,
    stage: Stage,
    invalid: Invalid,
}

impl SporeEnd {
    /// The end of the spore with this id, which has sent its handshake.
    #[must_use]
    pub fn new(node_id: NodeId) -> Self {
        Self {
            node_id,
            stage: Stage::Unwelcomed,
            invalid: Invalid::default(),
        }
    }

    /// Takes one text frame.
    pub fn on_text(&mut self, text: &str) -> SporeStep {
        if let Some(closed) = self.closed() {
            return closed;
        }
        let message = match decode_from_nexus(text) {
            Ok(message) => message,
            Err(FrameError::TooBig { size }) => {
                return self.close(
                    close::TOO_BIG,
                    &format!("frame of {size} bytes, over {MAX_FRAME_BYTES}"),
                );
            }
            Err(error) => return self.complain(&with_causes(&error)),
        };
        match self.checked(message) {
            Ok(step) => {
                self.invalid.reset();
                step
            }
            Err(why) => self.complain(&why),
        }
    }

    /// Takes one binary frame: there are none, it counts as invalid.
    pub fn on_binary(&mut self) -> SporeStep {
        match self.closed() {
            Some(closed) => closed,
            None => self.complain("binary frame; messages are JSON in text frames"),
        }
    }

    /// Protocol agreed upon: 1 until a welcome says 2.
    #[must_use]
    pub fn protocol(&self) -> u32 {
        match self.stage {
            Stage::Welcomed { protocol } => protocol,
            Stage::Unwelcomed | Stage::Closed { .. } => 1,
        }
    }

    /// A well-formed message, or what is wrong with it at this point.
    fn checked(&mut self, message: FromNexus) -> Result<SporeStep, String> {
        Ok(match message {
            FromNexus::Welcome(welcome) => SporeStep::Welcome(self.welcomed(welcome)?),
            FromNexus::Execute(call) => SporeStep::Execute(self.call(call)?),
            FromNexus::Cancel(cancel) => {
                self.needs_welcome("CANCEL")?;
                SporeStep::Cancel(cancel)
            }
            FromNexus::Answer(answer) => {
                self.needs_welcome("HIVE_ANSWER")?;
                SporeStep::Answer(answer)
            }
            FromNexus::Broadcast(broadcast) => {
                self.needs_welcome("BROADCAST")?;
                SporeStep::Broadcast(broadcast)
            }
            FromNexus::ReleaseAnswer(answer) => {
                self.needs_welcome("RELEASE_ANSWER")?;
                SporeStep::ReleaseAnswer(answer)
            }
            FromNexus::Disconnect(goodbye) => SporeStep::Goodbye(goodbye),
            FromNexus::Error(error) => SporeStep::PeerError(error),
        })
    }

    /// What a v1 nexus never sends.
    fn needs_welcome(&self, what: &str) -> Result<(), String> {
        if self.protocol() >= 2 {
            return Ok(());
        }
        Err(format!("{what} before WELCOME"))
    }

    fn welcomed(&mut self, welcome: Welcome) -> Result<Welcome, String> {
        if matches!(self.stage, Stage::Welcomed { .. }) {
            return Err("second WELCOME; a link is welcomed once".to_owned());
        }
        if !(1..=PROTOCOL_VERSION).contains(&welcome.protocol) {
            return Err(format!(
                "WELCOME for protocol {}, this spore speaks 1 to {PROTOCOL_VERSION}",
                welcome.protocol
            ));
        }
        self.stage = Stage::Welcomed {
            protocol: welcome.protocol,
        };
        Ok(welcome)
    }

    fn call(&self, call: ExecuteSkill) -> Result<ExecuteSkill, String> {
        if call.node_id != self.node_id {
            return Err(format!(
                "EXECUTE_SKILL for node {} sent to node {}",
                call.node_id, self.node_id
            ));
        }
        if call.timeout <= 0.0 {
            return Err(format!(
                "EXECUTE_SKILL with timeout {}; it must be over 0",
                call.timeout
            ));
        }
        Ok(call)
    }

    fn complain(&mut self, what: &str) -> SporeStep {
        match self.invalid.count(what) {
            Ok(error) => SporeStep::Complain {
                error,
                send: self.protocol() >= 2,
            },
            Err(reason) => self.close(close::POLICY, &reason),
        }
    }

    fn closed(&self) -> Option<SporeStep> {
        match &self.stage {
            Stage::Closed { code, reason } => Some(SporeStep::Close {
                code: *code,
                reason: reason.clone(),
            }),
            Stage::Unwelcomed | Stage::Welcomed { .. } => None,
        }
    }

    fn close(&mut self, code: u16, reason: &str) -> SporeStep {
        let reason = close_reason(reason);
        self.stage = Stage::Closed {
            code,
            reason: reason.clone(),
        };
        SporeStep::Close { code, reason }
    }
}
