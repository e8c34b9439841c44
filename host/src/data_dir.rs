//! What lies where in the data directory, and how its secrets are read and written. Nothing is ever overwritten.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use rand::TryRng as _;

use crate::failure::{Explain as _, Failure};
use crate::settings::Secret;

/// Mode of private files.
pub(crate) const PRIVATE_FILE: u32 = 0o600;
/// Mode of files others may read.
pub(crate) const SHARED_FILE: u32 = 0o644;
/// Mode of private directories.
pub(crate) const PRIVATE_DIRECTORY: u32 = 0o700;

/// A data directory.
#[derive(Debug, Clone)]
pub(crate) struct DataDir(pub PathBuf);

impl DataDir {
    /// Settings.
    pub(crate) fn settings(&self) -> PathBuf {
        self.0.join("venom.toml")
    }
    /// Keys.
    pub(crate) fn keys(&self) -> PathBuf {
        self.0.join("keys")
    }
    /// What signs bundles.
    pub(crate) fn publisher_key(&self) -> PathBuf {
        self.0.join("keys/publisher.key")
    }
    /// Its public half.
    pub(crate) fn publisher_public(&self) -> PathBuf {
        self.0.join("keys/publisher.pub")
    }
    /// What a nexus signs rollouts with.
    pub(crate) fn online_key(&self) -> PathBuf {
        self.0.join("keys/online.key")
    }
    /// Its public half.
    pub(crate) fn online_public(&self) -> PathBuf {
        self.0.join("keys/online.pub")
    }
    /// Which keys sign roots, releases and rollouts: where trust in updates begins.
    pub(crate) fn root(&self) -> PathBuf {
        self.0.join("root.json")
    }
    /// A root that was in force before.
    pub(crate) fn old_root(&self, version: u64) -> PathBuf {
        self.0.join(format!("root-{version}.json"))
    }
    /// Bundles and documents of releases.
    pub(crate) fn releases(&self) -> PathBuf {
        self.0.join("releases")
    }
    /// Who may publish skills.
    pub(crate) fn trust(&self) -> PathBuf {
        self.0.join("trust.toml")
    }
    /// What skills may do.
    pub(crate) fn policy(&self) -> PathBuf {
        self.0.join("policy.toml")
    }
    /// Digests of operator tokens.
    pub(crate) fn tokens(&self) -> PathBuf {
        self.0.join("tokens.toml")
    }
    /// The operator token of the local command line.
    pub(crate) fn operator_token(&self) -> PathBuf {
        self.0.join("operator.token")
    }
    /// The token spores show.
    pub(crate) fn node_token(&self) -> PathBuf {
        self.0.join("node.token")
    }
    /// Bundles.
    pub(crate) fn skills(&self) -> PathBuf {
        self.0.join("skills")
    }
    /// What development skills may touch.
    pub(crate) fn workspace(&self) -> PathBuf {
        self.0.join("workspace")
    }
    /// Compiled code.
    pub(crate) fn compiled(&self) -> PathBuf {
        self.0.join("compiled")
    }
    /// What a spore trusts, has installed and keeps of releases.
    pub(crate) fn updates(&self) -> PathBuf {
        self.0.join("updates")
    }
    /// What this machine is told as an agent.
    pub(crate) fn agent_file(&self) -> PathBuf {
        self.0.join("agent.toml")
    }
    /// The agent's token.
    pub(crate) fn agent_token(&self) -> PathBuf {
        self.0.join("agent.token")
    }
    /// Held by the agent that runs with this directory.
    pub(crate) fn agent_pid(&self) -> PathBuf {
        self.0.join("agent.pid")
    }
    /// Where that agent hears what people here say.
    pub(crate) fn agent_socket(&self) -> PathBuf {
        self.0.join("agent.sock")
    }
    /// Held by the spore that uses this directory.
    pub(crate) fn spore_lock(&self) -> PathBuf {
        self.0.join("spore.lock")
    }
}

/// Refuses to write as root into another account's data directory: that account could not use what was made there, and a service
/// that runs as it would fail later, far from the cause.
pub(crate) fn of_this_user(data: &DataDir) -> Result<(), Failure> {
    // what is not there is made; what cannot be looked at is told by who uses it
    let Ok(directory) = fs::metadata(&data.0) else {
        return Ok(());
    };
    let owner = directory.uid();
    if owner == 0 || !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let name = account(owner).unwrap_or_else(|| format!("#{owner}"));
    Err(
        Failure::new(format!("{} belongs to {name}, and this is root", data.0.display()))
            .because(format!("{name} could not use what root makes there"))
            .help(format!(
                "say it as {name}: sudo -u '{name}' venom-host --data-dir {} ...",
                data.0.display()
            )),
    )
}

/// The name of a local account.
fn account(uid: u32) -> Option<String> {
    let accounts = fs::read_to_string("/etc/passwd").ok()?;
    accounts.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then(|| name.to_owned())
    })
}

/// Makes a directory unless there is one; says whether it did.
pub(crate) fn make_directory(path: &Path, mode: u32) -> Result<bool, Failure> {
    if path.is_dir() {
        return Ok(false);
    }
    fs::DirBuilder::new()
        .recursive(true)
        .mode(mode)
        .create(path)
        .or_advise(
            format!("cannot make the directory {}", path.display()),
            "choose a directory you may write to with --data-dir DIR",
        )?;
    Ok(true)
}

/// Writes a file unless there is one; says whether it did. The text is never there half written: a crash
/// leaves the whole file or none.
pub(crate) fn make_file(path: &Path, text: &str, mode: u32) -> Result<bool, Failure> {
    if path.exists() {
        return Ok(false);
    }
    let draft = path.with_extension(format!("draft-{}", std::process::id()));
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(&draft)
        .and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()))
        .and_then(|()| match fs::hard_link(&draft, path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
            other => other.map(|()| true),
        });
    // Best effort: the file itself is in place or the error below says why not.
    let _ = fs::remove_file(&draft);
    written.or_fail(format!("cannot write {}", path.display()))
}

/// Replaces a file in one step.
pub(crate) fn replace_file(path: &Path, bytes: &[u8], mode: u32) -> Result<(), Failure> {
    let draft = path.with_extension(format!("draft-{}", std::process::id()));
    let written = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(mode)
        .open(&draft)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&draft, path));
    if written.is_err() {
        // Best effort: the error below says what went wrong.
        let _ = fs::remove_file(&draft);
    }
    written.or_fail(format!("cannot write {}", path.display()))
}

/// A new token: 32 random bytes, so that nobody guesses it, in letters that survive a command line.
pub(crate) fn new_token() -> Result<Secret, Failure> {
    let mut bytes = [0; 32];
    rand::rngs::SysRng
        .try_fill_bytes(&mut bytes)
        .or_fail("the system gave no random bytes for a token")?;
    Ok(Secret::new(
        base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes),
    ))
}

/// Reads a token file; `None` when there is none.
pub(crate) fn read_token(path: &Path) -> Result<Option<Secret>, Failure> {
    match fs::read_to_string(path) {
        Ok(text) if text.trim().is_empty() => Err(Failure::new(format!("the token file {} is empty", path.display()))
            .help("delete it and run `venom-host init` to make a new one")),
        Ok(text) => Ok(Some(Secret::new(text.trim()))),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).or_fail(format!("cannot read the token file {}", path.display())),
    }
}
