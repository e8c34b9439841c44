//! The sandbox from outside: a hostile skill against every budget, every ending of a call, and loading.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests, which clippy does not see as tests"
)]

mod budgets;
mod endings;
mod files;
mod lan;
mod loading;
mod stage;
mod swapping;
