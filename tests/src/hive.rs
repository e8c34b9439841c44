//! The hive: a nexus in process, and the nodes a test asks for.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bytesize::ByteSize;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use venom_broker::Broker;
use venom_broker::sqlite::{Durability, SqliteBroker};
use venom_bundle::capability::Policy;
use venom_fleet::{Fleet, FleetSettings};
use venom_nexus::{Nexus, NexusError, NexusSettings, Parts, RateLimits, ReleasesSettings, Scope, Secret, TokenRecord};
use venom_protocol::NodeId;
use venom_runtime::{Runtime, RuntimeSettings, SkillSet};
use venom_spore::sim::SimSpore;
use venom_spore::{Attached, Backoff, LinkPort, SporeError, SporeSettings, UpdateGround, UpdateSettings, Updater};

use crate::artifacts::target_dir;
use crate::releases::Swarm;
use crate::{Client, DEADLINE, Publisher, SkillName, soon};

/// Token of spores.
pub const SPORE_TOKEN: &str = "token-of-the-spores";

/// Token of an administrator.
pub const OPERATOR_TOKEN: &str = "token-of-an-admin";

/// Token of somebody who may look.
pub const VIEWER_TOKEN: &str = "token-of-a-viewer";

/// Tries of spores in tests are close together.
const BACKOFF: Backoff = Backoff {
    base: Duration::from_millis(20),
    cap: Duration::from_millis(250),
};

/// A nexus in process, with REST clients. Ends with it.
pub struct TestHive {
    address: SocketAddr,
    publisher: Publisher,
    shutdown: CancellationToken,
    nexus: JoinHandle<Result<(), NexusError>>,
    /// Of the embedded broker.
    directory: Option<TempDir>,
}

impl TestHive {
    /// A nexus with the three tokens and no rate limit.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn start() -> Result<Self> {
        Self::with(|_| {}).await
    }

    /// The same with settings changed.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn with(change: impl FnOnce(&mut NexusSettings)) -> Result<Self> {
        let mut settings = Self::settings();
        change(&mut settings);
        Self::serve(settings, None).await
    }

    /// A nexus that keeps tasks, in an embedded broker of its own.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn with_tasks() -> Result<Self> {
        let directory = TempDir::new()?;
        let path = directory.path().join("hive.db");
        let broker = SqliteBroker::open(&path, Durability::Process, venom_broker::Settings::default())?;
        let mut hive = Self::serve(Self::settings(), Some(Arc::new(broker))).await?;
        hive.directory = Some(directory);
        Ok(hive)
    }

    /// A nexus that keeps a fleet, in a database of its own.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn with_fleet(change: impl FnOnce(&mut NexusSettings), rules: FleetSettings) -> Result<Self> {
        let directory = TempDir::new()?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let mut hive = Self::with_fleet_at(listener, directory.path(), change, rules).await?;
        hive.directory = Some(directory);
        Ok(hive)
    }

    /// The same behind a listener of the test's, with the database in a directory of the test's: to stop it and start another.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn with_fleet_at(
        listener: TcpListener,
        directory: &Path,
        change: impl FnOnce(&mut NexusSettings),
        rules: FleetSettings,
    ) -> Result<Self> {
        let mut settings = Self::settings();
        settings.agents.registrations_per_minute = 0;
        settings.agents.requests_per_minute = 0;
        change(&mut settings);
        let database = format!("sqlite:{}", directory.join("fleet.db").display());
        let parts = Parts {
            fleet: Some(Fleet::open(&database, rules).await?),
            ..Parts::default()
        };
        Self::serve_at(listener, settings, parts)
    }

    /// A nexus that keeps tasks and releases of this swarm.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn with_releases(swarm: &Swarm) -> Result<Self> {
        Self::with_releases_as(swarm, |_| {}).await
    }

    /// The same with settings changed.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn with_releases_as(swarm: &Swarm, change: impl FnOnce(&mut NexusSettings)) -> Result<Self> {
        let directory = TempDir::new()?;
        let broker = SqliteBroker::open(
            &directory.path().join("hive.db"),
            Durability::Process,
            venom_broker::Settings::default(),
        )?;
        Self::with_releases_in(swarm, directory, Arc::new(broker), change).await
    }

    /// The same with any broker.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn with_releases_in(
        swarm: &Swarm,
        directory: TempDir,
        broker: Arc<dyn Broker>,
        change: impl FnOnce(&mut NexusSettings),
    ) -> Result<Self> {
        let mut settings = Self::settings();
        settings.releases = ReleasesSettings {
            directory: Some(directory.path().join("releases")),
            online_key: Some(Arc::new(swarm.online_key())),
            root: Some(swarm.trusted_root()?),
            ..ReleasesSettings::default()
        };
        change(&mut settings);
        let mut hive = Self::serve(settings, Some(broker)).await?;
        hive.directory = Some(directory);
        Ok(hive)
    }

    fn settings() -> NexusSettings {
        NexusSettings {
            shared_token: Some(Secret::new(SPORE_TOKEN)),
            operator_tokens: vec![
                TokenRecord::of("admin", Scope::Admin, OPERATOR_TOKEN),
                TokenRecord::of("viewer", Scope::Viewer, VIEWER_TOKEN),
            ],
            rate_limits: RateLimits {
                requests_per_second: 0,
                auth_failures_per_minute: 0,
            },
            ..NexusSettings::default()
        }
    }

    async fn serve(settings: NexusSettings, broker: Option<Arc<dyn Broker>>) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let parts = Parts {
            broker,
            ..Parts::default()
        };
        Self::serve_at(listener, settings, parts)
    }

    fn serve_at(listener: TcpListener, settings: NexusSettings, parts: Parts) -> Result<Self> {
        let address = listener.local_addr()?;
        let shutdown = CancellationToken::new();
        let nexus = tokio::spawn(Nexus::with_parts(settings, parts)?.serve(listener, shutdown.clone()));
        Ok(Self {
            address,
            publisher: Publisher::new()?,
            shutdown,
            nexus,
            directory: None,
        })
    }

    /// `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// `127.0.0.1:PORT`.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Who signs the skills of this hive.
    #[must_use]
    pub const fn publisher(&self) -> &Publisher {
        &self.publisher
    }

    /// An administrator.
    ///
    /// # Errors
    /// When no HTTP client can be built.
    pub fn client(&self) -> Result<Client> {
        self.client_with(Some(OPERATOR_TOKEN))
    }

    /// Somebody with this token.
    ///
    /// # Errors
    /// When no HTTP client can be built.
    pub fn client_with(&self, token: Option<&str>) -> Result<Client> {
        Client::new(self.url(), token)
    }

    /// A real spore, to be described.
    ///
    /// # Errors
    /// When it gets no directory of its own.
    pub fn node(&self) -> Result<NodeBuilder<'_>> {
        let mut settings = SporeSettings::new(self.url(), SPORE_TOKEN, NodeId::random());
        settings.backoff = BACKOFF;
        Ok(NodeBuilder {
            hive: self,
            data: TempDir::new()?,
            settings,
            skills: Vec::new(),
            policy: String::new(),
            updates: None,
        })
    }

    /// A simulated spore of this hive, not yet connected.
    #[must_use]
    pub fn simulated(&self) -> SimSpore {
        SimSpore::new(&self.url(), SPORE_TOKEN).with(|settings| settings.backoff = BACKOFF)
    }

    /// Ends the nexus in order.
    ///
    /// # Errors
    /// When it does not end well.
    pub async fn stop(mut self) -> Result<()> {
        self.shutdown.cancel();
        soon("the end of the nexus", &mut self.nexus).await???;
        Ok(())
    }
}

impl Drop for TestHive {
    fn drop(&mut self) {
        self.shutdown.cancel();
        self.nexus.abort();
    }
}

/// A real spore that is being described.
pub struct NodeBuilder<'a> {
    hive: &'a TestHive,
    data: TempDir,
    settings: SporeSettings,
    skills: Vec<SkillName>,
    policy: String,
    updates: Option<UpdateSettings>,
}

impl NodeBuilder<'_> {
    /// Directory that policies grant.
    #[must_use]
    pub fn workspace(&self) -> PathBuf {
        self.data.path().join("workspace")
    }

    /// With this skill.
    #[must_use]
    pub fn skill(mut self, skill: SkillName) -> Self {
        self.skills.push(skill);
        self
    }

    /// With this piece of policy, made for the workspace.
    #[must_use]
    pub fn grant(mut self, policy: impl FnOnce(&std::path::Path) -> String) -> Self {
        self.policy.push_str(&policy(&self.workspace()));
        self
    }

    /// With settings changed.
    #[must_use]
    pub fn with(mut self, change: impl FnOnce(&mut SporeSettings)) -> Self {
        change(&mut self.settings);
        self
    }

    /// Takes releases of this swarm: watched for 200 ms, drained within 2 s, asked for every minute.
    #[must_use]
    pub fn follows(self, swarm: &Swarm) -> Self {
        self.follows_as(swarm, |_| {})
    }

    /// The same with settings changed.
    #[must_use]
    pub fn follows_as(mut self, swarm: &Swarm, change: impl FnOnce(&mut UpdateSettings)) -> Self {
        let mut updates = UpdateSettings::new(self.data.path().join("updates"));
        updates.root = Some(swarm.root_text());
        updates.poll = Duration::from_secs(60);
        updates.soak = Duration::from_millis(200);
        updates.drain = Duration::from_secs(2);
        change(&mut updates);
        self.updates = Some(updates);
        self
    }

    /// As the node that left this: with its id and its data.
    #[must_use]
    pub fn in_place_of(mut self, left: LeftNode) -> Self {
        self.settings.node_id = left.id;
        self.data = left.data;
        if let Some(updates) = &mut self.updates {
            updates.directory = self.data.path().join("updates");
        }
        self
    }

    /// Loads the skills, starts the spore, waits until the nexus took it.
    ///
    /// # Errors
    /// When a skill is refused or the nexus does not take it.
    pub async fn start(self) -> Result<Node> {
        std::fs::create_dir_all(self.workspace())?;
        let bundles = self.data.path().join("skills");
        self.hive.publisher.fill(&bundles, &self.skills)?;
        let (trust, address) = (self.hive.publisher.trust(), self.hive.address);
        let policy = toml::from_str::<Policy>(&self.policy).context(self.policy)?;
        let expected = self.skills.len();
        let updates = self.updates;
        let (backends, port) = venom_spore::link_backends();
        let (skills, updater) = tokio::task::spawn_blocking(move || -> Result<(SkillSet, Option<Updater>)> {
            let runtime = Runtime::new(runtime_settings(address)?)?;
            let skills = SkillSet::empty();
            let report = skills.load_directory(&runtime, &bundles, &trust, &policy, &backends);
            ensure!(
                report.loaded.len() == expected,
                "skills were refused: {:?}",
                report.refused
            );
            let ground = UpdateGround {
                runtime,
                skills: skills.clone(),
                policy,
                trust,
                backends,
            };
            let updater = updates.map(|updates| Updater::open(updates, ground)).transpose()?;
            Ok((skills, updater))
        })
        .await??;
        Node::start(self.settings, skills, port, updater, self.data).await
    }
}

/// Small enough that many test processes run beside each other; compiled code is shared by all of them.
fn runtime_settings(nexus: SocketAddr) -> Result<RuntimeSettings> {
    let own = target_dir()?.join("venom-tests");
    std::fs::create_dir_all(&own)?;
    Ok(RuntimeSettings {
        slots: 300,
        max_memory: ByteSize::mib(128),
        compiled_cache: Some(own.join("compiled")),
        denied_addresses: vec![nexus],
        ..RuntimeSettings::default()
    })
}

/// What a node leaves behind.
pub struct LeftNode {
    id: NodeId,
    data: TempDir,
}

/// A real spore in process. Dropping it ends it at once.
pub struct Node {
    /// Its id.
    pub id: NodeId,
    data: Option<TempDir>,
    drain: CancellationToken,
    quit: CancellationToken,
    life: JoinHandle<Result<(), SporeError>>,
}

impl Node {
    async fn start(
        settings: SporeSettings,
        skills: SkillSet,
        port: LinkPort,
        updater: Option<Updater>,
        data: TempDir,
    ) -> Result<Self> {
        let id = settings.node_id;
        let (drain, quit) = (CancellationToken::new(), CancellationToken::new());
        let (ready, taken) = oneshot::channel();
        let attached = Attached {
            port,
            updater,
            ..Attached::default()
        };
        let spore = venom_spore::run(settings, skills, attached, ready, drain.clone(), quit.clone());
        let life = tokio::spawn(spore);
        let node = Self {
            id,
            data: Some(data),
            drain,
            quit,
            life,
        };
        tokio::time::timeout(DEADLINE, taken)
            .await
            .context("the nexus did not take the spore")??;
        Ok(node)
    }

    /// Directory that policies grant.
    #[must_use]
    pub fn workspace(&self) -> PathBuf {
        self.outside().join("workspace")
    }

    /// A directory beside the workspace, which no policy grants.
    #[must_use]
    pub fn outside(&self) -> PathBuf {
        self.data
            .as_ref()
            .map(|data| data.path().to_owned())
            .unwrap_or_default()
    }

    /// Ends it at once, without a goodbye. What it leaves can be taken up by another.
    ///
    /// # Errors
    /// When it does not end.
    pub async fn break_off(mut self) -> Result<LeftNode> {
        self.quit.cancel();
        // however it ended, it is gone
        let _ = soon("the end of the spore", &mut self.life).await?;
        let data = self.data.take().context("a node has its data until it is dropped")?;
        Ok(LeftNode { id: self.id, data })
    }

    /// Drains it and waits for its end.
    ///
    /// # Errors
    /// When it does not end well.
    pub async fn stop(mut self) -> Result<()> {
        self.drain.cancel();
        soon("the end of the spore", &mut self.life).await???;
        Ok(())
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.quit.cancel();
        self.life.abort();
    }
}
