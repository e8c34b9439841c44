//! Reads answers of Redis. What has not the shape it should have is an answer that cannot be read, not a panic.

use redis::Value;
use venom_protocol::{SessionId, TaskId};

use crate::{Answer, BrokerError};

/// Reads values; knows who gave them for its messages.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a> {
    pub(super) place: &'a str,
}

impl Reader<'_> {
    pub(super) fn odd(self) -> BrokerError {
        BrokerError::Corrupt {
            broker: self.place.to_owned(),
            what: "an answer".to_owned(),
            why: "it has another shape than it should; see that all nexuses run the same version".to_owned(),
        }
    }

    pub(super) fn list(self, value: Value) -> Answer<Vec<Value>> {
        match value {
            Value::Array(values) | Value::Set(values) => Ok(values),
            Value::Nil => Ok(Vec::new()),
            _ => Err(self.odd()),
        }
    }

    pub(super) fn lists<const N: usize>(self, value: Value) -> Answer<[Value; N]> {
        self.list(value)?.try_into().map_err(|_| self.odd())
    }

    pub(super) fn bytes(self, value: Value) -> Answer<Vec<u8>> {
        match value {
            Value::BulkString(bytes) => Ok(bytes),
            Value::SimpleString(text) => Ok(text.into_bytes()),
            Value::Int(number) => Ok(number.to_string().into_bytes()),
            _ => Err(self.odd()),
        }
    }

    pub(super) fn text(self, value: Value) -> Answer<String> {
        String::from_utf8(self.bytes(value)?).map_err(|_| self.odd())
    }

    pub(super) fn number(self, value: Value) -> Answer<i64> {
        match value {
            Value::Int(number) => Ok(number),
            Value::Nil => Ok(0),
            #[expect(clippy::cast_possible_truncation, reason = "times and counts, far below 2^52")]
            Value::Double(number) => Ok(number as i64),
            other => self.text(other)?.parse().map_err(|_| self.odd()),
        }
    }

    pub(super) fn count(self, value: Value) -> Answer<u64> {
        // a counter led astray may be below zero for a while
        self.number(value).map(|number| u64::try_from(number).unwrap_or(0))
    }

    pub(super) fn pairs(self, value: Value) -> Answer<Vec<(Value, Value)>> {
        if let Value::Map(pairs) = value {
            return Ok(pairs);
        }
        let mut pairs = Vec::new();
        let mut values = self.list(value)?.into_iter().peekable();
        if matches!(values.peek(), Some(Value::Array(_))) {
            return values
                .map(|pair| self.lists(pair).map(|[first, second]| (first, second)))
                .collect();
        }
        while let (Some(first), Some(second)) = (values.next(), values.next()) {
            pairs.push((first, second));
        }
        Ok(pairs)
    }

    /// Ids; texts that are none were put there by others and are left out.
    pub(super) fn task_ids(self, value: Value) -> Answer<Vec<TaskId>> {
        let values = self.list(value)?.into_iter();
        Ok(values.filter_map(|value| task_id(&value)).collect())
    }

    pub(super) fn session_ids(self, value: Value) -> Answer<Vec<SessionId>> {
        let values = self.list(value)?.into_iter();
        Ok(values.filter_map(|value| as_text(&value)?.parse().ok()).collect())
    }
}

pub(super) fn as_text(value: &Value) -> Option<&str> {
    match value {
        Value::BulkString(bytes) => std::str::from_utf8(bytes).ok(),
        Value::SimpleString(text) => Some(text),
        _ => None,
    }
}

pub(super) fn task_id(value: &Value) -> Option<TaskId> {
    as_text(value)?.parse().ok()
}
