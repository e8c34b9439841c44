//! Single steps, and histories of any kind.

use proptest::prelude::*;

use super::*;

const PATIENCE: Duration = Duration::from_secs(30);

fn at(seconds: i64) -> Timestamp {
    Timestamp(jiff::Timestamp::from_second(1_800_000_000 + seconds).unwrap())
}

fn wave(percent: f64, soak: f64, min_reports: u32, min_success: f64) -> Wave {
    Wave {
        percent,
        soak,
        min_reports,
        min_success,
    }
}

fn plan(waves: Vec<Wave>) -> RolloutPlan {
    let on_failure = OnFailure::Pause;
    RolloutPlan { waves, on_failure }
}

/// 10 % watched for a minute, then everybody.
fn canary() -> RolloutPlan {
    plan(vec![wave(10.0, 60.0, 2, 0.9), wave(100.0, 0.0, 2, 0.9)])
}

fn spore(bucket: u16, standing: Standing) -> Seen {
    Seen {
        bucket,
        is_online: true,
        standing,
    }
}

fn step(plan: &RolloutPlan, progress: &Progress, seen: &[Seen], seconds: i64) -> Option<Progress> {
    next(plan, progress, seen, at(seconds), PATIENCE)
}

use Standing::{Committed, Failed, Held, Silent, Soaking, Working};

#[test]
fn a_wave_goes_on_when_it_was_good_for_long_enough() {
    let (plan, begun) = (canary(), Progress::begun(at(0)));
    let seen = [spore(0, Committed), spore(999, Committed), spore(1_000, Silent)];
    let good = step(&plan, &begun, &seen, 5).unwrap();
    assert_eq!((good.wave, good.good_since), (1, Some(at(5))));
    assert_eq!(step(&plan, &good, &seen, 64), None);
    let second = step(&plan, &good, &seen, 65).unwrap();
    assert_eq!((second.wave, second.wave_began, second.good_since), (2, at(65), None));
    assert_eq!((second.order(), second.reach(&plan)), (RolloutOrder::Run, WHOLE));
    assert_eq!(step(&plan, &second, &seen, 66).unwrap().state, RolloutState::Completed);
}

#[test]
fn soaking_begins_anew_when_the_wave_was_not_good_in_between() {
    let (plan, begun) = (canary(), Progress::begun(at(0)));
    let good = [spore(0, Committed), spore(1, Committed)];
    let worse = [spore(0, Committed), spore(1, Soaking)];
    let met = step(&plan, &begun, &good, 0).unwrap();
    let lost = step(&plan, &met, &worse, 59).unwrap();
    assert_eq!((lost.wave, lost.good_since), (1, None));
    let again = step(&plan, &lost, &good, 61).unwrap();
    assert_eq!((again.wave, again.good_since), (1, Some(at(61))));
}

#[test]
fn silence_is_not_health() {
    let (plan, begun) = (canary(), Progress::begun(at(0)));
    for quiet in [Silent, Working, Soaking, Held, Standing::Reverted] {
        let seen = [spore(0, Committed), spore(1, quiet), spore(2, quiet)];
        assert_eq!(step(&plan, &begun, &seen, 1_000_000), None, "{quiet:?}");
    }
    let gone = Seen {
        is_online: false,
        ..spore(1, Committed)
    };
    let thin = step(&plan, &begun, &[spore(0, Committed), gone], 0).unwrap();
    assert!(thin.good_since.is_some(), "one of one online");
    assert_eq!(
        step(&plan, &begun, &[gone, gone], 1_000_000),
        None,
        "nobody is there to say it is well"
    );
    assert_eq!(step(&plan, &begun, &[], 1_000_000), None, "nobody at all");
}

#[test]
fn a_wave_with_too_few_spores_is_watched_for_a_while() {
    let plan = plan(vec![wave(1.0, 0.0, 1, 0.9), wave(100.0, 0.0, 1, 0.9)]);
    let begun = Progress::begun(at(0));
    let others = [spore(5_000, Silent)];
    let thin = step(&plan, &begun, &others, 0).unwrap();
    assert_eq!((thin.wave, thin.good_since), (1, Some(at(0))));
    assert_eq!(step(&plan, &thin, &others, 29), None);
    assert_eq!(step(&plan, &thin, &others, 30).unwrap().wave, 2);
    let came = [spore(5_000, Silent), spore(5, Silent)];
    assert_eq!(
        step(&plan, &thin, &came, 30).unwrap().good_since,
        None,
        "its spore was only on its way"
    );
}

#[test]
fn failures_over_the_share_end_the_wave() {
    let mut plan = plan(vec![wave(100.0, 0.0, 5, 0.8)]);
    let begun = Progress::begun(at(0));
    let mut seen: Vec<Seen> = (0..8).map(|bucket| spore(bucket, Working)).collect();
    seen.extend([spore(8, Failed), spore(9, Failed)]);
    assert_eq!(step(&plan, &begun, &seen, 1), None, "2 of 10 are within 20 %");
    seen[0].standing = Failed;
    seen[0].is_online = false;
    let paused = step(&plan, &begun, &seen, 1).unwrap();
    assert_eq!(
        (paused.state, paused.order()),
        (RolloutState::Paused, RolloutOrder::Pause)
    );
    assert!(paused.reason.contains("3 of 10"), "{}", paused.reason);
    plan.on_failure = OnFailure::Revert;
    let reverted = step(&plan, &begun, &seen, 1).unwrap();
    assert_eq!(
        (reverted.state, reverted.order()),
        (RolloutState::Reverted, RolloutOrder::Revert)
    );
}

#[test]
fn failures_that_were_seen_before_a_resume_do_not_stop_it_again() {
    let plan = canary();
    let seen = [spore(0, Failed), spore(1, Committed), spore(2, Committed)];
    let paused = step(&plan, &Progress::begun(at(0)), &seen, 0).unwrap();
    assert_eq!(paused.state, RolloutState::Paused);
    let resumed = ordered(&paused, Action::Resume, String::new(), 1).unwrap().unwrap();
    assert_eq!((resumed.state, resumed.reason.as_str()), (RolloutState::Running, ""));
    let good = step(&plan, &resumed, &seen, 1).unwrap();
    assert_eq!(good.good_since, Some(at(1)));
    let worse = [spore(0, Failed), spore(1, Failed), spore(2, Committed)];
    assert_eq!(step(&plan, &good, &worse, 2).unwrap().state, RolloutState::Paused);
}

#[test]
fn what_stands_still_does_not_go_on_by_itself() {
    let (plan, seen) = (canary(), [spore(0, Committed), spore(1, Committed)]);
    use RolloutState::{Aborted, Completed, Paused, Reverted};
    for state in [Paused, Aborted, Reverted, Completed] {
        let progress = Progress {
            state,
            ..Progress::begun(at(0))
        };
        assert_eq!(step(&plan, &progress, &seen, 1_000_000), None);
    }
}

#[test]
fn operators_stop_and_go_on_and_what_has_ended_stays_so() {
    use RolloutState::{Aborted, Completed, Paused, Reverted, Running};
    let outcome = |from, action| {
        let progress = Progress {
            state: from,
            ..Progress::begun(at(0))
        };
        ordered(&progress, action, "why".to_owned(), 0).map(|next| next.map(|next| next.state))
    };
    for (from, [pause, resume, abort, revert]) in [
        (
            Running,
            [Ok(Some(Paused)), Ok(None), Ok(Some(Aborted)), Ok(Some(Reverted))],
        ),
        (
            Paused,
            [Ok(None), Ok(Some(Running)), Ok(Some(Aborted)), Ok(Some(Reverted))],
        ),
        (
            Completed,
            [Ok(Some(Paused)), Ok(None), Ok(Some(Aborted)), Ok(Some(Reverted))],
        ),
        (Aborted, [Err(()), Err(()), Ok(None), Ok(Some(Reverted))]),
        (Reverted, [Err(()), Err(()), Err(()), Ok(None)]),
    ] {
        let expected = [pause, resume, abort, revert];
        let actions = [Action::Pause, Action::Resume, Action::Abort, Action::Revert];
        for (action, expected) in actions.into_iter().zip(expected) {
            assert_eq!(outcome(from, action).map_err(|_| ()), expected, "{from:?} {action:?}");
        }
    }
}

#[test]
fn plans_that_make_no_sense_are_told() {
    assert_eq!(check_plan(&RolloutPlan::default()), Ok(()));
    assert_eq!(
        check_plan(&plan(vec![wave(0.01, 0.0, 0, 0.0), wave(100.0, 9.0, 9, 1.0)])),
        Ok(())
    );
    for (waves, words) in [
        (vec![], "0 waves"),
        (vec![wave(100.0, 0.0, 1, 0.9); 40], "40 waves"),
        (vec![wave(50.0, 0.0, 1, 0.9)], "percent 100"),
        (vec![wave(0.0, 0.0, 1, 0.9)], "waves[0].percent is 0"),
        (vec![wave(-1.0, 0.0, 1, 0.9)], "waves[0].percent is -1"),
        (vec![wave(f64::NAN, 0.0, 1, 0.9)], "waves[0].percent is NaN"),
        (vec![wave(100.1, 0.0, 1, 0.9)], "waves[0].percent is 100.1"),
        (
            vec![wave(50.0, 0.0, 1, 0.9), wave(50.0, 0.0, 1, 0.9)],
            "waves[1].percent is 50",
        ),
        (vec![wave(100.0, -1.0, 1, 0.9)], "waves[0].soak is -1"),
        (vec![wave(100.0, f64::INFINITY, 1, 0.9)], "waves[0].soak is inf"),
        (vec![wave(100.0, 0.0, 1, 1.1)], "waves[0].min_success is 1.1"),
        (vec![wave(100.0, 0.0, 1, f64::NAN)], "waves[0].min_success is NaN"),
    ] {
        let error = check_plan(&plan(waves)).unwrap_err();
        assert!(error.contains(words), "`{words}` is not in `{error}`");
    }
}

#[test]
fn a_rollout_is_signed_anew_when_half_of_its_life_is_over() {
    assert!(!is_old(at(0), at(600), at(299)));
    assert!(is_old(at(0), at(600), at(300)));
    assert!(is_old(at(0), at(600), at(10_000)));
    assert!(
        !is_old(at(0), at(600), at(-10_000)),
        "a clock that runs behind does not sign all the time"
    );
}

#[test]
fn a_spore_belongs_to_the_first_wave_that_reaches_it() {
    let plan = plan(vec![
        wave(0.01, 0.0, 1, 0.9),
        wave(10.0, 0.0, 1, 0.9),
        wave(100.0, 0.0, 1, 0.9),
    ]);
    let waves = [0, 1, 999, 1_000, 9_999].map(|bucket| wave_of(&plan, bucket));
    assert_eq!(waves, [1, 2, 2, 3, 3]);
    let reaches = [1, 2, 3].map(|wave| reach(&plan, wave));
    assert_eq!(reaches, [1, 1_000, WHOLE]);
}

prop_compose! {
    fn any_seen()(bucket in 0..WHOLE, is_online: bool, standing in 0_usize..7) -> Seen {
        let all = [Silent, Working, Soaking, Committed, Failed, Held, Standing::Reverted];
        Seen { bucket, is_online, standing: all[standing] }
    }
}

prop_compose! {
    fn any_plan()(
        shares in proptest::collection::btree_set(1_u16..WHOLE, 0..4),
        gates in proptest::collection::vec((0_u32..4, 0..=10_u32, 0_u32..100), 5),
        reverts: bool,
    ) -> RolloutPlan {
        let shares = shares.into_iter().chain([WHOLE]);
        let waves = shares.zip(gates).map(|(share, (reports, success, soak))| {
            wave(f64::from(share) / 100.0, f64::from(soak), reports, f64::from(success) / 10.0)
        });
        let on_failure = if reverts { OnFailure::Revert } else { OnFailure::Pause };
        RolloutPlan { waves: waves.collect(), on_failure }
    }
}

proptest! {
    /// Whatever spores report and whenever: waves never go back and none is skipped, a wave that goes on has what its
    /// gate asks for, and what a wave fails by never makes it go on.
    #[test]
    fn no_history_gets_past_a_gate(
        plan in any_plan(),
        history in proptest::collection::vec((proptest::collection::vec(any_seen(), 0..12), 0_i64..200), 1..40),
    ) {
        prop_assert_eq!(check_plan(&plan), Ok(()));
        let (mut progress, mut now) = (Progress::begun(at(0)), 0);
        for (seen, pause) in history {
            now += pause;
            let Some(after) = step(&plan, &progress, &seen, now) else { continue };
            let wave = &plan.waves[progress.wave - 1];
            let reach = progress.reach(&plan);
            let among = |standing| seen.iter().filter(move |spore| spore.bucket < reach && spore.standing == standing);
            let good = among(Committed).filter(|spore| spore.is_online).count();
            let went_on = after.wave > progress.wave || after.state == RolloutState::Completed;
            prop_assert!(after.wave == progress.wave || after.wave == progress.wave + 1);
            prop_assert!(after.reach(&plan) >= progress.reach(&plan));
            if went_on {
                let online = seen.iter().filter(|spore| spore.bucket < reach && spore.is_online).count();
                let bad = among(Failed).count();
                prop_assert!(!seen.is_empty());
                prop_assert!(good >= (wave.min_reports as usize).min(online));
                prop_assert!(good as f64 + 1e-6 >= wave.min_success * (good + bad) as f64);
                let waited = progress.good_since.map_or(0, |since| now - (since.0.as_second() - 1_800_000_000));
                prop_assert!(waited as f64 >= wave.soak, "{} of {}", waited, wave.soak);
            }
            if matches!(after.state, RolloutState::Paused | RolloutState::Reverted) {
                prop_assert!(among(Failed).count() > 0 && !after.reason.is_empty());
                break;
            }
            progress = after;
        }
    }

    /// A fleet that is well gets everywhere: no plan waits for what cannot come.
    #[test]
    fn a_fleet_that_is_well_is_reached(
        plan in any_plan(),
        buckets in proptest::collection::vec(0..WHOLE, 1..20),
    ) {
        let seen: Vec<Seen> = buckets.into_iter().map(|bucket| spore(bucket, Committed)).collect();
        let mut progress = Progress::begun(at(0));
        for round in 0..20 {
            if let Some(after) = step(&plan, &progress, &seen, round * 1_000) {
                progress = after;
            }
        }
        prop_assert_eq!(progress.state, RolloutState::Completed);
    }
}
