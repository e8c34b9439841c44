//! A host for native unit tests: records what a skill does and answers as the test scripted it. As in the
//! sandbox, nothing is granted by default. It never touches the network or starts a program.
//!
//! ```
//! use venom_sdk::command::Command;
//! use venom_sdk::fake::Host;
//!
//! let host = Host::new().command("uname", |_| Ok("Linux\n".into())).install();
//! assert_eq!(Command::new("uname").arg("-s").run()?.text(), "Linux\n");
//! assert_eq!(host.commands()[0].arguments, ["-s"]);
//! assert!(Command::new("rm").run().is_err());
//! # Ok::<(), venom_sdk::Error>(())
//! ```

pub(crate) mod calls;
mod lan;
mod record;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use serde_json::Value;

use crate::command::{Command, Output};
use crate::http::{Request, Response};
use crate::lan::{Device, Link, Neighbour, Page, Service, TlsSession};
use crate::{Refusal, Result};

pub use record::{LogLine, Recorder, Report};

type CommandScript = Rc<dyn Fn(&Command) -> Result<Output>>;
type TaskScript = Rc<dyn Fn(Value) -> Result<Value>>;
type HttpScript = Rc<dyn Fn(&Request) -> Result<Response>>;

thread_local! {
    static INSTALLED: RefCell<Rc<RefCell<State>>> = RefCell::default();
}

/// A fake host, scripted before it is installed.
#[derive(Default)]
#[must_use = "call `install`, and keep what it answers: the host goes when that is dropped"]
pub struct Host {
    state: State,
}

#[derive(Default)]
struct State {
    grants: Grants,
    cancel_after: Option<u32>,
    cache: BTreeMap<String, (Vec<u8>, u32)>,
    /// Of the tasks in order; `None` for one that does not end.
    outcomes: Vec<Option<Result<Value>>>,
    record: record::Record,
}

#[derive(Default)]
struct Grants {
    commands: BTreeMap<String, CommandScript>,
    tasks: BTreeMap<String, TaskScript>,
    unfinished: BTreeSet<String>,
    http: BTreeMap<String, HttpScript>,
    config: BTreeMap<String, String>,
    secrets: Vec<String>,
    cache: bool,
    directories: Vec<(String, PathBuf)>,
    remaining: Option<Duration>,
    lan: Lan,
}

/// What of the `lan` interface is granted, with its answers.
#[derive(Default)]
struct Lan {
    links: Option<Vec<Link>>,
    neighbours: Option<Vec<Neighbour>>,
    names: Option<BTreeMap<IpAddr, Vec<String>>>,
    services: Option<Vec<Service>>,
    devices: Option<Vec<Device>>,
    tls: BTreeMap<SocketAddr, Result<TlsSession>>,
    https: BTreeMap<SocketAddr, Result<Page>>,
}

impl Host {
    /// A host that grants nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Grants a program; `script` plays it.
    pub fn command(mut self, program: &str, script: impl Fn(&Command) -> Result<Output> + 'static) -> Self {
        self.state.grants.commands.insert(program.to_owned(), Rc::new(script));
        self
    }

    /// Grants tasks of one `Skill.method`; `script` runs them, parameters in, value out.
    pub fn task(mut self, skill_and_method: &str, script: impl Fn(Value) -> Result<Value> + 'static) -> Self {
        self.state
            .grants
            .tasks
            .insert(skill_and_method.to_owned(), Rc::new(script));
        self
    }

    /// Grants tasks of one `Skill.method` that never end.
    pub fn unfinished(mut self, skill_and_method: &str) -> Self {
        self.state.grants.unfinished.insert(skill_and_method.to_owned());
        self
    }

    /// Grants an HTTP host (`api.example.com` or `127.0.0.1:8080`); `script` is the server.
    pub fn http(mut self, host: &str, script: impl Fn(&Request) -> Result<Response> + 'static) -> Self {
        self.state.grants.http.insert(host.to_owned(), Rc::new(script));
        self
    }

    /// Gives a setting.
    pub fn config(mut self, key: &str, value: &str) -> Self {
        self.state.grants.config.insert(key.to_owned(), value.to_owned());
        self
    }

    /// Grants a secret. As in the sandbox, its value is nowhere to be read; its placeholder is `{secret:NAME}`.
    pub fn secret(mut self, name: &str) -> Self {
        self.state.grants.secrets.push(name.to_owned());
        self
    }

    /// Grants the cache.
    pub fn cache(mut self) -> Self {
        self.state.grants.cache = true;
        self
    }

    /// Grants a directory of this machine under a guest path; [`crate::files::path`] answers paths inside it.
    pub fn directory(mut self, guest: &str, place: impl Into<PathBuf>) -> Self {
        self.state.grants.directories.push((guest.to_owned(), place.into()));
        self
    }

    /// The caller cancels: the first `checks` questions are answered no, all later ones yes.
    pub fn cancel_after(mut self, checks: u32) -> Self {
        self.state.cancel_after = Some(checks);
        self
    }

    /// The time the task has left; without it, 30 seconds.
    pub fn remaining(mut self, remaining: Duration) -> Self {
        self.state.grants.remaining = Some(remaining);
        self
    }

    /// Makes this the host of the current thread until the recorder is dropped.
    #[must_use = "the host goes when the recorder is dropped"]
    pub fn install(self) -> Recorder {
        let state = Rc::new(RefCell::new(self.state));
        let before = INSTALLED.with(|installed| installed.replace(Rc::clone(&state)));
        Recorder::new(state, before)
    }
}

fn with<T>(act: impl FnOnce(&mut State) -> T) -> T {
    let state = INSTALLED.with(|installed| Rc::clone(&installed.borrow()));
    let mut state = state.borrow_mut();
    act(&mut state)
}

fn refused<T>(capability: &str, target: &str) -> Result<T> {
    Err(Refusal {
        capability: capability.to_owned(),
        target: target.to_owned(),
        reason: "the fake host does not grant it".to_owned(),
        missing_grant: String::new(),
    }
    .into())
}
