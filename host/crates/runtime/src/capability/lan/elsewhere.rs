//! Systems whose tables are not read yet: they say so.

use std::io;

use super::links::{FoundLink, FoundNeighbour};

fn unsupported<T>() -> io::Result<T> {
    Err(io::Error::new(
        io::ErrorKind::Unsupported,
        "links and neighbours are known on Linux only",
    ))
}

pub(super) fn links() -> io::Result<Vec<FoundLink>> {
    unsupported()
}

pub(super) fn neighbours() -> io::Result<Vec<FoundNeighbour>> {
    unsupported()
}
