//! Who the user of a registry is: as the settings say, else as `docker login`, `podman login` or `oras login` left it in a
//! `config.json`. Starts no credential helper: what one keeps is passed with `--password-stdin`.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use oci_client::secrets::RegistryAuth;
use serde::Deserialize;

use super::location::OciLocation;
use crate::failure::{Explain as _, Failure};
use crate::settings::RegistrySettings;

/// How a registry is asked, and where that comes from, for when it says no.
pub(super) struct Credentials {
    pub(super) auth: RegistryAuth,
    pub(super) source: String,
}

/// The part of a `config.json` that matters here.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct DockerConfig {
    auths: BTreeMap<String, Login>,
    cred_helpers: BTreeMap<String, String>,
    creds_store: Option<String>,
}

/// One login. Other fields, and registries without any, are somebody else's business.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Login {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
    #[serde(rename = "identitytoken")]
    identity_token: Option<String>,
}

impl Credentials {
    /// Finds those for a registry.
    pub(super) fn find(location: &OciLocation, settings: &RegistrySettings) -> Result<Self, Failure> {
        let basic = |user: &str, password: &str| RegistryAuth::Basic(user.to_owned(), password.to_owned());
        match (&settings.username, &settings.password) {
            (Some(user), Some(password)) => Ok(Self {
                auth: basic(user, password.reveal()),
                source: format!("user `{user}` of --username, VENOM_REGISTRY_USERNAME or venom.toml"),
            }),
            (Some(user), None) => Err(Failure::usage(format!("no password is given for user `{user}`"))
                .help("pass --password-stdin and write it to standard input, or set VENOM_REGISTRY_PASSWORD")),
            (None, Some(_)) => Err(Failure::usage("a password is given, but no user")
                .help("pass --username NAME, or set VENOM_REGISTRY_USERNAME")),
            (None, None) => match &settings.docker_config {
                Some(path) => Self::of_docker(location.registry(), path),
                None => Ok(Self::nobody("no credentials".to_owned())),
            },
        }
    }

    fn nobody(source: String) -> Self {
        let auth = RegistryAuth::Anonymous;
        Self { auth, source }
    }

    fn of_docker(registry: &str, path: &Path) -> Result<Self, Failure> {
        let shown = path.display();
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Ok(Self::nobody(format!("no credentials (there is no {shown} either)")));
            }
            Err(error) => return Err(error).or_fail(format!("cannot read {shown}")),
        };
        let what = || format!("the registry logins in {shown} cannot be used");
        let config: DockerConfig = serde_json::from_str(&text).or_fail(what())?;
        let login = config.auths.iter().find(|(name, _)| is_of(name, registry));
        let auth = match login {
            Some((_, login)) => login.read().map_err(|why| Failure::new(what()).because(why))?,
            None => None,
        };
        if let Some(auth) = auth {
            let source = format!("the login in {shown}");
            return Ok(Self { auth, source });
        }
        let helper = config.cred_helpers.get(registry).or(config.creds_store.as_ref());
        let helped = helper.map_or_else(String::new, |name| {
            format!("; the credential helper `{name}` named there is not asked")
        });
        Ok(Self::nobody(format!(
            "no credentials ({shown} has none for {registry}{helped})"
        )))
    }
}

impl Login {
    fn read(&self) -> Result<Option<RegistryAuth>, String> {
        if self.identity_token.as_ref().is_some_and(|token| !token.is_empty()) {
            return Err(
                "the registry gave an identity token, which is not supported: pass --username and --password-stdin"
                    .to_owned(),
            );
        }
        if let (Some(user), Some(password)) = (&self.username, &self.password) {
            return Ok(Some(RegistryAuth::Basic(user.clone(), password.clone())));
        }
        let Some(auth) = self.auth.as_ref().filter(|auth| !auth.is_empty()) else {
            return Ok(None);
        };
        let wrong = || "`auth` is not the base64 of USER:PASSWORD: log in again".to_owned();
        let bytes = STANDARD.decode(auth.trim()).map_err(|_| wrong())?;
        let text = String::from_utf8(bytes).map_err(|_| wrong())?;
        let (user, password) = text.split_once(':').ok_or_else(wrong)?;
        // Docker's own tools pad with NUL.
        let password = password.trim_end_matches('\0');
        Ok(Some(RegistryAuth::Basic(user.to_owned(), password.to_owned())))
    }
}

/// Whether a key of `auths` means this registry: logins are written as `host`, `https://host` or `https://host/v1/`.
fn is_of(name: &str, registry: &str) -> bool {
    let bare = name.trim_start_matches("https://").trim_start_matches("http://");
    let host = bare.split('/').next().unwrap_or(bare);
    let docker_hub = |host: &str| matches!(host, "docker.io" | "index.docker.io" | "registry-1.docker.io");
    host == registry || (docker_hub(host) && docker_hub(registry))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Secret;

    fn found(config: &str, registry: &str) -> Result<Credentials, Failure> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("config.json");
        std::fs::write(&path, config).unwrap();
        Credentials::of_docker(registry, &path)
    }

    fn basic(user: &str, password: &str) -> RegistryAuth {
        RegistryAuth::Basic(user.to_owned(), password.to_owned())
    }

    #[test]
    fn logins_of_docker_are_found_by_their_registry() {
        // ada:s3:cret
        let config = r#"{"auths": {"https://a.example/v1/": {"auth": "YWRhOnMzOmNyZXQ="}, "b.example:5000": {"username": "bob", "password": "p"}, "c.example": {}}, "HttpHeaders": {"x": "y"}}"#;
        assert_eq!(found(config, "a.example").unwrap().auth, basic("ada", "s3:cret"));
        assert_eq!(found(config, "b.example:5000").unwrap().auth, basic("bob", "p"));
        for other in ["b.example", "c.example", "example", "a.example.evil.example"] {
            assert_eq!(found(config, other).unwrap().auth, RegistryAuth::Anonymous, "{other}");
        }
        let hub = r#"{"auths": {"https://index.docker.io/v1/": {"auth": "YWRhOnMzOmNyZXQ="}}}"#;
        assert_eq!(found(hub, "docker.io").unwrap().auth, basic("ada", "s3:cret"));
    }

    #[test]
    fn what_cannot_be_used_is_said() {
        let helper = r#"{"credsStore": "pass"}"#;
        let source = found(helper, "a.example").unwrap().source;
        assert!(source.contains("`pass`"), "{source}");
        for broken in [
            "{",
            r#"{"auths": {"a.example": {"auth": "?"}}}"#,
            r#"{"auths": {"a.example": {"auth": "YWRh"}}}"#,
            r#"{"auths": {"a.example": {"identitytoken": "t"}}}"#,
        ] {
            let failure = found(broken, "a.example").err().unwrap().summary();
            assert!(failure.contains("cannot be used"), "{failure}");
        }
    }

    #[test]
    fn settings_come_first_and_want_both_halves() {
        let location: OciLocation = "oci://a.example/b".parse().unwrap();
        let mut settings = RegistrySettings {
            username: Some("ada".to_owned()),
            docker_config: Some("/nowhere/config.json".into()),
            ..RegistrySettings::default()
        };
        assert_eq!(Credentials::find(&location, &settings).err().unwrap().exit_code(), 2);
        settings.password = Some(Secret::new("p"));
        assert_eq!(Credentials::find(&location, &settings).unwrap().auth, basic("ada", "p"));
        settings.username = None;
        assert_eq!(Credentials::find(&location, &settings).err().unwrap().exit_code(), 2);
        settings.password = None;
        assert_eq!(
            Credentials::find(&location, &settings).unwrap().auth,
            RegistryAuth::Anonymous
        );
    }
}
