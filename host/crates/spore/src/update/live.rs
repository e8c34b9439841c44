//! The versions in memory: the one that answers, the one kept ready behind it, and those whose last calls still run. A
//! swap is one pointer in the skill set; calls that began before it finish where they began.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use venom_runtime::{Health, Skill, SkillSet};

use super::gate::Gate;
use super::stage::Loaded;

/// See the module.
#[derive(Debug)]
pub(super) struct Live {
    skills: SkillSet,
    /// The spore's own, which answer where no release says otherwise.
    local: BTreeMap<String, Skill>,
    /// What releases brought.
    installed: BTreeMap<String, Versions>,
    /// Old versions that are given time to finish. Answers the skill's name when calls had to be ended.
    draining: JoinSet<Option<String>>,
    drain: Duration,
}

#[derive(Debug)]
struct Versions {
    current: Loaded,
    previous: Option<Loaded>,
    watch: Option<Watch>,
}

/// A version that is watched.
#[derive(Debug)]
struct Watch {
    until: Instant,
    /// Of the version before, over its whole life.
    before: Health,
}

/// What watching came to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Watched {
    /// It stays.
    Stays(String),
    /// It does not, and why.
    Fails(String, String),
}

impl Live {
    /// Over the skills there are.
    pub(super) fn new(skills: SkillSet, drain: Duration) -> Self {
        let names = skills.names();
        let local = names
            .into_iter()
            .filter_map(|name| skills.get(&name).map(|skill| (name, skill)));
        Self {
            local: local.collect(),
            skills,
            installed: BTreeMap::new(),
            draining: JoinSet::new(),
            drain,
        }
    }

    /// What the version that answers asks for; the spore's own count too.
    pub(super) fn current(&self, skill: &str) -> Option<&Loaded> {
        self.installed.get(skill).map(|versions| &versions.current)
    }

    /// The spore's own skills.
    pub(super) fn local(&self) -> impl Iterator<Item = (&String, &Skill)> {
        self.local.iter()
    }

    /// Puts a version in the place of whatever answers, keeps that one ready, and watches the new one when `soak` is given.
    pub(super) fn swap(&mut self, name: &str, loaded: Loaded, soak: Option<Duration>) {
        let old = self.skills.insert(loaded.skill.clone());
        let before = old.as_ref().map(Skill::health).unwrap_or_default();
        let watch = soak.map(|soak| Watch {
            until: Instant::now() + soak,
            before,
        });
        let previous = self.installed.remove(name).map(|versions| versions.current);
        let versions = Versions {
            current: loaded,
            previous,
            watch,
        };
        self.installed.insert(name.to_owned(), versions);
        if let Some(old) = old {
            self.drain(name, old);
        }
    }

    /// Puts a version in place as it was before a restart; nothing is replaced that runs.
    pub(super) fn restore(&mut self, name: &str, current: Loaded, previous: Option<Loaded>, soak: Option<Duration>) {
        self.skills.insert(current.skill.clone());
        let watch = soak.map(|soak| Watch {
            until: Instant::now() + soak,
            before: Health::default(),
        });
        let versions = Versions {
            current,
            previous,
            watch,
        };
        self.installed.insert(name.to_owned(), versions);
    }

    /// Keeps a version ready behind the one that answers.
    pub(super) fn keep_ready(&mut self, name: &str, loaded: Loaded) {
        if let Some(versions) = self.installed.get_mut(name) {
            versions.previous = Some(loaded);
        }
    }

    /// The version that answers goes. `to`: what takes its place; absent: the one kept ready when `may_return`, else the
    /// spore's own, else nothing. `at_once`: its calls are not given time to finish.
    pub(super) fn step_back(&mut self, name: &str, may_return: bool, at_once: bool) {
        let versions = self.installed.remove(name);
        let previous = versions.and_then(|versions| versions.previous).filter(|_| may_return);
        let next = previous.as_ref().map(|loaded| loaded.skill.clone());
        let next = next.or_else(|| self.local.get(name).cloned());
        let old = match next {
            Some(next) => self.skills.insert(next),
            None => self.skills.remove(name),
        };
        if let Some(current) = previous {
            let versions = Versions {
                current,
                previous: None,
                watch: None,
            };
            self.installed.insert(name.to_owned(), versions);
        }
        match old {
            Some(old) if at_once => old.retire(),
            Some(old) => self.drain(name, old),
            None => {}
        }
    }

    /// One of the spore's own is good for nothing any more.
    pub(super) fn drop_local(&mut self, name: &str) {
        if self.local.remove(name).is_some() && !self.installed.contains_key(name) {
            self.skills.remove(name).inspect(Skill::retire);
        }
    }

    fn drain(&mut self, name: &str, old: Skill) {
        let (name, time) = (name.to_owned(), self.drain);
        self.draining.spawn(async move {
            let finished = timeout(time, old.drained()).await.is_ok();
            if !finished {
                old.retire();
            }
            (!finished).then_some(name)
        });
    }

    /// The next skill whose old version had calls left when its time was over: it can answer no more. Waits for ever when
    /// nothing drains.
    pub(super) async fn cut_off(&mut self) -> String {
        loop {
            match self.draining.join_next().await {
                Some(Ok(Some(name))) => return name,
                Some(_) => {}
                None => std::future::pending().await,
            }
        }
    }

    /// Looks at the versions that are watched.
    pub(super) fn look(&mut self, gate: &Gate) -> Vec<Watched> {
        let now = Instant::now();
        let looked = self.installed.iter_mut().filter_map(|(name, versions)| {
            let watch = versions.watch.as_ref()?;
            if let Some(reason) = gate.verdict(&versions.current.skill.health(), &watch.before) {
                versions.watch = None;
                return Some(Watched::Fails(name.clone(), reason));
            }
            (now >= watch.until).then(|| {
                versions.watch = None;
                Watched::Stays(name.clone())
            })
        });
        looked.collect()
    }

    /// Whether anything is watched.
    pub(super) fn is_watching(&self) -> bool {
        self.installed.values().any(|versions| versions.watch.is_some())
    }
}
