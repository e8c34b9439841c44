//! `host`: the host program as a signed file. It is replaced from outside, by whoever starts it; nothing that a spore or a
//! skill does comes here.

mod apply;
mod place;
mod sign;
mod verify;

use crate::cli::HostCommand;
use crate::data_dir::DataDir;
use crate::failure::Failure;

/// What this program was built for.
const TARGET: &str = env!("VENOM_TARGET");

/// Runs one of the `host` commands.
pub(crate) fn run(command: HostCommand, data: &DataDir) -> Result<(), Failure> {
    match command {
        HostCommand::Sign(args) => sign::run(&args, data),
        HostCommand::Verify(args) => verify::run(&args, data),
        HostCommand::Apply(args) => super::wait(apply::run(&args, data)),
    }
}
