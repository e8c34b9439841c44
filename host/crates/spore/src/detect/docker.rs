//! Whether a Docker engine answers `GET /_ping`. A socket file alone proves nothing: it stays behind when
//! the engine stops. Never uses the engine for anything else.

use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// Socket of an engine on this machine.
const SOCKET: &str = "/var/run/docker.sock";

/// An engine that does not answer a ping in this time is of no use to a skill either.
const PATIENCE: Duration = Duration::from_secs(1);

/// HTTP/1.0, so that the engine closes when it has answered.
const PING: &[u8] = b"GET /_ping HTTP/1.0\r\nHost: docker\r\n\r\n";

/// Longest beginning of an answer that is looked at.
const HEAD_BYTES: usize = 16;

/// `docker_host` is the value of `DOCKER_HOST`: `unix://path`, `tcp://host:port`, or absent for the usual
/// socket. An engine behind TLS or SSH is not asked and counts as absent.
pub(super) fn answers(docker_host: Option<&str>) -> bool {
    match docker_host.filter(|host| !host.is_empty()) {
        None => over_unix(SOCKET),
        Some(host) => match host.split_once("://") {
            Some(("unix", path)) => over_unix(path),
            Some(("tcp" | "http", authority)) => over_tcp(authority),
            _ => false,
        },
    }
}

fn over_unix(path: &str) -> bool {
    let Ok(stream) = UnixStream::connect(path) else {
        return false;
    };
    let limits = stream
        .set_read_timeout(Some(PATIENCE))
        .and(stream.set_write_timeout(Some(PATIENCE)));
    limits.is_ok() && pings(stream)
}

fn over_tcp(authority: &str) -> bool {
    let Some(address) = authority.to_socket_addrs().ok().and_then(|mut found| found.next()) else {
        return false;
    };
    let Ok(stream) = TcpStream::connect_timeout(&address, PATIENCE) else {
        return false;
    };
    let limits = stream
        .set_read_timeout(Some(PATIENCE))
        .and(stream.set_write_timeout(Some(PATIENCE)));
    limits.is_ok() && pings(stream)
}

fn pings(mut stream: impl Read + Write) -> bool {
    let mut head = [0; HEAD_BYTES];
    stream.write_all(PING).is_ok() && stream.read_exact(&mut head).is_ok() && is_ok(&head)
}

/// `HTTP/1.x 200`.
fn is_ok(head: &[u8]) -> bool {
    head.starts_with(b"HTTP/1.") && head.get(8..12).is_some_and(|status| status == b" 200")
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::os::unix::net::UnixListener;
    use std::thread;

    use super::*;

    fn engine(answer: &'static str) -> (tempfile::TempDir, String, thread::JoinHandle<String>) {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("docker.sock");
        let listener = UnixListener::bind(&path).expect("bound");
        let thread = thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("accepted");
            let mut request = vec![0; PING.len()];
            stream.read_exact(&mut request).expect("a request");
            stream.write_all(answer.as_bytes()).expect("answered");
            String::from_utf8(request).expect("text")
        });
        let host = format!("unix://{}", path.display());
        (dir, host, thread)
    }

    #[test]
    fn an_engine_that_answers_is_there() {
        let (_dir, host, thread) = engine("HTTP/1.0 200 OK\r\nApi-Version: 1.47\r\n\r\nOK");
        assert!(answers(Some(&host)));
        assert!(thread.join().expect("joined").starts_with("GET /_ping "));
    }

    #[test]
    fn another_server_or_a_sick_engine_is_not() {
        for answer in [
            "HTTP/1.1 500 Internal Server Error\r\n\r\n",
            "220 smtp.example ready\r\n",
            "",
        ] {
            let (_dir, host, thread) = engine(answer);
            assert!(!answers(Some(&host)), "{answer}");
            thread.join().expect("joined");
        }
    }

    #[test]
    fn a_socket_nobody_listens_on_is_not() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("docker.sock");
        drop(UnixListener::bind(&path).expect("bound"));
        assert!(path.exists());
        assert!(!answers(Some(&format!("unix://{}", path.display()))));
        assert!(!answers(Some("ssh://hub")));
        assert!(!answers(Some("nonsense")));
    }

    #[test]
    fn docker_host_may_be_tcp() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
        let address = listener.local_addr().expect("an address");
        let thread = thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("accepted");
            stream.read_exact(&mut vec![0; PING.len()]).expect("a request");
            stream.write_all(b"HTTP/1.0 200 OK\r\n\r\nOK").expect("answered");
        });
        assert!(answers(Some(&format!("tcp://{address}"))));
        thread.join().expect("joined");
    }
}
