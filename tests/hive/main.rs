//! Whole-hive tests: the real nexus, real and simulated spores, real processes, and peers of protocol 1.

#![expect(
    clippy::indexing_slicing,
    reason = "a test binary: what goes wrong should stop the test, helpers included"
)]

mod bad_input;
mod calls;
mod liveness;
mod processes;
mod sandbox;
mod v1;
