//! What somebody who registers says of itself, made fit to be kept.

use serde_json::{Map, Value};
use venom_protocol::{AgentId, RegisterAgent};

use crate::stored::json;
use crate::text::{NAME, line, name};
use crate::{FleetError, FleetSettings};

/// The site of an agent that names none.
const NO_SITE: &str = "default";
/// What clients may call a secret that they send beside the fields that are known. It is not kept.
const SECRETS: [&str; 6] = [
    "token",
    "secret",
    "password",
    "authorization",
    "api_key",
    "registration_token",
];

/// What somebody who registers says of itself. Absent and empty: it said nothing, and what is known stays.
#[derive(Debug)]
pub(super) struct Newcomer {
    pub(super) id: Option<AgentId>,
    pub(super) name: Option<String>,
    pub(super) site_name: Option<String>,
    pub(super) location: Option<String>,
    pub(super) hostname: Option<String>,
    pub(super) version: Option<String>,
    pub(super) boot_id: Option<String>,
    /// JSON.
    pub(super) subnets: Option<String>,
    /// JSON.
    pub(super) capabilities: Option<String>,
    /// JSON.
    pub(super) metadata: Option<String>,
}

impl Newcomer {
    /// # Errors
    /// It says more than [`FleetSettings::max_metadata`].
    pub(super) fn new(ask: RegisterAgent, settings: &FleetSettings) -> Result<Self, FleetError> {
        let mut metadata = ask.metadata;
        metadata.retain(|key, _| !SECRETS.contains(&key.to_ascii_lowercase().as_str()));
        if let Some(port) = ask.service_port {
            metadata.insert("service_port".to_owned(), port.into());
        }
        let newcomer = Self {
            id: ask.agent_id,
            name: name(ask.name.as_deref()).or_else(|| name(ask.hostname.as_deref())),
            site_name: name(ask.site_name.as_deref()),
            location: name(ask.location.as_deref()),
            hostname: name(ask.hostname.as_deref()),
            version: name(ask.version.as_deref()),
            boot_id: name(ask.boot_id.as_deref()),
            subnets: names(&ask.subnets)?,
            capabilities: names(&ask.capabilities)?,
            metadata: map(&metadata)?,
        };
        let own_words = [&newcomer.subnets, &newcomer.capabilities, &newcomer.metadata];
        let length = own_words.into_iter().flatten().map(String::len).sum();
        within(length, settings)?;
        Ok(newcomer)
    }

    /// Its site when nobody else says.
    pub(super) fn own_site(&self) -> &str {
        self.site_name.as_deref().unwrap_or(NO_SITE)
    }
}

/// Whether so many bytes of an agent's own words are not too many.
pub(super) fn within(length: usize, settings: &FleetSettings) -> Result<(), FleetError> {
    let most = settings.max_metadata;
    if u64::try_from(length).unwrap_or(u64::MAX) <= most.as_u64() {
        return Ok(());
    }
    Err(FleetError::Invalid(format!(
        "metadata, subnets and capabilities are {length} bytes: at most {most} of an agent's words about itself are kept"
    )))
}

/// A list of names as JSON; `None` when there are none.
pub(super) fn names(names: &[String]) -> Result<Option<String>, FleetError> {
    let names: Vec<String> = names
        .iter()
        .map(|name| line(name, NAME))
        .filter(|name| !name.is_empty())
        .collect();
    if names.is_empty() {
        Ok(None)
    } else {
        json(&names).map(Some)
    }
}

fn map(map: &Map<String, Value>) -> Result<Option<String>, FleetError> {
    if map.is_empty() { Ok(None) } else { json(map).map(Some) }
}
