//! What the nexus is told about releases: where bundles lie, the key that signs rollouts, and where trust begins.

use std::io::ErrorKind;
use std::sync::Arc;

use venom_bundle::{SigningKey, TrustedRoot};
use venom_nexus::ReleasesSettings;

use crate::data_dir::DataDir;
use crate::failure::{Explain as _, Failure};
use crate::settings::ReleaseSettings;

/// Reads what is there. A nexus without a root or an online key starts all the same and says what it cannot do.
pub(super) fn read(settings: &ReleaseSettings, data: &DataDir) -> Result<ReleasesSettings, Failure> {
    Ok(ReleasesSettings {
        directory: Some(data.releases()),
        online_key: online_key(data)?,
        root: root(data)?,
        max_downloads: settings.max_downloads,
        quota: settings.quota,
        rollout_lifetime: settings.rollout_lifetime,
        ..ReleasesSettings::default()
    })
}

fn online_key(data: &DataDir) -> Result<Option<Arc<SigningKey>>, Failure> {
    let path = data.online_key();
    if !path.exists() {
        return Ok(None);
    }
    let key = SigningKey::load(&path).or_advise(
        format!("cannot use the online key {}", path.display()),
        "make it readable for this user only, or move it away and run `venom-host init` for a new one",
    )?;
    Ok(Some(Arc::new(key)))
}

fn root(data: &DataDir) -> Result<Option<TrustedRoot>, Failure> {
    let path = data.root();
    let bytes = match std::fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).or_fail(format!("cannot read the root {}", path.display())),
    };
    let root = TrustedRoot::pin(bytes.trim_ascii()).or_advise(
        format!("the root {} is not believed", path.display()),
        "put the root.json of your swarm there",
    )?;
    Ok(Some(root))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn settings() -> ReleaseSettings {
        ReleaseSettings {
            quota: bytesize::ByteSize(7),
            max_downloads: 3,
            rollout_lifetime: Duration::from_secs(60),
        }
    }

    #[test]
    fn a_directory_without_key_and_root_is_told_as_it_is() {
        let directory = tempfile::tempdir().unwrap();
        let data = DataDir(directory.path().to_owned());
        let told = read(&settings(), &data).unwrap();
        assert!(told.online_key.is_none() && told.root.is_none());
        assert_eq!(told.directory.unwrap(), directory.path().join("releases"));
        assert_eq!(
            (told.max_downloads, told.quota.0, told.rollout_lifetime),
            (3, 7, Duration::from_secs(60))
        );
    }

    #[test]
    fn a_key_is_used_and_what_is_no_root_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let data = DataDir(directory.path().to_owned());
        std::fs::create_dir(data.keys()).unwrap();
        let key = SigningKey::from_seed(&[3; 32]);
        key.save_new(&data.online_key()).unwrap();
        let told = read(&settings(), &data).unwrap();
        assert_eq!(told.online_key.unwrap().public(), key.public());
        std::fs::write(data.root(), "{}").unwrap();
        assert!(read(&settings(), &data).is_err());
    }
}
