//! The fleet a nexus keeps. A database that cannot be opened is a reason not to start: agents would be turned away as strangers.

use venom_fleet::{Fleet, FleetError};
use venom_nexus::AgentSettings;
use venom_protocol::with_causes;

use crate::failure::Failure;
use crate::settings::{FleetKept, Secret};

/// Opens what the settings name; none when no fleet is kept.
pub(super) async fn open(settings: &FleetKept) -> Result<Option<Fleet>, Failure> {
    let Some(database) = &settings.database else {
        tracing::info!("no fleet is kept: agents cannot register");
        return Ok(None);
    };
    let opened = Fleet::open(database.reveal(), settings.rules.clone()).await;
    opened.map(Some).map_err(|error| unopened(&error, database))
}

fn unopened(error: &FleetError, database: &Secret) -> Failure {
    let failure = Failure::new("agents and what they saw cannot be kept").because(with_causes(error));
    let help = match (error, database.reveal().starts_with("sqlite:")) {
        (FleetError::Migration(_), _) => {
            "the database is of another version of Venom: use that one, or another database"
        }
        (_, true) => {
            "look at the file (fleet.db in the data directory unless DATABASE_URL says otherwise); --no-fleet starts a nexus that keeps no agents"
        }
        (_, false) => {
            "look whether the server of DATABASE_URL (--database-url, [fleet] database_url) is there and takes the name and password; --no-fleet starts a nexus that keeps no agents"
        }
    };
    failure.help(help)
}

/// How agents get in.
pub(super) fn agents(settings: &FleetKept) -> AgentSettings {
    let secret = |secret: &Option<Secret>| secret.as_ref().map(|secret| venom_nexus::Secret::new(secret.reveal()));
    AgentSettings {
        registration_token: secret(&settings.registration_token),
        registration_secret: secret(&settings.registration_secret),
        registrations_per_minute: settings.registrations_per_minute,
        requests_per_minute: settings.requests_per_minute,
        public_url: settings.public_url.clone(),
    }
}
