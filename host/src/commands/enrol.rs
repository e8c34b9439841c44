//! `enrol`: makes, lists and withdraws the tokens agents get in by.

use std::time::Duration;

use venom_protocol::{CreateEnrolment, EnrolmentCreated, EnrolmentList, EnrolmentView, Timestamp};

use crate::cli::{CreateEnrolArgs, EnrolCommand, ListEnrolsArgs, RevokeEnrolArgs};
use crate::client::{NexusClient, path_part};
use crate::data_dir::DataDir;
use crate::failure::Failure;
use crate::output;
use crate::settings::{ClientSettings, Sources};

/// Runs one of the `enrol` commands.
pub(crate) async fn run(command: EnrolCommand, sources: Sources, data: DataDir) -> Result<(), Failure> {
    let nexus = match &command {
        EnrolCommand::Create(args) => &args.nexus,
        EnrolCommand::List(args) => &args.nexus,
        EnrolCommand::Revoke(args) => &args.nexus,
    };
    let client = NexusClient::new(&ClientSettings::merge(nexus.clone(), &sources)?, &data)?;
    match command {
        EnrolCommand::Create(args) => create(args, &client).await,
        EnrolCommand::List(args) => list(&args, &client).await,
        EnrolCommand::Revoke(args) => revoke(&args, &client).await,
    }
}

async fn create(args: CreateEnrolArgs, client: &NexusClient) -> Result<(), Failure> {
    let ask = CreateEnrolment {
        name: args.name,
        site_name: args.site,
        location: args.location,
        tags: args.tags,
        uses: args.uses,
        expires_in: args.expires.seconds(),
        approval: args.approval,
    };
    let made: EnrolmentCreated = client.post("/api/v1/enrolments", &ask, Duration::ZERO).await?;
    if args.json {
        return output::say_json(&made);
    }
    if args.quiet {
        return output::say(&made.enrol);
    }
    let of = &made.enrolment;
    let agents = if of.uses == 1 {
        "one agent".to_owned()
    } else {
        format!("{} agents", of.uses)
    };
    output::note(format!(
        "for {agents} of site {}, until {}; shown this once. On the other machine:",
        of.site_name, of.expires_at
    ));
    output::say(format!("venom-host agent register --enrol '{}'", made.enrol))
}

async fn list(args: &ListEnrolsArgs, client: &NexusClient) -> Result<(), Failure> {
    let list: EnrolmentList = client.get("/api/v1/enrolments").await?;
    if args.json {
        return output::say_json(&list);
    }
    if list.enrolments.is_empty() {
        output::note("no enrolments; make one with `venom-host enrol create --site NAME`");
        return Ok(());
    }
    let now = Timestamp::now();
    let rows: Vec<Vec<String>> = list.enrolments.iter().map(|enrolment| row(enrolment, now)).collect();
    output::say(output::table(
        &["ID", "NAME", "SITE", "STATE", "USED", "ENDS", "TAGS"],
        &rows,
    ))
}

fn row(enrolment: &EnrolmentView, now: Timestamp) -> Vec<String> {
    vec![
        enrolment.id.clone(),
        enrolment.name.clone(),
        enrolment.site_name.clone(),
        state(enrolment, now).to_owned(),
        format!("{}/{}", enrolment.used, enrolment.uses),
        enrolment.expires_at.to_string(),
        enrolment.tags.join(","),
    ]
}

fn state(enrolment: &EnrolmentView, now: Timestamp) -> &'static str {
    if enrolment.revoked_at.is_some() {
        "revoked"
    } else if enrolment.used >= enrolment.uses {
        "used up"
    } else if enrolment.expires_at <= now {
        "expired"
    } else if enrolment.approval {
        "open, approval"
    } else {
        "open"
    }
}

async fn revoke(args: &RevokeEnrolArgs, client: &NexusClient) -> Result<(), Failure> {
    let enrolment: EnrolmentView = client
        .delete(&format!("/api/v1/enrolments/{}", path_part(&args.id)?))
        .await?;
    if args.json {
        return output::say_json(&enrolment);
    }
    output::say(format!(
        "{} is revoked; {} agent(s) that enrolled with it stay",
        enrolment.id, enrolment.used
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_an_enrolment_stands() {
        let now = Timestamp::parse("2026-01-02T00:00:00Z").unwrap();
        let open: EnrolmentView = serde_json::from_value(serde_json::json!({
            "id": "e", "name": "", "site_name": "Berlin", "location": null, "tags": [], "uses": 2, "used": 1,
            "created_at": "2026-01-01T00:00:00Z", "created_by": "local", "expires_at": "2026-01-03T00:00:00Z",
            "revoked_at": null, "approval": false,
        }))
        .unwrap();
        assert_eq!(state(&open, now), "open");
        let mut other = open.clone();
        other.approval = true;
        assert_eq!(state(&other, now), "open, approval");
        other.expires_at = now;
        assert_eq!(state(&other, now), "expired");
        other.used = 2;
        assert_eq!(state(&other, now), "used up");
        other.revoked_at = Some(now);
        assert_eq!(state(&other, now), "revoked");
    }
}
