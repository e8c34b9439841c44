//! One port of one host, while it is looked at: how to call it, and how patiently.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::check::Look;
use crate::line::{Line, Pace, Trouble};

/// A port of a host.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Visit<'a> {
    pub(crate) place: SocketAddr,
    /// The name by which the host is reached, if it has one.
    pub(crate) hostname: Option<&'a str>,
    pub(crate) pace: &'a Pace,
    /// For one conversation, from connecting to its end.
    pub(crate) timeout: Duration,
}

impl Visit<'_> {
    /// Opens a connection when it is its turn.
    pub(crate) async fn call(&self) -> Result<Line, Trouble> {
        self.pace.turn().await;
        Line::open(self.place, Instant::now() + self.timeout).await
    }

    /// Nothing can be said because of this; a refusal of the sandbox is passed on, as it ends everything.
    pub(crate) fn unknown<F>(&self, trouble: Trouble) -> Result<Look<F>, Trouble> {
        match trouble {
            Trouble::Denied(_) => Err(trouble),
            other => Ok(Look::Unknown(other.words())),
        }
    }
}
