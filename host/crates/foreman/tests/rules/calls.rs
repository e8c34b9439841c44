//! Calls: sent, answered, failed, refused, and to whom they go.

use venom_foreman::{Action, Event, LinkId, LoadWeights, Rejection, Settings, Target};
use venom_protocol::{ErrorCode, NodeId, Requirements};

use crate::hive::{Hive, SPORE, Spore, call, codes_of_failures, node, online};

#[test]
fn a_call_is_sent_and_completed_once() {
    let mut hive = Hive::new();
    assert_eq!(hive.connect(&SPORE), [online(1, 1, None)]);
    hive.send(1, 1);
    assert_eq!(hive.foreman.counts().calls_in_flight, 1);
    assert!(
        hive.ask(1, Target::Node(node(1)), "EchoSkill").is_empty(),
        "an id in flight is not sent twice"
    );
    let complete = Action::CompleteCall {
        request_id: call(1),
        node_id: node(1),
    };
    assert_eq!(hive.done(1, 1), [complete]);
    assert!(hive.done(1, 1).is_empty());
    assert_eq!(hive.foreman.counts().calls_in_flight, 0);
}

#[test]
fn an_answer_of_another_node_is_not_believed() {
    let mut hive = Hive::new();
    hive.connect(&SPORE);
    hive.connect(&Spore {
        link: 2,
        id: 2,
        ..SPORE
    });
    hive.send(1, 1);
    assert!(hive.done(2, 1).is_empty());
    assert_eq!(hive.done(1, 1).len(), 1);
}

#[test]
fn a_v1_peer_is_never_asked_to_cancel() {
    for (protocol, cancels) in [(1, 0), (2, 1)] {
        let mut hive = Hive::new();
        hive.connect(&Spore { protocol, ..SPORE });
        hive.send(1, 1);
        let actions = hive.step(Event::CallTimedOut { request_id: call(1) });
        let sent = actions
            .iter()
            .filter(|action| matches!(action, Action::CancelCall { .. }));
        assert_eq!(sent.count(), cancels, "protocol {protocol}");
        assert_eq!(codes_of_failures(&actions), [(call(1), ErrorCode::TimedOut)]);
        assert!(hive.done(1, 1).is_empty(), "a late answer is dropped");
    }
}

#[test]
fn a_caller_that_goes_away_cancels() {
    let mut hive = Hive::new();
    hive.connect(&SPORE);
    hive.send(1, 1);
    let actions = hive.step(Event::CallAbandoned { request_id: call(1) });
    assert!(
        matches!(actions[0], Action::CancelCall { link: LinkId(1), .. }),
        "{actions:?}"
    );
    assert_eq!(codes_of_failures(&actions), [(call(1), ErrorCode::Cancelled)]);
    assert!(hive.step(Event::CallAbandoned { request_id: call(1) }).is_empty());
}

#[test]
fn rejections_say_what_there_is() {
    let mut hive = Hive::new();
    assert_eq!(hive.refused(Target::Node(node(1)), "EchoSkill"), Rejection::UnknownNode);
    hive.connect(&Spore {
        skills: &["FileSkill", "EchoSkill"],
        ..SPORE
    });
    let unknown = hive.refused(Target::Best(Requirements::default()), "ShellSkill");
    assert_eq!(unknown.to_string(), "no such skill there; known: EchoSkill, FileSkill");
    let tags = vec!["rack:7".to_owned()];
    let none_fits = hive.refused(
        Target::Best(Requirements {
            tags,
            ..Requirements::default()
        }),
        "EchoSkill",
    );
    assert_eq!(
        none_fits.to_string(),
        "1 node online has skill `EchoSkill`, but none with all that is required has tag `rack:7`"
    );
    let this = Requirements {
        node_id: Some(node(1)),
        gpu: true,
        ..Requirements::default()
    };
    let none_fits = hive.refused(Target::Best(this), "EchoSkill");
    assert!(
        none_fits.to_string().ends_with("has the skill but not a gpu"),
        "{none_fits}"
    );
}

#[test]
fn the_least_loaded_that_fits_is_chosen_and_what_is_sent_counts_at_once() {
    let mut hive = Hive::new();
    for id in 1..=3 {
        hive.connect(&Spore {
            link: id,
            id: u128::from(id),
            ..SPORE
        });
    }
    hive.connect(&Spore {
        link: 4,
        id: 4,
        tags: &["rack:7"],
        gpu: true,
        ..SPORE
    });
    hive.beat(4, 0.9, 0, None);
    let spread: Vec<NodeId> = (1..=4)
        .map(|request| hive.best(request, Requirements::default()))
        .collect();
    assert_eq!(
        spread,
        [node(1), node(2), node(3), node(1)],
        "ties go by calls in flight, then by id"
    );
    hive.beat(2, 0.5, 1, None);
    hive.beat(3, 0.5, 1, None);
    assert_eq!(hive.best(5, Requirements::default()), node(1));
    let needs = Requirements {
        gpu: true,
        tags: vec!["rack:7".to_owned()],
        ..Requirements::default()
    };
    assert_eq!(hive.best(6, needs), node(4));
}

#[test]
fn credits_and_concurrency_bound_what_a_node_is_chosen_for() {
    let mut hive = Hive::new();
    hive.connect(&Spore {
        concurrency: Some(2),
        ..SPORE
    });
    let anywhere = || Target::Best(Requirements::default());
    hive.best(1, Requirements::default());
    hive.best(2, Requirements::default());
    assert_eq!(hive.refused(anywhere(), "EchoSkill"), Rejection::Full);
    hive.beat(1, 0.0, 1, Some(2)); // one of the two has not reached it yet
    hive.best(3, Requirements::default());
    assert_eq!(hive.refused(anywhere(), "EchoSkill"), Rejection::Full);
    hive.done(1, 1);
    hive.best(4, Requirements::default());
    hive.send(5, 1); // asked for by name: the spore queues it
}

#[test]
fn no_node_is_given_more_than_the_bound() {
    let mut hive = Hive::with(Settings {
        max_in_flight_per_node: 1,
        ..Settings::default()
    });
    hive.connect(&Spore {
        protocol: 1,
        boot: None,
        ..SPORE
    });
    hive.send(1, 1);
    assert_eq!(hive.refused(Target::Node(node(1)), "EchoSkill"), Rejection::Full);
    assert_eq!(
        hive.refused(Target::Best(Requirements::default()), "EchoSkill"),
        Rejection::Full
    );
}

#[test]
fn the_larger_of_own_and_reported_calls_counts() {
    let mut hive = Hive::new();
    hive.connect(&SPORE);
    hive.send(1, 1);
    hive.send(2, 1);
    hive.beat(1, 0.0, 1, None);
    assert_eq!(hive.foreman.node(&node(1)).unwrap().active_tasks(), 2);
    hive.beat(1, 0.0, 7, None);
    assert_eq!(hive.foreman.node(&node(1)).unwrap().active_tasks(), 7);
    hive.done(1, 1);
    assert_eq!(hive.foreman.node(&node(1)).unwrap().active_tasks(), 6);
}

#[test]
fn weights_are_settings() {
    let default = LoadWeights::default();
    assert!((default.score(0.5, 0.25, 5) - (20.0 + 7.5 + 15.0)).abs() < 1e-9);
    assert!((default.score(1.0, 1.0, 4_000) - 100.0).abs() < 1e-9);
    let weights = LoadWeights {
        cpu: 0.0,
        memory: 0.0,
        tasks: 1.0,
        normalization: 2.0,
        failures: 0.0,
        latency: 0.0,
    };
    let mut hive = Hive::with(Settings {
        weights,
        ..Settings::default()
    });
    hive.connect(&SPORE);
    hive.connect(&Spore {
        link: 2,
        id: 2,
        ..SPORE
    });
    hive.beat(1, 1.0, 0, None);
    hive.beat(2, 0.0, 1, None);
    assert_eq!(
        hive.best(1, Requirements::default()),
        node(1),
        "the processor has no weight here"
    );
}

#[test]
fn figures_that_are_none_do_no_harm() {
    let mut hive = Hive::new();
    hive.connect(&SPORE);
    hive.connect(&Spore {
        link: 2,
        id: 2,
        ..SPORE
    });
    hive.beat(1, f64::NAN, 0, None);
    hive.beat(2, 55.0, 0, None);
    let cpu = |id| hive.foreman.node(&node(id)).unwrap().cpu();
    assert_eq!((cpu(1), cpu(2)), (0.0, 1.0));
    assert_eq!(hive.best(1, Requirements::default()), node(1));
}

#[test]
fn excluded_tags_are_no_go_and_are_named_in_refusals() {
    let mut hive = Hive::new();
    hive.connect(&Spore {
        tags: &["slow"],
        ..SPORE
    });
    let not_slow = || Requirements {
        exclude_tags: vec!["old".to_owned(), "slow".to_owned()],
        ..Requirements::default()
    };
    assert_eq!(
        hive.refused(Target::Best(not_slow()), "EchoSkill").to_string(),
        "1 node online has skill `EchoSkill`, but every one with all that is required has tag `slow`, which is excluded"
    );
    let this = Requirements {
        node_id: Some(node(1)),
        ..not_slow()
    };
    let none_fits = hive.refused(Target::Best(this), "EchoSkill").to_string();
    assert!(
        none_fits.ends_with("has the skill but also tag `slow`, which is excluded"),
        "{none_fits}"
    );
    hive.connect(&Spore {
        link: 2,
        id: 2,
        ..SPORE
    });
    assert_eq!(hive.best(1, not_slow()), node(2));
}
