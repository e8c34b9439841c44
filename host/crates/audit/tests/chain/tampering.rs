//! Whatever is done to a log afterwards is found.

use proptest::prelude::*;
use venom_audit::{AuditLog, Problem, verify_with_head};

use crate::stage::{Stage, check};

/// Lines with their line ends.
fn split(bytes: &[u8]) -> Vec<Vec<u8>> {
    bytes
        .split_inclusive(|byte| *byte == b'\n')
        .map(<[u8]>::to_vec)
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn every_change_of_one_byte_is_found(before in 0_usize..3, count in 1_usize..5, seed in any::<u8>()) {
        let stage = Stage::with(before, count);
        let bytes = stage.bytes();
        for position in 0..bytes.len() {
            let mut changed = bytes.clone();
            // every bit in turn over the cases, never none
            changed[position] ^= seed.rotate_left(u32::try_from(position % 8).unwrap()) | 1 << (position % 8);
            prop_assert!(check(&changed).is_err(), "byte {} of {}", position, bytes.len());
        }
    }

    #[test]
    fn lines_removed_repeated_moved_or_put_in_are_found(
        before in 0_usize..3, count in 2_usize..9, first in any::<prop::sample::Index>(), second in any::<prop::sample::Index>(),
    ) {
        let lines = split(&Stage::with(before, count).bytes());
        let (first, second) = (first.index(lines.len()), second.index(lines.len()));
        let changed = |change: &dyn Fn(&mut Vec<Vec<u8>>)| {
            let mut lines = lines.clone();
            change(&mut lines);
            check(&lines.concat())
        };
        if first + 1 < lines.len() {
            prop_assert!(changed(&|lines| { lines.remove(first); }).is_err(), "removed {}", first);
            prop_assert!(changed(&|lines| { lines.drain(..=first); }).is_err(), "beginning up to {}", first);
        }
        prop_assert!(changed(&|lines| lines.insert(second, lines[first].clone())).is_err(), "{} at {}", first, second);
        if first != second {
            prop_assert!(changed(&|lines| lines.swap(first, second)).is_err(), "{} and {}", first, second);
        }
        let foreign = split(&Stage::with(0, count).bytes()).swap_remove(0);
        prop_assert!(changed(&|lines| lines[before] = foreign.clone()).is_err(), "another log's line");
        for line in ["{\"event\":\"before\"}\n", "\n", "{}\n", "half a li\n"] {
            let result = changed(&|lines| lines.insert(before + 1, line.into()));
            prop_assert!(result.is_err(), "put in: {}", line);
        }
    }

    #[test]
    fn every_cut_is_found_by_whoever_knows_the_head(count in 1_usize..5, cut in any::<prop::sample::Index>()) {
        let stage = Stage::with(0, count);
        let (bytes, head) = (stage.bytes(), stage.verify().unwrap().head.unwrap().hash);
        prop_assert!(verify_with_head(bytes.as_slice(), &head).is_ok());
        let cut = &bytes[..cut.index(bytes.len())];
        prop_assert!(verify_with_head(cut, &head).is_err());
        // a cut between lines is what the chain alone cannot tell
        prop_assert_eq!(check(cut).is_ok(), cut.is_empty() || cut.ends_with(b"\n"));
    }
}

#[test]
fn a_head_that_was_noted_earlier_is_found_in_the_longer_log() {
    let stage = Stage::with(2, 3);
    let noted = stage.verify().unwrap().head.unwrap();
    assert_eq!(noted.seq, 3);
    stage.append(4);
    let summary = verify_with_head(stage.bytes().as_slice(), &noted.hash).unwrap();
    assert_eq!((summary.before, summary.lines), (2, 7));
    let unknown = "0".repeat(64);
    let broken = verify_with_head(stage.bytes().as_slice(), &unknown).unwrap_err();
    assert_eq!(
        (broken.line, broken.problem),
        (9, Problem::WithoutHead { head: unknown })
    );
}

#[test]
fn the_line_and_what_is_wrong_with_it_are_named() {
    let lines = split(&Stage::with(1, 4).bytes());
    let broken = |change: &dyn Fn(&mut Vec<Vec<u8>>)| {
        let mut lines = lines.clone();
        change(&mut lines);
        check(&lines.concat()).unwrap_err().to_string()
    };
    let altered = broken(&|lines| {
        let text = String::from_utf8(lines[2].clone()).unwrap();
        lines[2] = text.replace("\"number\":1", "\"number\":7").into_bytes();
    });
    assert!(
        altered.starts_with("line 3: ") && altered.contains("altered"),
        "{altered}"
    );
    let removed = broken(&|lines| drop(lines.remove(2)));
    assert!(
        removed.starts_with("line 3: its number is 3 where 2 follows"),
        "{removed}"
    );
    let before = broken(&|lines| lines[0] = b"{\"event\":\"x\"}\n".to_vec());
    assert!(before.starts_with("line 2: it follows another line"), "{before}");
    let unhashed = broken(&|lines| lines.push(b"{\"event\":\"x\"}\n".to_vec()));
    assert!(unhashed.starts_with("line 6: it has no hash"), "{unhashed}");
    let cut = broken(&|lines| lines[4].truncate(40));
    assert!(cut.starts_with("line 5: it ends too soon"), "{cut}");
    let endless = broken(&|lines| lines.push(vec![b'x'; 1 << 20]));
    assert!(endless.starts_with("line 6: it is longer than any"), "{endless}");
}

#[test]
fn a_broken_log_is_written_on_and_stays_broken() {
    let stage = Stage::with(0, 6);
    let mut lines = split(&stage.bytes());
    lines.remove(2);
    stage.write(&lines.concat());
    for _ in 0..3 {
        stage.append(1);
    }
    let events = stage.events();
    assert_eq!(
        events[5..],
        ["audit_broken", "happened", "happened", "happened"],
        "it is told once"
    );
    assert!(
        stage.lines()[5]["reason"]
            .as_str()
            .unwrap()
            .contains("its number is 4 where 3 follows")
    );
    assert_eq!(stage.verify().unwrap_err().line, 3);
}

#[test]
fn lines_cut_off_while_the_log_is_open_are_told() {
    let stage = Stage::with(0, 4);
    let log = AuditLog::open(&stage.path).unwrap();
    let lines = split(&stage.bytes());
    stage.write(&lines[..2].concat());
    log.append("happened", serde_json::Value::Null).unwrap();
    assert_eq!(stage.events()[2..], ["audit_broken", "happened"]);
    assert!(
        stage.lines()[2]["reason"]
            .as_str()
            .unwrap()
            .contains("missing at its end")
    );
    assert_eq!(
        stage.verify().unwrap_err().problem,
        Problem::Number { expected: 3, found: 5 }
    );
}
