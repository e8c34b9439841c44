//! Which signatures a document lacks, for telling people. Nothing is decided by it.

use super::{Role, Root, SignedDocument};
use crate::KeyId;

/// Signatures that are not there yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingSignatures {
    /// Whose: `root keys of root 3`.
    pub role: String,
    /// How many more are needed.
    pub missing: usize,
    /// Keys that have not signed; any of them will do.
    pub keys: Vec<KeyId>,
}

impl SignedDocument {
    /// What this document lacks of a role, called `name`; none: enough of its keys signed.
    #[must_use]
    pub fn missing(&self, name: &str, role: &Role) -> Option<MissingSignatures> {
        let signers = self.signers(role);
        let missing = role.threshold.saturating_sub(signers.len());
        let ids = role.keys.iter().map(crate::PublicKey::id);
        (missing > 0).then(|| MissingSignatures {
            role: name.to_owned(),
            missing,
            keys: ids.filter(|id| !signers.contains(id)).collect(),
        })
    }

    /// What a root, which claims to be `own`, lacks: signatures of the root before it, where that is known, and of
    /// itself.
    #[must_use]
    pub fn missing_of_root(&self, own: &Root, before: Option<&Root>) -> Vec<MissingSignatures> {
        let roots = before.into_iter().chain([own]);
        let of = roots.map(|root| {
            let name = format!("root keys of root {}", root.version);
            self.missing(&name, &root.roles.root)
        });
        of.flatten().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{RoleChange, RootChange};
    use super::*;
    use crate::SigningKey;

    #[test]
    fn a_root_lacks_signatures_of_the_one_before_and_of_its_own() {
        let key = |seed: u8| SigningKey::from_seed(&[seed; 32]);
        let time = |text| venom_protocol::Timestamp::parse(text).unwrap();
        let (created, expires) = (time("2026-01-01T00:00:00Z"), time("2036-01-01T00:00:00Z"));
        let root = Root::first(
            "one".parse().unwrap(),
            &key(1).public(),
            &key(2).public(),
            created,
            expires,
        );
        let change = RootChange {
            root: RoleChange {
                keys: [1, 3, 4].map(|seed| key(seed).public()).to_vec(),
                threshold: Some(2),
            },
            ..RootChange::default()
        };
        let next = root.next(&change, created, expires).unwrap();
        let mut document = next.unsigned();
        let lacks = |document: &SignedDocument| -> Vec<(String, usize, usize)> {
            let missing = document.missing_of_root(&next, Some(&root)).into_iter();
            missing.map(|one| (one.role, one.missing, one.keys.len())).collect()
        };
        let [old, new] = ["root keys of root 1", "root keys of root 2"].map(str::to_owned);
        assert_eq!(lacks(&document), [(old, 1, 1), (new.clone(), 2, 3)]);
        document.add_signature(&key(1));
        document.add_signature(&key(2));
        assert_eq!(lacks(&document), [(new, 1, 2)], "a key of no role counts for nothing");
        document.add_signature(&key(4));
        assert!(lacks(&document).is_empty());
    }
}
