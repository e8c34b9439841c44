//! The fleet: agents, how they enrol, what they saw, and what of it is known, changed and wrong. Kept in SQLite, or in
//! PostgreSQL for several nexuses.
//!
//! It opens no socket but the database's, starts no task and knows no clock: whoever asks says what time it is. What it
//! answers beside its answer are [`Event`](venom_protocol::Event)s, for the caller to publish.

mod agents;
mod cursor;
mod database;
mod error;
pub mod export;
mod fleet;
mod inventory;
mod settings;
mod stored;
mod text;

pub use agents::{Admission, AgentPass, AgentQuery};
pub use database::Database;
pub use error::FleetError;
pub use fleet::{Fleet, Outcome};
pub use inventory::{AssetQuery, CertificateQuery, ChangeQuery, FindingQuery, Pruned, ScanQuery};
pub use settings::FleetSettings;
