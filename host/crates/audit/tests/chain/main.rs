//! Logs as a service writes them, as a crash leaves them, and as somebody with an editor leaves them.

#![expect(clippy::unwrap_used, reason = "a helper of a test that fails is a test that fails")]

mod crashes;
mod stage;
mod tampering;
mod writing;
