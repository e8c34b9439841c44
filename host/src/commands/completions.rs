//! `completions`: a script for the shell, on stdout.

use clap::CommandFactory as _;

use crate::cli::{Cli, CompletionsArgs};

/// Prints the script.
pub(crate) fn run(args: &CompletionsArgs) {
    clap_complete::generate(args.shell, &mut Cli::command(), "venom-host", &mut std::io::stdout());
}
