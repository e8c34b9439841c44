//! Real programs, really confined. Each setting of a grant has a test here that fails when it is ignored.

mod arguments;
mod endings;
mod walls;

use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;
use venom_bundle::capability::{Access, CommandGrant, Confinement, FsGrant};

use super::*;

/// Far more than any program here takes; reached only when something is broken.
const LONG: Duration = Duration::from_secs(60);

/// A machine with a granted directory and a secret beside it.
struct Place {
    root: tempfile::TempDir,
    access: Access,
}

impl Place {
    fn new(access: Access) -> Self {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("home/sub")).unwrap();
        std::fs::write(root.path().join("home/file"), "inside\n").unwrap();
        std::fs::write(root.path().join("secret"), "TOP SECRET\n").unwrap();
        Self { root, access }
    }

    fn home(&self) -> PathBuf {
        self.root.path().canonicalize().unwrap().join("home")
    }

    fn secret(&self) -> PathBuf {
        self.root.path().canonicalize().unwrap().join("secret")
    }

    fn fs(&self) -> Vec<FsGrant> {
        vec![FsGrant {
            host: self.home(),
            guest: "/work".to_owned(),
            access: self.access,
            quota: None,
        }]
    }

    fn grants(&self, grant: CommandGrant) -> CommandGrants {
        CommandGrants::resolve("Skill", &[grant], &self.fs()).unwrap()
    }

    async fn run(&self, grant: CommandGrant, arguments: &[&str]) -> Result<CommandOutput, CommandError> {
        let request = request(&grant.name, arguments);
        self.ask(grant, request).await
    }

    async fn ask(&self, grant: CommandGrant, request: CommandRequest) -> Result<CommandOutput, CommandError> {
        let limits = CommandLimits { remaining: LONG };
        run(&self.grants(grant), request, limits, &CancellationToken::new()).await
    }

    /// A shell line, in the granted directory, with subprocesses.
    async fn shell(&self, line: &str) -> CommandOutput {
        self.run(shell(), &["-c", line]).await.unwrap()
    }
}

fn request(program: &str, arguments: &[&str]) -> CommandRequest {
    CommandRequest {
        program: program.to_owned(),
        arguments: arguments.iter().map(ToString::to_string).collect(),
        ..CommandRequest::default()
    }
}

/// A program with any argument, in the granted directory, and nothing else.
fn grant(name: &str) -> CommandGrant {
    CommandGrant {
        name: name.to_owned(),
        path: None,
        args: vec!["**".to_owned()],
        directory: Some("/work".to_owned()),
        env: Vec::new(),
        output: ByteSize::kib(256),
        timeout: LONG,
        memory: ByteSize::mib(512),
        file_size: ByteSize::mib(64),
        subprocesses: false,
        network: false,
        read: Vec::new(),
        confinement: Confinement::Required,
    }
}

fn shell() -> CommandGrant {
    CommandGrant {
        subprocesses: true,
        ..grant("sh")
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn refused(outcome: Result<CommandOutput, CommandError>) -> Refusal {
    match outcome {
        Err(CommandError::Denied(refusal)) => refusal,
        other => panic!("expected a refusal, got {other:?}"),
    }
}

/// Waits until a condition holds, and fails when it never does.
async fn until(what: &str, condition: impl Fn() -> bool) {
    let waited = tokio::time::timeout(Duration::from_secs(20), async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    assert!(waited.await.is_ok(), "never: {what}");
}
