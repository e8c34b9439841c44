//! Fetching bundles: from the nexus, or from hosts the operator allows. Never a byte more than the release says, taken up
//! where it broke off, and believed only when the digest is right. Tells a source that is away from one that lies.

use std::io::SeekFrom;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::header::{CONTENT_RANGE, RANGE, RETRY_AFTER};
use reqwest::{Client, Response, StatusCode, Url};
use sha2::{Digest as _, Sha256};
use tokio::fs::File;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _, AsyncWriteExt as _};
use tokio::time::{Instant, timeout, timeout_at};
use venom_bundle::capability::host_pattern_matches;
use venom_bundle::{BundleRef, Digest};

use super::disk::Disk;
use crate::Token;
use crate::address::Endpoint;

/// Longest silence of a source.
const SILENCE: Duration = Duration::from_secs(20);
/// A transfer that is slower than this on the whole is given up, and taken up again later.
const SLOWEST_BYTES_PER_SECOND: u64 = 4 * 1024;
/// Time every transfer has, however small.
const LEAST_TIME: Duration = Duration::from_secs(60);
/// Bytes read from disk at one time.
const READ_CHUNK: usize = 64 * 1024;
/// Longest time a nexus can ask to be left alone for.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(600);

/// Why a bundle did not come.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    #[error("{url} cannot be reached: {source}")]
    Unreachable {
        url: String,
        #[source]
        source: reqwest::Error,
    },
    #[error("{url} answered {status}")]
    Status {
        url: String,
        status: StatusCode,
        retry_after: Option<Duration>,
    },
    #[error("{url} was silent or too slow; {got} of {size} bytes are here and are taken up next time")]
    Slow { url: String, got: u64, size: u64 },
    #[error("{url} broke off after {got} of {size} bytes")]
    CutShort { url: String, got: u64, size: u64 },
    #[error("{url} sends more than the {size} bytes of the release")]
    TooLong { url: String, size: u64 },
    #[error("what {url} sent has digest {found}, the release says {expected}")]
    WrongDigest {
        url: String,
        found: Digest,
        expected: Digest,
    },
    #[error("no source: the nexus does not have it and the release names no host that `allowed_hosts` allows")]
    NoSource,
    #[error("cannot be kept: {0}")]
    Disk(#[from] std::io::Error),
}

impl FetchError {
    /// How long the source wants to be left alone.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

/// Fetches bundles for one spore.
#[derive(Debug, Clone)]
pub(crate) struct Fetcher {
    client: Client,
    nexuses: Vec<String>,
    token: Token,
    allowed: Vec<String>,
}

/// One place a bundle may be.
struct Source {
    url: Url,
    /// The nexus is shown the token; nobody else is.
    is_nexus: bool,
}

impl Fetcher {
    pub(crate) fn new(client: Client, nexuses: &str, token: Token, allowed: Vec<String>) -> Self {
        let endpoints = nexuses.split(',').filter_map(|nexus| Endpoint::parse(nexus).ok());
        Self {
            client,
            nexuses: endpoints.map(|endpoint| endpoint.http_base()).collect(),
            token,
            allowed,
        }
    }

    /// Brings a bundle to its place on disk, unless it is there already.
    pub(super) async fn fetch(&self, disk: &Disk, bundle: &BundleRef) -> Result<PathBuf, FetchError> {
        let path = disk.bundle(&bundle.file_sha256);
        if is_whole(&path, bundle).await {
            return Ok(path);
        }
        let mut last = FetchError::NoSource;
        for source in self.sources(bundle) {
            match self.fetch_from(&source, disk, bundle).await {
                Ok(()) => return Ok(path),
                Err(error) => {
                    tracing::debug!(%error, "a source of a bundle failed");
                    last = error;
                }
            }
        }
        Err(last)
    }

    fn sources(&self, bundle: &BundleRef) -> Vec<Source> {
        let of_nexus = |base: &String| Url::parse(&format!("{base}/api/v1/bundles/{}", bundle.file_sha256)).ok();
        let nexuses = self
            .nexuses
            .iter()
            .filter_map(of_nexus)
            .map(|url| Source { url, is_nexus: true });
        let others = bundle.sources.iter().filter_map(|text| Url::parse(text).ok());
        let allowed = others.filter(|url| self.allows(url));
        nexuses
            .chain(allowed.map(|url| Source { url, is_nexus: false }))
            .collect()
    }

    fn allows(&self, url: &Url) -> bool {
        let Some(host) = url.host_str() else { return false };
        let loopback = url.host_str().and_then(|host| host.parse::<std::net::IpAddr>().ok());
        let secure = url.scheme() == "https" || loopback.is_some_and(|ip| ip.is_loopback());
        let with_port = url.port().map(|port| format!("{host}:{port}"));
        let named = |pattern: &String| {
            host_pattern_matches(pattern, host) || with_port.as_deref().is_some_and(|full| full == pattern)
        };
        secure && self.allowed.iter().any(named)
    }

    async fn fetch_from(&self, source: &Source, disk: &Disk, bundle: &BundleRef) -> Result<(), FetchError> {
        let partial = disk.partial(&bundle.file_sha256);
        let mut file = open_partial(&partial).await?;
        let mut transfer = Transfer::take_up(&mut file, bundle.size).await?;
        if transfer.got < bundle.size {
            let answer = self.ask(source, transfer.got).await?;
            if answer.status() != StatusCode::PARTIAL_CONTENT || !continues(&answer, transfer.got) {
                transfer = Transfer::begin_anew(&mut file).await?;
            }
            transfer
                .receive(answer, &mut file, source.url.as_str(), bundle.size)
                .await?;
        }
        let found = Digest::from_bytes(transfer.hasher.finalize().into());
        if found != bundle.file_sha256 {
            // what is here is of no use to go on from
            tokio::fs::remove_file(&partial).await?;
            let (url, expected) = (source.url.to_string(), bundle.file_sha256);
            return Err(FetchError::WrongDigest { url, found, expected });
        }
        file.sync_all().await?;
        disk.keep(&bundle.file_sha256)?;
        Ok(())
    }

    async fn ask(&self, source: &Source, from: u64) -> Result<Response, FetchError> {
        let mut request = self.client.get(source.url.clone());
        if source.is_nexus {
            request = request.bearer_auth(self.token.reveal());
        }
        if from > 0 {
            request = request.header(RANGE, format!("bytes={from}-"));
        }
        let url = source.url.to_string();
        let answer = match timeout(SILENCE, request.send()).await {
            Ok(answer) => answer.map_err(|source| FetchError::Unreachable {
                url: url.clone(),
                source: source.without_url(),
            })?,
            Err(_) => {
                return Err(FetchError::Slow {
                    url,
                    got: from,
                    size: 0,
                });
            }
        };
        let status = answer.status();
        if matches!(status, StatusCode::OK | StatusCode::PARTIAL_CONTENT) {
            return Ok(answer);
        }
        Err(FetchError::Status {
            url,
            status,
            retry_after: retry_after(&answer),
        })
    }
}

fn retry_after(answer: &Response) -> Option<Duration> {
    let seconds = answer.headers().get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds).min(LONGEST_RETRY_AFTER))
}

/// Whether a partial answer begins where it was asked to.
fn continues(answer: &Response, from: u64) -> bool {
    let range = answer
        .headers()
        .get(CONTENT_RANGE)
        .and_then(|value| value.to_str().ok());
    range.is_some_and(|range| range.starts_with(&format!("bytes {from}-")))
}

async fn open_partial(path: &Path) -> std::io::Result<File> {
    let mut options = tokio::fs::OpenOptions::new();
    options
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .await
}

/// Whether the bundle is there, byte for byte: disks lose bits too.
async fn is_whole(path: &Path, bundle: &BundleRef) -> bool {
    let Ok(mut file) = File::open(path).await else {
        return false;
    };
    match Transfer::take_up(&mut file, bundle.size).await {
        Ok(transfer) => {
            transfer.got == bundle.size && transfer.hasher.finalize().as_slice() == bundle.file_sha256.as_bytes()
        }
        Err(_) => false,
    }
}

/// Bytes that are here and their digest so far.
struct Transfer {
    got: u64,
    hasher: Sha256,
}

impl Transfer {
    /// Reads what is here already; more than `size` is of no use and is dropped.
    async fn take_up(file: &mut File, size: u64) -> std::io::Result<Self> {
        let length = file.metadata().await?.len();
        let mut transfer = Self {
            got: 0,
            hasher: Sha256::new(),
        };
        if length > size {
            return Ok(transfer);
        }
        let mut chunk = vec![0; READ_CHUNK];
        loop {
            let read = file.read(&mut chunk).await?;
            let Some(bytes) = chunk.get(..read).filter(|bytes| !bytes.is_empty()) else {
                return Ok(transfer);
            };
            transfer.hasher.update(bytes);
            transfer.got += read as u64;
        }
    }

    async fn begin_anew(file: &mut File) -> std::io::Result<Self> {
        file.set_len(0).await?;
        Ok(Self {
            got: 0,
            hasher: Sha256::new(),
        })
    }

    /// Appends the body, and stops at the first byte over `size`.
    async fn receive(&mut self, mut answer: Response, file: &mut File, url: &str, size: u64) -> Result<(), FetchError> {
        let url = || url.to_owned();
        file.set_len(self.got).await?;
        file.seek(SeekFrom::Start(self.got)).await?;
        let allowed = Duration::from_secs(size / SLOWEST_BYTES_PER_SECOND).max(LEAST_TIME);
        let deadline = Instant::now() + allowed;
        loop {
            let chunk = timeout_at(deadline, timeout(SILENCE, answer.chunk())).await;
            let Ok(Ok(chunk)) = chunk else {
                file.flush().await?;
                return Err(FetchError::Slow {
                    url: url(),
                    got: self.got,
                    size,
                });
            };
            let Ok(Some(bytes)) = chunk else {
                file.flush().await?;
                let got = self.got;
                return if got == size {
                    Ok(())
                } else {
                    Err(FetchError::CutShort { url: url(), got, size })
                };
            };
            if self.got + bytes.len() as u64 > size {
                file.set_len(0).await?;
                return Err(FetchError::TooLong { url: url(), size });
            }
            self.hasher.update(&bytes);
            file.write_all(&bytes).await?;
            self.got += bytes.len() as u64;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tokio::net::TcpListener;
    use tokio::task::JoinHandle;

    use super::*;
    use crate::dial::http_client;

    /// A server that answers each request, one a connection, with the next of `answers`, and keeps what it was asked.
    struct Server {
        address: String,
        asked: Arc<Mutex<Vec<String>>>,
        _serving: JoinHandle<()>,
    }

    enum Answer {
        /// Bytes, then the connection ends.
        Bytes(Vec<u8>),
        /// Bytes, then more for ever.
        Endless(Vec<u8>),
        /// Bytes, then silence.
        Silent(Vec<u8>),
    }

    impl Server {
        async fn start(answers: Vec<Answer>) -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap().to_string();
            let asked = Arc::new(Mutex::new(Vec::new()));
            let heard = Arc::clone(&asked);
            let serving = tokio::spawn(async move {
                for answer in answers {
                    let (mut socket, _) = listener.accept().await.unwrap();
                    let mut request = vec![0; 4096];
                    let length = socket.read(&mut request).await.unwrap();
                    heard
                        .lock()
                        .unwrap()
                        .push(String::from_utf8_lossy(&request[..length]).to_lowercase());
                    match answer {
                        Answer::Bytes(bytes) => drop(socket.write_all(&bytes).await),
                        Answer::Endless(bytes) => {
                            let more = async {
                                socket.write_all(&bytes).await?;
                                loop {
                                    socket.write_all(&[0; 1024]).await?;
                                }
                            };
                            let _: std::io::Result<()> = more.await;
                        }
                        Answer::Silent(bytes) => {
                            drop(socket.write_all(&bytes).await);
                            std::future::pending::<()>().await;
                        }
                    }
                }
            });
            Self {
                address,
                asked,
                _serving: serving,
            }
        }

        fn asked(&self) -> Vec<String> {
            self.asked.lock().unwrap().clone()
        }
    }

    fn whole(body: &[u8]) -> Vec<u8> {
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
            body.len()
        );
        [head.as_bytes(), body].concat()
    }

    /// Says it sends `length` bytes and sends `body`.
    fn promising(length: usize, body: &[u8]) -> Vec<u8> {
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
        [head.as_bytes(), body].concat()
    }

    fn partial(from: usize, of: &[u8]) -> Vec<u8> {
        let body = &of[from..];
        let head = format!(
            "HTTP/1.1 206 Partial Content\r\ncontent-range: bytes {from}-{}/{}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
            of.len() - 1,
            of.len(),
            body.len()
        );
        [head.as_bytes(), body].concat()
    }

    fn body() -> Vec<u8> {
        (0..200_000_u32).map(|n| (n % 251) as u8).collect()
    }

    fn named(body: &[u8], sources: Vec<String>) -> BundleRef {
        BundleRef {
            version: semver::Version::new(1, 0, 0),
            sha256: Digest::of(b"manifest"),
            file_sha256: Digest::of(body),
            size: body.len() as u64,
            sources,
        }
    }

    struct Spore {
        _directory: tempfile::TempDir,
        disk: Disk,
        fetcher: Fetcher,
    }

    fn spore(nexus: &str, allowed: &[&str]) -> Spore {
        let directory = tempfile::tempdir().unwrap();
        let allowed = allowed.iter().map(|host| (*host).to_owned()).collect();
        let client = http_client(&crate::SporeSettings::new(nexus, "", venom_protocol::NodeId::random())).unwrap();
        Spore {
            disk: Disk::open(directory.path()).unwrap(),
            _directory: directory,
            fetcher: Fetcher::new(client, nexus, Token::from("node-token"), allowed),
        }
    }

    impl Spore {
        async fn fetch(&self, bundle: &BundleRef) -> Result<PathBuf, FetchError> {
            self.fetcher.fetch(&self.disk, bundle).await
        }
    }

    #[tokio::test]
    async fn a_bundle_comes_once_and_is_asked_for_with_the_token() {
        let body = body();
        let server = Server::start(vec![Answer::Bytes(whole(&body))]).await;
        let spore = spore(&server.address, &[]);
        let bundle = named(&body, Vec::new());
        let path = spore.fetch(&bundle).await.unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), body);
        spore.fetch(&bundle).await.unwrap();
        let [asked] = server.asked().try_into().unwrap();
        assert!(
            asked.starts_with(&format!("get /api/v1/bundles/{} ", bundle.file_sha256)),
            "{asked}"
        );
        assert!(asked.contains("authorization: bearer node-token"), "{asked}");
    }

    #[tokio::test]
    async fn what_broke_off_is_taken_up_where_it_was() {
        let body = body();
        let cut = promising(body.len(), &body[..70_000]);
        let server = Server::start(vec![Answer::Bytes(cut), Answer::Bytes(partial(70_000, &body))]).await;
        let spore = spore(&server.address, &[]);
        let bundle = named(&body, Vec::new());
        let error = spore.fetch(&bundle).await.unwrap_err();
        assert!(matches!(error, FetchError::CutShort { got: 70_000, .. }), "{error}");
        spore.fetch(&bundle).await.unwrap();
        assert!(
            server.asked()[1].contains("range: bytes=70000-"),
            "{:?}",
            server.asked()
        );
    }

    #[tokio::test]
    async fn a_server_that_ignores_the_range_is_heard_from_the_beginning() {
        let body = body();
        let server = Server::start(vec![
            Answer::Bytes(promising(body.len(), &body[..70_000])),
            Answer::Bytes(whole(&body)),
        ])
        .await;
        let spore = spore(&server.address, &[]);
        let bundle = named(&body, Vec::new());
        spore.fetch(&bundle).await.unwrap_err();
        assert_eq!(std::fs::read(spore.fetch(&bundle).await.unwrap()).unwrap(), body);
    }

    #[tokio::test]
    async fn case_13_one_byte_more_or_less_and_endless_bodies_are_refused() {
        let body = body();
        let longer = [body.as_slice(), &[0]].concat();
        let endless = b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n".to_vec();
        let server = Server::start(vec![
            Answer::Bytes(whole(&longer)),
            Answer::Endless(endless),
            Answer::Bytes(whole(&body[..body.len() - 1])),
        ])
        .await;
        let spore = spore(&server.address, &[]);
        let bundle = named(&body, Vec::new());
        for _ in 0..2 {
            let error = spore.fetch(&bundle).await.unwrap_err();
            assert!(matches!(error, FetchError::TooLong { .. }), "{error}");
            let kept = std::fs::metadata(spore.disk.partial(&bundle.file_sha256))
                .unwrap()
                .len();
            assert!(kept <= bundle.size);
        }
        let error = spore.fetch(&bundle).await.unwrap_err();
        assert!(matches!(error, FetchError::CutShort { .. }), "{error}");
        assert!(!spore.disk.bundle(&bundle.file_sha256).exists());
    }

    #[tokio::test]
    async fn case_13_silence_is_given_up_and_what_came_is_kept() {
        let body = body();
        let server = Server::start(vec![Answer::Silent(promising(body.len(), &body[..10]))]).await;
        let spore = spore(&server.address, &[]);
        let bundle = named(&body, Vec::new());
        let fetching = spore.fetch(&bundle);
        tokio::pin!(fetching);
        // the first bytes come in real time; the silence after them is not waited out
        let came = async {
            while std::fs::metadata(spore.disk.partial(&bundle.file_sha256)).map_or(0, |file| file.len()) < 10 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::select! {
            ended = &mut fetching => panic!("{ended:?}"),
            () = came => {}
        }
        tokio::time::pause();
        let error = fetching.await.unwrap_err();
        assert!(matches!(error, FetchError::Slow { got: 10, .. }), "{error}");
    }

    #[tokio::test]
    async fn wrong_bytes_are_thrown_away_and_the_next_source_is_asked() {
        let body = body();
        let mut altered = body.clone();
        altered[5] ^= 1;
        let nexus = Server::start(vec![Answer::Bytes(whole(&altered))]).await;
        let packages = Server::start(vec![Answer::Bytes(whole(&body))]).await;
        let spore = spore(&nexus.address, &[&packages.address]);
        let bundle = named(&body, vec![format!("http://{}/echo.venom", packages.address)]);
        spore.fetch(&bundle).await.unwrap();
        let [asked] = packages.asked().try_into().unwrap();
        assert!(!asked.contains("authorization") && !asked.contains("range"), "{asked}");
    }

    #[tokio::test]
    async fn hosts_that_are_not_allowed_are_not_asked() {
        let body = body();
        let nexus = Server::start(vec![Answer::Bytes(
            b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n".to_vec(),
        )])
        .await;
        let spore = spore(&nexus.address, &["packages.example.com", "*.venom.example"]);
        let bundle = named(
            &body,
            vec!["http://127.0.0.1:1/x".to_owned(), "https://evil.example/x".to_owned()],
        );
        let error = spore.fetch(&bundle).await.unwrap_err();
        assert!(
            matches!(
                error,
                FetchError::Status {
                    status: StatusCode::NOT_FOUND,
                    ..
                }
            ),
            "{error}"
        );
        let allows = |url: &str| spore.fetcher.allows(&Url::parse(url).unwrap());
        assert!(allows("https://packages.example.com/a") && allows("https://eu.venom.example/a"));
        assert!(!allows("http://packages.example.com/a"), "plain http");
        assert!(!allows("https://packages.example.com.evil.example/a"));
    }

    #[tokio::test]
    async fn a_busy_nexus_says_when_to_come_again() {
        let busy = b"HTTP/1.1 503 Busy\r\nretry-after: 7\r\ncontent-length: 0\r\n\r\n".to_vec();
        let server = Server::start(vec![Answer::Bytes(busy)]).await;
        let error = spore(&server.address, &[])
            .fetch(&named(b"x", Vec::new()))
            .await
            .unwrap_err();
        assert_eq!(error.retry_after(), Some(Duration::from_secs(7)));
    }
}
