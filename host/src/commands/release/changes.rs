//! What a release changes, in words: versions, and what bundles ask for beyond those before them.

use venom_bundle::{Manifest, Release};
use venom_protocol::SkillChange;

use super::base::Base;
use super::bundles::{BundleFile, fetch_manifest};
use crate::client::NexusClient;
use crate::output;

/// What `release` changes against `before`; manifests of bundles that are not in `files` come from the nexus.
pub(super) async fn changes(
    client: &NexusClient,
    release: &Release,
    before: Option<&Base>,
    files: &[BundleFile],
) -> Vec<SkillChange> {
    let mut changes = Vec::new();
    for change in release.changes(before.map(|before| &before.release)) {
        let (from, to) = (
            change.from.map(|entry| &entry.bundle),
            change.to.map(|entry| &entry.bundle),
        );
        let known = to.and_then(|to| files.iter().find(|file| file.reference.sha256 == to.sha256));
        let new = known.map(|file| file.manifest.clone());
        let old = match from {
            Some(from) if new.is_some() => fetch_manifest(client, from).await,
            _ => None,
        };
        let (asks_more, asks_less) = compare(new.as_ref(), from.is_some(), old.as_ref());
        let approved = change.to.is_some_and(|entry| entry.approved);
        changes.push(SkillChange {
            skill: change.skill.to_owned(),
            from: from.map(|bundle| bundle.version.to_string()),
            to: to.map(|bundle| bundle.version.to_string()),
            // A skill that is new has nothing to be compared with: the policy decides.
            held: from.is_some() && !asks_more.is_empty() && !approved,
            asks_more,
            asks_less,
        });
    }
    changes
}

/// What the new bundle asks for beyond the old one, and the other way round. Where the old one cannot be had, nothing
/// is known to be covered.
fn compare(new: Option<&Manifest>, is_update: bool, old: Option<&Manifest>) -> (Vec<String>, Vec<String>) {
    match (new, old) {
        (Some(new), Some(old)) => (
            new.capabilities.beyond(&old.capabilities),
            old.capabilities.beyond(&new.capabilities),
        ),
        (Some(new), None) => {
            let asks = new.capabilities.lines().into_iter();
            let doubt = if is_update {
                " (what the version before asked for is not known here)"
            } else {
                ""
            };
            (asks.map(|ask| format!("{ask}{doubt}")).collect(), Vec::new())
        }
        (None, _) => (Vec::new(), Vec::new()),
    }
}

/// Lines for people.
pub(super) fn lines(changes: &[SkillChange]) -> Vec<String> {
    let mut lines = Vec::new();
    let (green, yellow, red) = (output::GREEN, output::YELLOW, output::RED);
    for change in changes {
        let skill = &change.skill;
        lines.push(match (&change.from, &change.to) {
            (Some(from), Some(to)) => format!("{skill}  {from} -> {to}"),
            (None, Some(to)) => format!("{green}{skill}  {to}, new{green:#}"),
            (Some(from), None) => format!("{red}{skill}  {from} goes{red:#}"),
            (None, None) => skill.clone(),
        });
        lines.extend(change.asks_more.iter().map(|ask| format!("    asks for  {ask}")));
        lines.extend(change.asks_less.iter().map(|ask| format!("    no longer {ask}")));
        if change.held {
            lines.push(format!(
                "    {yellow}HELD{yellow:#}: it asks for more than before, so spores keep the old one until you approve: \
                 --approve {skill}, or later `venom-host release approve {skill}`"
            ));
        }
    }
    if lines.is_empty() {
        lines.push("no skill changes".to_owned());
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(from: Option<&str>, to: Option<&str>, held: bool) -> SkillChange {
        SkillChange {
            skill: "Echo".to_owned(),
            from: from.map(str::to_owned),
            to: to.map(str::to_owned),
            asks_more: if held {
                vec!["command ls".to_owned()]
            } else {
                Vec::new()
            },
            asks_less: Vec::new(),
            held,
        }
    }

    #[test]
    fn a_held_skill_says_how_it_is_approved() {
        let text = lines(&[change(Some("1.0.0"), Some("2.0.0"), true)]).join("\n");
        let plain = anstream::adapter::strip_str(&text).to_string();
        assert!(
            plain.starts_with("Echo  1.0.0 -> 2.0.0\n    asks for  command ls\n    HELD"),
            "{plain}"
        );
        assert!(plain.contains("--approve Echo"), "{plain}");
    }

    #[test]
    fn coming_and_going_are_told() {
        let text = lines(&[change(None, Some("1.0.0"), false), change(Some("1.0.0"), None, false)]).join("\n");
        let plain = anstream::adapter::strip_str(&text).to_string();
        assert_eq!(plain, "Echo  1.0.0, new\nEcho  1.0.0 goes");
        assert_eq!(lines(&[]), ["no skill changes"]);
    }
}
