//! The bundle crate from outside: what a publisher writes, what an attacker changes, what a host lets through.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "all of this is test code, where a panic is a failed test"
)]

mod asks_more;
mod docs;
mod documents;
mod golden;
mod golden_documents;
mod growing;
mod host_artefact;
mod hostile;
mod keys;
mod mutations;
mod packing;
mod policies;
mod random_documents;
mod rights;
mod stolen;
mod support;
mod swarm;
mod tampering;
mod verification;
