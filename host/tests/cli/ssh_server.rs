//! A real sshd of a test's own: its own configuration, host key and authorized key, on a free port of loopback, killed when
//! dropped. And a wire to it that a test can cut.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::home::until;
use crate::redis_server::free_port;

/// The name the host key is known by, whatever port it is reached at.
const NAME: &str = "machine.test";

/// A running sshd, and the machine behind it: this one, with a home and a first place in PATH of its own.
pub(crate) struct SshServer {
    directory: tempfile::TempDir,
    port: u16,
    process: Child,
}

impl SshServer {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        for key in ["host_key", "client_key", "other_key"] {
            let status = Command::new("ssh-keygen")
                .args(["-q", "-t", "ed25519", "-N", "", "-f"])
                .arg(path.join(key))
                .stdin(Stdio::null())
                .status()
                .unwrap_or_else(|error| panic!("this test needs ssh-keygen (openssh-client) in PATH: {error}"));
            assert!(status.success());
        }
        for place in ["home", "tools"] {
            fs::create_dir(path.join(place)).unwrap();
        }
        fs::copy(path.join("client_key.pub"), path.join("authorized_keys")).unwrap();
        // sshd wants it even where it separates nothing.
        let _ = fs::create_dir_all("/run/sshd");
        let port = free_port();
        let config = format!(
            "ListenAddress 127.0.0.1:{port}\nHostKey DIR/host_key\nAuthorizedKeysFile DIR/authorized_keys\nPidFile none\n\
             UsePAM no\nStrictModes no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin prohibit-password\n\
             PrintMotd no\nAcceptEnv VENOM_* SPORE_*\n\
             SetEnv PATH=DIR/tools:/usr/local/bin:/usr/bin:/bin HOME=DIR/home XDG_RUNTIME_DIR=DIR/home\n"
        );
        fs::write(path.join("sshd_config"), config.replace("DIR", path.to_str().unwrap())).unwrap();
        let log = File::create(path.join("log")).unwrap();
        let process = Command::new("/usr/sbin/sshd")
            .args(["-D", "-e", "-f"])
            .arg(path.join("sshd_config"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| panic!("this test needs /usr/sbin/sshd (openssh-server): {error}"));
        let mut server = Self {
            directory,
            port,
            process,
        };
        until("sshd listens", || {
            let ended = server.process.try_wait().unwrap();
            assert!(ended.is_none(), "{}", server.log());
            TcpStream::connect((Ipv4Addr::LOCALHOST, server.port)).ok()
        });
        server.know("host_key");
        server
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Puts a program before all others there.
    pub(crate) fn tool(&self, name: &str, script: &str) {
        write_program(&self.path("tools").join(name), script);
    }

    /// Takes the client to know this key, and no other.
    pub(crate) fn know(&self, key: &str) {
        let key = fs::read_to_string(self.path(&format!("{key}.pub"))).unwrap();
        fs::write(self.path("known_hosts"), format!("{NAME} {key}")).unwrap();
    }

    /// Takes the client to know no key.
    pub(crate) fn know_nothing(&self) {
        fs::write(self.path("known_hosts"), "").unwrap();
    }

    /// Words of `provision` that reach it at a port.
    pub(crate) fn reached_at(&self, port: u16) -> Vec<String> {
        let option = |text: String| ["--ssh-option".to_owned(), text];
        let mut words = vec!["-p".to_owned(), port.to_string()];
        for text in [
            format!("IdentityFile={}", self.path("client_key").display()),
            "IdentitiesOnly=yes".to_owned(),
            "IdentityAgent=none".to_owned(),
            format!("UserKnownHostsFile={}", self.path("known_hosts").display()),
            "GlobalKnownHostsFile=/dev/null".to_owned(),
            format!("HostKeyAlias={NAME}"),
            "SendEnv=VENOM_* SPORE_*".to_owned(),
        ] {
            words.extend(option(text));
        }
        words
    }
}

impl Drop for SshServer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Writes a script that can be run.
pub(crate) fn write_program(path: &Path, script: &str) {
    fs::write(path, script).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// A wire to a port: the first connection breaks once so many bytes went there.
pub(crate) struct Wire {
    pub(crate) port: u16,
}

impl Wire {
    pub(crate) fn cut_after(to: u16, bytes: u64) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            for (number, near) in listener.incoming().map_while(Result::ok).enumerate() {
                let Ok(far) = TcpStream::connect((Ipv4Addr::LOCALHOST, to)) else {
                    return;
                };
                let left = Arc::new(AtomicU64::new(if number == 0 { bytes } else { u64::MAX }));
                let there = (near.try_clone().unwrap(), far.try_clone().unwrap(), left);
                let back = (far, near, Arc::new(AtomicU64::new(u64::MAX)));
                for (from, to, left) in [there, back] {
                    std::thread::spawn(move || carry(from, to, &left));
                }
            }
        });
        Self { port }
    }
}

fn carry(mut from: TcpStream, mut to: TcpStream, left: &AtomicU64) {
    let mut chunk = [0; 16 * 1024];
    while let Ok(read) = from.read(&mut chunk) {
        let fits = left.load(Ordering::Relaxed) >= read as u64;
        if read == 0 || !fits || to.write_all(&chunk[..read]).is_err() {
            break;
        }
        left.fetch_sub(read as u64, Ordering::Relaxed);
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}
