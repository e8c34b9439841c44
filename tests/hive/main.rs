//! Whole-hive tests: the real nexus, real and simulated spores, real processes, and peers of protocol 1.

mod bad_input;
mod calls;
mod liveness;
mod processes;
mod sandbox;
mod v1;
