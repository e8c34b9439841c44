//! Making roots: the first one, and the one after. A rule for makers only; whether a root is believed is `root`'s work.

use venom_protocol::Timestamp;

use super::{DocumentError, Role, Roles, Root, RootPublisher, SwarmId};
use crate::capability::BudgetLimits;
use crate::{Digest, PublicKey};

/// What the next root changes. What is not given stays.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RootChange {
    /// Who signs the roots after it.
    pub root: RoleChange,
    /// Who signs releases.
    pub release: RoleChange,
    /// Who signs rollouts.
    pub rollout: RoleChange,
    /// Publishers that come, or take the place of one of the same name.
    pub publishers: Vec<RootPublisher>,
    /// Names of publishers that go.
    pub without_publishers: Vec<String>,
    /// Digests of bundles and ids of keys that are good for nothing from now on.
    pub revoke: Vec<Digest>,
    /// Releases made so far no longer count.
    pub epoch_up: bool,
}

/// What changes in a role.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RoleChange {
    /// The keys from now on; empty: those before.
    pub keys: Vec<PublicKey>,
    /// How many must sign; absent: as many as before, but never more than there are keys.
    pub threshold: Option<usize>,
}

impl RootChange {
    /// One key takes the place of another in every role. Bundles stay signed as they are: publishers keep the old key
    /// and get the new one.
    #[must_use]
    pub fn replacing(root: &Root, old: &PublicKey, new: &PublicKey) -> Self {
        let role = |role: &Role| RoleChange {
            keys: if role.keys.contains(old) {
                let keys = role.keys.iter();
                keys.map(|key| if key == old { *new } else { *key }).collect()
            } else {
                Vec::new()
            },
            threshold: None,
        };
        let publishers = root.publishers.iter().filter(|publisher| publisher.keys.contains(old));
        Self {
            root: role(&root.roles.root),
            release: role(&root.roles.release),
            rollout: role(&root.roles.rollout),
            publishers: publishers
                .map(|publisher| RootPublisher {
                    keys: publisher.keys.iter().chain([new]).copied().collect(),
                    ..publisher.clone()
                })
                .collect(),
            ..Self::default()
        }
    }
}

impl RoleChange {
    fn apply(&self, role: &mut Role) {
        if !self.keys.is_empty() {
            role.keys.clone_from(&self.keys);
            role.threshold = role.threshold.min(role.keys.len());
        }
        role.threshold = self.threshold.unwrap_or(role.threshold);
    }
}

impl Root {
    /// The root a swarm begins with: one key signs roots, releases and bundles of any name, another signs rollouts.
    #[must_use]
    pub fn first(
        swarm_id: SwarmId,
        publisher: &PublicKey,
        online: &PublicKey,
        created: Timestamp,
        expires: Timestamp,
    ) -> Self {
        let role = |key: &PublicKey| Role {
            keys: vec![*key],
            threshold: 1,
        };
        Self {
            format: Self::FORMAT,
            swarm_id,
            version: 1,
            epoch: 1,
            created,
            expires,
            roles: Roles {
                root: role(publisher),
                release: role(publisher),
                rollout: role(online),
            },
            publishers: vec![RootPublisher {
                name: "local".to_owned(),
                prefix: "*".to_owned(),
                keys: vec![*publisher],
                threshold: 1,
                ceiling: None,
                budgets: BudgetLimits::default(),
            }],
            revoked: Vec::new(),
        }
    }

    /// The root after this one.
    ///
    /// # Errors
    /// [`DocumentError::Value`] names what no root may say: a key twice, a threshold nobody can meet, two publishers of
    /// one key, a publisher to be taken away that is not there.
    pub fn next(&self, change: &RootChange, created: Timestamp, expires: Timestamp) -> Result<Self, DocumentError> {
        let mut next = Self {
            version: self.version + 1,
            epoch: self.epoch + u64::from(change.epoch_up),
            created,
            expires,
            ..self.clone()
        };
        change.root.apply(&mut next.roles.root);
        change.release.apply(&mut next.roles.release);
        change.rollout.apply(&mut next.roles.rollout);
        for name in &change.without_publishers {
            next.remove_publisher(name)?;
        }
        for publisher in &change.publishers {
            match next.publishers.iter_mut().find(|known| known.name == publisher.name) {
                Some(known) => *known = publisher.clone(),
                None => next.publishers.push(publisher.clone()),
            }
        }
        let new = change.revoke.iter().filter(|digest| !self.revoked.contains(digest));
        next.revoked.extend(new);
        next.check()?;
        Ok(next)
    }

    fn remove_publisher(&mut self, name: &str) -> Result<(), DocumentError> {
        let before = self.publishers.len();
        self.publishers.retain(|publisher| publisher.name != name);
        if self.publishers.len() < before {
            return Ok(());
        }
        let known: Vec<&str> = self.publishers.iter().map(|known| &*known.name).collect();
        Err(DocumentError::Value {
            kind: super::DocumentKind::Root,
            key: "publishers".to_owned(),
            problem: format!("there is no publisher `{name}`; there are: {}", known.join(", ")),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{SigningKey, TrustedRoot};

    fn key(seed: u8) -> SigningKey {
        SigningKey::from_seed(&[seed; 32])
    }

    fn time(year: i16) -> Timestamp {
        Timestamp::parse(&format!("{year}-01-01T00:00:00+00:00")).unwrap()
    }

    fn first() -> Root {
        let swarm = "one".parse().unwrap();
        Root::first(swarm, &key(1).public(), &key(2).public(), time(2026), time(2036))
    }

    fn signed(root: &Root, keys: &[u8]) -> Vec<u8> {
        let mut document = root.unsigned();
        keys.iter().for_each(|seed| document.add_signature(&key(*seed)));
        document.to_text().into_bytes()
    }

    #[test]
    fn a_replaced_key_signs_no_more_and_its_bundles_stay() {
        let root = first();
        let trusted = TrustedRoot::pin(&signed(&root, &[1])).unwrap();
        let change = RootChange::replacing(&root, &key(1).public(), &key(3).public());
        let next = root.next(&change, time(2027), time(2037)).unwrap();
        assert_eq!((next.version, next.epoch, next.expires), (2, 1, time(2037)));
        assert_eq!(next.roles.root.keys, [key(3).public()]);
        assert_eq!(next.roles.release.keys, [key(3).public()]);
        assert_eq!(next.roles.rollout.keys, [key(2).public()]);
        assert_eq!(next.publishers[0].keys, [key(1).public(), key(3).public()]);
        for too_few in [&[1][..], &[3], &[]] {
            trusted.rotate(&signed(&next, too_few)).unwrap_err();
        }
        trusted.rotate(&signed(&next, &[1, 3])).unwrap();
    }

    #[test]
    fn what_is_not_given_stays_and_a_threshold_can_always_be_met() {
        let keys = |seeds: &[u8]| seeds.iter().map(|seed| key(*seed).public()).collect::<Vec<_>>();
        let change = RootChange {
            root: RoleChange {
                keys: keys(&[4, 5, 6]),
                threshold: Some(2),
            },
            revoke: vec![Digest::of(b"bad"), Digest::of(b"bad")],
            epoch_up: true,
            ..RootChange::default()
        };
        let second = first().next(&change, time(2027), time(2037)).unwrap();
        assert_eq!((second.epoch, second.roles.root.threshold), (2, 2));
        assert_eq!(second.roles.release, first().roles.release);
        assert_eq!(second.publishers, first().publishers);
        let fewer = RootChange {
            root: RoleChange {
                keys: keys(&[4]),
                threshold: None,
            },
            revoke: vec![Digest::of(b"bad")],
            ..RootChange::default()
        };
        let third = second.next(&fewer, time(2028), time(2038)).unwrap();
        assert_eq!(third.roles.root.threshold, 1);
        assert_eq!(third.revoked, second.revoked, "none is listed again");
        let many = RootChange {
            release: RoleChange {
                keys: Vec::new(),
                threshold: Some(2),
            },
            ..RootChange::default()
        };
        let error = first().next(&many, time(2027), time(2037)).unwrap_err().to_string();
        assert!(error.contains("roles.release"), "{error}");
    }

    #[test]
    fn publishers_come_change_and_go_by_name() {
        let acme = RootPublisher {
            name: "acme".to_owned(),
            prefix: "Acme".to_owned(),
            keys: vec![key(7).public()],
            ..first().publishers[0].clone()
        };
        let change = RootChange {
            publishers: vec![acme.clone()],
            ..RootChange::default()
        };
        let second = first().next(&change, time(2027), time(2037)).unwrap();
        assert_eq!(second.publishers[1], acme);
        let other = RootPublisher {
            keys: vec![key(8).public()],
            ..acme
        };
        let change = RootChange {
            publishers: vec![other.clone()],
            without_publishers: vec!["local".to_owned()],
            ..RootChange::default()
        };
        let third = second.next(&change, time(2028), time(2038)).unwrap();
        assert_eq!(third.publishers, [other]);
        let error = third.next(&change, time(2029), time(2039)).unwrap_err().to_string();
        assert!(
            error.contains("no publisher `local`") && error.contains("acme"),
            "{error}"
        );
    }
}
