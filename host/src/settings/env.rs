//! The names of all environment variables this program reads, and the one place where it reads them.

use std::collections::BTreeMap;
use std::str::FromStr;

use super::SettingError;

/// Data directory.
pub(crate) const DATA_DIR: &str = "VENOM_DATA_DIR";
/// Settings file.
pub(crate) const CONFIG: &str = "VENOM_CONFIG";
/// Log filter of this program; beats [`RUST_LOG`].
pub(crate) const LOG: &str = "VENOM_LOG";
/// Log filter, as other Rust programs read it.
pub(crate) const RUST_LOG: &str = "RUST_LOG";
/// `text` or `json`.
pub(crate) const LOG_FORMAT: &str = "VENOM_LOG_FORMAT";
/// Trust file.
pub(crate) const TRUST: &str = "VENOM_TRUST";
/// Base of the default data directory (XDG).
pub(crate) const XDG_DATA_HOME: &str = "XDG_DATA_HOME";
/// Base of the default data directory where XDG is silent.
pub(crate) const HOME: &str = "HOME";

/// Nexus that `exec`, `nodes` and `doctor` talk to.
pub(crate) const CLIENT_NEXUS: &str = "VENOM_NEXUS";
/// Operator token of `exec` and `nodes`.
pub(crate) const CLIENT_TOKEN: &str = "VENOM_TOKEN";
/// Certificates `exec` and `nodes` trust.
pub(crate) const CLIENT_CA_FILE: &str = "VENOM_CA_FILE";

/// User of OCI registries.
pub(crate) const REGISTRY_USERNAME: &str = "VENOM_REGISTRY_USERNAME";
/// Their password.
pub(crate) const REGISTRY_PASSWORD: &str = "VENOM_REGISTRY_PASSWORD";
/// Certificates that may have signed theirs.
pub(crate) const REGISTRY_CA_FILE: &str = "VENOM_REGISTRY_CA_FILE";
/// Whether registries elsewhere may be asked without TLS.
pub(crate) const REGISTRY_PLAIN_HTTP: &str = "VENOM_REGISTRY_PLAIN_HTTP";
/// Directory of the logins of other tools.
pub(crate) const DOCKER_CONFIG: &str = "DOCKER_CONFIG";

/// Whether spores may connect.
pub(crate) const ENABLE_NEXUS: &str = "ENABLE_NEXUS";
/// Address the nexus listens on.
pub(crate) const NEXUS_BIND: &str = "NEXUS_BIND";
/// Port the nexus listens on.
pub(crate) const NEXUS_PORT: &str = "NEXUS_PORT";
/// Token spores must show.
pub(crate) const NEXUS_SHARED_TOKEN: &str = "NEXUS_SHARED_TOKEN";
/// Silence after which a node is offline.
pub(crate) const NEXUS_HEARTBEAT_TIMEOUT: &str = "NEXUS_HEARTBEAT_TIMEOUT";
/// Time running calls get when the nexus stops.
pub(crate) const NEXUS_DRAIN_TIMEOUT: &str = "NEXUS_DRAIN_TIMEOUT";
/// Certificate chain.
pub(crate) const NEXUS_TLS_CERT: &str = "NEXUS_TLS_CERT";
/// Key of the certificate.
pub(crate) const NEXUS_TLS_KEY: &str = "NEXUS_TLS_KEY";
/// Largest request body.
pub(crate) const NEXUS_MAX_BODY: &str = "NEXUS_MAX_BODY";
/// Requests a second of one client.
pub(crate) const NEXUS_RATE_LIMIT: &str = "NEXUS_RATE_LIMIT";
/// Wrong tokens a minute of one address.
pub(crate) const NEXUS_AUTH_FAILURES: &str = "NEXUS_AUTH_FAILURES";
/// Connections at one time.
pub(crate) const NEXUS_MAX_CONNECTIONS: &str = "NEXUS_MAX_CONNECTIONS";
/// Time a client gets to send its request.
pub(crate) const NEXUS_READ_TIMEOUT: &str = "NEXUS_READ_TIMEOUT";
/// Whether the nexus runs skills that no node has.
pub(crate) const NEXUS_LOCAL_FALLBACK: &str = "NEXUS_LOCAL_FALLBACK";
/// Bundles of the local fallback.
pub(crate) const NEXUS_SKILLS: &str = "NEXUS_SKILLS";
/// Policy of the local fallback.
pub(crate) const NEXUS_POLICY: &str = "NEXUS_POLICY";
/// Log of security events.
pub(crate) const NEXUS_AUDIT_LOG: &str = "NEXUS_AUDIT_LOG";

/// Weight of CPU usage in the load score.
pub(crate) const FOREMAN_CPU_WEIGHT: &str = "FOREMAN_CPU_WEIGHT";
/// Weight of memory usage in the load score.
pub(crate) const FOREMAN_MEMORY_WEIGHT: &str = "FOREMAN_MEMORY_WEIGHT";
/// Weight of running calls in the load score.
pub(crate) const FOREMAN_TASKS_WEIGHT: &str = "FOREMAN_TASKS_WEIGHT";
/// Running calls that count as fully loaded.
pub(crate) const FOREMAN_MAX_TASKS_NORMALIZATION: &str = "FOREMAN_MAX_TASKS_NORMALIZATION";
/// Weight of late failures of a node in the load score.
pub(crate) const FOREMAN_FAILURE_WEIGHT: &str = "FOREMAN_FAILURE_WEIGHT";
/// Weight of slow answers of a node in the load score.
pub(crate) const FOREMAN_LATENCY_WEIGHT: &str = "FOREMAN_LATENCY_WEIGHT";

/// Whether the nexus keeps tasks.
pub(crate) const ENABLE_HIVE: &str = "ENABLE_HIVE";
/// `process` or `power`.
pub(crate) const HIVE_DURABILITY: &str = "HIVE_DURABILITY";
/// Name of the queue of high priorities.
pub(crate) const HIVE_HIGH_PRIORITY_QUEUE: &str = "HIVE_HIGH_PRIORITY_QUEUE";
/// Name of the queue of low priorities.
pub(crate) const HIVE_BACKGROUND_QUEUE: &str = "HIVE_BACKGROUND_QUEUE";
/// Channel of control broadcasts.
pub(crate) const HIVE_BROADCAST_CHANNEL: &str = "HIVE_BROADCAST_CHANNEL";
/// Longest a run takes when its submitter does not say.
pub(crate) const HIVE_TASK_TIMEOUT: &str = "HIVE_TASK_TIMEOUT";
/// Runs after the first when the submitter does not say.
pub(crate) const HIVE_MAX_RETRIES: &str = "HIVE_MAX_RETRIES";
/// Longest timeout a task may ask for.
pub(crate) const HIVE_ZOMBIE_TASK_TIMEOUT: &str = "HIVE_ZOMBIE_TASK_TIMEOUT";
/// Most tasks that may wait.
pub(crate) const HIVE_MAX_QUEUED: &str = "HIVE_MAX_QUEUED";
/// How long ended tasks are kept.
pub(crate) const HIVE_RESULT_TTL: &str = "HIVE_RESULT_TTL";
/// Silence after which other nexuses take the tasks of one.
pub(crate) const HIVE_SESSION_TTL: &str = "HIVE_SESSION_TTL";
/// First part of every key in Redis.
pub(crate) const HIVE_NAMESPACE: &str = "HIVE_NAMESPACE";
/// Silence after which a node has lost its tasks.
pub(crate) const HIVE_LEASE_TTL: &str = "HIVE_LEASE_TTL";
/// Lost nodes that park a task.
pub(crate) const HIVE_POISON_LOSSES: &str = "HIVE_POISON_LOSSES";
/// Share of runs that is kept for lower priorities.
pub(crate) const HIVE_LOW_SHARE: &str = "HIVE_LOW_SHARE";

/// Name of the node.
pub(crate) const SPORE_NODE_NAME: &str = "SPORE_NODE_NAME";
/// Nexus as a URL; beats host and port.
pub(crate) const SPORE_NEXUS_URL: &str = "SPORE_NEXUS_URL";
/// Host of the nexus.
pub(crate) const SPORE_NEXUS_HOST: &str = "SPORE_NEXUS_HOST";
/// Port of the nexus.
pub(crate) const SPORE_NEXUS_PORT: &str = "SPORE_NEXUS_PORT";
/// Whether the token is shown to a nexus that was only found in the LAN.
pub(crate) const SPORE_TRUST_LAN: &str = "SPORE_TRUST_LAN";
/// Token the nexus asks for.
pub(crate) const SPORE_SHARED_TOKEN: &str = "SPORE_SHARED_TOKEN";
/// Tags, comma separated.
pub(crate) const SPORE_NODE_TAGS: &str = "SPORE_NODE_TAGS";
/// Time between heartbeats.
pub(crate) const SPORE_HEARTBEAT_INTERVAL: &str = "SPORE_HEARTBEAT_INTERVAL";
/// Whether `ShellSkill` is offered.
pub(crate) const SPORE_ENABLE_SHELL: &str = "SPORE_ENABLE_SHELL";
/// Whether `FileSkill` is offered.
pub(crate) const SPORE_ENABLE_FILE: &str = "SPORE_ENABLE_FILE";
/// Calls at one time.
pub(crate) const SPORE_CONCURRENCY: &str = "SPORE_CONCURRENCY";
/// Calls that may wait.
pub(crate) const SPORE_QUEUE: &str = "SPORE_QUEUE";
/// Time running calls get when the spore stops.
pub(crate) const SPORE_DRAIN_TIMEOUT: &str = "SPORE_DRAIN_TIMEOUT";
/// Certificates the spore trusts.
pub(crate) const SPORE_CA_FILE: &str = "SPORE_CA_FILE";
/// Bundles to offer.
pub(crate) const SPORE_SKILLS: &str = "SPORE_SKILLS";
/// Policy of the spore.
pub(crate) const SPORE_POLICY: &str = "SPORE_POLICY";

/// Server a nexus or spore shows itself to.
pub(crate) const HIVE_URL: &str = "HIVE_URL";
/// Its registration token.
pub(crate) const HIVE_REGISTRATION_TOKEN: &str = "HIVE_REGISTRATION_TOKEN";
/// Certificates that may have signed its own.
pub(crate) const HIVE_CA_FILE: &str = "HIVE_CA_FILE";

/// What an agent shows when it registers, where no flag says.
pub(crate) const AGENT_REGISTRATION_SECRET: &str = "AGENT_REGISTRATION_SECRET";
/// Log of the agent.
pub(crate) const AGENT_LOG_FILE: &str = "VENOM_AGENT_LOG_FILE";
/// Bytes after which it is put aside.
pub(crate) const AGENT_LOG_MAX_SIZE: &str = "VENOM_AGENT_LOG_MAX_SIZE";
/// Logs put aside that are kept.
pub(crate) const AGENT_LOG_KEEP: &str = "VENOM_AGENT_LOG_KEEP";

/// Whether the spore takes releases.
pub(crate) const UPDATES: &str = "VENOM_UPDATES";
/// Line of releases the spore follows.
pub(crate) const CHANNEL: &str = "VENOM_CHANNEL";
/// The root the spore pins at first.
pub(crate) const ROOT: &str = "VENOM_ROOT";
/// Time between questions for a newer release.
pub(crate) const UPDATE_POLL: &str = "VENOM_UPDATE_POLL";
/// Times of day at which the spore may install, comma separated.
pub(crate) const UPDATE_WINDOW: &str = "VENOM_UPDATE_WINDOW";
/// Least time between two installations of one skill.
pub(crate) const UPDATE_MIN_INTERVAL: &str = "VENOM_UPDATE_MIN_INTERVAL";
/// Hosts bundles may come from beside the nexus, comma separated.
pub(crate) const UPDATE_ALLOWED_HOSTS: &str = "VENOM_UPDATE_ALLOWED_HOSTS";
/// Bundles kept of each skill.
pub(crate) const UPDATE_KEEP: &str = "VENOM_UPDATE_KEEP";
/// How long a new bundle is watched.
pub(crate) const UPDATE_SOAK: &str = "VENOM_UPDATE_SOAK";
/// Time running calls of the old bundle get.
pub(crate) const UPDATE_DRAIN: &str = "VENOM_UPDATE_DRAIN";
/// Traps of a watched bundle that are still fine.
pub(crate) const UPDATE_MAX_TRAPS: &str = "VENOM_UPDATE_MAX_TRAPS";
/// Share of failed calls of a watched bundle that is still fine.
pub(crate) const UPDATE_MAX_ERROR_RATE: &str = "VENOM_UPDATE_MAX_ERROR_RATE";
/// Calls before that share counts.
pub(crate) const UPDATE_MIN_CALLS: &str = "VENOM_UPDATE_MIN_CALLS";
/// Whether releases may grant rights.
pub(crate) const UPDATE_RELEASE_GRANTS: &str = "VENOM_UPDATE_RELEASE_GRANTS";

/// Bytes of bundles the nexus keeps.
pub(crate) const RELEASE_QUOTA: &str = "NEXUS_RELEASE_QUOTA";
/// Bundles the nexus sends at one time.
pub(crate) const RELEASE_MAX_DOWNLOADS: &str = "NEXUS_RELEASE_MAX_DOWNLOADS";
/// How long a signed rollout counts.
pub(crate) const ROLLOUT_LIFETIME: &str = "NEXUS_ROLLOUT_LIFETIME";

/// Whether the nexus keeps agents and what they saw.
pub(crate) const ENABLE_FLEET: &str = "ENABLE_FLEET";
/// Where the fleet is kept.
pub(crate) const DATABASE_URL: &str = "DATABASE_URL";
/// Where agents reach the nexus.
pub(crate) const NEXUS_PUBLIC_URL: &str = "NEXUS_PUBLIC_URL";
/// Registrations a minute from one address.
pub(crate) const FLEET_REGISTRATIONS: &str = "FLEET_REGISTRATIONS_PER_MINUTE";
/// Requests a minute of one agent.
pub(crate) const FLEET_REQUESTS: &str = "FLEET_REQUESTS_PER_MINUTE";
/// Silence after which an agent is stale.
pub(crate) const FLEET_STALE_AFTER: &str = "FLEET_STALE_AFTER";
/// Silence after which an agent is offline.
pub(crate) const FLEET_OFFLINE_AFTER: &str = "FLEET_OFFLINE_AFTER";
/// How long the token before a rotation stays good.
pub(crate) const FLEET_ROTATION_OVERLAP: &str = "FLEET_ROTATION_OVERLAP";
/// How long a command waits for its agent.
pub(crate) const FLEET_COMMAND_LIFETIME: &str = "FLEET_COMMAND_LIFETIME";
/// How long keys of batches are remembered.
pub(crate) const FLEET_BATCH_MEMORY: &str = "FLEET_BATCH_MEMORY";
/// How long history is kept.
pub(crate) const FLEET_HISTORY: &str = "FLEET_HISTORY";
/// Complete scans that must miss a thing before it is gone.
pub(crate) const FLEET_MISSES_UNTIL_GONE: &str = "FLEET_MISSES_UNTIL_GONE";
/// Most agents.
pub(crate) const FLEET_MAX_AGENTS: &str = "FLEET_MAX_AGENTS";
/// Most things of one site.
pub(crate) const FLEET_MAX_ASSETS: &str = "FLEET_MAX_ASSETS_PER_SITE";

/// Largest linear memory of one skill call.
pub(crate) const RUNTIME_MAX_MEMORY: &str = "VENOM_MAX_MEMORY";
/// `off`, `on` or `auto`.
pub(crate) const RUNTIME_DIRTY_PAGE_SCAN: &str = "VENOM_DIRTY_PAGE_SCAN";

/// Whether anything is announced or looked for in the LAN.
pub(crate) const MDNS: &str = "VENOM_MDNS";
/// Interfaces that is done on, comma separated.
pub(crate) const MDNS_INTERFACES: &str = "VENOM_MDNS_INTERFACES";

/// Redis as a URL; beats host, port and database.
pub(crate) const REDIS_URL: &str = "REDIS_URL";
/// Redis host.
pub(crate) const REDIS_HOST: &str = "REDIS_HOST";
/// Redis port.
pub(crate) const REDIS_PORT: &str = "REDIS_PORT";
/// Redis database.
pub(crate) const REDIS_DB: &str = "REDIS_DB";
/// User of a Redis whose URL names none.
pub(crate) const REDIS_USERNAME: &str = "REDIS_USERNAME";
/// Password of a Redis whose URL has none.
pub(crate) const REDIS_PASSWORD: &str = "REDIS_PASSWORD";
/// Certificates that may have signed Redis's.
pub(crate) const REDIS_CA_FILE: &str = "REDIS_CA_FILE";

/// The environment, read once.
#[derive(Clone, Default)]
pub(crate) struct Environment(BTreeMap<String, String>);

impl Environment {
    /// The environment of this process. Values that are no UTF-8 are left out.
    pub(crate) fn of_process() -> Self {
        Self(
            std::env::vars_os()
                .filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?)))
                .collect(),
        )
    }

    /// A made-up environment.
    #[cfg(test)]
    pub(crate) fn of(pairs: &[(&str, &str)]) -> Self {
        Self(
            pairs
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect(),
        )
    }

    /// A variable; an empty one counts as absent.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// A variable as a value; one that cannot be read as that is an error that names it.
    pub(crate) fn parse<T>(&self, name: &'static str) -> Result<Option<T>, SettingError>
    where
        T: FromStr,
        T::Err: std::fmt::Display,
    {
        let Some(text) = self.get(name) else {
            return Ok(None);
        };
        text.parse().map(Some).map_err(|error: T::Err| SettingError::Variable {
            name,
            value: text.to_owned(),
            why: error.to_string(),
        })
    }
}
