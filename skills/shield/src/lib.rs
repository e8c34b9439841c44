//! `ShieldSkill`: a look at the security of hosts. It asks harmless questions and judges the answers: no login, no
//! guessing, no payload. Which hosts it may ask is the operator's decision.

mod check;
mod dns;
mod exposure;
mod http;
mod line;
mod params;
mod port;
mod reader;
mod report;
mod run;
mod ssh;
mod tls;
mod versions;
mod visit;

use schemars::JsonSchema;
use serde::Serialize;
use venom_sdk::Result;

pub use check::Severity;
pub use params::Target;
pub use port::Module;
pub use report::{Certificate, Finding, Moment, Report};

use params::Request;

/// The skill.
pub struct ShieldSkill;

/// One report a target, in the order of the targets.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Reports {
    /// Bodies of `POST /api/ingest/shield`.
    pub reports: Vec<Report>,
}

/// Looks at the security of hosts: harmless questions only, no login, no payload.
#[venom_sdk::skill]
impl ShieldSkill {
    /// Looks at open ports of hosts and says what is weak, with the evidence and what to do about it. One report a target,
    /// each as `POST /api/ingest/shield` takes it.
    fn check(
        &self,
        /// Hosts and their open ports.
        targets: Vec<Target>,
        /// What to look at; everything when left out.
        modules: Option<Vec<Module>>,
        /// Milliseconds for one conversation, 100 to 30000.
        #[default(3000)]
        timeout_ms: u32,
        /// Connections a second, 1 to 1000.
        #[default(50)]
        rate: u32,
        /// Ports looked at at one time, 1 to 64.
        #[default(8)]
        concurrency: u32,
    ) -> Result<Reports> {
        let request = Request::new(targets, modules, timeout_ms, rate, concurrency)?;
        let reports = run::check(&request)?;
        Ok(Reports { reports })
    }
}

#[cfg(test)]
mod tests {
    use venom_sdk::Skill;

    use super::*;

    #[test]
    fn the_name_is_the_bundles() {
        let description = ShieldSkill::describe();
        assert_eq!(description.name, "ShieldSkill");
        let manifest = include_str!("../skill.toml");
        assert!(manifest.contains("name = \"ShieldSkill\"") && manifest.contains(&description.summary));
    }

    #[test]
    fn every_check_is_documented_and_named_by_its_module() {
        let docs = include_str!("../../../docs/shield.md");
        let mut ids = std::collections::BTreeSet::new();
        for module in Module::ALL {
            for check in (0..=u16::MAX).flat_map(|port| module.checks(port)) {
                assert!(check.id.starts_with(&format!("{}.", module.name())), "{}", check.id);
                assert!(!check.title.is_empty() && check.remediation.len() > 20, "{}", check.id);
                ids.insert(check.id);
            }
        }
        assert!(ids.len() > 50, "{}", ids.len());
        for id in &ids {
            assert!(
                docs.contains(&format!("| `{id}` |")),
                "docs/shield.md does not say what `{id}` is"
            );
        }
        let documented = docs
            .lines()
            .filter(|line| line.starts_with("| `") && line.contains('.'))
            .count();
        assert!(documented >= ids.len());
    }
}
