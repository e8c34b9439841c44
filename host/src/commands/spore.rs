//! `spore`: a worker. Loads its skills, links to its nexus, says so on stdout once it was taken.

mod nexus;
mod updates;

use std::fs::{File, TryLockError};
use std::net::{Ipv6Addr, SocketAddr, ToSocketAddrs as _};
use std::sync::Arc;

use tokio::sync::{Notify, mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use venom_broker::redis::hear_broadcasts;
use venom_mdns::{Announcement, Interfaces, Role};
use venom_protocol::{AgentId, ControlBroadcast};
use venom_runtime::{Backends, SkillSet};
use venom_spore::{Attached, Ready, UpdateGround, Updater};

use super::nexus::DEVELOPMENT_TOKEN;
use super::uplink::{Uplink, Who};
use super::{init, lan};
use crate::data_dir::{DataDir, PRIVATE_DIRECTORY, make_directory, read_token};
use crate::failure::{Explain as _, Failure};
use crate::output;
use crate::sandbox::{self, Documents};
use crate::settings::{Secret, SporeSettings};
use crate::signals::Signals;

/// Broadcasts of Redis that the spore has not dealt with. There are few, and it deals with them at once while it has a
/// link; without one, what does not fit is dropped.
const BROADCASTS: usize = 16;

/// The name of this machine, which a node has unless told otherwise.
pub(crate) fn host_name() -> String {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    if name.is_empty() { "spore".to_owned() } else { name }
}

/// Runs a spore until it is asked to stop.
pub(crate) async fn run(settings: SporeSettings, data: DataDir) -> Result<(), Failure> {
    if settings.dev {
        warn_of_development(&data);
        init::ensure(&data)?;
    }
    tracing::info!(?settings, "settings of this spore");
    let token = token(&settings, &data)?;
    let signals = Signals::watch()?;
    let Some(choice) = nexus::choose(&settings, &signals).await? else {
        return Ok(());
    };
    let settings = SporeSettings {
        nexus: choice.nexus,
        ..settings
    };
    let mut worker = Worker::prepare(&settings, &data, &token).await?;
    worker.told.tls = choice.tls;
    let (ready, taken) = oneshot::channel();
    let (drain, quit) = (signals.drain.clone(), signals.quit.clone());
    let uplink = Uplink::begin(settings.uplink.as_ref(), who(&worker));
    let announcement = announcement(&settings, &worker.told);
    let ended = announced(worker.work(&settings, ready, drain, quit), taken, announcement).await;
    if let Some(uplink) = uplink {
        tokio::select! {
            () = uplink.end() => {}
            () = signals.quit.cancelled() => {}
        }
    }
    ended
}

/// How this spore shows itself to another server.
fn who(worker: &Worker) -> Who {
    Who {
        id: AgentId::from(worker.told.node_id),
        kind: "spore",
        name: worker.told.name.clone(),
        hostname: host_name(),
        service_port: 0,
        capabilities: worker.skills.names(),
        tags: worker.told.tags.clone(),
    }
}

/// Skills in their sandbox, and all a spore is told before it dials. Holds the lock of its data directory.
pub(crate) struct Worker {
    /// What the link is told.
    pub told: venom_spore::SporeSettings,
    /// What runs the calls.
    pub skills: SkillSet,
    attached: Attached,
    to_spore: mpsc::Sender<ControlBroadcast>,
    _lock: File,
}

impl Worker {
    /// Loads the skills and opens what updates them. Blocks others from this data directory for as long as it lives.
    pub(crate) async fn prepare(settings: &SporeSettings, data: &DataDir, token: &Secret) -> Result<Self, Failure> {
        make_directory(&data.0, PRIVATE_DIRECTORY)?;
        let lock = lock(data)?;
        let told = told(settings, data, token)?;
        let documents = Arc::new(Documents::read(&settings.sandbox, data, settings.dev)?);
        crate::limits::raise_open_files();
        let (backends, port) = venom_spore::link_backends();
        let (skills, updater) = start_skills(settings, data, documents, backends).await?;
        let (to_spore, broadcasts) = mpsc::channel(BROADCASTS);
        let attached = Attached {
            port,
            broadcasts: settings.redis.is_some().then_some(broadcasts),
            updater,
            commands: None,
        };
        Ok(Self {
            told,
            skills,
            attached,
            to_spore,
            _lock: lock,
        })
    }

    /// The same as part of an agent, which it wakes when the nexus says that commands wait.
    pub(crate) fn of_agent(mut self, commands: Arc<Notify>) -> Self {
        self.attached.commands = Some(commands);
        self
    }

    /// Links, and works until it is told to end. Sends `ready` when a nexus first takes it.
    pub(crate) async fn work(
        self,
        settings: &SporeSettings,
        ready: oneshot::Sender<Ready>,
        drain: CancellationToken,
        quit: CancellationToken,
    ) -> Result<(), Failure> {
        let spore = venom_spore::run(self.told, self.skills, self.attached, ready, drain, quit);
        tokio::select! {
            biased;
            failure = hear(settings, self.to_spore) => Err(failure),
            ended = spore => ended.or_fail("the spore stopped"),
        }
    }
}

/// Runs the spore to its end and says when the nexus took it: on stdout, and in the LAN.
async fn announced(
    spore: impl Future<Output = Result<(), Failure>>,
    taken: oneshot::Receiver<Ready>,
    announcement: Option<(Announcement, Interfaces)>,
) -> Result<(), Failure> {
    tokio::pin!(spore);
    tokio::select! {
        ended = &mut spore => return ended,
        taken = taken => if let Ok(ready) = taken { announce(&ready)? },
    }
    let announcer = lan::announce(announcement);
    let ended = spore.await;
    lan::goodbye(announcer).await;
    ended
}

/// What the LAN is told of this spore; nothing when it works for this machine alone.
fn announcement(
    settings: &SporeSettings,
    told_spore: &venom_spore::SporeSettings,
) -> Option<(Announcement, Interfaces)> {
    if !settings.mdns.enabled || settings.stays_on_this_machine() {
        tracing::debug!("this spore does not announce itself in the LAN");
        return None;
    }
    let told = Announcement {
        role: Role::Spore,
        hostname: host_name(),
        address: Ipv6Addr::UNSPECIFIED.into(),
        port: 0,
        id: Some(told_spore.node_id.into()),
        path: "/".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        tls: false,
    };
    Some((told, settings.mdns.interfaces.clone()))
}

/// Passes on what is broadcast on Redis, for ever. Ends with a Redis setting that cannot be used, found at once.
async fn hear(settings: &SporeSettings, to_spore: mpsc::Sender<ControlBroadcast>) -> Failure {
    if let Some(redis) = settings.redis.clone()
        && let Err(error) = hear_broadcasts(redis, &settings.broadcast_channel, to_spore).await
    {
        return Failure::new("this spore cannot listen to Redis")
            .because(error.to_string())
            .help("correct --redis-url (or REDIS_URL, [redis] in venom.toml), or leave it out: the nexus sends broadcasts on");
    }
    // no Redis, or the spore has ended and is about to say so
    std::future::pending().await
}

fn announce(ready: &Ready) -> Result<(), Failure> {
    output::say(format!("spore ready {}", ready.node_id))
}

fn warn_of_development(data: &DataDir) {
    let red = output::RED;
    output::note(format!(
        "{red}DEVELOPMENT MODE{red:#}: FileSkill may use {}, ShellSkill run echo, sleep, ls, date,\n\
         uname, hostname, cat, wc and sort in it, and the key in {} is trusted.\n\
         Never use --dev where others work.",
        data.workspace().display(),
        data.publisher_public().display(),
    ));
}

/// One spore a data directory: two with one node id would throw each other out of the nexus for ever.
fn lock(data: &DataDir) -> Result<File, Failure> {
    let path = data.spore_lock();
    let file = File::create(&path).or_fail(format!("cannot make the lock file {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Failure::new(format!(
            "another spore uses the data directory {}",
            data.0.display()
        ))
        .because("a data directory holds one node's id, and two nodes with one id would push each other out")
        .help("stop the other spore, or give this one a data directory of its own with --data-dir DIR")),
        Err(TryLockError::Error(error)) => Err(error).or_fail(format!("cannot lock {}", path.display())),
    }
}

fn told(settings: &SporeSettings, data: &DataDir, token: &Secret) -> Result<venom_spore::SporeSettings, Failure> {
    let node_id = venom_spore::node_id_in(&data.0).or_fail("this node has no id")?;
    Ok(venom_spore::SporeSettings {
        name: settings.name.clone(),
        tags: settings.tags.clone(),
        concurrency: settings.concurrency,
        queue: settings.queue,
        heartbeat_interval: settings.heartbeat_interval,
        drain_timeout: settings.drain_timeout,
        ca_file: settings.ca_file.clone(),
        ..venom_spore::SporeSettings::new(settings.nexus.clone(), token.reveal(), node_id)
    })
}

fn token(settings: &SporeSettings, data: &DataDir) -> Result<Secret, Failure> {
    if let Some(token) = &settings.token {
        return Ok(token.clone());
    }
    if settings.dev {
        return Ok(Secret::new(DEVELOPMENT_TOKEN));
    }
    let path = data.node_token();
    read_token(&path)?.ok_or_else(|| {
        Failure::new("this spore has no token to show the nexus")
            .because(format!("none was given and there is none at {}", path.display()))
            .help("copy node.token from the nexus's data directory: pass --token T, set SPORE_SHARED_TOKEN, or put the file there")
    })
}

async fn start_skills(
    settings: &SporeSettings,
    data: &DataDir,
    documents: Arc<Documents>,
    backends: Backends,
) -> Result<(SkillSet, Option<Updater>), Failure> {
    let mut denied = Vec::new();
    for nexus in settings.nexus.split(',') {
        denied.extend(resolve(nexus.trim()).await);
    }
    let runtime = sandbox::start_runtime(&settings.sandbox, slots(settings.concurrency), denied)?;
    let skills = SkillSet::empty();
    let switched_off = settings.switched_off.clone();
    let offered = sandbox::load_skills(
        &settings.sandbox,
        runtime.clone(),
        Arc::clone(&documents),
        backends.clone(),
        skills.clone(),
        switched_off,
    )
    .await?;
    let ground = UpdateGround {
        runtime,
        skills: skills.clone(),
        policy: documents.policy.clone(),
        trust: documents.trust.clone(),
        backends,
    };
    let updater = updates::open(settings, data, ground).await?;
    if offered == 0 && updater.is_none() {
        tracing::warn!(
            directory = %settings.sandbox.skills.display(),
            "this spore offers no skill: put bundles there (`venom-host skill build --install`) or pass --skills DIR"
        );
    }
    Ok((skills, updater))
}

/// Slots for the calls that run and for those that wait for tasks beside them: calls that hold every slot while they
/// wait for tasks they submitted would wait for ever.
fn slots(concurrency: u32) -> u32 {
    concurrency.saturating_add(venom_spore::MAX_AWAITING)
}

/// Addresses of the nexus, which no skill may dial. A name that cannot be looked up now cannot be dialled either.
async fn resolve(nexus: &str) -> Vec<SocketAddr> {
    let (scheme, rest) = nexus.split_once("://").unwrap_or(("http", nexus));
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default().to_owned();
    let default_port = if matches!(scheme, "https" | "wss") { 443 } else { 80 };
    let looking_up = tokio::task::spawn_blocking(move || {
        let with_port = authority
            .to_socket_addrs()
            .or_else(|_| format!("{authority}:{default_port}").to_socket_addrs());
        with_port.map(Iterator::collect).unwrap_or_default()
    });
    looking_up.await.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use clap::Parser as _;

    use super::*;
    use crate::cli::{Cli, Command};
    use crate::settings::{Environment, Sources};

    fn merged(flags: &[&str], data: &DataDir) -> SporeSettings {
        let cli = Cli::try_parse_from(["venom-host", "spore"].iter().chain(flags)).unwrap();
        let Command::Spore(args) = cli.command else {
            panic!("not spore")
        };
        let sources = Sources {
            env: Environment::of(&[]),
            file: Default::default(),
            data_dir: data.0.clone(),
        };
        SporeSettings::merge(*args, &sources, "here".to_owned()).unwrap()
    }

    #[test]
    fn the_spore_is_told_every_setting() {
        let directory = tempfile::tempdir().unwrap();
        let data = DataDir(directory.path().join("data"));
        let flags = [
            "--nexus",
            "http://n:1",
            "--token",
            "shared",
            "--name",
            "w",
            "--tag",
            "gpu",
            "--concurrency",
            "11",
            "--queue",
            "12",
            "--heartbeat-interval",
            "13",
            "--drain-timeout",
            "14",
            "--ca-file",
            "ca",
        ];
        let settings = merged(&flags, &data);
        let told = told(&settings, &data, &token(&settings, &data).unwrap()).unwrap();
        assert_eq!(told.nexus, "http://n:1");
        assert_eq!(told.token, venom_spore::Token::from("shared"));
        assert_eq!((told.name.as_str(), told.tags), ("w", vec!["gpu".to_owned()]));
        assert_eq!((told.concurrency, told.queue), (11, 12));
        assert_eq!(
            [told.heartbeat_interval, told.drain_timeout],
            [13, 14].map(Duration::from_secs)
        );
        assert_eq!(told.ca_file.unwrap().to_str().unwrap(), "ca");
        assert_eq!(told.node_id, venom_spore::node_id_in(&data.0).unwrap());
    }

    #[test]
    fn the_token_is_the_flag_then_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let data = DataDir(directory.path().join("data"));
        assert!(token(&merged(&[], &data), &data).is_err());
        init::ensure(&data).unwrap();
        assert_eq!(
            token(&merged(&[], &data), &data).unwrap(),
            read_token(&data.node_token()).unwrap().unwrap()
        );
        assert_eq!(
            token(&merged(&["--dev"], &data), &data).unwrap().reveal(),
            DEVELOPMENT_TOKEN
        );
        assert_eq!(token(&merged(&["--token", "t"], &data), &data).unwrap().reveal(), "t");
    }

    #[test]
    fn calls_and_those_they_wait_for_all_find_a_slot() {
        assert_eq!(slots(256), 256 + venom_spore::MAX_AWAITING);
        assert_eq!(slots(u32::MAX), u32::MAX);
    }

    #[tokio::test]
    async fn addresses_of_the_nexus_are_found() {
        for (url, address) in [
            ("http://127.0.0.1:8000", "127.0.0.1:8000"),
            ("wss://127.0.0.1/ws/nodes", "127.0.0.1:443"),
            ("127.0.0.1:9", "127.0.0.1:9"),
            ("http://[::1]:7/", "[::1]:7"),
        ] {
            assert_eq!(resolve(url).await, [address.parse::<SocketAddr>().unwrap()], "{url}");
        }
    }
}
