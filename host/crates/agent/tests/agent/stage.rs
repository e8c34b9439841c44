//! An agent in a directory of its own, in a hurry, with skills that answer what they are told to.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use venom_agent::{
    Agent, AgentFile, AgentSettings, AgentState, Backoff, Client, Outbox, Patience, RealDisk, RunSkill, TokenFile,
};
use venom_protocol::Timestamp;

use crate::server::{Server, TOKEN, token};

/// One call of a skill.
pub(crate) type Call = (String, String, Value);

/// Skills that answer what they are told to.
#[derive(Debug, Default)]
pub(crate) struct Skills {
    pub(crate) calls: Mutex<Vec<Call>>,
    /// What the next calls answer; then scans find nothing.
    pub(crate) answers: Mutex<VecDeque<Result<Value, String>>>,
    /// How long each call takes.
    pub(crate) takes: Mutex<Duration>,
    pub(crate) at_once: AtomicUsize,
    pub(crate) most_at_once: AtomicUsize,
}

struct Running<'a>(&'a Skills);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.at_once.fetch_sub(1, Ordering::SeqCst);
    }
}

#[async_trait]
impl RunSkill for Skills {
    async fn run(&self, skill: &str, method: &str, parameters: Value, _timeout: Duration) -> Result<Value, String> {
        let running = self.at_once.fetch_add(1, Ordering::SeqCst) + 1;
        let _running = Running(self);
        self.most_at_once.fetch_max(running, Ordering::SeqCst);
        self.calls
            .lock()
            .unwrap()
            .push((skill.to_owned(), method.to_owned(), parameters));
        let takes = *self.takes.lock().unwrap();
        tokio::time::sleep(takes).await;
        let answer = self.answers.lock().unwrap().pop_front();
        answer.unwrap_or_else(|| {
            Ok(if skill == "ShieldSkill" {
                reports(1)
            } else {
                discoveries(1)
            })
        })
    }
}

impl Skills {
    pub(crate) fn will(&self, answers: impl IntoIterator<Item = Result<Value, String>>) {
        self.answers.lock().unwrap().extend(answers);
    }

    pub(crate) fn called(&self) -> Vec<Call> {
        self.calls.lock().unwrap().clone()
    }
}

pub(crate) fn discovery(n: usize) -> Value {
    json!({
        "target": format!("10.0.{n}.0/24"), "started_at": Timestamp::now(), "completed_at": Timestamp::now(),
        "assets": [
            {"ip": format!("10.0.{n}.1"), "open_ports": [22, 443]},
            {"ip": format!("10.0.{n}.2"), "open_ports": []},
        ],
        "network_fingerprint": {"fingerprint_hash": format!("net-{n}")},
    })
}

pub(crate) fn discoveries(count: usize) -> Value {
    json!({ "discoveries": (0..count).map(discovery).collect::<Vec<_>>() })
}

pub(crate) fn reports(count: usize) -> Value {
    let report = |n: usize| json!({"target": format!("10.0.{n}.1"), "started_at": Timestamp::now(), "findings": [{"module": "tls"}]});
    json!({ "reports": (0..count).map(report).collect::<Vec<_>>() })
}

/// See the module.
pub(crate) struct Stage {
    pub(crate) directory: tempfile::TempDir,
    pub(crate) skills: Arc<Skills>,
    pub(crate) file: AgentFile,
    pub(crate) backoff: Backoff,
    pub(crate) patience: Patience,
}

/// A running one.
pub(crate) struct Life {
    pub(crate) state: watch::Receiver<AgentState>,
    pub(crate) outbox: Outbox,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Stage {
    pub(crate) fn new(server: &Server) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut file = AgentFile::new(server.url(), "agent-1".parse().unwrap(), "pi");
        file.heartbeat = Duration::from_millis(40);
        TokenFile::create(directory.path(), Arc::new(RealDisk), token(TOKEN), Timestamp::now()).unwrap();
        Self {
            directory,
            skills: Arc::default(),
            file,
            backoff: Backoff {
                base: Duration::from_millis(5),
                cap: Duration::from_millis(200),
            },
            patience: Patience {
                answer: Duration::from_millis(500),
                ingest: Duration::from_millis(500),
            },
        }
    }

    pub(crate) fn data_dir(&self) -> PathBuf {
        self.directory.path().to_owned()
    }

    pub(crate) fn client(&self) -> Client {
        let client = Client::new(&self.file.nexus, self.file.pin, self.file.ca_file.as_deref()).unwrap();
        client.with_patience(self.patience)
    }

    pub(crate) fn start(&self) -> Life {
        let outbox = self.file.outbox;
        let outbox = Outbox::open(&self.data_dir().join("outbox"), outbox, Arc::new(RealDisk)).unwrap();
        let mut settings = AgentSettings::new(self.file.clone(), self.data_dir());
        settings.backoff = self.backoff;
        let skills = Arc::clone(&self.skills) as Arc<dyn RunSkill>;
        let agent = Agent::new(settings, self.client(), outbox.clone(), skills).unwrap();
        let (state, stop) = (agent.state(), CancellationToken::new());
        let task = tokio::spawn(agent.run(stop.clone()));
        Life {
            state,
            outbox,
            stop,
            task,
        }
    }
}

impl Life {
    /// Stops it as SIGTERM does.
    pub(crate) async fn stop(self) -> AgentState {
        self.stop.cancel();
        self.task.await.unwrap();
        self.state.borrow().clone()
    }

    /// Ends it as SIGKILL does, as far as that goes within a process: nothing is finished, and the directory is free again.
    pub(crate) async fn kill(self) {
        self.task.abort();
        let _ = self.task.await;
    }

    pub(crate) async fn until(&mut self, what: &str, holds: impl FnMut(&AgentState) -> bool) -> AgentState {
        let waited = tokio::time::timeout(Duration::from_secs(30), self.state.wait_for(holds)).await;
        waited
            .unwrap_or_else(|_| panic!("waited in vain until {what}"))
            .unwrap()
            .clone()
    }

    pub(crate) fn put(&self, body: &Value) -> String {
        let body = body.to_string();
        let key = self
            .outbox
            .put(venom_agent::BatchKind::Discovery, body.as_bytes(), Timestamp::now());
        key.unwrap().to_string()
    }
}
