//! `manifest ∩ ceiling ∩ policy`, and why each part came out as it did.

use std::collections::BTreeMap;

use super::ask::{CacheAsk, HttpAsk, NameAsk, PatternAsk};
use super::settle::{Subject, settle};
use super::{
    BudgetLimits, Budgets, CacheGrant, CommandGrant, FsGrant, HttpGrant, Lan, NetGrant, Policy, Request, SecretGrant,
    SkillPolicy,
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
    /// What it may learn of the machine's networks.
    pub lan: Vec<Lan>,
    /// Budgets.
    pub budgets: Budgets,
}

/// One line of `skill inspect`: what was asked or offered, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Decision {
    /// `fs`, `command`, `net`, `dns`, `http`, `env`, `config`, `secret`, `cache`, `hive`, `lan` or `budget`.
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

/// Works out the rights in force for the skill `skill`, and says why: one decision for everything asked for
/// or offered.
#[must_use]
pub fn resolve(
    skill: &str,
    asked: &Request,
    asked_budgets: &BudgetLimits,
    ceiling: &Request,
    ceiling_budgets: &BudgetLimits,
    policy: &Policy,
) -> (Grants, Vec<Decision>) {
    let nothing = SkillPolicy::default();
    let offer = policy.skills.get(skill).unwrap_or(&nothing);
    let mut decisions = Vec::new();
    let mut grants = settle_capabilities(skill, asked, ceiling, offer, &mut decisions);
    drop_commands_without_directory(&mut grants, &mut decisions);
    grants.budgets = Budgets::resolve(asked_budgets, ceiling_budgets, &offer.budgets, &policy.defaults);
    decisions.extend(budget_decisions(asked_budgets, ceiling_budgets, &grants.budgets));
    (grants, decisions)
}

fn settle_capabilities(
    skill: &str,
    asked: &Request,
    ceiling: &Request,
    offer: &SkillPolicy,
    decisions: &mut Vec<Decision>,
) -> Grants {
    let of = |capability| Subject { skill, capability };
    let names = NameAsk::<CommandGrant>::all;
    let keys = NameAsk::<(String, String)>::all;
    let secrets = NameAsk::<(String, SecretGrant)>::all;
    let hosts = HttpAsk::all;
    let patterns = PatternAsk::all;
    let cached = CacheAsk::all;
    let cache = offer.cache.as_slice();
    Grants {
        fs: settle(of("fs"), &offer.fs, &asked.fs, &ceiling.fs, decisions),
        commands: settle(
            of("command"),
            &offer.commands,
            &names(&asked.commands),
            &names(&ceiling.commands),
            decisions,
        ),
        net: settle(of("net"), &offer.net, &asked.net, &ceiling.net, decisions),
        dns: settle(
            of("dns"),
            &offer.dns,
            &patterns(&asked.dns),
            &patterns(&ceiling.dns),
            decisions,
        ),
        http: settle(
            of("http"),
            &offer.http,
            &hosts(&asked.http),
            &hosts(&ceiling.http),
            decisions,
        ),
        env: settle(
            of("env"),
            &pairs(&offer.env),
            &keys(&asked.env),
            &keys(&ceiling.env),
            decisions,
        )
        .into_iter()
        .collect(),
        config: settle(
            of("config"),
            &pairs(&offer.config),
            &keys(&asked.config),
            &keys(&ceiling.config),
            decisions,
        )
        .into_iter()
        .collect(),
        secrets: settle(
            of("secret"),
            &pairs(&offer.secrets),
            &secrets(&asked.secrets),
            &secrets(&ceiling.secrets),
            decisions,
        )
        .into_iter()
        .collect(),
        cache: settle(
            of("cache"),
            cache,
            &cached(asked.cache),
            &cached(ceiling.cache),
            decisions,
        )
        .pop(),
        hive: settle(
            of("hive"),
            &offer.hive,
            &patterns(&asked.hive),
            &patterns(&ceiling.hive),
            decisions,
        ),
        lan: settle(of("lan"), &offer.lan, &asked.lan, &ceiling.lan, decisions),
        budgets: Budgets::default(),
    }
}

fn pairs<T: Clone>(map: &BTreeMap<String, T>) -> Vec<(String, T)> {
    map.iter().map(|(key, value)| (key.clone(), value.clone())).collect()
}

/// A command runs in a directory of the skill; without that directory it would run in some other one.
fn drop_commands_without_directory(grants: &mut Grants, decisions: &mut Vec<Decision>) {
    let Grants { fs, commands, .. } = grants;
    commands.retain(|command| {
        let Some(directory) = &command.directory else {
            return true;
        };
        let granted = fs.iter().any(|fs| is_inside(directory, &fs.guest));
        if !granted {
            decisions.retain(|decision| decision.capability != "command" || decision.target != command.name);
            let reason = format!("the policy runs it in {directory}, which is not among the granted directories");
            let (capability, target) = ("command", command.name.clone());
            decisions.push(Decision {
                capability,
                target,
                verdict: Verdict::Refused,
                reason,
            });
        }
        granted
    });
}

/// Whether the normal absolute path `path` is `directory` or in it.
pub(super) fn is_inside(path: &str, directory: &str) -> bool {
    let rest = path.strip_prefix(directory.trim_end_matches('/'));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// One decision for each budget that the manifest or the ceiling sets.
fn budget_decisions(asked: &BudgetLimits, ceiling: &BudgetLimits, budgets: &Budgets) -> Vec<Decision> {
    let rows = asked
        .entries()
        .into_iter()
        .zip(ceiling.entries())
        .zip(budgets.as_limits().entries());
    rows.filter_map(|(((name, asked), (_, ceiling)), (_, given))| {
        let given = given.unwrap_or(0);
        let (verdict, reason) = match (asked, ceiling) {
            (None, None) => return None,
            (Some(asked), _) if asked == given => (Verdict::Granted, format!("{given}, as the manifest asks")),
            (Some(asked), Some(ceiling)) if ceiling == given => (
                Verdict::Reduced,
                format!("{given}: the publisher's ceiling allows no more, the manifest asks for {asked}"),
            ),
            (Some(asked), _) => (
                Verdict::Reduced,
                format!("{given}: the policy gives no more, the manifest asks for {asked}"),
            ),
            (None, Some(ceiling)) if ceiling == given => (
                Verdict::Reduced,
                format!("{given}: the publisher's ceiling allows no more"),
            ),
            (None, Some(_)) => (Verdict::Granted, format!("{given}, as the policy gives")),
        };
        Some(Decision {
            capability: "budget",
            target: name.to_owned(),
            verdict,
            reason,
        })
    })
    .collect()
}
