//! Verification: the only way from an [`UnverifiedBundle`](crate::UnverifiedBundle) to a [`VerifiedBundle`].

use crate::capability::{BudgetLimits, Request};
use crate::{Digest, KeyId, Manifest};

/// Why a bundle is not to be run.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// Nobody signed.
    #[error("the bundle is not signed: sign it with `venom-host bundle sign`")]
    Unsigned,
}

/// A bundle that a trusted publisher signed, whole and fit for this host. Only
/// [`UnverifiedBundle::verify`](crate::UnverifiedBundle::verify) makes one.
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

    /// The most budget its publisher's skills get.
    #[must_use]
    pub fn ceiling_budgets(&self) -> &BudgetLimits {
        &self.ceiling_budgets
    }
}
