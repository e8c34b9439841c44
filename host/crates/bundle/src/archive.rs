//! The `.venom` file: an uncompressed tar of exactly `envelope.json` and `component.wasm`, in that order. There is
//! one valid byte string for one pair of contents; whatever else a tar can hold is refused, and nothing is ever
//! unpacked to disk.

use std::io::Read;

/// Largest component.
pub const MAX_COMPONENT_BYTES: u64 = 64 * 1024 * 1024;

/// Why a file is no `.venom` archive.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// It ends too soon.
    #[error("it ends inside {part}: the file is cut short, fetch it again")]
    CutShort {
        /// Where.
        part: &'static str,
    },
}

pub(crate) struct Archive {
    pub(crate) envelope: Vec<u8>,
    pub(crate) component: Vec<u8>,
}

pub(crate) fn read(_reader: impl Read) -> Result<Archive, ArchiveError> {
    todo!()
}

pub(crate) fn write(_envelope: &[u8], _component: &[u8]) -> Vec<u8> {
    todo!()
}
