//! Reads an envelope and its payload in one pass when `message_type` comes before `payload`, as everybody
//! writes it; keeps the payload's text for later when it does not. Results may be megabytes long.

use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::frame::{FrameError, MAX_FRAME_BYTES};
use crate::message::{
    Body, Cancel, Disconnect, ErrorReport, ExecuteSkill, FromNexus, FromSpore, Handshake, Heartbeat, Progress,
    Response, StatusUpdate, Welcome,
};
use crate::{Broadcast, HiveAnswer, HiveAsk, ReleaseAnswer, ReleaseAsk, UpdateReport};

/// Messages that one end takes.
pub(crate) trait Incoming: Sized {
    /// The names they travel under.
    const TYPES: &'static [&'static str];

    /// Reads the payload of a message of that type, one of [`Self::TYPES`].
    fn read<'de, D: Deserializer<'de>>(message_type: &'static str, payload: D) -> Result<Self, D::Error>;
}

macro_rules! incoming {
    ($all:ident { $($body:ident => $variant:ident),* $(,)? }) => {
        impl Incoming for $all {
            const TYPES: &'static [&'static str] = &[$($body::MESSAGE_TYPE),*];

            fn read<'de, D: Deserializer<'de>>(message_type: &'static str, payload: D) -> Result<Self, D::Error> {
                $(if message_type == $body::MESSAGE_TYPE {
                    return $body::deserialize(payload).map(Self::$variant);
                })*
                Err(D::Error::unknown_variant(message_type, Self::TYPES))
            }
        }
    };
}
incoming!(FromSpore {
    Response => Response,
    Heartbeat => Heartbeat,
    Progress => Progress,
    Handshake => Handshake,
    StatusUpdate => Status,
    HiveAsk => Ask,
    ReleaseAsk => ReleaseAsk,
    UpdateReport => UpdateReport,
    Disconnect => Disconnect,
    ErrorReport => Error,
});
incoming!(FromNexus {
    ExecuteSkill => Execute,
    Cancel => Cancel,
    HiveAnswer => Answer,
    Broadcast => Broadcast,
    ReleaseAnswer => ReleaseAnswer,
    Welcome => Welcome,
    Disconnect => Disconnect,
    ErrorReport => Error,
});

/// One frame. An absent payload, or `null`, is an empty one.
pub(crate) fn read_envelope<M: Incoming>(text: &str) -> Result<M, FrameError> {
    if text.len() > MAX_FRAME_BYTES {
        return Err(FrameError::TooBig { size: text.len() });
    }
    let payload_of = Cell::new(None);
    let mut json = serde_json::Deserializer::from_str(text);
    let read = json
        .deserialize_map(EnvelopeVisitor::<M> {
            payload_of: &payload_of,
            messages: PhantomData,
        })
        .and_then(|envelope| json.end().map(|()| envelope));
    let envelope = read.map_err(|source| match payload_of.get() {
        Some(message_type) => FrameError::Payload { message_type, source },
        None => FrameError::Envelope(source),
    })?;
    let message_type = match envelope.message_type {
        Type::Known(message_type) => message_type,
        Type::Unknown(message_type) => return Err(FrameError::UnknownType { message_type }),
    };
    match envelope.payload {
        Payload::Read(message) => Ok(message),
        Payload::Kept(raw) if raw.get() != "null" => read_kept(message_type, raw.get()),
        Payload::Kept(_) | Payload::Absent => read_kept(message_type, "{}"),
    }
}

fn read_kept<M: Incoming>(message_type: &'static str, raw: &str) -> Result<M, FrameError> {
    // the end of a kept payload was found when it was kept
    M::read(message_type, &mut serde_json::Deserializer::from_str(raw))
        .map_err(|source| FrameError::Payload { message_type, source })
}

struct Envelope<'de, M> {
    message_type: Type,
    payload: Payload<'de, M>,
}

enum Type {
    Known(&'static str),
    /// Cut at 64 characters.
    Unknown(String),
}

enum Payload<'de, M> {
    Read(M),
    Kept(&'de RawValue),
    Absent,
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "snake_case")]
enum Field {
    MessageType,
    Payload,
    #[serde(other)]
    Other,
}

struct EnvelopeVisitor<'a, M> {
    /// Set while a payload is being read, so that an error can be told from one of the envelope.
    payload_of: &'a Cell<Option<&'static str>>,
    messages: PhantomData<M>,
}

impl<'de, M: Incoming> Visitor<'de> for EnvelopeVisitor<'_, M> {
    type Value = Envelope<'de, M>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an envelope with message_type and payload")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut message_type = None;
        let mut payload = Payload::Absent;
        while let Some(field) = map.next_key()? {
            match (field, &message_type) {
                (Field::MessageType, Some(_)) => return Err(A::Error::duplicate_field("message_type")),
                (Field::MessageType, None) => message_type = Some(map.next_value_seed(TypeSeed(M::TYPES))?),
                (Field::Payload, _) if !matches!(payload, Payload::Absent) => {
                    return Err(A::Error::duplicate_field("payload"));
                }
                (Field::Payload, Some(Type::Known(known))) => {
                    self.payload_of.set(Some(known));
                    payload = map.next_value_seed(PayloadSeed(known, PhantomData))?;
                    self.payload_of.set(None);
                }
                (Field::Payload, _) => payload = Payload::Kept(map.next_value()?),
                (Field::Other, _) => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(Envelope {
            message_type: message_type.ok_or_else(|| A::Error::missing_field("message_type"))?,
            payload,
        })
    }
}

/// Finds a message type among those known, without keeping the text.
struct TypeSeed(&'static [&'static str]);

impl<'de> DeserializeSeed<'de> for TypeSeed {
    type Value = Type;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Type, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for TypeSeed {
    type Value = Type;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a message type")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Type, E> {
        Ok(match self.0.iter().find(|known| **known == text) {
            Some(known) => Type::Known(known),
            None => Type::Unknown(text.chars().take(64).collect()),
        })
    }
}

struct PayloadSeed<M>(&'static str, PhantomData<M>);

impl<'de, M: Incoming> DeserializeSeed<'de> for PayloadSeed<M> {
    type Value = Payload<'de, M>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_option(self)
    }
}

/// `null` is as good as absent.
impl<'de, M: Incoming> Visitor<'de> for PayloadSeed<M> {
    type Value = Payload<'de, M>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the payload of {}", self.0)
    }

    fn visit_none<E: Error>(self) -> Result<Self::Value, E> {
        Ok(Payload::Absent)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        M::read(self.0, deserializer).map(Payload::Read)
    }
}
