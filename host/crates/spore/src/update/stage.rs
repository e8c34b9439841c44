//! From a bundle on disk to a skill ready to answer: verified against the root, linked against its rights, probed. Blocks;
//! changes nothing that runs.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use semver::Version;
use venom_bundle::capability::{Policy, Request};
use venom_bundle::{Entry, KeyId, Probe, Trust, UnverifiedBundle, VerifiedBundle};
use venom_protocol::with_causes;
use venom_runtime::{Backends, LoadError, Runtime, Skill, SkillSet};

/// What skills are loaded with, on this spore.
#[derive(Debug)]
pub struct UpdateGround {
    /// The sandbox.
    pub runtime: Runtime,
    /// The skills that answer calls. What is in it at the beginning is the spore's own, and comes back when a release no
    /// longer names it.
    pub skills: SkillSet,
    /// What skills may do here.
    pub policy: Policy,
    /// This machine's own trust file: what it revokes is not run.
    pub trust: Trust,
    /// Cache and hive.
    pub backends: Backends,
}

/// A skill that may answer calls.
#[derive(Debug, Clone)]
pub(super) struct Loaded {
    pub(super) skill: Skill,
    /// What its manifest asks for.
    pub(super) asks: Request,
}

/// A bundle that passed everything.
#[derive(Debug)]
pub(super) struct Staged {
    pub(super) loaded: Loaded,
    pub(super) signers: Vec<KeyId>,
}

/// What is to be staged.
#[derive(Debug)]
pub(super) struct Order {
    pub(super) entry: Entry,
    /// What the version that answers now asks for; absent: there is none.
    pub(super) before: Option<Request>,
    /// Publishers of the root.
    pub(super) trust: Trust,
    pub(super) release_grants: bool,
    pub(super) probe_timeout: Duration,
}

/// Why a bundle was not staged.
#[derive(Debug)]
pub(super) enum NotStaged {
    /// It will never do.
    Bad(String),
    /// Not on this machine as it is now; it may do later.
    NotNow(String),
    /// It asks for more than the version before, and nobody approved.
    Held(Vec<String>),
}

/// Loads what was installed before, without asking again what it may ask for. The error is for people.
pub(super) fn load(ground: &UpdateGround, order: &Order, path: &Path) -> Result<Staged, String> {
    let loaded = verified(ground, order, path).and_then(|bundle| link(ground, order, &bundle));
    loaded.map_err(|error| match error {
        NotStaged::Bad(why) | NotStaged::NotNow(why) => why,
        NotStaged::Held(_) => "it is held".to_owned(),
    })
}

/// Compiles, links and describes a bundle, with its rights here.
fn link(ground: &UpdateGround, order: &Order, bundle: &VerifiedBundle) -> Result<Staged, NotStaged> {
    let (grants, _) = bundle.rights_under(&policy_for(ground, order));
    let skill = ground.runtime.load(bundle, grants, &ground.backends);
    let skill = skill.map_err(|error| match &error {
        LoadError::Grants { .. } => NotStaged::NotNow(with_causes(&error)),
        _ => NotStaged::Bad(with_causes(&error)),
    })?;
    Ok(Staged {
        loaded: Loaded {
            skill,
            asks: bundle.manifest().capabilities.clone(),
        },
        signers: bundle.signers().to_vec(),
    })
}

/// Verifies, looks at what it asks for, compiles, links, describes and probes.
pub(super) async fn stage(ground: Arc<UpdateGround>, order: Arc<Order>, path: Arc<Path>) -> Result<Staged, NotStaged> {
    let timeout = order.probe_timeout;
    let loading = tokio::task::spawn_blocking(move || {
        let bundle = verified(&ground, &order, &path)?;
        check_asks(&bundle, &order)?;
        let staged = link(&ground, &order, &bundle)?;
        Ok((staged, bundle.manifest().probe.clone()))
    });
    let loaded = loading.await;
    let (staged, probe) = loaded.unwrap_or_else(|_| {
        Err(NotStaged::Bad(
            "the host failed while it loaded it; see the log".to_owned(),
        ))
    })?;
    if let Some(probe) = probe {
        check_probe(&staged.loaded.skill, &probe, timeout).await?;
    }
    Ok(staged)
}

async fn check_probe(skill: &Skill, probe: &Probe, timeout: Duration) -> Result<(), NotStaged> {
    let probed = skill.probe(probe, timeout).await;
    probed.map_err(|error| NotStaged::Bad(format!("its probe `{}` failed: {}", probe.method, error.message)))
}

fn check_asks(bundle: &VerifiedBundle, order: &Order) -> Result<(), NotStaged> {
    let Some(before) = order.before.as_ref().filter(|_| !order.entry.approved) else {
        return Ok(());
    };
    let more = bundle.manifest().capabilities.beyond(before);
    if more.is_empty() {
        Ok(())
    } else {
        Err(NotStaged::Held(more))
    }
}

fn verified(ground: &UpdateGround, order: &Order, path: &Path) -> Result<VerifiedBundle, NotStaged> {
    let host = Version::parse(env!("CARGO_PKG_VERSION")).map_err(|error| NotStaged::NotNow(error.to_string()))?;
    let bundle = UnverifiedBundle::read(path).map_err(|error| NotStaged::NotNow(with_causes(&error)))?;
    let bundle = bundle
        .verify(&order.trust, &host)
        .map_err(|error| NotStaged::Bad(with_causes(&error)))?;
    let is = order.entry.check_bundle(&bundle);
    is.map_err(|error| NotStaged::Bad(error.to_string()))?;
    if is_revoked_here(&ground.trust, &bundle.digest(), bundle.signers()) {
        return Err(NotStaged::NotNow("this machine's trust file revokes it".to_owned()));
    }
    Ok(bundle)
}

pub(super) fn is_revoked_here(trust: &Trust, bundle: &venom_bundle::Digest, signers: &[KeyId]) -> bool {
    trust.revokes_bundle(bundle) || signers.iter().any(|key| trust.revokes_key(key))
}

/// The policy of this machine, with the release's grants where it is silent and takes them.
fn policy_for(ground: &UpdateGround, order: &Order) -> Policy {
    let skill = &order.entry.skill;
    let mut policy = ground.policy.clone();
    if let Some(grants) = order.entry.grants.as_ref().filter(|_| order.release_grants)
        && !policy.skills.contains_key(skill)
    {
        policy.skills.insert(skill.clone(), grants.clone());
    }
    policy
}
