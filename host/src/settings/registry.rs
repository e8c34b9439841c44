//! How OCI registries are reached: as whom, and over what.

use std::io::Read as _;
use std::path::PathBuf;

use super::{Secret, SettingError, Sources, Switch, env};
use crate::cli::RegistryArgs;

/// Longest password that is read from standard input.
const MAX_PASSWORD: u64 = 64 * 1024;

/// How registries are reached.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct RegistrySettings {
    /// User.
    pub username: Option<String>,
    /// Password or access token.
    pub password: Option<Secret>,
    /// Certificates to trust beside the public ones.
    pub ca_file: Option<PathBuf>,
    /// Whether a registry on another machine may be asked without TLS.
    pub plain_http: bool,
    /// Where other tools keep their logins.
    pub docker_config: Option<PathBuf>,
}

impl RegistrySettings {
    /// Merges flags, environment, file and defaults.
    pub(crate) fn merge(args: RegistryArgs, sources: &Sources) -> Result<Self, SettingError> {
        let file = &sources.file.registry;
        let typed = args.password_stdin.then(read_password).transpose()?;
        let plain_http = args.plain_http.then_some(Switch(true));
        let plain_http = sources.pick_switch(plain_http, env::REGISTRY_PLAIN_HTTP, file.plain_http)?;
        Ok(Self {
            username: sources.pick(args.username, env::REGISTRY_USERNAME, file.username.clone())?,
            password: sources.pick(typed, env::REGISTRY_PASSWORD, file.password.clone())?,
            ca_file: sources.pick(args.registry_ca, env::REGISTRY_CA_FILE, file.ca_file.clone())?,
            plain_http: plain_http.unwrap_or(false),
            docker_config: docker_config(sources),
        })
    }
}

/// As Docker finds it.
fn docker_config(sources: &Sources) -> Option<PathBuf> {
    let named = sources.env.get(env::DOCKER_CONFIG).map(PathBuf::from);
    let usual = || Some(PathBuf::from(sources.env.get(env::HOME)?).join(".docker"));
    Some(named.or_else(usual)?.join("config.json"))
}

/// All of standard input but the line end.
fn read_password() -> Result<Secret, SettingError> {
    let unusable = |why: String| SettingError::Impossible(format!("no password comes from standard input: {why}"));
    let mut text = String::new();
    let input = std::io::stdin().lock().take(MAX_PASSWORD).read_to_string(&mut text);
    input.map_err(|error| unusable(error.to_string()))?;
    match text.trim_end_matches(['\r', '\n']) {
        "" => Err(unusable("it is empty".to_owned())),
        password => Ok(Secret::new(password)),
    }
}
