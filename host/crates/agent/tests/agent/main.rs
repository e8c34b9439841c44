//! The agent from outside: its outbox on disks that fail, its loop against nexuses that misbehave, and SIGKILL.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a helper of a test that fails is a test that fails"
)]

mod agent_loop;
mod commands;
mod deliveries;
mod faults;
mod kill;
mod outbox;
mod registration;
mod rotation;
mod server;
mod sim_disk;
mod stage;
mod tls;
mod week;
