//! The link of a spore against a scripted nexus: a WebSocket server that does what a test says and nothing
//! else. Simulated spores are used, which have the real link; no skill runs here.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test binary: what goes wrong should stop the test, helpers included"
)]

mod broadcasts;
mod calls;
mod drain;
mod handshake;
mod hive;
mod loss;
mod nexus;
mod tls;
