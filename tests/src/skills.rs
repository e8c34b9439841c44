//! Signed bundles of the skills, made with a key that lives as long as the test.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use venom_bundle::{PublicKey, SigningKey, SkillToml, Trust, pack};
use venom_protocol::Timestamp;

use crate::{component, repository};

/// A skill of this repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SkillName {
    /// `EchoSkill`.
    Echo,
    /// `ShellSkill`.
    Shell,
    /// `FileSkill`.
    File,
    /// `ParallelSkill`.
    Parallel,
    /// `NetScanSkill`.
    NetScan,
    /// `ShieldSkill`.
    Shield,
    /// `HostileSkill`: tries to escape.
    Hostile,
    /// `VersionedSkill`: behaves as its variant says.
    Versioned,
}

impl SkillName {
    const fn package(self) -> &'static str {
        match self {
            Self::Echo => "echo-skill",
            Self::Shell => "shell-skill",
            Self::File => "file-skill",
            Self::Parallel => "parallel-skill",
            Self::NetScan => "netscan-skill",
            Self::Shield => "shield-skill",
            Self::Hostile => "hostile-guest",
            Self::Versioned => "release-guest",
        }
    }

    const fn source(self) -> &'static str {
        match self {
            Self::Echo => "skills/echo",
            Self::Shell => "skills/shell",
            Self::File => "skills/file",
            Self::Parallel => "skills/parallel",
            Self::NetScan => "skills/netscan",
            Self::Shield => "skills/shield",
            Self::Hostile => "tests/guests/hostile",
            Self::Versioned => "tests/guests/release",
        }
    }
}

/// Somebody who signs skills.
pub struct Publisher {
    key: SigningKey,
}

impl Publisher {
    /// With a new key.
    ///
    /// # Errors
    /// When the system has no random bytes.
    pub fn new() -> Result<Self> {
        Ok(Self {
            key: SigningKey::generate()?,
        })
    }

    /// With the key of a data directory that `venom-host init` made.
    ///
    /// # Errors
    /// When there is none.
    pub fn of_data_dir(data: &Path) -> Result<Self> {
        let key = SigningKey::load(&data.join("keys").join("publisher.key"))?;
        Ok(Self { key })
    }

    /// The key by which its skills are trusted.
    #[must_use]
    pub fn key(&self) -> PublicKey {
        self.key.public()
    }

    /// Trust in this publisher and nobody else.
    #[must_use]
    pub fn trust(&self) -> Trust {
        Trust::single("tests", &self.key.public())
    }

    /// The bytes of a `.venom` file.
    ///
    /// # Errors
    /// When the component cannot be built or packed.
    pub fn bundle(&self, skill: SkillName) -> Result<Vec<u8>> {
        let described = SkillToml::load(&repository().join(skill.source()).join("skill.toml"))?;
        let unsigned = pack(&described, &component(skill.package())?, Timestamp::now())
            .with_context(|| format!("{skill:?} cannot be packed"))?;
        Ok(unsigned.sign(&self.key).to_bytes())
    }

    /// Writes bundles into a directory of skills.
    ///
    /// # Errors
    /// As [`Self::bundle`].
    pub fn fill(&self, directory: &Path, skills: &[SkillName]) -> Result<()> {
        fs::create_dir_all(directory)?;
        for skill in skills {
            fs::write(directory.join(format!("{skill:?}.venom")), self.bundle(*skill)?)?;
        }
        Ok(())
    }
}
