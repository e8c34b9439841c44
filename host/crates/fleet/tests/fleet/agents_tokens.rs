//! Agents' tokens: replaced with an overlap, ended at once, and nowhere in the plain.

use std::time::Duration;

use venom_fleet::{Admission, FleetError, FleetSettings};
use venom_protocol::{CreateEnrolment, RegisterAgent, SendCommand};

use crate::admitted::{admitted, agent, beat, enrolment, is_good, kinds, pass, register};
use crate::base::{Base, at};

on_both!(
    a_rotated_token_ends_an_overlap_after_the_first_use_of_the_new_one,
    a_rotated_token_whose_successor_nobody_used_does_not_end,
    a_token_has_one_successor_in_use,
    a_lost_rotation_is_asked_for_again,
    a_rotation_leaves_the_tokens_of_others,
    deregistering_ends_all_tokens_at_once,
    a_token_that_has_ended_cannot_be_rotated,
    ended_tokens_are_removed,
    no_token_is_kept_or_shown,
);

/// 20 s, so that nothing passes by the built-in one.
fn overlap() -> FleetSettings {
    FleetSettings {
        rotation_overlap: Duration::from_secs(20),
        ..FleetSettings::default()
    }
}

async fn a_rotated_token_ends_an_overlap_after_the_first_use_of_the_new_one(base: &Base) {
    let (fleet, other) = tokio::join!(base.open_with(overlap()), base.open_with(overlap()));
    let old = register(&fleet, agent("a"), 0).await.token;
    let its_pass = pass(&fleet, &old, 0).await;
    let outcome = fleet.rotate_token(&its_pass, at(10)).await.unwrap();
    assert_eq!(kinds(&outcome.events), ["AGENT_TOKEN_ROTATED"]);
    let rotated = outcome.answer;
    assert_eq!((rotated.status.as_str(), rotated.agent_id.as_str()), ("rotated", "a"));
    assert!(rotated.message.contains("20 s"), "{}", rotated.message);
    // at another nexus; later uses change nothing
    assert!(is_good(&other, &rotated.token, 101).await);
    assert!(is_good(&fleet, &rotated.token, 110).await);
    assert!(is_good(&fleet, &old, 120).await && is_good(&other, &old, 120).await);
    assert!(!is_good(&fleet, &old, 121).await && !is_good(&other, &old, 121).await);
    let ended = fleet.rotate_token(&its_pass, at(121)).await;
    assert!(matches!(ended, Err(FleetError::Denied(_))), "{ended:?}");
    assert!(is_good(&fleet, &rotated.token, 1_000_000).await);
}

async fn a_rotated_token_whose_successor_nobody_used_does_not_end(base: &Base) {
    let fleet = base.open_with(overlap()).await;
    let old = register(&fleet, agent("a"), 0).await.token;
    let its_pass = pass(&fleet, &old, 0).await;
    // the answer is lost, and the agent is away for a month
    let lost = fleet.rotate_token(&its_pass, at(10)).await.unwrap().answer.token;
    let back = 30 * 86_400;
    fleet.tick(at(back), at(back)).await.unwrap();
    let its_pass = pass(&fleet, &old, back).await;
    let got = fleet.rotate_token(&its_pass, at(back)).await.unwrap().answer.token;
    assert!(is_good(&fleet, &got, back + 1).await && !is_good(&fleet, &lost, back + 1).await);
    assert!(!is_good(&fleet, &old, back + 21).await);
}

async fn a_token_has_one_successor_in_use(base: &Base) {
    let fleet = base.open_with(overlap()).await;
    let old = register(&fleet, agent("a"), 0).await.token;
    let its_pass = pass(&fleet, &old, 0).await;
    let rotated = fleet.rotate_token(&its_pass, at(10)).await.unwrap().answer.token;
    assert!(is_good(&fleet, &rotated, 11).await && is_good(&fleet, &old, 12).await);
    let again = fleet.rotate_token(&its_pass, at(12)).await;
    assert!(matches!(again, Err(FleetError::Denied(_))), "{again:?}");
    assert!(is_good(&fleet, &rotated, 13).await);
}

async fn a_lost_rotation_is_asked_for_again(base: &Base) {
    let fleet = base.open_with(overlap()).await;
    let old = register(&fleet, agent("a"), 0).await.token;
    let its_pass = pass(&fleet, &old, 0).await;
    let lost = fleet.rotate_token(&its_pass, at(10)).await.unwrap().answer.token;
    let got = fleet.rotate_token(&its_pass, at(11)).await.unwrap().answer.token;
    assert!(!is_good(&fleet, &lost, 12).await, "what was lost is good for nobody");
    assert!(is_good(&fleet, &old, 12).await && is_good(&fleet, &got, 13).await);
    assert!(!is_good(&fleet, &old, 33).await);
    fleet.tick(at(33), at(33)).await.unwrap();
    assert_eq!(base.number("SELECT COUNT(*) FROM agent_tokens").await, 1);
}

async fn a_rotation_leaves_the_tokens_of_others(base: &Base) {
    let fleet = base.open().await;
    let one = register(&fleet, agent("a"), 0).await.token;
    let other = register(&fleet, agent("a"), 1).await.token;
    let its_pass = pass(&fleet, &one, 2).await;
    let rotated = fleet.rotate_token(&its_pass, at(3)).await.unwrap().answer.token;
    assert!(is_good(&fleet, &rotated, 4).await && !is_good(&fleet, &one, 604).await);
    assert!(
        is_good(&fleet, &other, 1_000_000).await,
        "the spore's and the agent's may be two"
    );
}

async fn deregistering_ends_all_tokens_at_once(base: &Base) {
    let (fleet, other) = tokio::join!(base.open(), base.open());
    let one = register(&fleet, agent("a"), 0).await.token;
    let two = register(&fleet, agent("a"), 1).await.token;
    let its_pass = pass(&fleet, &one, 2).await;
    let three = fleet.rotate_token(&its_pass, at(3)).await.unwrap().answer.token;
    let neighbour = register(&fleet, agent("b"), 3).await.token;
    other.deregister(&its_pass.agent_id, "ops", at(4)).await.unwrap();
    for token in [&one, &two, &three] {
        assert!(!is_good(&fleet, token, 4).await);
    }
    assert!(is_good(&fleet, &neighbour, 4).await);
    assert_eq!(base.number("SELECT COUNT(*) FROM agent_tokens").await, 1);
}

async fn a_token_that_has_ended_cannot_be_rotated(base: &Base) {
    let fleet = base.open().await;
    let its_pass = admitted(&fleet, "a", "Berlin").await;
    fleet.deregister(&its_pass.agent_id, "ops", at(1)).await.unwrap();
    let put_out = fleet.rotate_token(&its_pass, at(2)).await;
    assert!(matches!(put_out, Err(FleetError::Denied(_))), "{put_out:?}");
    // also when it came back meanwhile, with another
    register(&fleet, agent("a"), 3).await;
    let stale = fleet.rotate_token(&its_pass, at(4)).await;
    assert!(matches!(stale, Err(FleetError::Denied(_))), "{stale:?}");
}

async fn ended_tokens_are_removed(base: &Base) {
    let fleet = base.open().await;
    let its_pass = admitted(&fleet, "a", "Berlin").await;
    let rotated = fleet.rotate_token(&its_pass, at(0)).await.unwrap().answer.token;
    assert!(is_good(&fleet, &rotated, 0).await);
    let count = || base.number("SELECT COUNT(*) FROM agent_tokens");
    fleet.tick(at(599), at(599)).await.unwrap();
    assert_eq!(count().await, 2);
    fleet.tick(at(600), at(600)).await.unwrap();
    assert_eq!(count().await, 1);
}

async fn no_token_is_kept_or_shown(base: &Base) {
    let fleet = base.open().await;
    let mut tokens = Vec::new();
    let mut shown = String::new();
    let created = fleet
        .create_enrolment(CreateEnrolment { uses: 2, ..enrolment() }, "ops", at(0))
        .await
        .unwrap();
    shown += &format!("{created:?} {:?}", created.events);
    let enrolment = created.answer.0;
    let admission = Admission::Enrolment(&enrolment);
    let mut ask = RegisterAgent {
        secret: Some(enrolment.clone()),
        ..agent("a")
    };
    for key in ["token", "Authorization", "registration_token"] {
        ask.metadata.insert(key.to_owned(), enrolment.clone().into());
    }
    shown += &format!("{admission:?} {ask:?}");
    let outcome = fleet.register(ask, admission, at(1)).await.unwrap();
    shown += &format!("{outcome:?} {:?}", outcome.answer);
    let registered = outcome.answer;
    let its_pass = pass(&fleet, &registered.token, 2).await;
    shown += &format!("{its_pass:?} {:?}", Admission::Agent(&its_pass));
    let outcome = fleet.rotate_token(&its_pass, at(3)).await.unwrap();
    shown += &format!("{outcome:?} {:?}", outcome.answer);
    shown += &format!("{:?}", beat(&fleet, &outcome.answer.token, Default::default(), 4).await);
    fleet
        .send_command(&its_pass.agent_id, SendCommand::default(), "ops", at(5))
        .await
        .unwrap();
    tokens.extend([enrolment, registered.token, outcome.answer.token]);
    shown += &format!("{fleet:?}");
    fleet.flush(at(6)).await.unwrap();
    let kept = base.everything().await;
    assert!(
        kept.contains("enrolments: ") && kept.contains("agents: ") && kept.contains("agent_tokens: "),
        "{kept}"
    );
    for token in tokens {
        assert_eq!(token.len(), 43, "32 bytes");
        assert!(!kept.contains(&token), "kept: {kept}");
        assert!(!shown.contains(&token), "shown: {shown}");
    }
}
