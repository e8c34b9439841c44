//! A foreman with a clock to turn, and short words for what happens to it.

use std::time::Duration;

use venom_foreman::{Action, CallReport, Event, Foreman, LinkId, Moment, Rejection, Settings, Target};
use venom_protocol::{Capabilities, ErrorCode, NodeId, RequestId, Requirements};

pub(crate) struct Hive {
    pub(crate) foreman: Foreman,
    pub(crate) now: Moment,
}

/// A node as the tests write it down.
#[derive(Clone)]
pub(crate) struct Spore {
    pub(crate) link: u64,
    pub(crate) id: u128,
    pub(crate) skills: &'static [&'static str],
    pub(crate) tags: &'static [&'static str],
    pub(crate) gpu: bool,
    pub(crate) protocol: u32,
    pub(crate) concurrency: Option<u32>,
    pub(crate) boot: Option<&'static str>,
}

pub(crate) const SPORE: Spore = Spore {
    link: 1,
    id: 1,
    skills: &["EchoSkill"],
    tags: &[],
    gpu: false,
    protocol: 2,
    concurrency: None,
    boot: Some("a"),
};

pub(crate) fn node(id: u128) -> NodeId {
    NodeId(uuid::Uuid::from_u128(id))
}

pub(crate) fn call(id: u128) -> RequestId {
    RequestId(uuid::Uuid::from_u128(id))
}

pub(crate) fn has(skills: &[&str], tags: &[&str], gpu: bool) -> Capabilities {
    Capabilities {
        skills: skills.iter().map(|&skill| skill.to_owned()).collect(),
        tags: tags.iter().map(|&tag| tag.to_owned()).collect(),
        has_gpu: gpu,
        ..Capabilities::default()
    }
}

impl Hive {
    pub(crate) fn new() -> Self {
        Self::with(Settings::default())
    }

    pub(crate) fn with(settings: Settings) -> Self {
        Self {
            foreman: Foreman::new(settings),
            now: Moment::default(),
        }
    }

    pub(crate) fn pass(&mut self, seconds: u64) {
        self.now.0 += Duration::from_secs(seconds);
    }

    pub(crate) fn step(&mut self, event: Event) -> Vec<Action> {
        self.foreman.step(self.now, event)
    }

    pub(crate) fn connect(&mut self, spore: &Spore) -> Vec<Action> {
        self.step(Event::NodeConnected {
            link: LinkId(spore.link),
            node_id: node(spore.id),
            name: format!("spore-{}", spore.id),
            capabilities: has(spore.skills, spore.tags, spore.gpu),
            protocol: spore.protocol,
            concurrency: spore.concurrency,
            boot_id: spore.boot.map(str::to_owned),
        })
    }

    pub(crate) fn beat(&mut self, link: u64, cpu: f64, active_tasks: u32, credits: Option<u32>) -> Vec<Action> {
        self.step(Event::Heartbeat {
            link: LinkId(link),
            cpu,
            memory: 0.0,
            active_tasks,
            credits,
        })
    }

    pub(crate) fn ask(&mut self, request: u128, target: Target, skill: &str) -> Vec<Action> {
        self.step(Event::CallRequested {
            request_id: call(request),
            target,
            skill: skill.to_owned(),
        })
    }

    /// Asks for `EchoSkill` on the node and expects it to be sent.
    pub(crate) fn send(&mut self, request: u128, id: u128) {
        let actions = self.ask(request, Target::Node(node(id)), "EchoSkill");
        assert!(matches!(&actions[..], [Action::SendCall { .. }]), "{actions:?}");
    }

    pub(crate) fn refused(&mut self, target: Target, skill: &str) -> Rejection {
        match self.ask(9_999, target, skill).pop() {
            Some(Action::RejectCall { rejection, .. }) => rejection,
            other => panic!("expected a rejection, got {other:?}"),
        }
    }

    /// Node the best fit goes to; the call stays in flight.
    pub(crate) fn best(&mut self, request: u128, requirements: Requirements) -> NodeId {
        match self.ask(request, Target::Best(requirements), "EchoSkill").pop() {
            Some(Action::SendCall { node_id, .. }) => node_id,
            other => panic!("expected a call to be sent, got {other:?}"),
        }
    }

    pub(crate) fn done(&mut self, link: u64, request: u128) -> Vec<Action> {
        self.step(Event::CallFinished {
            link: LinkId(link),
            request_id: call(request),
            report: CallReport::success(),
        })
    }
}

pub(crate) fn online(id: u128, link: u64, replaced: Option<u64>) -> Action {
    Action::NodeOnline {
        node_id: node(id),
        link: LinkId(link),
        replaced: replaced.map(LinkId),
    }
}

pub(crate) fn codes_of_failures(actions: &[Action]) -> Vec<(RequestId, ErrorCode)> {
    let failures = actions.iter().filter_map(|action| match action {
        Action::FailCall { request_id, code, .. } => Some((*request_id, *code)),
        _ => None,
    });
    failures.collect()
}
