//! Which node a call or a task goes to, or why none.

use venom_protocol::{LaneNeeds, NodeId, Requirements, Strategy};

use crate::index::{Among, Label, Order, Place, Query, Union, Wish};
use crate::task::TaskOrder;
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
        let (labels, excluded) = (required(requirements, skill), excluded(requirements));
        let lacking = labels.iter().find(|label| !self.index.has(**label, place));
        let unwanted = excluded.iter().find(|label| self.index.has(**label, place));
        let why = match (lacking, unwanted) {
            (Some(label), _) => format!("node {node_id} has the skill but not {label}"),
            (None, Some(label)) => format!("node {node_id} has the skill but also {label}, which is excluded"),
            (None, None) => return Ok(place),
        };
        Err(Rejection::NoneFits { why })
    }

    fn best(&self, requirements: &Requirements, skill: &str) -> Result<Place, Rejection> {
        let (labels, excluded) = (required(requirements, skill), excluded(requirements));
        let query = Query {
            labels: &labels,
            excluded: &excluded,
        };
        self.index
            .best(query, Among::Open, Order::Load, &[])
            .ok_or_else(|| self.why_none(query, skill))
    }

    /// Not on the path of a call that succeeds; still bounded by the nodes that have the skill.
    fn why_none(&self, query: Query<'_>, skill: &str) -> Rejection {
        if self.online == 0 {
            let why = "no node is online".to_owned();
            return Rejection::NoneFits { why };
        }
        let having_skill = self.having(&[Label::Skill(skill)], &[]).len();
        if having_skill == 0 {
            let known = self.index.skills().into_iter().take(Rejection::KNOWN_SKILLS_LISTED);
            return Rejection::UnknownSkill {
                known: known.cloned().collect(),
            };
        }
        let fitting = self.index.having(query);
        if fitting.is_empty() {
            return self.lacking(query, skill, having_skill);
        }
        let is_draining = |place: &Place| self.record(*place).is_some_and(NodeRecord::draining);
        if fitting.iter().all(is_draining) {
            Rejection::Draining
        } else {
            Rejection::Full
        }
    }

    /// Names the first requirement that leaves no node.
    fn lacking(&self, query: Query<'_>, skill: &str, having_skill: usize) -> Rejection {
        let nodes = if having_skill == 1 {
            "node online has"
        } else {
            "nodes online have"
        };
        let (labels, excluded) = (query.labels, query.excluded);
        let leaves_none = |labels: &[Label<'_>], excluded: &[Label<'_>]| self.having(labels, excluded).is_empty();
        let lacking = (1..=labels.len()).find_map(|count| {
            let asked = labels.get(..count)?;
            leaves_none(asked, &[]).then(|| asked.last()).flatten()
        });
        let unwanted = (1..=excluded.len()).find_map(|count| {
            let asked = excluded.get(..count)?;
            leaves_none(labels, asked).then(|| asked.last()).flatten()
        });
        let what = match (lacking, unwanted) {
            (Some(label), _) => format!("none with all that is required has {label}"),
            (None, Some(label)) => format!("every one with all that is required has {label}, which is excluded"),
            (None, None) => "none has all that is required".to_owned(),
        };
        let why = format!("{having_skill} {nodes} skill `{skill}`, but {what}");
        Rejection::NoneFits { why }
    }

    fn having(&self, labels: &[Label<'_>], excluded: &[Label<'_>]) -> Vec<Place> {
        self.index.having(Query { labels, excluded })
    }

    /// Where a task goes now; none when no node that fits has room.
    pub(crate) fn choose_for_task(&self, order: &TaskOrder, needs: &LaneNeeds) -> Option<Place> {
        if let Some(node_id) = needs.requirements.node_id {
            let place = *self.places.get(&node_id)?;
            return (self.room_at(place) > 0 && self.fits_at(needs, place)).then_some(place);
        }
        let (labels, excluded) = both(needs);
        let query = Query {
            labels: &labels,
            excluded: &excluded,
        };
        let first = match order.placement.strategy {
            Strategy::LeastLoaded => Order::Load,
            Strategy::RoundRobin => Order::Turn,
            Strategy::Spread => Order::Spread,
        };
        let preferred: Vec<Label<'_>> = order.placement.prefer_tags.iter().map(|tag| Label::Tag(tag)).collect();
        let mut wishes = Vec::new();
        if let Some(place) = order.avoid.and_then(|node_id| self.places.get(&node_id)) {
            wishes.push(Wish::Not(*place));
        }
        if let Some(group) = needs.group.as_ref().and_then(|name| self.groups.get(name)) {
            match order.placement.with_group {
                Some(true) => wishes.push(Wish::In(&group.places)),
                Some(false) => wishes.push(Wish::NotIn(&group.places)),
                None => {}
            }
        }
        if !preferred.is_empty() {
            wishes.push(Wish::Any(&preferred));
        }
        self.index.best(query, Among::Roomy, first, &wishes)
    }

    /// Tasks that all nodes that fit take now, at most `most`.
    pub(crate) fn room_for(&self, needs: &LaneNeeds, most: u64, union: &mut Union) -> u64 {
        let Some(node_id) = needs.requirements.node_id else {
            let (labels, excluded) = both(needs);
            let query = Query {
                labels: &labels,
                excluded: &excluded,
            };
            return self.index.room_of(query, most, union);
        };
        let place = self.places.get(&node_id).copied();
        let Some(place) = place.filter(|place| self.fits_at(needs, *place)) else {
            return 0;
        };
        union.add_place(place, &self.index);
        most.min(u64::from(self.room_at(place)))
    }

    /// Whether any node could take such a task, now or later.
    pub(crate) fn is_possible(&self, needs: &LaneNeeds) -> bool {
        if let Some(node_id) = needs.requirements.node_id {
            let place = self.places.get(&node_id).copied();
            let is_willing = |place: &Place| self.index.standing(*place).is_some_and(|node| node.willing);
            return place.is_some_and(|place| is_willing(&place) && self.fits_at(needs, place));
        }
        let (labels, excluded) = both(needs);
        self.index.any_willing(Query {
            labels: &labels,
            excluded: &excluded,
        })
    }

    /// Whether the node there has all that is needed.
    pub(crate) fn fits_at(&self, needs: &LaneNeeds, place: Place) -> bool {
        let (labels, excluded) = both(needs);
        let query = Query {
            labels: &labels,
            excluded: &excluded,
        };
        let named = needs.requirements.node_id;
        self.index.fits(query, place)
            && named.is_none_or(|named| self.record(place).is_some_and(|node| node.node_id == named))
    }

    fn room_at(&self, place: Place) -> u16 {
        self.index.standing(place).map_or(0, |node| node.room)
    }
}

/// All that a node must have, the skill first.
fn required<'a>(requirements: &'a Requirements, skill: &'a str) -> Vec<Label<'a>> {
    let others = requirements.capabilities.iter().map(|name| Label::Skill(name));
    let tags = requirements.tags.iter().map(|name| Label::Tag(name));
    std::iter::once(Label::Skill(skill))
        .chain(others)
        .chain(tags)
        .chain(requirements.gpu.then_some(Label::Gpu))
        .collect()
}

/// All that a node must not have.
fn excluded(requirements: &Requirements) -> Vec<Label<'_>> {
    requirements.exclude_tags.iter().map(|tag| Label::Tag(tag)).collect()
}

/// What a node must have and must not have for a lane.
fn both(needs: &LaneNeeds) -> (Vec<Label<'_>>, Vec<Label<'_>>) {
    (
        required(&needs.requirements, &needs.skill),
        excluded(&needs.requirements),
    )
}
