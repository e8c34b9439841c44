//! A nexus and spores as processes, and its REST interface as a user's program would use it.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::redis::RedisServer;
use crate::guests::{self, Guest};
use crate::processes::{Running, start_nexus, start_spore};

/// Tasks of one bulk request.
const CHUNK: usize = 2_500;
/// Connections that submit in bulk at the same time: while one request is stored, the next is on its way.
const SUBMITTERS: usize = 2;
/// Longest without any progress before a measurement gives up.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where tasks live.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Backend {
    Redis,
    Embedded,
}

/// How a hive is set.
#[derive(Clone, Copy)]
pub(crate) struct Setup {
    pub(crate) backend: Backend,
    pub(crate) spores: usize,
    /// Calls one spore runs at one time.
    pub(crate) concurrency: Option<u32>,
    /// `VENOM_DIRTY_PAGE_SCAN`.
    pub(crate) dirty_page_scan: &'static str,
}

/// Fields drop in order: spores first, Redis after the nexus.
pub(crate) struct Hive {
    pub(crate) spores: Vec<Running>,
    pub(crate) nexus: Running,
    _redis: Option<RedisServer>,
    directory: tempfile::TempDir,
    setup: Setup,
    agent: ureq::Agent,
}

impl Hive {
    pub(crate) fn start(setup: Setup) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let redis = match setup.backend {
            Backend::Redis => Some(RedisServer::start()?),
            Backend::Embedded => None,
        };
        let url = redis.as_ref().map(RedisServer::url);
        let mut environment = vec![("NEXUS_LOCAL_FALLBACK", "off")];
        environment.extend(url.as_deref().map(|url| ("REDIS_URL", url)));
        let nexus = start_nexus(&directory.path().join("nexus"), &environment)?;
        let config = ureq::Agent::config_builder().http_status_as_error(false).build();
        let mut hive = Self {
            spores: Vec::new(),
            nexus,
            _redis: redis,
            directory,
            setup,
            agent: config.new_agent(),
        };
        for number in 0..setup.spores {
            let spore = hive.start_spore(number)?;
            hive.spores.push(spore);
        }
        Ok(hive)
    }

    /// Starts spore `number`; one that was there before finds its compiled code again.
    pub(crate) fn start_spore(&self, number: usize) -> Result<Running> {
        let data_dir = self.directory.path().join(format!("spore-{number}"));
        let mut skills = data_dir.with_extension("skills");
        if !skills.exists() {
            skills = guests::pack_with_host(&data_dir, &[guests::NOOP, guests::ECHO])?;
        }
        let (name, concurrency) = (
            format!("spore-{number}"),
            self.setup.concurrency.unwrap_or(256).to_string(),
        );
        let environment = [
            ("SPORE_NODE_NAME", name.as_str()),
            ("SPORE_CONCURRENCY", concurrency.as_str()),
            ("VENOM_DIRTY_PAGE_SCAN", self.setup.dirty_page_scan),
        ];
        start_spore(&self.nexus.ready, &data_dir, &skills, &environment)
    }

    /// Submits so many no-op tasks in bulk requests.
    pub(crate) fn enqueue(&self, tasks: usize) -> Result<()> {
        let chunks: Vec<usize> = (0..tasks).step_by(CHUNK).map(|from| CHUNK.min(tasks - from)).collect();
        std::thread::scope(|scope| {
            let mut submitting = Vec::new();
            for number in 0..SUBMITTERS {
                let own = chunks.iter().skip(number).step_by(SUBMITTERS);
                submitting.push(scope.spawn(move || own.copied().try_for_each(|size| self.enqueue_chunk(size))));
            }
            for submitter in submitting {
                submitter
                    .join()
                    .map_err(|_| anyhow::anyhow!("a submitter panicked"))??;
            }
            Ok(())
        })
    }

    /// Submits so many no-op tasks in one request.
    pub(crate) fn enqueue_chunk(&self, tasks: usize) -> Result<()> {
        let mut body = String::with_capacity(tasks * 128);
        for item in 0..tasks {
            body.push_str(if item == 0 { "{\"tasks\":[" } else { "," });
            write!(
                body,
                "{}",
                task(
                    guests::NOOP,
                    "noop",
                    &format!("{{\"item\":{item},\"text\":\"forty bytes of JSON.\"}}")
                )
            )?;
        }
        body.push_str("]}");
        self.post("/api/v1/tasks", &body).map(drop)
    }

    /// Submits one task; answers its id.
    pub(crate) fn submit(&self, guest: Guest, method: &str, parameters: &str) -> Result<String> {
        let answer = self.post("/api/v1/tasks", &task(guest, method, parameters))?;
        let id = answer.get("task_id").and_then(Value::as_str);
        Ok(id.context("no task_id")?.to_owned())
    }

    /// Waits for a task's end, which must be a good one.
    pub(crate) fn wait(&self, task: &str) -> Result<()> {
        let view = self.get(&format!("/api/v1/tasks/{task}?wait=30"))?;
        let status = view.get("status").and_then(Value::as_str);
        ensure!(status == Some("completed"), "task {task} is {status:?}: {view}");
        Ok(())
    }

    /// Node that has a task while it runs.
    pub(crate) fn holder(&self, task: &str) -> Result<Option<String>> {
        let view = self.get(&format!("/api/v1/tasks/{task}"))?;
        let running = view.get("status").and_then(Value::as_str) == Some("running");
        let node = view.get("assigned_node").and_then(Value::as_str);
        Ok(node.filter(|_| running).map(str::to_owned))
    }

    /// Keeps tasks from all spores until [`Self::release`], and waits until none runs.
    pub(crate) fn hold(&self) -> Result<()> {
        for spore in &self.spores {
            self.post(&format!("/api/v1/nodes/{}/drain", spore.ready), "")?;
        }
        let deadline = Instant::now() + PATIENCE;
        while self.count("tasks_running")? > 0 {
            ensure!(Instant::now() < deadline, "tasks still run on drained spores");
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(())
    }

    /// Lets the spores have tasks.
    pub(crate) fn release(&self) -> Result<()> {
        for spore in &self.spores {
            self.post(&format!("/api/v1/nodes/{}/undrain", spore.ready), "")?;
        }
        Ok(())
    }

    /// A figure of the queues.
    pub(crate) fn count(&self, name: &str) -> Result<u64> {
        let queues = self.get("/api/v1/queues")?;
        queues
            .get(name)
            .and_then(Value::as_u64)
            .with_context(|| format!("no {name} in {queues}"))
    }

    /// Waits until so many tasks have completed since the hive started, asking once every `pause`.
    pub(crate) fn completed(&self, tasks: u64, pause: Duration) -> Result<()> {
        let (mut seen, mut moved) = (0, Instant::now());
        loop {
            let completed = self.count("tasks_completed")?;
            if completed >= tasks {
                return Ok(());
            }
            if completed > seen {
                (seen, moved) = (completed, Instant::now());
            }
            ensure!(moved.elapsed() < PATIENCE, "stuck at {completed} of {tasks} tasks");
            std::thread::sleep(pause);
        }
    }

    fn get(&self, path: &str) -> Result<Value> {
        let request = self.agent.get(format!("{}{path}", self.nexus.ready));
        told(path, request.call())
    }

    fn post(&self, path: &str, body: &str) -> Result<Value> {
        let request = self.agent.post(format!("{}{path}", self.nexus.ready));
        told(path, request.header("content-type", "application/json").send(body))
    }
}

fn told(path: &str, answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Result<Value> {
    let mut response = answer.with_context(|| path.to_owned())?;
    let text = response.body_mut().read_to_string()?;
    if !response.status().is_success() {
        bail!("{path}: {} {text}", response.status());
    }
    Ok(serde_json::from_str(&text)?)
}

fn task(guest: Guest, method: &str, parameters: &str) -> String {
    let skill = guest.skill;
    format!(r#"{{"skill_name":"{skill}","method_name":"{method}","parameters":{parameters}}}"#)
}
