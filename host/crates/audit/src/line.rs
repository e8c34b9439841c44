//! One line of the log: how it is written and what it says. It knows nothing of the lines around it but their hash.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};
use venom_protocol::Timestamp;

/// Most bytes of a line. Longer facts are replaced by their length, and no log has longer lines.
pub const MAX_LINE: usize = 64 << 10;
/// What the host writes of an event besides its facts.
const ENVELOPE: usize = 512;
/// Names that mean something else than a fact.
const RESERVED: [&str; 5] = ["seq", "timestamp", "event", "prev", "hash"];
/// Bytes of a hash in hex.
const HEX: usize = 64;
const HASH_OPENS: &[u8] = b",\"hash\":\"";
const HASH_CLOSES: &[u8] = b"\"}";

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// When.
    pub timestamp: Timestamp,
    /// What, in the past tense: `auth_failed`.
    pub event: String,
    /// The rest; never a secret.
    pub facts: Map<String, Value>,
}

impl Event {
    /// Something that happened now. `facts` is an object; anything else becomes the fact `facts`.
    #[must_use]
    pub fn now(event: impl Into<String>, facts: Value) -> Self {
        let facts = match facts {
            Value::Object(facts) => facts,
            Value::Null => Map::new(),
            other => Map::from_iter([("facts".to_owned(), other)]),
        };
        Self {
            timestamp: Timestamp::now(),
            event: event.into(),
            facts,
        }
    }
}

/// The last line of a log, by which the whole log before it is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Head {
    /// Its number, from 1.
    pub seq: u64,
    /// Its hash.
    pub hash: String,
}

/// A line as it was read; its own hash fits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Its number, from 1.
    pub seq: u64,
    /// When.
    pub timestamp: String,
    /// What.
    pub event: String,
    /// The rest.
    #[serde(flatten)]
    pub facts: Map<String, Value>,
    /// Hash of the line before.
    pub prev: String,
    /// Its own.
    pub hash: String,
}

/// What a line turned out to be.
#[derive(Debug)]
pub(crate) enum Reading {
    /// A line of a chain.
    Chained(Box<Record>),
    /// An event of an older log, without hashes.
    Unchained,
    /// A line of a chain that does not say what it said.
    Altered,
    /// Anything else.
    Garbage,
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    sha256(|hasher| hasher.update(bytes))
}

pub(crate) fn sha256(feed: impl FnOnce(&mut Sha256)) -> String {
    let mut hasher = Sha256::new();
    feed(&mut hasher);
    finish(hasher)
}

pub(crate) fn finish(hasher: Sha256) -> String {
    hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Adds a line to `batch` and answers the new head.
pub(crate) fn write(batch: &mut Vec<u8>, event: &Event, seq: u64, prev: &str) -> Head {
    let mut line = format!(
        "{{\"seq\":{seq},\"timestamp\":{},\"event\":{}",
        Value::from(event.timestamp.to_string()),
        Value::from(event.event.chars().take(ENVELOPE / 8).collect::<String>()),
    );
    let facts = facts(event);
    if facts.len() + line.len() + ENVELOPE > MAX_LINE {
        line.push_str(&format!(",\"facts_left_out_bytes\":{}", facts.len()));
    } else {
        line.push_str(&facts);
    }
    line.push_str(&format!(",\"prev\":\"{prev}\""));
    let hash = hex(line.as_bytes());
    batch.extend_from_slice(line.as_bytes());
    batch.extend_from_slice(HASH_OPENS);
    batch.extend_from_slice(hash.as_bytes());
    batch.extend_from_slice(HASH_CLOSES);
    batch.push(b'\n');
    Head { seq, hash }
}

/// `,"name":value` for each; a name that is taken gets `fact_` in front until it is not.
fn facts(event: &Event) -> String {
    let mut text = String::new();
    for (name, value) in &event.facts {
        let mut name = name.clone();
        let is_taken = |name: &String| {
            RESERVED.contains(&name.as_str()) || name.starts_with("fact_") && event.facts.contains_key(name)
        };
        if RESERVED.contains(&name.as_str()) {
            while is_taken(&name) {
                name = format!("fact_{name}");
            }
        }
        text.push_str(&format!(",{}:{value}", Value::from(name)));
    }
    text
}

/// Reads a line without its line end.
pub(crate) fn read(line: &[u8]) -> Reading {
    if let Some(record) = chained(line) {
        return Reading::Chained(Box::new(record));
    }
    match serde_json::from_slice::<Map<String, Value>>(line) {
        Ok(map) if ["seq", "prev", "hash"].iter().any(|name| map.contains_key(*name)) => Reading::Altered,
        Ok(_) => Reading::Unchained,
        Err(_) => Reading::Garbage,
    }
}

fn chained(line: &[u8]) -> Option<Record> {
    let rest = line.strip_suffix(HASH_CLOSES)?;
    let (rest, hash) = rest.split_at_checked(rest.len().checked_sub(HEX)?)?;
    let body = rest.strip_suffix(HASH_OPENS)?;
    if hex(body).as_bytes() != hash {
        return None;
    }
    serde_json::from_slice(line).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn written(facts: Value) -> (Vec<u8>, Record) {
        let mut batch = Vec::new();
        let head = write(&mut batch, &Event::now("tested", facts), 3, &hex(b"before"));
        assert_eq!(batch.pop(), Some(b'\n'));
        let Reading::Chained(record) = read(&batch) else {
            panic!("{}", String::from_utf8_lossy(&batch))
        };
        assert_eq!((record.seq, &record.hash), (3, &head.hash));
        assert_eq!(record.prev, hex(b"before"));
        (batch, *record)
    }

    #[test]
    fn a_line_says_what_happened_in_the_documented_order() {
        let (line, record) = written(json!({"peer": "10.0.0.1", "tries": 2}));
        assert_eq!(
            record.facts,
            *json!({"peer": "10.0.0.1", "tries": 2}).as_object().unwrap()
        );
        let text = String::from_utf8(line).unwrap();
        let (body, hash) = text.split_once(",\"hash\":\"").unwrap();
        assert_eq!(hash, format!("{}\"}}", hex(body.as_bytes())));
        let timestamp = &record.timestamp;
        assert!(timestamp.ends_with("+00:00"), "{timestamp}");
        let expected = format!(
            "{{\"seq\":3,\"timestamp\":\"{timestamp}\",\"event\":\"tested\",\"peer\":\"10.0.0.1\",\"tries\":2,\"prev\":\"{}\"",
            hex(b"before")
        );
        assert_eq!(body, expected);
    }

    #[test]
    fn facts_cannot_pose_as_the_chain() {
        let (_, record) =
            written(json!({"seq": 9, "fact_seq": 8, "hash": "x", "prev": "y", "event": "z", "timestamp": 0}));
        assert_eq!(record.event, "tested");
        let expected = json!({"fact_fact_seq": 9, "fact_seq": 8, "fact_hash": "x", "fact_prev": "y", "fact_event": "z",
            "fact_timestamp": 0});
        assert_eq!(record.facts, *expected.as_object().unwrap());
    }

    #[test]
    fn line_ends_within_facts_end_no_line() {
        let (line, record) = written(json!({"text": "a\nb\",\"hash\":\""}));
        assert!(!line.contains(&b'\n'));
        assert_eq!(record.facts["text"], "a\nb\",\"hash\":\"");
    }

    #[test]
    fn long_facts_are_left_out_and_said_to_be() {
        let (line, record) = written(json!({"text": "x".repeat(MAX_LINE)}));
        assert!(line.len() < 1_000);
        assert_eq!(record.facts["facts_left_out_bytes"], MAX_LINE + 10);
        let (line, _) = written(json!({"text": "x".repeat(MAX_LINE - 2 * ENVELOPE)}));
        assert!(
            line.len() > MAX_LINE - 2 * ENVELOPE && line.len() <= MAX_LINE,
            "{}",
            line.len()
        );
    }

    #[test]
    fn what_is_no_object_is_kept_as_one_fact() {
        assert_eq!(written(json!([1])).1.facts["facts"], json!([1]));
        assert!(written(Value::Null).1.facts.is_empty());
    }
}
