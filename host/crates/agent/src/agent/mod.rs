//! The agent's loop: heartbeats, schedules, commands and deliveries beside each other, until it is told to stop.
//!
//! Each is a future of its own and none is spawned: dropping the agent ends everything it began.

mod asked;
mod commands;
mod courier;
mod job;
mod looked;
mod parts;
mod pulse;
mod timer;

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, Semaphore, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use venom_protocol::Timestamp;

use crate::agent_file::AgentFile;
use crate::backoff::Backoff;
use crate::client::Client;
use crate::clock::{Clock, SystemClock};
use crate::disk::{Disk, RealDisk};
use crate::journal::{Journal, blocking};
use crate::outbox::Outbox;
use crate::skills::RunSkill;
use crate::state::{AgentState, Board, Phase, STATUS_FILE};
use crate::token_file::{TokenFile, TokenFileError};

/// Skill runs at once, of schedules and commands together: each holds a sandbox and may flood a small network.
const RUNS_AT_ONCE: usize = 2;

pub use asked::RunNow;

/// What an agent runs with, beside its settings file.
#[derive(Debug, Clone)]
pub struct AgentSettings {
    /// `agent.toml`.
    pub file: AgentFile,
    /// Where it keeps what it must know after a restart.
    pub data_dir: PathBuf,
    /// What it says its version is.
    pub version: String,
    /// This run of it: new for each start of the process, and the same as the one of the link.
    pub boot_id: String,
    /// Waits after failures.
    pub backoff: Backoff,
    /// Longest wait for the goodbye to be heard.
    pub goodbye: Duration,
    /// Where its journals go.
    pub disk: Arc<dyn Disk>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
}

impl AgentSettings {
    /// The usual ones.
    #[must_use]
    pub fn new(file: AgentFile, data_dir: impl Into<PathBuf>) -> Self {
        Self {
            file,
            data_dir: data_dir.into(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            boot_id: uuid::Uuid::new_v4().to_string(),
            backoff: Backoff::default(),
            goodbye: Duration::from_secs(3),
            disk: Arc::new(RealDisk),
            clock: Arc::new(SystemClock),
        }
    }
}

/// Why an agent cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// It has no token.
    #[error(transparent)]
    Token(#[from] TokenFileError),
    /// What it must know cannot be read.
    #[error("{} cannot be read", path.display())]
    Journal {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// What its parts share.
struct Context {
    settings: AgentSettings,
    client: Client,
    outbox: Outbox,
    skills: Arc<dyn RunSkill>,
    board: Board,
    stop: CancellationToken,
    began: Instant,
    runs: Semaphore,
    /// What the shield skill looked at last.
    looked: looked::Looked,
    /// Schedules somebody wants to run now.
    asked: RunNow,
    /// The nexus answers again, or lets the agent in.
    back: Notify,
    /// Commands may wait.
    commands_due: Arc<Notify>,
    /// The nexus is to be asked how things stand now.
    beat_now: Notify,
}

impl Context {
    fn now(&self) -> Timestamp {
        self.settings.clock.now()
    }

    /// A clock that never goes back.
    fn steady(&self) -> Duration {
        self.began.elapsed()
    }

    fn report_outbox(&self) {
        let report = self.outbox.report();
        self.board.change(|state| state.outbox = report);
    }
}

/// An agent, ready to run.
pub struct Agent {
    context: Context,
    tokens: TokenFile,
    timer: timer::Timer,
    commands: commands::Commands,
}

impl std::fmt::Debug for Agent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Agent")
            .field("agent_id", &self.context.settings.file.agent_id)
            .finish_non_exhaustive()
    }
}

impl Agent {
    /// Reads the token and what a run before left; the client has the token then. Blocks for a few small files.
    ///
    /// # Errors
    /// When there is no token, or a file cannot be read.
    pub fn new(
        settings: AgentSettings,
        client: Client,
        outbox: Outbox,
        skills: Arc<dyn RunSkill>,
    ) -> Result<Self, AgentError> {
        let tokens = TokenFile::open(&settings.data_dir, Arc::clone(&settings.disk))?;
        client.set_token(tokens.current().clone());
        let journal = |name: &str| Journal::new(settings.data_dir.join(name), Arc::clone(&settings.disk));
        let unreadable = |name: &str| {
            let path = settings.data_dir.join(name);
            move |source| AgentError::Journal { path, source }
        };
        let timer = timer::Timer::open(journal(timer::FILE)).map_err(unreadable(timer::FILE))?;
        let looked = looked::Looked::open(journal(looked::FILE)).map_err(unreadable(looked::FILE))?;
        let commands = commands::Commands::open(journal(commands::FILE)).map_err(unreadable(commands::FILE))?;
        let now = settings.clock.now();
        let state = AgentState {
            agent_id: settings.file.agent_id.clone(),
            name: settings.file.name.clone(),
            site_name: settings.file.site_name.clone(),
            nexus: client.nexus().to_owned(),
            version: settings.version.clone(),
            boot_id: settings.boot_id.clone(),
            pid: std::process::id(),
            phase: Phase::Starting,
            since: now,
            written_at: now,
            last_seen: None,
            clock_ahead: None,
            error: None,
            outbox: outbox.report(),
            delivered_at: None,
            delivered: 0,
            last_refusal: None,
            schedules: BTreeMap::new(),
            commands: commands.len(),
            token_issued_at: tokens.issued_at(),
        };
        let context = Context {
            client,
            outbox,
            skills,
            board: Board::new(state),
            stop: CancellationToken::new(),
            began: Instant::now(),
            runs: Semaphore::new(RUNS_AT_ONCE),
            looked,
            asked: RunNow::default(),
            back: Notify::new(),
            commands_due: Arc::new(Notify::new()),
            beat_now: Notify::new(),
            settings,
        };
        Ok(Self {
            context,
            tokens,
            timer,
            commands,
        })
    }

    /// Has schedules run beside their time, for as long as the agent runs.
    #[must_use]
    pub fn run_now(&self) -> RunNow {
        self.context.asked.clone()
    }

    /// Wake it, and commands are fetched now instead of after the next heartbeat.
    #[must_use]
    pub fn commands_due(&self) -> Arc<Notify> {
        Arc::clone(&self.context.commands_due)
    }

    /// How it is, from now on.
    #[must_use]
    pub fn state(&self) -> watch::Receiver<AgentState> {
        self.context.board.watch()
    }

    /// Runs until it is told to stop; then ends what runs (it is done again after the next start), says goodbye, and writes down how it
    /// ended. Trouble with the nexus never ends it.
    pub async fn run(mut self, stop: CancellationToken) {
        self.context.stop = stop;
        let context = &self.context;
        let ended = CancellationToken::new();
        let parts = async {
            let beats = pulse::run(context, self.tokens);
            let runs = self.timer.run(context);
            let obeys = self.commands.run(context);
            let delivers = courier::run(context);
            tokio::join!(beats, runs, obeys, delivers);
            context.report_outbox();
            context.board.enter(Phase::Stopped, None, context.now());
            ended.cancel();
        };
        tokio::join!(parts, write_status(context, &ended));
    }
}

/// Writes the status file whenever something changed, but not all the time.
async fn write_status(context: &Context, ended: &CancellationToken) {
    /// At most one write in this.
    const PAUSE: Duration = Duration::from_secs(1);
    let mut changes = context.board.watch();
    changes.mark_changed();
    loop {
        let over = ended.is_cancelled();
        tokio::select! {
            _ = changes.changed() => {}
            () = ended.cancelled(), if !over => {}
        }
        let state = AgentState {
            written_at: context.now(),
            ..changes.borrow_and_update().clone()
        };
        let path = context.settings.data_dir.join(STATUS_FILE);
        let disk = Arc::clone(&context.settings.disk);
        let written = blocking(move || {
            let bytes = serde_json::to_vec_pretty(&state).map_err(io::Error::other)?;
            disk.replace(&path, &bytes)
        });
        if let Ok(Err(error)) | Err(error) = written.await {
            tracing::debug!(%error, "the status file cannot be written");
        }
        if ended.is_cancelled() && !changes.has_changed().unwrap_or(false) {
            return;
        }
        tokio::select! {
            () = tokio::time::sleep(PAUSE) => {}
            () = ended.cancelled() => {}
        }
    }
}
