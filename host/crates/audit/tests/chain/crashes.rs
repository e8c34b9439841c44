//! What a crash leaves is closed off, and never hidden.

use proptest::prelude::*;

use crate::stage::Stage;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_log_cut_anywhere_goes_on_and_hides_nothing(before in 0_usize..3, count in 1_usize..4, cuts in prop::collection::vec(any::<prop::sample::Index>(), 1..4)) {
        let stage = Stage::with(before, count);
        for cut in cuts {
            let bytes = stage.bytes();
            // no crash takes more than the line it interrupts; those before were on the disk
            let last = bytes[..bytes.len() - 1].iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
            let kept = last + cut.index(bytes.len() - last);
            stage.write(&bytes[..last]);
            let repairs = stage.repairs();
            stage.write(&bytes[..kept]);
            stage.append(1);
            let after = stage.bytes();
            prop_assert_eq!(&after[..kept], &bytes[..kept], "nothing is taken away");
            prop_assert_eq!(stage.repairs() - repairs, usize::from(kept > last));
            prop_assert!(stage.verify().is_ok(), "{}", stage.verify().unwrap_err());
        }
    }
}

#[test]
fn half_a_line_is_kept_with_its_length_and_hash() {
    let stage = Stage::with(0, 3);
    let bytes = stage.bytes();
    stage.write(&bytes[..bytes.len() - 40]);
    stage.append(1);
    let summary = stage.verify().unwrap();
    // the third became the half line; a note and one more event follow
    assert_eq!((summary.lines, summary.repaired), (4, 1));
    let repaired = &stage.lines()[3];
    assert_eq!(repaired["event"], "audit_repaired");
    let half = stage.bytes().split(|byte| *byte == b'\n').nth(2).unwrap().len();
    assert_eq!(repaired["bytes"], half);
    assert_eq!(repaired["seq"], 3);
}

#[test]
fn a_line_that_lacks_only_its_end_counts() {
    let stage = Stage::with(0, 3);
    let bytes = stage.bytes();
    stage.write(&bytes[..bytes.len() - 1]);
    stage.append(1);
    let summary = stage.verify().unwrap();
    assert_eq!((summary.lines, summary.repaired), (5, 0));
    assert!(stage.lines()[3]["what"].as_str().unwrap().contains("end of the line"));
}

#[test]
fn a_closed_off_half_cannot_be_exchanged() {
    let stage = Stage::with(0, 3);
    let bytes = stage.bytes();
    stage.write(&bytes[..bytes.len() - 40]);
    stage.append(1);
    let text = String::from_utf8(stage.bytes()).unwrap();
    let half = text.lines().nth(2).unwrap();
    stage.write(text.replace(half, &half.replace("happened", "hushed up")).as_bytes());
    assert_eq!(stage.verify().unwrap_err().line, 3);
    stage.write(text.replace(&format!("{half}\n"), "").as_bytes());
    assert_eq!(
        stage.verify().unwrap_err().line,
        3,
        "the note speaks of a line that is not there"
    );
}

#[test]
fn the_end_of_a_log_longer_than_what_is_read_of_it_is_found() {
    let stage = Stage::with(3, 5_000);
    let bytes = stage.bytes();
    assert!(bytes.len() > 600 << 10, "{}", bytes.len());
    stage.write(&bytes[..bytes.len() - 17]);
    stage.append(2);
    let summary = stage.verify().unwrap();
    assert_eq!((summary.before, summary.lines, summary.repaired), (3, 5_002, 1));
    // a long log of an older program: its first hash is of all of it
    let old = Stage::with(30_000, 1);
    assert!(old.bytes().len() > 600 << 10);
    let summary = old.verify().unwrap();
    assert_eq!((summary.before, summary.lines), (30_000, 1));
}
