//! A PostgreSQL for the tests: one server for the test process, or for the whole run under nextest, which has a process for each test.
//! It listens on a socket in a directory of its own and nowhere else, and ends with whom it is for, even when that is killed.

use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::{CommandExt as _, parent_id};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// How long it may take to answer after its start, on a busy machine.
const START: Duration = Duration::from_secs(60);
/// Its superuser, who needs no password on the socket.
const USER: &str = "venom";

/// Makes the data directory and starts the server on it, `"$@"` before their programs' names being whom they run as; ends the server
/// and removes its traces when the process it is for is gone.
const WATCH: &str = r#"
for_whom=$1 directory=$2 note=$3 programs=$4 user=$5
shift 5
"$@" "$programs/initdb" --pgdata "$directory/data" --username "$user" --auth trust --no-sync \
    --encoding UTF8 --locale C.UTF-8 >"$directory/log" 2>&1 || exit
"$@" "$programs/postgres" -D "$directory/data" -k "$directory" -c listen_addresses= -c max_connections=200 \
    -c shared_buffers=32MB -c fsync=off -c full_page_writes=off -c synchronous_commit=off >>"$directory/log" 2>&1 &
server=$!
while kill -0 "$for_whom" 2>/dev/null && kill -0 "$server" 2>/dev/null; do sleep 0.2; done
# again and again: one that has just been started ignores it
while kill -INT "$server" 2>/dev/null; do sleep 0.1; done
if ! kill -0 "$for_whom" 2>/dev/null; then rm -rf -- "$directory" "$note"; fi
"#;

/// The address of one of its databases.
pub(crate) fn url(database: &str) -> String {
    static SOCKET: OnceLock<PathBuf> = OnceLock::new();
    let socket = SOCKET.get_or_init(socket);
    format!("postgres:///{database}?host={}&user={USER}", socket.display())
}

/// Where its socket is; whoever asks first starts it.
fn socket() -> PathBuf {
    let (for_whom, key) = match std::env::var("NEXTEST_RUN_ID") {
        Ok(run) => (parent_id(), run),
        Err(_) => (std::process::id(), std::process::id().to_string()),
    };
    let note_path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("postgres-{key}"));
    let mut noted = OpenOptions::new();
    noted.read(true).write(true).create(true).truncate(false);
    let mut note: File = noted.open(&note_path).expect("a note of where PostgreSQL is");
    note.lock().expect("one at a time looks for PostgreSQL");
    let mut known = String::new();
    note.read_to_string(&mut known).expect("a path");
    if !known.is_empty() {
        return PathBuf::from(known);
    }
    let directory = start(for_whom, &note_path);
    note.rewind().expect("an empty note");
    note.write_all(directory.to_str().expect("a plain path").as_bytes())
        .expect("the note is written");
    directory
}

#[expect(
    clippy::zombie_processes,
    reason = "it may outlive this process, and then it is init's"
)]
fn start(for_whom: u32, note: &Path) -> PathBuf {
    let Some(programs) = option_env!("VENOM_TEST_POSTGRES").map(Path::new) else {
        panic!("these tests need PostgreSQL (Debian: postgresql), and there was none when they were built");
    };
    // the watcher removes it, not this process: another may need it for longer
    let directory = tempfile::Builder::new()
        .prefix("venom-pg-")
        .tempdir()
        .expect("a directory")
        .keep();
    fs::set_permissions(&directory, fs::Permissions::from_mode(0o700)).expect("its mode");
    let mut server = Command::new("sh");
    server.args(["-c", WATCH, "watch-postgres", &for_whom.to_string()]);
    server.arg(&directory).arg(note).arg(programs).arg(USER);
    server.args(unprivileged(&directory));
    // its own group: what is sent to the tests' group must not end the watcher first
    server
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut server = server.spawn().expect("sh runs");

    let deadline = Instant::now() + START;
    while !answers(programs, &directory) {
        let log = || fs::read_to_string(directory.join("log")).unwrap_or_default();
        assert!(
            server.try_wait().expect("its state").is_none(),
            "PostgreSQL ended: {}",
            log()
        );
        assert!(Instant::now() < deadline, "waited {START:?} for PostgreSQL: {}", log());
        std::thread::sleep(Duration::from_millis(20));
    }
    directory
}

fn answers(programs: &Path, directory: &Path) -> bool {
    let mut ask = Command::new(programs.join("pg_isready"));
    ask.arg("-h").arg(directory).args(["-U", USER, "-d", "postgres", "-q"]);
    ask.status().expect("pg_isready runs").success()
}

/// What runs a program without rights, killed when its parent ends: as this user, or when that is root, whom PostgreSQL refuses, as one
/// to whom `directory` belongs from now on.
fn unprivileged(directory: &Path) -> Vec<String> {
    let told = |program: &str, arguments: &[&str]| {
        let output = Command::new(program)
            .args(arguments)
            .output()
            .expect("the command runs");
        output
            .status
            .success()
            .then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let mut words = vec!["setpriv", "--pdeathsig", "KILL"];
    if told("id", &["-u"]).as_deref() == Some("0") {
        let is_there = |user: &&str| told("id", &["-u", user]).is_some();
        let user = ["postgres", "nobody"]
            .into_iter()
            .find(is_there)
            .expect("a user without rights");
        told("chown", &[user, directory.to_str().expect("a plain path")]).expect("chown works");
        words.extend(["--reuid", user, "--regid", "nogroup", "--clear-groups"]);
    }
    words.push("--");
    words.into_iter().map(str::to_owned).collect()
}

#[test]
#[cfg_attr(no_postgres, ignore = "needs PostgreSQL (Debian: postgresql)")]
fn the_server_is_one_for_all_and_not_of_root() {
    let first = url("postgres");
    assert_eq!(url("postgres"), first);
    let socket = first.split("host=").nth(1).unwrap().split('&').next().unwrap();
    let pid = fs::read_to_string(Path::new(socket).join("data/postmaster.pid")).unwrap();
    let status = fs::read_to_string(format!("/proc/{}/status", pid.lines().next().unwrap())).unwrap();
    let uid = status.lines().find(|line| line.starts_with("Uid:")).unwrap();
    assert_ne!(uid.split_whitespace().nth(1), Some("0"), "{uid}");
}
