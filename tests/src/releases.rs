//! A swarm's keys and documents: roots, bundles of the versioned guest, releases and their publishing. Signs whatever a
//! test wants signed, right or wrong.

use anyhow::{Context, Result, ensure};
use reqwest::{Method, StatusCode};
use semver::Version;
use serde_json::{Value, json};
use venom_bundle::{
    BundleRef, Channel, Digest, Entry, Release, Role, Roles, Rollout, RolloutOrder, Root, RootPublisher, Selector,
    SignedDocument, SigningKey, SkillToml, SwarmId, TrustedRoot, UnverifiedBundle, WHOLE, pack,
};
use venom_protocol::Timestamp;

use crate::{Client, component, eventually, repository};

/// Bytes before the variant in the built component.
const MARK: &[u8] = b"@@VENOM-VARIANT:";
/// Bytes of a variant, filled up with spaces.
const VARIANT: usize = 46;

/// The keys of a swarm, one for each role, and its root. Keys follow from the swarm's name: they protect nothing.
pub struct Swarm {
    /// Signs roots.
    pub root_key: SigningKey,
    /// Signs releases.
    pub release_key: SigningKey,
    /// Signs bundles.
    pub publisher_key: SigningKey,
    /// Signs rollouts.
    online_seed: [u8; 32],
    /// The newest root.
    pub root: Root,
}

/// A bundle and how releases name it.
#[derive(Debug, Clone)]
pub struct Packed {
    /// The `.venom` file.
    pub bytes: Vec<u8>,
    /// The skill.
    pub skill: String,
    /// How a release names it.
    pub bundle: BundleRef,
}

impl Packed {
    /// An entry for everybody.
    #[must_use]
    pub fn entry(&self) -> Entry {
        Entry {
            skill: self.skill.clone(),
            bundle: self.bundle.clone(),
            selector: Selector::default(),
            grants: None,
            approved: false,
            floor: None,
            fallback: None,
        }
    }
}

/// A time so many seconds from now.
#[must_use]
pub fn in_seconds(seconds: i64) -> Timestamp {
    Timestamp(Timestamp::now().0 + jiff::SignedDuration::from_secs(seconds))
}

impl Swarm {
    /// With keys of its own and a first root.
    ///
    /// # Errors
    /// When that is no swarm id.
    pub fn new(swarm_id: &str) -> Result<Self> {
        let seeds = [1, 2, 3, 4].map(|n| *Digest::of(format!("{swarm_id} {n}").as_bytes()).as_bytes());
        let [root_key, release_key, publisher_key, online_key] = seeds.map(|seed| SigningKey::from_seed(&seed));
        let role = |key: &SigningKey| Role {
            keys: vec![key.public()],
            threshold: 1,
        };
        let root = Root {
            format: Root::FORMAT,
            swarm_id: swarm_id.parse::<SwarmId>()?,
            version: 1,
            epoch: 1,
            created: Timestamp::now(),
            expires: in_seconds(1_000_000),
            roles: Roles {
                root: role(&root_key),
                release: role(&release_key),
                rollout: role(&online_key),
            },
            publishers: vec![RootPublisher {
                name: "tests".to_owned(),
                prefix: "*".to_owned(),
                keys: vec![publisher_key.public()],
                threshold: 1,
                ceiling: None,
                budgets: venom_bundle::capability::BudgetLimits::default(),
            }],
            revoked: Vec::new(),
        };
        Ok(Self {
            root_key,
            release_key,
            publisher_key,
            online_seed: seeds[3],
            root,
        })
    }

    /// A copy of the online key, for a nexus.
    #[must_use]
    pub fn online_key(&self) -> SigningKey {
        SigningKey::from_seed(&self.online_seed)
    }

    /// The root, signed.
    #[must_use]
    pub fn root_text(&self) -> String {
        signed(self.root.unsigned(), &[&self.root_key])
    }

    /// The root, believed.
    ///
    /// # Errors
    /// When it is not in order.
    pub fn trusted_root(&self) -> Result<TrustedRoot> {
        Ok(TrustedRoot::pin(self.root_text().as_bytes())?)
    }

    /// The versioned guest with a variant in it, and more lines in its `skill.toml`.
    ///
    /// # Errors
    /// When it cannot be built or packed.
    pub fn versioned(&self, version: &str, variant: &str, lines: &str) -> Result<Packed> {
        self.versioned_by(&self.publisher_key, version, variant, lines)
    }

    /// The same, signed by any key.
    ///
    /// # Errors
    /// As [`Self::versioned`].
    pub fn versioned_by(&self, key: &SigningKey, version: &str, variant: &str, lines: &str) -> Result<Packed> {
        guest(key, version, variant, lines, |_| {})
    }

    /// The same as [`Self::versioned`] with any change to what the author says.
    ///
    /// # Errors
    /// As [`Self::versioned`].
    pub fn versioned_as(&self, version: &str, variant: &str, change: impl FnOnce(&mut SkillToml)) -> Result<Packed> {
        guest(&self.publisher_key, version, variant, "", change)
    }
    /// Release `seq` of these entries, after `before`; not signed.
    #[must_use]
    pub fn release(&self, seq: u64, before: Option<Digest>, entries: Vec<Entry>) -> Release {
        Release {
            format: Release::FORMAT,
            swarm_id: self.root.swarm_id.clone(),
            channel: Channel::default(),
            epoch: self.root.epoch,
            seq,
            prev_sha256: before,
            created: Timestamp::now(),
            expires: in_seconds(100_000),
            entries,
            revoked: Vec::new(),
        }
    }

    /// A rollout of a release to everybody; not signed.
    #[must_use]
    pub fn rollout(&self, release: Digest, counter: u64) -> Rollout {
        Rollout {
            format: Rollout::FORMAT,
            swarm_id: self.root.swarm_id.clone(),
            channel: Channel::default(),
            release_sha256: release,
            counter,
            wave: WHOLE,
            state: RolloutOrder::Run,
            issued: Timestamp::now(),
            expires: in_seconds(600),
        }
    }

    /// Signs with the release key.
    #[must_use]
    pub fn sign(&self, release: &Release) -> String {
        signed(release.unsigned(), &[&self.release_key])
    }
}

/// The versioned guest with a variant in it.
fn guest(
    key: &SigningKey,
    version: &str,
    variant: &str,
    lines: &str,
    change: impl FnOnce(&mut SkillToml),
) -> Result<Packed> {
    let toml = std::fs::read_to_string(repository().join("tests/guests/release/skill.toml"))?;
    let mut described = SkillToml::parse(&format!("{toml}\n{lines}"))?;
    described.version = version.parse::<Version>()?;
    change(&mut described);
    let mut code = component("release-guest")?;
    let at = code
        .windows(MARK.len())
        .position(|bytes| bytes == MARK)
        .context("the guest has no mark")?;
    let place = code
        .get_mut(at + MARK.len()..at + MARK.len() + VARIANT)
        .context("the mark is cut short")?;
    let filled = format!("{variant:VARIANT$}");
    ensure!(filled.len() == VARIANT, "the variant is too long");
    place.copy_from_slice(filled.as_bytes());
    packed(pack(&described, &code, Timestamp::now())?.sign(key).to_bytes())
}

/// The text of a document with these signatures.
#[must_use]
pub fn signed(mut document: SignedDocument, keys: &[&SigningKey]) -> String {
    for key in keys {
        document.add_signature(key);
    }
    document.to_text()
}

/// How releases name a `.venom` file.
///
/// # Errors
/// When it is none.
pub fn packed(bytes: Vec<u8>) -> Result<Packed> {
    let bundle = UnverifiedBundle::parse(bytes.clone())?;
    let claimed = bundle.claimed();
    let manifest = claimed.manifest().map_err(|error| anyhow::anyhow!("{error}"))?;
    Ok(Packed {
        skill: manifest.name.clone(),
        bundle: BundleRef {
            version: manifest.version.clone(),
            sha256: *claimed.digest(),
            file_sha256: Digest::of(&bytes),
            size: bytes.len() as u64,
            sources: Vec::new(),
        },
        bytes,
    })
}

/// Publishes through one nexus.
pub struct Desk<'a> {
    client: Client,
    swarm: &'a Swarm,
    seq: u64,
    last: Option<Digest>,
}

impl<'a> Desk<'a> {
    /// For a nexus that has had no release yet.
    #[must_use]
    pub fn new(client: Client, swarm: &'a Swarm) -> Self {
        Self {
            client,
            swarm,
            seq: 0,
            last: None,
        }
    }

    /// Stores a bundle.
    ///
    /// # Errors
    /// When the nexus refuses it.
    pub async fn store(&self, packed: &Packed) -> Result<()> {
        let request = self.client.request(Method::POST, "/api/v1/bundles");
        let request = request
            .header("content-type", "application/octet-stream")
            .body(packed.bytes.clone());
        let answer = self.client.send(request).await?;
        ensure!(answer.status.is_success(), "{answer:?}");
        Ok(())
    }

    /// Publishes the next release of these entries to everybody at once, their bundles stored. Answers its digest.
    ///
    /// # Errors
    /// When the nexus refuses it.
    pub async fn publish(&mut self, bundles: &[&Packed]) -> Result<Digest> {
        let entries = bundles.iter().map(|packed| packed.entry()).collect();
        self.publish_as(bundles, entries, |_| {}, Value::Null).await
    }

    /// The same with any entries, changes and plan.
    ///
    /// # Errors
    /// When the nexus refuses it.
    pub async fn publish_as(
        &mut self,
        bundles: &[&Packed],
        entries: Vec<Entry>,
        change: impl FnOnce(&mut Release),
        plan: Value,
    ) -> Result<Digest> {
        for packed in bundles {
            self.store(packed).await?;
        }
        let mut release = self.swarm.release(self.seq + 1, self.last, entries);
        change(&mut release);
        let digest = release.unsigned().digest();
        let body = json!({ "release": self.swarm.sign(&release), "plan": plan });
        let answer = self.client.post("/api/v1/releases", &body).await?;
        ensure!(answer.status == StatusCode::CREATED, "{answer:?}");
        (self.seq, self.last) = (release.seq, Some(digest));
        Ok(digest)
    }

    /// Tells the rollout: `pause`, `resume`, `abort` or `revert`.
    ///
    /// # Errors
    /// When the nexus refuses it.
    pub async fn order(&self, action: &str) -> Result<Value> {
        let answer = self
            .client
            .post(&format!("/api/v1/rollouts/stable/{action}"), &json!({}))
            .await?;
        ensure!(answer.status == StatusCode::OK, "{answer:?}");
        Ok(answer.body)
    }

    /// Where the rollout stands.
    ///
    /// # Errors
    /// When the nexus does not say.
    pub async fn rollout(&self) -> Result<Value> {
        Ok(self.client.get("/api/v1/rollouts/stable?spores=true").await?.body)
    }

    /// Waits until the rollout is in this state.
    ///
    /// # Errors
    /// When it does not come to that.
    pub async fn until(&self, state: &str) -> Result<Value> {
        eventually(&format!("rollout {state}"), async || {
            let rollout = self.rollout().await?;
            Ok((rollout.get("state").and_then(Value::as_str) == Some(state)).then_some(rollout))
        })
        .await
    }
}
