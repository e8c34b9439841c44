//! The real binary, as people and scripts see it: its words, its files, its exit codes, its signals.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a helper of a test that fails is a test that fails"
)]

mod bundles;
mod doctor;
mod help;
mod home;
mod init;
mod mistakes;
mod serving;
mod skills;
