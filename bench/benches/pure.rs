//! The pure parts on the road of a call: frames and the foreman. Run with `cargo bench -p venom-bench`.
#![expect(clippy::expect_used, reason = "a benchmark: nobody calls it, and it may stop")]

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use serde_json::value::RawValue;
use venom_foreman::{CallReport, Event, Foreman, LinkId, Moment, Settings, Target};
use venom_protocol::{Capabilities, ExecuteSkill, NodeId, RequestId, Requirements, Timestamp};

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

fn hive_of(nodes: u64) -> (Foreman, NodeId) {
    let mut foreman = Foreman::new(Settings::default());
    let mut last = NodeId::random();
    for link in 0..nodes {
        last = NodeId::random();
        let capabilities = Capabilities {
            skills: vec!["EchoSkill".to_owned()],
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

criterion_group!(pure, frames, foreman);
criterion_main!(pure);
