//! The one binary: reads the command line and the settings, runs the command, turns what came of it into an
//! exit code (0 fine, 1 failed, 2 used wrongly). Everything else is in `cli`, `settings` and `commands`.

mod cli;
mod client;
mod commands;
mod data_dir;
mod failure;
mod limits;
mod logging;
mod output;
mod params;
mod registry;
mod sandbox;
mod settings;
mod signals;

use std::process::ExitCode;

use clap::Parser as _;

use crate::cli::{AgentCommand, Cli, Command};
use crate::settings::{Environment, Sources};

fn main() -> ExitCode {
    // Exits by itself with code 2 on a wrong command line and 0 after --help.
    let cli = Cli::parse();
    match start(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.print();
            ExitCode::from(failure.exit_code())
        }
    }
}

fn start(cli: Cli) -> Result<(), failure::Failure> {
    // An error means somebody installed one before, which nobody can here.
    let _ = rustls::crypto::ring::default_provider().install_default();
    if let Command::CompileWorker(args) = &cli.command {
        // its parent says all it needs; it has no settings, no log and no environment
        return commands::compile_worker(args);
    }
    if let Command::Agent(AgentCommand::Start(start)) = &cli.command
        && start.detached
    {
        // out of the reach of the terminal it was started from; fails only where it is already
        let _ = rustix::process::setsid();
    }
    let sources = Sources::find(&cli.global, Environment::of_process());
    if let (Command::Doctor(args), Err(error)) = (&cli.command, &sources) {
        return commands::doctor_without_settings(args, error);
    }
    let sources = sources?;
    logging::start(&cli, &sources)?;
    commands::run(cli.command, sources)
}
