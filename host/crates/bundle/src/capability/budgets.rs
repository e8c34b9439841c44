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
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<ByteSize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub table_elements: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instances: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub handles: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host_call_bytes: Option<ByteSize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub random_bytes: Option<ByteSize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_lines: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
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
