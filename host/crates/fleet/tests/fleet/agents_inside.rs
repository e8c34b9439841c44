//! Agents that are put out, or change, while they do something: in the middle of a request, or of another's transaction.

use std::time::Duration;

use serde_json::json;
use sqlx::AssertSqlSafe;
use venom_fleet::{Admission, AgentPass, Fleet, FleetError};
use venom_protocol::{AgentHeartbeat, CommandStatus, CommandUpdate, RegisterAgent, SendCommand};

use crate::admitted::{admitted, agent, legacy, pass, register};
use crate::base::{Base, at};
use crate::seen::{discovery, report};

on_both!(
    who_is_put_out_inside_changes_nothing,
    whose_token_has_ended_inside_changes_nothing,
    who_is_deregistered_while_it_registers_stays_out,
    who_is_approved_while_it_registers_stays_approved,
    an_own_token_does_not_move_an_agent,
    ids_with_nul_are_nobodys,
);

/// All that an agent may write, tried with this pass.
async fn tries(fleet: &Fleet, agent: &AgentPass, command: &str, second: i64) -> Vec<(&'static str, FleetError)> {
    let goodbye = AgentHeartbeat {
        status: Some("offline".to_owned()),
        ..AgentHeartbeat::default()
    };
    let ack = CommandUpdate {
        status: CommandStatus::Ack,
        result: None,
    };
    let seen = discovery(0, json!([{"ip": "192.168.1.1"}]), json!({}));
    let found = report(0, json!([]), json!({}));
    let now = at(second);
    [
        ("heartbeat", fleet.heartbeat(agent, goodbye, now).await.err()),
        ("command", fleet.update_command(agent, command, ack, now).await.err()),
        ("rotation", fleet.rotate_token(agent, now).await.err()),
        ("discovery", fleet.ingest_discovery(agent, None, seen, now).await.err()),
        ("shield", fleet.ingest_shield(agent, None, found, now).await.err()),
    ]
    .into_iter()
    .map(|(what, error)| (what, error.unwrap_or_else(|| panic!("{what} is done"))))
    .collect()
}

async fn command(fleet: &Fleet, agent: &AgentPass) -> String {
    let sent = fleet.send_command(&agent.agent_id, SendCommand::default(), "ops", at(0));
    sent.await.unwrap().answer.command_id
}

async fn nothing_was_written(base: &Base, why: Vec<(&'static str, FleetError)>) {
    for (what, error) in why {
        assert!(matches!(error, FleetError::Denied(_)), "{what}: {error:?}");
    }
    assert_eq!(base.number("SELECT COUNT(*) FROM scans").await, 0);
    assert_eq!(base.number("SELECT COUNT(*) FROM assets").await, 0);
    assert_eq!(
        base.number("SELECT COUNT(*) FROM commands WHERE status = 'ack'").await,
        0
    );
}

async fn who_is_put_out_inside_changes_nothing(base: &Base) {
    let (fleet, other) = tokio::join!(base.open(), base.open());
    let pi = admitted(&fleet, "pi", "Berlin").await;
    let command = command(&fleet, &pi).await;
    other.deregister(&pi.agent_id, "ops", at(1)).await.unwrap();
    nothing_was_written(base, tries(&fleet, &pi, &command, 2).await).await;
}

async fn whose_token_has_ended_inside_changes_nothing(base: &Base) {
    let (fleet, other) = tokio::join!(base.open(), base.open());
    let pi = admitted(&fleet, "pi", "Berlin").await;
    let command = command(&fleet, &pi).await;
    let rotated = other.rotate_token(&pi, at(1)).await.unwrap().answer.token;
    let newer = pass(&other, &rotated, 2).await;
    // the older one is good for ten minutes after the newer one is used
    nothing_was_written(base, tries(&fleet, &pi, &command, 603).await).await;
    let seen = discovery(0, json!([{"ip": "192.168.1.1"}]), json!({}));
    fleet.ingest_discovery(&newer, None, seen, at(604)).await.unwrap();
}

/// Lets `sql` happen while `ask` is on its way: a transaction that began before it, and ends when it must wait for that.
async fn meanwhile<T: Send + 'static>(base: &Base, sql: &str, ask: impl Future<Output = T> + Send + 'static) -> T {
    let mut connection = base.connect().await;
    let begin = if base.is_sqlite() { "BEGIN IMMEDIATE" } else { "BEGIN" };
    for sql in [begin, sql] {
        sqlx::raw_sql(AssertSqlSafe(sql))
            .execute(&mut connection)
            .await
            .unwrap();
    }
    let asked = tokio::spawn(ask);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!asked.is_finished(), "it waits");
    sqlx::raw_sql("COMMIT").execute(&mut connection).await.unwrap();
    asked.await.unwrap()
}

async fn who_is_deregistered_while_it_registers_stays_out(base: &Base) {
    let fleet = base.open().await;
    let put_out = |id: &str| {
        format!("UPDATE agents SET is_active = 0 WHERE id = '{id}'; DELETE FROM agent_tokens WHERE agent_id = '{id}'")
    };
    let pi = admitted(&fleet, "pi", "Berlin").await;
    let own = fleet.clone();
    let by_own = async move {
        own.register(RegisterAgent::default(), Admission::Agent(&pi), at(1))
            .await
    };
    let refused = meanwhile(base, &put_out("pi"), by_own).await;
    assert!(matches!(refused, Err(FleetError::Denied(_))), "{refused:?}");
    assert_eq!(base.number("SELECT is_active FROM agents WHERE id = 'pi'").await, 0);
    // one that brings no id and lost the reply: the agent it would have been is out, so it is another one
    let lost = register(&fleet, legacy("nas", "Berlin"), 2).await.agent_id;
    let again = fleet.clone();
    let again = async move { register(&again, legacy("nas", "Berlin"), 3).await.agent_id };
    let another = meanwhile(base, &put_out(lost.as_str()), again).await;
    assert_ne!(another, lost);
    let active = format!("SELECT is_active FROM agents WHERE id = '{lost}'");
    assert_eq!(base.number(&active).await, 0);
}

async fn who_is_approved_while_it_registers_stays_approved(base: &Base) {
    let fleet = base.open().await;
    let pi = admitted(&fleet, "pi", "Berlin").await;
    base.run("UPDATE agents SET approved = 0").await;
    let own = fleet.clone();
    let by_own = async move {
        own.register(RegisterAgent::default(), Admission::Agent(&pi), at(1))
            .await
    };
    let registered = meanwhile(base, "UPDATE agents SET approved = 1", by_own).await.unwrap();
    assert!(registered.answer.approved);
    assert_eq!(base.number("SELECT approved FROM agents").await, 1);
}

async fn an_own_token_does_not_move_an_agent(base: &Base) {
    let fleet = base.open().await;
    let pi = admitted(&fleet, "pi", "Berlin").await;
    let moved = RegisterAgent {
        site_name: Some("Paris".to_owned()),
        ..agent("pi")
    };
    let stays = fleet
        .register(moved.clone(), Admission::Agent(&pi), at(1))
        .await
        .unwrap();
    assert_eq!(stays.answer.site_name, "Berlin");
    assert_eq!(fleet.agent(&pi.agent_id).await.unwrap().site_name, "Berlin");
    // whoever has the shared token may say where it is
    assert_eq!(register(&fleet, moved, 2).await.site_name, "Paris");
}

async fn ids_with_nul_are_nobodys(base: &Base) {
    let fleet = base.open().await;
    let pi = admitted(&fleet, "pi", "Berlin").await;
    let command = command(&fleet, &pi).await;
    for id in ["\0".to_owned(), format!("{command}\0")] {
        let ack = CommandUpdate {
            status: CommandStatus::Ack,
            result: None,
        };
        let updated = fleet.update_command(&pi, &id, ack, at(1)).await;
        assert!(matches!(updated, Err(FleetError::Unknown(_))), "{updated:?}");
        let revoked = fleet.revoke_enrolment(&id, "ops", at(1)).await;
        assert!(matches!(revoked, Err(FleetError::Unknown(_))), "{revoked:?}");
    }
}
