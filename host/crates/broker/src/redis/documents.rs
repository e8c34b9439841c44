//! Small documents that are changed by compare-and-set.

use redis::Value;

use super::RedisBroker;
use crate::error::check_record;
use crate::{Answer, BrokerError, Record};

impl RedisBroker {
    fn document_key(&self, name: &str) -> String {
        self.key(&format!("r:{name}"))
    }

    pub(super) async fn document(&self, name: &str) -> Answer<Option<Record>> {
        let mut get = redis::cmd("HMGET");
        get.arg(self.document_key(name)).arg("v").arg("b");
        let [version, bytes] = self.reader().lists(self.command(&get).await?)?;
        if version == Value::Nil && bytes == Value::Nil {
            return Ok(None);
        }
        let version = self.reader().text(version).ok().and_then(|text| text.parse().ok());
        match (version, bytes) {
            (Some(version), Value::BulkString(bytes)) => Ok(Some(Record { version, bytes })),
            _ => Err(BrokerError::Corrupt {
                broker: self.place.clone(),
                what: format!("record `{name}`"),
                why: "it has no version or no bytes; remove its key, and what it held is written anew".to_owned(),
            }),
        }
    }

    pub(super) async fn write_document(&self, name: &str, bytes: &[u8], expected: u64) -> Answer<bool> {
        check_record(name, bytes)?;
        let mut call = self.call(&self.scripts.document, 3, name.len() + bytes.len() + 32);
        call.arg(name).arg(expected).arg(bytes);
        let answer = self.run(&self.quick, &self.scripts.document, &call).await?;
        Ok(self.reader().number(answer)? == 1)
    }

    pub(super) async fn remove_document(&self, name: &str) -> Answer<bool> {
        let mut remove = redis::cmd("UNLINK");
        remove.arg(self.document_key(name));
        Ok(self.reader().number(self.command(&remove).await?)? == 1)
    }
}
