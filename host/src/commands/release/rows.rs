//! Rollouts in words: one headline, one row for each spore and skill. Pure.

use serde::Serialize;
use venom_protocol::{
    NodeId, RolloutCounts, RolloutState, RolloutView, SkillReport, SkillState, SporePlan, SporeProgress, UpdateReport,
};

use crate::output;

/// One skill of one spore.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Row {
    pub(super) node_id: NodeId,
    pub(super) node_name: String,
    pub(super) online: bool,
    pub(super) wave: Option<usize>,
    /// Absent: of the spore as a whole.
    pub(super) skill: Option<String>,
    pub(super) versions: String,
    pub(super) state: String,
    pub(super) reason: String,
}

/// How the rollout stands, on one line.
pub(crate) fn headline(view: &RolloutView) -> String {
    let style = match view.state {
        RolloutState::Completed => output::GREEN,
        RolloutState::Running => output::BOLD,
        RolloutState::Paused => output::YELLOW,
        RolloutState::Aborted | RolloutState::Reverted => output::RED,
    };
    let state = state_word(view.state);
    let wave = view.wave.saturating_sub(1);
    let percent = view.plan.waves.get(wave).map_or(100.0, |wave| wave.percent);
    let mut text = format!(
        "release {}.{} of {}: {style}{state}{style:#}, wave {} of {} ({percent}%), {}",
        view.epoch,
        view.seq,
        view.channel,
        view.wave,
        view.plan.waves.len(),
        counts(&view.counts),
    );
    if !view.reason.is_empty() {
        text.push_str(&format!(" - {}", view.reason));
    }
    text
}

/// The word of the REST.
pub(super) fn state_word(state: RolloutState) -> &'static str {
    match state {
        RolloutState::Running => "running",
        RolloutState::Paused => "paused",
        RolloutState::Aborted => "aborted",
        RolloutState::Reverted => "reverted",
        RolloutState::Completed => "completed",
    }
}

fn counts(counts: &RolloutCounts) -> String {
    if counts.targeted == 0 {
        return "no spore takes it yet".to_owned();
    }
    let mut text = format!("{} of {} committed", counts.committed, counts.targeted);
    let others = [
        (counts.soaking, "soaking"),
        (counts.failed, "failed"),
        (counts.held, "held"),
        (counts.reverted, "went back"),
        (counts.silent, "silent"),
    ];
    for (count, word) in others.into_iter().filter(|(count, _)| *count > 0) {
        text.push_str(&format!(", {count} {word}"));
    }
    text
}

/// All spores, in the order of their waves and names; local skills left out.
pub(super) fn rows(view: &RolloutView) -> Vec<Row> {
    let mut spores: Vec<&SporeProgress> = view.spores.iter().collect();
    spores.sort_by_key(|spore| (spore.wave.unwrap_or(usize::MAX), &spore.node_name, spore.node_id));
    spores.into_iter().flat_map(|spore| rows_of(spore, view)).collect()
}

fn rows_of(spore: &SporeProgress, view: &RolloutView) -> Vec<Row> {
    let row = |state: &str, reason: String| Row {
        node_id: spore.node_id,
        node_name: spore.node_name.clone(),
        online: spore.is_online,
        wave: spore.wave,
        skill: None,
        versions: String::new(),
        state: state.to_owned(),
        reason,
    };
    let Some(report) = &spore.report else {
        return vec![row("silent", "has not reported".to_owned())];
    };
    if report.root_version == 0 {
        return vec![row(
            "no root",
            "it takes no releases: give it the nexus's root.json".to_owned(),
        )];
    }
    let has_it = report
        .release
        .as_ref()
        .is_some_and(|mark| mark.sha256 == view.release_sha256);
    if !has_it {
        return vec![row(
            "waiting",
            trouble(report).unwrap_or_else(|| "has not heard of it yet".to_owned()),
        )];
    }
    let skills = report.skills.iter().filter(|skill| skill.state != SkillState::Local);
    let rows: Vec<Row> = skills
        .map(|skill| Row {
            skill: Some(skill.skill.clone()),
            versions: versions(skill),
            ..row(
                skill_word(skill.state),
                skill.reason.clone().or_else(|| trouble(report)).unwrap_or_default(),
            )
        })
        .collect();
    if rows.is_empty() {
        return vec![row("nothing to do", trouble(report).unwrap_or_default())];
    }
    rows
}

fn trouble(report: &UpdateReport) -> Option<String> {
    let alarm = report.alarm.as_ref().map(|alarm| format!("ALARM: {alarm}"));
    alarm.or_else(|| report.stale.as_ref().map(|stale| format!("stale: {stale}")))
}

/// `1.0.0 -> 2.0.0`, or the one version there is.
fn versions(skill: &SkillReport) -> String {
    match (&skill.version, &skill.wanted_version) {
        (Some(runs), Some(wanted)) if runs == wanted => runs.clone(),
        (Some(runs), Some(wanted)) => format!("{runs} -> {wanted}"),
        (None, Some(wanted)) => format!("- -> {wanted}"),
        (Some(runs), None) => runs.clone(),
        (None, None) => String::new(),
    }
}

fn skill_word(state: SkillState) -> &'static str {
    match state {
        SkillState::Local => "local",
        SkillState::Waiting => "waiting",
        SkillState::Held => "HELD",
        SkillState::Fetching => "fetching",
        SkillState::Staging => "staging",
        SkillState::Soaking => "soaking",
        SkillState::Committed => "committed",
        SkillState::RolledBack => "ROLLED BACK",
        SkillState::Failed => "FAILED",
        SkillState::Reverted => "reverted",
        SkillState::Removed => "removed",
    }
}

/// The rows as a table.
pub(super) fn table(rows: &[Row]) -> String {
    let cells: Vec<Vec<String>> = rows.iter().map(Row::cells).collect();
    output::table(&["NODE", "", "WAVE", "SKILL", "VERSION", "STATE", "WHY"], &cells)
}

impl Row {
    fn cells(&self) -> Vec<String> {
        vec![
            self.node_name.clone(),
            if self.online { "online" } else { "offline" }.to_owned(),
            wave(self.wave),
            self.skill.clone().unwrap_or_default(),
            self.versions.clone(),
            self.state.clone(),
            self.reason.clone(),
        ]
    }

    /// On one line, for a log.
    pub(super) fn line(&self) -> String {
        let words = self.cells().into_iter().filter(|cell| !cell.is_empty());
        words.collect::<Vec<_>>().join("  ")
    }
}

fn wave(wave: Option<usize>) -> String {
    wave.map_or_else(|| "not for it".to_owned(), |wave| wave.to_string())
}

/// What a dry run says of each spore.
pub(super) fn planned(spores: &[SporePlan]) -> String {
    let cells: Vec<Vec<String>> = spores
        .iter()
        .map(|spore| {
            let changes = if spore.changes.is_empty() {
                "nothing".to_owned()
            } else {
                spore.changes.join(", ")
            };
            let online = if spore.is_online { "online" } else { "offline" };
            vec![spore.node_name.clone(), online.to_owned(), wave(spore.wave), changes]
        })
        .collect();
    output::table(&["NODE", "", "WAVE", "CHANGES"], &cells)
}

#[cfg(test)]
#[path = "rows_tests.rs"]
mod tests;
