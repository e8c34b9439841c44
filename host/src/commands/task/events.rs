//! Server-Sent Events, as far as a nexus sends them. Pure: bytes in, events out.

/// One event.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct SentEvent {
    /// `status`, `report` or `partial`.
    pub(super) kind: String,
    /// Its number, where it has one: a stream can go on after it.
    pub(super) id: Option<String>,
    /// JSON.
    pub(super) data: String,
}

/// Most bytes of one line; a result of 4 MiB and what surrounds it fit.
const MAX_LINE: usize = 64 * 1024 * 1024;

/// Gathers bytes until they make events.
#[derive(Debug, Default)]
pub(super) struct Reader {
    line: Vec<u8>,
    event: SentEvent,
}

/// A line that never ends.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("a line of the stream is over {} MiB", MAX_LINE / (1024 * 1024))]
pub(super) struct TooLong;

impl Reader {
    /// Takes what came; gives the events that are complete now.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Result<Vec<SentEvent>, TooLong> {
        let mut events = Vec::new();
        let mut rest = bytes;
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let (line, after) = rest.split_at(end);
            self.line.extend_from_slice(line);
            rest = after.get(1..).unwrap_or_default();
            let line = String::from_utf8_lossy(&std::mem::take(&mut self.line)).into_owned();
            events.extend(self.line(line.strip_suffix('\r').unwrap_or(&line)));
        }
        self.line.extend_from_slice(rest);
        if self.line.len() > MAX_LINE {
            Err(TooLong)
        } else {
            Ok(events)
        }
    }

    fn line(&mut self, line: &str) -> Option<SentEvent> {
        if line.is_empty() {
            let event = std::mem::take(&mut self.event);
            return (!event.data.is_empty()).then_some(event);
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => self.event.kind = value.to_owned(),
            "id" => self.event.id = Some(value.to_owned()),
            "data" if self.event.data.is_empty() => self.event.data = value.to_owned(),
            "data" => {
                self.event.data.push('\n');
                self.event.data.push_str(value);
            }
            // a comment that keeps the connection, or a field of a later version
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &str =
        ": hello\n\nevent: partial\nid: 7\ndata: {\"ä\":\ndata: 1}\n\nevent:status\r\ndata:{}\r\n\r\ndata: cut";

    fn expected() -> Vec<SentEvent> {
        let event = |kind: &str, id: Option<&str>, data: &str| SentEvent {
            kind: kind.to_owned(),
            id: id.map(str::to_owned),
            data: data.to_owned(),
        };
        vec![event("partial", Some("7"), "{\"ä\":\n1}"), event("status", None, "{}")]
    }

    #[test]
    fn events_come_out_however_the_bytes_were_cut() {
        for size in 1..STREAM.len() {
            let mut reader = Reader::default();
            let chunks = STREAM.as_bytes().chunks(size);
            let events: Vec<SentEvent> = chunks.flat_map(|chunk| reader.take(chunk).unwrap()).collect();
            assert_eq!(events, expected(), "cut every {size} bytes");
        }
    }

    #[test]
    fn a_line_without_end_is_refused() {
        let mut reader = Reader::default();
        let chunk = vec![b'x'; MAX_LINE / 2];
        assert_eq!(reader.take(&chunk), Ok(Vec::new()));
        assert_eq!(reader.take(&chunk), Ok(Vec::new()));
        assert_eq!(reader.take(&chunk), Err(TooLong));
    }
}
