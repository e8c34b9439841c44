//! The hive and the shared cache as the skills of a spore reach them: questions over the link to the nexus. What is
//! granted was checked by the runtime; depth, ownership and quota are the nexus's. Keeps nothing itself: without a
//! nexus everything is unavailable, and says so.

mod line;
mod link_cache;
mod link_hive;

use std::sync::Arc;

use venom_runtime::{BackendError, Backends};

pub(crate) use line::{Line, Nexus};
use link_cache::LinkCache;
use link_hive::LinkHive;

/// The spore's end of what [`link_backends`] made: give it to the spore whose link is to be used. It serves one.
#[derive(Debug)]
pub struct LinkPort(pub(crate) Arc<Line>);

impl Default for LinkPort {
    /// Of a spore whose skills do not reach the hive.
    fn default() -> Self {
        Self(Arc::new(Line::new()))
    }
}

/// Backends for a runtime, which is made before the spore and its link, and the port that connects them to it.
#[must_use]
pub fn link_backends() -> (Backends, LinkPort) {
    let port = LinkPort::default();
    let backends = Backends {
        cache: Arc::new(LinkCache(Arc::clone(&port.0))),
        hive: Arc::new(LinkHive(Arc::clone(&port.0))),
    };
    (backends, port)
}

/// An answer to another question than the one that was asked.
fn mismatch() -> BackendError {
    let text = "the nexus answered another question than was asked; are nexus and spore of versions that fit?";
    BackendError::Unavailable(text.to_owned())
}
