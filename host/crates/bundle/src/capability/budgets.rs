//! Budgets: how much of everything one call may use. Each is enforced by the runtime and each has a test
//! that fails when it is ignored.

use std::time::Duration;

use bytesize::ByteSize;
use serde::{Deserialize, Serialize};

/// The budgets in force for one skill.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Budgets {
    /// Longest a call may take, waiting included. The caller's own timeout can only shorten it.
    pub wall: Duration,
    /// Longest a call may compute, counted in 10 ms epoch ticks while the guest runs.
    pub cpu: Duration,
    /// Linear memory, all memories of the call together.
    pub memory: ByteSize,
    /// Elements of all tables together.
    pub table_elements: u32,
    /// Core instances of one call.
    pub instances: u32,
    /// Open handles (files, streams, sockets, pollables) at one time.
    pub handles: u32,
    /// Bytes the guest passes to the host in one host call.
    pub host_call_bytes: ByteSize,
    /// Random bytes drawn in one call.
    pub random_bytes: ByteSize,
    /// Log, stdout and stderr lines of one call.
    pub log_lines: u32,
    /// Bytes of the result and of all partial results together.
    pub output_bytes: ByteSize,
    /// Connections (TCP, UDP, HTTP) one call may open.
    pub connections: u32,
    /// Commands one call may run.
    pub commands: u32,
    /// Calls of the skill running at one time on one spore.
    pub concurrency: u32,
    /// Tasks one call may submit through `hive`.
    pub submissions: u32,
}

impl Default for Budgets {
    fn default() -> Self {
        Self {
            wall: Duration::from_secs(600),
            cpu: Duration::from_secs(60),
            memory: ByteSize::mib(64),
            table_elements: 100_000,
            instances: 64,
            handles: 1_000,
            host_call_bytes: ByteSize::mib(16),
            random_bytes: ByteSize::mib(1),
            log_lines: 1_000,
            output_bytes: ByteSize::mib(4),
            connections: 64,
            commands: 16,
            concurrency: 256,
            submissions: 1_000,
        }
    }
}

/// Budgets as a manifest, a ceiling or a policy writes them: only those it sets.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(missing_docs, reason = "each field is the one of the same name in `Budgets`")]
pub struct BudgetLimits {
    #[serde(with = "optional_duration", skip_serializing_if = "Option::is_none")]
    pub wall: Option<Duration>,
    #[serde(with = "optional_duration", skip_serializing_if = "Option::is_none")]
    pub cpu: Option<Duration>,
    #[serde(with = "optional_size", skip_serializing_if = "Option::is_none")]
    pub memory: Option<ByteSize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub table_elements: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instances: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub handles: Option<u32>,
    #[serde(with = "optional_size", skip_serializing_if = "Option::is_none")]
    pub host_call_bytes: Option<ByteSize>,
    #[serde(with = "optional_size", skip_serializing_if = "Option::is_none")]
    pub random_bytes: Option<ByteSize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_lines: Option<u32>,
    #[serde(with = "optional_size", skip_serializing_if = "Option::is_none")]
    pub output_bytes: Option<ByteSize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connections: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commands: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub submissions: Option<u32>,
}

impl Budgets {
    /// The budgets in force: the policy's word (skill over defaults over the built-in default), lowered
    /// by the ceiling and by what the manifest asked for. Neither can raise what the operator gave.
    #[must_use]
    pub fn resolve(
        manifest: &BudgetLimits,
        ceiling: &BudgetLimits,
        skill: &BudgetLimits,
        defaults: &BudgetLimits,
    ) -> Self {
        let built_in = Self::default();
        macro_rules! pick {
            ($($field:ident),*) => {
                Self { $($field: {
                    let given = skill.$field.or(defaults.$field).unwrap_or(built_in.$field);
                    [ceiling.$field, manifest.$field].into_iter().flatten().fold(given, |least, limit| least.min(limit))
                }),* }
            };
        }
        pick!(
            wall,
            cpu,
            memory,
            table_elements,
            instances,
            handles,
            host_call_bytes,
            random_bytes,
            log_lines,
            output_bytes,
            connections,
            commands,
            concurrency,
            submissions
        )
    }
}

impl BudgetLimits {
    /// Every budget by name, in milliseconds, bytes or pieces.
    pub(super) fn entries(&self) -> [(&'static str, Option<u64>); 14] {
        // Named one by one, so that a new budget does not compile until it is listed here.
        let Self {
            wall,
            cpu,
            memory,
            table_elements,
            instances,
            handles,
            host_call_bytes,
            random_bytes,
            log_lines,
            output_bytes,
            connections,
            commands,
            concurrency,
            submissions,
        } = self;
        let time = |limit: &Option<Duration>| limit.map(|limit| u64::try_from(limit.as_millis()).unwrap_or(u64::MAX));
        let bytes = |limit: &Option<ByteSize>| limit.map(|limit| limit.as_u64());
        let pieces = |limit: &Option<u32>| limit.map(u64::from);
        [
            ("wall", time(wall)),
            ("cpu", time(cpu)),
            ("memory", bytes(memory)),
            ("table_elements", pieces(table_elements)),
            ("instances", pieces(instances)),
            ("handles", pieces(handles)),
            ("host_call_bytes", bytes(host_call_bytes)),
            ("random_bytes", bytes(random_bytes)),
            ("log_lines", pieces(log_lines)),
            ("output_bytes", bytes(output_bytes)),
            ("connections", pieces(connections)),
            ("commands", pieces(commands)),
            ("concurrency", pieces(concurrency)),
            ("submissions", pieces(submissions)),
        ]
    }
}

impl Budgets {
    /// The same, as limits that set every budget.
    #[must_use]
    pub fn as_limits(&self) -> BudgetLimits {
        BudgetLimits {
            wall: Some(self.wall),
            cpu: Some(self.cpu),
            memory: Some(self.memory),
            table_elements: Some(self.table_elements),
            instances: Some(self.instances),
            handles: Some(self.handles),
            host_call_bytes: Some(self.host_call_bytes),
            random_bytes: Some(self.random_bytes),
            log_lines: Some(self.log_lines),
            output_bytes: Some(self.output_bytes),
            connections: Some(self.connections),
            commands: Some(self.commands),
            concurrency: Some(self.concurrency),
            submissions: Some(self.submissions),
        }
    }
}

/// Durations as `250ms`, `30s`, `5m`, `2h`, or a plain number of seconds.
pub(super) mod duration {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(crate) fn serialize<S: Serializer>(value: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        let milliseconds = value.as_millis();
        if milliseconds.is_multiple_of(1_000) {
            serializer.collect_str(&format_args!("{}s", milliseconds / 1_000))
        } else {
            serializer.collect_str(&format_args!("{milliseconds}ms"))
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Seconds(u64),
            Text(String),
        }
        match Written::deserialize(deserializer)? {
            Written::Seconds(seconds) => Ok(Duration::from_secs(seconds)),
            Written::Text(text) => parse(&text)
                .ok_or_else(|| D::Error::custom(format!("`{text}` is no duration (write 250ms, 30s, 5m or 2h)"))),
        }
    }

    fn parse(text: &str) -> Option<Duration> {
        let text = text.trim();
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at_checked(digits)?;
        let number: u64 = number.parse().ok()?;
        match unit.trim() {
            "ms" => Some(Duration::from_millis(number)),
            "s" | "" => Some(Duration::from_secs(number)),
            "m" => number.checked_mul(60).map(Duration::from_secs),
            "h" => number.checked_mul(3_600).map(Duration::from_secs),
            _ => None,
        }
    }
}

mod optional_duration {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    #[derive(Deserialize)]
    struct Written(#[serde(with = "super::duration")] Duration);

    pub(super) fn serialize<S: Serializer>(value: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => super::duration::serialize(value, serializer),
            None => serializer.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
        Option::<Written>::deserialize(deserializer).map(|written| written.map(|Written(value)| value))
    }
}

/// Sizes are read as `64 MiB` or a number of bytes, and written as a number: `ByteSize` itself writes rounded
/// text (`95.4 MiB`), and what is signed must be what was asked.
pub(super) mod size {
    use bytesize::ByteSize;
    use serde::{Deserialize as _, Serializer};

    pub(crate) fn serialize<S: Serializer>(value: &ByteSize, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(value.as_u64())
    }

    pub(crate) fn deserialize<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<ByteSize, D::Error> {
        ByteSize::deserialize(deserializer)
    }
}

pub(super) mod optional_size {
    use bytesize::ByteSize;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(value: &Option<ByteSize>, serializer: S) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => super::size::serialize(value, serializer),
            None => serializer.serialize_none(),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<ByteSize>, D::Error> {
        Option::deserialize(deserializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Limits that set only the named budget.
    fn only(name: &str, limit: u64) -> BudgetLimits {
        let unit = if matches!(name, "wall" | "cpu") { "ms" } else { "" };
        let quote = if unit.is_empty() { "" } else { "'" };
        toml::from_str(&format!("{name} = {quote}{limit}{unit}{quote}")).unwrap()
    }

    fn of(name: &str, limits: &BudgetLimits) -> Option<u64> {
        limits
            .entries()
            .into_iter()
            .find(|(other, _)| *other == name)
            .unwrap()
            .1
    }

    fn resolved(
        name: &str,
        manifest: Option<u64>,
        ceiling: Option<u64>,
        skill: Option<u64>,
        defaults: Option<u64>,
    ) -> u64 {
        let limits = |limit: Option<u64>| limit.map_or_else(BudgetLimits::default, |limit| only(name, limit));
        let budgets = Budgets::resolve(&limits(manifest), &limits(ceiling), &limits(skill), &limits(defaults));
        of(name, &budgets.as_limits()).unwrap()
    }

    #[test]
    fn neither_manifest_nor_ceiling_raises_any_budget_and_both_lower_every_one() {
        let built_in = Budgets::default().as_limits();
        for (name, _) in built_in.entries() {
            let default = of(name, &built_in).unwrap();
            assert_eq!(resolved(name, None, None, None, None), default, "{name}");
            assert_eq!(
                resolved(name, Some(default + 1), None, None, None),
                default,
                "{name}: manifest raised it"
            );
            assert_eq!(
                resolved(name, None, Some(default + 1), None, None),
                default,
                "{name}: ceiling raised it"
            );
            assert_eq!(
                resolved(name, Some(default + 2), Some(default + 1), None, None),
                default,
                "{name}"
            );
            assert_eq!(
                resolved(name, Some(default - 1), None, None, None),
                default - 1,
                "{name}: manifest ignored"
            );
            assert_eq!(
                resolved(name, None, Some(default - 1), None, None),
                default - 1,
                "{name}: ceiling ignored"
            );
            assert_eq!(
                resolved(name, Some(default - 1), Some(default - 2), None, None),
                default - 2,
                "{name}"
            );
            assert_eq!(
                resolved(name, Some(default - 2), Some(default - 1), None, None),
                default - 2,
                "{name}"
            );
            assert_eq!(
                resolved(name, None, None, None, Some(default + 5)),
                default + 5,
                "{name}: default ignored"
            );
            assert_eq!(
                resolved(name, None, None, Some(default + 7), Some(5)),
                default + 7,
                "{name}: policy ignored"
            );
            assert_eq!(
                resolved(name, Some(default), None, Some(default + 7), None),
                default,
                "{name}"
            );
        }
    }

    #[test]
    fn a_budget_moves_no_other_budget() {
        let built_in = Budgets::default().as_limits();
        for (name, _) in built_in.entries() {
            let lowered = Budgets::resolve(
                &only(name, 1),
                &BudgetLimits::default(),
                &BudgetLimits::default(),
                &BudgetLimits::default(),
            );
            for (other, limit) in lowered.as_limits().entries() {
                let expected = if other == name { Some(1) } else { of(other, &built_in) };
                assert_eq!(limit, expected, "{name} moved {other}");
            }
        }
    }

    #[test]
    fn limits_survive_being_written_exactly() {
        let limits = BudgetLimits {
            memory: Some(ByteSize::b(100_000_001)),
            wall: Some(Duration::from_millis(1_500)),
            cpu: Some(Duration::from_secs(90)),
            ..BudgetLimits::default()
        };
        let text = serde_json::to_string(&limits).unwrap();
        assert_eq!(text, r#"{"wall":"1500ms","cpu":"90s","memory":100000001}"#);
        assert_eq!(serde_json::from_str::<BudgetLimits>(&text).unwrap(), limits);
        assert_eq!(
            toml::from_str::<BudgetLimits>(&toml::to_string(&limits).unwrap()).unwrap(),
            limits
        );
    }

    #[test]
    fn durations_are_read_in_all_their_forms() {
        for (text, expected) in [
            ("'250ms'", 250),
            ("'30s'", 30_000),
            ("'5m'", 300_000),
            ("'2h'", 7_200_000),
            ("3", 3_000),
            ("'3'", 3_000),
        ] {
            let limits: BudgetLimits = toml::from_str(&format!("wall = {text}")).unwrap();
            assert_eq!(limits.wall, Some(Duration::from_millis(expected)), "{text}");
        }
        for bad in ["'-1s'", "-1", "'1d'", "''", "1.5", "'99999999999999999999s'"] {
            assert!(
                toml::from_str::<BudgetLimits>(&format!("wall = {bad}")).is_err(),
                "{bad}"
            );
        }
    }
}
