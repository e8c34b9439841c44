//! Deeds become events, and the naive broker: submitting, planning, leasing.

use std::collections::BTreeSet;
use std::time::Duration;

use venom_foreman::{CallReport, Event, LinkId, Target, TaskOrder};
use venom_protocol::{Backoff, ErrorCode, Lane, NodeId, Placement, Priority, RequestId, Strategy, TaskId};

use super::super::model::{SKILLS, TAGS, kit, node_id};
use super::{Deed, Task, Tasks, nth, requirements};

impl Tasks {
    pub(super) fn event(&mut self, deed: &Deed) -> Option<Event> {
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

    pub(super) fn submit(&mut self, lane: u8, priority: u8, manner: u8) {
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
    pub(super) fn claim(&mut self, batch: usize) {
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

    pub(super) fn lease(&mut self, task_id: TaskId) {
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

    pub(super) fn next(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }

    pub(super) fn request_id(&mut self) -> RequestId {
        RequestId(uuid::Uuid::from_u128(u128::from(self.next())))
    }

    pub(super) fn link(&self, pick: u8) -> Option<LinkId> {
        nth(self.links.keys(), pick)
    }

    pub(super) fn link_of(&self, node: NodeId) -> Option<LinkId> {
        let mut links = self.links.iter();
        links.find(|(_, live)| live.node == node).map(|(link, _)| *link)
    }
}

pub(super) fn report(how: u8) -> CallReport {
    match how {
        0..=5 => CallReport::success(),
        6 => CallReport::failure(ErrorCode::Busy, "later"),
        7 => CallReport::failure(ErrorCode::SkillFailed, "no"),
        8 => CallReport::failure(ErrorCode::Denied, "never"),
        _ => CallReport::failure(ErrorCode::Trapped, "unreachable"),
    }
}
