//! Asking Redis: runs scripts, loads those it does not know, and says in clear words why something was not done.

use std::time::Duration;

use redis::{Cmd, ErrorKind, Pipeline, ServerErrorKind, Value};

use super::RedisBroker;
use super::fault::told;
use super::link::Link;
use super::reply::Reader;
use super::script::Code;
use crate::Answer;

/// Longest time in ms that is told to Redis, about 300 years; longer ones would not fit its arithmetic.
const LONGEST: u64 = 10_000_000_000_000;

/// Whole ms, not less than the duration.
pub(super) fn millis(duration: Duration) -> u64 {
    let whole = u64::try_from(duration.as_nanos().div_ceil(1_000_000)).unwrap_or(LONGEST);
    whole.min(LONGEST)
}

impl RedisBroker {
    /// A key of this hive.
    pub(super) fn key(&self, rest: &str) -> String {
        format!("{}{rest}", self.tag)
    }

    pub(super) fn reader(&self) -> Reader<'_> {
        Reader { place: &self.place }
    }

    /// Starts a call of a script.
    pub(super) fn call(&self, code: &Code, values: usize, bytes: usize) -> Cmd {
        code.call(&self.key("n"), values, bytes)
    }

    /// Runs a script call on a connection.
    pub(super) async fn run(&self, link: &Link, code: &Code, call: &Cmd) -> Answer<Value> {
        let answer = link.ask(call).await?;
        let answer = match answer {
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                link.ask(&code.call_with_text(call)).await?
            }
            answer => answer,
        };
        answer.map_err(|error| told(&self.place, &error))
    }

    /// Runs one command.
    pub(super) async fn command(&self, cmd: &Cmd) -> Answer<Value> {
        self.quick.ask(cmd).await?.map_err(|error| told(&self.place, &error))
    }

    /// Runs several commands and gives their answers.
    pub(super) async fn commands(&self, pipeline: &Pipeline) -> Answer<Vec<Value>> {
        let answers = self.quick.ask_all(pipeline, pipeline.len()).await?;
        answers
            .into_iter()
            .map(|answer| answer.extract_error().map_err(|error| told(&self.place, &error)))
            .collect()
    }

    /// Which connection a request of so many tasks goes over.
    pub(super) fn link_for(&self, tasks: usize) -> &Link {
        /// More than these are a batch: answering it takes longer than a short request should wait.
        const QUICK: usize = 64;
        if tasks > QUICK { &self.bulk } else { &self.quick }
    }
}
