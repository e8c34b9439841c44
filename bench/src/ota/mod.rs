//! Updates over the air: how fast a release is on a hundred spores, what ten thousand that come back at once cost, and what
//! a swap costs the calls around it.

mod fleet;
mod heard;
mod herd;
mod press;
mod swaps;

use anyhow::Result;

use crate::Effort;
use crate::table::Row;

pub(crate) fn measure(effort: Effort) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    rows.extend(swaps::measure(effort)?);
    rows.extend(fleet::measure(effort)?);
    rows.extend(herd::measure(effort)?);
    Ok(rows)
}
