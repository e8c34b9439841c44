//! What a state takes after what it has: only ever newer documents, whoever sends them, restarts included. Numbers are
//! those of the list of adversarial cases.

use serde_json::json;
use venom_bundle::{
    Channel, DocumentError, DocumentKind, JsonError, MAX_SEQ, NotYet, RolloutOrder, StateError, Taken, TrustState,
    TrustedRoot,
};

use crate::swarm::*;

fn older(result: Result<Taken, StateError>, expected: &str) {
    let error = result.unwrap_err();
    assert!(
        matches!(&error, StateError::Older { what, .. } if *what == expected),
        "{error}"
    );
}

fn alarm(result: Result<Taken, StateError>, expected: &str) {
    let error = result.unwrap_err();
    assert!(matches!(&error, StateError::Alarm { what, found, current, .. } if *what == expected && found != current));
    assert!(error.to_string().contains("a key signs what it should not"), "{error}");
}

fn document(result: Result<Taken, StateError>) -> DocumentError {
    match result.unwrap_err() {
        StateError::Document(error) => error,
        other => panic!("{other}"),
    }
}

#[test]
fn case_06_older_documents_change_nothing_before_and_after_a_restart() {
    let mut state = running(5);
    let release = state.current().unwrap().release.clone();
    state.take_rollout(&signed_rollout(&release, 3)).unwrap();
    let next = next_root(&pinned(), |_| ());
    state.take_root(&signed_root(&next)).unwrap();
    for mut state in [state.clone(), restarted(&state), restarted(&restarted(&state))] {
        let before = state.clone();
        for seq in 1..5 {
            older(state.take_release(&signed_release(seq)), "release");
        }
        for counter in 1..3 {
            older(state.take_rollout(&signed_rollout(&release, counter)), "rollout");
        }
        older(state.take_root(&signed_root(&root())), "root");
        assert_eq!(state.take_release(&signed_release(5)).unwrap(), Taken::Same);
        assert_eq!(state.take_rollout(&signed_rollout(&release, 3)).unwrap(), Taken::Same);
        assert_eq!(state.take_root(&signed_root(&next)).unwrap(), Taken::Same);
        assert_eq!(state, before);
        // a rollout of the release before, however high its counter
        let past = pinned().release(&signed_release(4), &Channel::default()).unwrap();
        let error = document(state.take_rollout(&signed_rollout(&past, 99)));
        assert!(
            matches!(error, DocumentError::Elsewhere { what: "release", .. }),
            "{error}"
        );
        assert_eq!(state.take_release(&signed_release(9)).unwrap(), Taken::New);
        assert_eq!(state.current().unwrap().rollout, None);
    }
}

#[test]
fn case_07_two_documents_of_one_number_are_an_alarm() {
    let mut state = running(5);
    let before = state.clone();
    let release = state.current().unwrap().release.clone();
    let mut other = crate::swarm::release(5);
    other.expires = day(181);
    alarm(state.take_release(&sign(other.unsigned(), &[RELEASE])), "release");
    let mut other_rollout = rollout(&release.digest(), 1);
    other_rollout.wave = 1;
    alarm(
        state.take_rollout(&sign(other_rollout.unsigned(), &[ONLINE])),
        "rollout",
    );
    let mut other_root = root();
    other_root.expires = day(99);
    alarm(state.take_root(&signed_root(&other_root)), "root");
    // the same content in other bytes is another document too
    let spaced = serde_json::to_string_pretty(&crate::swarm::release(5)).unwrap();
    alarm(
        state.take_release(&raw(DocumentKind::Release, spaced.as_bytes(), &[RELEASE])),
        "release",
    );
    // and whoever cannot sign cannot raise an alarm
    for (result, kind) in [
        (state.take_release(&sign(other.unsigned(), &[ONLINE])), "release"),
        (
            state.take_rollout(&sign(other_rollout.unsigned(), &[RELEASE])),
            "rollout",
        ),
        (
            state.take_root(&sign(other_root.unsigned(), &[ROOTS[0], RELEASE])),
            "root",
        ),
    ] {
        let error = document(result);
        assert!(matches!(error, DocumentError::TooFewKeys { .. }), "{kind}: {error}");
    }
    assert_eq!(state, before);
    // more signatures on the same document are none
    assert_eq!(state.take_root(&sign(root().unsigned(), &ROOTS)).unwrap(), Taken::Same);
}

#[test]
fn case_08_used_up_numbers_end_with_the_epoch() {
    let mut state = running(5);
    let huge = changed(
        DocumentKind::Release,
        &release(5),
        |it| it["seq"] = json!(u64::MAX),
        &[RELEASE],
    );
    let error = document(state.take_release(&huge));
    assert!(
        matches!(
            error,
            DocumentError::Json {
                source: JsonError::Number,
                ..
            }
        ),
        "{error}"
    );
    let over = changed(
        DocumentKind::Release,
        &release(5),
        |it| it["seq"] = json!(MAX_SEQ + 1),
        &[RELEASE],
    );
    assert!(matches!(
        document(state.take_release(&over)),
        DocumentError::Json { .. }
    ));
    state.take_release(&signed_release(MAX_SEQ)).unwrap();
    older(state.take_release(&signed_release(MAX_SEQ - 1)), "release");
    let used_up = state.current().unwrap().release.clone();
    let next = |root: &venom_bundle::Root| used_up.release().next(used_up.digest(), root, day(1), day(200));
    let error = next(state.root().root()).checked().unwrap_err();
    assert!(error.to_string().contains("end with 2^53"), "{error}");

    let leap = next_root(&pinned(), |root| root.epoch += 2);
    assert!(matches!(
        document(state.take_root(&signed_root(&leap))),
        DocumentError::Value { .. }
    ));
    let new_root = next_root(&pinned(), begin_epoch);
    state.take_root(&signed_root(&new_root)).unwrap();
    let again = next(&new_root);
    assert_eq!((again.epoch, again.seq, again.prev_sha256), (2, 1, None));
    let again = sign(again.unsigned(), &[RELEASE]);
    state
        .check_chain(&state.root().release(&again, &Channel::default()).unwrap())
        .unwrap();
    let mut state = restarted(&state);
    assert_eq!(state.take_release(&again).unwrap(), Taken::New);
    for seq in [1, 5, MAX_SEQ] {
        let error = document(state.take_release(&signed_release(seq)));
        assert!(
            matches!(error, DocumentError::Elsewhere { what: "epoch", .. }),
            "{error}"
        );
    }
    // and the epoch stays begun
    let back = venom_bundle::Root {
        epoch: 1,
        ..next_root(state.root(), |_| ())
    };
    assert!(matches!(
        document(state.take_root(&signed_root(&back))),
        DocumentError::Value { .. }
    ));
}

#[test]
fn case_09_roots_are_followed_one_by_one_and_signed_by_both_sides() {
    let new = [71, 72, 73];
    let next = next_root(&pinned(), |root| root.roles.root = role(&new, 2));
    let with = |seeds: &[u8]| pinned().rotate(&sign(next.unsigned(), seeds));
    for seeds in [
        &ROOTS[..],
        &new,
        &[31, 32, 71],
        &[31, 71, 72],
        &[31, 71],
        &[31, 31, 71, 71],
        &[RELEASE, ONLINE],
    ] {
        let error = with(seeds).unwrap_err();
        assert!(
            matches!(error, DocumentError::TooFewKeys { needed: 2, .. }),
            "{seeds:?}: {error}"
        );
    }
    let second = with(&[31, 33, 71, 73]).unwrap();
    // the old keys are good for nothing now
    let third = next_root(&second, |_| ());
    assert!(second.rotate(&sign(third.unsigned(), &ROOTS)).is_err());
    let third_signed = sign(third.unsigned(), &[71, 72]);
    second.rotate(&third_signed).unwrap();

    let mut state = state();
    for skipped in [0, 3, 4, MAX_SEQ] {
        let root = next_root(&pinned(), |root| root.version = skipped);
        let result = state.take_root(&sign(root.unsigned(), &ROOTS));
        let expected = if skipped == 0 {
            "begin with 1"
        } else {
            "does not follow root 1"
        };
        assert!(result.unwrap_err().to_string().contains(expected), "{skipped}");
    }
    assert!(state.take_root(&third_signed).is_err());
    state.take_root(&sign(next.unsigned(), &[31, 33, 71, 73])).unwrap();
    state.take_root(&third_signed).unwrap();
    assert_eq!(state.root().root().version, 3);
    // a first root that does not sign itself is none
    assert!(TrustedRoot::pin(&sign(root().unsigned(), &[31])).is_err());
    assert!(TrustedRoot::pin(&sign(root().unsigned(), &new)).is_err());
}

#[test]
fn case_10_an_expired_rollout_lets_nobody_install() {
    let state = running(5);
    let minute = venom_protocol::Timestamp(day(7).0 - jiff::SignedDuration::from_secs(60));
    assert!(state.to_install(spore(), minute).is_ok());
    assert_eq!(state.order(minute), Some(RolloutOrder::Run));
    for now in [day(7), day(8), day(100)] {
        assert_eq!(
            state.to_install(spore(), now).unwrap_err(),
            NotYet::RolloutExpired { expires: day(7) }
        );
        assert_eq!((state.order(now), state.stale(now)), (None, None));
    }
    let release = state.current().unwrap().release.clone();
    let error = release
        .draft_rollout(2, RolloutOrder::Run, day(0), day(32))
        .to_sign()
        .unwrap_err();
    assert!(error.to_string().contains("more than 31 days"), "{error}");
}

#[test]
fn case_11_a_clock_ten_years_off_installs_nothing_that_a_right_one_would_not() {
    let state = running(5);
    let years = |years: i64| day(1 + years * 365);
    // ahead: stale, and no worse
    assert!(state.stale(years(10)).unwrap().contains("root 1 expired"));
    assert!(state.stale(years(1)).unwrap().contains("release 1.5 expired"));
    assert!(matches!(
        state.to_install(spore(), years(10)),
        Err(NotYet::Stale { .. })
    ));
    assert!(state.current().is_some());
    assert!(
        state.to_install(spore(), day(1)).is_ok(),
        "and well again when the clock is"
    );

    // behind: what the newest documents say of the time still counts
    let mut state = restarted(&state);
    let mut late = release(6);
    (late.created, late.expires) = (day(100), day(110));
    state.take_release(&sign(late.unsigned(), &[RELEASE])).unwrap();
    let release = state.current().unwrap().release.clone();
    assert_eq!(state.time(years(-10)), day(100));
    assert_eq!(state.time(day(105)), day(105));
    let mut replayed = rollout(&release.digest(), 1);
    (replayed.issued, replayed.expires) = (day(90), day(100));
    state.take_rollout(&sign(replayed.unsigned(), &[ONLINE])).unwrap();
    for now in [years(-10), day(0), day(99), day(100)] {
        assert_eq!(state.order(now), None);
        assert_eq!(
            state.to_install(spore(), now).unwrap_err(),
            NotYet::RolloutExpired { expires: day(100) }
        );
    }
    // a root tells the time as well: that of its release has passed
    let mut next = next_root(&pinned(), |_| ());
    next.created = day(110);
    state.take_root(&signed_root(&next)).unwrap();
    assert!(state.stale(years(-10)).unwrap().contains("release 1.6 expired"));
    assert_eq!(restarted(&state).time(years(-10)), day(110));
}

/// A release from a maker whose clock is ahead must not make everything stale for ever.
#[test]
fn case_11_a_release_from_the_future_is_over_with_the_next() {
    let mut state = running(5);
    let mut future = release(6);
    (future.created, future.expires) = (day(3_000), day(3_100));
    state.take_release(&sign(future.unsigned(), &[RELEASE])).unwrap();
    let ahead = state.current().unwrap().release.clone();
    state.take_rollout(&signed_rollout(&ahead, 1)).unwrap();
    assert_eq!(
        state.to_install(spore(), day(1)).unwrap_err(),
        NotYet::RolloutExpired { expires: day(7) }
    );
    state.take_release(&signed_release(7)).unwrap();
    assert_eq!(state.time(day(1)), day(1));
    // nor one that a later root does not believe
    let mut state = running(5);
    state.take_release(&sign(future.unsigned(), &[RELEASE])).unwrap();
    state
        .take_root(&signed_root(&next_root(&pinned(), begin_epoch)))
        .unwrap();
    assert_eq!(state.time(day(2)), day(2));
}

#[test]
fn a_spore_installs_when_its_turn_has_come_and_the_rollout_runs() {
    let mut state = state();
    assert_eq!(state.to_install(spore(), day(1)).unwrap_err(), NotYet::NoRelease);
    assert!(matches!(state.take_rollout(b"{}"), Err(StateError::NoRelease)));
    state.take_release(&signed_release(1)).unwrap();
    assert_eq!(state.to_install(spore(), day(1)).unwrap_err(), NotYet::NoRollout);
    let release = state.current().unwrap().release.clone();
    let place = venom_bundle::bucket(&release.digest(), spore());
    assert!(place > 0, "choose another spore for this test");
    for (counter, order, wave, expected) in [
        (1, RolloutOrder::Run, 0, Some(NotYet::Waiting { place, wave: 0 })),
        (
            2,
            RolloutOrder::Run,
            place,
            Some(NotYet::Waiting { place, wave: place }),
        ),
        (3, RolloutOrder::Run, place + 1, None),
        (4, RolloutOrder::Pause, 10_000, Some(NotYet::Paused)),
        (5, RolloutOrder::Revert, 10_000, Some(NotYet::Reverted)),
    ] {
        let mut document = rollout(&release.digest(), counter);
        (document.state, document.wave) = (order, wave);
        state.take_rollout(&sign(document.unsigned(), &[ONLINE])).unwrap();
        assert_eq!(state.to_install(spore(), day(1)).err(), expected, "{counter}");
        assert_eq!(state.order(day(1)), Some(order));
    }
}

#[test]
fn releases_are_published_in_a_chain_but_taken_with_gaps() {
    let state = running(5);
    let current = state.current().unwrap().release.clone();
    let trusted = |bytes: &[u8]| state.root().release(bytes, &Channel::default()).unwrap();
    let next = current
        .release()
        .next(current.digest(), state.root().root(), day(1), day(180));
    let chained = trusted(&sign(next.unsigned(), &[RELEASE]));
    state.check_chain(&chained).unwrap();
    state.check_chain(&current).unwrap();
    crate::swarm::state().check_chain(&chained).unwrap();
    let error = state.check_chain(&trusted(&signed_release(6))).unwrap_err();
    assert!(
        matches!(error, StateError::Chain { found: None, current: it } if it == current.digest()),
        "{error}"
    );
    let mut fork = next;
    fork.prev_sha256 = Some(venom_bundle::Digest::of(b"another"));
    let error = state
        .check_chain(&trusted(&sign(fork.unsigned(), &[RELEASE])))
        .unwrap_err();
    assert!(matches!(error, StateError::Chain { found: Some(_), .. }), "{error}");
    // a spore that was away has seen neither
    state.clone().take_release(&sign(fork.unsigned(), &[RELEASE])).unwrap();
}

/// Nothing of a release of an ended epoch is installed, but it is not forgotten either: it runs, and can be held back.
#[test]
fn what_an_earlier_root_believed_runs_on_and_is_not_installed() {
    let mut state = running(5);
    state
        .take_root(&signed_root(&next_root(&pinned(), begin_epoch)))
        .unwrap();
    for mut state in [restarted(&state), state] {
        let release = state.current().unwrap().release.clone();
        assert_eq!(release.release().seq, 5);
        assert!(
            state
                .stale(day(1))
                .unwrap()
                .contains("release 1.5 is of an epoch that root 2 has ended")
        );
        assert!(matches!(state.to_install(spore(), day(1)), Err(NotYet::Stale { .. })));
        // its rollout goes on, by the same keys
        assert_eq!(state.order(day(1)), Some(RolloutOrder::Run));
        let mut revert = rollout(&release.digest(), 2);
        revert.state = RolloutOrder::Revert;
        state.take_rollout(&sign(revert.unsigned(), &[ONLINE])).unwrap();
        assert_eq!(state.order(day(1)), Some(RolloutOrder::Revert));
        // two roots later it is still known which one believed it
        let third = next_root(state.root(), |_| ());
        state.take_root(&signed_root(&third)).unwrap();
        let mut state = restarted(&state);
        assert!(state.stale(day(1)).is_some());
        let mut new = crate::swarm::release(1);
        new.epoch = 2;
        state.take_release(&sign(new.unsigned(), &[RELEASE])).unwrap();
        assert_eq!(state.stale(day(1)), None);
        restarted(&state);
    }
}

#[test]
fn a_release_whose_keys_are_gone_waits_until_it_is_signed_anew() {
    let mut state = running(5);
    let next = next_root(&pinned(), |root| root.roles.release = role(&[42], 1));
    state.take_root(&signed_root(&next)).unwrap();
    let mut state = restarted(&state);
    assert!(
        state
            .stale(day(1))
            .unwrap()
            .contains("release 1.5 is signed by keys that root 2 no longer lists")
    );
    assert!(matches!(
        document(state.take_release(&signed_release(5))),
        DocumentError::TooFewKeys { .. }
    ));
    assert!(matches!(
        document(state.take_release(&signed_release(6))),
        DocumentError::TooFewKeys { .. }
    ));
    older(state.take_release(&sign(release(4).unsigned(), &[42])), "release");
    let mut other = release(5);
    other.expires = day(181);
    alarm(state.take_release(&sign(other.unsigned(), &[42])), "release");
    assert!(state.stale(day(1)).is_some());
    // the very same release, signed by the new key: new to keep, and its rollout still counts
    assert_eq!(
        state.take_release(&sign(release(5).unsigned(), &[42])).unwrap(),
        Taken::New
    );
    assert_eq!(
        state.take_release(&sign(release(5).unsigned(), &[42])).unwrap(),
        Taken::Same
    );
    assert!(restarted(&state).to_install(spore(), day(1)).is_ok());
}

#[test]
fn a_release_that_a_later_root_still_believes_stays_good() {
    let mut state = running(5);
    let next = next_root(&pinned(), |root| {
        root.roles.release = role(&[42, RELEASE], 1);
        root.roles.rollout = role(&[52, ONLINE], 1);
    });
    state.take_root(&signed_root(&next)).unwrap();
    let mut state = restarted(&state);
    assert!(state.to_install(spore(), day(1)).is_ok());
    // a root that lists the keys again believes again
    let without = next_root(state.root(), |root| root.roles.release = role(&[42], 1));
    state.take_root(&signed_root(&without)).unwrap();
    assert!(state.stale(day(1)).is_some());
    let with = next_root(state.root(), |root| root.roles.release = role(&[RELEASE], 1));
    state.take_root(&signed_root(&with)).unwrap();
    assert_eq!(restarted(&state).stale(day(1)), None);
}

#[test]
fn the_operators_root_file_begins_anew_goes_on_or_changes_nothing() {
    let pin = |root: &venom_bundle::Root| TrustedRoot::pin(&sign(root.unsigned(), &ROOTS)).unwrap();
    let state = running(5);
    let second = next_root(&pinned(), |_| ());
    let after = |root: &venom_bundle::Root| {
        let mut state = state.clone();
        state.repin(pin(root)).map(|taken| (taken, restarted(&state)))
    };
    assert_eq!(after(&root()).unwrap(), (Taken::Same, state.clone()));
    let (taken, further) = after(&second).unwrap();
    assert_eq!((taken, further.root().root().version), (Taken::New, 2));
    assert!(further.to_install(spore(), day(1)).is_ok());
    assert_eq!(further.clone().repin(pinned()).unwrap(), Taken::Same);
    // versions may be left out, numbers of releases do not fall
    let mut leap = second.clone();
    (leap.version, leap.epoch) = (9, 4);
    let (_, mut leapt) = after(&leap).unwrap();
    assert!(leapt.stale(day(1)).is_some() && leapt.take_release(&signed_release(6)).is_err());
    leap.epoch = 3;
    leap.version = 10;
    let unchanged = leapt.clone();
    assert!(matches!(
        leapt.repin(pin(&leap)),
        Err(StateError::Older { what: "epoch", .. })
    ));
    assert_eq!(leapt, unchanged);
    let mut other = root();
    other.expires = day(99);
    alarm(after(&other).map(|(taken, _)| taken), "root");
    other.swarm_id = "other-swarm".parse().unwrap();
    let (taken, anew) = after(&other).unwrap();
    assert_eq!(
        (taken, anew.current(), anew.channel()),
        (Taken::New, None, state.channel())
    );
}

#[test]
fn kept_bytes_that_do_not_fit_together_are_refused() {
    let mut state = running(5);
    let first = state.root().to_text();
    state
        .take_root(&signed_root(&next_root(&pinned(), begin_epoch)))
        .unwrap();
    let kept: serde_json::Value = serde_json::from_slice(&state.to_bytes()).unwrap();
    assert_eq!(kept["believed_under"], json!(first));
    let refused = |change: &dyn Fn(&mut serde_json::Value)| {
        let mut kept = kept.clone();
        change(&mut kept);
        let error = TrustState::from_bytes(kept.to_string().as_bytes()).unwrap_err();
        assert!(matches!(error, StateError::Kept { .. }), "{error}");
        error.to_string()
    };
    let mut stranger = root();
    stranger.swarm_id = "other-swarm".parse().unwrap();
    let stranger = String::from_utf8(signed_root(&stranger)).unwrap();
    let own = kept["root"].clone();
    let mut later = root();
    later.version = 3;
    let later = String::from_utf8(signed_root(&later)).unwrap();
    for (key, value) in [
        ("format", json!(2)),
        ("root", json!("{}")),
        ("root", json!(stranger)),
        ("release", json!(null)),
        ("release", kept["rollout"].clone()),
        ("rollout", kept["release"].clone()),
        ("believed_under", json!(null)),
        ("believed_under", own),
        ("believed_under", json!(stranger)),
        ("believed_under", json!(later)),
        ("channel", json!("canary")),
        ("more", json!(1)),
    ] {
        refused(&|kept| kept[key] = value.clone());
    }
    let tampered = refused(&|kept| {
        let text = kept["release"]
            .as_str()
            .unwrap()
            .replacen("\"sig\":\"", "\"sig\":\"A", 1);
        kept["release"] = json!(text);
    });
    assert!(tampered.contains("not a release"), "{tampered}");
    for bytes in [&b""[..], b"{}", b"null", b"\xff"] {
        assert!(matches!(TrustState::from_bytes(bytes), Err(StateError::Kept { .. })));
    }
    let mut huge = state.to_bytes();
    huge.resize(2 * 1024 * 1024, b' ');
    assert!(
        TrustState::from_bytes(&huge)
            .unwrap_err()
            .to_string()
            .contains("more than")
    );
}

/// Envelopes of full size, with key ids that grow when they are escaped, are still taken up again.
#[test]
fn the_largest_documents_are_kept_and_taken_up() {
    let fill = |bytes: Vec<u8>, kind: DocumentKind| {
        let mut envelope: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        let room = (kind.max_bytes() - bytes.len() - 300) / 2;
        let filler = json!({"keyid": "\"".repeat(room), "sig": envelope["signatures"][0]["sig"]});
        envelope["signatures"].as_array_mut().unwrap().push(filler);
        envelope.to_string().into_bytes()
    };
    let root = fill(signed_root(&root()), DocumentKind::Root);
    let mut state = TrustState::new(TrustedRoot::pin(&root).unwrap(), Channel::default());
    state
        .take_release(&fill(signed_release(5), DocumentKind::Release))
        .unwrap();
    let release = state.current().unwrap().release.clone();
    state
        .take_rollout(&fill(signed_rollout(&release, 1), DocumentKind::Rollout))
        .unwrap();
    let next = next_root(&pinned(), begin_epoch);
    state.take_root(&fill(signed_root(&next), DocumentKind::Root)).unwrap();
    assert!(state.to_bytes().len() > 800_000);
    restarted(&state);
}
