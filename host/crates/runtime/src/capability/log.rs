//! The `log` interface: lines to tracing through the call's journal, which bounds them.

use wasmtime::Result;

use crate::bindings::venom::skill::log::{Host, Level};
use crate::state::CallState;

impl Host for CallState {
    fn write(&mut self, level: Level, message: String, fields: Vec<(String, String)>) -> Result<()> {
        let level = match level {
            Level::Trace => tracing::Level::TRACE,
            Level::Debug => tracing::Level::DEBUG,
            Level::Info => tracing::Level::INFO,
            Level::Warn => tracing::Level::WARN,
            Level::Error => tracing::Level::ERROR,
        };
        self.journal.log(level, &message, &fields);
        Ok(())
    }
}
