//! Registration by the shared token, as older clients do it, and by an agent's own.

use std::collections::BTreeSet;

use venom_fleet::{Admission, FleetError, FleetSettings};
use venom_protocol::{AgentStatus, RegisterAgent};

use crate::admitted::{admitted, agent, is_good, kinds, legacy, pass, register};
use crate::base::{Base, at};

on_both!(
    a_hive_client_registers_at_each_start,
    an_agent_has_four_tokens_at_most,
    a_lan_agent_without_an_id_gets_one,
    a_lan_agent_that_lost_the_reply_is_the_same,
    a_deregistered_agent_comes_back_by_the_shared_token,
    what_is_not_said_stays_known,
    an_agent_registers_with_its_own_token,
    there_are_no_more_than_the_most_agents,
    an_agents_own_words_are_bounded,
    names_are_made_fit_for_people,
);

async fn a_hive_client_registers_at_each_start(base: &Base) {
    let fleet = base.open().await;
    let ask: RegisterAgent = serde_json::from_str(
        r#"{"agent_id":"spore-1","hostname":"pi","service_port":8001,"status":"online","capabilities":["shell"],
            "version":"1.0","gpu":{"n":1}}"#,
    )
    .unwrap();
    let outcome = fleet.register(ask.clone(), Admission::Shared, at(0)).await.unwrap();
    assert_eq!(kinds(&outcome.events), ["AGENT_REGISTERED"]);
    assert_eq!(outcome.events[0].timestamp, at(0));
    let first = outcome.answer;
    assert_eq!(
        (first.agent_id.as_str(), first.site_name.as_str()),
        ("spore-1", "default")
    );
    assert!(is_good(&fleet, &first.token, 1).await);
    let again = RegisterAgent {
        version: Some("1.1".to_owned()),
        ..ask
    };
    let outcome = fleet.register(again, Admission::Shared, at(10)).await.unwrap();
    assert_eq!(outcome.events[0].data["known"], true);
    let second = outcome.answer;
    assert_ne!(second.token, first.token);
    assert!(is_good(&fleet, &second.token, 11).await && is_good(&fleet, &first.token, 11).await);
    let view = fleet.agent(&first.agent_id).await.unwrap();
    assert_eq!(
        (view.name.as_str(), view.version.as_deref(), view.status),
        ("pi", Some("1.1"), AgentStatus::Pending)
    );
    assert_eq!(
        (view.registered_at, view.capabilities),
        (at(0), vec!["shell".to_owned()])
    );
    assert_eq!(
        (&view.metadata["gpu"]["n"], &view.metadata["service_port"]),
        (&1.into(), &8001.into())
    );
    assert_eq!(fleet.agents(Default::default()).await.unwrap().total, 1);
}

async fn an_agent_has_four_tokens_at_most(base: &Base) {
    let fleet = base.open().await;
    let mut tokens = Vec::new();
    for start in 0..6 {
        tokens.push(register(&fleet, agent("a"), start).await.token);
    }
    let mut good = Vec::new();
    for token in &tokens {
        good.push(is_good(&fleet, token, 10).await);
    }
    assert_eq!(good, [false, false, true, true, true, true]);
}

async fn a_lan_agent_without_an_id_gets_one(base: &Base) {
    let fleet = base.open().await;
    let mut ids = BTreeSet::new();
    for (name, site) in [("pi", "Berlin"), ("pi", "Paris"), ("nas", "Berlin")] {
        let registered = register(&fleet, legacy(name, site), 0).await;
        assert_eq!(registered.site_name, site);
        ids.insert(registered.agent_id);
    }
    assert_eq!(ids.len(), 3);
}

async fn a_lan_agent_that_lost_the_reply_is_the_same(base: &Base) {
    let (fleet, other) = tokio::join!(base.open(), base.open());
    // many at once, at two nexuses
    let asks = (0..8).map(|ask| {
        let fleet = if ask % 2 == 0 { fleet.clone() } else { other.clone() };
        tokio::spawn(async move { register(&fleet, legacy("pi", "Berlin"), 0).await })
    });
    let mut ids = BTreeSet::new();
    for ask in asks.collect::<Vec<_>>() {
        ids.insert(ask.await.unwrap().agent_id);
    }
    assert_eq!(ids.len(), 1, "{ids:?}");
    assert_eq!(base.number("SELECT COUNT(*) FROM agent_tokens").await, 1);
    let retried = register(&fleet, legacy("pi", "Berlin"), 600).await;
    assert!(ids.contains(&retried.agent_id));
    assert!(is_good(&fleet, &retried.token, 601).await);
    // its token is in use: this is another machine of that name
    let another = register(&fleet, legacy("pi", "Berlin"), 602).await;
    assert!(!ids.contains(&another.agent_id));
    assert!(is_good(&fleet, &retried.token, 603).await);
    // and nobody waits longer than that for a reply
    let late = register(&fleet, legacy("pi", "Berlin"), 1_203).await;
    assert_ne!(late.agent_id, another.agent_id);
}

async fn a_deregistered_agent_comes_back_by_the_shared_token(base: &Base) {
    let fleet = base.open().await;
    let before = register(&fleet, agent("a"), 0).await;
    let outcome = fleet.deregister(&before.agent_id, "ops", at(1)).await.unwrap();
    assert_eq!(kinds(&outcome.events), ["AGENT_DEREGISTERED"]);
    assert!(!fleet.agent(&before.agent_id).await.unwrap().is_active);
    let after = register(&fleet, agent("a"), 2).await;
    let view = fleet.agent(&before.agent_id).await.unwrap();
    assert_eq!(
        (view.is_active, view.status, view.registered_at),
        (true, AgentStatus::Pending, at(0))
    );
    assert!(is_good(&fleet, &after.token, 3).await && !is_good(&fleet, &before.token, 3).await);
    let unknown = fleet.deregister(&"b".parse().unwrap(), "ops", at(4)).await;
    assert!(matches!(unknown, Err(FleetError::Unknown(_))));
    fleet.deregister(&before.agent_id, "ops", at(5)).await.unwrap();
    assert!(
        fleet
            .deregister(&before.agent_id, "ops", at(5))
            .await
            .unwrap()
            .events
            .is_empty()
    );
}

async fn what_is_not_said_stays_known(base: &Base) {
    let fleet = base.open().await;
    let full = RegisterAgent {
        hostname: Some("pi".to_owned()),
        name: Some("the pi".to_owned()),
        site_name: Some("Berlin".to_owned()),
        location: Some("cellar".to_owned()),
        subnets: vec!["10.0.0.0/24".to_owned()],
        capabilities: vec!["shell".to_owned()],
        version: Some("1".to_owned()),
        metadata: [("rack".to_owned(), 7.into())].into_iter().collect(),
        ..agent("a")
    };
    let id = register(&fleet, full, 0).await.agent_id;
    let before = fleet.agent(&id).await.unwrap();
    register(&fleet, agent("a"), 1).await;
    assert_eq!(fleet.agent(&id).await.unwrap(), before);
    let moved = RegisterAgent {
        site_name: Some("Paris".to_owned()),
        ..agent("a")
    };
    assert_eq!(register(&fleet, moved, 2).await.site_name, "Paris");
    assert_eq!(fleet.agent(&id).await.unwrap().site_name, "Paris");
}

async fn an_agent_registers_with_its_own_token(base: &Base) {
    let fleet = base.open().await;
    let before = register(&fleet, agent("a"), 0).await;
    let its_pass = pass(&fleet, &before.token, 0).await;
    let ask = || RegisterAgent {
        version: Some("2".to_owned()),
        ..RegisterAgent::default()
    };
    let lost = fleet
        .register(ask(), Admission::Agent(&its_pass), at(1))
        .await
        .unwrap()
        .answer;
    let after = fleet
        .register(ask(), Admission::Agent(&its_pass), at(2))
        .await
        .unwrap()
        .answer;
    assert_eq!(after.agent_id, before.agent_id);
    assert_eq!(
        fleet.agent(&after.agent_id).await.unwrap().version.as_deref(),
        Some("2")
    );
    // as by a rotation: the one before ends an overlap after the new one is used, and the one that was lost has ended
    assert!(is_good(&fleet, &before.token, 3).await && !is_good(&fleet, &lost.token, 3).await);
    assert!(is_good(&fleet, &after.token, 4).await && !is_good(&fleet, &before.token, 604).await);
    let its_pass = pass(&fleet, &after.token, 5).await;
    let as_another = fleet.register(agent("b"), Admission::Agent(&its_pass), at(5)).await;
    assert!(matches!(as_another, Err(FleetError::Forbidden(_))), "{as_another:?}");
    fleet.deregister(&after.agent_id, "ops", at(6)).await.unwrap();
    let put_out = fleet.register(ask(), Admission::Agent(&its_pass), at(7)).await;
    assert!(matches!(put_out, Err(FleetError::Denied(_))), "{put_out:?}");
}

async fn there_are_no_more_than_the_most_agents(base: &Base) {
    let settings = FleetSettings {
        max_agents: 2,
        ..FleetSettings::default()
    };
    let fleet = base.open_with(settings).await;
    let first = register(&fleet, agent("a"), 0).await;
    register(&fleet, agent("b"), 0).await;
    match fleet.register(agent("c"), Admission::Shared, at(1)).await {
        Err(FleetError::Full(text)) => assert!(text.contains("2 agents"), "{text}"),
        other => panic!("{other:?}"),
    }
    register(&fleet, agent("a"), 2).await;
    fleet.deregister(&first.agent_id, "ops", at(3)).await.unwrap();
    register(&fleet, agent("c"), 4).await;
    let again = fleet.register(agent("a"), Admission::Shared, at(5)).await;
    assert!(matches!(again, Err(FleetError::Full(_))), "coming back needs room too");
}

async fn an_agents_own_words_are_bounded(base: &Base) {
    let settings = FleetSettings {
        max_metadata: bytesize::ByteSize::b(100),
        ..FleetSettings::default()
    };
    let fleet = base.open_with(settings).await;
    let ask = |bytes: usize| {
        // {"k":"…"}: eight bytes beside the value
        let metadata = [("k".to_owned(), "x".repeat(bytes - 8).into())].into_iter().collect();
        RegisterAgent { metadata, ..agent("a") }
    };
    register(&fleet, ask(100), 0).await;
    let all_of_them = |part| RegisterAgent {
        subnets: vec!["x".repeat(part)],
        capabilities: vec!["x".repeat(part)],
        ..ask(part)
    };
    for too_much in [ask(101), all_of_them(40)] {
        match fleet.register(too_much, Admission::Shared, at(1)).await {
            Err(FleetError::Invalid(text)) => assert!(text.contains("100 B"), "{text}"),
            other => panic!("{other:?}"),
        }
    }
    let its_pass = admitted(&fleet, "b", "Berlin").await;
    let subnets = Some(vec!["x".repeat(100)]);
    let beat = venom_protocol::AgentHeartbeat {
        subnets,
        ..Default::default()
    };
    let too_much = fleet.heartbeat(&its_pass, beat, at(2)).await;
    assert!(matches!(too_much, Err(FleetError::Invalid(_))), "{too_much:?}");
}

async fn names_are_made_fit_for_people(base: &Base) {
    let fleet = base.open().await;
    let ask = RegisterAgent {
        name: Some(format!("\u{1b}[2J\0{}", "ä".repeat(300))),
        site_name: Some("  Ber\nlin ".to_owned()),
        location: Some("\0".to_owned()),
        ..agent("a")
    };
    let registered = register(&fleet, ask, 0).await;
    assert_eq!(registered.site_name, "Berlin");
    let view = fleet.agent(&registered.agent_id).await.unwrap();
    assert_eq!((view.name, view.location), (format!("[2J{}", "ä".repeat(126)), None));
    let nameless = register(&fleet, agent("b"), 1).await;
    assert_eq!(fleet.agent(&nameless.agent_id).await.unwrap().name, "b");
}
