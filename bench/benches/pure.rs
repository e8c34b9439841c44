//! The pure parts on the road of a call: frames and the foreman. Run with `cargo bench -p venom-bench`.
#![expect(clippy::expect_used, reason = "a benchmark: nobody calls it, and it may stop")]

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use serde_json::value::RawValue;
use venom_foreman::{CallReport, Event, Foreman, LinkId, Moment, Settings, Target, TaskOrder};
use venom_protocol::{
    Backoff, Capabilities, ExecuteSkill, Lane, NodeId, Placement, Priority, RequestId, Requirements, TaskId, Timestamp,
};

fn frames(criterion: &mut Criterion) {
    let call = ExecuteSkill {
        request_id: RequestId::random(),
        node_id: NodeId::random(),
        skill_name: "ShellSkill".to_owned(),
        method_name: "run".to_owned(),
        parameters: RawValue::from_string(r#"{"command":"ls -l","timeout":30}"#.to_owned()).expect("valid JSON"),
        timeout: 30.0,
        traceparent: None,
        task: None,
    };
    let text = venom_protocol::encode(&call, Timestamp::now()).expect("encodes");
    criterion.bench_function("encode EXECUTE_SKILL", |bencher| {
        bencher.iter(|| venom_protocol::encode(black_box(&call), Timestamp::now()));
    });
    criterion.bench_function("decode EXECUTE_SKILL", |bencher| {
        bencher.iter(|| venom_protocol::decode_from_nexus(black_box(&text)));
    });
}

/// Nodes with eight credits each; every tenth has the tag `lab`, and each has one of 200 skills beside `EchoSkill`.
fn hive_of(nodes: u64) -> (Foreman, NodeId) {
    let mut foreman = Foreman::new(Settings::default());
    let mut last = NodeId::random();
    for link in 0..nodes {
        last = NodeId::random();
        let capabilities = Capabilities {
            skills: vec!["EchoSkill".to_owned(), format!("Skill{}", link % 200)],
            tags: (link % 10 == 0).then(|| "lab".to_owned()).into_iter().collect(),
            ..Capabilities::default()
        };
        let connected = Event::NodeConnected {
            link: LinkId(link),
            node_id: last,
            name: format!("node-{link}"),
            capabilities,
            protocol: 2,
            concurrency: Some(8),
            boot_id: None,
        };
        foreman.step(Moment(Duration::ZERO), connected);
    }
    (foreman, last)
}

/// A call requested and finished: two steps.
fn place(foreman: &mut Foreman, target: Target) {
    let request_id = RequestId::random();
    let requested = Event::CallRequested {
        request_id,
        target,
        skill: "EchoSkill".to_owned(),
    };
    let actions = foreman.step(Moment(Duration::ZERO), requested);
    if let Some(venom_foreman::Action::SendCall { link, .. }) = actions.first() {
        foreman.step(
            Moment(Duration::ZERO),
            Event::CallFinished {
                link: *link,
                request_id,
                report: CallReport::success(),
            },
        );
    }
}

fn foreman(criterion: &mut Criterion) {
    for nodes in [10, 1_000, 10_000] {
        let (mut foreman, node) = hive_of(nodes);
        criterion.bench_function(&format!("call to a named node of {nodes}"), |bencher| {
            bencher.iter(|| place(&mut foreman, Target::Node(node)));
        });
        criterion.bench_function(&format!("call to the best node of {nodes}"), |bencher| {
            bencher.iter(|| place(&mut foreman, Target::Best(Requirements::default())));
        });
    }
}

/// One scheduling decision: what to claim, where the first of it goes, and its end.
fn decide(foreman: &mut Foreman, ready: &[(Lane, Priority)], batch: usize) {
    let plan = foreman.plan(ready, batch);
    let Some(want) = plan.wants.into_iter().next() else {
        return;
    };
    let request_id = RequestId::random();
    let order = TaskOrder {
        request_id,
        task_id: TaskId(request_id.0),
        fence: 1,
        attempt: 1,
        losses: 0,
        max_retries: 3,
        lane: want.lane,
        priority: want.priority,
        placement: Placement::default(),
        backoff: Backoff::default(),
        timeout: Duration::from_secs(30),
        avoid: None,
    };
    let actions = foreman.step(Moment(Duration::ZERO), Event::TaskLeased(Box::new(order)));
    if let Some(venom_foreman::Action::SendCall { link, .. }) = actions.first() {
        let finished = Event::CallFinished {
            link: *link,
            request_id,
            report: CallReport::success(),
        };
        foreman.step(Moment(Duration::ZERO), finished);
    }
}

/// Leaves room on every hundredth node only.
fn fill(foreman: &mut Foreman, nodes: u64) {
    for link in (0..nodes).filter(|link| link % 100 != 0) {
        let full = Event::Heartbeat {
            link: LinkId(link),
            cpu: 0.9,
            memory: 0.5,
            active_tasks: 8,
            credits: Some(0),
        };
        foreman.step(Moment(Duration::ZERO), full);
    }
}

fn scheduling(criterion: &mut Criterion) {
    const NODES: u64 = 10_000;
    let lane = |skill: &str, tags: &[&str]| {
        let tags = tags.iter().map(|tag| (*tag).to_owned()).collect();
        Lane::of(
            skill,
            &Requirements {
                tags,
                ..Requirements::default()
            },
            None,
        )
    };
    let one = |lane| vec![(lane, Priority::BACKGROUND)];
    let many = (0..200).map(|skill| {
        let priority = if skill % 2 == 0 {
            Priority::HIGH
        } else {
            Priority::BACKGROUND
        };
        (lane(&format!("Skill{skill}"), &[]), priority)
    });
    let cases = [
        ("a plain lane", one(lane("EchoSkill", &[]))),
        ("a lane with a tag", one(lane("EchoSkill", &["lab"]))),
        ("200 lanes", many.collect()),
    ];
    for (name, ready) in cases {
        let (mut idle, _) = hive_of(NODES);
        let (mut busy, _) = hive_of(NODES);
        fill(&mut busy, NODES);
        for (state, foreman) in [("idle", &mut idle), ("busy", &mut busy)] {
            for batch in [1, 256] {
                let name = format!("plan {batch} and place one, {name}, {NODES} {state} nodes");
                criterion.bench_function(&name, |bencher| bencher.iter(|| decide(foreman, &ready, batch)));
            }
        }
    }
}

criterion_group!(pure, frames, foreman, scheduling);
criterion_main!(pure);
