//! Log lines on stderr. Stdout stays free for data.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

use crate::cli::{Cli, Command, LogFormat};
use crate::failure::Failure;
use crate::settings::{LogSettings, Sources};

/// Starts logging as the settings say; long-running commands log more than short ones unless told.
pub(crate) fn start(cli: &Cli, sources: &Sources) -> Result<(), Failure> {
    let settings = LogSettings::merge(&cli.global, sources)?;
    let filter = settings.filter.as_deref().unwrap_or(match cli.command {
        Command::Nexus(_) | Command::Spore(_) => "info",
        _ => "warn",
    });
    let filter = EnvFilter::try_new(filter).map_err(|error| {
        Failure::usage(format!("`{filter}` is no log filter"))
            .because(error.to_string())
            .help("write a level (error, warn, info, debug, trace) or targets: venom_nexus=debug,info")
    })?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    match settings.format {
        LogFormat::Text => builder.with_ansi(has_colour()).init(),
        LogFormat::Json => builder.json().init(),
    }
    Ok(())
}

fn has_colour() -> bool {
    let choice = anstream::AutoStream::choice(&std::io::stderr());
    choice != anstream::ColorChoice::Never && std::io::stderr().is_terminal()
}
