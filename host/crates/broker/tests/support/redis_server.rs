//! A Redis of a test's own: started on a free port with a directory of its own, killed when dropped. Taken into test
//! binaries with `#[path]`; one that does not use all of it expects `dead_code` where it says `mod`.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a server may take to answer after its start.
const START: Duration = Duration::from_secs(20);

/// A running `redis-server` (or a stopped one, between [`RedisServer::kill`] and [`RedisServer::start`]).
#[derive(Debug)]
pub(crate) struct RedisServer {
    dir: tempfile::TempDir,
    port: u16,
    settings: Vec<String>,
    sentinel: bool,
    process: Option<Child>,
}

impl RedisServer {
    /// A server without persistence and without a password.
    pub(crate) fn new() -> Self {
        Self::with(&["--save", "", "--appendonly", "no"])
    }

    /// A server that has every answered write on disk.
    pub(crate) fn durable() -> Self {
        Self::with(&["--save", "", "--appendonly", "yes", "--appendfsync", "always"])
    }

    /// A server that is a whole cluster by itself, with all slots.
    pub(crate) fn cluster() -> Self {
        let server = Self::with(&["--save", "", "--cluster-enabled", "yes"]);
        server.command(&["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]);
        let ready = || server.command(&["CLUSTER", "INFO"]).contains("cluster_state:ok");
        until(START, "the cluster to be ready", ready);
        server
    }

    /// A sentinel that watches `master` under this name.
    pub(crate) fn sentinel(master: &Self, name: &str) -> Self {
        let mut sentinel = Self::stopped(&[]);
        sentinel.sentinel = true;
        let port = sentinel.port;
        let watched = master.port;
        let text = format!(
            "port {port}\nbind 127.0.0.1\nsentinel monitor {name} 127.0.0.1 {watched} 1\n\
             sentinel down-after-milliseconds {name} 500\nsentinel failover-timeout {name} 2000\n"
        );
        fs::write(sentinel.dir.path().join("sentinel.conf"), text).expect("write sentinel.conf");
        sentinel.start();
        sentinel
    }

    /// A server with these command line settings.
    pub(crate) fn with(settings: &[&str]) -> Self {
        let mut server = Self::stopped(settings);
        server.start();
        server
    }

    /// The same, not started yet.
    pub(crate) fn stopped(settings: &[&str]) -> Self {
        Self {
            dir: tempfile::tempdir().expect("a directory for redis"),
            port: free_port(),
            settings: settings.iter().map(|setting| (*setting).to_owned()).collect(),
            sentinel: false,
            process: None,
        }
    }

    /// Starts it on its port with what is in its directory.
    pub(crate) fn start(&mut self) {
        assert!(self.process.is_none(), "redis runs already");
        let log = File::create(self.dir.path().join("redis.log")).expect("redis.log");
        let mut command = Command::new("redis-server");
        if self.sentinel {
            command.arg("sentinel.conf").arg("--sentinel");
        } else {
            command.args(["--port", &self.port.to_string(), "--bind", "127.0.0.1"]);
            command.args(["--unixsocket", "redis.sock"]).args(&self.settings);
        }
        command.current_dir(self.dir.path()).stdin(Stdio::null());
        command.stdout(log.try_clone().expect("redis.log")).stderr(log);
        let started = command.spawn();
        self.process = Some(started.expect("these tests need redis-server (7 or newer) in PATH"));
        // plain TCP even where commands go over TLS: what answers is a listening server
        let port = self.port;
        let listens = || self.exited().is_none() && TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok();
        until(START, "redis to listen (see redis.log)", listens);
        until(START, "redis to have loaded its data", || {
            !self.command(&["PING"]).contains("LOADING")
        });
    }

    /// Ends it as a crash would, and waits until it is gone.
    pub(crate) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().expect("kill redis");
            process.wait().expect("redis ends");
        }
    }

    /// Stops its execution, as a machine that hangs: connections stay open and nothing answers.
    pub(crate) fn freeze(&self) {
        self.signal("-STOP");
    }

    /// Lets a frozen one go on.
    pub(crate) fn thaw(&self) {
        self.signal("-CONT");
    }

    /// Where it listens.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Its directory: also of its Unix socket `redis.sock`.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Its Unix socket.
    pub(crate) fn socket(&self) -> PathBuf {
        self.dir.path().join("redis.sock")
    }

    /// `redis://127.0.0.1:port/0`.
    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port)
    }

    /// Sends one command on a connection of its own and gives back the raw answer (RESP), up to its end or 64 KiB.
    pub(crate) fn command(&self, words: &[&str]) -> String {
        self.commands(&[words])
    }

    /// The same with several commands on one connection, such as AUTH and another.
    pub(crate) fn commands(&self, commands: &[&[&str]]) -> String {
        let Ok(mut stream) = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)) else {
            return "-NOTTHERE".to_owned();
        };
        stream.set_read_timeout(Some(START)).expect("a read timeout");
        let mut request = Vec::new();
        for words in commands {
            request.extend(format!("*{}\r\n", words.len()).bytes());
            for word in *words {
                request.extend(format!("${}\r\n{word}\r\n", word.len()).bytes());
            }
        }
        let mut answer = Vec::new();
        // the server answers what it got and then sees the end; one that speaks TLS just closes
        if stream.write_all(&request).is_ok() && stream.shutdown(Shutdown::Write).is_ok() {
            let _ = stream.take(64 * 1024).read_to_end(&mut answer);
        }
        String::from_utf8_lossy(&answer).into_owned()
    }

    fn signal(&self, signal: &str) {
        let process = self.process.as_ref().expect("redis runs");
        let sent = Command::new("kill").args([signal, &process.id().to_string()]).status();
        assert!(sent.expect("kill runs").success());
    }

    fn exited(&self) -> Option<()> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.process.as_ref()?.id())).ok()?;
        // a zombie has ended
        stat.contains(") Z ").then_some(())
    }
}

impl Default for RedisServer {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A port that nobody listens on at the moment.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("its address").port()
}

fn until(limit: Duration, what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + limit;
    while !done() {
        assert!(Instant::now() < deadline, "waited {limit:?} for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
