//! A naive broker and a naive hive beside the foreman: tasks are submitted, planned for, leased, and everything may
//! happen to the nodes meanwhile. Checked after every action, so that each sees the world as it was then.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use venom_foreman::{
    Action, CallReport, Event, Foreman, LinkId, Moment, NodeRecord, Settings, Settlement, Target, TaskOrder,
};
use venom_protocol::{
    Backoff, Capabilities, ErrorCode, Lane, NodeId, Placement, Priority, RequestId, Requirements, Strategy, TaskId,
};

use super::model::{SKILLS, TAGS, kit, node_id};

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

    fn event(&mut self, deed: &Deed) -> Option<Event> {
        Some(match *deed {
            Deed::Connect {
                node,
                boot,
                kit: bits,
                concurrency,
            } => Event::NodeConnected {
                link: LinkId(self.next()),
                node_id: node_id(node),
                name: format!("spore-{node}"),
                capabilities: kit(bits),
                // boot 0 is a v1 peer
                protocol: if boot == 0 { 1 } else { 2 },
                concurrency: concurrency.filter(|_| boot > 0),
                boot_id: (boot > 0).then(|| boot.to_string()),
            },
            Deed::Beat {
                pick,
                cpu,
                tasks,
                credits,
            } => {
                let link = self.link(pick)?;
                Event::Heartbeat {
                    link,
                    cpu: f64::from(cpu) / 4.0,
                    memory: 0.0,
                    active_tasks: tasks,
                    credits: credits.filter(|_| self.links[&link].protocol > 1),
                }
            }
            Deed::Status {
                pick,
                kit: bits,
                draining,
            } => Event::StatusChanged {
                link: self.link(pick)?,
                capabilities: kit(bits),
                draining,
            },
            Deed::Leave(pick) => Event::NodeLeft {
                link: self.link(pick)?,
                reason: String::new(),
            },
            Deed::Close(pick) => Event::LinkClosed {
                link: self.link(pick)?,
                graceful: pick % 2 == 0,
                reason: String::new(),
            },
            Deed::Drain { node, drain: true } => Event::DrainRequested { node_id: node_id(node) },
            Deed::Drain { node, drain: false } => Event::UndrainRequested { node_id: node_id(node) },
            Deed::Call { node, skill } => Event::CallRequested {
                request_id: self.request_id(),
                target: Target::Node(node_id(node)),
                skill: SKILLS[usize::from(skill)].to_owned(),
            },
            Deed::Answer { pick, how, forged } => {
                let request_id = nth(self.flying.keys(), pick)?;
                let link = if forged {
                    self.link(pick)?
                } else {
                    self.link_of(self.flying[&request_id].node)?
                };
                let report = report(how);
                Event::CallFinished {
                    link,
                    request_id,
                    report,
                }
            }
            Deed::AnswerLate(pick) => {
                let (request_id, node) = nth(&self.over, pick)?;
                Event::CallFinished {
                    link: self.link_of(node)?,
                    request_id,
                    report: CallReport::success(),
                }
            }
            Deed::Unsent(pick) => Event::CallAbandoned {
                request_id: nth(self.flying.keys(), pick)?,
            },
            Deed::Yield(pick) => {
                let request_id = nth(self.flying.keys(), pick)?;
                let link = self.link_of(self.flying[&request_id].node)?;
                Event::CallYielded { link, request_id }
            }
            Deed::Resume(pick) => {
                let request_id = nth(self.flying.keys(), pick)?;
                let link = self.link_of(self.flying[&request_id].node)?;
                Event::CallResumed { link, request_id }
            }
            Deed::Cancel(pick) => Event::TaskCancelRequested {
                task_id: nth(self.leased.keys(), pick)?,
            },
            Deed::LoseLeases => Event::LeasesLost,
            Deed::Submit { .. } | Deed::Claim(_) | Deed::Push(_) | Deed::LeaseAgain(_) | Deed::Wait(_) => return None,
        })
    }

    fn submit(&mut self, lane: u8, priority: u8, manner: u8) {
        let skill = lane % 3;
        let group = (lane >> 4 & 1 == 1).then(|| "nightly".to_owned());
        let requirements = requirements(lane);
        let strategy = [Strategy::LeastLoaded, Strategy::RoundRobin, Strategy::Spread];
        let task = Task {
            lane: Lane::of(SKILLS[usize::from(skill)], &requirements, group.as_deref()),
            needs: (skill, requirements, group),
            priority: Priority::new(priority).unwrap(),
            placement: Placement {
                strategy: strategy[usize::from(manner % 3)],
                prefer_tags: (manner >> 2 & 1 == 1).then(|| TAGS[1].to_owned()).into_iter().collect(),
                with_group: [None, Some(true), Some(false), None][usize::from(manner >> 3 & 3)],
            },
            fence: 0,
            attempt: 0,
            losses: 0,
            last_node: None,
        };
        let task_id = TaskId(uuid::Uuid::from_u128(u128::from(self.next())));
        self.tasks.insert(task_id, task);
        self.waiting.insert(task_id);
    }

    /// What a nexus does: plan, claim in the order of the wants, tell the leases.
    fn claim(&mut self, batch: usize) {
        let ready: BTreeSet<(Lane, Priority)> = self
            .waiting
            .iter()
            .map(|id| (self.tasks[id].lane.clone(), self.tasks[id].priority))
            .collect();
        let ready: Vec<(Lane, Priority)> = ready.into_iter().collect();
        let plan = self.foreman.plan(&ready, batch);
        let mut servable: BTreeSet<NodeId> = BTreeSet::new();
        let mut any = false;
        for (lane, priority) in &ready {
            let fitting = self.fitting(lane);
            let room: i64 = fitting.iter().map(|live| self.room(live)).sum();
            any |= room > 0;
            servable.extend(fitting.iter().map(|live| live.node));
            for want in plan
                .wants
                .iter()
                .filter(|want| (&want.lane, want.priority) == (lane, *priority))
            {
                assert!(
                    want.most > 0 && want.most as i64 <= room,
                    "{want:?} with room for {room}"
                );
            }
        }
        let union: i64 = servable
            .iter()
            .filter_map(|node| self.live(*node))
            .map(|live| self.room(live))
            .sum();
        assert!(
            plan.total <= batch && plan.total as i64 <= union,
            "{plan:?} with room for {union}"
        );
        assert_eq!(plan.total > 0, any && batch > 0, "{plan:?}");
        assert_eq!(plan.wants.is_empty(), plan.total == 0);
        let mut left = plan.total;
        for want in plan.wants {
            let of_want: Vec<TaskId> = self
                .waiting
                .iter()
                .copied()
                .filter(|id| (&self.tasks[id].lane, self.tasks[id].priority) == (&want.lane, want.priority))
                .take(want.most.min(left))
                .collect();
            left -= of_want.len();
            for task in of_want {
                self.lease(task);
            }
        }
    }

    fn lease(&mut self, task_id: TaskId) {
        let request_id = self.request_id();
        let fence = self.next();
        let task = self.tasks.get_mut(&task_id).unwrap();
        task.fence = fence;
        task.attempt += 1;
        let order = TaskOrder {
            request_id,
            task_id,
            fence,
            attempt: task.attempt,
            losses: task.losses,
            max_retries: 2,
            lane: task.lane.clone(),
            priority: task.priority,
            placement: task.placement.clone(),
            backoff: Backoff::default(),
            timeout: Duration::from_secs(3),
            avoid: task.last_node,
        };
        self.step(Event::TaskLeased(Box::new(order)));
    }

    fn next(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }

    fn request_id(&mut self) -> RequestId {
        RequestId(uuid::Uuid::from_u128(u128::from(self.next())))
    }

    fn link(&self, pick: u8) -> Option<LinkId> {
        nth(self.links.keys(), pick)
    }

    fn link_of(&self, node: NodeId) -> Option<LinkId> {
        let mut links = self.links.iter();
        links.find(|(_, live)| live.node == node).map(|(link, _)| *link)
    }

    fn live(&self, node: NodeId) -> Option<&Live> {
        self.links.values().find(|live| live.node == node)
    }

    fn live_mut(&mut self, node: NodeId) -> Option<&mut Live> {
        self.links.values_mut().find(|live| live.node == node)
    }

    fn in_hand(&self, node: NodeId) -> usize {
        let flying = self.flying.values().filter(|flight| flight.node == node);
        flying.count() + self.overdue.values().filter(|on| **on == node).count()
    }

    fn is_willing(&self, live: &Live) -> bool {
        !live.leaving && !live.drains_itself && !self.drained.contains(&live.node)
    }

    /// Tasks a node takes now, the slow and obvious way.
    fn room(&self, live: &Live) -> i64 {
        if !self.is_willing(live) || live.given_up || live.paused_until > self.now {
            return 0;
        }
        let in_hand = self.in_hand(live.node) as i64;
        let yielded = self
            .flying
            .values()
            .filter(|flight| flight.node == live.node && flight.yielded);
        let taken = in_hand - yielded.count() as i64;
        let slots = match (live.credits, live.concurrency) {
            (Some(credits), _) => credits,
            (None, Some(concurrency)) => i64::from(concurrency) - taken,
            (None, None) => i64::from(settings().tasks_without_credits) - taken,
        };
        slots.min(i64::from(settings().max_in_flight_per_node) - in_hand).max(0)
    }

    fn fits(&self, live: &Live, (skill, needs, _): &(u8, Requirements, Option<String>)) -> bool {
        live.kit.skills.iter().any(|has| has == SKILLS[usize::from(*skill)])
            && needs.tags.iter().all(|tag| live.kit.tags.contains(tag))
            && !needs.exclude_tags.iter().any(|tag| live.kit.tags.contains(tag))
            && needs.node_id.is_none_or(|node| node == live.node)
    }

    fn fitting(&self, lane: &Lane) -> Vec<&Live> {
        let task = self.tasks.values().find(|task| task.lane == *lane).unwrap();
        self.links
            .values()
            .filter(|live| self.fits(live, &task.needs))
            .collect()
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

    fn before(&mut self, event: &Event) {
        match event {
            Event::FrameSeen { link }
            | Event::Heartbeat { link, .. }
            | Event::StatusChanged { link, .. }
            | Event::CallFinished { link, .. } => {
                if let Some(live) = self.links.get_mut(link) {
                    live.given_up = false;
                }
            }
            _ => {}
        }
        match event {
            Event::LinkClosed { link, .. } => self.unlink(*link),
            Event::NodeLeft { link, .. } => {
                if let Some(live) = self.links.get_mut(link) {
                    live.leaving = true;
                }
            }
            Event::DrainRequested { node_id } if self.foreman.node(node_id).is_some() => {
                self.drained.insert(*node_id);
            }
            Event::UndrainRequested { node_id } => {
                self.drained.remove(node_id);
            }
            Event::StatusChanged {
                link,
                capabilities,
                draining,
            } => {
                if let Some(live) = self.links.get_mut(link).filter(|live| !live.leaving) {
                    live.kit = capabilities.clone();
                    live.drains_itself = *draining;
                }
            }
            Event::Heartbeat {
                link,
                active_tasks,
                credits,
                ..
            } => {
                let Some(node) = self.links.get(link).map(|live| live.node) else {
                    return;
                };
                let unseen = (self.in_hand(node) as i64 - i64::from(*active_tasks)).max(0);
                if let Some(live) = self.links.get_mut(link) {
                    live.credits = credits.map(|credits| i64::from(credits) - unseen);
                }
            }
            Event::CallYielded { link, request_id } => self.lend(*link, *request_id, true),
            Event::CallResumed { link, request_id } => self.lend(*link, *request_id, false),
            Event::CallFinished { link, request_id, .. } => {
                let node = self.links.get(link).map(|live| live.node);
                if node.is_some() && self.overdue.get(request_id).copied() == node {
                    self.overdue.remove(request_id);
                    self.add_credits(node.unwrap(), 1);
                }
            }
            Event::NodeConnected {
                link,
                node_id,
                capabilities,
                protocol,
                concurrency,
                ..
            } => {
                // taken back when the foreman refuses it
                let live = Live {
                    node: *node_id,
                    protocol: *protocol,
                    kit: capabilities.clone(),
                    leaving: false,
                    drains_itself: false,
                    concurrency: *concurrency,
                    credits: None,
                    given_up: false,
                    paused_until: Moment::default(),
                };
                self.links.insert(*link, live);
            }
            _ => {}
        }
    }

    fn lend(&mut self, link: LinkId, request_id: RequestId, yields: bool) {
        let node = self.links[&link].node;
        let flight = self.flying.get_mut(&request_id).unwrap();
        if flight.node == node && flight.yielded != yields {
            flight.yielded = yields;
            self.add_credits(node, if yields { 1 } else { -1 });
        }
    }

    fn add_credits(&mut self, node: NodeId, by: i64) {
        for live in self.links.values_mut().filter(|live| live.node == node) {
            live.credits = live.credits.map(|credits| credits + by);
        }
    }

    fn unlink(&mut self, link: LinkId) {
        if let Some(live) = self.links.remove(&link) {
            self.overdue.retain(|_, node| *node != live.node);
        }
    }

    fn check(&mut self, event: &Event, action: &Action) {
        match action {
            Action::SendCall {
                request_id,
                node_id,
                link,
            } => self.check_sent(event, *request_id, *node_id, *link),
            Action::CompleteCall { request_id, .. } | Action::FailCall { request_id, .. } => {
                self.land(*request_id, false);
            }
            Action::SettleTask {
                request_id,
                task_id,
                fence,
                node_id,
                settlement,
            } => self.check_settled(event, (*request_id, *task_id, *fence), *node_id, settlement),
            Action::CancelCall { request_id, link } => {
                assert!(self.links[link].protocol >= 2, "a v1 peer was asked to cancel");
                assert_eq!(self.flying[request_id].node, self.links[link].node);
            }
            Action::PingLink { link } => {
                let node = self.links[link].node;
                let mut tasks = self.flying.values().filter(|flight| flight.task.is_some());
                assert!(tasks.any(|flight| flight.node == node), "asked a node without tasks");
            }
            Action::CloseLink { link, .. } => match event {
                // refused at the door: nothing becomes of the node that is in
                Event::NodeConnected { link: new, .. } if new == link => {
                    self.links.remove(link);
                }
                _ => self.unlink(*link),
            },
            Action::NodeForgotten { node_id } => {
                self.drained.remove(node_id);
                self.chosen.remove(node_id);
            }
            _ => {}
        }
    }

    fn check_sent(&mut self, event: &Event, request_id: RequestId, node: NodeId, link: LinkId) {
        let live = &self.links[&link];
        assert_eq!(live.node, node);
        assert!(self.is_willing(live), "sent to {live:?}");
        let lease = self.leased.iter().find(|(_, lease)| lease.1 == request_id);
        let task = lease.map(|(task, _)| *task);
        if let Some(task) = task {
            assert!(self.room(live) > 0, "sent a task to a node without room, {live:?}");
            assert!(self.fits(live, &self.tasks[&task].needs), "sent a task to {live:?}");
            let twice = self.flying.values().any(|flight| flight.task == Some(task));
            assert!(!twice, "a task is on two nodes");
            self.tasks.get_mut(&task).unwrap().last_node = Some(node);
        } else {
            assert!(
                matches!(event, Event::CallRequested { .. }),
                "nobody asked for {request_id}"
            );
        }
        let flight = Flight {
            node,
            task,
            yielded: false,
        };
        assert!(self.flying.insert(request_id, flight).is_none(), "sent twice");
        self.serial += 1;
        self.chosen.insert(node, self.serial);
        self.add_credits(node, -1);
    }

    fn check_settled(
        &mut self,
        event: &Event,
        (request_id, task_id, fence): (RequestId, TaskId, u64),
        node: Option<NodeId>,
        settlement: &Settlement,
    ) {
        let lease = self.leased.remove(&task_id).expect("only an open lease is settled");
        assert_eq!((lease.0, lease.1), (fence, request_id));
        let ran = self.flying.contains_key(&request_id);
        if ran {
            let on = self.flying[&request_id].node;
            assert!(node.is_none_or(|node| node == on));
            let told = matches!(
                event,
                Event::Tick | Event::TaskCancelRequested { .. } | Event::TaskLeased(_)
            );
            let runs_on = told && self.live(on).is_some_and(|live| live.protocol == 1);
            self.land(request_id, runs_on);
            self.learn(event, on, settlement);
        } else {
            assert_eq!(node, None);
            assert!(
                matches!(settlement, Settlement::Return | Settlement::Cancel { .. }),
                "{settlement:?} of a held task"
            );
        }
        let task = self.tasks.get_mut(&task_id).unwrap();
        match settlement {
            Settlement::Retry { lost_node, .. } => {
                assert!(task.losses + 1 < settings().poison_losses || !lost_node);
                task.losses += u32::from(*lost_node);
                self.waiting.insert(task_id);
            }
            Settlement::Return => {
                task.attempt -= 1;
                self.waiting.insert(task_id);
            }
            Settlement::Complete | Settlement::Fail { .. } | Settlement::Cancel { .. } => {}
        }
        // the lease that ended this one is open now
        if let Event::TaskLeased(order) = event
            && order.task_id == task_id
            && order.fence != fence
        {
            self.waiting.remove(&task_id);
            self.leased.insert(task_id, (order.fence, order.request_id, self.now));
            self.tasks.get_mut(&task_id).unwrap().attempt = order.attempt;
        }
    }

    /// What the end of a task says of its node.
    fn learn(&mut self, event: &Event, node: NodeId, settlement: &Settlement) {
        let until = Moment(self.now.0 + settings().pause);
        let pauses = match event {
            Event::CallFinished { report, .. } => {
                matches!(report.code, Some(ErrorCode::Busy | ErrorCode::Draining)) && !report.success
            }
            Event::CallAbandoned { .. } => true,
            _ => false,
        };
        let gives_up = matches!(event, Event::Tick)
            && matches!(
                settlement,
                Settlement::Retry {
                    code: ErrorCode::NodeLost,
                    ..
                } | Settlement::Fail {
                    code: ErrorCode::NodeLost,
                    ..
                }
            );
        if let Some(live) = self.live_mut(node) {
            if pauses {
                live.paused_until = until;
            }
            live.given_up |= gives_up;
        }
    }

    /// A call ends.
    fn land(&mut self, request_id: RequestId, runs_on: bool) {
        let flight = self.flying.remove(&request_id).expect("only a call in flight ends");
        self.over.push((request_id, flight.node));
        let lent = i64::from(flight.yielded);
        self.add_credits(flight.node, 1 - lent - i64::from(runs_on));
        if runs_on {
            self.overdue.insert(request_id, flight.node);
        }
    }

    fn lose_leases(&mut self, all: &BTreeSet<TaskId>) {
        for task in all {
            let (_, request_id, _) = self.leased.remove(task).expect("settled though it is lost");
            if let Some(flight) = self.flying.get(&request_id) {
                let runs_on = self.live(flight.node).is_some_and(|live| live.protocol == 1);
                self.land(request_id, runs_on);
            }
            self.waiting.insert(*task);
        }
    }

    /// The slow and obvious way to choose: wishes in their order, then the strategy.
    fn best(&self, order: &TaskOrder) -> Option<NodeId> {
        let needs = &self.tasks[&order.task_id].needs;
        let placement = &order.placement;
        let runs_group = |node: NodeId| {
            let mut tasks = self.flying.values().filter(|flight| flight.node == node);
            let group = needs.2.as_ref();
            group.is_some()
                && tasks.any(|flight| {
                    flight
                        .task
                        .is_some_and(|task| self.tasks[&task].needs.2.as_ref() == group)
                })
        };
        let somewhere = self.links.values().any(|live| runs_group(live.node));
        let key = |live: &&Live| {
            let node = self.foreman.node(&live.node).unwrap();
            let preferred = placement.prefer_tags.iter().any(|tag| live.kit.tags.contains(tag));
            let together = placement.with_group.filter(|_| somewhere);
            let first = match placement.strategy {
                Strategy::LeastLoaded => 0,
                Strategy::RoundRobin => self.chosen.get(&live.node).copied().unwrap_or(0),
                Strategy::Spread => u64::from(node.in_flight()),
            };
            (
                order.avoid == Some(live.node),
                together.is_some_and(|together| together != runs_group(live.node)),
                !preferred,
                first,
                score(node).to_bits(),
                node.in_flight(),
                live.node,
            )
        };
        let fitting = self
            .links
            .values()
            .filter(|live| self.fits(live, needs) && self.room(live) > 0);
        fitting.min_by_key(key).map(|live| live.node)
    }

    fn check_state(&self) {
        let running = self.flying.values().filter(|flight| flight.task.is_some()).count();
        let counts = self.foreman.counts();
        assert_eq!(counts.calls_in_flight, self.flying.len());
        assert_eq!(counts.tasks_running, running);
        assert_eq!(counts.tasks_held, self.leased.len() - running);
        for (task, fence, node) in self.foreman.assigned() {
            let (open, request_id, _) = self.leased[&task];
            assert_eq!((open, self.flying[&request_id].node), (fence, node));
            assert_eq!(self.foreman.task_of(request_id).unwrap().task_id, task);
        }
        assert_eq!(self.foreman.assigned().count(), running);
        for (task, (_, request_id, since)) in &self.leased {
            if self.flying.contains_key(request_id) {
                continue;
            }
            let needs = &self.tasks[task].needs;
            let could: Vec<&Live> = self
                .links
                .values()
                .filter(|live| self.fits(live, needs) && self.is_willing(live))
                .collect();
            assert!(!could.is_empty(), "held though no node is left for it");
            let now: i64 = could
                .iter()
                .filter(|live| live.paused_until == Moment::default())
                .map(|live| self.room(live))
                .sum();
            assert_eq!(now, 0, "held though there is room");
            let held = self.now.since(*since);
            assert!(held <= settings().hold, "held for {held:?}");
        }
    }
}

fn score(node: &NodeRecord) -> f64 {
    let tasks = (f64::from(node.active_tasks()) / 10.0).min(1.0);
    100.0 * (node.cpu() * 0.4 + node.memory() * 0.3 + tasks * 0.3)
        + 100.0 * (node.failures() * 0.2 + node.lateness() * 0.1)
}

fn report(how: u8) -> CallReport {
    match how {
        0..=5 => CallReport::success(),
        6 => CallReport::failure(ErrorCode::Busy, "later"),
        7 => CallReport::failure(ErrorCode::SkillFailed, "no"),
        8 => CallReport::failure(ErrorCode::Denied, "never"),
        _ => CallReport::failure(ErrorCode::Trapped, "unreachable"),
    }
}

fn nth<'a, T: Copy + 'a>(among: impl IntoIterator<Item = &'a T, IntoIter: Clone>, pick: u8) -> Option<T> {
    let all = among.into_iter();
    let at = usize::from(pick).checked_rem(all.clone().count())?;
    all.clone().nth(at).copied()
}
