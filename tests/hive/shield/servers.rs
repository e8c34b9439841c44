//! Servers to be looked at: real programs with a directory of their own, and a few lines of TCP. All end when dropped.

use std::fs::{self, File};
use std::io::Read;
use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use venom_tests::eventually;

/// A program that serves.
pub(super) struct Process {
    pub(super) port: u16,
    directory: TempDir,
    _child: Child,
}

impl Process {
    /// sshd, not as a service: a configuration, a host key and a port of its own. `more` goes into its configuration.
    pub(super) async fn sshd(more: &str) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let key = directory.path().join("key");
        let made = Command::new("ssh-keygen")
            .args(["-q", "-t", "rsa", "-b", "2048", "-N", "", "-f"])
            .arg(&key)
            .status()
            .await
            .context("ssh-keygen cannot be run (Debian: openssh-client)")?;
        ensure!(made.success(), "ssh-keygen failed");
        let port = free_port().await?;
        let configuration = directory.path().join("sshd_config");
        let text = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {}\nPidFile none\nUsePAM no\nStrictModes no\n{more}",
            key.display()
        );
        fs::write(&configuration, text)?;
        // where it separates its privileges; distributions make it when the service starts
        fs::create_dir_all("/run/sshd").context("sshd needs /run/sshd: run as root, or make it")?;
        let mut command = Command::new("/usr/sbin/sshd");
        command.args(["-D", "-e", "-f"]).arg(&configuration);
        Self::start(command, directory, SocketAddr::from(([127, 0, 0, 1], port))).await
    }

    /// `openssl s_server` with an RSA key of 1024 bits.
    pub(super) async fn openssl(arguments: &[&str]) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let mut request = Command::new("openssl");
        request.args([
            "req",
            "-x509",
            "-newkey",
            "rsa:1024",
            "-nodes",
            "-subj",
            "/CN=old.example",
            "-days",
            "90",
        ]);
        request
            .args(["-keyout", "key.pem", "-out", "certificate.pem"])
            .current_dir(directory.path());
        let made = request
            .stderr(Stdio::null())
            .status()
            .await
            .context("openssl cannot be run (Debian: openssl)")?;
        ensure!(made.success(), "openssl req failed");
        let port = free_port().await?;
        let mut command = Command::new("openssl");
        command.args([
            "s_server",
            "-key",
            "key.pem",
            "-cert",
            "certificate.pem",
            "-accept",
            &format!("127.0.0.1:{port}"),
        ]);
        command.args(arguments).current_dir(directory.path());
        // it ends with its input
        command.stdin(Stdio::piped());
        Self::start(command, directory, SocketAddr::from(([127, 0, 0, 1], port))).await
    }

    /// `python3 -m http.server` in a directory with one file.
    pub(super) async fn python_web() -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let pages = directory.path().join("pages");
        fs::create_dir(&pages)?;
        fs::write(pages.join("notes.txt"), "hello")?;
        let port = free_port().await?;
        let mut command = Command::new("python3");
        command
            .args([
                "-m",
                "http.server",
                &port.to_string(),
                "--bind",
                "127.0.0.1",
                "--directory",
            ])
            .arg(pages);
        Self::start(command, directory, SocketAddr::from(([127, 0, 0, 1], port))).await
    }

    /// Redis at its well-known port.
    pub(super) async fn redis(address: &str, arguments: &[&str]) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let mut command = Command::new("redis-server");
        command
            .args(["--port", "6379", "--bind", address, "--save", ""])
            .args(arguments);
        command.current_dir(directory.path());
        Self::start(command, directory, format!("{address}:6379").parse()?).await
    }

    async fn start(mut command: Command, directory: TempDir, place: SocketAddr) -> Result<Self> {
        let log = File::create(directory.path().join("log"))?;
        command.stdout(log.try_clone()?).stderr(log).kill_on_drop(true);
        let child = command.spawn().with_context(|| format!("{command:?} cannot be run"))?;
        let process = Self {
            port: place.port(),
            directory,
            _child: child,
        };
        eventually("a server on its port", async || match TcpStream::connect(place).await {
            Ok(_) => Ok(Some(())),
            Err(_) => Ok(None),
        })
        .await
        .with_context(|| process.log().unwrap_or_default())?;
        Ok(process)
    }

    /// What it wrote.
    pub(super) fn log(&self) -> Result<String> {
        let mut text = String::new();
        File::open(self.directory.path().join("log"))?.read_to_string(&mut text)?;
        Ok(text)
    }
}

async fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0").await?.local_addr()?.port())
}

/// A few lines of TCP.
pub(super) struct Tcp {
    pub(super) port: u16,
    heard: Arc<Mutex<Vec<Vec<u8>>>>,
    life: JoinHandle<()>,
}

impl Drop for Tcp {
    fn drop(&mut self) {
        self.life.abort();
    }
}

impl Tcp {
    /// Takes connections and says nothing.
    pub(super) async fn listening(place: &str) -> Result<Self> {
        Self::serve(place, async |mut stream| {
            let mut heard = Vec::new();
            // however it ends
            let _ = stream.read_to_end(&mut heard).await;
            heard
        })
        .await
    }

    /// Answers whatever is said first, and hangs up.
    pub(super) async fn answering(place: &str, answer: &'static [u8]) -> Result<Self> {
        Self::serve(place, move |mut stream| async move {
            let mut heard = vec![0; 4096];
            let read = stream.read(&mut heard).await.unwrap_or(0);
            heard.truncate(read);
            let _ = stream.write_all(answer).await;
            heard
        })
        .await
    }

    /// Says the same again and again, unasked.
    pub(super) async fn repeating(place: &str, said: &'static [u8], pause: Duration) -> Result<Self> {
        Self::serve(place, move |mut stream| async move {
            while stream.write_all(said).await.is_ok() {
                tokio::time::sleep(pause).await;
            }
            Vec::new()
        })
        .await
    }

    async fn serve<F>(place: &str, talk: impl Fn(TcpStream) -> F + Clone + Send + 'static) -> Result<Self>
    where
        F: Future<Output = Vec<u8>> + Send + 'static,
    {
        let listener = TcpListener::bind(place).await.with_context(|| place.to_owned())?;
        let port = listener.local_addr()?.port();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&heard);
        let life = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (talk, kept) = (talk.clone(), Arc::clone(&kept));
                tokio::spawn(async move {
                    let heard = talk(stream).await;
                    if let Ok(mut kept) = kept.lock() {
                        kept.push(heard);
                    }
                });
            }
        });
        Ok(Self { port, heard, life })
    }

    /// What was said in each connection, once there were so many.
    pub(super) async fn heard(&self, connections: usize) -> Result<Vec<Vec<u8>>> {
        eventually("the end of its connections", async || {
            let heard = self.heard.lock().ok().map(|heard| heard.clone());
            Ok(heard.filter(|heard| heard.len() >= connections))
        })
        .await
    }
}

/// Certificates of an authority that lives as long as the test.
pub(super) struct Certificates {
    issuer: Issuer<'static, KeyPair>,
}

/// A chain and its key.
pub(super) struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl Certificates {
    pub(super) fn new() -> Result<Self> {
        let mut params = CertificateParams::new(Vec::new())?;
        params
            .distinguished_name
            .push(rcgen::DnType::CommonName, "Test authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Ok(Self {
            issuer: Issuer::new(params, KeyPair::generate()?),
        })
    }

    /// For 90 days, of which 80 are left.
    pub(super) fn good(&self) -> Result<Identity> {
        let mut params = named()?;
        let now = std::time::SystemTime::now();
        params.not_before = (now - Duration::from_secs(10 * 86_400)).into();
        params.not_after = (now + Duration::from_secs(80 * 86_400)).into();
        self.sign(&params)
    }

    pub(super) fn expired(&self) -> Result<Identity> {
        let mut params = named()?;
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2020, 6, 1);
        self.sign(&params)
    }

    /// By itself, for another name and a hundred years.
    pub(super) fn self_signed(&self) -> Result<Identity> {
        let mut params = CertificateParams::new(vec!["box.local".to_owned()])?;
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2120, 1, 1);
        let key = KeyPair::generate()?;
        let certificate = params.self_signed(&key)?;
        Ok(identity(certificate.der().clone(), &key))
    }

    fn sign(&self, params: &CertificateParams) -> Result<Identity> {
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok(identity(certificate.der().clone(), &key))
    }
}

fn named() -> Result<CertificateParams> {
    let mut params = CertificateParams::new(vec!["server.example".to_owned()])?;
    params
        .distinguished_name
        .push(rcgen::DnType::CommonName, "server.example");
    Ok(params)
}

fn identity(certificate: CertificateDer<'static>, key: &KeyPair) -> Identity {
    Identity {
        chain: vec![certificate],
        key: PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
    }
}

/// A rustls server of TLS 1.2 and 1.3 that ends each connection after its handshake.
pub(super) async fn tls_server(identity: Identity) -> Result<Tcp> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(identity.chain, identity.key)?;
    let acceptor = TlsAcceptor::from(Arc::new(config));
    Tcp::serve("127.0.0.1:0", move |stream| {
        let acceptor = acceptor.clone();
        async move {
            if let Ok(mut stream) = acceptor.accept(stream).await {
                let _ = stream.shutdown().await;
            }
            Vec::new()
        }
    })
    .await
}
