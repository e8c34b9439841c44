//! The bundle crate from outside: what a publisher writes, what an attacker changes, what a host lets through.

mod golden;
mod hostile;
mod keys;
mod mutations;
mod packing;
mod policies;
mod rights;
mod support;
mod tampering;
mod verification;
