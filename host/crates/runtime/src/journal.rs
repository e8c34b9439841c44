//! What a call says: log lines, standard output and standard error, on their way to tracing with the call's
//! identity on each. It bounds the length and the number of lines, whatever the guest writes, and keeps the end
//! of standard error to explain a trap. It never blocks a guest.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tracing::Level;

/// Longest line; the rest of a longer one is dropped.
const MAX_LINE: usize = 4 << 10;
/// Lines of standard error kept to explain a trap. A Rust panic is three, a Python traceback ends in its reason.
const KEPT_LINES: usize = 8;

/// The voice of one call.
#[derive(Debug)]
pub(crate) struct Journal {
    pub(crate) skill: Arc<str>,
    pub(crate) task_id: String,
    pub(crate) traceparent: Option<String>,
    left: AtomicU32,
    dropped: AtomicU32,
    output: Mutex<PartialLine>,
    errors: Mutex<PartialLine>,
    last_errors: Mutex<VecDeque<String>>,
}

/// Where a line came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stream {
    /// Standard output.
    Output,
    /// Standard error.
    Errors,
}

#[derive(Debug, Default)]
struct PartialLine {
    bytes: Vec<u8>,
    cut: bool,
}

impl Journal {
    pub(crate) fn new(skill: Arc<str>, task_id: String, traceparent: Option<String>, lines: u32) -> Self {
        Self {
            skill,
            task_id,
            traceparent,
            left: AtomicU32::new(lines),
            dropped: AtomicU32::new(0),
            output: Mutex::default(),
            errors: Mutex::default(),
            last_errors: Mutex::default(),
        }
    }

    /// The trace id (32 hex digits) of the caller's `traceparent`, or nothing.
    pub(crate) fn trace_id(&self) -> &str {
        self.traceparent.as_deref().and_then(trace_id).unwrap_or_default()
    }

    /// One line of the `log` interface.
    pub(crate) fn log(&self, level: Level, message: &str, fields: &[(String, String)]) {
        if !self.take_line() {
            return;
        }
        let message = printable(message);
        if fields.is_empty() {
            self.event(level, &message);
            return;
        }
        let mut line = message;
        for (key, value) in fields {
            if line.len() >= MAX_LINE {
                break;
            }
            line.push(' ');
            line.push_str(&printable(key));
            line.push('=');
            line.push_str(&printable(value));
        }
        self.event(level, &line);
    }

    /// Bytes the guest wrote; whole lines go out, the rest waits.
    pub(crate) fn write(&self, stream: Stream, bytes: &[u8]) {
        let mut partial = self.partial(stream).lock().unwrap_or_else(PoisonError::into_inner);
        let mut rest = bytes;
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let (line, after) = rest.split_at(end);
            partial.push(line);
            self.line(stream, &mut partial);
            rest = after.strip_prefix(b"\n").unwrap_or(after);
        }
        partial.push(rest);
    }

    /// Sends what is unfinished and says how much was dropped. Called once, when the guest is gone.
    pub(crate) fn finish(&self) {
        for stream in [Stream::Output, Stream::Errors] {
            let mut partial = self.partial(stream).lock().unwrap_or_else(PoisonError::into_inner);
            if !partial.bytes.is_empty() {
                self.line(stream, &mut partial);
            }
        }
        let dropped = self.dropped.load(Ordering::Relaxed);
        if dropped > 0 {
            self.event(
                Level::WARN,
                &format!("dropped {dropped} lines over the budget `log_lines`"),
            );
        }
    }

    /// The reason a guest gave on standard error before it trapped.
    pub(crate) fn last_words(&self) -> Option<String> {
        let lines = self.last_errors.lock().unwrap_or_else(PoisonError::into_inner);
        last_words(lines.iter().map(String::as_str))
    }

    fn partial(&self, stream: Stream) -> &Mutex<PartialLine> {
        match stream {
            Stream::Output => &self.output,
            Stream::Errors => &self.errors,
        }
    }

    fn line(&self, stream: Stream, partial: &mut PartialLine) {
        let text = printable(&String::from_utf8_lossy(&partial.bytes));
        partial.bytes.clear();
        partial.cut = false;
        if stream == Stream::Errors && !text.is_empty() {
            let mut kept = self.last_errors.lock().unwrap_or_else(PoisonError::into_inner);
            if kept.len() == KEPT_LINES {
                kept.pop_front();
            }
            kept.push_back(text.clone());
        }
        if !text.is_empty() && self.take_line() {
            let level = if stream == Stream::Errors {
                Level::WARN
            } else {
                Level::INFO
            };
            self.event(level, &text);
        }
    }

    fn take_line(&self) -> bool {
        let taken = self
            .left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        if taken.is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        taken.is_ok()
    }

    fn event(&self, level: Level, line: &str) {
        macro_rules! emit {
            ($($level:ident),*) => {
                match level {
                    $(Level::$level => tracing::event!(
                        target: "skill", Level::$level,
                        skill = &*self.skill, task_id = self.task_id, trace_id = self.trace_id(), "{line}"
                    ),)*
                }
            };
        }
        emit!(ERROR, WARN, INFO, DEBUG, TRACE);
    }
}

impl PartialLine {
    fn push(&mut self, bytes: &[u8]) {
        let room = MAX_LINE.saturating_sub(self.bytes.len());
        let taken = bytes.get(..room).unwrap_or(bytes);
        self.bytes.extend_from_slice(taken);
        if taken.len() < bytes.len() && !self.cut {
            self.cut = true;
            self.bytes.extend_from_slice("…".as_bytes());
        }
    }
}

/// Control characters could forge lines or steer a terminal.
fn printable(text: &str) -> String {
    let mut line = String::with_capacity(text.len().min(MAX_LINE));
    for character in text.chars() {
        if line.len() >= MAX_LINE {
            line.push('…');
            break;
        }
        match character {
            '\t' => line.push(' '),
            '\r' | '\n' if line.is_empty() => {}
            character if character.is_control() => line.extend(character.escape_default()),
            character => line.push(character),
        }
    }
    line
}

/// The part of a `traceparent` (`00-<32 hex>-<16 hex>-<2 hex>`) that names the trace.
fn trace_id(traceparent: &str) -> Option<&str> {
    let id = traceparent.split('-').nth(1)?;
    (id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(id)
}

/// Of a Rust panic, what follows `panicked at`; otherwise the last line that is no advice.
fn last_words<'a>(lines: impl Iterator<Item = &'a str> + Clone) -> Option<String> {
    let mut after_panic = lines.clone().skip_while(|line| !line.contains("panicked at"));
    if let Some(place) = after_panic.next() {
        let place = place
            .rsplit_once("panicked at ")
            .map_or(place, |(_, place)| place)
            .trim_end_matches(':');
        let message: Vec<&str> = after_panic.take_while(|line| !line.starts_with("note: ")).collect();
        return Some(format!("panicked at {place}: {}", message.join(" ")));
    }
    lines
        .filter(|line| !line.starts_with("note: ") && !line.trim().is_empty())
        .last()
        .map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn journal(lines: u32) -> Journal {
        Journal::new("S".into(), "t".to_owned(), None, lines)
    }

    #[test]
    fn a_rust_panic_is_told_in_one_line() {
        let journal = journal(10);
        journal.write(
            Stream::Errors,
            b"\nthread '<unnamed>' (1) panicked at src/lib.rs:5:9:\nno ",
        );
        journal.write(Stream::Errors, b"luck\nnote: run with `RUST_BACKTRACE=1`\n");
        assert_eq!(journal.last_words().unwrap(), "panicked at src/lib.rs:5:9: no luck");
    }

    #[test]
    fn a_python_traceback_is_told_by_its_last_line() {
        let journal = journal(10);
        journal.write(Stream::Errors, b"Traceback:\n  File \"a.py\"\nValueError: no luck\n");
        assert_eq!(journal.last_words().unwrap(), "ValueError: no luck");
    }

    #[test]
    fn lines_are_bounded_in_length_and_number() {
        let journal = journal(2);
        let long = vec![b'x'; MAX_LINE * 3];
        journal.write(Stream::Errors, &long);
        journal.write(Stream::Errors, &long);
        assert!(journal.errors.lock().unwrap().bytes.len() <= MAX_LINE + 3);
        journal.write(Stream::Errors, b"\n1\n2\n3\n");
        assert_eq!(journal.left.load(Ordering::Relaxed), 0);
        assert_eq!(journal.dropped.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn a_guest_cannot_forge_lines_or_steer_a_terminal() {
        assert_eq!(printable("a\nERROR fake\u{1b}[2J"), "a\\nERROR fake\\u{1b}[2J");
    }

    #[test]
    fn the_trace_id_is_taken_from_a_well_formed_traceparent_only() {
        let id = "0af7651916cd43dd8448eb211c80319c";
        assert_eq!(trace_id(&format!("00-{id}-b7ad6b7169203331-01")), Some(id));
        assert_eq!(trace_id("00-evil\n-b7ad6b7169203331-01"), None);
        assert_eq!(trace_id(""), None);
    }
}
