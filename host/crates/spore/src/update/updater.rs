//! The updater's loop: hears, plans, carries out. One task; everything slow (fetching, compiling, disks) is done beside
//! it and comes back as a message.

mod changes;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rand::RngExt as _;
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use venom_bundle::capability::Request;
use venom_bundle::{Digest, Entry, Release, Trust, TrustState};
use venom_protocol::{NodeId, SkillReport, SkillState, Timestamp, UpdateReport};

use super::fetch::{FetchError, Fetcher};
use super::keeper::Keeper;
use super::ledger::{Kept, Ledger};
use super::line::{Mail, UpdateLine};
use super::live::Live;
use super::plan::{Facts, Step, plan};
use super::stage::{self, NotStaged, Order, Staged, UpdateGround};
use super::trusted::Trusted;
use super::{UpdateError, UpdateSettings};

/// Between two looks at a version that is watched.
const LOOK: Duration = Duration::from_millis(50);
/// Between two looks at the plan when nothing happens: rollouts expire, and so do releases.
const IDLE: Duration = Duration::from_secs(30);
/// An answer that has not come by then is asked for again.
const ANSWER: Duration = Duration::from_secs(10);
/// Between two questions, however many hints come: anybody who can write to Redis can hint.
const ASK_GAP: Duration = Duration::from_millis(100);
/// Until documents that the disk did not take are asked for again.
const DISK_RETRY: Duration = Duration::from_secs(5);
/// First wait after a bundle could not be had or used for now; doubled each time.
const FIRST_RETRY: Duration = Duration::from_secs(1);
/// Longest wait.
const LAST_RETRY: Duration = Duration::from_secs(600);

/// Updates of one spore. Give it to [`crate::run`].
#[derive(Debug)]
pub struct Updater {
    settings: Arc<UpdateSettings>,
    ground: Arc<UpdateGround>,
    keeper: Keeper,
    trusted: Trusted,
    ledger: Ledger,
    live: Live,
    /// Fetching and staging.
    jobs: JoinSet<Done>,
    busy: BTreeSet<String>,
    /// Bundles that ask for more than their skills had, and what.
    held: BTreeMap<String, Digest>,
    later: BTreeMap<String, Later>,
    /// When the nexus was asked and has not answered.
    asked: Option<Instant>,
    ask_again: bool,
    last_ask: Option<Instant>,
    /// A question that came too soon after the last is asked then.
    ask_due: Option<Instant>,
    reported: Option<UpdateReport>,
    /// Since when the spore's own skills are there.
    began: Timestamp,
}

/// A skill that is tried again.
#[derive(Debug)]
struct Later {
    at: Instant,
    tries: u32,
}

/// What came of a job.
#[derive(Debug)]
struct Done {
    entry: Box<Entry>,
    release: Digest,
    result: Result<Staged, NotDone>,
}

#[derive(Debug)]
enum NotDone {
    Fetch(FetchError),
    Stage(NotStaged),
}

/// Who the updater works for.
pub(crate) struct Employer {
    pub(crate) node_id: NodeId,
    pub(crate) tags: Vec<String>,
    pub(crate) fetcher: Fetcher,
    pub(crate) line: Arc<UpdateLine>,
}

impl Updater {
    /// Reads what was kept and puts the installed skills in their places, so that a spore that starts without its nexus
    /// has them. Blocks; must be called in a tokio runtime.
    ///
    /// # Errors
    /// [`UpdateError`], when nothing safe can be made of what is there.
    pub fn open(settings: UpdateSettings, ground: UpdateGround) -> Result<Self, UpdateError> {
        let keeper = Keeper::open(&settings)?;
        let trusted = Trusted {
            state: keeper.trust(&settings)?,
            alarm: None,
            shown: false,
        };
        let ledger = keeper.ledger(&settings)?;
        let mut updater = Self {
            live: Live::new(ground.skills.clone(), settings.drain),
            settings: Arc::new(settings),
            ground: Arc::new(ground),
            keeper,
            trusted,
            ledger,
            jobs: JoinSet::new(),
            busy: BTreeSet::new(),
            held: BTreeMap::new(),
            later: BTreeMap::new(),
            asked: None,
            ask_again: false,
            last_ask: None,
            ask_due: None,
            reported: None,
            began: Timestamp::now(),
        };
        updater.restore();
        Ok(updater)
    }

    pub(crate) fn allowed_hosts(&self) -> Vec<String> {
        self.settings.allowed_hosts.clone()
    }

    /// Runs until it is dropped.
    pub(crate) async fn run(mut self, employer: Employer) {
        let mut poll = Instant::now();
        loop {
            self.reconcile(&employer).await;
            self.keeper.write_audit().await;
            self.report(&employer);
            let wake = self.next_look().min(poll);
            tokio::select! {
                mail = employer.line.mail() => self.on_mail(mail, &employer).await,
                Some(done) = self.jobs.join_next(), if !self.jobs.is_empty() => {
                    if let Ok(done) = done {
                        self.on_done(done, &employer).await;
                    }
                }
                name = self.live.cut_off() => self.ready_again(&name).await,
                () = sleep_until(wake) => {}
            }
            if Instant::now() >= poll {
                self.ask(&employer);
                poll = Instant::now() + jittered(self.settings.poll);
            }
            let unanswered = self.ask_again && self.asked.is_none_or(|at| at.elapsed() >= ANSWER);
            if unanswered || self.ask_due.is_some_and(|due| due <= Instant::now()) {
                self.ask_again = false;
                self.ask(&employer);
            }
            self.watch(&employer).await;
        }
    }

    /// After a restart: what the ledger says answers, answers.
    fn restore(&mut self) {
        for (name, record) in self.ledger.skills.clone() {
            let Some(kept) = &record.current else { continue };
            let previous = record.previous.as_ref().and_then(|kept| self.load(&name, kept).ok());
            match self.load(&name, kept) {
                Ok(current) => {
                    let soak = (record.state == SkillState::Soaking).then_some(self.settings.soak);
                    let previous = previous.map(|staged| staged.loaded);
                    self.live.restore(&name, current.loaded, previous, soak);
                }
                Err(why) => self.could_not_restore(&name, &why, previous),
            }
        }
    }

    fn could_not_restore(&mut self, name: &str, why: &str, previous: Option<Staged>) {
        tracing::error!(
            skill = name,
            why,
            "an installed skill cannot be loaded; it is fetched again"
        );
        let reason = format!("it cannot be loaded any more: {why}");
        let now = Timestamp::now();
        let fit = |_: &Kept| previous.is_some();
        self.ledger.stepped_back(name, SkillState::Failed, reason, fit, now);
        if let Some(previous) = previous {
            self.live.restore(name, previous.loaded, None, None);
        }
    }

    /// Loads what is kept on disk. Blocks.
    fn load(&self, name: &str, kept: &Kept) -> Result<Staged, String> {
        let path = self.keeper.disk.bundle(&kept.bundle.file_sha256);
        stage::load(&self.ground, &self.order(entry_of(name, kept), None), &path)
    }

    fn order(&self, entry: Entry, before: Option<Request>) -> Order {
        let state = self.trusted.state.as_ref();
        Order {
            entry,
            before,
            trust: state.map_or_else(Trust::nobody, TrustState::trust),
            release_grants: self.settings.release_grants,
            probe_timeout: self.settings.probe_timeout,
        }
    }

    async fn on_mail(&mut self, mail: Mail, employer: &Employer) {
        if mail.linked {
            (self.reported, self.asked) = (None, None);
        }
        if let Some(answer) = mail.answer {
            self.asked = None;
            let digested = self.trusted.digest(&answer, &self.settings, &self.keeper).await;
            if digested.news {
                self.later.clear();
            }
            if digested.not_kept {
                self.ask_due = Some(Instant::now() + jittered(DISK_RETRY));
            }
            if digested.more || std::mem::take(&mut self.ask_again) {
                self.ask(employer);
            }
        }
        if mail.linked || mail.hinted {
            self.ask(employer);
        }
    }

    /// Asks, unless an answer is on its way: then once more after that.
    fn ask(&mut self, employer: &Employer) {
        if self.asked.is_some_and(|at| at.elapsed() < ANSWER) {
            self.ask_again = true;
            return;
        }
        let now = Instant::now();
        let free = self.last_ask.map_or(now, |last| last + ASK_GAP);
        if free > now {
            self.ask_due = Some(free);
            return;
        }
        if let Some(ask) = self.trusted.ask(&self.settings) {
            (self.asked, self.last_ask, self.ask_due) = (Some(now), Some(now), None);
            employer.line.ask(ask);
        }
    }

    /// When there is something to look at unasked.
    fn next_look(&self) -> Instant {
        let now = Instant::now();
        let watch = self.live.is_watching().then(|| now + LOOK);
        let later = self.later.values().map(|later| later.at).min();
        [watch, later, self.ask_due]
            .into_iter()
            .flatten()
            .fold(now + IDLE, Instant::min)
    }

    async fn reconcile(&mut self, employer: &Employer) {
        self.drop_revoked_local(employer);
        // steps of one plan are of different skills; what one changes the next plan sees
        for step in self.plan(employer) {
            self.carry_out(step, employer).await;
        }
    }

    /// The spore's own skills count no less when a root or release revokes their bundles.
    fn drop_revoked_local(&mut self, employer: &Employer) {
        let Some(trust) = &self.trusted.state else { return };
        let busy = BTreeSet::new();
        let facts = self.facts(trust, employer, &busy);
        let local = self.live.local();
        let revoked = local.filter(|(_, skill)| facts.is_revoked(&skill.digest(), &[]));
        let revoked: Vec<String> = revoked.map(|(name, _)| name.clone()).collect();
        for name in revoked {
            tracing::error!(
                skill = name,
                "a skill of this spore's own directory is revoked and stopped"
            );
            self.live.drop_local(&name);
            self.keeper.audit("local_skill_revoked", json!({ "skill": name }));
            employer.line.skills_changed();
        }
    }

    fn plan(&self, employer: &Employer) -> Vec<Step> {
        let Some(trust) = &self.trusted.state else {
            return Vec::new();
        };
        let now = Instant::now();
        let waiting = self
            .later
            .iter()
            .filter(|(_, later)| later.at > now)
            .map(|(name, _)| name);
        let busy = self.busy.iter().chain(waiting).cloned().collect();
        plan(&self.facts(trust, employer, &busy))
    }

    fn facts<'a>(&'a self, trust: &'a TrustState, employer: &'a Employer, busy: &'a BTreeSet<String>) -> Facts<'a> {
        Facts {
            node_id: employer.node_id,
            tags: &employer.tags,
            trust,
            ledger: &self.ledger,
            settings: &self.settings,
            local_trust: &self.ground.trust,
            busy,
            held: &self.held,
            now: Timestamp::now(),
        }
    }

    async fn carry_out(&mut self, step: Step, employer: &Employer) {
        match step {
            Step::Wait { skill, reason, wake } => {
                if let Some(wake) = wake {
                    let at = Instant::now() + wake;
                    self.later.insert(skill.clone(), Later { at, tries: 0 });
                }
                self.ledger
                    .note(&skill, SkillState::Waiting, Some(reason), Timestamp::now());
            }
            Step::Install { entry, release } => self.install(entry, release, employer),
            Step::Keep { skill } => {
                self.ledger.committed(&skill, Timestamp::now());
                self.keep_ledger().await;
            }
            Step::Revert { skill } => {
                let reason = "the rollout took the release back".to_owned();
                self.step_back(&skill, SkillState::Reverted, reason, employer).await;
            }
            Step::Remove { skill } => self.remove(&skill, employer).await,
            Step::Evict { skill, fallback } => {
                self.step_back(&skill, SkillState::Removed, "it is revoked".to_owned(), employer)
                    .await;
                if let Some(entry) = fallback {
                    self.fall_back(*entry, employer);
                }
            }
        }
    }

    /// Fetches and stages beside the loop.
    fn install(&mut self, entry: Box<Entry>, release: Digest, employer: &Employer) {
        let name = entry.skill.clone();
        self.busy.insert(name.clone());
        self.ledger.note(&name, SkillState::Fetching, None, Timestamp::now());
        let before = self.live.current(&name).map(|loaded| loaded.asks.clone());
        let order = Arc::new(self.order((*entry).clone(), before));
        let (fetcher, disk) = (employer.fetcher.clone(), self.keeper.disk.clone());
        let ground = Arc::clone(&self.ground);
        self.jobs.spawn(async move {
            let result = async {
                let path = fetcher.fetch(&disk, &entry.bundle).await.map_err(NotDone::Fetch)?;
                let path: Arc<Path> = path.into();
                stage::stage(ground, order, path).await.map_err(NotDone::Stage)
            };
            Done {
                result: result.await,
                entry,
                release,
            }
        });
    }

    async fn on_done(&mut self, done: Done, employer: &Employer) {
        let Done { entry, release, result } = done;
        let name = entry.skill.as_str();
        self.busy.remove(name);
        let now = Timestamp::now();
        match result {
            Ok(staged) => self.swap(*entry, release, staged, employer).await,
            Err(NotDone::Fetch(error)) => {
                let wait = self.put_off(name, error.retry_after());
                tracing::warn!(skill = name, %error, ?wait, "a bundle could not be fetched; trying again");
                self.ledger.note(name, SkillState::Failed, Some(error.to_string()), now);
            }
            Err(NotDone::Stage(NotStaged::NotNow(why))) => {
                let wait = self.put_off(name, None);
                tracing::warn!(
                    skill = name,
                    why,
                    ?wait,
                    "a bundle cannot be used here now; trying again"
                );
                self.ledger.note(name, SkillState::Failed, Some(why), now);
            }
            Err(NotDone::Stage(NotStaged::Held(more))) => {
                self.held.insert(name.to_owned(), entry.bundle.sha256);
                let asks = more.join(", ");
                let facts = json!({ "skill": name, "version": entry.bundle.version, "asks": more });
                self.keeper.audit("update_held", facts);
                let reason = format!("it asks for more than the version before: {asks}; an operator must approve it");
                self.ledger.note(name, SkillState::Held, Some(reason), now);
            }
            Err(NotDone::Stage(NotStaged::Bad(why))) => self.refuse(*entry, why, employer).await,
        }
    }

    /// Waits longer each time, by chance; at least as long as the source asks for.
    fn put_off(&mut self, name: &str, at_least: Option<Duration>) -> Duration {
        let tries = self.later.get(name).map_or(0, |later| later.tries);
        let bound = FIRST_RETRY.saturating_mul(1 << tries.min(12)).min(LAST_RETRY);
        let wait = at_least.unwrap_or_default() + jittered(bound);
        let later = Later {
            at: Instant::now() + wait,
            tries: tries + 1,
        };
        self.later.insert(name.to_owned(), later);
        wait
    }

    /// The newest release, if there was one.
    fn release(&self) -> Option<&Release> {
        let current = self.trusted.state.as_ref()?.current()?;
        Some(current.release.release())
    }

    /// What it wants here.
    fn wanted(&self, employer: &Employer) -> Vec<&Entry> {
        self.release()
            .map_or_else(Vec::new, |release| release.wanted(employer.node_id, &employer.tags))
    }

    async fn keep_ledger(&self) -> bool {
        let kept = self.keeper.keep_ledger(&self.ledger).await;
        if let Err(error) = &kept {
            tracing::error!(%error, "the ledger of installed skills cannot be kept on disk");
        }
        kept.is_ok()
    }

    /// Tells the nexus how this spore stands, when that is news.
    fn report(&mut self, employer: &Employer) {
        let report = self.make_report(employer);
        if self.reported.as_ref() != Some(&report) {
            employer.line.report(report.clone());
            self.reported = Some(report);
        }
    }

    fn make_report(&self, employer: &Employer) -> UpdateReport {
        let state = self.trusted.state.as_ref();
        let rollout = state.and_then(|state| state.current()?.rollout.as_ref());
        let wanted = self.wanted(employer);
        let skills = self.ledger.skills.iter();
        let installed = skills.map(|(name, record)| record.report(name, of(&wanted, name)));
        let local = self
            .live
            .local()
            .filter(|(name, _)| !self.ledger.skills.contains_key(*name));
        let local = local.map(|(name, skill)| SkillReport {
            skill: name.clone(),
            state: SkillState::Local,
            version: Some(skill.version().to_string()),
            bundle_sha256: Some(skill.digest().to_string()),
            wanted_version: None,
            wanted_sha256: None,
            reason: None,
            since: self.began,
        });
        UpdateReport {
            node_id: employer.node_id,
            channel: self.settings.channel.to_string(),
            root_version: state.map_or(0, |state| state.root().root().version),
            release: self.trusted.mark(),
            rollout_counter: rollout.map_or(0, |rollout| rollout.rollout().counter),
            stale: state.and_then(|state| state.stale(Timestamp::now())),
            alarm: self.trusted.alarm.clone(),
            skills: installed.chain(local).collect(),
        }
    }
}

/// The entry of one skill.
fn of<'a>(wanted: &[&'a Entry], name: &str) -> Option<&'a Entry> {
    wanted.iter().find(|entry| entry.skill == name).copied()
}

/// Up to a fifth less, by chance, so that spores do not all come at once.
fn jittered(time: Duration) -> Duration {
    time.mul_f64(rand::rng().random_range(0.8..=1.0))
}

/// What is kept, as an entry that wants just that.
fn entry_of(name: &str, kept: &Kept) -> Entry {
    Entry {
        skill: name.to_owned(),
        bundle: kept.bundle.clone(),
        selector: venom_bundle::Selector::default(),
        grants: kept.grants.clone(),
        approved: true,
        floor: None,
        fallback: None,
    }
}
