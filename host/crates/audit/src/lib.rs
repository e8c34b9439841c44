//! The audit log: one JSON line for each event, each with a number, the hash of the line before it and its own.
//!
//! ```text
//! {"seq":7,"timestamp":"2026-01-02T03:04:05.678901+00:00","event":"auth_failed","peer":"10.0.0.1","prev":"<hash of line 6>","hash":"<own>"}
//! ```
//!
//! `hash` is the SHA-256, in lower-case hex, of the bytes of the line before `,"hash":"`; `prev` is the `hash` of the line before. The
//! first line has the number 1, and its `prev` is the SHA-256 of whatever stands before it in the file: nothing, or lines of
//! an older log without hashes, which so cannot be changed any more either.
//!
//! [`verify()`] therefore finds any line that was changed, removed, put in, repeated or moved, and lines missing at the beginning. Lines
//! missing at the end are found when a hash that was in the log is known from elsewhere ([`verify_with_head`]): [`AuditLog::append`]
//! answers it, and who keeps it where the writer of the log cannot reach has the proof. Without that, whoever may write the file can
//! write a whole new one: a chain alone shows damage and clumsiness, not a forger with the file in hand.
//!
//! A line that a crash cut in half is not dropped: it is ended, and the next line, `audit_repaired`, holds its length and hash. A log
//! whose end does not chain is written on all the same, after a line `audit_broken` that says why: a service does not stop for it, and
//! [`verify()`] will always say where it is broken. Rotation is not done here.

mod chain;
mod line;
mod log;
mod tail;
mod verify;

pub use line::{Event, Head, MAX_LINE, Record};
pub use log::{AuditError, AuditLog};
pub use verify::{Broken, Problem, Summary, records, verify, verify_with_head};
