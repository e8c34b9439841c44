//! Settings: flag beats environment beats file beats default, merged once into one plain struct for each
//! command. What comes out knows no clap, no environment and no file; it is checked before anything is bound.

mod agent;
mod client;
pub(crate) mod env;
mod file;
mod fleet;
mod hive;
mod logging;
mod mdns;
mod nexus;
mod redis;
mod registry;
mod releases;
mod sandbox;
mod spore;
mod updates;
mod uplink;
mod values;

#[cfg(test)]
mod precedence;

use std::path::{Path, PathBuf};
use std::str::FromStr;

pub(crate) use agent::AgentSettings;
pub(crate) use client::ClientSettings;
pub(crate) use env::Environment;
pub(crate) use file::{File, PageScan};
pub(crate) use fleet::FleetKept;
pub(crate) use hive::{HiveSettings, Kept};
pub(crate) use logging::LogSettings;
pub(crate) use mdns::MdnsSettings;
pub(crate) use nexus::{DEFAULT_PORT, NexusSettings};
pub(crate) use redis::redis;
pub(crate) use registry::RegistrySettings;
pub(crate) use releases::ReleaseSettings;
pub(crate) use sandbox::{PolicySource, SandboxNames, SandboxSettings};
pub(crate) use spore::SporeSettings;
pub(crate) use updates::{AllowedHost, Span, UpdateSettings};
pub(crate) use uplink::UplinkSettings;
pub(crate) use values::{Lifetime, Seconds, Secret, Switch};

use crate::cli::GlobalArgs;

/// A setting that cannot be used. All of these are usage errors.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SettingError {
    /// An environment variable that cannot be read as what it is.
    #[error("environment variable {name} cannot be used: {why}{}", hint(name, value))]
    Variable {
        /// Which.
        name: &'static str,
        /// What it held.
        value: String,
        /// What is wrong with it.
        why: String,
    },
    /// A settings file with an unknown key or a wrong value.
    #[error("settings file {} cannot be used: {why}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Names key and line.
        why: String,
    },
    /// A settings file that cannot be read.
    #[error("settings file {} cannot be read: {source}", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Values that cannot be, alone or together.
    #[error("{0}")]
    Impossible(String),
}

/// Kubernetes sets `NAME_PORT=tcp://...` for every service called `name`.
fn hint(name: &str, value: &str) -> &'static str {
    if name.ends_with("_PORT") && value.starts_with("tcp://") {
        " (Kubernetes sets it for a service of that name; set enableServiceLinks: false, or pass --port)"
    } else {
        ""
    }
}

/// Where settings come from, beside the flags of the command.
#[derive(Clone)]
pub(crate) struct Sources {
    /// The environment.
    pub env: Environment,
    /// The settings file.
    pub file: File,
    /// The data directory: itself a setting, but one that cannot stand in the file it holds.
    pub data_dir: PathBuf,
}

impl Sources {
    /// Finds the data directory and reads the settings file.
    pub(crate) fn find(args: &GlobalArgs, env: Environment) -> Result<Self, SettingError> {
        let data_dir = match args
            .data_dir
            .clone()
            .or_else(|| env.get(env::DATA_DIR).map(PathBuf::from))
        {
            Some(directory) => std::path::absolute(&directory).unwrap_or(directory),
            None => default_data_dir(&env)?,
        };
        let named = args.config.clone().or_else(|| env.get(env::CONFIG).map(PathBuf::from));
        let asked_for = named.is_some();
        let path = named.unwrap_or_else(|| data_dir.join("venom.toml"));
        let path = std::path::absolute(&path).unwrap_or(path);
        let file = File::load(&path, asked_for)?;
        Ok(Self { env, file, data_dir })
    }

    /// Flag, else environment, else file.
    fn pick<T>(&self, flag: Option<T>, name: &'static str, file: Option<T>) -> Result<Option<T>, SettingError>
    where
        T: FromStr,
        T::Err: std::fmt::Display,
    {
        match flag {
            Some(value) => Ok(Some(value)),
            None => Ok(self.env.parse(name)?.or(file)),
        }
    }

    /// Flag, else environment, else file, for what is written on/off or true/false.
    fn pick_switch(
        &self,
        flag: Option<Switch>,
        name: &'static str,
        file: Option<bool>,
    ) -> Result<Option<bool>, SettingError> {
        Ok(self.pick(flag, name, file.map(Switch))?.map(|Switch(on)| on))
    }

    /// What an agent shows when it registers: flag, else environment.
    pub(crate) fn registration_secret(&self, flag: Option<String>) -> Result<Option<Secret>, SettingError> {
        self.pick(flag.map(Secret::new), env::AGENT_REGISTRATION_SECRET, None)
    }

    fn in_data_dir(&self, name: &str) -> PathBuf {
        self.data_dir.join(name)
    }
}

fn default_data_dir(env: &Environment) -> Result<PathBuf, SettingError> {
    if let Some(base) = env
        .get(env::XDG_DATA_HOME)
        .map(Path::new)
        .filter(|base| base.is_absolute())
    {
        return Ok(base.join("venom"));
    }
    match env.get(env::HOME) {
        Some(home) => Ok(Path::new(home).join(".local/share/venom")),
        None => Err(SettingError::Impossible(
            "no data directory: neither VENOM_DATA_DIR nor HOME is set; pass --data-dir DIR".to_owned(),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(args: &GlobalArgs, pairs: &[(&str, &str)]) -> PathBuf {
        Sources::find(args, Environment::of(pairs)).unwrap().data_dir
    }

    #[test]
    fn the_data_directory_is_flag_then_variable_then_xdg_then_home() {
        let flag = GlobalArgs {
            data_dir: Some("/flag".into()),
            ..GlobalArgs::default()
        };
        let none = GlobalArgs::default();
        let all = [
            ("VENOM_DATA_DIR", "/env"),
            ("XDG_DATA_HOME", "/xdg"),
            ("HOME", "/home/a"),
        ];
        assert_eq!(found(&flag, &all), Path::new("/flag"));
        assert_eq!(found(&none, &all), Path::new("/env"));
        assert_eq!(found(&none, &all[1..]), Path::new("/xdg/venom"));
        assert_eq!(found(&none, &all[2..]), Path::new("/home/a/.local/share/venom"));
        assert!(Sources::find(&none, Environment::of(&[])).is_err());
    }

    #[test]
    fn a_settings_file_somebody_named_must_exist() {
        let named = GlobalArgs {
            config: Some("/nowhere/venom.toml".into()),
            data_dir: Some("/d".into()),
            ..GlobalArgs::default()
        };
        let error = Sources::find(&named, Environment::of(&[])).err().unwrap().to_string();
        assert!(error.contains("/nowhere/venom.toml"), "{error}");
    }

    #[test]
    fn a_port_set_by_kubernetes_is_explained() {
        let error = Environment::of(&[("NEXUS_PORT", "tcp://10.0.0.1:8000")])
            .parse::<u16>(env::NEXUS_PORT)
            .unwrap_err();
        assert!(error.to_string().contains("enableServiceLinks"), "{error}");
    }
}
