//! The inventory's statements that write, and those that read what is about to be written. What is decided is decided elsewhere.

pub(crate) mod assets;
pub(crate) mod batches;
pub(crate) mod certificates;
pub(crate) mod changes;
pub(crate) mod findings;
mod place;
pub(crate) mod scans;
mod statement;

pub(crate) use place::Place;
pub(crate) use statement::{Columns, Statement, json, like};
