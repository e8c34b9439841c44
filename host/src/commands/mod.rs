//! One file (or folder) for each command: build from settings, run, report. No command reads flags' defaults,
//! the environment or the settings file by itself.

mod agent;
mod audit;
mod bundle;
mod completions;
mod discover;
mod doctor;
mod enrol;
mod exec;
mod host;
pub(crate) mod init;
mod key;
mod lan;
mod map;
mod nexus;
mod nodes;
mod provision;
mod registry;
mod release;
mod root;
mod run;
mod sites;
mod skill;
mod spore;
mod task;
mod uplink;

use std::future::Future;

use bytesize::ByteSize;

use crate::cli::{Command, CompileWorkerArgs, DoctorArgs};
use crate::data_dir::DataDir;
use crate::failure::{Explain as _, Failure};
use crate::settings::{ClientSettings, NexusSettings, SettingError, Sources, SporeSettings};

/// Runs a command to its end.
pub(crate) fn run(command: Command, sources: Sources) -> Result<(), Failure> {
    let data = DataDir(sources.data_dir.clone());
    match command {
        Command::Init(args) => init::run(&args, &data),
        Command::Nexus(args) => wait_on_all_cores(nexus::run(NexusSettings::merge(*args, &sources)?, data)),
        Command::Spore(args) => wait_on_all_cores(spore::run(
            SporeSettings::merge(*args, &sources, spore::host_name())?,
            data,
        )),
        Command::Run(args) => run::run(args, &sources, &data),
        Command::Exec(args) => {
            let client = ClientSettings::merge(args.nexus.clone(), &sources)?;
            wait(exec::run(args, client, data))
        }
        Command::Skill(command) => skill::run(command, &sources, &data),
        Command::Key(command) => key::run(command, &data),
        Command::Bundle(command) => bundle::run(command, &sources, &data),
        Command::Release(command) => wait(release::run(command, sources, data)),
        Command::Root(command) => root::run(command, sources, data),
        Command::Host(command) => host::run(command, &data),
        Command::Nodes(command) => wait(nodes::run(command, sources, data)),
        Command::Agent(command) => agent::run(command, sources, data),
        Command::Enrol(command) => wait(enrol::run(command, sources, data)),
        Command::Sites(args) => wait(sites::sites(args, sources, data)),
        Command::Assets(args) => wait(sites::assets(args, sources, data)),
        Command::Findings(args) => wait(sites::findings(*args, sources, data)),
        Command::Task(command) => wait(task::run(command, sources, data)),
        Command::Map(args) => {
            let client = ClientSettings::merge(args.nexus.clone(), &sources)?;
            wait(map::run(*args, client, data))
        }
        Command::Provision(args) => wait(provision::run(*args, sources, data)),
        Command::Discover(args) => wait(discover::run(args, sources)),
        Command::Audit(command) => audit::run(command),
        Command::Doctor(args) => wait(doctor::run(args, sources)),
        Command::Completions(args) => {
            completions::run(&args);
            Ok(())
        }
        Command::CompileWorker(args) => compile_worker(&args),
    }
}

/// `doctor` where the settings cannot even be read.
pub(crate) fn doctor_without_settings(args: &DoctorArgs, error: &SettingError) -> Result<(), Failure> {
    doctor::run_without_settings(args, error)
}

/// Compiles one component for the sandbox of another process.
pub(crate) fn compile_worker(args: &CompileWorkerArgs) -> Result<(), Failure> {
    venom_runtime::compile_worker(ByteSize::b(args.max_memory), args.length).or_fail("the component does not compile")
}

/// Runs on one thread: enough to wait for an answer.
fn wait(work: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .or_fail("cannot start the async runtime")?
        .block_on(work)
}

/// Runs on as many threads as there are cores.
fn wait_on_all_cores(work: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .or_fail("cannot start the async runtime")?;
    let result = runtime.block_on(work);
    // Whatever still blocks (a compile nobody waits for) must not keep the process.
    runtime.shutdown_background();
    result
}
