//! The end of a log that is to be written on: what its last line is, and what must be said before the next. It reads no more
//! of a long log than is needed to know, and writes nothing.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};

use serde_json::json;

use crate::chain::{BROKEN, Chain, From, REPAIRED};
use crate::line::{self, Event, Head, MAX_LINE};
use crate::verify::{Piece, Problem, read_line};

/// Read from the end of a long log: some lines, however long they are.
const WINDOW: u64 = 8 * MAX_LINE as u64;

/// Where a log ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tip {
    /// Bytes of the file.
    pub(crate) length: u64,
    /// Number of the next line.
    pub(crate) seq: u64,
    /// Its `prev`.
    pub(crate) prev: String,
}

impl Tip {
    /// The last line, if there is one.
    pub(crate) fn head(&self) -> Option<Head> {
        let seq = self.seq.checked_sub(1).filter(|seq| *seq > 0)?;
        Some(Head {
            seq,
            hash: self.prev.clone(),
        })
    }
}

/// The end that was found, and what is to be written first.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) tip: Tip,
    /// Whether the last line has no end.
    pub(crate) unended: bool,
    pub(crate) notice: Option<Event>,
}

/// Looks at a log of `length` bytes. `known`: where it ended when it was last looked at.
pub(crate) fn find(file: &File, length: u64, known: Option<&Tip>) -> io::Result<Found> {
    match known {
        Some(known) => since(file, length, known),
        None => anew(file, length),
    }
}

fn anew(file: &File, length: u64) -> io::Result<Found> {
    let begin = length.saturating_sub(WINDOW);
    if begin > 0 {
        let mut reader = part(file, begin, length)?;
        // the window begins within a line
        reader.skip_until(b'\n')?;
        let found = Scan::from(Chain::new(From::Somewhere)).run(reader, file, length)?;
        if found.tip.head().is_some() {
            return Ok(found);
        }
    }
    // short, or no chain at its end: the first line of one hashes all that is before it
    Scan::from(Chain::new(From::Beginning)).run(part(file, 0, length)?, file, length)
}

/// Others may have written since, and some may have done worse.
fn since(file: &File, length: u64, known: &Tip) -> io::Result<Found> {
    if length < known.length {
        let had = known.length;
        let reason = format!("the log had {had} bytes and now has {length}: lines are missing at its end");
        return Ok(Found {
            tip: Tip {
                length,
                ..known.clone()
            },
            unended: is_unended(file, length)?,
            notice: Some(broken(&reason)),
        });
    }
    match known.head() {
        Some(head) => Scan::from(Chain::after(head)).run(part(file, known.length, length)?, file, length),
        None => anew(file, length),
    }
}

/// The bytes from `offset` up to `length`.
fn part(file: &File, offset: u64, length: u64) -> io::Result<BufReader<impl Read>> {
    let mut file = file.try_clone()?;
    file.seek(SeekFrom::Start(offset))?;
    Ok(BufReader::new(file.take(length.saturating_sub(offset))))
}

fn is_unended(file: &File, length: u64) -> io::Result<bool> {
    let Some(last) = length.checked_sub(1) else {
        return Ok(false);
    };
    let mut byte = [0];
    part(file, last, length)?.read_exact(&mut byte)?;
    Ok(byte != *b"\n")
}

/// Lines read to the end, whatever they are: what is written next must follow the last of them.
struct Scan {
    chain: Chain,
    /// The last line known to be one, should none follow a break.
    lead: Option<Head>,
    /// The first break that no `audit_broken` tells of yet.
    fault: Option<Problem>,
    notice: Option<Event>,
}

impl Scan {
    fn from(chain: Chain) -> Self {
        Self {
            lead: chain.head.clone(),
            chain,
            fault: None,
            notice: None,
        }
    }

    fn run(mut self, mut reader: impl BufRead, file: &File, length: u64) -> io::Result<Found> {
        loop {
            match read_line(&mut reader) {
                Ok(Piece::Line(text)) => self.line(&text),
                Ok(Piece::Half(text)) => self.notice = Some(self.half(&text)),
                Ok(Piece::End) => break,
                Err(Problem::Read(error)) => return Err(io::Error::other(error)),
                Err(problem) => {
                    reader.skip_until(b'\n')?;
                    self.restart(problem);
                }
            }
        }
        if self.notice.is_none()
            && let Err((_, problem)) = self.chain.end()
        {
            self.fault.get_or_insert(problem);
        }
        if self.chain.head.is_none() {
            self.chain.head = self.lead;
        }
        let (seq, prev) = self.chain.next();
        let fault = self.fault.map(|problem| broken(&problem.to_string()));
        Ok(Found {
            tip: Tip { length, seq, prev },
            unended: is_unended(file, length)?,
            notice: fault.or(self.notice),
        })
    }

    fn line(&mut self, text: &[u8]) {
        let fed = self.chain.feed(text).or_else(|(_, problem)| {
            self.restart(problem);
            self.chain.feed(text)
        });
        if let Ok(Some(record)) = fed
            && record.event == BROKEN
        {
            self.fault = None;
        }
    }

    fn restart(&mut self, problem: Problem) {
        self.lead = self.chain.head.take().or(self.lead.take());
        self.chain = Chain::new(From::Somewhere);
        self.fault.get_or_insert(problem);
    }

    /// A piece without a line end: whole but for that, or cut short.
    fn half(&mut self, text: &[u8]) -> Event {
        let facts = if self.chain.feed_half(text) {
            json!({ "what": "the end of the line before this one was missing" })
        } else {
            json!({
                "what": "the line before this one was cut short",
                "bytes": text.len(),
                "sha256": line::hex(text),
            })
        };
        Event::now(REPAIRED, facts)
    }
}

fn broken(reason: &str) -> Event {
    Event::now(
        BROKEN,
        json!({ "reason": reason, "what": "the log does not chain before this line" }),
    )
}
