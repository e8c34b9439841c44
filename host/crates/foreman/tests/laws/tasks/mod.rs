//! A naive broker and a naive hive beside the foreman: tasks are submitted, planned for, leased, and everything may
//! happen to the nodes meanwhile. Checked after every action, so that each sees the world as it was then.

mod checks;
mod deeds;
mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use venom_foreman::{Action, Event, Foreman, LinkId, Moment, Settings};
use venom_protocol::{Capabilities, Lane, NodeId, Placement, Priority, RequestId, Requirements, TaskId};

use super::model::{TAGS, node_id};

/// One random deed. `pick` chooses among what is there, modulo its number.
#[derive(Debug, Clone)]
pub(crate) enum Deed {
    Connect {
        node: u8,
        boot: u8,
        kit: u8,
        concurrency: Option<u32>,
    },
    Beat {
        pick: u8,
        cpu: u8,
        tasks: u32,
        credits: Option<u32>,
    },
    Status {
        pick: u8,
        kit: u8,
        draining: bool,
    },
    Leave(u8),
    Close(u8),
    Drain {
        node: u8,
        drain: bool,
    },
    Call {
        node: u8,
        skill: u8,
    },
    Submit {
        lane: u8,
        priority: u8,
        manner: u8,
    },
    /// Plans, claims, and tells the leases.
    Claim(u8),
    /// A lease that no plan asked for: nothing the foreman may rely on.
    Push(u8),
    /// The broker leased a task to us that we still have.
    LeaseAgain(u8),
    Answer {
        pick: u8,
        how: u8,
        forged: bool,
    },
    /// A late answer of a call that is over.
    AnswerLate(u8),
    Unsent(u8),
    Yield(u8),
    Resume(u8),
    Cancel(u8),
    LoseLeases,
    /// In quarters of a second.
    Wait(u8),
}

#[derive(Debug, Clone)]
struct Live {
    node: NodeId,
    protocol: u32,
    kit: Capabilities,
    leaving: bool,
    drains_itself: bool,
    concurrency: Option<u32>,
    credits: Option<i64>,
    /// The foreman gave its tasks up, and it said nothing since.
    given_up: bool,
    paused_until: Moment,
}

/// A call in flight.
#[derive(Debug, Clone)]
struct Flight {
    node: NodeId,
    task: Option<TaskId>,
    yielded: bool,
}

/// A task as the naive broker keeps it.
#[derive(Debug, Clone)]
struct Task {
    lane: Lane,
    needs: (u8, Requirements, Option<String>),
    priority: Priority,
    placement: Placement,
    fence: u64,
    attempt: u32,
    losses: u32,
    last_node: Option<NodeId>,
}

#[derive(Debug)]
pub(crate) struct Tasks {
    foreman: Foreman,
    now: Moment,
    log: Vec<(Moment, Event, Vec<Action>)>,
    links: BTreeMap<LinkId, Live>,
    drained: BTreeSet<NodeId>,
    flying: BTreeMap<RequestId, Flight>,
    /// Calls that are over, and run on a v1 node.
    overdue: BTreeMap<RequestId, NodeId>,
    over: Vec<(RequestId, NodeId)>,
    tasks: BTreeMap<TaskId, Task>,
    waiting: BTreeSet<TaskId>,
    /// Open leases: fence, call, and since when it is held.
    leased: BTreeMap<TaskId, (u64, RequestId, Moment)>,
    chosen: BTreeMap<NodeId, u64>,
    serial: u64,
}

pub(crate) fn settings() -> Settings {
    Settings {
        max_in_flight_per_node: 5,
        max_offline_nodes: 3,
        tasks_without_credits: 2,
        ..Settings::with_heartbeat_timeout(Duration::from_secs(20))
    }
}

fn requirements(lane: u8) -> Requirements {
    let tag = |bit: u8, index: usize| (lane >> bit & 1 == 1).then(|| TAGS[index].to_owned());
    Requirements {
        tags: tag(2, 0).into_iter().collect(),
        exclude_tags: tag(3, 1).into_iter().collect(),
        node_id: (lane >> 5 == 7).then(|| node_id(1)),
        ..Requirements::default()
    }
}

impl Tasks {
    pub(crate) fn new() -> Self {
        Self {
            foreman: Foreman::new(settings()),
            now: Moment::default(),
            log: Vec::new(),
            links: BTreeMap::new(),
            drained: BTreeSet::new(),
            flying: BTreeMap::new(),
            overdue: BTreeMap::new(),
            over: Vec::new(),
            tasks: BTreeMap::new(),
            waiting: BTreeSet::new(),
            leased: BTreeMap::new(),
            chosen: BTreeMap::new(),
            serial: 0,
        }
    }

    pub(crate) fn log(&self) -> &[(Moment, Event, Vec<Action>)] {
        &self.log
    }

    pub(crate) fn apply(&mut self, deed: &Deed) {
        match *deed {
            Deed::Wait(quarters) => {
                for _ in 0..quarters {
                    self.now.0 += Duration::from_millis(250);
                    self.step(Event::Tick);
                }
            }
            Deed::Submit { lane, priority, manner } => self.submit(lane, priority, manner),
            Deed::Claim(batch) => self.claim(usize::from(batch)),
            Deed::Push(pick) => {
                if let Some(task) = nth(&self.waiting, pick) {
                    self.lease(task);
                }
            }
            Deed::LeaseAgain(pick) => {
                if let Some(task) = nth(self.leased.keys(), pick) {
                    self.lease(task);
                }
            }
            _ => {
                if let Some(event) = self.event(deed) {
                    self.step(event);
                }
            }
        }
    }

    /// After this nothing may be left.
    pub(crate) fn close_everything(&mut self) {
        for link in self.links.keys().copied().collect::<Vec<_>>() {
            self.step(Event::LinkClosed {
                link,
                graceful: false,
                reason: String::new(),
            });
        }
        assert!(self.leased.is_empty(), "leases that nothing came of: {:?}", self.leased);
        let counts = self.foreman.counts();
        assert_eq!(
            (counts.calls_in_flight, counts.tasks_running, counts.tasks_held),
            (0, 0, 0)
        );
        assert_eq!(self.foreman.assigned().count(), 0);
        let debug = format!("{:?}", self.foreman);
        for empty in ["deadlines: {}", "laden: {}", "groups: {}", "freed: []", "fewer: false"] {
            assert!(debug.contains(empty), "not {empty}");
        }
    }

    /// Feeds the foreman, then checks every action and the whole state.
    fn step(&mut self, event: Event) {
        self.before(&event);
        let expected = match &event {
            Event::TaskLeased(order) if !self.leased.contains_key(&order.task_id) => Some(self.best(order)),
            _ => None,
        };
        if let Event::TaskLeased(order) = &event {
            self.waiting.remove(&order.task_id);
            if let Some((fence, request_id, _)) = self.leased.get(&order.task_id).copied() {
                // the older lease ends first
                self.leased.insert(order.task_id, (fence, request_id, self.now));
            } else {
                self.leased
                    .insert(order.task_id, (order.fence, order.request_id, self.now));
            }
        }
        let actions = self.foreman.step(self.now, event.clone());
        let held_before: BTreeSet<TaskId> = self.leased.keys().copied().collect();
        for action in &actions {
            self.check(&event, action);
        }
        if let Some(best) = expected {
            let sent = actions.iter().find_map(|action| match action {
                Action::SendCall { node_id, .. } => Some(*node_id),
                _ => None,
            });
            assert_eq!(sent, best, "not the best of those that fit: {event:?}");
        }
        if let Event::LeasesLost = event {
            self.lose_leases(&held_before);
        }
        self.log.push((self.now, event, actions));
        self.check_state();
    }
}

pub(super) fn nth<'a, T: Copy + 'a>(among: impl IntoIterator<Item = &'a T, IntoIter: Clone>, pick: u8) -> Option<T> {
    let all = among.into_iter();
    let at = usize::from(pick).checked_rem(all.clone().count())?;
    all.clone().nth(at).copied()
}
