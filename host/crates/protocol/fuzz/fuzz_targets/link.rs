//! Frames, one a line, against both ends of a link. The first byte chooses who talks to the nexus end:
//! a stranger, a v1 peer or a v2 peer.
//!
//! `cargo +nightly fuzz run link -s none -- -max_total_time=60` in `host/crates/protocol`, with
//! `tests/golden` as a first corpus. The ordinary tests hold a bounded run of the same checks.

#![no_main]

#[path = "../../tests/hostile/check.rs"]
mod check;

use check::Verdict;
use libfuzzer_sys::fuzz_target;
use venom_protocol::session::{NexusEnd, SporeEnd};

fuzz_target!(|data: &[u8]| {
    let Some((&who, frames)) = data.split_first() else { return };
    let (mut nexus, mut spore, mut in_a_row) = (NexusEnd::new(), SporeEnd::new(check::node()), (0, 0));
    if let protocol @ (1 | 2) = who % 3 {
        let node = check::NODE;
        let payload = format!(r#"{{"node_id":"{node}","node_name":"n","protocol":{protocol}}}"#);
        let handshake = format!(r#"{{"message_type":"HANDSHAKE","payload":{payload}}}"#);
        assert_eq!(check::nexus(&mut nexus, &handshake, &mut in_a_row.0), Verdict::Taken);
    }
    for frame in String::from_utf8_lossy(frames).split('\n') {
        let closed = check::nexus(&mut nexus, frame, &mut in_a_row.0) == Verdict::Closed;
        if closed | (check::spore(&mut spore, frame, &mut in_a_row.1) == Verdict::Closed) {
            return;
        }
    }
});
