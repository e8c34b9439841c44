//! A real OCI registry of a test's own: `docker-registry` on a free port with a directory of its own, killed when dropped.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::home::until;
use crate::redis_server::free_port;

/// `ada:s3cret`, as `htpasswd -B` writes it.
const HTPASSWD: &str = "ada:$2b$04$JWpLQXtf.sa.36wYN23JGekmtEZTygVqA8fURxIBWKvacBl7ispLK\n";

/// A running registry.
pub(crate) struct RegistryServer {
    directory: tempfile::TempDir,
    port: u16,
    process: Child,
}

/// What a raw request came to.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: String,
    pub(crate) body: Vec<u8>,
}

impl RegistryServer {
    /// One that everybody may use.
    pub(crate) fn new() -> Self {
        Self::with("")
    }

    /// One that only `ada` may use, with `s3cret`.
    pub(crate) fn with_users() -> Self {
        Self::with("auth:\n  htpasswd:\n    realm: skills\n    path: DIR/htpasswd\n")
    }

    /// One that speaks TLS, with a certificate for 127.0.0.1 which only [`RegistryServer::certificate`] vouches for.
    pub(crate) fn with_tls() -> Self {
        Self::with("  tls:\n    certificate: DIR/cert.pem\n    key: DIR/key.pem\n")
    }

    /// Its certificate, a file.
    pub(crate) fn certificate(&self) -> PathBuf {
        self.directory.path().join("cert.pem")
    }

    fn with(settings: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        fs::write(path.join("cert.pem"), made.cert.pem()).unwrap();
        fs::write(path.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
        fs::write(path.join("htpasswd"), HTPASSWD).unwrap();
        let port = free_port();
        let config = format!(
            "version: 0.1\nlog:\n  level: warn\nstorage:\n  filesystem:\n    rootdirectory: DIR/storage\n\
             http:\n  addr: 127.0.0.1:{port}\n{settings}"
        );
        fs::write(path.join("config.yml"), config.replace("DIR", path.to_str().unwrap())).unwrap();
        let log = File::create(path.join("log")).unwrap();
        let process = Command::new("docker-registry")
            .arg("serve")
            .arg(path.join("config.yml"))
            .current_dir(path)
            .env_remove("REGISTRY_AUTH")
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| panic!("these tests need docker-registry (a Debian package) in PATH: {error}"));
        let mut server = Self {
            directory,
            port,
            process,
        };
        until("the registry listens", || {
            let ended = server.process.try_wait().unwrap();
            let log = || fs::read_to_string(server.directory.path().join("log")).unwrap();
            assert!(ended.is_none(), "{}", log());
            TcpStream::connect((Ipv4Addr::LOCALHOST, server.port)).ok()
        });
        server
    }

    /// `oci://127.0.0.1:PORT/name`.
    pub(crate) fn place(&self, name: &str) -> String {
        format!("oci://127.0.0.1:{}/{name}", self.port)
    }

    /// `127.0.0.1:PORT`.
    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The file in which it stores a blob.
    pub(crate) fn blob(&self, digest: &str) -> PathBuf {
        let hex = digest.strip_prefix("sha256:").unwrap();
        let blobs = self.directory.path().join("storage/docker/registry/v2/blobs/sha256");
        let path = blobs.join(&hex[..2]).join(hex).join("data");
        assert!(Path::exists(&path), "{}", path.display());
        path
    }

    /// A request of another tool.
    pub(crate) fn ask(&self, method: &str, path: &str, content_type: &str, body: &[u8]) -> Answer {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).unwrap();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\ncontent-type: {content_type}\r\n\
             accept: application/vnd.oci.image.manifest.v1+json\r\ncontent-length: {}\r\n\r\n",
            self.address(),
            body.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(body).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let end = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
        let headers = String::from_utf8(answer[..end].to_vec()).unwrap();
        Answer {
            status: headers.split(' ').nth(1).unwrap().parse().unwrap(),
            headers,
            body: answer[end + 4..].to_vec(),
        }
    }

    /// Puts a blob there as another tool does; gives its descriptor.
    pub(crate) fn put_blob(&self, repository: &str, media_type: &str, bytes: &[u8]) -> serde_json::Value {
        let digest = format!("sha256:{}", venom_bundle::Digest::of(bytes));
        let begun = self.ask("POST", &format!("/v2/{repository}/blobs/uploads/"), "", b"");
        let location = begun.headers.lines().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case("location").then(|| value.to_owned())
        });
        let location = location.unwrap();
        let path = location
            .split_once(&self.address())
            .map_or(&*location, |(_, path)| path);
        let put = self.ask(
            "PUT",
            &format!("{path}&digest={digest}"),
            "application/octet-stream",
            bytes,
        );
        assert_eq!(put.status, 201, "{}", put.headers);
        serde_json::json!({ "mediaType": media_type, "digest": digest, "size": bytes.len() })
    }

    /// Puts a manifest there as another tool does.
    pub(crate) fn put_manifest(&self, repository: &str, tag: &str, manifest: &serde_json::Value) {
        let path = format!("/v2/{repository}/manifests/{tag}");
        let media_type = manifest["mediaType"].as_str().unwrap();
        let put = self.ask("PUT", &path, media_type, manifest.to_string().as_bytes());
        assert_eq!(put.status, 201, "{}{}", put.headers, String::from_utf8_lossy(&put.body));
    }

    /// The manifest under a tag.
    pub(crate) fn manifest(&self, repository: &str, tag: &str) -> serde_json::Value {
        let answer = self.ask("GET", &format!("/v2/{repository}/manifests/{tag}"), "", b"");
        assert_eq!(answer.status, 200, "{}", answer.headers);
        serde_json::from_slice(&answer.body).unwrap()
    }
}

/// What a [`Liar`] answers with.
pub(crate) enum Sent {
    /// These bytes.
    Whole(Vec<u8>),
    /// Bytes until nobody reads them any more.
    Endless,
}

/// A registry that answers each question for a manifest or for a blob alike.
pub(crate) struct Liar {
    /// `127.0.0.1:PORT`.
    pub(crate) address: String,
}

impl Liar {
    /// Answers until the test ends.
    pub(crate) fn with(manifest: Sent, blob: Sent) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap().to_string();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                // Whoever asked may hang up whenever it likes.
                let _ = answer(&mut stream.unwrap(), &manifest, &blob);
            }
        });
        Self { address }
    }
}

fn answer(stream: &mut TcpStream, manifest: &Sent, blob: &Sent) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let first = lines.next().unwrap_or_else(|| Ok(String::new()))?;
    // An empty line ends the question.
    lines.map_while(Result::ok).find(String::is_empty);
    stream.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n")?;
    let sent = match first {
        line if line.contains("/manifests/") => manifest,
        line if line.contains("/blobs/") => blob,
        _ => return Ok(()),
    };
    match sent {
        Sent::Whole(bytes) => stream.write_all(bytes),
        Sent::Endless => loop {
            stream.write_all(&[b' '; 64 * 1024])?;
        },
    }
}

impl Drop for RegistryServer {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
