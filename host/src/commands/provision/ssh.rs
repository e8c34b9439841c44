//! The other machine, by the ssh program of this one: one connection, over which scripts are run. Never a library: keys,
//! agents, jump hosts and known hosts are as the person has them.

use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::target::Target;
use crate::failure::{Explain as _, Failure};

/// Longest wait for the connection: two tries of ssh's own timeout, and the login.
const CONNECT: Duration = Duration::from_secs(45);
/// What a script may print.
const MOST_OUTPUT: u64 = 256 * 1024;
/// Exit code of ssh for its own trouble.
const SSH_FAILED: i32 = 255;

/// What is set for every connection. The first value of an option counts, so nothing behind can change it.
const ALWAYS: [&str; 11] = [
    "BatchMode=yes",
    "StrictHostKeyChecking=yes",
    "ConnectTimeout=15",
    "ServerAliveInterval=5",
    "ServerAliveCountMax=3",
    "ForwardAgent=no",
    "ForwardX11=no",
    "ClearAllForwardings=yes",
    "PermitLocalCommand=no",
    "RequestTTY=no",
    "LogLevel=ERROR",
];

/// Secrets of this machine that a configuration of ssh might send along.
const SECRETS: [&str; 9] = [
    "VENOM_TOKEN",
    "SPORE_SHARED_TOKEN",
    "NEXUS_SHARED_TOKEN",
    "HIVE_REGISTRATION_TOKEN",
    "AGENT_REGISTRATION_SECRET",
    "REDIS_URL",
    "REDIS_PASSWORD",
    "DATABASE_URL",
    "VENOM_REGISTRY_PASSWORD",
];

/// A connection.
pub(super) struct Ssh {
    target: Target,
    options: Vec<String>,
    /// Holds the socket that later commands share the connection by. Private; its path must be short.
    control: TempDir,
    master: Option<Master>,
    /// No script is begun once this is cancelled.
    told: Option<CancellationToken>,
    /// Whether a script runs.
    busy: watch::Sender<bool>,
}

/// Says when a script has ended, also while the connection is in use.
#[derive(Debug)]
pub(super) struct Busy(watch::Receiver<bool>);

/// A script that runs, until this is dropped.
struct Running(watch::Sender<bool>);

impl Running {
    fn begin(busy: &watch::Sender<bool>) -> Self {
        busy.send_replace(true);
        Self(busy.clone())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.send_replace(false);
    }
}

impl Busy {
    /// Waits until no script runs, and no longer than this.
    pub(super) async fn ended(&mut self, patience: Duration) {
        // whoever is gone runs none
        let _ = timeout(patience, self.0.wait_for(|busy| !busy)).await;
    }
}

/// Holds the connection open: it ends when its stdin is closed.
struct Master {
    child: Child,
    _stdin: Option<ChildStdin>,
}

/// How a script ended.
#[derive(Debug)]
pub(super) struct Said {
    pub code: i32,
    pub out: String,
    pub err: String,
}

/// Who runs a script there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum As {
    /// Who logged in.
    Login,
    /// Root, by `sudo` that asks nothing.
    Sudo,
}

/// A script, and how long it may take.
#[derive(Debug, Clone)]
pub(super) struct Script<'a> {
    /// For POSIX sh; its words are `$1`, `$2`...
    pub text: &'a str,
    pub words: Vec<&'a str>,
    pub by: As,
    pub patience: Duration,
}

impl Ssh {
    /// Connects, and makes sure that a POSIX shell answers.
    pub(super) async fn connect(target: Target, options: Vec<String>) -> Result<Self, Failure> {
        let control = tempfile::Builder::new()
            .prefix("venom-")
            .tempdir_in("/tmp")
            .or_fail("cannot make a directory for the connection in /tmp")?;
        let mut ssh = Self {
            target,
            options,
            control,
            master: None,
            told: None,
            busy: watch::Sender::new(false),
        };
        let master = timeout(CONNECT, ssh.open()).await;
        ssh.master = Some(master.map_err(|_| {
            Failure::new(format!(
                "{} did not let us in within {} s",
                ssh.target,
                CONNECT.as_secs()
            ))
            .help("try `ssh` to it by hand")
        })??);
        Ok(ssh)
    }

    async fn open(&self) -> Result<Master, Failure> {
        // `cat` waits for the end of stdin, and so does the connection.
        let mut child = self
            .command(&["ControlMaster=yes"])
            .arg("exec sh -c 'echo venom-is-in; exec cat'")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(no_ssh)?;
        let stdin = child.stdin.take();
        let stdout = child.stdout.take().map(BufReader::new);
        let mut lines = stdout.map(|stdout| stdout.take(MOST_OUTPUT).lines());
        while let Some(lines) = &mut lines {
            match lines.next_line().await {
                Ok(Some(line)) if line.trim() == "venom-is-in" => {
                    return Ok(Master { child, _stdin: stdin });
                }
                // what a login script says is not ours
                Ok(Some(_)) => {}
                Ok(None) | Err(_) => break,
            }
        }
        drop(stdin);
        let err = match child.stderr.take() {
            Some(stderr) => read(stderr).await.unwrap_or_default(),
            None => String::new(),
        };
        Err(self.not_in(&err))
    }

    fn not_in(&self, err: &str) -> Failure {
        let failure = Failure::new(format!("no way into {} by ssh", self.target)).because(match err.trim() {
            "" => "ssh ended without a word",
            why => why,
        });
        if err.contains("Host key verification failed") || err.contains("IDENTIFICATION HAS CHANGED") {
            return failure.help(format!(
                "its host key is unknown or another than it was. When you are sure of it, connect once by hand and take it in: ssh {}",
                self.target
            ));
        }
        if err.contains("Permission denied") {
            return failure.help(format!(
                "provision asks for no password: give it a key (ssh-copy-id {}), or name one with --ssh-option IdentityFile=FILE",
                self.target
            ));
        }
        failure.help(format!(
            "try `ssh {}` by hand; -p and --ssh-option change how it is reached",
            self.target
        ))
    }

    /// The address or name ssh goes to in the end, as its configuration has it.
    pub(super) async fn real_host(&self) -> Option<String> {
        let mut command = self.command(&[]);
        // before the words that end its options
        let mut asking = Command::new("ssh");
        asking.arg("-G").args(command.as_std_mut().get_args());
        let output = timeout(
            Duration::from_secs(5),
            asking.stdin(Stdio::null()).kill_on_drop(true).output(),
        );
        let output = output.await.ok()?.ok()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.lines()
            .find_map(|line| line.strip_prefix("hostname ").map(str::to_owned))
    }

    /// From now on no script is begun once this is cancelled; one that runs is not ended by it. `None`: all are.
    pub(super) fn run_until_told(&mut self, told: Option<CancellationToken>) {
        self.told = told;
    }

    /// Whether a script runs, from now on.
    pub(super) fn busy(&self) -> Busy {
        Busy(self.busy.subscribe())
    }

    /// Runs a script without input.
    pub(super) async fn run(&mut self, script: &Script<'_>) -> Result<Said, Failure> {
        self.run_with(script, async |_: &mut ChildStdin| Ok(())).await
    }

    /// Runs a script and feeds it. A script that stops reading ends the feeding, not this.
    pub(super) async fn run_with(
        &mut self,
        script: &Script<'_>,
        feed: impl AsyncFnOnce(&mut ChildStdin) -> io::Result<()>,
    ) -> Result<Said, Failure> {
        if self.told.as_ref().is_some_and(CancellationToken::is_cancelled) {
            return Err(super::told_to_stop());
        }
        let _running = Running::begin(&self.busy);
        let mut child = self
            .command(&["ControlMaster=no"])
            .arg(remote_command(script))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(no_ssh)?;
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(mut stdin), Some(stdout), Some(stderr)) = (stdin, stdout, stderr) else {
            return Err(Failure::new("ssh was started without its pipes"));
        };
        let talk = async {
            let feeding = async {
                let fed = match feed(&mut stdin).await {
                    Ok(()) => stdin.shutdown().await,
                    Err(error) => Err(error),
                };
                drop(stdin);
                match fed {
                    Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
                    _ => Ok(()),
                }
            };
            let (fed, out, err) = tokio::join!(feeding, read(stdout), read(stderr));
            let status = child.wait().await?;
            fed?;
            Ok::<(ExitStatus, String, String), io::Error>((status, out?, err?))
        };
        let Ok(talked) = timeout(script.patience, talk).await else {
            return Err(Failure::new(format!(
                "{} did not finish within {} s",
                self.target,
                script.patience.as_secs()
            )));
        };
        let (status, out, err) = talked.or_fail("the ssh program cannot be talked to")?;
        match status.code() {
            Some(SSH_FAILED) | None => Err(Failure::new(format!("the connection to {} broke off", self.target))
                .because(match err.trim() {
                    "" => "ssh ended without a word",
                    why => why,
                })
                .help("see that the machine and the network are up, and run the same command again")),
            Some(code) => Ok(Said { code, out, err }),
        }
    }

    /// Lets go of the connection, so that the next script makes one of its own: for when this one may be dead.
    pub(super) async fn reconnect(&mut self) {
        if let Some(mut master) = self.master.take() {
            // Dead or not, it ends now.
            let _ = master.child.kill().await;
        }
        let _ = tokio::fs::remove_file(self.control.path().join("s")).await;
    }

    /// Ends the connection.
    pub(super) async fn close(mut self) {
        if let Some(Master { mut child, _stdin }) = self.master.take() {
            drop(_stdin);
            if timeout(Duration::from_secs(5), child.wait()).await.is_err() {
                let _ = child.kill().await;
            }
        }
    }

    fn command(&self, more: &[&str]) -> Command {
        let mut command = Command::new("ssh");
        // A Ctrl-C of the terminal is for this program, which then cleans up over the same connection.
        command.process_group(0).kill_on_drop(true);
        for secret in SECRETS {
            command.env_remove(secret);
        }
        let control = format!("ControlPath={}", self.control.path().join("s").display());
        for option in ALWAYS.iter().chain(more).copied().chain([control.as_str()]) {
            command.args(["-o", option]);
        }
        command.args(&self.options).args(["--", self.target.as_str()]);
        command
    }
}

fn no_ssh(error: io::Error) -> Failure {
    Failure::new("cannot start the ssh program")
        .because(error.to_string())
        .help("install OpenSSH's client, or put it in PATH")
}

async fn read(from: impl AsyncRead + Unpin) -> io::Result<String> {
    let mut bytes = Vec::new();
    let mut from = from.take(MOST_OUTPUT);
    from.read_to_end(&mut bytes).await?;
    // What is more is read to its end and dropped: who writes must not hang.
    tokio::io::copy(&mut from.into_inner(), &mut tokio::io::sink()).await?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// One line for the login shell there: every word of it quoted.
fn remote_command(script: &Script<'_>) -> String {
    let by = match script.by {
        As::Login => "",
        As::Sudo => "sudo -n -- ",
    };
    let mut line = format!("exec {by}sh -c {} venom", quote(script.text));
    for word in &script.words {
        line.push(' ');
        line.push_str(&quote(word));
    }
    line
}

/// A word for POSIX shells, whatever is in it.
fn quote(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_in_a_word_arrives_as_it_is() {
        let words = [
            "a b",
            "",
            "'",
            "''x'",
            "$(touch /tmp/x)",
            "`id`",
            "\"\\\n",
            "--",
            "-n",
            "*",
            "é;|&<>",
        ];
        let script = Script {
            text: "for word; do printf '<%s>' \"$word\"; done",
            words: words.to_vec(),
            by: As::Login,
            patience: Duration::ZERO,
        };
        for shell in ["sh", "bash"] {
            let output = std::process::Command::new(shell)
                .args(["-c", &remote_command(&script)])
                .output()
                .unwrap();
            let expected: String = words.iter().map(|word| format!("<{word}>")).collect();
            assert_eq!(String::from_utf8(output.stdout).unwrap(), expected, "{shell}");
        }
    }

    #[test]
    fn what_keeps_it_safe_comes_first_and_the_machine_last() {
        let ssh = Ssh {
            target: Target::parse("pi@host").unwrap(),
            options: vec!["-p".to_owned(), "2222".to_owned()],
            control: tempfile::tempdir().unwrap(),
            master: None,
            told: None,
            busy: watch::Sender::new(false),
        };
        let command = ssh.command(&[]);
        let words: Vec<String> = command
            .as_std()
            .get_args()
            .map(|word| word.to_str().unwrap().to_owned())
            .collect();
        assert_eq!(words[..4], ["-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes"]);
        assert_eq!(words[words.len() - 4..], ["-p", "2222", "--", "pi@host"]);
        let removed: Vec<&std::ffi::OsStr> = command.as_std().get_envs().map(|(name, _)| name).collect();
        assert!(
            SECRETS
                .iter()
                .all(|secret| removed.contains(&std::ffi::OsStr::new(secret)))
        );
    }
}
