//! The link of a spore against a scripted nexus: a WebSocket server that does what a test says and nothing
//! else. Simulated spores are used, which have the real link; no skill runs here.

mod calls;
mod drain;
mod handshake;
mod loss;
mod nexus;
mod tls;
