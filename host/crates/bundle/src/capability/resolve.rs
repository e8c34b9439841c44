//! `manifest ∩ ceiling ∩ policy`, and why each part came out as it did.

use std::collections::BTreeMap;

use super::{
    BudgetLimits, Budgets, CacheGrant, CommandGrant, FsGrant, HttpGrant, NetGrant, Policy, Request, SecretGrant,
};

/// The rights in force for one skill on one spore: what the runtime enforces.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Grants {
    /// Directories.
    pub fs: Vec<FsGrant>,
    /// Programs.
    pub commands: Vec<CommandGrant>,
    /// Socket peers.
    pub net: Vec<NetGrant>,
    /// Names it may look up.
    pub dns: Vec<String>,
    /// HTTP hosts.
    pub http: Vec<HttpGrant>,
    /// Environment given to the guest.
    pub env: BTreeMap<String, String>,
    /// Readable settings.
    pub config: BTreeMap<String, String>,
    /// Secrets, injected by the host.
    pub secrets: BTreeMap<String, SecretGrant>,
    /// Cache quota.
    pub cache: Option<CacheGrant>,
    /// `Skill.method` patterns it may submit.
    pub hive: Vec<String>,
    /// Budgets.
    pub budgets: Budgets,
}

/// One line of `skill inspect`: what was asked or offered, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Decision {
    /// `fs`, `command`, `net`, `dns`, `http`, `env`, `config`, `secret`, `cache`, `hive` or `budget`.
    pub capability: &'static str,
    /// The path, program, peer, key or budget.
    pub target: String,
    /// What came of it.
    pub verdict: Verdict,
    /// Why, for people; names the document that decided.
    pub reason: String,
}

/// What came of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// In force, as asked.
    Granted,
    /// In force, but less than asked.
    Reduced,
    /// Not in force.
    Refused,
}

/// Works out the rights in force for the skill `skill`, and says why.
#[must_use]
pub fn resolve(
    _skill: &str,
    _asked: &Request,
    _asked_budgets: &BudgetLimits,
    _ceiling: &Request,
    _ceiling_budgets: &BudgetLimits,
    _policy: &Policy,
) -> (Grants, Vec<Decision>) {
    todo!()
}
