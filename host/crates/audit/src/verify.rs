//! Reading a log from its first line to its last. It changes nothing.

use std::io::{BufRead, Read as _};

use serde::Serialize;

use crate::chain::{Chain, From};
use crate::line::{Head, MAX_LINE, Record};

/// What an intact log is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Lines of the chain.
    pub lines: u64,
    /// Lines before it: of an older log, which had no hashes.
    pub before: u64,
    /// Lines that a crash cut in half and that were closed off.
    pub repaired: u64,
    /// Its last line; absent when there is no chain yet.
    pub head: Option<Head>,
}

/// Where a log is broken, and how.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct Broken {
    /// Number of the line in the file, from 1.
    pub line: u64,
    /// What is wrong with it.
    pub problem: Problem,
}

/// What can be wrong with a line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// Not an event.
    #[error("it is no line of an audit log")]
    NotALine,
    /// Its hash is not that of its text.
    #[error("its hash is not that of what it says: it was altered")]
    Altered,
    /// No hash, after lines that have one.
    #[error("it has no hash, and lines before it have: it was put in, or an older program wrote it")]
    Unchained,
    /// A number is missing or doubled.
    #[error("its number is {found} where {expected} follows: lines are missing, repeated or moved")]
    Number {
        /// What should be there.
        expected: u64,
        /// What is.
        found: u64,
    },
    /// The right number, but another line before it.
    #[error("it follows another line than the one before it: that one was replaced")]
    Detached,
    /// No line end.
    #[error(
        "it ends too soon: it is cut short, by a crash (then the next start of the service closes it off) or by hand"
    )]
    CutShort,
    /// Longer than any line.
    #[error("it is longer than any line of an audit log ({MAX_LINE} bytes)")]
    TooLong,
    /// The log does not have the line that was known.
    #[error("no line up to here has the hash {head}: lines are missing at the end, or the whole log was written anew")]
    WithoutHead {
        /// The hash.
        head: String,
    },
    /// The file cannot be read.
    #[error("it cannot be read: {0}")]
    Read(String),
}

/// Checks a whole log.
///
/// # Errors
/// At the first line that does not belong where it is.
pub fn verify(log: impl BufRead) -> Result<Summary, Broken> {
    check(log, |_| {})
}

/// Checks a whole log, and that the line with this hash is in it: what was there when the hash was noted is there now.
///
/// # Errors
/// At the first line that does not belong where it is, or at the last when none has the hash.
pub fn verify_with_head(log: impl BufRead, head: &str) -> Result<Summary, Broken> {
    let mut is_there = false;
    let summary = check(log, |record| is_there |= record.hash.eq_ignore_ascii_case(head))?;
    if is_there {
        return Ok(summary);
    }
    Err(Broken {
        line: summary.before + summary.lines + summary.repaired,
        problem: Problem::WithoutHead { head: head.to_owned() },
    })
}

/// Checks a whole log and answers the lines of its chain, the last `keep` of those that `wanted` takes.
///
/// # Errors
/// With the lines up to the first that does not belong where it is, and what is wrong with that one.
pub fn records(
    log: impl BufRead,
    keep: usize,
    wanted: impl Fn(&Record) -> bool,
) -> (Vec<Record>, Result<Summary, Broken>) {
    let mut kept = std::collections::VecDeque::new();
    let result = check(log, |record| {
        if wanted(record) {
            kept.push_back(record.clone());
            if kept.len() > keep {
                kept.pop_front();
            }
        }
    });
    (kept.into(), result)
}

fn check(mut log: impl BufRead, mut seen: impl FnMut(&Record)) -> Result<Summary, Broken> {
    let mut chain = Chain::new(From::Beginning);
    let at = |(line, problem)| Broken { line, problem };
    let mut lines = 0;
    loop {
        let next = read_line(&mut log);
        match next.map_err(|problem| at((chain.lines + 1, problem)))? {
            Piece::Line(text) => {
                if let Some(record) = chain.feed(&text).map_err(at)? {
                    lines += 1;
                    seen(&record);
                }
            }
            Piece::Half(_) => return Err(at((chain.lines + 1, Problem::CutShort))),
            Piece::End => break,
        }
    }
    chain.end().map_err(at)?;
    Ok(Summary {
        lines,
        before: chain.before,
        repaired: chain.repaired,
        head: chain.head,
    })
}

/// The next part of a file.
pub(crate) enum Piece {
    /// Up to a line end, without it.
    Line(Vec<u8>),
    /// Up to the end of the file, which is no line end.
    Half(Vec<u8>),
    /// Nothing.
    End,
}

/// Reads up to the next line end, and never more than a line may have.
pub(crate) fn read_line(log: &mut impl BufRead) -> Result<Piece, Problem> {
    let mut text = Vec::new();
    let limit = MAX_LINE as u64 + 1;
    let read = log.take(limit).read_until(b'\n', &mut text);
    read.map_err(|error| Problem::Read(error.to_string()))?;
    if text.pop_if(|last| *last == b'\n').is_some() {
        return Ok(Piece::Line(text));
    }
    match text.len() {
        0 => Ok(Piece::End),
        length if length > MAX_LINE => Err(Problem::TooLong),
        _ => Ok(Piece::Half(text)),
    }
}
