//! Simulated spores: the real link and the real bookkeeping of calls, with a closure in place of skills and
//! no sandbox. Thousands fit into one process, for load tests and for tests of a nexus. Never runs skills.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use serde_json::value::RawValue;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use venom_protocol::{CallError, Capabilities, ErrorCode, NodeId};
use venom_runtime::{Call, Outcome, Usage};

use crate::dial::Dialer;
use crate::link::Signals;
use crate::update::UpdateLine;
use crate::vitals::Vitals;
use crate::{Attached, Executor, SporeError, SporeSettings, spore};

/// What a simulated skill answers.
pub type Answer = Pin<Box<dyn Future<Output = Result<Box<RawValue>, CallError>> + Send>>;

/// Skill, call, answer.
type Answerer = dyn Fn(String, Call) -> Answer + Send + Sync;

/// A simulated spore, not yet connected.
pub struct SimSpore {
    settings: SporeSettings,
    machine: Capabilities,
    skills: Vec<String>,
    vitals: Arc<Vitals>,
    answer: Arc<Answerer>,
    attached: Attached,
}

impl SimSpore {
    /// With defaults: it has `EchoSkill` and answers every call with its parameters.
    pub fn new(nexus: &str, token: &str) -> Self {
        let machine = Capabilities {
            cpu_cores: 1,
            memory_mb: 1_024,
            platform: "simulated".to_owned(),
            ..Capabilities::default()
        };
        Self {
            settings: SporeSettings::new(nexus, token, NodeId::random()),
            machine,
            skills: vec!["EchoSkill".to_owned()],
            vitals: Arc::default(),
            answer: Arc::new(|_, call| Box::pin(std::future::ready(Ok(call.params)))),
            attached: Attached::default(),
        }
    }

    /// Changes any setting of the link.
    #[must_use]
    pub fn with(mut self, change: impl FnOnce(&mut SporeSettings)) -> Self {
        change(&mut self.settings);
        self
    }

    /// Changes what it says its machine has. Tags come from the settings, skills from [`Self::skills`].
    #[must_use]
    pub fn machine(mut self, change: impl FnOnce(&mut Capabilities)) -> Self {
        change(&mut self.machine);
        self
    }

    /// Names of its skills.
    #[must_use]
    pub fn skills(mut self, names: &[&str]) -> Self {
        self.skills = names.iter().map(|name| (*name).to_owned()).collect();
        self
    }

    /// How busy it says its machine is: shares of 0..1.
    #[must_use]
    pub fn load(self, cpu: f32, memory: f32) -> Self {
        self.vitals.set(cpu, memory);
        self
    }

    /// What answers its calls. The call's timeout and cancellation are observed for it: it is dropped.
    #[must_use]
    pub fn answer(mut self, answer: impl Fn(String, Call) -> Answer + Send + Sync + 'static) -> Self {
        self.answer = Arc::new(answer);
        self
    }

    /// Connects it to more than its nexus: with the port of [`crate::link_backends`] what answers its calls can ask
    /// the hive.
    #[must_use]
    pub fn attached(mut self, attached: Attached) -> Self {
        self.attached = attached;
        self
    }

    /// Connects and waits until the nexus took it. It reconnects by itself afterwards, like any spore.
    ///
    /// # Errors
    /// A setting that cannot work, or a nexus that did not take it within `patience`.
    pub async fn connect(self, patience: Duration) -> Result<SimHandle, SporeError> {
        self.settings.check()?;
        let dialer = Dialer::new(&self.settings)?;
        let node_id = self.settings.node_id;
        let (drain, quit) = (CancellationToken::new(), CancellationToken::new());
        let signals = Signals {
            drain: drain.clone(),
            quit: quit.clone(),
        };
        let machine = Capabilities {
            tags: self.settings.tags.clone(),
            ..self.machine
        };
        let executor = Arc::new(Simulated {
            skills: self.skills,
            answer: self.answer,
        });
        let Attached {
            port,
            broadcasts,
            updater,
            commands,
        } = self.attached;
        let updates = Arc::new(UpdateLine::default());
        let updating = spore::updating(updater, &self.settings, &machine, &updates)?;
        let core = spore::core(
            self.settings,
            executor,
            machine,
            Arc::clone(&self.vitals),
            port.0,
            updates,
        );
        let authority = dialer.authority();
        let (ready, taken) = oneshot::channel();
        let life = tokio::spawn(async move {
            tokio::select! {
                () = spore::live(&core, &dialer, signals, broadcasts, commands, ready) => {}
                () = updating => {}
            }
        });
        let handle = SimHandle {
            node_id,
            vitals: self.vitals,
            drain,
            quit,
            life,
        };
        match timeout(patience, taken).await {
            Ok(Ok(_)) => Ok(handle),
            Ok(Err(_)) | Err(_) => Err(SporeError::NotAccepted {
                address: authority,
                waited: patience,
            }),
        }
    }
}

impl fmt::Debug for SimSpore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimSpore")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

/// A connected simulated spore. Dropping it breaks the link off without a goodbye, like a crash.
#[derive(Debug)]
pub struct SimHandle {
    node_id: NodeId,
    vitals: Arc<Vitals>,
    drain: CancellationToken,
    quit: CancellationToken,
    life: JoinHandle<()>,
}

impl SimHandle {
    /// Its id.
    #[must_use]
    pub const fn node_id(&self) -> NodeId {
        self.node_id
    }

    /// Changes how busy it says its machine is, from the next heartbeat on.
    pub fn set_load(&self, cpu: f32, memory: f32) {
        self.vitals.set(cpu, memory);
    }

    /// Begins to drain and returns at once.
    pub fn drain(&self) {
        self.drain.cancel();
    }

    /// Drains, says goodbye and waits for the end.
    pub async fn stop(self) {
        self.drain.cancel();
        self.ended().await;
    }

    /// Waits until it ended by itself: the nexus told it to shut down.
    pub async fn ended(mut self) {
        // a panic of the life task has been reported where it happened
        let _ = (&mut self.life).await;
    }
}

impl Drop for SimHandle {
    fn drop(&mut self) {
        self.quit.cancel();
        self.life.abort();
    }
}

struct Simulated {
    skills: Vec<String>,
    answer: Arc<Answerer>,
}

impl Executor for Simulated {
    fn skills(&self) -> Vec<String> {
        self.skills.clone()
    }

    async fn execute(&self, skill: String, call: Call) -> Outcome {
        let began = Instant::now();
        let (patience, cancel) = (call.timeout, call.cancel.clone());
        let result = if self.skills.contains(&skill) {
            let what = format!("{skill}.{}", call.method);
            tokio::select! {
                answered = timeout(patience, (self.answer)(skill, call)) => answered.unwrap_or_else(|_| {
                    Err(CallError::new(ErrorCode::TimedOut, format!("{what} took longer than {patience:?}")))
                }),
                () = cancel.cancelled() => Err(CallError::new(ErrorCode::Cancelled, format!("{what} was cancelled"))),
            }
        } else {
            let text = format!("no skill `{skill}` here; known are: {}", self.skills.join(", "));
            Err(CallError::new(ErrorCode::UnknownSkill, text))
        };
        Outcome {
            result,
            elapsed: began.elapsed(),
            usage: Usage::default(),
        }
    }
}
