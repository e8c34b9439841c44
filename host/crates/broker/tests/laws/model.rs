//! Long histories beside a naive model: workers that die at work, and random operations one after the other.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use venom_broker::{Cancelled, EndingKind, Lease, NewTask, Recorded, State, Want};
use venom_protocol::{SessionId, TaskId};

use crate::chance::Chance;
use crate::client::{Hive, completed, failed, lane, level, ms, retry, task, want_of};
use crate::maker::Maker;
use crate::views::assert_recount;

/// What every lease that was seen says of its task.
#[derive(Default)]
struct Seen {
    fences: HashMap<TaskId, u64>,
    /// How often an end was acknowledged.
    ends: HashMap<TaskId, usize>,
}

impl Seen {
    fn lease(&mut self, lease: &Lease) {
        let before = self.fences.insert(lease.id, lease.fence).unwrap_or_default();
        assert!(
            lease.fence > before,
            "{}: fence {} after {before}",
            lease.id,
            lease.fence
        );
        assert_eq!(self.ends.get(&lease.id), None, "{} had ended", lease.id);
    }
}

pub(crate) async fn workers_that_die_lose_nothing(make: &Maker) {
    const TASKS: usize = 200;
    let hive = Arc::new(make.hive_with(|settings| settings.session_ttl = ms(300)).await);
    let submitted = hive.submit_some(TASKS).await;
    let seen = Arc::new(Mutex::new(Seen::default()));
    let deaths = Arc::new(AtomicUsize::new(0));
    let mut workers = tokio::task::JoinSet::new();
    for number in 0..3 {
        let (hive, seen, deaths) = (Arc::clone(&hive), Arc::clone(&seen), Arc::clone(&deaths));
        workers.spawn(async move {
            let mut chance = Chance::new(number);
            while hive.counts().await.completed < u64::try_from(TASKS).unwrap() {
                live(&hive, &seen, &mut chance).await;
                deaths.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    while let Some(ended) = workers.join_next().await {
        ended.unwrap();
    }
    for (id, stored) in submitted.iter().zip(hive.tasks(&submitted).await) {
        let stored = stored.expect("none is lost");
        assert_eq!(stored.state, State::Completed);
        assert_eq!(seen.lock().unwrap().ends.get(id), Some(&1), "{id} ended once");
    }
    assert!(deaths.load(Ordering::Relaxed) >= 3);
    assert_recount(&hive).await;
}

/// One life of a worker: it works until it dies with leases in its hands, or until all is done.
async fn live(hive: &Hive, seen: &Mutex<Seen>, chance: &mut Chance) {
    let session = hive.session().await;
    for _ in 0..chance.below(40) {
        hive.renew(session).await;
        hive.tend().await;
        let leases = hive.claim(session, 4).await;
        for lease in &leases {
            // Held back for a moment by its own worker, a lease may be an old one by now; then it is stale below.
            if chance.below(8) == 0 {
                return;
            }
            let recorded = hive.end(session, lease, completed("1")).await;
            if recorded == Recorded::Written(State::Completed) {
                *seen.lock().unwrap().ends.entry(lease.id).or_default() += 1;
            }
        }
        if leases.is_empty() {
            tokio::time::sleep(ms(5)).await;
        }
    }
}

/// One client of a hive, and what it believes.
struct History {
    hive: Hive,
    chance: Chance,
    seen: Seen,
    tasks: Vec<TaskId>,
    sessions: Vec<SessionId>,
    /// Leases it was given and did not end, also of sessions that are dead.
    held: Vec<(SessionId, Lease)>,
    ended: HashMap<TaskId, State>,
    requeued: usize,
}

const SKILLS: [&str; 3] = ["A", "B", "C"];
const LEVELS: [u8; 2] = [2, 8];

pub(crate) async fn random_histories_keep_the_books(make: &Maker) {
    let hive = make.hive_with(|settings| settings.session_ttl = ms(1_000)).await;
    let sessions = vec![hive.session().await, hive.session().await];
    let mut history = History {
        hive,
        chance: Chance::named("histories"),
        seen: Seen::default(),
        tasks: Vec::new(),
        sessions,
        held: Vec::new(),
        ended: HashMap::new(),
        requeued: 0,
    };
    for step in 0..250 {
        history.step().await;
        if step % 25 == 24 {
            assert_recount(&history.hive).await;
            history.nothing_ended_twice().await;
        }
    }
    history.drain().await;
    history.check().await;
}

impl History {
    async fn step(&mut self) {
        for session in &self.sessions {
            self.hive.renew(*session).await;
        }
        match self.chance.below(12) {
            0..=2 => self.submit().await,
            3..=5 => self.claim().await,
            6..=8 => self.end().await,
            9 => self.cancel().await,
            10 => self.requeue().await,
            _ => self.replace_session().await,
        }
        self.hive.tend().await;
    }

    async fn submit(&mut self) {
        let mut batch: Vec<NewTask> = Vec::new();
        for _ in 0..=self.chance.below(6) {
            let parents = if self.chance.below(3) == 0 {
                1 + self.chance.below(2)
            } else {
                0
            };
            let known: Vec<TaskId> = self
                .tasks
                .iter()
                .copied()
                .chain(batch.iter().map(|task| task.id))
                .collect();
            let depends_on = (0..parents).filter_map(|_| self.chance.pick(&known).copied()).collect();
            batch.push(NewTask {
                lane: lane(self.chance.pick(&SKILLS).unwrap()),
                priority: level(*self.chance.pick(&LEVELS).unwrap()),
                delay: if self.chance.below(6) == 0 { ms(20) } else { ms(0) },
                depends_on,
                ..task()
            });
        }
        if let Some(known) = self.tasks.last() {
            batch.push(NewTask { id: *known, ..task() });
        }
        let ids = self.hive.submit(&batch).await;
        for (id, task) in ids.iter().zip(&batch) {
            assert_eq!(*id, task.id);
            if !self.tasks.contains(id) {
                self.tasks.push(*id);
            }
        }
    }

    fn wants(&mut self) -> Vec<Want> {
        let mut wants = Vec::new();
        for skill in SKILLS {
            for priority in LEVELS {
                let want = want_of(lane(skill), 1 + self.chance.below(3));
                let priority = level(priority);
                wants.push(Want { priority, ..want });
            }
        }
        wants
    }

    async fn claim(&mut self) {
        let session = *self.chance.pick(&self.sessions).unwrap();
        let wants = self.wants();
        let total = 1 + self.chance.below(8);
        let claim = self.hive.claim_wants(session, &wants, total).await;
        assert!(claim.leases.len() <= total);
        for lease in claim.leases {
            self.seen.lease(&lease);
            self.held.push((session, lease));
        }
    }

    /// Ends a lease that was given once, rightly or not.
    async fn end(&mut self) {
        if self.held.is_empty() {
            return;
        }
        let at = self.chance.below(self.held.len());
        let (session, lease) = self.held.swap_remove(at);
        let kind = match self.chance.below(10) {
            0..=5 => completed("1"),
            6 => failed("no"),
            7 => retry(ms(0)),
            8 => retry(ms(20)),
            _ => EndingKind::Returned,
        };
        let recorded = self.hive.end(session, &lease, kind).await;
        if self.seen.fences[&lease.id] > lease.fence {
            assert_eq!(recorded, Recorded::Stale, "{} has a newer lease", lease.id);
        }
        if let Recorded::Written(state) = recorded {
            assert!(!self.ended.contains_key(&lease.id), "{} had ended", lease.id);
            if state.has_ended() {
                self.note_end(lease.id, state);
            }
        }
    }

    fn note_end(&mut self, id: TaskId, state: State) {
        let before = self.ended.insert(id, state);
        assert_eq!(before.filter(|before| *before != state), None, "{id} had ended");
        self.seen.ends.insert(id, 1);
    }

    async fn cancel(&mut self) {
        let Some(id) = self.chance.pick(&self.tasks).copied() else {
            return;
        };
        match self.hive.cancel(id).await {
            Cancelled::Now(_) => self.note_end(id, State::Cancelled),
            Cancelled::Asked => {}
            Cancelled::Ended(state) => self.note_end(id, state),
            Cancelled::Unknown => panic!("{id} was taken in"),
        }
    }

    async fn requeue(&mut self) {
        let Some(id) = self.chance.pick(&self.tasks).copied() else {
            return;
        };
        let before = self.hive.state(id).await;
        let done = self.hive.requeue(id).await;
        assert_eq!(
            done,
            matches!(before, State::Failed | State::Cancelled),
            "{id} was {before:?}"
        );
        if done {
            self.ended.remove(&id);
            self.seen.ends.remove(&id);
            self.requeued += 1;
        }
    }

    /// One leaves, in order or not, and another comes.
    async fn replace_session(&mut self) {
        let at = self.chance.below(self.sessions.len());
        let old = std::mem::replace(&mut self.sessions[at], self.hive.session().await);
        if self.chance.below(2) == 0 {
            crate::client::insist(|| self.hive.broker.leave(old)).await.0.unwrap();
        }
    }

    /// What was acknowledged as ended stays as it was.
    async fn nothing_ended_twice(&self) {
        for (id, state) in &self.ended {
            assert_eq!(self.hive.state(*id).await, *state, "{id}");
        }
    }

    /// Lets the dead be found, and does the rest of the work.
    async fn drain(&mut self) {
        self.sessions = vec![self.hive.session().await];
        self.held.clear();
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
        loop {
            let session = self.sessions[0];
            self.hive.renew(session).await;
            self.hive.tend().await;
            let wants = self.wants();
            for lease in self.hive.claim_wants(session, &wants, 20).await.leases {
                self.seen.lease(&lease);
                if let Recorded::Written(state) = self.hive.end(session, &lease, completed("1")).await {
                    self.note_end(lease.id, state);
                }
            }
            let counts = self.hive.counts().await;
            if counts.running == 0 && counts.waiting() == 0 {
                return;
            }
            assert!(std::time::Instant::now() < deadline, "{counts:?}");
        }
    }

    async fn check(&self) {
        assert!(self.tasks.len() > 50 && self.requeued > 0, "a history worth looking at");
        self.nothing_ended_twice().await;
        let mut found: HashMap<State, u64> = HashMap::new();
        for stored in self.hive.tasks(&self.tasks).await {
            let stored = stored.expect("none is lost");
            assert!(stored.state.has_ended(), "{stored:?}");
            *found.entry(stored.state).or_default() += 1;
        }
        let of = |state| found.get(&state).copied().unwrap_or_default();
        let counts = self.hive.counts().await;
        assert_eq!(counts.completed, of(State::Completed));
        assert_eq!(counts.dead, of(State::Failed));
        let again = u64::try_from(self.requeued).unwrap();
        assert_eq!(
            counts.failed + counts.cancelled,
            of(State::Failed) + of(State::Cancelled) + again
        );
        assert_recount(&self.hive).await;
    }
}
