//! Verification: the only way from an [`UnverifiedBundle`] to a [`VerifiedBundle`]. Each check is a function, and
//! they run in one order; nothing of the payload is parsed before a trusted publisher's signatures are counted.

use semver::{Version, VersionReq};

use crate::capability::{BudgetLimits, Decision, Grants, Policy, Request, resolve};
use crate::complexity::check_complexity;
use crate::{
    Digest, KeyId, Manifest, ManifestError, PAYLOAD_TYPE, Publisher, ShapeError, Trust, UnverifiedBundle,
    inspect_component,
};

/// Why a bundle is not to be run.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// Nobody signed.
    #[error("the bundle is not signed: sign it with `venom-host bundle sign`")]
    Unsigned,
    /// No signature is one of a known key over these bytes.
    #[error(
        "no signature of the bundle is one of a trusted key over these bytes (it names the keys: {}): it was altered, or its publisher is not in the trust file; fetch it again, or add the publisher",
        or_none(.key_ids)
    )]
    UnknownSigner {
        /// Key ids beside the signatures, shortened; anyone can write any.
        key_ids: Vec<String>,
    },
    /// Fewer keys than the publisher's threshold.
    #[error(
        "the bundle is signed by {found} of the {needed} different keys that `{publisher}` must sign with: have it signed by more of them"
    )]
    TooFewKeys {
        /// The publisher.
        publisher: String,
        /// Different keys that signed.
        found: usize,
        /// Different keys needed.
        needed: usize,
    },
    /// The signature would do, but its key is revoked.
    #[error(
        "the bundle is signed with the revoked key {key} of `{publisher}`: do not use it; ask the publisher for one signed with a new key"
    )]
    RevokedKey {
        /// The publisher.
        publisher: String,
        /// The key.
        key: KeyId,
    },
    /// Signed, but as something else.
    #[error(
        "the signed document is a `{found}`, not a bundle (`{PAYLOAD_TYPE}`): somebody passes one kind of document for another"
    )]
    WrongType {
        /// What it says.
        found: String,
    },
    /// Signed, but no manifest this host reads.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// A name that is not the publisher's to give.
    #[error(
        "`{publisher}` may publish skills named {prefix}..., not `{skill}`: rename the skill, or widen the prefix in the trust file"
    )]
    OutsidePrefix {
        /// The publisher.
        publisher: String,
        /// Its prefix.
        prefix: String,
        /// The skill's name.
        skill: String,
    },
    /// Revoked.
    #[error("the bundle {digest} is revoked: remove it and install a newer version")]
    RevokedBundle {
        /// Its id.
        digest: Digest,
    },
    /// Made for other hosts.
    #[error(
        "the bundle runs on hosts {needed}, this is {found}: update the host, or take another version of the skill"
    )]
    HostVersion {
        /// What it asks for.
        needed: VersionReq,
        /// What this is.
        found: Version,
    },
    /// The component is longer or shorter than signed.
    #[error("the component has {found} bytes, {declared} are signed: the file is damaged or altered, fetch it again")]
    ComponentSize {
        /// What the manifest says.
        declared: u64,
        /// What the file has.
        found: u64,
    },
    /// The component is another.
    #[error("the component's SHA-256 is {found}, {declared} is signed: the file is damaged or altered, fetch it again")]
    ComponentDigest {
        /// What the manifest says.
        declared: Digest,
        /// What the file has.
        found: Digest,
    },
    /// The component is none of a skill.
    #[error(transparent)]
    Shape(#[from] ShapeError),
}

fn or_none(key_ids: &[String]) -> String {
    if key_ids.is_empty() {
        "none".to_owned()
    } else {
        key_ids.join(", ")
    }
}

/// A bundle that a trusted publisher signed, whole and fit for this host. Only [`UnverifiedBundle::verify`] makes one.
#[derive(Debug)]
pub struct VerifiedBundle {
    manifest: Manifest,
    digest: Digest,
    component: Vec<u8>,
    publisher: String,
    signers: Vec<KeyId>,
    ceiling: Request,
    ceiling_budgets: BudgetLimits,
}

/// A publisher that signed with enough keys, and which.
struct Signed<'a> {
    publisher: &'a Publisher,
    signers: Vec<KeyId>,
}

impl UnverifiedBundle {
    /// Checks signatures, type, manifest, publisher, revocation, host version and component, in this order, and
    /// stops at the first failure. `host` is the version of the running host.
    pub fn verify(self, trust: &Trust, host: &Version) -> Result<VerifiedBundle, VerifyError> {
        let candidates = self.signed_by(trust)?;
        if self.envelope.payload_type != PAYLOAD_TYPE {
            return Err(VerifyError::WrongType {
                found: self.envelope.payload_type.chars().take(80).collect(),
            });
        }
        let manifest = Manifest::parse(&self.envelope.payload)?;
        let signed = of_the_name(candidates, &manifest.name)?;
        let digest = Digest::of(&self.envelope.payload);
        if trust.revokes_bundle(&digest) {
            return Err(VerifyError::RevokedBundle { digest });
        }
        check_host(&manifest.host, host)?;
        check_component(&manifest, &self.component)?;
        inspect_component(&self.component)?.check_skill()?;
        check_complexity(&self.component)?;
        Ok(VerifiedBundle {
            manifest,
            digest,
            component: self.component,
            publisher: signed.publisher.name.clone(),
            signers: signed.signers,
            ceiling: signed.publisher.ceiling.clone(),
            ceiling_budgets: signed.publisher.budgets.clone(),
        })
    }

    /// The publishers that signed with enough different keys; never none.
    fn signed_by<'a>(&self, trust: &'a Trust) -> Result<Vec<Signed<'a>>, VerifyError> {
        if self.envelope.signatures.is_empty() {
            return Err(VerifyError::Unsigned);
        }
        let mut enough = Vec::new();
        let mut failure = None;
        for publisher in trust.publishers() {
            let (revoked, signers): (Vec<_>, Vec<_>) = self
                .envelope
                .signers(publisher.keys.iter())
                .into_iter()
                .partition(|key| trust.revokes_key(key));
            if signers.len() >= publisher.threshold {
                enough.push(Signed { publisher, signers });
            } else if let Some(&key) = revoked.first() {
                failure = Some(VerifyError::RevokedKey {
                    publisher: publisher.name.clone(),
                    key,
                });
            } else if !signers.is_empty() {
                let (found, needed) = (signers.len(), publisher.threshold);
                failure = Some(VerifyError::TooFewKeys {
                    publisher: publisher.name.clone(),
                    found,
                    needed,
                });
            }
        }
        if enough.is_empty() {
            Err(failure.unwrap_or_else(|| self.unknown_signer()))
        } else {
            Ok(enough)
        }
    }

    fn unknown_signer(&self) -> VerifyError {
        let hints = self
            .envelope
            .signatures
            .iter()
            .filter(|signature| !signature.key_id.is_empty());
        VerifyError::UnknownSigner {
            key_ids: hints
                .map(|signature| signature.key_id.chars().take(12).collect())
                .collect(),
        }
    }
}

/// Of the publishers that signed, the one with the longest prefix that fits: its ceiling is the one meant for
/// skills of this name.
fn of_the_name<'a>(mut candidates: Vec<Signed<'a>>, skill: &str) -> Result<Signed<'a>, VerifyError> {
    let specific = |signed: &Signed<'_>| {
        if signed.publisher.prefix == "*" {
            0
        } else {
            signed.publisher.prefix.len()
        }
    };
    candidates.sort_by_key(|signed| std::cmp::Reverse(specific(signed)));
    let mut outside = VerifyError::Unsigned;
    for signed in candidates {
        if signed.publisher.may_publish(skill) {
            return Ok(signed);
        }
        let (publisher, prefix) = (signed.publisher.name.clone(), signed.publisher.prefix.clone());
        outside = VerifyError::OutsidePrefix {
            publisher,
            prefix,
            skill: skill.to_owned(),
        };
    }
    Err(outside)
}

/// A pre-release or build of a host counts as the version it leads to: `>=0.2` runs on 0.2.0-dev.
fn check_host(needed: &VersionReq, host: &Version) -> Result<(), VerifyError> {
    if needed.matches(&Version::new(host.major, host.minor, host.patch)) {
        return Ok(());
    }
    Err(VerifyError::HostVersion {
        needed: needed.clone(),
        found: host.clone(),
    })
}

fn check_component(manifest: &Manifest, component: &[u8]) -> Result<(), VerifyError> {
    let (declared, found) = (manifest.component.size, component.len() as u64);
    if declared != found {
        return Err(VerifyError::ComponentSize { declared, found });
    }
    let (declared, found) = (manifest.component.sha256, Digest::of(component));
    if declared == found {
        Ok(())
    } else {
        Err(VerifyError::ComponentDigest { declared, found })
    }
}

impl VerifiedBundle {
    /// What it is and asks for.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The bundle's id: SHA-256 of the manifest's exact bytes.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The component's bytes; their digest is `manifest().component.sha256`.
    #[must_use]
    pub fn component(&self) -> &[u8] {
        &self.component
    }

    /// Name of the publisher that signed it, from the trust file.
    #[must_use]
    pub fn publisher(&self) -> &str {
        &self.publisher
    }

    /// The publisher's keys that signed it.
    #[must_use]
    pub fn signers(&self) -> &[KeyId] {
        &self.signers
    }

    /// The most its publisher may ask for; [`Request::anything`] when the trust file sets none.
    #[must_use]
    pub fn ceiling(&self) -> &Request {
        &self.ceiling
    }

    /// Its rights under an operator's policy, and why each came out as it did.
    #[must_use]
    pub fn rights_under(&self, policy: &Policy) -> (Grants, Vec<Decision>) {
        let Manifest {
            name,
            capabilities,
            budgets,
            ..
        } = &self.manifest;
        resolve(
            name,
            capabilities,
            budgets,
            &self.ceiling,
            &self.ceiling_budgets,
            policy,
        )
    }

    /// The most budget its publisher's skills get.
    #[must_use]
    pub fn ceiling_budgets(&self) -> &BudgetLimits {
        &self.ceiling_budgets
    }
}
