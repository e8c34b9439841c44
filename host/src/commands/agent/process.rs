//! The process of an agent: one a data directory, found again, and told to stop. Whoever runs holds a lock on `agent.pid`, and
//! the kernel says who that is: what is written in the file is for people only, so that a file a dead agent left behind
//! neither lies nor gets a stranger killed.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Seek as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FlockOperation, fcntl_lock};
use rustix::io::Errno;
use rustix::process::{Flock, FlockType, Pid, PidfdFlags, Signal, fcntl_getlk, pidfd_open, pidfd_send_signal};

use crate::data_dir::PRIVATE_FILE;
use crate::failure::{Explain as _, Failure};

/// Time an agent gets to end once it was told to quit at once.
const LAST_WORD: Duration = Duration::from_secs(10);

/// Held by the agent for as long as it runs. The kernel lets go of it with the process, however that ends.
#[derive(Debug)]
pub(crate) struct Held {
    // must stay the only descriptor of this file in this process: closing any of them would give the lock up
    _file: File,
}

/// Takes the place of this data directory's agent; `None` when another process has it.
pub(crate) fn hold(path: &Path) -> Result<Option<Held>, Failure> {
    let failed = || format!("cannot use the PID file {}", path.display());
    let mut file = open(path, true).or_fail(failed())?;
    match fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(Errno::AGAIN | Errno::ACCESS) => return Ok(None),
        Err(error) => return Err(error).or_fail(failed()),
    }
    let written = file
        .set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| writeln!(file, "{}", std::process::id()));
    written.or_fail(failed())?;
    Ok(Some(Held { _file: file }))
}

/// An agent that runs.
#[derive(Debug)]
pub(crate) struct Running {
    /// Its process id.
    pub pid: u32,
    handle: OwnedFd,
}

/// The agent that runs with this PID file; `None`: none does.
pub(crate) fn find(path: &Path) -> Result<Option<Running>, Failure> {
    let failed = || format!("cannot use the PID file {}", path.display());
    let file = match open(path, false) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).or_fail(failed()),
    };
    loop {
        let Some(pid) = holder(&file).or_fail(failed())? else {
            return Ok(None);
        };
        let Some(pid) = pid else {
            return Err(Failure::new(
                "an agent runs with this data directory, but its process cannot be seen from here",
            )
            .because(format!(
                "{} is locked from another container or machine",
                path.display()
            ))
            .help("run this command where the agent runs"));
        };
        match pidfd_open(pid, PidfdFlags::empty()) {
            // Only when the lock is still its own is the process behind the handle the agent: the number may have
            // gone to another one in between.
            Ok(handle) if holder(&file).or_fail(failed())? == Some(Some(pid)) => {
                return Ok(Some(Running {
                    pid: u32::try_from(pid.as_raw_nonzero().get()).unwrap_or_default(),
                    handle,
                }));
            }
            Ok(_) | Err(Errno::SRCH) => {}
            Err(error) => return Err(error).or_fail("the agent's process cannot be looked at"),
        }
    }
}

impl Running {
    /// Asks it to finish, waits, then tells it to quit at once. Answers whether it finished by itself.
    pub(crate) fn stop(&self, timeout: Duration) -> Result<bool, Failure> {
        for (patience, by_itself) in [(timeout, true), (LAST_WORD, false)] {
            match pidfd_send_signal(&self.handle, Signal::TERM) {
                // it has ended already
                Ok(()) | Err(Errno::SRCH) => {}
                Err(error) => {
                    return Err(error).or_fail(format!("the agent (pid {}) cannot be told to stop", self.pid));
                }
            }
            if self.ends_within(patience)? {
                return Ok(by_itself);
            }
        }
        Err(
            Failure::new(format!("the agent (pid {}) does not end", self.pid)).help(format!(
                "look at its log; if it hangs, end it the hard way: kill -9 {}",
                self.pid
            )),
        )
    }

    fn ends_within(&self, patience: Duration) -> Result<bool, Failure> {
        let deadline = Instant::now() + patience;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let time = Timespec::try_from(left).or_fail("that is too long to wait")?;
            let mut ended = [PollFd::new(&self.handle, PollFlags::IN)];
            match poll(&mut ended, Some(&time)) {
                Ok(0) => return Ok(false),
                Ok(_) => return Ok(true),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error).or_fail("the agent's end cannot be waited for"),
            }
        }
    }
}

fn open(path: &Path, make: bool) -> std::io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(make)
        .mode(PRIVATE_FILE)
        .open(path)
}

/// Who holds the lock: nobody, somebody this process cannot see, or that process.
fn holder(file: &File) -> rustix::io::Result<Option<Option<Pid>>> {
    let asked = Flock::from(FlockType::WriteLock);
    let found = fcntl_getlk(file, &asked)?;
    Ok(found.map(|lock| lock.pid))
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_file_nobody_holds_names_nobody() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("agent.pid");
        assert!(find(&path).unwrap().is_none());
        let mut stranger = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        std::fs::write(&path, stranger.id().to_string()).unwrap();
        assert!(find(&path).unwrap().is_none(), "the stranger holds no lock");
        drop(stranger.stdin.take());
        assert!(stranger.wait().unwrap().success());
    }

    #[test]
    fn who_holds_it_writes_its_own_number_over_what_was_there() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("agent.pid");
        std::fs::write(&path, "99999999 and more\n").unwrap();
        let _held = hold(&path).unwrap().unwrap();
        let written = std::fs::read_to_string(&path).unwrap();
        assert_eq!(written, format!("{}\n", std::process::id()));
    }
}
