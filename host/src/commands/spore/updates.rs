//! From settings to the updater of a spore: where its trust begins, and what it is told.

use venom_spore::{Gate, UpdateGround, UpdateSettings, Updater};

use crate::data_dir::DataDir;
use crate::failure::{Explain as _, Failure};
use crate::settings::SporeSettings;

/// The updater, with what was installed before in its place; `None` where updates are switched off.
pub(super) async fn open(
    settings: &SporeSettings,
    data: &DataDir,
    ground: UpdateGround,
) -> Result<Option<Updater>, Failure> {
    if !settings.updates.enabled {
        return Ok(None);
    }
    let told = told(settings, data)?;
    if told.root.is_none() && !told.trust_on_first_use && !told.directory.exists() {
        tracing::info!(
            root = %settings.updates.root.display(),
            "no root is there, so this spore takes no releases; copy root.json from the nexus's data directory"
        );
    }
    let opening = tokio::task::spawn_blocking(move || Updater::open(told, ground));
    let opened = opening.await.or_fail("updates broke off while they were opened")?;
    let updater = opened.or_advise(
        "updates over the air cannot begin",
        "repair that, or run without releases: --no-updates",
    )?;
    Ok(Some(updater))
}

/// With `--dev` the data directory's own root is not pinned: a spore and a nexus of their own directories would never
/// meet. The nexus's is taken instead, unless one is named.
fn told(settings: &SporeSettings, data: &DataDir) -> Result<UpdateSettings, Failure> {
    let updates = &settings.updates;
    let unseen = settings.dev && updates.root == data.root();
    let root = if unseen || !updates.root.exists() {
        None
    } else {
        let text = std::fs::read_to_string(&updates.root);
        Some(text.or_fail(format!("cannot read the root {}", updates.root.display()))?)
    };
    Ok(UpdateSettings {
        root: root.map(|text| text.trim().to_owned()),
        trust_on_first_use: unseen,
        channel: updates.channel.clone(),
        poll: updates.poll,
        window: updates.window.clone(),
        min_interval: updates.min_interval,
        allowed_hosts: updates.allowed_hosts.clone(),
        keep: updates.keep,
        soak: updates.soak,
        drain: updates.drain,
        gate: Gate {
            max_traps: updates.max_traps.into(),
            max_error_rate: updates.max_error_rate,
            min_calls: updates.min_calls.into(),
        },
        release_grants: updates.release_grants,
        switched_off: settings.switched_off.iter().map(|&name| name.to_owned()).collect(),
        ..UpdateSettings::new(data.updates())
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use clap::Parser as _;

    use super::*;
    use crate::cli::{Cli, Command};
    use crate::commands::init;
    use crate::settings::{Environment, Sources};

    fn told_with(flags: &[&str], pairs: &[(&str, &str)], data: &DataDir) -> UpdateSettings {
        let cli = Cli::try_parse_from(["venom-host", "spore"].iter().chain(flags)).unwrap();
        let Command::Spore(args) = cli.command else {
            panic!("not spore")
        };
        let sources = Sources {
            env: Environment::of(pairs),
            file: Default::default(),
            data_dir: data.0.clone(),
        };
        let settings = SporeSettings::merge(*args, &sources, "here".to_owned()).unwrap();
        told(&settings, data).unwrap()
    }

    #[test]
    fn the_updater_is_told_every_setting() {
        let directory = tempfile::tempdir().unwrap();
        let data = DataDir(directory.path().join("data"));
        init::ensure(&data).unwrap();
        let pairs = [
            ("VENOM_CHANNEL", "canary"),
            ("VENOM_UPDATE_POLL", "11s"),
            ("VENOM_UPDATE_WINDOW", "02:00-03:00"),
            ("VENOM_UPDATE_MIN_INTERVAL", "12s"),
            ("VENOM_UPDATE_ALLOWED_HOSTS", "a.example"),
            ("VENOM_UPDATE_KEEP", "3"),
            ("VENOM_UPDATE_SOAK", "13s"),
            ("VENOM_UPDATE_DRAIN", "14s"),
            ("VENOM_UPDATE_MAX_TRAPS", "15"),
            ("VENOM_UPDATE_MAX_ERROR_RATE", "0.16"),
            ("VENOM_UPDATE_MIN_CALLS", "17"),
            ("VENOM_UPDATE_RELEASE_GRANTS", "on"),
            ("SPORE_ENABLE_SHELL", "false"),
        ];
        let told = told_with(&[], &pairs, &data);
        assert_eq!(told.channel.as_str(), "canary");
        let times = [told.poll, told.min_interval, told.soak, told.drain];
        assert_eq!(times, [11, 12, 13, 14].map(Duration::from_secs));
        assert_eq!(told.window, ["02:00-03:00".parse().unwrap()]);
        assert_eq!((told.allowed_hosts, told.keep), (vec!["a.example".to_owned()], 3));
        let gate = Gate {
            max_traps: 15,
            max_error_rate: 0.16,
            min_calls: 17,
        };
        assert_eq!((told.gate, told.release_grants), (gate, true));
        assert_eq!(told.switched_off, ["ShellSkill"]);
        assert_eq!(told.directory, data.0.join("updates"));
        let root = std::fs::read_to_string(data.root()).unwrap();
        assert_eq!(
            (told.root.as_deref(), told.trust_on_first_use),
            (Some(root.trim()), false)
        );
    }

    #[test]
    fn development_takes_the_nexus_s_root_unless_one_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let data = DataDir(directory.path().join("data"));
        init::ensure(&data).unwrap();
        let unseen = told_with(&["--dev"], &[], &data);
        assert_eq!((unseen.root, unseen.trust_on_first_use), (None, true));
        let named = directory.path().join("named.json");
        std::fs::copy(data.root(), &named).unwrap();
        let pinned = told_with(&["--dev", "--root", named.to_str().unwrap()], &[], &data);
        assert!(pinned.root.is_some() && !pinned.trust_on_first_use);
    }
}
