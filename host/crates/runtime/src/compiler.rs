//! The compiler in a process of its own, ended when it takes too long. A component of some kilobytes can keep a compiler
//! busy for hours or take all memory, no count of its parts tells which will, and a thread cannot be stopped.
//! Never gives the process anything but the component, and takes nothing from it but the code.

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use bytesize::ByteSize;

/// Most bytes of code taken from it: a Python component comes to about 100 MB.
const MAX_CODE: u64 = 512 << 20;
/// Most bytes of its complaint that are shown.
const MAX_COMPLAINT: u64 = 2_048;

/// How to start a process that calls [`crate::compile_worker()`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompilerProcess {
    /// The program: this very one, so that both agree on the engine.
    pub program: PathBuf,
    /// Its arguments; `max_memory` in bytes and the length of the component are added.
    pub arguments: Vec<OsString>,
}

/// Why there is no code.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CompilerError {
    #[error("the compiler process {} cannot be started", program.display())]
    Start {
        program: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("it took over {within:?} and was stopped: a component that is not made to do harm compiles in seconds")]
    TooLong { within: Duration },
    #[error("the compiler made over {MAX_CODE} bytes of code and was stopped")]
    TooMuch,
    #[error("the compiler ended with {status}: {complaint}")]
    Failed { status: String, complaint: String },
    #[error("the compiler process cannot be talked to")]
    Pipe(#[source] io::Error),
}

impl CompilerProcess {
    /// Compiles a component. Blocks; the process is gone when this returns.
    pub(crate) fn compile(
        &self,
        component: &[u8],
        max_memory: ByteSize,
        within: Duration,
    ) -> Result<Vec<u8>, CompilerError> {
        let mut child = self.start(component.len(), max_memory)?;
        let talked = talk(&mut child, component, within);
        if talked.is_err() {
            // it may have ended by itself just now, which is as good
            drop(child.kill());
        }
        let status = child.wait().map_err(CompilerError::Pipe)?;
        let (code, complaint) = talked?;
        if !status.success() {
            return Err(CompilerError::Failed {
                status: status.to_string(),
                complaint: complaint.trim().to_owned(),
            });
        }
        Ok(code)
    }

    fn start(&self, length: usize, max_memory: ByteSize) -> Result<Child, CompilerError> {
        let started = Command::new(&self.program)
            .args(&self.arguments)
            .arg(max_memory.as_u64().to_string())
            .arg(length.to_string())
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        started.map_err(|source| CompilerError::Start {
            program: self.program.clone(),
            source,
        })
    }
}

/// Hands the component over and waits for the code. What blocks is on threads that end with the process.
fn talk(child: &mut Child, component: &[u8], within: Duration) -> Result<(Vec<u8>, String), CompilerError> {
    let gone = || CompilerError::Pipe(io::ErrorKind::BrokenPipe.into());
    let mut input = child.stdin.take().ok_or_else(gone)?;
    let output = child.stdout.take().ok_or_else(gone)?;
    let errors = child.stderr.take().ok_or_else(gone)?;
    // one answer only
    let (sender, receiver) = mpsc::sync_channel(1);
    thread::scope(|scope| {
        // when it ends early this fails, and its complaint says more
        scope.spawn(move || input.write_all(component));
        let complaint = scope.spawn(move || read(errors, MAX_COMPLAINT).unwrap_or_default());
        scope.spawn(move || drop(sender.send(read(output, MAX_CODE + 1))));
        let code = match receiver.recv_timeout(within) {
            Ok(Ok(code)) if code.len() as u64 > MAX_CODE => Err(CompilerError::TooMuch),
            Ok(code) => code.map_err(CompilerError::Pipe),
            Err(_) => Err(CompilerError::TooLong { within }),
        };
        if code.is_err() {
            // or the threads would wait for it
            drop(child.kill());
        }
        let complaint = complaint.join().unwrap_or_default();
        Ok((code?, String::from_utf8_lossy(&complaint).into_owned()))
    })
}

fn read(from: impl Read, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    fn shell(script: &str) -> CompilerProcess {
        CompilerProcess {
            program: "/bin/sh".into(),
            arguments: vec!["-c".into(), script.into()],
        }
    }

    fn compile(script: &str, within: Duration) -> Result<Vec<u8>, CompilerError> {
        // longer than any pipe holds
        shell(script).compile(&vec![b'x'; 1 << 20], ByteSize::mib(64), within)
    }

    #[test]
    fn what_it_writes_is_the_code_and_it_is_told_sizes_and_nothing_else() {
        let long = Duration::from_secs(30);
        let code = compile(
            "cat >/dev/null; echo $0 $1; env | grep -v -e ^PWD -e ^SHLVL -e ^_ || true",
            long,
        )
        .unwrap();
        assert_eq!(String::from_utf8(code).unwrap(), "67108864 1048576\n");
    }

    #[test]
    fn its_complaint_and_its_end_are_told() {
        let error = compile("echo 'unknown opcode' >&2; exit 3", Duration::from_secs(30)).unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains("exit status: 3") && text.contains("unknown opcode"),
            "{text}"
        );
        let error = compile("kill -9 $$", Duration::from_secs(30)).unwrap_err().to_string();
        assert!(error.contains("signal: 9"), "{error}");
        let nowhere = CompilerProcess {
            program: "/does/not/exist".into(),
            arguments: Vec::new(),
        };
        let error = nowhere
            .compile(b"", ByteSize::mib(1), Duration::from_secs(1))
            .unwrap_err();
        assert!(matches!(error, CompilerError::Start { .. }), "{error}");
    }

    #[test]
    fn one_that_takes_too_long_is_ended() {
        for script in ["exec sleep 600", "cat >/dev/null; exec sleep 600"] {
            let begun = Instant::now();
            let error = compile(script, Duration::from_millis(200)).unwrap_err();
            assert!(matches!(error, CompilerError::TooLong { .. }), "{script}: {error}");
            assert!(
                begun.elapsed() < Duration::from_secs(20),
                "{script}: {:?}",
                begun.elapsed()
            );
        }
    }
}
