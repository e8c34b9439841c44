//! What heartbeats said that is not written down yet.

/// What heartbeats said that is not written down yet.
#[derive(Debug, Default)]
pub(crate) struct Pulses {}
