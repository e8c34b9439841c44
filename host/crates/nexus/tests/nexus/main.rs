//! The nexus over real sockets: a listener on port 0, fake spores that speak the wire by hand, and an HTTP
//! client that knows nothing of this crate. Conditions are waited for with a deadline, never slept for.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test binary: what goes wrong should stop the test, helpers included"
)]

mod harness;

mod agents;
mod calls;
mod door;
mod event_routes;
mod fallback;
mod faults;
mod hive_questions;
mod lifecycle;
mod links;

mod nexuses;
mod openapi;
mod release_kit;
mod releases;
mod releases_files;
mod releases_refused;
mod releases_rollouts;
mod releases_shared;
mod rest;
mod sse;
mod task_routes;
mod task_runs;
mod task_streams;
mod tls;

#[path = "../../../broker/tests/laws/chance.rs"]
#[expect(dead_code, clippy::expect_used, reason = "shared with tests that use the rest of it")]
mod chance;
#[path = "../../../broker/tests/laws/faulty.rs"]
mod faulty;
#[path = "../../../broker/tests/support/redis_server.rs"]
#[expect(dead_code, clippy::expect_used, reason = "other tests use the rest of it")]
mod redis_server;
