//! What a skill did while a fake host was installed.

use std::cell::RefCell;
use std::fmt;
use std::net::SocketAddr;
use std::rc::Rc;

use serde_json::Value;

use super::{INSTALLED, State};
use crate::command::Command;
use crate::hive;
use crate::http::Request;
use crate::log::Level;

/// One log line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// How much it matters.
    pub level: Level,
    /// The text.
    pub message: String,
    /// Extra pairs.
    pub fields: Vec<(String, String)>,
}

/// One progress report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Work done.
    pub done: u32,
    /// Out of this much; 0: not known.
    pub total: u32,
    /// For people.
    pub note: String,
}

#[derive(Default)]
pub(super) struct Record {
    pub(super) commands: Vec<Command>,
    pub(super) http: Vec<Request>,
    pub(super) tasks: Vec<hive::Request>,
    pub(super) logs: Vec<LogLine>,
    pub(super) partials: Vec<Value>,
    pub(super) reports: Vec<Report>,
    pub(super) peeks: Vec<(SocketAddr, String)>,
    pub(super) pages: Vec<(SocketAddr, String)>,
}

/// Keeps a fake host installed, and tells what happened to it.
pub struct Recorder {
    state: Rc<RefCell<State>>,
    before: Rc<RefCell<State>>,
}

impl Recorder {
    pub(super) fn new(state: Rc<RefCell<State>>, before: Rc<RefCell<State>>) -> Self {
        Self { state, before }
    }

    /// Programs asked for, refused ones too.
    #[must_use]
    pub fn commands(&self) -> Vec<Command> {
        self.state.borrow().record.commands.clone()
    }

    /// HTTP requests, refused ones too.
    #[must_use]
    pub fn http(&self) -> Vec<Request> {
        self.state.borrow().record.http.clone()
    }

    /// Tasks submitted, refused ones too.
    #[must_use]
    pub fn tasks(&self) -> Vec<hive::Request> {
        self.state.borrow().record.tasks.clone()
    }

    /// Log lines.
    #[must_use]
    pub fn logs(&self) -> Vec<LogLine> {
        self.state.borrow().record.logs.clone()
    }

    /// Partial results.
    #[must_use]
    pub fn partials(&self) -> Vec<Value> {
        self.state.borrow().record.partials.clone()
    }

    /// Progress reports.
    #[must_use]
    pub fn reports(&self) -> Vec<Report> {
        self.state.borrow().record.reports.clone()
    }

    /// TLS handshakes asked for, with the server name of each, refused ones too.
    #[must_use]
    pub fn peeks(&self) -> Vec<(SocketAddr, String)> {
        self.state.borrow().record.peeks.clone()
    }

    /// Pages asked for by HTTPS whoever answers (`lan`), with the server name of each, refused ones too.
    #[must_use]
    pub fn pages(&self) -> Vec<(SocketAddr, String)> {
        self.state.borrow().record.pages.clone()
    }

    /// A cached value, as stored.
    #[must_use]
    pub fn cached(&self, key: &str) -> Option<Vec<u8>> {
        self.state.borrow().cache.get(key).map(|(value, _)| value.clone())
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        INSTALLED.with(|installed| installed.replace(Rc::clone(&self.before)));
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder").finish_non_exhaustive()
    }
}
