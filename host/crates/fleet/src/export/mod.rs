//! What is known, for other programs: findings as SARIF and OCSF, assets as CSV.

mod csv;
mod ocsf;
mod sarif;

pub use csv::assets_csv;
pub use ocsf::ocsf;
pub use sarif::sarif;

#[cfg(test)]
mod samples;
