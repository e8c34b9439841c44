//! Whole-hive tests: the real nexus, real and simulated spores, real processes, and peers of protocol 1.

#![expect(
    clippy::indexing_slicing,
    reason = "a test binary: what goes wrong should stop the test, helpers included"
)]

mod agents;
mod bad_input;
mod calls;
mod chaos;
mod liveness;
mod netscan;
mod old_agents;
mod processes;
mod releases;
mod sandbox;
mod shield;
mod sites;
mod tasks;
mod v1;

#[path = "../../host/crates/broker/tests/support/redis_server.rs"]
#[expect(dead_code, clippy::expect_used, reason = "shared with tests that use the rest of it")]
mod redis_server;
