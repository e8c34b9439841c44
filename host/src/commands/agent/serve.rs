//! The agent itself, in this process: the loop of `venom-agent` and, where `link` says so, a spore of the same nexus, with the
//! same id, token and skills. The two do not wait for each other: a nexus that lacks one half leaves the other at work.

use std::sync::Arc;

use tokio::sync::{oneshot, watch};
use tokio_util::sync::CancellationToken;
use venom_agent::{
    Agent, AgentFile, AgentState, Client, OUTBOX_DIRECTORY, Outbox, Phase, RealDisk, RunNow, TokenFile, tls_config,
};
use venom_protocol::NodeId;

use super::control::Control;
use super::skills::Skills;
use super::{process, settings_of_agent, start};
use crate::cli::{SporeArgs, StartArgs};
use crate::commands::spore::{Worker, host_name};
use crate::data_dir::DataDir;
use crate::failure::{Explain as _, Failure};
use crate::output;
use crate::settings::{AgentSettings, Secret, Sources, SporeSettings};
use crate::signals::Signals;

/// Runs the agent until it is asked to stop.
pub(super) async fn run(args: StartArgs, sources: Sources, data: DataDir) -> Result<(), Failure> {
    let own = AgentSettings::merge(&sources)?;
    let file = settings_of_agent(&data)?;
    let _held = hold(&data)?;
    tracing::info!(?file, ?own, "settings of this agent");
    let token = token(&data)?;
    let spore = spore_settings(&file, &token, &sources)?;
    let mut worker = Worker::prepare(&spore, &data, &token).await?;
    of_agent(&mut worker.told, &file)?;
    let client = Client::new(&file.nexus, file.pin, file.ca_file.as_deref()).or_advise(
        "the nexus cannot be used",
        "repair nexus, pin and ca_file in agent.toml",
    )?;
    let agent = agent(&file, &client, &worker, &data)?;
    let signals = Signals::watch()?;
    if args.detached {
        // who started it has heard all that can be wrong at once: from here on words go to the log
        let log = crate::logging::open(&own)?;
        log.take_stderr().or_fail("stderr cannot become the log")?;
    }
    let (state, run_now) = (agent.state(), agent.run_now());
    let worker = worker.of_agent(agent.commands_due());
    let hears = listen(&data, &file, &run_now);
    let shown = worker.told.token.clone();
    let drain = signals.drain.clone();
    let both = async {
        tokio::join!(
            agent.run(drain.clone()),
            link(file.link, worker, &spore, &drain, &signals.quit)
        );
    };
    tokio::select! {
        () = both => Ok(()),
        () = signals.quit.cancelled() => Err(Failure::new("the agent was told to quit before it had finished")),
        never = hears => never,
        failure = follow(state, &client, &shown, args.detached) => Err(failure),
    }
}

/// The place of this data directory's agent.
fn hold(data: &DataDir) -> Result<process::Held, Failure> {
    let path = data.agent_pid();
    if let Some(held) = process::hold(&path)? {
        return Ok(held);
    }
    Err(match process::find(&path)? {
        Some(agent) => start::already(&agent),
        // it ended in between
        None => Failure::new("another agent used this data directory a moment ago").help("try again"),
    })
}

fn token(data: &DataDir) -> Result<Secret, Failure> {
    let tokens = TokenFile::open(&data.0, Arc::new(RealDisk)).or_advise(
        "this agent has no token",
        "register it again: `venom-host agent register --enrol STRING`",
    )?;
    Ok(Secret::new(tokens.current().reveal()))
}

/// What the spore within the agent is told: all that a spore here would be, but for where it works, as whom and with what.
fn spore_settings(file: &AgentFile, token: &Secret, sources: &Sources) -> Result<SporeSettings, Failure> {
    let args = SporeArgs {
        nexus: Some(file.nexus.clone()),
        token: Some(token.reveal().to_owned()),
        name: Some(file.name.clone()),
        ca_file: file.ca_file.clone(),
        ..SporeArgs::default()
    };
    let mut settings = SporeSettings::merge(args, sources, host_name())?;
    // those of a spore beside it: the agent says itself whom it trusts, and is registered already
    settings.ca_file.clone_from(&file.ca_file);
    settings.uplink = None;
    Ok(settings)
}

/// The agent's id is the node's, and a pin is all its links trust, too.
fn of_agent(told: &mut venom_spore::SporeSettings, file: &AgentFile) -> Result<(), Failure> {
    let id = file.agent_id.as_str().parse::<NodeId>();
    if file.link {
        told.node_id = id.or_advise(
            format!("the agent's id `{}` cannot be a spore's", file.agent_id),
            "a spore's id is a UUID: set link = false in agent.toml, or register again with --force",
        )?;
    }
    if file.pin.is_some() {
        let tls = tls_config(file.pin, None).or_fail("the pin of agent.toml cannot be used")?;
        told.tls = Some(Arc::new(tls));
    }
    Ok(())
}

fn agent(file: &AgentFile, client: &Client, worker: &Worker, data: &DataDir) -> Result<Agent, Failure> {
    let outbox = Outbox::open(&data.0.join(OUTBOX_DIRECTORY), file.outbox, Arc::new(RealDisk)).or_advise(
        "the outbox cannot be opened",
        "make room and rights there; what cannot be read may be moved away",
    )?;
    let told = venom_agent::AgentSettings {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..venom_agent::AgentSettings::new(file.clone(), data.0.clone())
    };
    let skills = Arc::new(Skills(worker.skills.clone()));
    Agent::new(told, client.clone(), outbox, skills).or_fail("the agent cannot begin")
}

/// The spore's half, where it is wanted. A nexus that knows no spores, or does not take this one, is told of once by the spore
/// itself, which goes on trying; what cannot be repaired by trying leaves the other half at work.
async fn link(
    wanted: bool,
    worker: Worker,
    settings: &SporeSettings,
    drain: &CancellationToken,
    quit: &CancellationToken,
) {
    if !wanted {
        // keeps the lock of the data directory, and the skills, until the agent ends
        drain.cancelled().await;
        return;
    }
    let (ready, taken) = oneshot::channel();
    let linked = async {
        if taken.await.is_ok() {
            tracing::info!("linked: the nexus may call the skills of this agent");
        }
        std::future::pending::<()>().await;
    };
    let work = worker.work(settings, ready, drain.clone(), quit.clone());
    tokio::select! {
        ended = work => match ended {
            Ok(()) if drain.is_cancelled() => {}
            Ok(()) => {
                tracing::info!("the nexus said SHUTDOWN: the agent ends");
                drain.cancel();
            }
            Err(failure) => tracing::error!("{}; the agent goes on without a link", failure.summary()),
        },
        () = linked => {}
    }
}

/// Hears what people here say, for ever; without a socket nobody does, and the rest goes on.
async fn listen<T>(data: &DataDir, file: &AgentFile, run_now: &RunNow) -> T {
    match Control::open(data) {
        Ok(control) => control.listen(file, run_now).await,
        Err(error) => {
            tracing::warn!(%error, socket = %data.agent_socket().display(), "`agent run-now` will not be heard")
        }
    }
    std::future::pending().await
}

/// Says when the nexus first answered, and has the link show each new token. Ends only with a stdout that cannot be used.
async fn follow(
    mut state: watch::Receiver<AgentState>,
    client: &Client,
    shown: &venom_spore::Token,
    detached: bool,
) -> Failure {
    let mut heard = detached;
    loop {
        let phase = state.borrow_and_update().phase;
        if let Some(token) = client.token() {
            shown.renew(token.reveal());
        }
        if !heard && matches!(phase, Phase::Online | Phase::Unapproved) {
            heard = true;
            let id = state.borrow().agent_id.clone();
            if let Err(failure) = output::say(format!("agent ready {id}")) {
                return failure;
            }
        }
        if state.changed().await.is_err() {
            // the agent has ended, and whoever waits for that says so
            return std::future::pending().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use venom_agent::Pin;
    use venom_protocol::AgentId;

    use super::*;
    use crate::settings::Environment;

    fn file() -> AgentFile {
        let id = "6fa459ea-ee8a-4ca4-894e-db77e160355e".parse::<AgentId>().unwrap();
        let mut file = AgentFile::new("https://hub:8443", id, "pi");
        file.link = true;
        file
    }

    fn sources(env: &[(&str, &str)]) -> Sources {
        Sources {
            env: Environment::of(env),
            file: Default::default(),
            data_dir: "/d".into(),
        }
    }

    #[test]
    fn the_spore_within_is_the_agent() {
        let env = [
            ("SPORE_NEXUS_URL", "http://other"),
            ("SPORE_SHARED_TOKEN", "other"),
            ("SPORE_NODE_NAME", "other"),
            ("SPORE_CA_FILE", "/other.pem"),
            ("SPORE_CONCURRENCY", "3"),
            ("HIVE_URL", "http://other"),
        ];
        let settings = spore_settings(&file(), &Secret::new("own"), &sources(&env)).unwrap();
        assert_eq!(
            (settings.nexus.as_str(), settings.name.as_str()),
            ("https://hub:8443", "pi")
        );
        assert_eq!(settings.token.unwrap().reveal(), "own");
        assert_eq!(
            (settings.ca_file, settings.uplink, settings.concurrency),
            (None, None, 3)
        );
    }

    #[test]
    fn its_id_and_its_pin_are_those_of_the_link() {
        let told = || venom_spore::SporeSettings::new("https://hub:8443", "t", NodeId::random());
        let (mut told_plain, mut told_pinned, mut file) = (told(), told(), file());
        of_agent(&mut told_plain, &file).unwrap();
        assert_eq!(told_plain.node_id.to_string(), file.agent_id.as_str());
        assert!(told_plain.tls.is_none());
        file.pin = Some(Pin([7; 32]));
        of_agent(&mut told_pinned, &file).unwrap();
        assert!(told_pinned.tls.is_some());
        file.agent_id = "office-pi".parse().unwrap();
        let why = of_agent(&mut told(), &file).unwrap_err().summary();
        assert!(why.contains("office-pi"), "{why}");
        file.link = false;
        of_agent(&mut told(), &file).unwrap();
    }
}
