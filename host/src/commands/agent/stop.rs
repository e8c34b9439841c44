//! `agent stop`: ends the agent of this data directory, and no other process.

use super::process;
use crate::cli::StopArgs;
use crate::data_dir::DataDir;
use crate::failure::Failure;
use crate::output;

/// Asks it to finish, waits, and after that makes it quit.
pub(super) fn run(args: &StopArgs, data: &DataDir) -> Result<(), Failure> {
    let Some(agent) = process::find(&data.agent_pid())? else {
        output::note(format!("no agent runs with {}", data.0.display()));
        return Ok(());
    };
    if agent.stop(args.timeout.0)? {
        return output::say(format!("stopped (pid {})", agent.pid));
    }
    output::note(format!(
        "it had not finished within {:?} and was told to quit",
        args.timeout.0
    ));
    output::say(format!("stopped (pid {})", agent.pid))
}
