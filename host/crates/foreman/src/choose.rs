//! Which node a call goes to, or why none.

use venom_protocol::{NodeId, Requirements};

use crate::index::{Label, Place};
use crate::{Foreman, NodeRecord, Rejection, Target};

impl Foreman {
    pub(crate) fn choose(&self, target: &Target, skill: &str) -> Result<Place, Rejection> {
        match target {
            Target::Node(node_id) => self.this_node(*node_id, skill),
            Target::Best(requirements) => match requirements.node_id {
                Some(node_id) => self.this_node_if_fit(node_id, requirements, skill),
                None => self.best(requirements, skill),
            },
        }
    }

    fn this_node(&self, node_id: NodeId, skill: &str) -> Result<Place, Rejection> {
        let place = *self.places.get(&node_id).ok_or(Rejection::UnknownNode)?;
        let node = self.record(place).ok_or(Rejection::UnknownNode)?;
        if !node.is_online() {
            return Err(Rejection::Offline);
        }
        if !self.index.has(Label::Skill(skill), place) {
            let mut known = node.capabilities.skills.clone();
            known.sort();
            known.dedup();
            known.truncate(Rejection::KNOWN_SKILLS_LISTED);
            return Err(Rejection::UnknownSkill { known });
        }
        if node.draining() {
            return Err(Rejection::Draining);
        }
        if node.is_full(&self.settings) {
            return Err(Rejection::Full);
        }
        Ok(place)
    }

    fn this_node_if_fit(&self, node_id: NodeId, requirements: &Requirements, skill: &str) -> Result<Place, Rejection> {
        let place = self.this_node(node_id, skill)?;
        match required(requirements, skill).find(|label| !self.index.has(*label, place)) {
            Some(lacking) => Err(Rejection::NoneFits {
                why: format!("node {node_id} has the skill but not {lacking}"),
            }),
            None => Ok(place),
        }
    }

    fn best(&self, requirements: &Requirements, skill: &str) -> Result<Place, Rejection> {
        let labels: Vec<Label<'_>> = required(requirements, skill).collect();
        self.index.best(&labels).ok_or_else(|| self.why_none(&labels, skill))
    }

    /// Not on the path of a call that succeeds; still bounded by the nodes that have the skill.
    fn why_none(&self, labels: &[Label<'_>], skill: &str) -> Rejection {
        if self.online == 0 {
            let why = "no node is online".to_owned();
            return Rejection::NoneFits { why };
        }
        let having_skill = self.index.having(&[Label::Skill(skill)]).len();
        if having_skill == 0 {
            let known = self.index.skills().take(Rejection::KNOWN_SKILLS_LISTED);
            return Rejection::UnknownSkill {
                known: known.cloned().collect(),
            };
        }
        let fitting = self.index.having(labels);
        if fitting.is_empty() {
            return self.lacking(labels, skill, having_skill);
        }
        let is_draining = |place: &Place| self.record(*place).is_some_and(NodeRecord::draining);
        if fitting.iter().all(is_draining) {
            Rejection::Draining
        } else {
            Rejection::Full
        }
    }

    /// Names the first requirement that leaves no node.
    fn lacking(&self, labels: &[Label<'_>], skill: &str, having_skill: usize) -> Rejection {
        let nodes = if having_skill == 1 {
            "node online has"
        } else {
            "nodes online have"
        };
        let excluding = (1..=labels.len()).find_map(|count| {
            let asked = labels.get(..count)?;
            self.index.having(asked).is_empty().then(|| asked.last()).flatten()
        });
        let why = match excluding {
            Some(label) => {
                format!("{having_skill} {nodes} skill `{skill}`, but none with all that is required has {label}")
            }
            None => format!("{having_skill} {nodes} skill `{skill}`, but none has all that is required"),
        };
        Rejection::NoneFits { why }
    }
}

/// All that a node must have, the skill first.
fn required<'a>(requirements: &'a Requirements, skill: &'a str) -> impl Iterator<Item = Label<'a>> {
    let others = requirements.capabilities.iter().map(|name| Label::Skill(name));
    let tags = requirements.tags.iter().map(|name| Label::Tag(name));
    std::iter::once(Label::Skill(skill))
        .chain(others)
        .chain(tags)
        .chain(requirements.gpu.then_some(Label::Gpu))
}
