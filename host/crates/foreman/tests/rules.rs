//! The foreman's rules, one example each: links, clones, liveness, draining, calls, placement.

#[cfg(test)]
mod rules {
    use std::time::Duration;

    use venom_foreman::{Action, Event, Foreman, LinkId, LoadWeights, Moment, Presence, Rejection, Settings, Target};
    use venom_protocol::{Capabilities, ErrorCode, NodeId, RequestId, Requirements, close};

    struct Hive {
        foreman: Foreman,
        now: Moment,
    }

    /// A node as the tests write it down.
    #[derive(Clone)]
    struct Spore {
        link: u64,
        id: u128,
        skills: &'static [&'static str],
        tags: &'static [&'static str],
        gpu: bool,
        protocol: u32,
        concurrency: Option<u32>,
        boot: Option<&'static str>,
    }

    const SPORE: Spore = Spore {
        link: 1,
        id: 1,
        skills: &["EchoSkill"],
        tags: &[],
        gpu: false,
        protocol: 2,
        concurrency: None,
        boot: Some("a"),
    };

    fn node(id: u128) -> NodeId {
        NodeId(uuid::Uuid::from_u128(id))
    }

    fn call(id: u128) -> RequestId {
        RequestId(uuid::Uuid::from_u128(id))
    }

    fn has(skills: &[&str], tags: &[&str], gpu: bool) -> Capabilities {
        Capabilities {
            skills: skills.iter().map(|&skill| skill.to_owned()).collect(),
            tags: tags.iter().map(|&tag| tag.to_owned()).collect(),
            has_gpu: gpu,
            ..Capabilities::default()
        }
    }

    impl Hive {
        fn new() -> Self {
            Self::with(Settings::default())
        }

        fn with(settings: Settings) -> Self {
            Self {
                foreman: Foreman::new(settings),
                now: Moment::default(),
            }
        }

        fn pass(&mut self, seconds: u64) {
            self.now.0 += Duration::from_secs(seconds);
        }

        fn step(&mut self, event: Event) -> Vec<Action> {
            self.foreman.step(self.now, event)
        }

        fn connect(&mut self, spore: &Spore) -> Vec<Action> {
            self.step(Event::NodeConnected {
                link: LinkId(spore.link),
                node_id: node(spore.id),
                name: format!("spore-{}", spore.id),
                capabilities: has(spore.skills, spore.tags, spore.gpu),
                protocol: spore.protocol,
                concurrency: spore.concurrency,
                boot_id: spore.boot.map(str::to_owned),
            })
        }

        fn beat(&mut self, link: u64, cpu: f64, active_tasks: u32, credits: Option<u32>) -> Vec<Action> {
            self.step(Event::Heartbeat {
                link: LinkId(link),
                cpu,
                memory: 0.0,
                active_tasks,
                credits,
            })
        }

        fn ask(&mut self, request: u128, target: Target, skill: &str) -> Vec<Action> {
            self.step(Event::CallRequested {
                request_id: call(request),
                target,
                skill: skill.to_owned(),
            })
        }

        /// Asks for `EchoSkill` on the node and expects it to be sent.
        fn send(&mut self, request: u128, id: u128) {
            let actions = self.ask(request, Target::Node(node(id)), "EchoSkill");
            assert!(matches!(&actions[..], [Action::SendCall { .. }]), "{actions:?}");
        }

        fn refused(&mut self, target: Target, skill: &str) -> Rejection {
            match self.ask(9_999, target, skill).pop() {
                Some(Action::RejectCall { rejection, .. }) => rejection,
                other => panic!("expected a rejection, got {other:?}"),
            }
        }

        /// Node the best fit goes to; the call stays in flight.
        fn best(&mut self, request: u128, requirements: Requirements) -> NodeId {
            match self.ask(request, Target::Best(requirements), "EchoSkill").pop() {
                Some(Action::SendCall { node_id, .. }) => node_id,
                other => panic!("expected a call to be sent, got {other:?}"),
            }
        }

        fn done(&mut self, link: u64, request: u128) -> Vec<Action> {
            self.step(Event::CallFinished {
                link: LinkId(link),
                request_id: call(request),
            })
        }
    }

    fn online(id: u128, link: u64, replaced: Option<u64>) -> Action {
        Action::NodeOnline {
            node_id: node(id),
            link: LinkId(link),
            replaced: replaced.map(LinkId),
        }
    }

    fn codes_of_failures(actions: &[Action]) -> Vec<(RequestId, ErrorCode)> {
        let failures = actions.iter().filter_map(|action| match action {
            Action::FailCall { request_id, code, .. } => Some((*request_id, *code)),
            _ => None,
        });
        failures.collect()
    }

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
    fn a_broken_link_fails_its_calls_and_keeps_the_node_listed() {
        let mut hive = Hive::new();
        hive.connect(&SPORE);
        hive.send(1, 1);
        let actions = hive.step(Event::LinkClosed {
            link: LinkId(1),
            graceful: false,
            reason: "connection reset".to_owned(),
        });
        let Action::FailCall { code, message, .. } = &actions[0] else {
            panic!("{actions:?}")
        };
        assert_eq!(*code, ErrorCode::NodeLost);
        assert!(
            message.contains("EchoSkill") && message.contains("spore-1") && message.contains("reset"),
            "{message}"
        );
        assert!(matches!(&actions[1], Action::NodeOffline { .. }));
        assert_eq!((hive.foreman.counts().online, hive.foreman.counts().total), (0, 1));
        assert_eq!(hive.refused(Target::Node(node(1)), "EchoSkill"), Rejection::Offline);
        hive.pass(1);
        assert_eq!(
            hive.connect(&Spore {
                link: 2,
                boot: Some("b"),
                ..SPORE
            }),
            [online(1, 2, None)]
        );
        assert_eq!(hive.foreman.node(&node(1)).unwrap().registered_at(), Moment::default());
    }

    #[test]
    fn a_v1_node_that_comes_again_replaces_its_old_link() {
        let mut hive = Hive::new();
        let v1 = Spore {
            protocol: 1,
            boot: None,
            ..SPORE
        };
        hive.connect(&v1);
        hive.send(1, 1);
        let actions = hive.connect(&Spore { link: 2, ..v1 });
        assert!(
            matches!(&actions[0], Action::CloseLink { link: LinkId(1), .. }),
            "{actions:?}"
        );
        assert_eq!(codes_of_failures(&actions), [(call(1), ErrorCode::NodeLost)]);
        assert_eq!(actions.last(), Some(&online(1, 2, Some(1))));
        let late = Event::LinkClosed {
            link: LinkId(1),
            graceful: false,
            reason: String::new(),
        };
        assert!(hive.step(late).is_empty(), "the old socket's end is no news");
        assert!(hive.foreman.node(&node(1)).unwrap().is_online());
    }

    #[test]
    fn a_clone_of_a_live_node_is_refused_until_the_node_falls_silent() {
        let clone = Spore {
            link: 2,
            boot: Some("b"),
            ..SPORE
        };
        let boot_less = Spore {
            link: 2,
            boot: None,
            protocol: 1,
            ..SPORE
        };
        for newcomer in [clone, boot_less] {
            let mut hive = Hive::new();
            hive.connect(&SPORE);
            hive.send(1, 1);
            hive.pass(35);
            let actions = hive.connect(&newcomer);
            assert!(
                matches!(&actions[0], Action::CloneAlarm { link: LinkId(2), .. }),
                "{actions:?}"
            );
            assert!(
                matches!(&actions[1], Action::CloseLink { link: LinkId(2), code: close::POLICY, reason } if reason.len() <= 123)
            );
            assert_eq!(actions.len(), 2);
            assert_eq!(hive.foreman.node(&node(1)).unwrap().link(), Some(LinkId(1)));
            assert_eq!(hive.done(1, 1).len(), 1, "the node's call is not touched");
            hive.pass(36);
            assert_eq!(hive.connect(&newcomer).last(), Some(&online(1, 2, Some(1))));
        }
    }

    #[test]
    fn the_same_process_over_a_new_link_still_answers_its_calls() {
        let mut hive = Hive::new();
        hive.connect(&SPORE);
        hive.send(1, 1);
        hive.send(2, 1);
        assert!(codes_of_failures(&hive.connect(&Spore { link: 2, ..SPORE })).is_empty());
        assert!(hive.done(1, 1).is_empty(), "not over the old link");
        assert_eq!(hive.done(2, 1).len(), 1);
        assert!(codes_of_failures(&hive.beat(2, 0.0, 1, None)).is_empty());
        hive.send(3, 1);
        let actions = hive.beat(2, 0.0, 0, None);
        assert_eq!(
            codes_of_failures(&actions),
            [(call(2), ErrorCode::NodeLost)],
            "only what the old link carried"
        );
    }

    #[test]
    fn goodbye_takes_a_node_off_at_once_and_lets_it_answer() {
        let mut hive = Hive::new();
        hive.connect(&SPORE);
        hive.send(1, 1);
        let actions = hive.step(Event::NodeLeft {
            link: LinkId(1),
            reason: String::new(),
        });
        assert!(matches!(&actions[..], [Action::NodeOffline { .. }]), "{actions:?}");
        assert_eq!(hive.foreman.counts().online, 0);
        assert_eq!(hive.refused(Target::Node(node(1)), "EchoSkill"), Rejection::Offline);
        assert!(matches!(
            hive.refused(Target::Best(Requirements::default()), "EchoSkill"),
            Rejection::NoneFits { .. }
        ));
        let actions = hive.done(1, 1);
        assert!(
            matches!(
                &actions[..],
                [
                    Action::CompleteCall { .. },
                    Action::CloseLink {
                        code: close::NORMAL,
                        ..
                    }
                ]
            ),
            "{actions:?}"
        );
        assert!(matches!(
            hive.foreman.node(&node(1)).unwrap().presence(),
            Presence::Offline { .. }
        ));
    }

    #[test]
    fn silence_takes_a_node_off_and_any_frame_keeps_it() {
        let mut hive = Hive::with(Settings::with_heartbeat_timeout(Duration::from_secs(10)));
        hive.connect(&SPORE);
        hive.connect(&Spore {
            link: 2,
            id: 2,
            ..SPORE
        });
        hive.send(1, 1);
        hive.pass(9);
        assert!(hive.step(Event::Tick).is_empty());
        hive.step(Event::FrameSeen { link: LinkId(2) });
        hive.pass(1);
        let actions = hive.step(Event::Tick);
        assert!(
            matches!(&actions[0], Action::CloseLink { link: LinkId(1), .. }),
            "{actions:?}"
        );
        assert_eq!(codes_of_failures(&actions), [(call(1), ErrorCode::NodeLost)]);
        assert!(matches!(&actions[2], Action::NodeOffline { reason, .. } if reason == "no frame for 10 s"));
        assert!(hive.foreman.node(&node(2)).unwrap().is_online());
    }

    #[test]
    fn draining_takes_nothing_new_finishes_and_holds_over_a_reconnect() {
        let mut hive = Hive::new();
        hive.connect(&SPORE);
        hive.send(1, 1);
        let draining = hive.step(Event::DrainRequested { node_id: node(1) });
        assert_eq!(
            draining,
            [Action::NodeDraining {
                node_id: node(1),
                in_flight: 1
            }]
        );
        assert_eq!(hive.refused(Target::Node(node(1)), "EchoSkill"), Rejection::Draining);
        assert_eq!(
            hive.refused(Target::Best(Requirements::default()), "EchoSkill"),
            Rejection::Draining
        );
        assert_eq!(hive.done(1, 1)[1], Action::NodeDrained { node_id: node(1) });
        hive.connect(&Spore { link: 2, ..SPORE });
        assert_eq!(hive.refused(Target::Node(node(1)), "EchoSkill"), Rejection::Draining);
        let resumed = hive.step(Event::UndrainRequested { node_id: node(1) });
        assert_eq!(resumed, [Action::NodeResumed { node_id: node(1) }]);
        hive.send(2, 1);
    }

    #[test]
    fn a_status_changes_skills_and_draining() {
        let mut hive = Hive::new();
        hive.connect(&SPORE);
        let status = |skills, draining| Event::StatusChanged {
            link: LinkId(1),
            capabilities: has(skills, &[], false),
            draining,
        };
        assert_eq!(
            hive.step(status(&["FileSkill"], false)),
            [Action::NodeChanged { node_id: node(1) }]
        );
        let known = vec!["FileSkill".to_owned()];
        assert_eq!(
            hive.refused(Target::Node(node(1)), "EchoSkill"),
            Rejection::UnknownSkill { known }
        );
        let actions = hive.step(status(&["EchoSkill"], true));
        assert!(
            actions.contains(&Action::NodeDraining {
                node_id: node(1),
                in_flight: 0
            }),
            "{actions:?}"
        );
        assert_eq!(hive.refused(Target::Node(node(1)), "EchoSkill"), Rejection::Draining);
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
    fn only_so_many_offline_nodes_are_kept() {
        let mut hive = Hive::with(Settings {
            max_offline_nodes: 1,
            ..Settings::default()
        });
        let gone = |link| Event::LinkClosed {
            link: LinkId(link),
            graceful: true,
            reason: String::new(),
        };
        for id in [1, 2] {
            hive.connect(&Spore {
                link: id,
                id: u128::from(id),
                ..SPORE
            });
        }
        hive.step(gone(1));
        hive.pass(1);
        let actions = hive.step(gone(2));
        assert_eq!(actions.last(), Some(&Action::NodeForgotten { node_id: node(1) }));
        assert_eq!(hive.foreman.counts().total, 1);
        assert!(hive.foreman.node(&node(1)).is_none());
        hive.connect(&Spore {
            link: 3,
            id: 3,
            ..SPORE
        });
        assert_eq!(hive.foreman.nodes().count(), 2);
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
}
