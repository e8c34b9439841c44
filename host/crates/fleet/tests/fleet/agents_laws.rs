//! What holds whatever order enrolments, registrations, rotations and goodbyes come in.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest::test_runner::{FileFailurePersistence, RngSeed};
use venom_fleet::{Admission, AgentQuery, Fleet, FleetError, Outcome};
use venom_protocol::{AgentId, CreateEnrolment, EnrolmentView, RegisterAgent, Registered};

use crate::admitted::{agent, enrolment, legacy};
use crate::base::{Base, at};

/// Something that happens.
#[derive(Debug, Clone)]
enum Happens {
    Enrolment {
        uses: u32,
        expires_in: u64,
    },
    Revoked {
        enrolment: usize,
    },
    Enrols {
        enrolment: usize,
        who: u8,
    },
    /// Three at once with the same words.
    EnrolsThrice {
        enrolment: usize,
        who: u8,
    },
    BySharedToken {
        who: u8,
    },
    UsesToken {
        token: usize,
    },
    Rotates {
        token: usize,
    },
    Deregistered {
        agent: usize,
    },
    TimePasses {
        seconds: i64,
    },
}

fn happens() -> impl Strategy<Value = Happens> {
    let any = 0..8_usize;
    prop_oneof![
        2 => (1..4_u32, 1..900_u64).prop_map(|(uses, expires_in)| Happens::Enrolment { uses, expires_in }),
        1 => any.clone().prop_map(|enrolment| Happens::Revoked { enrolment }),
        8 => (any.clone(), 0..6_u8).prop_map(|(enrolment, who)| Happens::Enrols { enrolment, who }),
        2 => (any.clone(), 0..6_u8).prop_map(|(enrolment, who)| Happens::EnrolsThrice { enrolment, who }),
        3 => (0..6_u8).prop_map(|who| Happens::BySharedToken { who }),
        5 => any.clone().prop_map(|token| Happens::UsesToken { token }),
        2 => any.clone().prop_map(|token| Happens::Rotates { token }),
        1 => any.prop_map(|agent| Happens::Deregistered { agent }),
        2 => (1..400_i64).prop_map(|seconds| Happens::TimePasses { seconds }),
    ]
}

/// What has been seen, from outside.
struct Seen {
    fleet: Fleet,
    now: i64,
    enrolments: Vec<EnrolmentSeen>,
    /// How often an agent was put out.
    put_out: BTreeMap<AgentId, usize>,
    /// Agents' tokens, oldest first.
    tokens: Vec<TokenSeen>,
    agents: Vec<AgentId>,
}

struct EnrolmentSeen {
    token: String,
    made: EnrolmentView,
    is_revoked: bool,
    /// Whom it let in, and after how many times of being put out.
    let_in: BTreeSet<(AgentId, usize)>,
}

#[derive(Clone)]
struct TokenSeen {
    text: String,
    /// Shown, and good.
    is_in_use: bool,
    /// Shown, and refused.
    has_ended: bool,
    /// The token it was given for.
    replaces: Option<usize>,
    /// One given for it was shown.
    is_exchanged: bool,
}

impl Seen {
    fn new(fleet: Fleet) -> Self {
        Self {
            fleet,
            now: 0,
            enrolments: Vec::new(),
            put_out: BTreeMap::new(),
            tokens: Vec::new(),
            agents: Vec::new(),
        }
    }

    async fn happens(&mut self, what: Happens) {
        match what {
            Happens::Enrolment { uses, expires_in } => {
                let ask = CreateEnrolment {
                    uses,
                    expires_in,
                    ..enrolment()
                };
                let (token, made) = self
                    .fleet
                    .create_enrolment(ask, "ops", at(self.now))
                    .await
                    .unwrap()
                    .answer;
                self.enrolments.push(EnrolmentSeen {
                    token,
                    made,
                    is_revoked: false,
                    let_in: BTreeSet::new(),
                });
            }
            Happens::Revoked { enrolment } => {
                let Some(which) = which(&self.enrolments, enrolment) else {
                    return;
                };
                let id = &self.enrolments[which].made.id;
                self.fleet.revoke_enrolment(id, "ops", at(self.now)).await.unwrap();
                self.enrolments[which].is_revoked = true;
            }
            Happens::Enrols { enrolment, who } => self.enrol(enrolment, who, 1).await,
            Happens::EnrolsThrice { enrolment, who } => self.enrol(enrolment, who, 3).await,
            Happens::BySharedToken { who } => {
                let answer = self.fleet.register(ask(who), Admission::Shared, at(self.now)).await;
                if let Some(registered) = self.registered(answer) {
                    let by_enrolment = self.enrolments.iter().flat_map(|enrolment| &enrolment.let_in);
                    let is_taken = by_enrolment.map(|(agent, _)| agent).any(|agent| *agent == registered);
                    assert!(
                        !is_taken,
                        "the shared token let somebody in as {registered}, which enrolled"
                    );
                }
            }
            Happens::UsesToken { token } => {
                if let Some(which) = which(&self.tokens, token) {
                    self.show(which).await;
                }
            }
            Happens::Rotates { token } => {
                let Some(which) = which(&self.tokens, token) else {
                    return;
                };
                if !self.show(which).await {
                    return;
                }
                let pass = self
                    .fleet
                    .admit(&self.tokens[which].text, at(self.now))
                    .await
                    .unwrap()
                    .unwrap();
                match self.fleet.rotate_token(&pass, at(self.now)).await {
                    Ok(rotated) => {
                        assert!(!self.tokens[which].is_exchanged, "a token has two successors");
                        self.got(rotated.answer.token, Some(which));
                    }
                    Err(error) => assert!(self.tokens[which].is_exchanged, "{error:?}"),
                }
            }
            Happens::Deregistered { agent } => {
                let Some(which) = which(&self.agents, agent) else {
                    return;
                };
                let id = self.agents[which].clone();
                let told = self.fleet.deregister(&id, "ops", at(self.now)).await.unwrap().events;
                *self.put_out.entry(id).or_default() += usize::from(!told.is_empty());
            }
            Happens::TimePasses { seconds } => {
                self.now += seconds;
                self.fleet.tick(at(self.now), at(0)).await.unwrap();
            }
        }
    }

    /// Somebody enrols, `times` at once with the same words.
    async fn enrol(&mut self, enrolment: usize, who: u8, times: usize) {
        let Some(which) = which(&self.enrolments, enrolment) else {
            return;
        };
        let in_use = self.in_use().await;
        let asks = (0..times).map(|_| {
            let (fleet, token, now) = (self.fleet.clone(), self.enrolments[which].token.clone(), self.now);
            tokio::spawn(async move { fleet.register(ask(who), Admission::Enrolment(&token), at(now)).await })
        });
        for asked in asks.collect::<Vec<_>>() {
            let Some(agent) = self.registered(asked.await.unwrap()) else {
                continue;
            };
            let enrolment = &mut self.enrolments[which];
            assert!(!enrolment.is_revoked && at(self.now) < enrolment.made.expires_at);
            let times = self.put_out.get(&agent).copied().unwrap_or_default();
            enrolment.let_in.insert((agent, times));
            assert!(
                enrolment.let_in.len() <= enrolment.made.uses as usize,
                "{:?}",
                enrolment.let_in
            );
        }
        for which in in_use {
            assert!(self.show(which).await, "an enrolment ended a token in use");
        }
    }

    /// Tokens that are in use.
    async fn in_use(&mut self) -> Vec<usize> {
        let mut in_use = Vec::new();
        for which in 0..self.tokens.len() {
            if self.tokens[which].is_in_use && self.show(which).await {
                in_use.push(which);
            }
        }
        in_use
    }

    fn registered(&mut self, answer: Result<Outcome<Registered>, FleetError>) -> Option<AgentId> {
        match answer {
            Ok(outcome) => {
                let agent = outcome.answer.agent_id;
                self.got(outcome.answer.token, None);
                if !self.agents.contains(&agent) {
                    self.agents.push(agent.clone());
                }
                Some(agent)
            }
            Err(FleetError::Denied(_)) => None,
            Err(other) => panic!("{other:?}"),
        }
    }

    fn got(&mut self, text: String, replaces: Option<usize>) {
        self.tokens.push(TokenSeen {
            text,
            is_in_use: false,
            has_ended: false,
            replaces,
            is_exchanged: false,
        });
    }

    /// Shows a token. What was refused once is refused for good.
    async fn show(&mut self, which: usize) -> bool {
        let token = &mut self.tokens[which];
        let is_good = self.fleet.admit(&token.text, at(self.now)).await.unwrap().is_some();
        assert!(!is_good || !token.has_ended, "a token that had ended is good again");
        token.is_in_use |= is_good;
        token.has_ended |= !is_good;
        if let Some(old) = token.replaces.filter(|_| is_good) {
            self.tokens[old].is_exchanged = true;
        }
        is_good
    }

    /// What the fleet counted is what was seen.
    async fn counts(&self) {
        let listed = self.fleet.enrolments(at(0)).await.unwrap();
        for enrolment in &self.enrolments {
            let view = listed.iter().find(|view| view.id == enrolment.made.id).unwrap();
            assert_eq!(
                (view.used as usize, view.uses),
                (enrolment.let_in.len(), enrolment.made.uses)
            );
        }
        let agents = self.fleet.agents(AgentQuery::default()).await.unwrap();
        assert_eq!(agents.total as usize, self.agents.len());
    }
}

fn ask(who: u8) -> RegisterAgent {
    if who < 4 {
        agent(&format!("a{who}"))
    } else {
        legacy(&format!("n{who}"), "Paris")
    }
}

fn which<T>(all: &[T], number: usize) -> Option<usize> {
    (!all.is_empty()).then(|| number % all.len())
}

async fn hold(base: Base, all: Vec<Happens>) {
    let mut seen = Seen::new(base.open().await);
    for what in all {
        seen.happens(what).await;
    }
    seen.counts().await;
    seen.fleet.close().await;
}

fn block_on(future: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    runtime.unwrap().block_on(future);
}

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        max_shrink_iters: 200,
        rng_seed: RngSeed::Fixed(5),
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/fleet.regressions"
        )))),
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config(60))]
    #[test]
    fn no_more_get_in_than_may_on_sqlite(all in prop::collection::vec(happens(), 1..40)) {
        block_on(async { hold(Base::sqlite(), all).await });
    }
}

proptest! {
    #![proptest_config(config(20))]
    #[test]
    #[cfg_attr(no_postgres, ignore = "needs PostgreSQL (Debian: postgresql)")]
    fn no_more_get_in_than_may_on_postgres(all in prop::collection::vec(happens(), 1..40)) {
        block_on(async { hold(Base::postgres().await, all).await });
    }
}
