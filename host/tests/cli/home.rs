//! A data directory of a test's own, the binary run in it, and processes that end with the test.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// Longest wait for anything; a machine that builds other things at the same time needs it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The sources of this repository.
pub(crate) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Where cargo puts what skills are built into: the directory this very test was built in.
fn target_dir() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().to_owned()
}

/// A data directory.
pub(crate) struct Home {
    directory: tempfile::TempDir,
}

/// What a command said.
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Said {
    /// Asserts success and answers stdout.
    pub(crate) fn fine(self) -> String {
        assert_eq!(self.code, 0, "{}{}", self.out, self.err);
        self.out
    }

    /// Stdout as JSON, whatever the exit code.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {}{}", self.out, self.err))
    }

    /// Code and stderr, as snapshots hold them.
    pub(crate) fn failure(&self) -> String {
        assert_eq!(self.out, "", "a failure says nothing on stdout");
        format!("exit {}\n{}", self.code, self.err)
    }
}

impl Home {
    /// An empty one.
    pub(crate) fn new() -> Self {
        Self {
            directory: tempfile::tempdir().unwrap(),
        }
    }

    /// One that `init` has filled.
    pub(crate) fn initialised() -> Self {
        let home = Self::new();
        home.run(&["init"]).fine();
        home
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path().join(name)).unwrap()
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::create_dir_all(self.path()).unwrap();
        std::fs::write(self.path().join(name), text).unwrap();
    }

    /// A file in the directory commands run in.
    pub(crate) fn write_beside(&self, name: &str, text: &str) {
        std::fs::write(self.directory.path().join(name), text).unwrap();
    }

    /// The binary with an environment of its own: what the machine has set cannot change a test.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_venom-host"));
        command
            .args(args)
            .env_clear()
            .current_dir(self.directory.path())
            .stdin(Stdio::null());
        for name in [
            "PATH",
            "RUSTUP_HOME",
            "CARGO_HOME",
            "CARGO",
            "RUSTUP_TOOLCHAIN",
            "LLVM_PROFILE_FILE",
        ] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        // Rust's own tools fall back on the real home; the data directory is always named.
        if let Some(home) = std::env::var_os("HOME") {
            command.env("HOME", home);
        }
        command
            .env("VENOM_DATA_DIR", self.path())
            // the network of whoever runs the tests is not theirs to speak in
            .env("VENOM_MDNS", "off")
            .env("CARGO_TARGET_DIR", target_dir());
        command
    }

    /// Runs a command to its end.
    pub(crate) fn run(&self, args: &[&str]) -> Said {
        said(self.command(args).output().unwrap())
    }

    /// Runs a command that reads stdin.
    pub(crate) fn run_with_stdin(&self, args: &[&str], stdin: &str) -> Said {
        let mut child = self
            .command(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), stdin.as_bytes()).unwrap();
        said(child.wait_with_output().unwrap())
    }

    /// Builds one of this repository's skills, signed by this home, into its skills directory.
    pub(crate) fn install_skill(&self, folder: &str) -> PathBuf {
        let source = repository().join("skills").join(folder);
        let built = self.run(&[
            "skill",
            "build",
            source.to_str().unwrap(),
            "--profile",
            "skill",
            "--out",
            self.directory.path().join("built.venom").to_str().unwrap(),
            "--install",
            "--json",
        ]);
        assert_eq!(built.code, 0, "{}{}", built.out, built.err);
        PathBuf::from(built.json()["installed"].as_str().unwrap())
    }

    /// Text with this home's path taken out.
    pub(crate) fn tidy(&self, text: &str) -> String {
        text.replace(self.path().to_str().unwrap(), "[data]")
            .replace(self.directory.path().to_str().unwrap(), "[dir]")
    }

    /// Starts a long-running command and waits for its line on stdout, which begins with `says`.
    pub(crate) fn start(&self, args: &[&str], says: &str) -> Running {
        start(self.command(args), says)
    }
}

/// Starts a command and waits for its line on stdout, which begins with `says`.
pub(crate) fn start(mut command: Command, says: &str) -> Running {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (sender, lines) = mpsc::channel();
    let stdout = child.stdout.take().unwrap();
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    let mut stderr = child.stderr.take().unwrap();
    let errors = std::thread::spawn(move || {
        let mut text = String::new();
        stderr.read_to_string(&mut text).unwrap();
        text
    });
    let mut running = Running {
        child,
        ready: String::new(),
        errors: Some(errors),
    };
    match lines.recv_timeout(PATIENCE) {
        Ok(line) => match line.strip_prefix(says) {
            Some(ready) => running.ready = ready.to_owned(),
            None => panic!("it said `{line}`: {}", running.kill()),
        },
        Err(_) => panic!("it never said `{says}`: {}", running.kill()),
    }
    running
}

pub(crate) fn said(output: Output) -> Said {
    Said {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A process that is ready; killed when dropped.
pub(crate) struct Running {
    child: Child,
    /// What it said after the words it was expected to say.
    pub(crate) ready: String,
    errors: Option<std::thread::JoinHandle<String>>,
}

impl Running {
    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .args([name, &self.child.id().to_string()])
            .status()
            .unwrap();
        assert!(status.success());
    }

    /// Waits for its end and answers how it ended and all it said on stderr.
    pub(crate) fn wait(mut self) -> (ExitStatus, String) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return (status, self.errors.take().unwrap().join().unwrap());
            }
            assert!(Instant::now() < deadline, "it does not end: {}", self.kill());
            std::thread::yield_now();
        }
    }

    /// SIGTERM, then waits.
    pub(crate) fn stop(self) -> (ExitStatus, String) {
        self.signal("-TERM");
        self.wait()
    }

    fn kill(&mut self) -> String {
        // It may have ended by itself, which is what the caller is about to tell.
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.errors
            .take()
            .map(|errors| errors.join().unwrap())
            .unwrap_or_default()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Asks until the answer is right.
pub(crate) fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "never happened: {what}");
        std::thread::yield_now();
    }
}
