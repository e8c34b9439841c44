//! A hundred spores of the real protocol with real updaters and one sandbox between them, on a real nexus: from publishing
//! a release to the moment its code answers on each.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tokio::task::JoinSet;
use venom_bundle::Trust;
use venom_bundle::capability::Policy;
use venom_runtime::{Backends, Runtime, RuntimeSettings, SkillSet};
use venom_spore::sim::{SimHandle, SimSpore};
use venom_spore::{Attached, UpdateGround, UpdateSettings, Updater};

use super::heard::Heard;
use super::press::Press;
use crate::Effort;
use crate::guests::VERSIONED;
use crate::processes::{TOKEN, start_nexus};
use crate::table::{Row, percentile};

const SPORES: usize = 100;
const RELEASES: usize = 10;
const ANNOUNCEMENTS: usize = 20;
/// Longest anything here may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks at whether a spore has swapped.
const LOOK: Duration = Duration::from_millis(1);

/// Spores with updaters, and the skills each of them has.
pub(super) struct Fleet {
    pub(super) spores: Vec<SimHandle>,
    skills: Vec<SkillSet>,
}

pub(super) fn measure(effort: Effort) -> Result<Vec<Row>> {
    let directory = tempfile::tempdir()?;
    let data_dir = directory.path().join("nexus");
    let nexus = start_nexus(&data_dir, &[])?;
    let mut press = Press::new(&nexus.ready, &data_dir)?;
    let heard = Heard::listen();
    let tokio = tokio::runtime::Runtime::new()?;
    let fleet = tokio.block_on(connect(&nexus.ready, directory.path(), SPORES))?;
    let mut swapped = Vec::new();
    for version in 1..=effort.count(RELEASES) as u64 {
        let bundle = press.store(version)?;
        let request = press.next(Some(bundle))?;
        let began = Instant::now();
        press.publish(&request)?;
        let times = fleet.swapped(version, began)?;
        // the first is the first for everybody: nobody has a connection or a compiled host call yet
        if version > 1 {
            swapped.extend(times);
        }
    }
    let mut received = Vec::new();
    for number in 0..effort.count(ANNOUNCEMENTS) {
        std::thread::sleep(Duration::from_millis(50));
        heard.take();
        let began = Instant::now();
        press.announce(number)?;
        while heard.count() < SPORES {
            ensure!(began.elapsed() < PATIENCE, "only {} spores heard it", heard.count());
            std::thread::sleep(LOOK);
        }
        received.extend(heard.take().into_iter().map(|at| (at - began).as_secs_f64() * 1e3));
    }
    drop(tokio);
    let (half, most) = (percentile(&mut swapped, 0.5), percentile(&mut swapped, 0.99));
    let heard_most = percentile(&mut received, 0.99);
    Ok(vec![
        Row::absolute(
            "publish -> swapped on 100 spores, 200 KiB of new code, p50 / p99",
            format!("{half:.3} s / {most:.3} s"),
            "p99 < 2 s",
            most < 2.0,
        ),
        Row::absolute(
            "announce -> received by 100 spores, p99",
            format!("{heard_most:.1} ms"),
            "< 100 ms",
            heard_most < 100.0,
        ),
    ])
}

impl Fleet {
    /// Seconds until each spore answers with that version.
    fn swapped(&self, version: u64, began: Instant) -> Result<Vec<f64>> {
        let mut times = vec![None; self.skills.len()];
        while times.contains(&None) {
            for (skills, time) in self.skills.iter().zip(&mut times) {
                let skill = skills.get(VERSIONED.skill);
                if time.is_none() && skill.is_some_and(|skill| skill.version().major == version) {
                    *time = Some(began.elapsed().as_secs_f64());
                }
            }
            let missing = times.iter().filter(|time| time.is_none()).count();
            ensure!(
                began.elapsed() < PATIENCE,
                "{missing} spores do not have version {version}"
            );
            std::thread::sleep(LOOK);
        }
        Ok(times.into_iter().flatten().collect())
    }
}

/// Connects spores whose updaters follow the nexus, with everything they keep under `directory`.
pub(super) async fn connect(nexus: &str, directory: &Path, count: usize) -> Result<Fleet> {
    let runtime = Runtime::new(RuntimeSettings {
        slots: 200,
        compiled_cache: Some(directory.join("compiled")),
        ..RuntimeSettings::default()
    })?;
    let mut fleet = Fleet {
        spores: Vec::with_capacity(count),
        skills: Vec::with_capacity(count),
    };
    let mut connecting = JoinSet::new();
    for number in 0..count {
        let skills = SkillSet::empty();
        let mut settings = UpdateSettings::new(directory.join(format!("spore-{number}")));
        settings.trust_on_first_use = true;
        settings.soak = Duration::from_millis(100);
        let ground = UpdateGround {
            runtime: runtime.clone(),
            skills: skills.clone(),
            policy: Policy::default(),
            trust: Trust::nobody(),
            backends: Backends::local(),
        };
        let attached = Attached {
            updater: Some(Updater::open(settings, ground)?),
            ..Attached::default()
        };
        let spore = SimSpore::new(nexus, TOKEN).with(|settings| settings.name = format!("ota-{number}"));
        connecting.spawn(spore.attached(attached).connect(PATIENCE));
        fleet.skills.push(skills);
        // so many at one time, that this is not a measurement of the accept queue
        if connecting.len() >= 50 {
            fleet
                .spores
                .push(connecting.join_next().await.context("nobody connects")???);
        }
    }
    while let Some(connected) = connecting.join_next().await {
        fleet.spores.push(connected??);
    }
    Ok(fleet)
}
