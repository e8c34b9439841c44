//! The real binary, as people and scripts see it: its words, its files, its exit codes, its signals.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a helper of a test that fails is a test that fails"
)]

mod agents;
mod audits;
mod brokers;
mod bundles;
mod compiling;
mod docs;
mod doctor;
mod drafts;
mod fake_nexus;
mod fleets;
mod guides;
mod help;
mod hive;
mod home;
mod host_program;
mod init;
mod lan;
mod maps;
mod mistakes;
mod provisioning;
#[path = "../../crates/broker/tests/support/redis_server.rs"]
#[expect(dead_code, clippy::expect_used, reason = "these tests use a part of it")]
mod redis_server;
mod registries;
mod registry_server;
mod releases;
mod roots;
mod serving;
mod skills;
mod ssh_server;
mod tasks;
