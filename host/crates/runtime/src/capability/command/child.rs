//! Starts an admitted program and sees it to its end. No program outlives what is made here.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, Command};
use venom_bundle::capability::Access;

use super::capture::{Captured, capture};
use super::confine;
use super::grants::Job;
use super::path::Home;
use super::{CommandError, CommandOutput};

/// The search path of a program: the same for all, so that nothing of the spore's own environment shows.
const PATH: &str = "/usr/local/bin:/usr/bin:/bin";
const LANG: &str = "C.UTF-8";

/// A started program. Dropping it kills the program and all it started.
#[derive(Debug)]
pub(super) struct Running {
    name: String,
    input: Vec<u8>,
    cap: u64,
    // declared before `_workdir`: the program is dead before its directory goes
    group: Group,
    child: Child,
    _workdir: Option<PrivateDirectory>,
}

impl Job {
    /// Checks the paths, forks and confines. Blocks.
    pub(super) fn start(self, allowed: std::time::Duration) -> Result<Running, CommandError> {
        let (home, private) = match &self.program.home {
            Some(home) => (home.clone(), None),
            None => {
                let private = PrivateDirectory::make().map_err(|error| self.start_error(error))?;
                (private.home(), Some(private))
            }
        };
        let cwd = match home.directory(&self.request.directory) {
            Ok(cwd) => cwd,
            Err(problem) => return Err(self.bad_directory(&problem).into()),
        };
        let mut command = self.command(&home, &cwd)?;
        confine::apply(&mut command, &self, &home, allowed)?;
        let child = command.spawn().map_err(|error| self.start_error(error))?;
        Ok(Running {
            name: self.name().to_owned(),
            cap: self.program.grant.output.as_u64(),
            group: Group::of(&child),
            child,
            input: self.request.input,
            _workdir: private,
        })
    }

    fn command(&self, home: &Home, cwd: &Path) -> Result<Command, CommandError> {
        let mut command = Command::new(&self.program.binary.path);
        command
            .arg0(&self.program.binary.shown)
            .args(self.arguments(home, cwd)?)
            .current_dir(cwd);
        command.env_clear().env("PATH", PATH).env("LANG", LANG);
        command.envs(self.request.environment.iter().map(|(key, value)| (key, value)));
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        Ok(command)
    }

    fn start_error(&self, source: std::io::Error) -> CommandError {
        CommandError::Start {
            program: self.name().to_owned(),
            binary: self.program.binary.path.display().to_string(),
            source,
        }
    }
}

impl Running {
    /// Feeds and reads the program until it ends.
    pub(super) async fn finish(&mut self) -> Result<CommandOutput, CommandError> {
        let input = std::mem::take(&mut self.input);
        let (stdin, stdout, stderr) = (
            self.child.stdin.take(),
            self.child.stdout.take(),
            self.child.stderr.take(),
        );
        let (group, cap) = (&self.group, self.cap);
        let feed = async {
            if let Some(mut stdin) = stdin {
                // a program that does not read its input is no failure
                let _ = stdin.write_all(&input).await;
            }
            Ok(())
        };
        let output = read(stdout, cap, group);
        let errors = read(stderr, cap, group);
        // what the program left behind is ended with it; only then do the pipes end for sure
        let end = async {
            let waited = ended(&mut self.child, group).await;
            group.kill();
            waited
        };
        let all = async { tokio::try_join!(feed, output, errors, end) };
        let lost = |source| CommandError::Lost {
            program: self.name.clone(),
            source,
        };
        let ((), output, errors, ()) = all.await.map_err(lost)?;
        let status = self.child.wait().await.map_err(lost)?;
        self.group.over();
        Ok(CommandOutput {
            exit_code: status.code(),
            signal: std::os::unix::process::ExitStatusExt::signal(&status),
            truncated: output.truncated || errors.truncated,
            output: output.kept,
            errors: errors.kept,
        })
    }
}

async fn read(from: Option<impl tokio::io::AsyncRead + Unpin>, cap: u64, group: &Group) -> std::io::Result<Captured> {
    match from {
        Some(from) => capture(from, cap, || group.kill()).await,
        None => Ok(Captured::default()),
    }
}

/// Waits until the program itself has ended. On Linux it is not reaped then, so that its number, which is its
/// group's, still belongs to it when the group is killed.
async fn ended(child: &mut Child, group: &Group) -> std::io::Result<()> {
    #[cfg(target_os = "linux")]
    if let Some(leader) = group.leader
        && let Ok(handle) = rustix::process::pidfd_open(leader, rustix::process::PidfdFlags::NONBLOCK)
    {
        let handle = crate::trusted::watch(handle)?;
        return handle.readable().await.map(drop);
    }
    #[cfg(not(target_os = "linux"))]
    let _ = group;
    child.wait().await.map(drop)
}

/// The process group a program leads. Dropping it kills the group.
#[derive(Debug)]
struct Group {
    leader: Option<Pid>,
    over: AtomicBool,
}

impl Group {
    fn of(child: &Child) -> Self {
        let leader = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        Self {
            leader,
            over: AtomicBool::new(false),
        }
    }

    fn kill(&self) {
        if let (Some(leader), false) = (self.leader, self.over.load(Ordering::Acquire)) {
            // none left is no failure
            let _ = kill_process_group(leader, Signal::KILL);
        }
    }

    /// The leader was reaped: its number may be another's from now on.
    fn over(&self) {
        self.over.store(true, Ordering::Release);
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

/// An empty directory for a program that was granted none. It may read it and not write, and it goes with it.
#[derive(Debug)]
struct PrivateDirectory(PathBuf);

impl PrivateDirectory {
    fn make() -> std::io::Result<Self> {
        let path = std::env::temp_dir().join(format!("venom-command-{:016x}", rand::random::<u64>()));
        // fails when it exists: nobody prepared it for us
        DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self(path.canonicalize()?))
    }

    fn home(&self) -> Home {
        Home {
            host: self.0.clone(),
            guest: None,
            access: Access::Ro,
        }
    }
}

impl Drop for PrivateDirectory {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::warn!(path = %self.0.display(), %error, "a command's private directory stays behind");
        }
    }
}
