//! A stream of urgent work that never ends, and less urgent work beside it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use venom_foreman::{Action, CallReport, Event, Foreman, LinkId, Moment, Plan, Settings, TaskOrder};
use venom_protocol::{Backoff, Lane, Placement, Priority, RequestId, Requirements, TaskId};

use super::model::{SKILLS, kit, node_id};

/// Nodes of these concurrencies that can do everything.
pub(crate) struct Stream {
    foreman: Foreman,
    serial: u128,
    running: Vec<(LinkId, RequestId)>,
}

/// Lanes with work without end, by level.
pub(crate) type Levels = BTreeMap<u8, BTreeSet<u8>>;

impl Stream {
    pub(crate) fn new(low_share: f64, concurrencies: &[u32]) -> Self {
        let mut foreman = Foreman::new(Settings {
            low_share,
            ..Settings::default()
        });
        for (id, concurrency) in (0_u8..).zip(concurrencies) {
            let connected = Event::NodeConnected {
                link: LinkId(u64::from(id)),
                node_id: node_id(id),
                name: String::new(),
                capabilities: kit(7),
                protocol: 2,
                concurrency: Some(*concurrency),
                boot_id: None,
            };
            foreman.step(Moment::default(), connected);
        }
        Self {
            foreman,
            serial: 0,
            running: Vec::new(),
        }
    }

    /// Plans, takes all that the plan wants from lanes that never empty, and ends the oldest so many.
    pub(crate) fn round(&mut self, levels: &Levels, batch: usize, ends: usize) -> Vec<(u8, u8)> {
        let lanes = levels
            .iter()
            .flat_map(|(level, lanes)| lanes.iter().map(|lane| (*level, *lane)));
        let ready: Vec<(Lane, Priority)> = lanes
            .map(|(level, skill)| (lane(skill), Priority::new(level).unwrap()))
            .collect();
        let Plan { wants, total } = self.foreman.plan(&ready, batch);
        let mut picked = Vec::new();
        for want in wants {
            for _ in 0..want.most.min(total - picked.len()) {
                let skill = (0..3).find(|skill| lane(*skill) == want.lane).unwrap();
                self.lease(want.lane.clone(), want.priority);
                picked.push((want.priority.level(), skill));
            }
        }
        for (link, request_id) in self.running.drain(..ends.min(self.running.len())) {
            let report = CallReport::success();
            self.foreman.step(
                Moment::default(),
                Event::CallFinished {
                    link,
                    request_id,
                    report,
                },
            );
        }
        picked
    }

    fn lease(&mut self, lane: Lane, priority: Priority) {
        self.serial += 1;
        let id = uuid::Uuid::from_u128(self.serial);
        let order = TaskOrder {
            request_id: RequestId(id),
            task_id: TaskId(id),
            fence: 1,
            attempt: 1,
            losses: 0,
            max_retries: 0,
            lane,
            priority,
            placement: Placement::default(),
            backoff: Backoff::default(),
            timeout: Duration::from_secs(30),
            avoid: None,
        };
        match self.foreman.step(Moment::default(), Event::TaskLeased(Box::new(order)))[..] {
            [Action::SendCall { link, request_id, .. }] => self.running.push((link, request_id)),
            ref other => panic!("what was planned has room: {other:?}"),
        }
    }
}

fn lane(skill: u8) -> Lane {
    Lane::of(SKILLS[usize::from(skill)], &Requirements::default(), None)
}
