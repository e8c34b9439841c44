//! The operator's policy: one TOML file per spore that says what each skill is granted on this machine.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;
use serde::{Deserialize, Serialize};

use super::{Access, BudgetLimits, Lan};

/// The whole policy file. `skills` is keyed by skill name; `defaults` gives budgets to every skill.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Policy {
    /// Budgets of skills that do not set their own.
    pub defaults: BudgetLimits,
    /// Grants by skill name. A skill that is not listed is granted nothing but the default budgets.
    pub skills: BTreeMap<String, SkillPolicy>,
}

/// What one skill is granted.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SkillPolicy {
    /// Directories.
    pub fs: Vec<FsGrant>,
    /// Programs.
    pub commands: Vec<CommandGrant>,
    /// Socket peers.
    pub net: Vec<NetGrant>,
    /// Names it may look up (patterns as in `Request`).
    pub dns: Vec<String>,
    /// HTTP hosts.
    pub http: Vec<HttpGrant>,
    /// Environment given to the guest: key to value.
    pub env: BTreeMap<String, String>,
    /// Settings readable through `settings.config`.
    pub config: BTreeMap<String, String>,
    /// Secrets, injected by the host.
    pub secrets: BTreeMap<String, SecretGrant>,
    /// Cache quota; absent: no cache.
    pub cache: Option<CacheGrant>,
    /// `Skill.method` patterns it may submit.
    pub hive: Vec<String>,
    /// What it may learn of the machine's networks. (Absent where empty: hosts that do not know it read the rest.)
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lan: Vec<Lan>,
    /// Budgets; they override `Policy::defaults`.
    pub budgets: BudgetLimits,
}

/// A directory of this machine, seen by the guest at `guest`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FsGrant {
    /// Absolute directory on this machine; must exist.
    pub host: PathBuf,
    /// Absolute path the guest sees.
    pub guest: String,
    /// Read-only unless it says `rw`.
    #[serde(default)]
    pub access: Access,
    /// Most bytes the directory may hold; absent: 1 GiB for `rw`.
    #[serde(
        default,
        with = "super::budgets::optional_size",
        skip_serializing_if = "Option::is_none"
    )]
    pub quota: Option<ByteSize>,
}

/// A program the skill may run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommandGrant {
    /// The name the skill uses.
    pub name: String,
    /// Absolute path; absent: looked up in the fixed list /usr/local/bin, /usr/bin, /bin when the grant is loaded.
    #[serde(default)]
    pub path: Option<PathBuf>,
    /// Patterns; every argument must match at least one. `-l`: that text; `-*`: `*` stands for any run of
    /// characters; `<path>`: a path that stays inside the granted directory, links followed; `<int>`: a
    /// whole number; `<number>`: a decimal number; `<text>`: anything that does not begin with `-`; `**`: anything at all.
    /// No patterns: no arguments.
    #[serde(default)]
    pub args: Vec<String>,
    /// Guest directory it runs in, one of the skill's fs grants. Absent: an empty private directory.
    #[serde(default)]
    pub directory: Option<String>,
    /// Environment keys the skill may set.
    #[serde(default)]
    pub env: Vec<String>,
    /// Most bytes kept of output and of errors, each.
    #[serde(default = "default_output", with = "super::budgets::size")]
    pub output: ByteSize,
    /// Longest run.
    #[serde(default = "default_time", with = "super::budgets::duration")]
    pub timeout: Duration,
    /// Address space of the child (RLIMIT_AS).
    #[serde(default = "default_memory", with = "super::budgets::size")]
    pub memory: ByteSize,
    /// Most bytes of one file it writes (RLIMIT_FSIZE).
    #[serde(default = "default_file_size", with = "super::budgets::size")]
    pub file_size: ByteSize,
    /// May it start further processes or threads.
    #[serde(default)]
    pub subprocesses: bool,
    /// May it open network sockets.
    #[serde(default)]
    pub network: bool,
    /// Further host directories it may read (Landlock), beside its libraries and the granted directory.
    #[serde(default)]
    pub read: Vec<PathBuf>,
    /// What to do where the kernel lacks Landlock or seccomp.
    #[serde(default)]
    pub confinement: Confinement,
}

/// How much a missing kernel feature matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Confinement {
    /// Refuse to run without Landlock and seccomp.
    #[default]
    Required,
    /// Run with what the kernel has; say so in the log.
    BestEffort,
}

/// Transport of a socket grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NetProtocol {
    /// TCP connections.
    Tcp,
    /// UDP datagrams.
    Udp,
}

/// Socket peers the skill may reach. Loopback, link-local, metadata addresses and the nexus are reached only
/// when `to` names exactly them as an address or a CIDR inside those ranges.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetGrant {
    /// A CIDR, an address, a host name or pattern. (A name is also granted for look-up.)
    pub to: String,
    /// `22`, `8000-9000` or `*`.
    pub ports: Vec<String>,
    /// TCP when absent.
    #[serde(default = "super::request::tcp_only")]
    pub protocols: Vec<NetProtocol>,
}

/// An HTTP host the skill may call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpGrant {
    /// `api.example.com`, `*.example.com`, `127.0.0.1:8080`; without a port: 443 and 80.
    pub host: String,
    /// Methods; absent: any.
    #[serde(default)]
    pub methods: Vec<String>,
    /// Plain http allowed.
    #[serde(default)]
    pub plain: bool,
    /// Resolved addresses that may be private, loopback or otherwise special, as CIDRs. Absent: public only.
    #[serde(default)]
    pub addresses: Vec<String>,
}

/// A secret and the only hosts it may be sent to.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecretGrant {
    /// Environment variable of the spore that holds it.
    #[serde(default)]
    pub env: Option<String>,
    /// File that holds it (trailing newline dropped).
    #[serde(default)]
    pub file: Option<PathBuf>,
    /// HTTP hosts it may be sent to.
    pub audience: Vec<String>,
}

impl std::fmt::Debug for SecretGrant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SecretGrant")
            .field("audience", &self.audience)
            .finish_non_exhaustive()
    }
}

/// A skill's share of the cache.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CacheGrant {
    /// Most bytes of keys and values together.
    #[serde(with = "super::budgets::size")]
    pub quota: ByteSize,
    /// Longest life of an entry.
    #[serde(default = "default_ttl", with = "super::budgets::duration")]
    pub max_ttl: Duration,
    /// Namespace shared with other skills; absent: the skill's own.
    #[serde(default)]
    pub namespace: Option<String>,
}

fn default_output() -> ByteSize {
    ByteSize::kib(256)
}
fn default_time() -> Duration {
    Duration::from_secs(30)
}
fn default_memory() -> ByteSize {
    ByteSize::mib(512)
}
fn default_file_size() -> ByteSize {
    ByteSize::mib(64)
}
fn default_ttl() -> Duration {
    Duration::from_secs(24 * 3600)
}
