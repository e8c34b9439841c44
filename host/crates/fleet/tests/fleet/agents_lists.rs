//! Agents, for operators.

use venom_fleet::{AgentQuery, FleetError};
use venom_protocol::{AgentStatus, RegisterAgent};

use crate::admitted::{agent, beat, register};
use crate::base::{Base, at};

on_both!(
    agents_are_listed_page_by_page,
    agents_are_chosen_by_site_and_status,
    what_is_no_cursor_is_refused,
    versions_are_counted,
);

async fn agents_are_listed_page_by_page(base: &Base) {
    let fleet = base.open().await;
    // equal names, and names that sort otherwise than the ids
    for id in 0..23 {
        let name = Some(format!("n{}", (40 - id) / 4));
        register(
            &fleet,
            RegisterAgent {
                name,
                ..agent(&format!("a{id:02}"))
            },
            id,
        )
        .await;
    }
    let all = fleet.agents(AgentQuery::default()).await.unwrap();
    assert_eq!((all.total, all.agents.len(), all.next_cursor), (23, 23, None));
    let mut sorted = all.agents.clone();
    sorted.sort_by_key(|agent| (agent.name.clone(), agent.id.clone()));
    assert_eq!(all.agents, sorted);
    for limit in [1, 5, 23, 24] {
        let mut read = Vec::new();
        let mut ask = AgentQuery {
            limit: Some(limit),
            ..AgentQuery::default()
        };
        loop {
            let page = fleet.agents(ask.clone()).await.unwrap();
            assert!(page.agents.len() <= limit as usize && page.total == 23);
            read.extend(page.agents);
            match page.next_cursor {
                Some(cursor) => ask.cursor = Some(cursor),
                None => break,
            }
        }
        assert_eq!(read, sorted, "in pages of {limit}");
    }
}

async fn agents_are_chosen_by_site_and_status(base: &Base) {
    let fleet = base.open().await;
    for (id, site) in [("a", "Berlin"), ("b", "Berlin"), ("c", "Paris"), ("d", "Paris")] {
        let ask = RegisterAgent {
            site_name: Some(site.to_owned()),
            ..agent(id)
        };
        let token = register(&fleet, ask, 0).await.token;
        if id == "b" || id == "c" {
            beat(&fleet, &token, Default::default(), 1).await;
        }
    }
    fleet.deregister(&"d".parse().unwrap(), "ops", at(2)).await.unwrap();
    let ids = async |site: Option<&str>, status| {
        let site = site.map(str::to_owned);
        let list = fleet
            .agents(AgentQuery {
                site,
                status,
                ..AgentQuery::default()
            })
            .await
            .unwrap();
        assert_eq!(list.total, list.agents.len() as u64);
        list.agents.iter().map(|agent| agent.id.to_string()).collect::<String>()
    };
    assert_eq!(ids(None, None).await, "abcd");
    assert_eq!(ids(Some("Berlin"), None).await, "ab");
    assert_eq!(ids(Some("Berlin"), Some(AgentStatus::Online)).await, "b");
    assert_eq!(ids(None, Some(AgentStatus::Online)).await, "bc");
    assert_eq!(ids(None, Some(AgentStatus::Offline)).await, "d");
    assert_eq!(ids(Some("Rome"), None).await, "");
    assert_eq!(
        ids(Some("\0"), Some(AgentStatus::Pending)).await,
        "a",
        "no site is left of that"
    );
}

async fn what_is_no_cursor_is_refused(base: &Base) {
    let fleet = base.open().await;
    for cursor in ["", "x", "!", "W10", "WyJcdTAwMDAiXQ"] {
        let cursor = Some(cursor.to_owned());
        let answer = fleet
            .agents(AgentQuery {
                cursor,
                ..AgentQuery::default()
            })
            .await;
        assert!(matches!(answer, Err(FleetError::Invalid(_))), "{answer:?}");
    }
    let unknown = fleet.agent(&"x".parse().unwrap()).await;
    assert!(matches!(unknown, Err(FleetError::Unknown(_))), "{unknown:?}");
}

async fn versions_are_counted(base: &Base) {
    let fleet = base.open().await;
    for (id, version) in [
        ("a", Some("1.0")),
        ("b", Some("1.0")),
        ("c", Some("1.1")),
        ("d", None),
        ("e", Some("1.1")),
    ] {
        let version = version.map(str::to_owned);
        register(&fleet, RegisterAgent { version, ..agent(id) }, 0).await;
    }
    fleet.deregister(&"e".parse().unwrap(), "ops", at(1)).await.unwrap();
    let versions: Vec<(String, u64)> = fleet.agent_versions().await.unwrap().into_iter().collect();
    let expected = [("1.0", 2), ("1.1", 1), ("unknown", 1)].map(|(version, count)| (version.to_owned(), count));
    assert_eq!(versions, expected);
}
