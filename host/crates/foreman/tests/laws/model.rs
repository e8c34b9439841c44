//! A naive model of the hive beside the foreman: slow, obvious, and checked after every step.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use venom_foreman::{Action, CallReport, Event, Foreman, LinkId, Moment, NodeRecord, Rejection, Settings, Target};
use venom_protocol::{Capabilities, NodeId, RequestId, Requirements};

/// One random deed. `pick` chooses among what is there, modulo its number.
#[derive(Debug, Clone)]
pub(crate) enum Op {
    Connect {
        node: u8,
        boot: u8,
        kit: u8,
        concurrency: Option<u32>,
    },
    Beat {
        pick: u8,
        cpu: u8,
        memory: u8,
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
    CallNode {
        node: u8,
        skill: u8,
    },
    CallBest {
        skill: u8,
        needs: u8,
    },
    Finish {
        pick: u8,
        forged: bool,
    },
    TimeOut(u8),
    Abandon(u8),
    Wait(u64),
}

/// What the model knows of a live link.
#[derive(Debug, Clone)]
struct Live {
    node: NodeId,
    protocol: u32,
    kit: Capabilities,
    leaving: bool,
    drains_itself: bool,
    concurrency: Option<u32>,
    credits: Option<i64>,
}

/// The foreman and the model.
#[derive(Debug)]
pub(crate) struct Hive {
    foreman: Foreman,
    now: Moment,
    log: Vec<(Moment, Event, Vec<Action>)>,
    links: BTreeMap<LinkId, Live>,
    drained: BTreeSet<NodeId>,
    /// Calls in flight: node and link they were sent to.
    flying: BTreeMap<RequestId, NodeId>,
    ended: BTreeSet<RequestId>,
    serial: u64,
}

pub(crate) const SKILLS: [&str; 3] = ["EchoSkill", "FileSkill", "ShellSkill"];
pub(crate) const TAGS: [&str; 2] = ["rack:1", "rack:2"];

/// Small bounds, so that random deeds run into them.
pub(crate) fn settings() -> Settings {
    Settings {
        max_in_flight_per_node: 5,
        max_offline_nodes: 3,
        ..Settings::with_heartbeat_timeout(Duration::from_secs(20))
    }
}

pub(crate) fn node_id(node: u8) -> NodeId {
    NodeId(uuid::Uuid::from_u128(u128::from(node) + 1))
}

/// Skills in the low three bits, tags in the next two, then the gpu.
pub(crate) fn kit(bits: u8) -> Capabilities {
    let chosen = |names: &[&str], shift: u8| {
        let chosen = names
            .iter()
            .enumerate()
            .filter(|(i, _)| bits >> (shift + *i as u8) & 1 == 1);
        chosen.map(|(_, name)| (*name).to_owned()).collect()
    };
    Capabilities {
        skills: chosen(&SKILLS, 0),
        tags: chosen(&TAGS, 3),
        has_gpu: bits >> 5 & 1 == 1,
        ..Capabilities::default()
    }
}

impl Hive {
    pub(crate) fn new() -> Self {
        Self {
            foreman: Foreman::new(settings()),
            now: Moment::default(),
            log: Vec::new(),
            links: BTreeMap::new(),
            drained: BTreeSet::new(),
            flying: BTreeMap::new(),
            ended: BTreeSet::new(),
            serial: 0,
        }
    }

    pub(crate) fn log(&self) -> &[(Moment, Event, Vec<Action>)] {
        &self.log
    }

    pub(crate) fn apply(&mut self, op: &Op) {
        if let Op::Wait(seconds) = op {
            self.now.0 += Duration::from_secs(*seconds);
        }
        if let Some(event) = self.event(op) {
            self.step(event);
        }
    }

    /// After this nothing may be left in flight.
    pub(crate) fn close_everything(&mut self) {
        for link in self.links.keys().copied().collect::<Vec<_>>() {
            self.step(Event::LinkClosed {
                link,
                graceful: false,
                reason: String::new(),
            });
        }
        assert!(self.flying.is_empty(), "lost calls: {:?}", self.flying);
        assert_eq!(self.foreman.counts().calls_in_flight, 0);
        assert_eq!(self.foreman.counts().online, 0);
    }

    fn event(&mut self, op: &Op) -> Option<Event> {
        Some(match *op {
            Op::Connect {
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
                concurrency,
                boot_id: (boot > 0).then(|| boot.to_string()),
            },
            Op::Beat {
                pick,
                cpu,
                memory,
                tasks,
                credits,
            } => Event::Heartbeat {
                link: self.link(pick)?,
                cpu: f64::from(cpu) / 4.0,
                memory: f64::from(memory) / 4.0,
                active_tasks: tasks,
                credits,
            },
            Op::Status {
                pick,
                kit: bits,
                draining,
            } => Event::StatusChanged {
                link: self.link(pick)?,
                capabilities: kit(bits),
                draining,
            },
            Op::Leave(pick) => Event::NodeLeft {
                link: self.link(pick)?,
                reason: String::new(),
            },
            Op::Close(pick) => Event::LinkClosed {
                link: self.link(pick)?,
                graceful: pick % 2 == 0,
                reason: String::new(),
            },
            Op::Drain { node, drain: true } => Event::DrainRequested { node_id: node_id(node) },
            Op::Drain { node, drain: false } => Event::UndrainRequested { node_id: node_id(node) },
            Op::CallNode { node, skill } => self.call(Target::Node(node_id(node)), skill),
            Op::CallBest { skill, needs } => {
                let needed = kit(needs << 3);
                let requirements = Requirements {
                    gpu: needed.has_gpu,
                    tags: needed.tags,
                    ..Requirements::default()
                };
                self.call(Target::Best(requirements), skill)
            }
            Op::Finish { pick, forged } => {
                let request_id = self.flight(pick)?;
                let link = if forged {
                    self.link(pick)?
                } else {
                    self.link_of(self.flying[&request_id])?
                };
                Event::CallFinished {
                    link,
                    request_id,
                    report: CallReport::success(),
                }
            }
            Op::TimeOut(pick) => Event::CallTimedOut {
                request_id: self.flight(pick)?,
            },
            Op::Abandon(pick) => Event::CallAbandoned {
                request_id: self.flight(pick)?,
            },
            Op::Wait(_) => Event::Tick,
        })
    }

    fn next(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }

    fn call(&mut self, target: Target, skill: u8) -> Event {
        Event::CallRequested {
            request_id: RequestId(uuid::Uuid::from_u128(u128::from(self.next()))),
            target,
            skill: SKILLS[usize::from(skill)].to_owned(),
        }
    }

    fn link(&self, pick: u8) -> Option<LinkId> {
        let at = usize::from(pick).checked_rem(self.links.len())?;
        self.links.keys().nth(at).copied()
    }

    fn flight(&self, pick: u8) -> Option<RequestId> {
        let at = usize::from(pick).checked_rem(self.flying.len())?;
        self.flying.keys().nth(at).copied()
    }

    fn link_of(&self, node: NodeId) -> Option<LinkId> {
        self.links
            .iter()
            .find(|(_, live)| live.node == node)
            .map(|(link, _)| *link)
    }

    fn in_flight(&self, node: NodeId) -> usize {
        self.flying.values().filter(|on| **on == node).count()
    }

    /// Feeds the foreman, then checks every action and the whole state.
    fn step(&mut self, event: Event) {
        let expected = self.expected_choice(&event);
        self.before(&event);
        let actions = self.foreman.step(self.now, event.clone());
        for action in &actions {
            self.check(&event, action, expected);
        }
        if let Event::CallRequested { request_id, .. } = &event {
            let placed = self.flying.contains_key(request_id);
            assert!(
                placed ^ self.ended.contains(request_id),
                "a request is placed or rejected: {actions:?}"
            );
        }
        self.after(&event);
        self.log.push((self.now, event, actions));
        self.check_state();
    }

    /// What the model learns from the event itself.
    fn before(&mut self, event: &Event) {
        match event {
            Event::LinkClosed { link, .. } => {
                self.links.remove(link);
            }
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
            Event::Heartbeat {
                link,
                active_tasks,
                credits,
                ..
            } => {
                let Some(node) = self.links.get(link).map(|live| live.node) else {
                    return;
                };
                let unseen = (self.in_flight(node) as i64 - i64::from(*active_tasks)).max(0);
                if let Some(live) = self.links.get_mut(link) {
                    live.credits = credits.map(|credits| i64::from(credits) - unseen);
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
                };
                self.links.insert(*link, live);
            }
            _ => {}
        }
    }

    fn after(&mut self, event: &Event) {
        if let Event::StatusChanged {
            link,
            capabilities,
            draining,
        } = event
            && let Some(live) = self.links.get_mut(link)
            && !live.leaving
        {
            live.kit = capabilities.clone();
            live.drains_itself = *draining;
        }
    }

    fn check(&mut self, event: &Event, action: &Action, expected: Option<NodeId>) {
        match action {
            Action::SendCall {
                request_id,
                node_id,
                link,
            } => {
                let Event::CallRequested {
                    request_id: asked,
                    target,
                    skill,
                } = event
                else {
                    panic!("sent a call that nobody asked for: {action:?}");
                };
                assert_eq!(asked, request_id);
                let live = &self.links[link];
                assert_eq!(live.node, *node_id);
                assert!(
                    !live.leaving && !live.drains_itself && !self.drained.contains(node_id),
                    "{action:?} to {live:?}"
                );
                assert!(live.kit.skills.contains(skill), "{action:?} to {live:?}");
                if let Target::Best(requirements) = target {
                    assert!(meets(&live.kit, requirements), "{action:?} to {live:?}");
                    assert_eq!(Some(*node_id), expected, "not the least loaded");
                }
                assert!(self.flying.insert(*request_id, *node_id).is_none(), "sent twice");
                self.change_credits(*node_id, -1);
            }
            Action::RejectCall { request_id, rejection } => {
                assert!(!self.flying.contains_key(request_id));
                assert_eq!(expected, None, "rejected though a node fits: {rejection}");
                assert!(!matches!(rejection, Rejection::UnknownSkill { known } if event_skill(event, known)));
                assert!(self.ended.insert(*request_id), "ended twice");
            }
            Action::CompleteCall { request_id, node_id } => {
                let Event::CallFinished { link, .. } = event else {
                    panic!("{action:?} on {event:?}")
                };
                assert_eq!(self.links[link].node, *node_id);
                assert_eq!(self.end(request_id), *node_id, "answered by another node");
            }
            Action::FailCall { request_id, .. } => {
                self.end(request_id);
            }
            Action::CancelCall { request_id, link } => {
                assert!(self.links[link].protocol >= 2, "a v1 peer was asked to cancel");
                assert_eq!(self.flying[request_id], self.links[link].node);
            }
            Action::CloseLink { link, reason, .. } => {
                assert!(reason.len() <= 123);
                assert!(self.links.remove(link).is_some(), "closed a link that is not open");
            }
            Action::NodeForgotten { node_id } => {
                assert_eq!(self.in_flight(*node_id), 0);
                self.drained.remove(node_id);
            }
            _ => {}
        }
    }

    fn end(&mut self, request_id: &RequestId) -> NodeId {
        let node = self.flying.remove(request_id);
        assert!(self.ended.insert(*request_id), "ended twice");
        let node = node.expect("only a call in flight ends");
        self.change_credits(node, 1);
        node
    }

    fn change_credits(&mut self, node: NodeId, by: i64) {
        for live in self.links.values_mut().filter(|live| live.node == node) {
            live.credits = live.credits.map(|credits| credits + by);
        }
    }

    /// The slow and obvious way to find the node for a best-fit call.
    fn expected_choice(&self, event: &Event) -> Option<NodeId> {
        let Event::CallRequested {
            target: Target::Best(requirements),
            skill,
            ..
        } = event
        else {
            return None;
        };
        let fits = |node: &&NodeRecord| {
            self.links.values().any(|live| {
                live.node == node.node_id()
                    && !live.leaving
                    && !live.drains_itself
                    && !self.drained.contains(&live.node)
                    && live.kit.skills.contains(skill)
                    && meets(&live.kit, requirements)
                    && self.has_room(live)
            })
        };
        let score = |node: &NodeRecord| {
            let tasks = (f64::from(node.active_tasks()) / 10.0).min(1.0);
            100.0 * (node.cpu() * 0.4 + node.memory() * 0.3 + tasks * 0.3)
                + 100.0 * (node.failures() * 0.2 + node.lateness() * 0.1)
        };
        let chosen = self.foreman.nodes().filter(fits).min_by(|a, b| {
            score(a)
                .total_cmp(&score(b))
                .then(self.in_flight(a.node_id()).cmp(&self.in_flight(b.node_id())))
                .then(a.node_id().cmp(&b.node_id()))
        });
        chosen.map(NodeRecord::node_id)
    }

    fn has_room(&self, live: &Live) -> bool {
        let in_flight = self.in_flight(live.node) as u32;
        let has_credit = match (live.credits, live.concurrency) {
            (Some(credits), _) => credits > 0,
            (None, Some(concurrency)) => in_flight < concurrency,
            (None, None) => true,
        };
        has_credit && in_flight < settings().max_in_flight_per_node
    }

    fn check_state(&self) {
        let mut online = 0;
        for node in self.foreman.nodes() {
            let links: Vec<_> = self
                .links
                .iter()
                .filter(|(_, live)| live.node == node.node_id())
                .collect();
            assert!(links.len() <= 1, "{} has {} live links", node.node_id(), links.len());
            assert_eq!(node.link(), links.first().map(|(link, _)| **link));
            assert_eq!(node.is_online(), links.iter().any(|(_, live)| !live.leaving));
            assert_eq!(node.in_flight() as usize, self.in_flight(node.node_id()));
            assert!(node.active_tasks() >= node.in_flight());
            online += usize::from(node.is_online());
        }
        let counts = self.foreman.counts();
        assert_eq!(counts.online, online);
        assert_eq!(counts.total, self.foreman.nodes().count());
        assert_eq!(counts.calls_in_flight, self.flying.len());
        assert!(counts.total - self.links.len() <= settings().max_offline_nodes);
    }
}

fn meets(kit: &Capabilities, requirements: &Requirements) -> bool {
    (!requirements.gpu || kit.has_gpu) && requirements.tags.iter().all(|tag| kit.tags.contains(tag))
}

fn event_skill(event: &Event, known: &[String]) -> bool {
    matches!(event, Event::CallRequested { skill, .. } if known.contains(skill))
}
