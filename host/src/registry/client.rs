//! Putting a bundle into a registry and getting it out again. Nothing that comes is kept beyond the size it may have.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use indicatif::ProgressBar;
use oci_client::RegistryOperation;
use oci_client::client::{Certificate, CertificateEncoding, Client, ClientConfig, ClientProtocol};
use oci_client::errors::{DigestError, OciDistributionError};
use oci_client::manifest::OCI_IMAGE_MEDIA_TYPE;
use oci_client::secrets::RegistryAuth;
use reqwest::header::{ACCEPT, HeaderValue};
use reqwest::{Response, StatusCode};
use venom_bundle::{BundleParts, Digest, Manifest, UnverifiedBundle};

use super::artifact::{self, Announced, Artifact, MAX_MANIFEST_BYTES};
use super::credentials::Credentials;
use super::location::OciLocation;
use super::trouble::Asked;
use crate::failure::{Explain as _, Failure};
use crate::settings::RegistrySettings;

/// Longest wait for the connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest silence, and longest wait for a small answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// The slowest line a transfer is given time for.
const BYTES_A_SECOND: u64 = 64 * 1024;
/// Bytes sent at one time.
const CHUNK: usize = 64 * 1024;
/// Bytes of an answer that is an error which are read.
const MAX_COMPLAINT: usize = 4 * 1024;
/// Who asks.
const USER_AGENT: &str = concat!("venom-host/", env!("CARGO_PKG_VERSION"));
/// All kinds of manifests, so that something else than a bundle is told from nothing.
const MANIFESTS: &str = "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, \
                         application/vnd.docker.distribution.manifest.v2+json, application/vnd.docker.distribution.manifest.list.v2+json";

/// One place in a registry, and how to get there.
pub(crate) struct Registry {
    location: OciLocation,
    credentials: Credentials,
    client: Client,
    /// For manifests, which the client would read however long they are.
    http: reqwest::Client,
    tls: bool,
}

/// What was put there.
pub(crate) struct Pushed {
    /// What the bundle says of itself.
    pub(crate) manifest: Manifest,
    /// Exactly what was put there: the same place by its digest.
    pub(crate) pinned: OciLocation,
    /// SHA-256 of the `.venom` file.
    pub(crate) file_sha256: Digest,
}

/// What came from there. Nobody has verified it.
pub(crate) struct Pulled {
    /// The `.venom` file.
    pub(crate) file: Vec<u8>,
    /// What it says of itself.
    pub(crate) manifest: Manifest,
    /// Exactly what came: the same place by its digest.
    pub(crate) pinned: OciLocation,
}

impl Registry {
    /// Sets up; nobody is asked yet.
    pub(crate) fn of(location: &OciLocation, settings: &RegistrySettings) -> Result<Self, Failure> {
        // A registry on this machine with a certificate is one that speaks TLS.
        let tls = !settings.plain_http && (!location.is_loopback() || settings.ca_file.is_some());
        let pem = settings
            .ca_file
            .as_ref()
            .map(|path| std::fs::read(path).or_fail(format!("cannot read the certificates in {}", path.display())));
        let pem = pem.transpose()?;
        let what = "cannot set up the registry client";
        Ok(Self {
            location: location.clone(),
            credentials: Credentials::find(location, settings)?,
            http: http(pem.as_deref()).or_fail(what)?,
            client: Client::try_from(config(pem, tls)).or_fail(what)?,
            tls,
        })
    }

    fn asked(&self, what: &str) -> Asked<'_> {
        Asked {
            location: &self.location,
            credentials: &self.credentials.source,
            tls: self.tls,
            what: format!("cannot {what} {}", self.location),
        }
    }

    /// Asks for whatever token the registry wants to see.
    async fn enter(&self, operation: RegistryOperation, asked: &Asked<'_>) -> Result<Option<String>, Failure> {
        let reference = self.location.reference();
        let entering = self.client.auth(reference, &self.credentials.auth, operation);
        match tokio::time::timeout(ANSWER_TIMEOUT, entering).await {
            Ok(token) => token.map_err(|error| asked.failed(error)),
            Err(_) => Err(asked.failure("the registry does not answer")),
        }
    }

    /// Puts a bundle there; `bar` is moved by each byte of its component.
    pub(crate) async fn push(&self, file: &[u8], bar: &ProgressBar) -> Result<Pushed, Failure> {
        let asked = self.asked("push to");
        let parts = BundleParts::split(file).or_fail(&*asked.what)?;
        let manifest = claimed(file).map_err(|why| asked.failure(&why))?;
        let artifact = Artifact::of(&parts, &manifest)?;
        self.enter(RegistryOperation::Push, &asked).await?;
        self.put_blob(artifact.config, &ProgressBar::hidden(), &asked).await?;
        self.put_blob(parts.component().to_vec(), bar, &asked).await?;
        let digest = artifact::digest(&artifact.manifest);
        let put = self.client.push_manifest_raw(
            self.location.reference(),
            artifact.manifest,
            HeaderValue::from_static(OCI_IMAGE_MEDIA_TYPE),
        );
        put.await.map_err(|error| asked.failed(error))?;
        Ok(Pushed {
            manifest,
            pinned: self.location.at(&digest),
            file_sha256: Digest::of(file),
        })
    }

    /// Puts bytes there, unless they are there already.
    async fn put_blob(&self, bytes: Vec<u8>, bar: &ProgressBar, asked: &Asked<'_>) -> Result<(), Failure> {
        let reference = self.location.reference();
        let (digest, size) = (artifact::digest(&bytes), bytes.len() as u64);
        // Not knowing only costs the upload; what is wrong with the registry shows there.
        if self.client.blob_exists(reference, &digest).await.unwrap_or(false) {
            bar.inc(size);
            return Ok(());
        }
        let (bytes, bar) = (Bytes::from(bytes), bar.clone());
        let starts = (0..bytes.len()).step_by(CHUNK);
        let chunks: Vec<Bytes> = starts
            .map(|start| bytes.slice(start..(start + CHUNK).min(bytes.len())))
            .collect();
        let chunks = stream::iter(chunks).map(move |chunk| {
            bar.inc(chunk.len() as u64);
            Ok::<_, OciDistributionError>(chunk)
        });
        let put = self.client.push_blob_stream(reference, chunks, &digest, Some(size));
        match tokio::time::timeout(patience(size), put).await {
            Ok(put) => put.map(drop).map_err(|error| asked.failed(error)),
            Err(_) => Err(asked.failure("the registry takes it too slowly")),
        }
    }

    /// Gets what is there; `bar` gets its length and is moved by each byte.
    pub(crate) async fn pull(&self, bar: &ProgressBar) -> Result<Pulled, Failure> {
        let asked = self.asked("pull");
        let token = self.enter(RegistryOperation::Pull, &asked).await?;
        let bytes = self.manifest(token, &asked).await?;
        let digest = artifact::digest(&bytes);
        self.check_pin(&digest, &asked)?;
        let announced = artifact::read(&bytes).map_err(|foreign| {
            Failure::new(format!("{} is no bundle", self.location))
                .because(foreign.to_string())
                .help(foreign.help())
        })?;
        bar.set_length(announced.size);
        let component = self.blob(&announced, bar, &asked).await?;
        let parts = BundleParts::of(announced.envelope, component).or_fail(&*asked.what)?;
        let file = parts.join();
        if announced
            .file_sha256
            .is_some_and(|expected| expected != Digest::of(&file).to_string())
        {
            return Err(asked.failure("its parts do not make the file that its manifest names"));
        }
        Ok(Pulled {
            manifest: claimed(&file).map_err(|why| asked.failure(&why))?,
            file,
            pinned: self.location.at(&digest),
        })
    }

    /// A digest that is asked for is what comes, whatever the registry says.
    fn check_pin(&self, found: &str, asked: &Asked<'_>) -> Result<(), Failure> {
        match self.location.digest() {
            Some(expected) if expected != found => Err(asked.changed(&mismatch(expected, found))),
            _ => Ok(()),
        }
    }

    async fn manifest(&self, token: Option<String>, asked: &Asked<'_>) -> Result<Vec<u8>, Failure> {
        let reference = self.location.reference();
        let scheme = if self.tls { "https" } else { "http" };
        let (host, repository) = (reference.resolve_registry(), reference.repository());
        let wanted = reference.digest().or(reference.tag()).unwrap_or("latest");
        let url = format!("{scheme}://{host}/v2/{repository}/manifests/{wanted}");
        let request = self.http.get(url).timeout(ANSWER_TIMEOUT).header(ACCEPT, MANIFESTS);
        let request = match (token.as_ref(), &self.credentials.auth) {
            (Some(token), _) | (None, RegistryAuth::Bearer(token)) => request.bearer_auth(token),
            (None, RegistryAuth::Basic(user, password)) => request.basic_auth(user, Some(password)),
            (None, RegistryAuth::Anonymous) => request,
        };
        let response = request.send().await.map_err(|error| asked.unreachable(&error))?;
        let status = response.status();
        if status != StatusCode::OK {
            let (said, _) = read(response, MAX_COMPLAINT, asked).await?;
            return Err(asked.answered(status.as_u16(), &String::from_utf8_lossy(&said)));
        }
        match read(response, MAX_MANIFEST_BYTES, asked).await? {
            (bytes, true) => Ok(bytes),
            (_, false) => Err(asked.failure(&format!(
                "its manifest has more than {MAX_MANIFEST_BYTES} bytes: it is no bundle"
            ))),
        }
    }

    async fn blob(&self, announced: &Announced, bar: &ProgressBar, asked: &Asked<'_>) -> Result<Vec<u8>, Failure> {
        let getting = async {
            let reference = self.location.reference();
            let blob = self.client.pull_blob_stream(reference, &announced.component).await;
            let mut chunks = blob.map_err(|error| asked.failed(error))?;
            let mut bytes = Vec::new();
            while let Some(chunk) = chunks.next().await {
                let chunk = chunk.map_err(|error| broken(error, asked))?;
                bytes.extend_from_slice(&chunk);
                bar.inc(chunk.len() as u64);
                if bytes.len() as u64 > announced.size {
                    return Err(asked.failure(&format!(
                        "the registry sends more than the {} bytes that its manifest names",
                        announced.size
                    )));
                }
            }
            let (expected, found) = (&announced.component.digest, artifact::digest(&bytes));
            if *expected != found {
                return Err(asked.changed(&mismatch(expected, &found)));
            }
            Ok(bytes)
        };
        match tokio::time::timeout(patience(announced.size), getting).await {
            Ok(result) => result,
            Err(_) => Err(asked.failure("the registry sends it too slowly")),
        }
    }
}

fn http(pem: Option<&[u8]>) -> reqwest::Result<reqwest::Client> {
    let mut http = reqwest::Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(ANSWER_TIMEOUT)
        .user_agent(USER_AGENT);
    if let Some(pem) = pem {
        http = http.tls_certs_merge(reqwest::Certificate::from_pem_bundle(pem)?);
    }
    http.build()
}

fn config(pem: Option<Vec<u8>>, tls: bool) -> ClientConfig {
    let certificate = |data| Certificate {
        encoding: CertificateEncoding::Pem,
        data,
    };
    ClientConfig {
        protocol: if tls {
            ClientProtocol::Https
        } else {
            ClientProtocol::Http
        },
        use_monolithic_push: true,
        extra_root_certificates: pem.into_iter().map(certificate).collect(),
        platform_resolver: None,
        read_timeout: Some(ANSWER_TIMEOUT),
        connect_timeout: Some(CONNECT_TIMEOUT),
        user_agent: USER_AGENT,
        ..ClientConfig::default()
    }
}

/// Reads an answer up to a size; whether that was all of it.
async fn read(mut response: Response, limit: usize, asked: &Asked<'_>) -> Result<(Vec<u8>, bool), Failure> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| asked.unreachable(&error))? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > limit {
            bytes.truncate(limit);
            return Ok((bytes, false));
        }
    }
    Ok((bytes, true))
}

/// The client checks digests while it reads, and says so in an I/O error.
fn broken(error: std::io::Error, asked: &Asked<'_>) -> Failure {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<DigestError>()) {
        Some(changed) => asked.changed(changed),
        None => asked.failure(&crate::failure::chain(&error)),
    }
}

fn mismatch(expected: &str, found: &str) -> DigestError {
    DigestError::VerificationError {
        expected: expected.to_owned(),
        actual: found.to_owned(),
    }
}

/// How long a transfer may take.
fn patience(size: u64) -> Duration {
    ANSWER_TIMEOUT + Duration::from_secs(size / BYTES_A_SECOND)
}

/// What a bundle says of itself.
fn claimed(file: &[u8]) -> Result<Manifest, String> {
    let bundle = UnverifiedBundle::parse(file.to_vec()).map_err(|error| crate::failure::chain(&error))?;
    let claimed = bundle.claimed();
    let manifest = claimed.manifest().map_err(|error| crate::failure::chain(error))?;
    Ok(manifest.clone())
}
