//! What a registry or the way to it has against a request, in words people can act on.

use oci_client::errors::{DigestError, OciDistributionError, OciEnvelope, OciErrorCode};
use reqwest::StatusCode;

use super::location::OciLocation;
use crate::failure::{Failure, chain};

/// Most characters of what a registry says that are shown.
const MAX_SAID: usize = 300;

/// One request, for its failures.
pub(super) struct Asked<'a> {
    pub(super) location: &'a OciLocation,
    /// Where the credentials come from.
    pub(super) credentials: &'a str,
    /// Whether it goes over TLS.
    pub(super) tls: bool,
    /// What was being done, for example `cannot fetch oci://...`.
    pub(super) what: String,
}

impl Asked<'_> {
    /// Of the client's own error.
    pub(super) fn failed(&self, error: OciDistributionError) -> Failure {
        match error {
            OciDistributionError::UnauthorizedError { .. } => self.refused("it answers 401 Unauthorized"),
            OciDistributionError::AuthenticationFailure(said) => self.refused(&said),
            OciDistributionError::ServerError { code, message, .. } => self.answered(code, &message),
            OciDistributionError::ImageManifestNotFoundError(_) => self.absent(),
            OciDistributionError::RegistryError { envelope, .. } => {
                let codes = || envelope.errors.iter().map(|error| &error.code);
                if codes().any(|code| matches!(code, OciErrorCode::Unauthorized | OciErrorCode::Denied)) {
                    return self.refused(&envelope.to_string());
                }
                if codes().any(|code| matches!(code, OciErrorCode::ManifestUnknown | OciErrorCode::NameUnknown)) {
                    return self.absent();
                }
                self.failure(&envelope.to_string())
            }
            OciDistributionError::RequestError(error) => self.unreachable(&error),
            OciDistributionError::DigestError(error) => self.changed(&error),
            other => self.failure(&chain(&other)),
        }
    }

    /// Of an answer that is no success.
    pub(super) fn answered(&self, code: u16, said: &str) -> Failure {
        match StatusCode::from_u16(code) {
            Ok(StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => {
                self.refused(&format!("it answers {code}: {}", words(said)))
            }
            Ok(StatusCode::NOT_FOUND) => self.absent(),
            _ => self.failure(&format!("the registry answers {code}: {}", words(said))),
        }
    }

    /// No answer at all, or an answer that broke off.
    pub(super) fn unreachable(&self, error: &reqwest::Error) -> Failure {
        let failure = self.failure(&chain(error));
        if !error.is_connect() {
            return failure;
        }
        let registry = self.location.registry();
        failure.help(if self.tls {
            format!(
                "is {registry} a registry, and reachable from here? One that has no TLS wants --plain-http, one with a certificate of your own --registry-ca FILE"
            )
        } else {
            format!("is {registry} a registry, and reachable from here without TLS?")
        })
    }

    /// Other bytes than those that were named.
    pub(super) fn changed(&self, error: &DigestError) -> Failure {
        self.failure(&chain(error)).help(
            "somebody changed what the registry stores, or it is damaged: do not use it, and push the bundle again",
        )
    }

    fn refused(&self, said: &str) -> Failure {
        let registry = self.location.registry();
        Failure::new(format!("{}: {registry} does not let you in", self.what))
            .because(format!("it was asked with {}: {}", self.credentials, brief(said)))
            .help(format!(
                "pass --username NAME --password-stdin, set VENOM_REGISTRY_USERNAME and VENOM_REGISTRY_PASSWORD, or log in with `docker login {registry}`"
            ))
    }

    fn absent(&self) -> Failure {
        Failure::new(&*self.what)
            .because(format!(
                "{} has no {}",
                self.location.registry(),
                self.location.name()
            ))
            .help("check the name and the tag; `venom-host bundle push FILE` puts a bundle there; some registries say this of what you may not read")
    }

    pub(super) fn failure(&self, why: &str) -> Failure {
        Failure::new(&*self.what).because(brief(why))
    }
}

/// What people care about of an answer: registries wrap it in JSON.
fn words(said: &str) -> String {
    let Ok(envelope) = serde_json::from_str::<OciEnvelope>(said) else {
        return said.to_owned();
    };
    let messages = envelope.errors.into_iter().map(|error| error.message);
    messages.collect::<Vec<_>>().join("; ")
}

/// In a line, and not endless.
fn brief(said: &str) -> String {
    let one_line = said.split_whitespace().collect::<Vec<_>>().join(" ");
    one_line.chars().filter(|c| !c.is_control()).take(MAX_SAID).collect()
}
