//! Both ends of a link as pure state machines: text frames in, what to do out. They hold the rules of
//! CONTRACTS (swarm protocol): handshake first and once, ten invalid messages in a row close, a v1 peer is
//! sent nothing but calls, nobody speaks for another node. They never touch a socket, a clock or a token.

mod introduction;
mod invalid;
mod nexus_end;
mod spore_end;

pub use nexus_end::{NexusEnd, NexusStep};
pub use spore_end::{SporeEnd, SporeStep};

/// Largest frame taken before the handshake: nobody is authenticated yet.
pub const MAX_HANDSHAKE_BYTES: usize = 256 * 1024;
/// Longest node name, in characters.
pub const MAX_NAME_CHARS: usize = 128;
/// Longest name of one skill or tag, in characters.
pub const MAX_LABEL_CHARS: usize = 128;
/// Most skills a node may name.
pub const MAX_SKILLS: usize = 1_024;
/// Most tags a node may name.
pub const MAX_TAGS: usize = 256;
/// Longest token, boot id and version, in bytes.
pub const MAX_FIELD_BYTES: usize = 1_024;
/// Longest close reason (RFC 6455, control frames), in bytes.
pub const MAX_CLOSE_REASON_BYTES: usize = 123;
