//! Lanes: tasks that the same nodes can run wait in the same lane, so that a nexus takes only work that its
//! spores can do, and never has to look at the rest.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::Requirements;

/// Name of a lane: the skill, then what else a node must have, then the group, in one canonical text such as
/// `EchoSkill;gpu;tag=lab;group=nightly`. Equal needs give equal lanes whatever the order they were written in.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Lane(Arc<str>);

/// What a lane stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaneNeeds {
    /// Skill that is run.
    pub skill: String,
    /// What else the node must have.
    pub requirements: Requirements,
    /// Group whose limits apply.
    pub group: Option<String>,
}

/// A text that is no lane.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no lane (expected a text such as EchoSkill;gpu;tag=lab)")]
pub struct InvalidLane(pub String);

impl Lane {
    /// The lane of tasks with these needs.
    #[must_use]
    pub fn of(skill: &str, requirements: &Requirements, group: Option<&str>) -> Self {
        let mut text = escaped(skill);
        if requirements.gpu {
            text.push_str(";gpu");
        }
        let mut add = |key: &str, values: &[String]| {
            let mut values: Vec<&String> = values.iter().collect();
            values.sort();
            values.dedup();
            for value in values {
                text.push_str(&format!(";{key}={}", escaped(value)));
            }
        };
        add("skill", &requirements.capabilities);
        add("tag", &requirements.tags);
        add("not", &requirements.exclude_tags);
        if let Some(node) = requirements.node_id {
            text.push_str(&format!(";node={node}"));
        }
        if let Some(group) = group {
            text.push_str(&format!(";group={}", escaped(group)));
        }
        Self(text.into())
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Group whose limits apply to it.
    #[must_use]
    pub fn group(&self) -> Option<String> {
        let (_, group) = self.0.rsplit_once(";group=")?;
        unescaped(group)
    }

    /// What it stands for.
    ///
    /// # Errors
    /// When the text was not made by [`Lane::of`], here or on another nexus.
    pub fn needs(&self) -> Result<LaneNeeds, InvalidLane> {
        let wrong = || InvalidLane(self.0.chars().take(128).collect());
        let mut parts = self.0.split(';');
        let skill = parts.next().and_then(unescaped).filter(|skill| !skill.is_empty());
        let mut needs = LaneNeeds {
            skill: skill.ok_or_else(wrong)?,
            requirements: Requirements::default(),
            group: None,
        };
        for part in parts {
            let (key, value) = part.split_once('=').unwrap_or((part, ""));
            let value = unescaped(value).ok_or_else(wrong)?;
            let requirements = &mut needs.requirements;
            match key {
                "gpu" => requirements.gpu = true,
                "skill" => requirements.capabilities.push(value),
                "tag" => requirements.tags.push(value),
                "not" => requirements.exclude_tags.push(value),
                "node" => requirements.node_id = Some(value.parse().map_err(|_| wrong())?),
                "group" => needs.group = Some(value),
                _ => return Err(wrong()),
            }
        }
        Ok(needs)
    }
}

impl fmt::Display for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl FromStr for Lane {
    type Err = InvalidLane;

    fn from_str(text: &str) -> Result<Self, InvalidLane> {
        let lane = Self(text.into());
        lane.needs().map(|_| lane)
    }
}

/// Percent-encodes what separates, `:` (keys of brokers use it), braces (hash tags) and what is not printable ASCII.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b';' | b'=' | b'%' | b':' | b'{' | b'}' | b'|' => out.push_str(&format!("%{byte:02X}")),
            b'!'..=b'~' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

fn unescaped(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let high = char::from(rest.next()?).to_digit(16)?;
        let low = char::from(rest.next()?).to_digit(16)?;
        bytes.push(u8::try_from(high * 16 + low).ok()?);
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::NodeId;

    fn requirements() -> Requirements {
        Requirements {
            gpu: true,
            capabilities: vec!["FileSkill".to_owned()],
            tags: vec!["location:server_room".to_owned(), "ä;b=%".to_owned()],
            exclude_tags: vec!["slow".to_owned()],
            node_id: Some(NodeId::random()),
        }
    }

    #[test]
    fn what_goes_in_comes_out() {
        let lane = Lane::of("EchoSkill", &requirements(), Some("a;group=b"));
        let needs = lane.needs().unwrap();
        assert_eq!(needs.skill, "EchoSkill");
        assert_eq!(needs.requirements, requirements_like(&needs.requirements));
        assert_eq!(needs.group.as_deref(), Some("a;group=b"));
        assert_eq!(lane.group().as_deref(), Some("a;group=b"));
        assert_eq!(lane.as_str().parse::<Lane>().unwrap(), lane);
        assert!(lane.as_str().is_ascii());
    }

    fn requirements_like(found: &Requirements) -> Requirements {
        Requirements {
            node_id: found.node_id,
            ..requirements()
        }
    }

    #[test]
    fn order_and_repetition_make_no_difference() {
        let with = |tags: &[&str]| Requirements {
            tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
            ..Requirements::default()
        };
        assert_eq!(
            Lane::of("EchoSkill", &with(&["a", "b", "a"]), None),
            Lane::of("EchoSkill", &with(&["b", "a"]), None)
        );
        assert_eq!(Lane::of("EchoSkill", &with(&[]), None).as_str(), "EchoSkill");
        assert_eq!(Lane::of("EchoSkill", &with(&[]), None).group(), None);
    }

    #[test]
    fn other_texts_are_no_lanes() {
        for wrong in [
            "",
            ";gpu",
            "EchoSkill;colour=red",
            "EchoSkill;node=7",
            "Echo%",
            "Echo%ff",
        ] {
            assert!(wrong.parse::<Lane>().is_err(), "{wrong}");
        }
    }
}
