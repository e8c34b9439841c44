//! What must hold for whatever bytes arrive at either end of a link. Shared by the bounded run in the
//! ordinary tests and by the fuzz target.

use venom_protocol::session::{MAX_CLOSE_REASON_BYTES, NexusEnd, NexusStep, SporeEnd, SporeStep};
use venom_protocol::{
    Body, ErrorReport, MAX_INVALID_IN_A_ROW, NodeId, Timestamp, decode_from_nexus, decode_from_spore, encode,
};

/// The node that the golden files speak of.
pub(crate) const NODE: &str = "6fa459ea-ee8a-4ca4-894e-db77e160355e";

/// What became of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Taken,
    Refused,
    Closed,
}

/// Feeds a nexus end and checks what it says; `in_a_row` counts the refusals before.
pub(crate) fn nexus(end: &mut NexusEnd, text: &str, in_a_row: &mut u32) -> Verdict {
    let before = (end.node_id(), end.protocol());
    let step = end.on_text(text);
    let verdict = match &step {
        NexusStep::Complain { error, send } => refused(error, *send, end.protocol()),
        NexusStep::Close { reason, .. } => closed(reason),
        NexusStep::Handshake(handshake) => {
            assert_eq!(before.0, None, "registered twice");
            assert_eq!(end.node_id(), Some(handshake.node_id));
            assert!(matches!(handshake.protocol, Some(1 | 2)));
            return taken(in_a_row, handshake, |text| decode_from_spore(text).is_ok());
        }
        NexusStep::Heartbeat(heartbeat) => {
            assert_eq!(Some(heartbeat.node_id), before.0);
            assert!((0.0..=1.0).contains(&heartbeat.cpu_usage) && (0.0..=1.0).contains(&heartbeat.memory_usage));
            taken(in_a_row, heartbeat, |text| decode_from_spore(text).is_ok())
        }
        NexusStep::Response(response) => {
            assert_eq!(Some(response.node_id), before.0);
            assert!(response.execution_time >= 0.0);
            taken(in_a_row, response, |text| decode_from_spore(text).is_ok())
        }
        NexusStep::Status(status) => {
            assert_eq!((Some(status.node_id), 2), before);
            taken(in_a_row, status, |text| decode_from_spore(text).is_ok())
        }
        NexusStep::Progress(progress) => {
            assert_eq!(before.1, 2);
            taken(in_a_row, progress, |text| decode_from_spore(text).is_ok())
        }
        NexusStep::Ask(ask) => {
            assert_eq!(before.1, 2);
            taken(in_a_row, ask, |text| decode_from_spore(text).is_ok())
        }
        NexusStep::Goodbye(goodbye) => taken(in_a_row, goodbye, |text| decode_from_spore(text).is_ok()),
        NexusStep::ReleaseAsk(ask) => taken(in_a_row, ask, |text| decode_from_spore(text).is_ok()),
        NexusStep::UpdateReport(report) => taken(in_a_row, report, |text| decode_from_spore(text).is_ok()),
        NexusStep::PeerError(error) => taken(in_a_row, error, |text| decode_from_spore(text).is_ok()),
    };
    if verdict != Verdict::Closed {
        assert_eq!(
            (end.node_id(), end.protocol()),
            before,
            "only a handshake changes who the peer is"
        );
    }
    count(verdict, in_a_row);
    verdict
}

/// Feeds a spore end likewise.
pub(crate) fn spore(end: &mut SporeEnd, text: &str, in_a_row: &mut u32) -> Verdict {
    let before = end.protocol();
    let verdict = match &end.on_text(text) {
        SporeStep::Complain { error, send } => refused(error, *send, end.protocol()),
        SporeStep::Close { reason, .. } => closed(reason),
        SporeStep::Welcome(welcome) => {
            assert!(before == 1 && end.protocol() == welcome.protocol);
            taken(in_a_row, welcome, |text| decode_from_nexus(text).is_ok())
        }
        SporeStep::Execute(call) => {
            assert_eq!(call.node_id, node());
            assert!(call.timeout > 0.0);
            taken(in_a_row, call, |text| decode_from_nexus(text).is_ok())
        }
        SporeStep::Cancel(cancel) => {
            assert_eq!(before, 2);
            taken(in_a_row, cancel, |text| decode_from_nexus(text).is_ok())
        }
        SporeStep::Answer(answer) => {
            assert_eq!(before, 2);
            taken(in_a_row, answer, |text| decode_from_nexus(text).is_ok())
        }
        SporeStep::Broadcast(broadcast) => {
            assert_eq!(before, 2);
            taken(in_a_row, broadcast, |text| decode_from_nexus(text).is_ok())
        }
        SporeStep::Goodbye(goodbye) => taken(in_a_row, goodbye, |text| decode_from_nexus(text).is_ok()),
        SporeStep::ReleaseAnswer(answer) => taken(in_a_row, answer, |text| decode_from_nexus(text).is_ok()),
        SporeStep::PeerError(error) => taken(in_a_row, error, |text| decode_from_nexus(text).is_ok()),
    };
    count(verdict, in_a_row);
    verdict
}

/// The id as a value.
pub(crate) fn node() -> NodeId {
    NODE.parse().expect("the constant is an id")
}

/// What was read can be written, and read again.
fn taken<B: Body>(in_a_row: &mut u32, body: &B, reads: impl Fn(&str) -> bool) -> Verdict {
    *in_a_row = 0;
    let noon = Timestamp::parse("2026-03-01T12:00:00Z").expect("the constant is a time");
    let text = encode(body, noon).expect("what was read can be written");
    assert!(reads(&text), "what we write ourselves is not read: {text}");
    Verdict::Taken
}

fn refused(error: &ErrorReport, send: bool, protocol: u32) -> Verdict {
    assert!(!error.error.is_empty() && error.error.chars().count() <= 400);
    assert!(!error.error.chars().any(char::is_control), "{error:?}");
    assert_eq!(send, protocol == 2);
    Verdict::Refused
}

fn closed(reason: &str) -> Verdict {
    assert!(!reason.is_empty() && reason.len() <= MAX_CLOSE_REASON_BYTES);
    assert!(!reason.chars().any(char::is_control), "{reason:?}");
    Verdict::Closed
}

fn count(verdict: Verdict, in_a_row: &mut u32) {
    if verdict == Verdict::Refused {
        *in_a_row += 1;
        assert!(*in_a_row < MAX_INVALID_IN_A_ROW, "ten in a row close");
    }
}
