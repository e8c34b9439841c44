//! Laws that hold for any sequence of events, checked against naive models: no call and no lease is lost or ended
//! twice, none goes where it must not, the best node is chosen, a task is on one node at a time, plans keep within the
//! room there is, a node has one live link, the same events give the same actions. A failing case is kept in `laws.regressions` and run first ever after.

#[cfg(test)]
#[path = "laws/model.rs"]
mod model;
#[cfg(test)]
#[path = "laws/starve.rs"]
mod starve;
#[cfg(test)]
#[path = "laws/tasks/mod.rs"]
mod tasks;

#[cfg(test)]
mod laws {
    use proptest::prelude::*;
    use proptest::test_runner::{FileFailurePersistence, RngSeed};
    use venom_foreman::{Foreman, Settings};

    use super::model::{Hive, Op, settings};
    use super::starve::{Levels, Stream};
    use super::tasks::{Deed, Tasks};

    fn config() -> ProptestConfig {
        ProptestConfig {
            rng_seed: RngSeed::Fixed(0x5EED_F0E3),
            failure_persistence: Some(Box::new(FileFailurePersistence::Direct(concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/tests/laws.regressions"
            )))),
            ..ProptestConfig::with_cases(1_000)
        }
    }

    fn op() -> impl Strategy<Value = Op> {
        let node = 0..6_u8;
        prop_oneof![
            3 => (node.clone(), 0..3_u8, any::<u8>(), prop::option::of(0..4_u32))
                .prop_map(|(node, boot, kit, concurrency)| Op::Connect { node, boot, kit, concurrency }),
            2 => (any::<u8>(), 0..=4_u8, 0..=4_u8, 0..6_u32, prop::option::of(0..4_u32))
                .prop_map(|(pick, cpu, memory, tasks, credits)| Op::Beat { pick, cpu, memory, tasks, credits }),
            1 => (any::<u8>(), any::<u8>(), any::<bool>()).prop_map(|(pick, kit, draining)| Op::Status { pick, kit, draining }),
            1 => any::<u8>().prop_map(Op::Leave),
            1 => any::<u8>().prop_map(Op::Close),
            1 => (node.clone(), any::<bool>()).prop_map(|(node, drain)| Op::Drain { node, drain }),
            4 => (node, 0..3_u8).prop_map(|(node, skill)| Op::CallNode { node, skill }),
            8 => (0..3_u8, 0..8_u8).prop_map(|(skill, needs)| Op::CallBest { skill, needs }),
            6 => (any::<u8>(), any::<bool>()).prop_map(|(pick, forged)| Op::Finish { pick, forged }),
            1 => any::<u8>().prop_map(Op::TimeOut),
            1 => any::<u8>().prop_map(Op::Abandon),
            2 => (0..8_u64).prop_map(Op::Wait),
        ]
    }

    fn levels() -> impl Strategy<Value = Levels> {
        prop::collection::btree_map(0..10_u8, prop::collection::btree_set(0..3_u8, 1..4), 0..6)
    }

    fn deed() -> impl Strategy<Value = Deed> {
        let node = 0..4_u8;
        let byte = any::<u8>;
        // most nodes have all skills, or little would run
        let kit = || prop_oneof![2 => (0..4_u8).prop_map(|tags| 7 | tags << 3), 1 => any::<u8>()];
        let credits = || prop::option::of(0..4_u32);
        let often = prop_oneof![
            8 => (byte(), 0..=10_u8, byte()).prop_map(|(lane, priority, manner)| Deed::Submit { lane, priority, manner }),
            8 => (0..8_u8).prop_map(Deed::Claim),
            8 => (byte(), 0..10_u8, prop::bool::weighted(0.1))
                .prop_map(|(pick, how, forged)| Deed::Answer { pick, how, forged }),
            4 => (node.clone(), 0..3_u8, kit(), credits())
                .prop_map(|(node, boot, kit, concurrency)| Deed::Connect { node, boot, kit, concurrency }),
            4 => (byte(), 0..=4_u8, 0..5_u32, credits())
                .prop_map(|(pick, cpu, tasks, credits)| Deed::Beat { pick, cpu, tasks, credits }),
            4 => (0..9_u8).prop_map(Deed::Wait),
            2 => byte().prop_map(Deed::Push),
            2 => byte().prop_map(Deed::Yield),
            2 => (node.clone(), 0..3_u8).prop_map(|(node, skill)| Deed::Call { node, skill }),
        ];
        let seldom = prop_oneof![
            (byte(), kit(), any::<bool>()).prop_map(|(pick, kit, draining)| Deed::Status { pick, kit, draining }),
            byte().prop_map(Deed::Leave),
            byte().prop_map(Deed::Close),
            (node, any::<bool>()).prop_map(|(node, drain)| Deed::Drain { node, drain }),
            byte().prop_map(Deed::LeaseAgain),
            byte().prop_map(Deed::AnswerLate),
            byte().prop_map(Deed::Unsent),
            byte().prop_map(Deed::Resume),
            byte().prop_map(Deed::Cancel),
            Just(Deed::LoseLeases),
        ];
        prop_oneof![4 => often, 1 => seldom]
    }

    proptest! {
        #![proptest_config(config())]

        /// However few credits there are, and whatever was served before.
        #[test]
        fn no_priority_and_no_lane_that_waits_starves(
            concurrencies in prop::collection::vec(1..4_u32, 1..3),
            share in prop_oneof![Just(0.1), Just(0.25), Just(0.5)],
            before in prop::collection::vec((levels(), 1..5_usize, 1..5_usize), 0..10),
            mut waiting in levels(),
            rounds in prop::collection::vec((1..5_usize, 1..5_usize), 1..8),
        ) {
            let mut stream = Stream::new(share, &concurrencies);
            for (levels, batch, ends) in before {
                stream.round(&levels, batch, ends);
            }
            waiting.entry(10).or_default().insert(0);
            let lower = waiting.len() - 1;
            let bound = (1.0 / share) as usize * lower;
            let mut unserved = waiting.clone();
            unserved.remove(&10);
            let mut lanes: Vec<(u8, u8)> = unserved.iter().flat_map(|(level, lanes)| lanes.iter().map(|lane| (*level, *lane))).collect();
            let mut picks = 0;
            // a level has at most three lanes, each of which has its turn
            while (!unserved.is_empty() || !lanes.is_empty()) && picks <= 3 * bound {
                for (batch, ends) in &rounds {
                    for (level, lane) in stream.round(&waiting, *batch, *ends) {
                        picks += 1;
                        if unserved.remove(&level).is_some() {
                            prop_assert!(picks <= bound, "level {level} waited {picks} picks of at most {bound}");
                        }
                        lanes.retain(|waits| *waits != (level, lane));
                    }
                }
            }
            prop_assert!(unserved.is_empty() && lanes.is_empty(), "{unserved:?}, {lanes:?} starve");
        }

        #[test]
        fn every_lease_ends_once_and_a_task_goes_only_where_it_may(deeds in prop::collection::vec(deed(), 1..150)) {
            let mut tasks = Tasks::new();
            for deed in &deeds {
                tasks.apply(deed);
            }
            tasks.close_everything();
            let mut again = Foreman::new(super::tasks::settings());
            for (now, event, actions) in tasks.log() {
                prop_assert_eq!(&again.step(*now, event.clone()), actions, "the same events give the same actions");
            }
        }

        #[test]
        fn every_call_ends_once_and_goes_only_where_it_may(ops in prop::collection::vec(op(), 1..120)) {
            let mut hive = Hive::new();
            for op in &ops {
                hive.apply(op);
            }
            hive.close_everything();
        }

        #[test]
        fn the_same_events_give_the_same_actions(ops in prop::collection::vec(op(), 1..120)) {
            let mut hive = Hive::new();
            for op in &ops {
                hive.apply(op);
            }
            let mut again = Foreman::new(settings());
            for (now, event, actions) in hive.log() {
                prop_assert_eq!(&again.step(*now, event.clone()), actions);
            }
        }
    }

    #[test]
    fn the_settings_of_the_model_are_tight_enough_to_matter() {
        assert!(settings().max_offline_nodes < 6 && settings().max_in_flight_per_node < 8);
        assert_ne!(settings(), Settings::default());
    }
}
