//! The fleet at its promised size: ten thousand agents on one nexus that enrol, beat, push what they saw, and come back when the nexus
//! was killed. And a sweep of a /24 in the sandbox beside the same sweep without one.

mod agents;
mod http;
mod sweep;

use anyhow::Result;

use crate::Effort;
use crate::table::Row;

/// All rows.
pub(crate) fn measure(effort: Effort) -> Result<Vec<Row>> {
    let mut rows = agents::measure(effort)?;
    rows.extend(sweep::measure(effort)?);
    Ok(rows)
}
