//! The `command` interface: counts the call's commands and hands them on to [`super::command`].

use std::time::Duration;

use tokio::time::Instant;

use super::command::{CommandError, CommandLimits, CommandOutput, CommandRequest, run};
use crate::bindings::GuestError;
use crate::bindings::venom::skill::command::{Host, Options, Output};
use crate::state::CallState;
use crate::stop::Stop;

impl Host for CallState {
    async fn run(&mut self, program: String, arguments: Vec<String>, options: Options) -> Result<Output, GuestError> {
        let limit = self.rights.budgets().commands;
        let left = self.left.commands.checked_sub(1);
        self.left.commands = left.ok_or_else(|| Stop::budget("commands", limit))?;
        let request = CommandRequest {
            program,
            arguments,
            directory: options.directory,
            environment: options.environment,
            input: options.input,
            timeout: (options.timeout_ms > 0).then(|| Duration::from_millis(options.timeout_ms.into())),
        };
        let limits = CommandLimits {
            remaining: self.task.deadline.saturating_duration_since(Instant::now()),
        };
        let ended = run(&self.rights.commands, request, limits, &self.task.cancel).await;
        // Whatever became of it, it may have written to any directory.
        for directory in &self.rights.directories {
            directory.forget_usage();
        }
        Ok(ended?.into())
    }
}

impl From<CommandOutput> for Output {
    fn from(output: CommandOutput) -> Self {
        Self {
            exit_code: output.exit_code,
            signal: output.signal,
            output: output.output,
            errors: output.errors,
            truncated: output.truncated,
        }
    }
}

impl From<CommandError> for GuestError {
    fn from(error: CommandError) -> Self {
        match error {
            CommandError::Denied(refusal) => refusal.into(),
            CommandError::TimedOut { .. } => Self::TimedOut(error.to_string()),
            CommandError::Cancelled => Self::Cancelled,
            CommandError::Start { ref source, .. } | CommandError::Lost { ref source, .. } => {
                Self::Failed(format!("{error}: {source}"))
            }
        }
    }
}
