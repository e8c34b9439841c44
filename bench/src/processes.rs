//! The real, release-built `venom-host` as a child, told ready by its own line on stdout.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail};

/// A child that said it is ready; killed and reaped when dropped.
pub(crate) struct Running {
    child: Child,
    /// What followed the ready words: an address or a node id.
    pub(crate) ready: String,
}

impl Running {
    /// Starts `command` and waits for a stdout line that begins with `says`.
    pub(crate) fn start(mut command: Command, says: &str) -> Result<Self> {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let stdout = child.stdout.take().context("no stdout")?;
        for line in BufReader::new(stdout).lines() {
            if let Some(ready) = line?.strip_prefix(says) {
                return Ok(Self {
                    child,
                    ready: ready.trim().to_owned(),
                });
            }
        }
        let status = child.wait()?;
        bail!("{command:?} ended with {status} before it was ready");
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Resident memory, bytes.
    pub(crate) fn resident_bytes(&self) -> Result<u64> {
        resident_bytes_of(self.child.id())
    }
}

/// Resident memory of a process, bytes.
pub(crate) fn resident_bytes_of(process: u32) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .context("no VmRSS")?;
    let kib: u64 = line.split_whitespace().nth(1).context("no figure")?.parse()?;
    Ok(kib * 1024)
}

/// Seconds of a core that a process has used, by itself and in the kernel.
pub(crate) fn cpu_seconds_of(process: u32) -> Result<f64> {
    /// Of `/proc`, on every Linux.
    const TICKS_A_SECOND: f64 = 100.0;
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
    // the name, in brackets, may hold anything
    let (_, rest) = stat.rsplit_once(')').context("no name")?;
    let ticks = rest.split_whitespace().skip(11).take(2).map(str::parse::<f64>);
    Ok(ticks.sum::<Result<f64, _>>()? / TICKS_A_SECOND)
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both only fail when it already ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `venom-host` of this build.
pub(crate) fn venom_host() -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    let host = own.parent().context("no directory")?.join("venom-host");
    if !host.exists() {
        bail!(
            "{} is missing: build it with `cargo build --release -p venom-host`",
            host.display()
        );
    }
    Ok(host)
}

/// Shared token of the hives that are measured.
pub(crate) const TOKEN: &str = "bench";

/// A nexus on a free port, in `--dev`.
pub(crate) fn start_nexus(data_dir: &Path, environment: &[(&str, &str)]) -> Result<Running> {
    start_nexus_on(data_dir, 0, environment)
}

/// The same on a port of our choice; 0: any.
pub(crate) fn start_nexus_on(data_dir: &Path, port: u16, environment: &[(&str, &str)]) -> Result<Running> {
    let mut nexus = Command::new(venom_host()?);
    nexus
        .args(["nexus", "--dev", "--port", &port.to_string(), "--data-dir"])
        .arg(data_dir);
    nexus
        .envs(environment.iter().copied())
        .env("VENOM_LOG", "warn")
        .env("NEXUS_SHARED_TOKEN", TOKEN);
    Running::start(nexus, "nexus ready ")
}

/// A spore of that nexus with the skills of a directory.
pub(crate) fn start_spore(
    nexus: &str,
    data_dir: &Path,
    skills: &Path,
    environment: &[(&str, &str)],
) -> Result<Running> {
    let mut spore = Command::new(venom_host()?);
    spore
        .args(["spore", "--dev", "--nexus", nexus, "--data-dir"])
        .arg(data_dir)
        .arg("--skills")
        .arg(skills);
    spore
        .env("VENOM_LOG", "warn")
        .env("SPORE_SHARED_TOKEN", TOKEN)
        .envs(environment.iter().copied());
    Running::start(spore, "spore ready ")
}
