//! What agents saw: taken in batch by batch, and what of it is known, changed and wrong.
//!
//! The rules are pure: `identity` says which thing was seen, `merge` what is known of it then, `sweep` and `report` do a whole batch, `finding` is
//! the life of a finding. `store` writes, `read` answers; both only say what the database is to do.

mod asset;
mod certificate;
mod clean;
mod discovery;
mod events;
mod finding;
mod identity;
mod ids;
mod ingest;
#[cfg(test)]
mod laws;
mod mac;
mod merge;
mod prune;
mod range;
mod read;
mod report;
mod store;
mod sweep;

pub use prune::Pruned;
pub use read::{AssetQuery, CertificateQuery, ChangeQuery, FindingQuery, ScanQuery};
