//! A nexus and a spore with `EchoSkill`, for tests of tasks.

use crate::home::{Home, Running, Said};

/// Seconds no test waits for; whatever takes longer has failed.
pub(crate) const LONG: &str = "60s";

/// A nexus and what runs its tasks.
pub(crate) struct Hive {
    pub(crate) home: Home,
    pub(crate) nexus: Running,
    _spore: Running,
}

impl Hive {
    /// One whose spore runs so many calls at one time.
    pub(crate) fn with_concurrency(calls: u32) -> Self {
        let home = Home::initialised();
        home.install_skill("echo");
        let nexus = home.start(&["nexus", "--port", "0", "--local-fallback", "off"], "nexus ready ");
        let calls = calls.to_string();
        let spore = [
            "spore",
            "--nexus",
            &nexus.ready,
            "--name",
            "worker",
            "--concurrency",
            &calls,
        ];
        let spore = home.start(&spore, "spore ready ");
        Self {
            home,
            nexus,
            _spore: spore,
        }
    }

    pub(crate) fn new() -> Self {
        Self::with_concurrency(16)
    }

    /// Runs a command against its nexus.
    pub(crate) fn run(&self, args: &[&str]) -> Said {
        self.home.run(&[args, &["--nexus", &self.nexus.ready]].concat())
    }

    /// The same with text on stdin.
    pub(crate) fn run_with_stdin(&self, args: &[&str], stdin: &str) -> Said {
        self.home
            .run_with_stdin(&[args, &["--nexus", &self.nexus.ready]].concat(), stdin)
    }

    /// Submits one task and answers its id.
    pub(crate) fn submit(&self, args: &[&str]) -> String {
        self.run(&[&["task", "submit"], args].concat()).fine().trim().to_owned()
    }

    /// A task as JSON.
    pub(crate) fn task(&self, id: &str) -> serde_json::Value {
        self.run(&["task", "get", id, "--json"]).json()
    }

    /// A task as JSON once it has ended.
    pub(crate) fn ended(&self, id: &str) -> serde_json::Value {
        self.run(&["task", "get", id, "--wait", LONG, "--json"]).json()
    }

    /// Ids of tasks in one state.
    pub(crate) fn listed(&self, status: &str) -> Vec<String> {
        let list = self
            .run(&["task", "list", "--status", status, "--limit", "1000", "--json"])
            .json();
        let tasks = list["tasks"].as_array().unwrap();
        tasks
            .iter()
            .map(|task| task["task_id"].as_str().unwrap().to_owned())
            .collect()
    }
}
