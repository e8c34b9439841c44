//! `root show`: a root in words.

use venom_bundle::{PublicKey, Role, Root};
use venom_protocol::Timestamp;

use super::draft;
use crate::cli::ShowRootArgs;
use crate::data_dir::DataDir;
use crate::failure::Failure;
use crate::output;

/// Shows a root, signed or not.
pub(super) fn run(args: &ShowRootArgs, data: &DataDir) -> Result<(), Failure> {
    let path = args.file.clone().unwrap_or_else(|| data.root());
    if !path.exists() {
        super::load(args.file.as_deref(), data)?;
    }
    let (signed, root) = draft(&path)?;
    let missing = signed.missing_of_root(&root, None);
    if args.json {
        return output::say_json(&serde_json::json!({
            "root": root, "root_sha256": signed.digest(), "signed_by": signed.signers(&root.roles.root),
            "missing": missing.iter().map(super::as_json).collect::<Vec<_>>(),
        }));
    }
    for (name, value) in facts(&root, data) {
        let bold = output::BOLD;
        output::say(format!("{bold}{name:<11}{bold:#} {value}"))?;
    }
    output::say(format!("digest      {}", signed.digest()))?;
    missing.iter().try_for_each(|one| output::say(super::words(one)))
}

fn facts(root: &Root, data: &DataDir) -> Vec<(&'static str, String)> {
    let until = if Timestamp::now() < root.expires {
        ""
    } else {
        "  EXPIRED: nothing is installed"
    };
    let own = OwnKeys::of(data);
    let mut facts = vec![
        ("swarm", root.swarm_id.to_string()),
        ("version", format!("{}, epoch {}", root.version, root.epoch)),
        ("created", root.created.to_string()),
        ("expires", format!("{}{until}", root.expires)),
        ("roots", own.role(&root.roles.root)),
        ("releases", own.role(&root.roles.release)),
        ("rollouts", own.role(&root.roles.rollout)),
    ];
    for publisher in &root.publishers {
        let role = Role {
            keys: publisher.keys.clone(),
            threshold: publisher.threshold,
        };
        let (name, prefix) = (&publisher.name, &publisher.prefix);
        facts.push(("publisher", format!("{name}, skills {prefix}: {}", own.role(&role))));
    }
    for digest in &root.revoked {
        facts.push(("revoked", digest.to_string()));
    }
    facts
}

/// Keys whose private halves are in the data directory.
struct OwnKeys(Vec<(PublicKey, &'static str)>);

impl OwnKeys {
    fn of(data: &DataDir) -> Self {
        let named = [
            (data.publisher_public(), "keys/publisher.key"),
            (data.online_public(), "keys/online.key"),
        ];
        let keys = named.into_iter();
        Self(
            keys.filter_map(|(path, name)| Some((PublicKey::load(&path).ok()?, name)))
                .collect(),
        )
    }

    /// `1 of 0123456789ab (keys/publisher.key here), 456789abcdef`.
    fn role(&self, role: &Role) -> String {
        let keys = role.keys.iter().map(|key| {
            let own = self.0.iter().find(|(own, _)| own == key);
            let here = own.map_or_else(String::new, |(_, name)| format!(" ({name} here)"));
            format!("{}{here}", key.id().short())
        });
        format!("{} of {}", role.threshold, keys.collect::<Vec<_>>().join(", "))
    }
}
