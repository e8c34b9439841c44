//! A reader of Server-Sent Events.

use serde_json::Value;

use crate::harness::{TestNexus, VIEWER, soon};

/// A stream, read event by event.
pub(crate) struct Sse {
    response: reqwest::Response,
    text: String,
}

/// One event.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) id: String,
    /// The `event` field.
    pub(crate) name: String,
    pub(crate) data: Value,
}

impl Sse {
    pub(crate) async fn open(nexus: &TestNexus, path: &str, last_id: Option<&str>) -> Self {
        let mut request = nexus.http.get(nexus.url(path)).bearer_auth(VIEWER);
        if let Some(id) = last_id {
            request = request.header("last-event-id", id);
        }
        let response = soon("the stream", request.send()).await.unwrap();
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self {
            response,
            text: String::new(),
        }
    }

    /// The next event; `None`: the stream ended.
    pub(crate) async fn said(&mut self) -> Option<Said> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let field = |name: &str| {
                    let found = block.lines().find_map(|line| line.strip_prefix(name));
                    found.unwrap_or("").to_owned()
                };
                let (id, name, data) = (field("id: "), field("event: "), field("data: "));
                self.text = rest.to_owned();
                if !data.is_empty() {
                    let data = serde_json::from_str(&data).unwrap();
                    return Some(Said { id, name, data });
                }
                continue;
            }
            let chunk = soon("an event", self.response.chunk()).await.ok()??;
            self.text.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }

    /// The next event: its id and its JSON.
    pub(crate) async fn next(&mut self) -> Option<(String, Value)> {
        self.said().await.map(|said| (said.id, said.data))
    }

    /// The next event of this type.
    pub(crate) async fn find(&mut self, kind: &str) -> (String, Value) {
        loop {
            let next = self.next().await;
            let (id, event) = next.unwrap_or_else(|| panic!("the stream ended before {kind}"));
            if event["type"] == kind {
                return (id, event);
            }
        }
    }
}
