//! Whether lines follow one another. Fed line by line, it holds the end of the chain and nothing else; who reads the lines and
//! what follows from a break is decided elsewhere.

use sha2::{Digest as _, Sha256};

use crate::line::{self, Head, Reading, Record};
use crate::verify::Problem;

/// The event that closes a line a crash cut in half.
pub(crate) const REPAIRED: &str = "audit_repaired";
/// The event after which a log with a broken end is written on.
pub(crate) const BROKEN: &str = "audit_broken";

/// Where the first line that is fed stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum From {
    /// At the beginning of the file: everything is checked.
    Beginning,
    /// Somewhere: what is before the first line is not known, and after `audit_broken` a new start is taken as one.
    Somewhere,
}

/// A line that is none, which only the next one can excuse.
#[derive(Debug)]
struct Half {
    line: u64,
    problem: Problem,
    bytes: usize,
    sha256: String,
}

/// Lines checked so far.
#[derive(Debug)]
pub(crate) struct Chain {
    from: From,
    /// Lines fed.
    pub(crate) lines: u64,
    /// Of them those before the first of the chain.
    pub(crate) before: u64,
    /// Of them the halves that were closed off.
    pub(crate) repaired: u64,
    pub(crate) head: Option<Head>,
    prefix: Sha256,
    odd: Option<(u64, Problem)>,
    half: Option<Half>,
}

/// A problem and the line that has it.
pub(crate) type At = (u64, Problem);

impl Chain {
    pub(crate) fn new(from: From) -> Self {
        Self {
            from,
            lines: 0,
            before: 0,
            repaired: 0,
            head: None,
            prefix: Sha256::new(),
            odd: None,
            half: None,
        }
    }

    /// One that goes on from a known head.
    pub(crate) fn after(head: Head) -> Self {
        Self {
            head: Some(head),
            ..Self::new(From::Beginning)
        }
    }

    /// Takes the next line, without its line end. Answers its record when it is one of the chain.
    pub(crate) fn feed(&mut self, text: &[u8]) -> Result<Option<Record>, At> {
        self.lines += 1;
        let read = line::read(text);
        if let Reading::Chained(record) = read {
            self.follow(&record)?;
            return Ok(Some(*record));
        }
        let problem = match read {
            Reading::Unchained => Problem::Unchained,
            Reading::Altered => Problem::Altered,
            _ => Problem::NotALine,
        };
        if self.head.is_none() {
            self.stand_before(text, problem);
            return Ok(None);
        }
        if let Some(half) = self.half.take() {
            return Err((half.line, half.problem));
        }
        if matches!(problem, Problem::Unchained) {
            return Err((self.lines, problem));
        }
        self.half = Some(Half {
            line: self.lines,
            problem,
            bytes: text.len(),
            sha256: line::hex(text),
        });
        Ok(None)
    }

    /// The last piece of the file has no line end. Answers whether it is whole but for that.
    pub(crate) fn feed_half(&mut self, text: &[u8]) -> bool {
        let is_next = match line::read(text) {
            Reading::Chained(record) => self.half.is_none() && self.fits(&record).is_ok(),
            _ => false,
        };
        if is_next {
            // it fits, so this cannot fail
            let _ = self.feed(text);
        } else if self.head.is_none() {
            self.stand_before(text, Problem::NotALine);
        }
        is_next
    }

    /// Whether it ends as it should.
    pub(crate) fn end(&mut self) -> Result<(), At> {
        if let Some(half) = self.half.take() {
            return Err((half.line, half.problem));
        }
        match self.odd.take() {
            Some(odd) if self.head.is_none() => Err(odd),
            _ => Ok(()),
        }
    }

    /// What the next line must have as `prev`, and its number.
    pub(crate) fn next(&self) -> (u64, String) {
        match &self.head {
            Some(head) => (head.seq.saturating_add(1), head.hash.clone()),
            None => (1, line::finish(self.prefix.clone())),
        }
    }

    fn follow(&mut self, record: &Record) -> Result<(), At> {
        self.fits(record)?;
        if self.half.take().is_some() {
            self.repaired += 1;
        }
        self.head = Some(Head {
            seq: record.seq,
            hash: record.hash.clone(),
        });
        Ok(())
    }

    fn fits(&self, record: &Record) -> Result<(), At> {
        let is_unknown = self.head.is_none() || record.event == BROKEN;
        if self.from == From::Somewhere && is_unknown {
            return Ok(());
        }
        match &self.half {
            Some(half) if !half.is_closed_by(record) => return Err((half.line, half.problem.clone())),
            // before the first line of a chain a half is hashed with all the rest
            None if self.head.is_some() && closes_a_half(record) => return Err((self.lines, Problem::Detached)),
            _ => {}
        }
        let (expected, prev) = self.next();
        if record.seq != expected {
            let found = record.seq;
            return Err((self.lines, Problem::Number { expected, found }));
        }
        if record.prev != prev {
            return Err((self.lines, Problem::Detached));
        }
        Ok(())
    }

    /// A line before the chain. One that is no event is taken only when a chain follows that has it in its first hash.
    fn stand_before(&mut self, text: &[u8], problem: Problem) {
        self.before += 1;
        self.prefix.update(text);
        self.prefix.update(b"\n");
        if !matches!(problem, Problem::Unchained) && self.odd.is_none() {
            self.odd = Some((self.lines, problem));
        }
    }
}

impl Half {
    fn is_closed_by(&self, record: &Record) -> bool {
        closes_a_half(record)
            && record.facts.get("bytes").and_then(serde_json::Value::as_u64) == Some(self.bytes as u64)
            && record.facts.get("sha256").and_then(serde_json::Value::as_str) == Some(self.sha256.as_str())
    }
}

fn closes_a_half(record: &Record) -> bool {
    record.event == REPAIRED && record.facts.contains_key("sha256")
}
