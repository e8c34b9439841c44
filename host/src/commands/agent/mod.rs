//! `agent`: a machine that looks after its network for a nexus. Registering, the life of its process, and what an operator
//! does with all of them. What an agent does is in the crate `venom-agent`; skills run in the sandbox of a spore.

mod control;
mod outbox;
mod process;
mod register;
mod remote;
mod serve;
mod skills;
mod start;
mod status;
mod stop;
mod trouble;

use venom_agent::{AgentFile, AgentFileError};

use super::{wait, wait_on_all_cores};
use crate::cli::{AgentCommand, NexusClientArgs};
use crate::client::NexusClient;
use crate::data_dir::{DataDir, of_this_user};
use crate::failure::{Failure, chain};
use crate::settings::{ClientSettings, Sources};

pub(crate) use process::find as find_process;

/// Runs one of the `agent` commands.
pub(crate) fn run(command: AgentCommand, sources: Sources, data: DataDir) -> Result<(), Failure> {
    let client = |nexus: &NexusClientArgs| NexusClient::new(&ClientSettings::merge(nexus.clone(), &sources)?, &data);
    if matches!(
        command,
        AgentCommand::Register(_) | AgentCommand::Start(_) | AgentCommand::Outbox(_)
    ) {
        of_this_user(&data)?;
    }
    match command {
        AgentCommand::Register(args) => wait(register::run(*args, &sources, &data)),
        AgentCommand::Start(args) if args.foreground => wait_on_all_cores(serve::run(args, sources, data)),
        AgentCommand::Start(args) => start::run(&args, &sources, &data),
        AgentCommand::Stop(args) => stop::run(&args, &data),
        AgentCommand::Status(args) => status::run(&args, &data),
        AgentCommand::RunNow(args) => control::run_now(&args, &data),
        AgentCommand::Outbox(command) => outbox::run(command, &data),
        AgentCommand::List(args) => wait(async { remote::list(&args, &client(&args.nexus)?).await }),
        AgentCommand::Show(args) => wait(async { remote::show(&args, &client(&args.nexus)?).await }),
        AgentCommand::Approve(args) => wait(async { remote::approve(&args, &client(&args.nexus)?).await }),
        AgentCommand::Remove(args) => wait(async { remote::remove(&args, &client(&args.nexus)?).await }),
        AgentCommand::Scan(args) => wait(async { remote::scan(&args, &client(&args.nexus)?).await }),
    }
}

/// What this machine is told as an agent.
fn settings_of_agent(data: &DataDir) -> Result<AgentFile, Failure> {
    AgentFile::read(&data.0).map_err(|error| match &error {
        AgentFileError::Absent { .. } => Failure::new("this data directory is no agent yet")
            .because(format!("there is no {}", data.agent_file().display()))
            .help("register it: `venom-host agent register --enrol STRING`"),
        _ => Failure::usage(format!("{} cannot be used", data.agent_file().display()))
            .because(chain(&error))
            .help("repair it, or write a fresh one: `venom-host agent register --force ...`"),
    })
}
