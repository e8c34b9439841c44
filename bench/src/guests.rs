//! The guest components that measurements run, built from source by `cargo xtask bench`.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use venom_bundle::{SigningKey, SkillToml, Trust, UnverifiedBundle, VerifiedBundle};
use venom_protocol::Timestamp;

use crate::processes::venom_host;

/// A guest of this repository.
#[derive(Clone, Copy)]
pub(crate) struct Guest {
    /// Name it exports.
    pub(crate) skill: &'static str,
    /// File name of its component, without ending.
    component: &'static str,
    /// Folder of its `skill.toml`.
    folder: &'static str,
}

/// The smallest possible skill, without the SDK.
pub(crate) const NOOP: Guest = Guest {
    skill: "NoopSkill",
    component: "noop_guest",
    folder: "tests/guests/noop",
};
/// Behaves as its variant says.
pub(crate) const VERSIONED: Guest = Guest {
    skill: "VersionedSkill",
    component: "release_guest",
    folder: "tests/guests/release",
};
/// Sweeps networks.
pub(crate) const NETSCAN: Guest = Guest {
    skill: "NetScanSkill",
    component: "netscan_skill",
    folder: "skills/netscan",
};
/// The example skill.
pub(crate) const ECHO: Guest = Guest {
    skill: "EchoSkill",
    component: "echo_skill",
    folder: "skills/echo",
};

fn root() -> Result<&'static Path> {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .context("bench has no parent directory")
}

impl Guest {
    fn component_path(self) -> Result<PathBuf> {
        let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from);
        let path = root()?
            .join(target)
            .join("wasm32-wasip2/skill")
            .join(self.component)
            .with_extension("wasm");
        ensure!(
            path.exists(),
            "{} is missing: run `cargo xtask bench`, which builds it",
            path.display()
        );
        Ok(path)
    }

    /// Where its `skill.toml` is.
    pub(crate) fn manifest_path(self) -> Result<PathBuf> {
        Ok(root()?.join(self.folder).join("skill.toml"))
    }

    /// The component's bytes.
    pub(crate) fn component(self) -> Result<Vec<u8>> {
        Ok(std::fs::read(self.component_path()?)?)
    }

    /// Packs, signs and verifies it in this process, with a key made for the occasion.
    pub(crate) fn verified(self) -> Result<VerifiedBundle> {
        let manifest = SkillToml::parse(&std::fs::read_to_string(self.manifest_path()?)?)?;
        let key = SigningKey::generate()?;
        let signed = venom_bundle::pack(&manifest, &self.component()?, Timestamp::now())?.sign(&key);
        let trust = Trust::single("bench", &key.public());
        let host = semver::Version::parse(env!("CARGO_PKG_VERSION"))?;
        Ok(UnverifiedBundle::parse(signed.to_bytes())?.verify(&trust, &host)?)
    }
}

/// Packs guests with the publisher key of a data directory, as a user would; answers their directory.
pub(crate) fn pack_with_host(data_dir: &Path, guests: &[Guest]) -> Result<PathBuf> {
    let host = venom_host()?;
    let skills = data_dir.with_extension("skills");
    std::fs::create_dir_all(&skills)?;
    run(Command::new(&host).arg("init").arg("--data-dir").arg(data_dir))?;
    for guest in guests {
        let mut pack = Command::new(&host);
        pack.args(["bundle", "pack", "--data-dir"]).arg(data_dir);
        pack.arg("--manifest").arg(guest.manifest_path()?);
        pack.arg("--out").arg(skills.join(guest.skill).with_extension("venom"));
        run(pack.arg(guest.component_path()?))?;
    }
    Ok(skills)
}

fn run(command: &mut Command) -> Result<()> {
    let output = command.output()?;
    ensure!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}
