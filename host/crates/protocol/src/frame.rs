//! Text frames to messages and back.
//!
//! Envelope: `{"message_type": T, "payload": {...}, "timestamp": "..."}`. Encoding repeats `message_type`
//! and `timestamp` inside the payload, as v1 peers expect them there.

use serde::Serialize;

use crate::envelope::read_envelope;
use crate::{Body, FromNexus, FromSpore, Timestamp};

/// Largest frame either end takes: 16 MiB. Results are bounded by the skill's own budget, far below.
pub const MAX_FRAME_BYTES: usize = 16 * 1024 * 1024;

/// A frame that is no message.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// Over [`MAX_FRAME_BYTES`].
    #[error("frame of {size} bytes is over the limit of {MAX_FRAME_BYTES}")]
    TooBig {
        /// Its size.
        size: usize,
    },
    /// Not an envelope.
    #[error("frame is no message envelope")]
    Envelope(#[source] serde_json::Error),
    /// A message type this end does not take.
    #[error("unknown message type `{message_type}`")]
    UnknownType {
        /// As it came, cut at 64 characters.
        message_type: String,
    },
    /// A payload that does not fit its type.
    #[error("payload of {message_type} does not fit")]
    Payload {
        /// Which type.
        message_type: &'static str,
        /// What did not fit.
        #[source]
        source: serde_json::Error,
    },
}

#[derive(Serialize)]
struct Outgoing<'a, B> {
    message_type: &'static str,
    payload: Stamped<'a, B>,
    timestamp: Timestamp,
}

#[derive(Serialize)]
struct Stamped<'a, B> {
    message_type: &'static str,
    #[serde(flatten)]
    body: &'a B,
    timestamp: Timestamp,
}

/// One text frame for `body`, stamped `now`.
///
/// # Errors
/// Only when a body cannot be written as JSON, which none of ours can cause.
pub fn encode<B: Body>(body: &B, now: Timestamp) -> Result<String, serde_json::Error> {
    serde_json::to_string(&Outgoing {
        message_type: B::MESSAGE_TYPE,
        payload: Stamped {
            message_type: B::MESSAGE_TYPE,
            body,
            timestamp: now,
        },
        timestamp: now,
    })
}

/// Reads a frame of a spore.
///
/// # Errors
/// [`FrameError`] says what did not fit; nothing is half-read.
pub fn decode_from_spore(text: &str) -> Result<FromSpore, FrameError> {
    read_envelope(text)
}

/// Reads a frame of a nexus.
///
/// # Errors
/// As [`decode_from_spore`].
pub fn decode_from_nexus(text: &str) -> Result<FromNexus, FrameError> {
    read_envelope(text)
}
