//! The table that `cargo xtask bench` prints.

/// One line: what was measured, the figure, the floor beside it and the promise.
pub(crate) struct Row {
    what: String,
    ours: String,
    floor: String,
    ratio: String,
    promise: &'static str,
    kept: bool,
}

impl Row {
    /// A figure that is compared with a floor measured in the same run.
    pub(crate) fn ratio(
        what: &str,
        ours: String,
        floor: String,
        ratio: f64,
        promise: &'static str,
        kept: bool,
    ) -> Self {
        Self {
            what: what.to_owned(),
            ours,
            floor,
            ratio: format!("{ratio:.2}"),
            promise,
            kept,
        }
    }

    /// A figure with a promise of its own.
    pub(crate) fn absolute(what: &str, ours: String, promise: &'static str, kept: bool) -> Self {
        Self {
            what: what.to_owned(),
            ours,
            floor: "-".to_owned(),
            ratio: "-".to_owned(),
            promise,
            kept,
        }
    }

    /// A measurement that did not come to its end.
    pub(crate) fn failed(what: &str, error: &anyhow::Error) -> Self {
        Self::absolute(what, format!("failed: {error:#}"), "-", false)
    }
}

/// Markdown, so that it can be pasted into notes.
pub(crate) fn render(rows: &[Row]) -> String {
    let mut text = String::from("| what | Venom | floor | ratio | promise | kept |\n|---|---|---|---|---|---|\n");
    for row in rows {
        let kept = if row.kept { "yes" } else { "NO" };
        let Row {
            what,
            ours,
            floor,
            ratio,
            promise,
            ..
        } = row;
        text.push_str(&format!(
            "| {what} | {ours} | {floor} | {ratio} | {promise} | {kept} |\n"
        ));
    }
    text
}

/// The value below which `share` (0..1) of the samples lie. Sorts them.
pub(crate) fn percentile(samples: &mut [f64], share: f64) -> f64 {
    samples.sort_by(f64::total_cmp);
    let last = samples.len().saturating_sub(1);
    let index = (last as f64 * share).round() as usize;
    samples.get(index).copied().unwrap_or(f64::NAN)
}
