//! Log lines on stderr, or in a file where nobody sees stderr. Stdout stays free for data.

mod rotating;

use std::io::IsTerminal as _;
use std::path::Path;
use std::sync::Mutex;

use tracing_subscriber::EnvFilter;

use crate::cli::{AgentCommand, Cli, Command, LogFormat};
use crate::failure::{Explain as _, Failure};
use crate::settings::{AgentSettings, LogSettings, Sources};

pub(crate) use rotating::RotatingFile;

/// Starts logging as the settings say; long-running commands log more than short ones unless told.
pub(crate) fn start(cli: &Cli, sources: &Sources) -> Result<(), Failure> {
    let settings = LogSettings::merge(&cli.global, sources)?;
    let filter = settings.filter.as_deref().unwrap_or(match cli.command {
        Command::Nexus(_) | Command::Spore(_) => "info",
        Command::Agent(AgentCommand::Start(ref start)) if start.foreground => "info",
        _ => "warn",
    });
    let filter = EnvFilter::try_new(filter).map_err(|error| {
        Failure::usage(format!("`{filter}` is no log filter"))
            .because(error.to_string())
            .help("write a level (error, warn, info, debug, trace) or targets: venom_nexus=debug,info")
    })?;
    if let Command::Agent(AgentCommand::Start(start)) = &cli.command
        && start.detached
    {
        let builder = tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(Mutex::new(open(&AgentSettings::merge(sources)?)?));
        match settings.format {
            LogFormat::Text => builder.with_ansi(false).init(),
            LogFormat::Json => builder.json().init(),
        }
        return Ok(());
    }
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    match settings.format {
        LogFormat::Text => builder.with_ansi(has_colour()).init(),
        LogFormat::Json => builder.json().init(),
    }
    Ok(())
}

/// The log of an agent in the background.
pub(crate) fn open(settings: &AgentSettings) -> Result<RotatingFile, Failure> {
    let path: &Path = &settings.log_file;
    RotatingFile::open(path, settings.log_max_size.as_u64(), settings.log_keep).or_advise(
        format!("cannot write the log {}", path.display()),
        "name another file with log_file in [agent] of venom.toml, or VENOM_AGENT_LOG_FILE",
    )
}

fn has_colour() -> bool {
    let choice = anstream::AutoStream::choice(&std::io::stderr());
    choice != anstream::ColorChoice::Never && std::io::stderr().is_terminal()
}
