//! `skill`: one file for each of its commands.

mod build;
mod inspect;
mod list;
mod new;

use crate::cli::SkillCommand;
use crate::data_dir::DataDir;
use crate::failure::Failure;
use crate::settings::Sources;

/// Runs one of the `skill` commands.
pub(crate) fn run(command: SkillCommand, sources: &Sources, data: &DataDir) -> Result<(), Failure> {
    match command {
        SkillCommand::New(args) => new::run(&args),
        SkillCommand::Build(args) => build::run(*args, sources, data),
        SkillCommand::Inspect(args) => inspect::run(args, sources, data),
        SkillCommand::List(args) => list::run(args, sources),
    }
}
