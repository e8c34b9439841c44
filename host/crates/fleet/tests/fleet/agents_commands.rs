//! What agents are told to do.

use std::time::Duration;

use serde_json::json;
use venom_fleet::{AgentPass, Fleet, FleetError, FleetSettings};
use venom_protocol::{AgentHeartbeat, CommandStatus, CommandUpdate, CreateEnrolment, SendCommand};

use crate::admitted::{admitted, agent, enrolment, kinds, pass, register};
use crate::base::{Base, at};

on_both!(
    a_command_waits_until_the_agent_has_it,
    a_command_only_goes_forward,
    another_agents_command_is_refused,
    so_many_wait_and_no_more,
    so_many_wait_also_when_all_are_sent_at_once,
    a_command_nobody_fetches_fails_in_time,
    commands_of_a_deregistered_agent_fail,
    a_result_has_a_limit,
    nothing_waits_for_who_is_not_approved,
    commands_are_listed,
    what_makes_no_sense_is_refused,
);

async fn send(fleet: &Fleet, agent: &AgentPass, second: i64) -> String {
    let sent = fleet
        .send_command(&agent.agent_id, SendCommand::default(), "ops", at(second))
        .await
        .unwrap();
    assert_eq!(kinds(&sent.events), ["COMMAND_SENT"]);
    sent.answer.command_id
}

fn says(status: CommandStatus) -> CommandUpdate {
    CommandUpdate { status, result: None }
}

async fn waiting(fleet: &Fleet, agent: &AgentPass, second: i64) -> Vec<String> {
    let pending = fleet.pending_commands(agent, at(second)).await.unwrap();
    let beat = fleet
        .heartbeat(agent, AgentHeartbeat::default(), at(second))
        .await
        .unwrap();
    let ids: Vec<String> = pending.commands.into_iter().map(|command| command.id).collect();
    assert_eq!(
        (pending.count, beat.answer.pending_commands),
        (ids.len() as u64, ids.len() as u64)
    );
    ids
}

async fn a_command_waits_until_the_agent_has_it(base: &Base) {
    let fleet = base.open().await;
    let pi = admitted(&fleet, "pi", "Berlin").await;
    assert!(waiting(&fleet, &pi, 0).await.is_empty());
    let ask = SendCommand {
        targets: vec!["10.0.0.0/24".to_owned()],
        shield: false,
        ..SendCommand::default()
    };
    let outcome = fleet.send_command(&pi.agent_id, ask, "ops", at(1)).await.unwrap();
    let sent = outcome.answer;
    assert_eq!(
        (sent.status.as_str(), sent.command_type.as_str(), sent.shield),
        ("queued", "scan_now", false)
    );
    let data = &outcome.events[0].data;
    assert_eq!(
        (&data["agent_id"], &data["site_name"], &data["by"]),
        (&"pi".into(), &"Berlin".into(), &"ops".into())
    );
    let second = send(&fleet, &pi, 2).await;
    assert_eq!(
        waiting(&fleet, &pi, 3).await,
        [sent.command_id.clone(), second.clone()],
        "oldest first"
    );
    let pending = fleet.pending_commands(&pi, at(3)).await.unwrap();
    assert_eq!(
        json!(pending.commands[0].params),
        json!({"targets": ["10.0.0.0/24"], "shield": false})
    );
    assert_eq!(pending.commands[0].created_at, at(1));
    let done = fleet
        .update_command(&pi, &sent.command_id, says(CommandStatus::Ack), at(4))
        .await
        .unwrap();
    assert_eq!(kinds(&done.events), ["COMMAND_UPDATED"]);
    assert_eq!(
        (done.answer.command_id, done.answer.command_status),
        (sent.command_id, CommandStatus::Ack)
    );
    assert_eq!(waiting(&fleet, &pi, 5).await, [second]);
}

async fn a_command_only_goes_forward(base: &Base) {
    use CommandStatus::{Ack, Completed, Failed, Pending, Running};
    let fleet = base.open().await;
    let pi = admitted(&fleet, "pi", "Berlin").await;
    let all = [Pending, Ack, Running, Completed, Failed];
    for before in all {
        for after in all {
            let id = send(&fleet, &pi, 0).await;
            if before != Pending {
                fleet.update_command(&pi, &id, says(before), at(1)).await.unwrap();
            }
            let answer = fleet.update_command(&pi, &id, says(after), at(2)).await;
            let is_told = answer.as_ref().map(|outcome| outcome.events.len());
            match answer.as_ref().err() {
                _ if after == Pending => assert!(matches!(answer, Err(FleetError::Invalid(_)))),
                None if before == after => assert_eq!(is_told.unwrap(), 0, "{before:?}: the answer was lost"),
                None => assert!(after > before && !before.is_final(), "{before:?} to {after:?}"),
                Some(FleetError::Conflict(_)) => assert!(before.is_final() || after < before),
                Some(other) => panic!("{before:?} to {after:?}: {other:?}"),
            }
            let is_moved = is_told.is_ok_and(|events| events == 1);
            let now = if is_moved { after } else { before };
            let listed = fleet.commands(&pi.agent_id, None, 1).await.unwrap();
            assert_eq!(
                (&listed.commands[0].id, listed.commands[0].status),
                (&id, now),
                "{before:?} to {after:?}"
            );
            fleet.update_command(&pi, &id, says(Completed), at(3)).await.ok();
        }
    }
}

async fn another_agents_command_is_refused(base: &Base) {
    let fleet = base.open().await;
    let pi = admitted(&fleet, "pi", "Berlin").await;
    let nas = admitted(&fleet, "nas", "Berlin").await;
    let id = send(&fleet, &pi, 1).await;
    let foreign = fleet
        .update_command(&nas, &id, says(CommandStatus::Completed), at(2))
        .await;
    assert!(matches!(foreign, Err(FleetError::Forbidden(_))), "{foreign:?}");
    assert!(waiting(&fleet, &nas, 3).await.is_empty());
    assert_eq!(waiting(&fleet, &pi, 3).await, [id]);
    for unknown in ["none", "", "\0"] {
        let unknown = fleet
            .update_command(&pi, unknown, says(CommandStatus::Ack), at(4))
            .await;
        assert!(matches!(unknown, Err(FleetError::Unknown(_))), "{unknown:?}");
    }
    let nobody = fleet
        .send_command(&"x".parse().unwrap(), SendCommand::default(), "ops", at(5))
        .await;
    assert!(matches!(nobody, Err(FleetError::Unknown(_))), "{nobody:?}");
}

async fn so_many_wait_and_no_more(base: &Base) {
    let settings = FleetSettings {
        max_pending_commands: 2,
        ..FleetSettings::default()
    };
    let fleet = base.open_with(settings).await;
    let pi = admitted(&fleet, "pi", "Berlin").await;
    let nas = admitted(&fleet, "nas", "Berlin").await;
    let first = send(&fleet, &pi, 0).await;
    send(&fleet, &pi, 0).await;
    match fleet
        .send_command(&pi.agent_id, SendCommand::default(), "ops", at(1))
        .await
    {
        Err(FleetError::Full(text)) => assert!(text.starts_with("2 commands wait"), "{text}"),
        other => panic!("{other:?}"),
    }
    send(&fleet, &nas, 1).await;
    fleet
        .update_command(&pi, &first, says(CommandStatus::Ack), at(2))
        .await
        .unwrap();
    send(&fleet, &pi, 3).await;
}

async fn so_many_wait_also_when_all_are_sent_at_once(base: &Base) {
    let settings = FleetSettings {
        max_pending_commands: 3,
        ..FleetSettings::default()
    };
    let (one, other) = tokio::join!(base.open_with(settings.clone()), base.open_with(settings.clone()));
    let pi = admitted(&one, "pi", "Berlin").await;
    let asks = (0..10).map(|ask| {
        let (fleet, id) = (
            if ask % 2 == 0 { one.clone() } else { other.clone() },
            pi.agent_id.clone(),
        );
        tokio::spawn(async move {
            fleet
                .send_command(&id, SendCommand::default(), "ops", at(1))
                .await
                .is_ok()
        })
    });
    let mut taken = 0;
    for ask in asks.collect::<Vec<_>>() {
        taken += usize::from(ask.await.unwrap());
    }
    assert_eq!((taken, waiting(&one, &pi, 2).await.len()), (3, 3));
}

async fn a_command_nobody_fetches_fails_in_time(base: &Base) {
    let settings = FleetSettings {
        command_lifetime: Duration::from_secs(60),
        max_pending_commands: 2,
        ..FleetSettings::default()
    };
    let (fleet, other) = tokio::join!(base.open_with(settings.clone()), base.open_with(settings.clone()));
    let pi = admitted(&fleet, "pi", "Berlin").await;
    let id = send(&fleet, &pi, 0).await;
    let fetched = send(&fleet, &pi, 0).await;
    fleet
        .update_command(&pi, &fetched, says(CommandStatus::Running), at(1))
        .await
        .unwrap();
    assert!(fleet.tick(at(59), at(0)).await.unwrap().is_empty());
    assert_eq!(waiting(&fleet, &pi, 59).await, std::slice::from_ref(&id));
    // its time is up whether or not that was told already
    assert!(waiting(&fleet, &pi, 60).await.is_empty());
    let (one, two) = tokio::join!(fleet.tick(at(60), at(0)), other.tick(at(60), at(0)));
    let told = [one.unwrap(), two.unwrap()].concat();
    assert_eq!(kinds(&told), ["COMMAND_UPDATED"]);
    let data = &told[0].data;
    assert_eq!((&data["command_id"], &data["status"]), (&json!(id), &json!("failed")));
    assert_eq!(
        (&data["agent_id"], &data["site_name"]),
        (&json!("pi"), &json!("Berlin"))
    );
    let listed = fleet
        .commands(&pi.agent_id, Some(CommandStatus::Failed), 10)
        .await
        .unwrap();
    assert_eq!(
        (listed.count, &listed.commands[0].id, listed.commands[0].updated_at),
        (1, &id, at(60))
    );
    assert!(listed.commands[0].result.as_ref().unwrap()["error"].is_string());
    let too_late = fleet.update_command(&pi, &id, says(CommandStatus::Ack), at(61)).await;
    assert!(matches!(too_late, Err(FleetError::Conflict(_))), "{too_late:?}");
}

async fn commands_of_a_deregistered_agent_fail(base: &Base) {
    let fleet = base.open().await;
    let pi = admitted(&fleet, "pi", "Berlin").await;
    send(&fleet, &pi, 0).await;
    let outcome = fleet.deregister(&pi.agent_id, "ops", at(1)).await.unwrap();
    assert_eq!(kinds(&outcome.events), ["AGENT_DEREGISTERED", "COMMAND_UPDATED"]);
    let gone = fleet
        .send_command(&pi.agent_id, SendCommand::default(), "ops", at(2))
        .await;
    assert!(matches!(gone, Err(FleetError::Conflict(_))), "{gone:?}");
    let token = register(&fleet, agent("pi"), 3).await.token;
    let back = pass(&fleet, &token, 3).await;
    assert!(waiting(&fleet, &back, 4).await.is_empty());
    assert_eq!(
        fleet.commands(&pi.agent_id, None, 10).await.unwrap().count,
        1,
        "history stays"
    );
}

async fn a_result_has_a_limit(base: &Base) {
    let fleet = base.open().await;
    let pi = admitted(&fleet, "pi", "Berlin").await;
    let id = send(&fleet, &pi, 0).await;
    // as JSON, with two quotes
    let result = |bytes: usize| Some(json!("x".repeat(bytes - 2)));
    let too_long = CommandUpdate {
        status: CommandStatus::Completed,
        result: result(65_537),
    };
    let answer = fleet.update_command(&pi, &id, too_long, at(1)).await;
    assert!(matches!(answer, Err(FleetError::Invalid(_))), "{answer:?}");
    let longest = CommandUpdate {
        status: CommandStatus::Completed,
        result: result(65_536),
    };
    fleet.update_command(&pi, &id, longest, at(2)).await.unwrap();
    let listed = fleet.commands(&pi.agent_id, None, 1).await.unwrap();
    assert_eq!(listed.commands[0].result, result(65_536));
}

async fn nothing_waits_for_who_is_not_approved(base: &Base) {
    let fleet = base.open().await;
    let ask = CreateEnrolment {
        approval: true,
        ..enrolment()
    };
    let (token, _) = fleet.create_enrolment(ask, "ops", at(0)).await.unwrap().answer;
    let how = venom_fleet::Admission::Enrolment(&token);
    let token = fleet.register(agent("pi"), how, at(0)).await.unwrap().answer.token;
    let pi = pass(&fleet, &token, 0).await;
    let id = send(&fleet, &pi, 1).await;
    assert!(waiting(&fleet, &pi, 2).await.is_empty());
    let refused = fleet.update_command(&pi, &id, says(CommandStatus::Ack), at(3)).await;
    assert!(matches!(refused, Err(FleetError::Forbidden(_))), "{refused:?}");
    fleet.approve(&pi.agent_id, "ops", at(4)).await.unwrap();
    let pi = pass(&fleet, &token, 5).await;
    assert_eq!(waiting(&fleet, &pi, 5).await, [id]);
}

async fn commands_are_listed(base: &Base) {
    let fleet = base.open().await;
    let pi = admitted(&fleet, "pi", "Berlin").await;
    let mut sent = Vec::new();
    for second in 0..5 {
        sent.push(send(&fleet, &pi, second).await);
    }
    fleet
        .update_command(&pi, &sent[1], says(CommandStatus::Running), at(9))
        .await
        .unwrap();
    let ids = async |status, limit| {
        let list = fleet.commands(&pi.agent_id, status, limit).await.unwrap();
        assert_eq!(list.count, list.commands.len() as u64);
        list.commands.into_iter().map(|command| command.id).collect::<Vec<_>>()
    };
    assert_eq!(ids(None, 2).await, [sent[4].clone(), sent[3].clone()], "newest first");
    assert_eq!(ids(Some(CommandStatus::Running), 100).await, [sent[1].clone()]);
    assert_eq!(ids(Some(CommandStatus::Pending), 100).await.len(), 4);
    let list = fleet
        .commands(&pi.agent_id, Some(CommandStatus::Running), 1)
        .await
        .unwrap();
    let command = &list.commands[0];
    assert_eq!(
        (command.created_at, command.updated_at, command.created_by.as_str()),
        (at(1), at(9), "ops")
    );
    let unknown = fleet.commands(&"x".parse().unwrap(), None, 1).await;
    assert!(matches!(unknown, Err(FleetError::Unknown(_))));
}

async fn what_makes_no_sense_is_refused(base: &Base) {
    let fleet = base.open().await;
    let pi = admitted(&fleet, "pi", "Berlin").await;
    let ask = SendCommand::default;
    let wrong = [
        (
            "command_type",
            SendCommand {
                command_type: String::new(),
                ..ask()
            },
        ),
        (
            "command_type",
            SendCommand {
                command_type: "rm -rf".to_owned(),
                ..ask()
            },
        ),
        (
            "command_type",
            SendCommand {
                command_type: "x".repeat(65),
                ..ask()
            },
        ),
        (
            "targets",
            SendCommand {
                targets: vec!["-oN".to_owned()],
                ..ask()
            },
        ),
        (
            "targets",
            SendCommand {
                targets: vec!["10.0.0.1".to_owned(); 257],
                ..ask()
            },
        ),
    ];
    for (field, ask) in wrong {
        match fleet.send_command(&pi.agent_id, ask, "ops", at(0)).await {
            Err(FleetError::Invalid(text)) => assert!(text.contains(field), "{text}"),
            other => panic!("{field}: {other:?}"),
        }
    }
    assert!(waiting(&fleet, &pi, 1).await.is_empty());
}
