//! Settings of the fleet on a nexus: where it is kept, how agents get in, when silence counts, how much is kept.

use std::time::Duration;

use venom_fleet::FleetSettings;

use super::{Secret, SettingError, Sources, Span, UplinkSettings, env};
use crate::cli::FleetArgs;

/// Settings of the fleet.
#[derive(Debug, Clone)]
pub(crate) struct FleetKept {
    /// Where: `sqlite:PATH` or `postgres://…`; none when no fleet is kept. It may hold a password.
    pub database: Option<Secret>,
    /// How agents get in.
    pub registration_token: Option<Secret>,
    /// How LAN scan agents get in.
    pub registration_secret: Option<Secret>,
    /// Registrations a minute from one address.
    pub registrations_per_minute: u32,
    /// Requests a minute of one agent.
    pub requests_per_minute: u32,
    /// Where agents reach the nexus.
    pub public_url: Option<String>,
    /// What the fleet itself is told.
    pub rules: FleetSettings,
}

impl FleetKept {
    /// Merges flags, environment, file and defaults, and checks what came out.
    pub(crate) fn merge(
        args: FleetArgs,
        uplink: Option<&UplinkSettings>,
        sources: &Sources,
    ) -> Result<Self, SettingError> {
        let file = &sources.file.fleet;
        let built_in = venom_nexus::AgentSettings::default();
        let enabled = sources
            .pick_switch(None, env::ENABLE_FLEET, file.enabled)?
            .unwrap_or(true)
            && !args.no_fleet;
        let database = sources.pick(
            args.database_url.map(Secret::new),
            env::DATABASE_URL,
            file.database_url.clone(),
        )?;
        let here = || Secret::new(format!("sqlite:{}", sources.in_data_dir("fleet.db").display()));
        // with another hive to register at, the token is for getting in there: it must not let others in here
        let of_the_hive = match uplink {
            Some(_) => None,
            None => sources.env.parse(env::HIVE_REGISTRATION_TOKEN)?,
        };
        let settings = Self {
            database: enabled.then(|| database.unwrap_or_else(here)),
            registration_token: of_the_hive.or_else(|| file.registration_token.clone()),
            registration_secret: sources.pick(
                None,
                env::AGENT_REGISTRATION_SECRET,
                file.registration_secret.clone(),
            )?,
            registrations_per_minute: sources
                .pick(None, env::FLEET_REGISTRATIONS, file.registrations_per_minute)?
                .unwrap_or(built_in.registrations_per_minute),
            requests_per_minute: sources
                .pick(None, env::FLEET_REQUESTS, file.requests_per_minute)?
                .unwrap_or(built_in.requests_per_minute),
            public_url: sources.pick(args.public_url, env::NEXUS_PUBLIC_URL, file.public_url.clone())?,
            rules: rules(sources)?,
        };
        settings.check()?;
        Ok(settings)
    }

    fn check(&self) -> Result<(), SettingError> {
        let rules = &self.rules;
        if let Some(url) = &self.database {
            let url = url.reveal();
            if !["sqlite:", "postgres://", "postgresql://"]
                .iter()
                .any(|start| url.starts_with(start))
            {
                return Err(SettingError::Impossible(format!(
                    "{} begins with none of sqlite:, postgres:// and postgresql://",
                    env::DATABASE_URL
                )));
            }
        }
        if rules.offline_after <= rules.stale_after {
            return Err(SettingError::Impossible(format!(
                "agents are offline after {:?} of silence but stale only after {:?}; give stale_after the shorter time",
                rules.offline_after, rules.stale_after
            )));
        }
        if rules.misses_until_gone == 0 {
            return Err(SettingError::Impossible(
                "misses_until_gone is 0, so everything would be gone at once; give 1 or more".to_owned(),
            ));
        }
        if let Some(url) = self.public_url.as_deref().filter(|url| !is_http(url)) {
            return Err(SettingError::Impossible(format!(
                "{} is `{url}`; give http:// or https://, a host and a port, such as https://nexus.example:8000",
                env::NEXUS_PUBLIC_URL
            )));
        }
        Ok(())
    }
}

fn is_http(url: &str) -> bool {
    let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
    rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'))
}

fn rules(sources: &Sources) -> Result<FleetSettings, SettingError> {
    let file = &sources.file.fleet;
    let built_in = FleetSettings::default();
    let span = |name, file: Option<Span>, default: Duration| -> Result<Duration, SettingError> {
        Ok(sources.pick(None, name, file)?.map_or(default, |Span(time)| time))
    };
    Ok(FleetSettings {
        stale_after: span(env::FLEET_STALE_AFTER, file.stale_after, built_in.stale_after)?,
        offline_after: span(env::FLEET_OFFLINE_AFTER, file.offline_after, built_in.offline_after)?,
        rotation_overlap: span(
            env::FLEET_ROTATION_OVERLAP,
            file.rotation_overlap,
            built_in.rotation_overlap,
        )?,
        command_lifetime: span(
            env::FLEET_COMMAND_LIFETIME,
            file.command_lifetime,
            built_in.command_lifetime,
        )?,
        batch_memory: span(env::FLEET_BATCH_MEMORY, file.batch_memory, built_in.batch_memory)?,
        history: span(env::FLEET_HISTORY, file.history, built_in.history)?,
        misses_until_gone: sources
            .pick(None, env::FLEET_MISSES_UNTIL_GONE, file.misses_until_gone)?
            .unwrap_or(built_in.misses_until_gone),
        max_agents: sources
            .pick(None, env::FLEET_MAX_AGENTS, file.max_agents)?
            .unwrap_or(built_in.max_agents),
        max_assets_per_site: sources
            .pick(None, env::FLEET_MAX_ASSETS, file.max_assets_per_site)?
            .unwrap_or(built_in.max_assets_per_site),
        ..built_in
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::UplinkArgs;
    use crate::settings::{Environment, File};

    fn merged(pairs: &[(&str, &str)]) -> Result<FleetKept, SettingError> {
        let sources = Sources {
            env: Environment::of(pairs),
            file: File::default(),
            data_dir: "/d".into(),
        };
        let uplink = UplinkSettings::merge(UplinkArgs::default(), &sources)?;
        FleetKept::merge(FleetArgs::default(), uplink.as_ref(), &sources)
    }

    #[test]
    fn a_token_for_another_hive_lets_nobody_in_here() {
        let there = (env::HIVE_REGISTRATION_TOKEN, "t");
        assert!(merged(&[there]).unwrap().registration_token.is_some());
        let both = merged(&[there, (env::HIVE_URL, "http://hive:8000")]).unwrap();
        assert!(both.registration_token.is_none());
    }

    #[test]
    fn what_cannot_be_is_told() {
        for (name, value, word) in [
            (env::DATABASE_URL, "mysql://x", "postgres://"),
            (env::FLEET_STALE_AFTER, "1h", "offline after"),
            (env::FLEET_MISSES_UNTIL_GONE, "0", "gone at once"),
            (env::NEXUS_PUBLIC_URL, "nexus:8000", "https://"),
        ] {
            let error = merged(&[(name, value)]).unwrap_err().to_string();
            assert!(error.contains(word), "{name}: {error}");
        }
    }
}
