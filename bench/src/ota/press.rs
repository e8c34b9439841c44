//! Making bundles and releases of one nexus, with the keys of its data directory, as its operator would.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use venom_bundle::{
    BundleRef, Channel, Digest, Entry, Release, Selector, SigningKey, SkillToml, Trust, TrustedRoot, UnverifiedBundle,
    VerifiedBundle, pack,
};
use venom_protocol::Timestamp;

use crate::guests::VERSIONED;

/// Size of the components that are released: the 200 KiB of the promise.
const COMPONENT_BYTES: usize = 200 * 1024;

/// The guest with code nobody compiled before: a custom section of its own, up to [`COMPONENT_BYTES`].
pub(super) fn component(version: u64) -> Result<Vec<u8>> {
    let mut code = VERSIONED.component()?;
    // id 0, three bytes of length, the length of the name, the name
    let header = 1 + 3 + 1 + 4;
    let filling = COMPONENT_BYTES
        .checked_sub(code.len() + header)
        .context("the guest is larger already")?;
    let length = 5 + filling;
    code.push(0);
    code.extend([
        (length & 0x7f) as u8 | 0x80,
        (length >> 7 & 0x7f) as u8 | 0x80,
        (length >> 14) as u8,
    ]);
    code.extend([4]);
    code.extend(b"fill");
    code.extend(version.to_le_bytes().into_iter().cycle().take(filling));
    ensure!(code.len() == COMPONENT_BYTES);
    Ok(code)
}

/// A signed `.venom` file of that version.
pub(super) fn bundle(key: &SigningKey, version: u64) -> Result<Vec<u8>> {
    let mut described = SkillToml::load(&VERSIONED.manifest_path()?)?;
    described.version = semver::Version::new(version, 0, 0);
    Ok(pack(&described, &component(version)?, Timestamp::now())?
        .sign(key)
        .to_bytes())
}

/// The same, verified.
pub(super) fn verified(version: u64) -> Result<VerifiedBundle> {
    let key = SigningKey::from_seed(&[7; 32]);
    let host = semver::Version::parse(env!("CARGO_PKG_VERSION"))?;
    let trust = Trust::single("bench", &key.public());
    Ok(UnverifiedBundle::parse(bundle(&key, version)?)?.verify(&trust, &host)?)
}

/// Publishes through one nexus.
pub(super) struct Press {
    nexus: String,
    key: SigningKey,
    root: TrustedRoot,
    last: Option<(u64, Digest)>,
}

impl Press {
    pub(super) fn new(nexus: &str, data_dir: &Path) -> Result<Self> {
        let root: PathBuf = data_dir.join("root.json");
        Ok(Self {
            nexus: nexus.to_owned(),
            key: SigningKey::load(&data_dir.join("keys/publisher.key"))?,
            root: TrustedRoot::pin(std::fs::read_to_string(root)?.trim().as_bytes())?,
            last: None,
        })
    }

    /// Stores a bundle of that version.
    pub(super) fn store(&self, version: u64) -> Result<BundleRef> {
        let bytes = bundle(&self.key, version)?;
        let stored = ureq::post(format!("{}/api/v1/bundles", self.nexus))
            .header("content-type", "application/octet-stream")
            .send(&bytes)?;
        ensure!(stored.status().is_success());
        let parsed = UnverifiedBundle::parse(bytes.clone())?;
        Ok(BundleRef {
            version: semver::Version::new(version, 0, 0),
            sha256: *parsed.claimed().digest(),
            file_sha256: Digest::of(&bytes),
            size: bytes.len() as u64,
            sources: Vec::new(),
        })
    }

    /// The request that publishes the next release, of this bundle or of none.
    pub(super) fn next(&mut self, bundle: Option<BundleRef>) -> Result<Value> {
        let now = Timestamp::now();
        let later = Timestamp::parse("2030-01-01T00:00:00Z").context("a time")?;
        let mut release = Release::first(self.root.root(), Channel::default(), now, later);
        if let Some((seq, digest)) = self.last {
            (release.seq, release.prev_sha256) = (seq + 1, Some(digest));
        }
        release.entries.extend(bundle.map(|bundle| Entry {
            skill: VERSIONED.skill.to_owned(),
            bundle,
            selector: Selector::default(),
            grants: None,
            approved: false,
            floor: None,
            fallback: None,
        }));
        let mut signed = release.to_sign()?;
        signed.add_signature(&self.key);
        self.last = Some((release.seq, signed.digest()));
        Ok(json!({ "release": signed.to_text() }))
    }

    pub(super) fn publish(&self, request: &Value) -> Result<()> {
        let published = ureq::post(format!("{}/api/v1/releases", self.nexus)).send_json(request)?;
        ensure!(published.status().is_success());
        Ok(())
    }

    /// Says that there may be something new.
    pub(super) fn announce(&self, number: usize) -> Result<()> {
        let hint = json!({ "command": "UPDATE_SYSTEM", "data": { "n": number }, "timestamp": Timestamp::now() });
        let announced = ureq::post(format!("{}/api/v1/cluster/broadcast", self.nexus)).send_json(&hint)?;
        ensure!(announced.status().is_success());
        Ok(())
    }
}
