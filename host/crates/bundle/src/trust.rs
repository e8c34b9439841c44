//! The trust file: which publishers may name which skills, how many of their keys must sign, and how much they may
//! ever ask for. Written by the operator only; no bundle can change it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::capability::{BudgetLimits, InvalidRequest, Request};
use crate::{Digest, InvalidDigest, KeyError, KeyId, PublicKey, check_skill_name};

/// Publishers and revocations.
///
/// ```
/// # use venom_bundle::Trust;
/// let trust = Trust::parse(r#"
///     revoked = ["ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"]
///
///     [[publishers]]
///     name = "acme"
///     prefix = "Acme"                  # may publish AcmeScan, AcmeReport; "*" means any name
///     keys = ["MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE="]
///     threshold = 1                    # different keys that must sign
///     budgets = { memory = "64 MiB" }  # no skill of theirs gets more
///
///     [publishers.ceiling]             # the most their skills may ask for; absent: anything
///     http = ["*.acme.example"]
/// "#).unwrap();
/// assert_eq!(trust.publishers()[0].name, "acme");
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Trust {
    publishers: Vec<Publisher>,
    /// Digests of bundles and ids of keys; both are SHA-256, so one can never pass for the other.
    revoked: BTreeSet<Digest>,
}

/// One publisher.
#[derive(Debug, Clone, PartialEq)]
pub struct Publisher {
    /// For people.
    pub name: String,
    /// Prefix of the skills it may publish; `*`: any.
    pub prefix: String,
    /// Its keys; no other publisher has any of them.
    pub keys: Vec<PublicKey>,
    /// How many different keys must sign.
    pub threshold: usize,
    /// The most its skills may ask for.
    pub ceiling: Request,
    /// The most budget its skills get.
    pub budgets: BudgetLimits,
}

/// Why a trust file is refused. It is refused whole: half a trust file is one nobody wrote.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// Not readable.
    #[error("cannot read the trust file {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// Not TOML, or not these fields.
    #[error("the trust file is not understood: {0}")]
    Syntax(#[from] toml::de::Error),
    /// A key that is none, or weak.
    #[error("the trust file, `publishers[{index}].keys`: {source}")]
    Key {
        /// Which publisher, from 0.
        index: usize,
        /// What is wrong.
        #[source]
        source: KeyError,
    },
    /// A revocation that is no digest.
    #[error("the trust file, `revoked[{index}]`: {source}")]
    Revoked {
        /// Which, from 0.
        index: usize,
        /// What is wrong.
        #[source]
        source: InvalidDigest,
    },
    /// A value that makes no sense.
    #[error("the trust file, `publishers[{index}].{key}`: {problem}")]
    Publisher {
        /// Which publisher, from 0.
        index: usize,
        /// Which key.
        key: &'static str,
        /// What is wrong and what to write.
        problem: String,
    },
    /// A malformed ceiling or budget.
    #[error("the trust file, {0}")]
    Ceiling(#[from] InvalidRequest),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default)]
    publishers: Vec<WrittenPublisher>,
    #[serde(default)]
    revoked: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenPublisher {
    name: String,
    prefix: String,
    keys: Vec<String>,
    #[serde(default = "one")]
    threshold: usize,
    ceiling: Option<Request>,
    #[serde(default)]
    budgets: BudgetLimits,
}

fn one() -> usize {
    1
}

impl Trust {
    /// Reads and checks a trust file.
    pub fn load(path: &Path) -> Result<Self, TrustError> {
        let text = std::fs::read_to_string(path);
        Self::parse(&text.map_err(|source| TrustError::Read {
            path: path.to_owned(),
            source,
        })?)
    }

    /// Reads and checks a trust file's text.
    pub fn parse(text: &str) -> Result<Self, TrustError> {
        let written: Written = toml::from_str(text)?;
        let publishers = written.publishers.into_iter().enumerate();
        let publishers: Result<Vec<_>, _> = publishers.map(|(index, publisher)| publisher.read(index)).collect();
        let revoked = written
            .revoked
            .iter()
            .enumerate()
            .map(|(index, text)| text.parse().map_err(|source| TrustError::Revoked { index, source }));
        let revoked: Vec<Digest> = revoked.collect::<Result<_, _>>()?;
        Self::of(publishers?, revoked.into_iter())
    }

    /// Trusts one key for skills of any name, without a ceiling: a newcomer's and a test's trust.
    #[must_use]
    pub fn single(name: &str, key: &PublicKey) -> Self {
        let publisher = Publisher {
            name: name.to_owned(),
            prefix: "*".to_owned(),
            keys: vec![*key],
            threshold: 1,
            ceiling: Request::anything(),
            budgets: BudgetLimits::default(),
        };
        Self {
            publishers: vec![publisher],
            revoked: BTreeSet::new(),
        }
    }

    /// Trusts these publishers.
    pub(crate) fn of(publishers: Vec<Publisher>, revoked: impl Iterator<Item = Digest>) -> Result<Self, TrustError> {
        let publishers: Result<Vec<_>, _> = publishers
            .into_iter()
            .enumerate()
            .map(|(index, publisher)| publisher.checked(index))
            .collect();
        let trust = Self {
            publishers: publishers?,
            revoked: revoked.collect(),
        };
        trust.check_keys_are_of_one_publisher()?;
        Ok(trust)
    }

    /// Trusts nobody.
    #[must_use]
    pub fn nobody() -> Self {
        Self {
            publishers: Vec::new(),
            revoked: BTreeSet::new(),
        }
    }

    /// The publishers, as written.
    #[must_use]
    pub fn publishers(&self) -> &[Publisher] {
        &self.publishers
    }

    /// Whether a bundle is revoked.
    #[must_use]
    pub fn revokes_bundle(&self, digest: &Digest) -> bool {
        self.revoked.contains(digest)
    }

    /// Whether a key is revoked. A revoked key signs nothing, whoever else signed.
    #[must_use]
    pub fn revokes_key(&self, key: &KeyId) -> bool {
        self.revoked.contains(key.digest())
    }

    /// With a key in two places it would be chance which ceiling a bundle falls under.
    fn check_keys_are_of_one_publisher(&self) -> Result<(), TrustError> {
        let mut seen = BTreeSet::new();
        for (index, publisher) in self.publishers.iter().enumerate() {
            if let Some(key) = publisher.keys.iter().find(|key| !seen.insert(key.id())) {
                let problem = format!(
                    "the key {} is listed twice: list it once, with one publisher",
                    key.id().short()
                );
                return Err(TrustError::Publisher {
                    index,
                    key: "keys",
                    problem,
                });
            }
        }
        Ok(())
    }
}

impl Publisher {
    /// Whether it may publish a skill of this name.
    #[must_use]
    pub fn may_publish(&self, skill: &str) -> bool {
        self.prefix == "*" || skill.starts_with(&self.prefix)
    }
}

impl WrittenPublisher {
    fn read(self, index: usize) -> Result<Publisher, TrustError> {
        let keys = self.keys.iter().map(|text| PublicKey::parse(text));
        Ok(Publisher {
            keys: keys
                .collect::<Result<_, _>>()
                .map_err(|source| TrustError::Key { index, source })?,
            name: self.name,
            prefix: self.prefix,
            threshold: self.threshold,
            ceiling: self.ceiling.unwrap_or_else(Request::anything),
            budgets: self.budgets,
        })
    }
}

impl Publisher {
    /// Itself, if it makes sense; `index` is its place in the document.
    fn checked(self, index: usize) -> Result<Self, TrustError> {
        let refuse = |key, problem: &str| {
            Err(TrustError::Publisher {
                index,
                key,
                problem: problem.to_owned(),
            })
        };
        if self.name.trim().is_empty() {
            return refuse("name", "is empty: write who it is");
        }
        if self.prefix != "*" && check_skill_name(&self.prefix).is_err() {
            return refuse(
                "prefix",
                "is no beginning of a skill name: write for example \"Acme\", or \"*\" for any",
            );
        }
        if self.keys.is_empty() {
            return refuse("keys", "is empty: list at least one public key");
        }
        if !(1..=self.keys.len()).contains(&self.threshold) {
            return refuse("threshold", "must be at least 1 and at most the number of keys");
        }
        self.ceiling.check(&format!("publishers[{index}].ceiling"))?;
        self.budgets.check(&format!("publishers[{index}].budgets"))?;
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SigningKey;

    fn key(seed: u8) -> String {
        SigningKey::from_seed(&[seed; 32]).public().to_base64()
    }

    fn publisher(lines: &str) -> String {
        format!("[[publishers]]\n{lines}\n")
    }

    fn refusal(text: &str) -> String {
        Trust::parse(text).unwrap_err().to_string()
    }

    #[test]
    fn a_publisher_without_ceiling_may_ask_for_anything() {
        let trust = Trust::parse(&publisher(&format!("name='a'\nprefix='*'\nkeys=['{}']", key(1)))).unwrap();
        let [publisher] = trust.publishers() else { panic!() };
        assert_eq!((publisher.threshold, &publisher.ceiling), (1, &Request::anything()));
        assert_eq!(trust, Trust::single("a", &SigningKey::from_seed(&[1; 32]).public()));
    }

    #[test]
    fn an_empty_ceiling_allows_nothing() {
        let text = publisher(&format!(
            "name='a'\nprefix='*'\nkeys=['{}']\n[publishers.ceiling]",
            key(1)
        ));
        assert_eq!(Trust::parse(&text).unwrap().publishers()[0].ceiling, Request::default());
    }

    #[test]
    fn mistakes_are_named_by_key() {
        let (one, two) = (key(1), key(2));
        for (lines, expected) in [
            (format!("name=''\nprefix='*'\nkeys=['{one}']"), "publishers[0].name"),
            (format!("name='a'\nprefix=''\nkeys=['{one}']"), "publishers[0].prefix"),
            (
                format!("name='a'\nprefix='Ac*'\nkeys=['{one}']"),
                "publishers[0].prefix",
            ),
            ("name='a'\nprefix='*'\nkeys=[]".to_owned(), "publishers[0].keys"),
            (
                "name='a'\nprefix='*'\nkeys=['AAAA']".to_owned(),
                "no ed25519 public key",
            ),
            (
                format!("name='a'\nprefix='*'\nkeys=['{}']", "A".repeat(43) + "="),
                "weak public key",
            ),
            (
                format!("name='a'\nprefix='*'\nkeys=['{one}','{one}']\nthreshold=2"),
                "listed twice",
            ),
            (
                format!("name='a'\nprefix='*'\nkeys=['{one}']\nthreshold=0"),
                "publishers[0].threshold",
            ),
            (
                format!("name='a'\nprefix='*'\nkeys=['{one}','{two}']\nthreshold=3"),
                "publishers[0].threshold",
            ),
            (
                format!("name='a'\nprefix='*'\nkeys=['{one}']\nceeling={{}}"),
                "unknown field `ceeling`",
            ),
            (
                format!("name='a'\nprefix='*'\nkeys=['{one}']\nceiling={{http=['a*b']}}"),
                "publishers[0].ceiling.http[0]",
            ),
            (
                format!("name='a'\nprefix='*'\nkeys=['{one}']\nbudgets={{memory=0}}"),
                "publishers[0].budgets.memory",
            ),
        ] {
            let error = refusal(&publisher(&lines));
            assert!(error.contains(expected), "{lines}\n{error}");
        }
        assert!(refusal("revoked=['abc']").contains("revoked[0]"));
        let twice = [
            publisher(&format!("name='a'\nprefix='A'\nkeys=['{one}']")),
            publisher(&format!("name='b'\nprefix='B'\nkeys=['{one}']")),
        ];
        assert!(refusal(&twice.concat()).contains("publishers[1].keys"));
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = Trust::load(Path::new("/nonexistent/trust.toml"))
            .unwrap_err()
            .to_string();
        assert!(error.contains("/nonexistent/trust.toml"), "{error}");
    }
}
