//! Agents that have got in, for tests that are about what comes then.

use venom_fleet::{Admission, AgentPass, Fleet};
use venom_protocol::{AgentHeartbeat, CreateEnrolment, Event, RegisterAgent, Registered};

use crate::base::at;

/// An enrolment for one agent at Berlin, good for a day.
pub(crate) fn enrolment() -> CreateEnrolment {
    CreateEnrolment {
        name: String::new(),
        site_name: "Berlin".to_owned(),
        location: None,
        tags: Vec::new(),
        uses: 1,
        expires_in: 86_400,
        approval: false,
    }
}

/// What an agent of this id says of itself when it registers.
pub(crate) fn agent(id: &str) -> RegisterAgent {
    RegisterAgent {
        agent_id: Some(id.parse().unwrap()),
        ..RegisterAgent::default()
    }
}

/// What an agent says that brings no id.
pub(crate) fn legacy(name: &str, site: &str) -> RegisterAgent {
    RegisterAgent {
        name: Some(name.to_owned()),
        site_name: Some(site.to_owned()),
        ..RegisterAgent::default()
    }
}

/// Registers by the shared token `seconds` into the tests' time.
pub(crate) async fn register(fleet: &Fleet, ask: RegisterAgent, seconds: i64) -> Registered {
    let registered = fleet.register(ask, Admission::Shared, at(seconds)).await;
    registered.unwrap().answer
}

/// The pass of a token that is good `seconds` into the tests' time.
pub(crate) async fn pass(fleet: &Fleet, token: &str, seconds: i64) -> AgentPass {
    fleet.admit(token, at(seconds)).await.unwrap().expect("a good token")
}

/// Whether a token is good `seconds` into the tests' time.
pub(crate) async fn is_good(fleet: &Fleet, token: &str, seconds: i64) -> bool {
    fleet.admit(token, at(seconds)).await.unwrap().is_some()
}

/// An agent of this id at this site that registered by the shared token at the beginning of the tests' time.
pub(crate) async fn admitted(fleet: &Fleet, id: &str, site: &str) -> AgentPass {
    let mut ask = agent(id);
    ask.site_name = Some(site.to_owned());
    let registered = register(fleet, ask, 0).await;
    pass(fleet, &registered.token, 0).await
}

/// It says that it is there, with its token checked anew as every request's is. Gives back what was told.
pub(crate) async fn beat(fleet: &Fleet, token: &str, beat: AgentHeartbeat, seconds: i64) -> Vec<Event> {
    let pass = pass(fleet, token, seconds).await;
    let outcome = fleet.heartbeat(&pass, beat, at(seconds)).await.unwrap();
    assert_eq!(outcome.answer.last_seen, at(seconds));
    outcome.events
}

/// The kinds of what was told.
pub(crate) fn kinds(events: &[Event]) -> Vec<&str> {
    events.iter().map(|event| event.kind.as_str()).collect()
}
