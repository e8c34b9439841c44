//! Getting in, past answers that are lost.

use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use std::time::Duration;

use venom_agent::{
    AgentFile, Backoff, Client, EnrolError, EnrolString, Enrolment, Phase, RealDisk, SystemClock, TokenFile,
};
use venom_protocol::{RegisterAgent, Registered, Timestamp};

use crate::server::{Misdeed, Server, World, token};
use crate::stage::Stage;

fn settings(stage: &Stage) -> AgentFile {
    AgentFile::new(stage.file.nexus.clone(), stage.file.agent_id.clone(), "pi")
}

async fn enrol(
    stage: &Stage,
    file: &mut AgentFile,
    bearer: &str,
    patience: Duration,
) -> Result<Registered, EnrolError> {
    let (client, bearer) = (stage.client(), token(bearer));
    let enrolment = Enrolment {
        client: &client,
        data_dir: &stage.data_dir().join("fresh"),
        bearer: &bearer,
        ask: RegisterAgent {
            hostname: Some("pi.lan".to_owned()),
            ..RegisterAgent::default()
        },
        patience,
        backoff: Backoff {
            base: Duration::from_millis(5),
            cap: Duration::from_millis(50),
        },
    };
    let registered = enrolment.enrol(file, Arc::new(RealDisk), &SystemClock).await?;
    assert_eq!(client.token().unwrap().reveal(), registered.token);
    Ok(registered)
}

#[tokio::test]
async fn a_lost_answer_is_asked_for_again_by_the_same_agent() {
    let server = Server::start().await;
    let misdeeds = [
        Misdeed::LoseAnswer,
        Misdeed::Say(502, "a proxy"),
        Misdeed::HangAfter,
        Misdeed::Page,
    ];
    server.with(|world| world.misdo("/register", misdeeds));
    let stage = Stage::new(&server);
    let mut file = settings(&stage);
    let registered = enrol(&stage, &mut file, "enrol-me", Duration::from_secs(30))
        .await
        .unwrap();
    server.with(|world| {
        let asked = world.paths("/register");
        assert_eq!(asked.len(), 5);
        for seen in &asked {
            assert_eq!(seen.body["agent_id"], "agent-1");
            assert!(seen.body["boot_id"].is_string());
            assert_eq!(seen.body["boot_id"], asked[0].body["boot_id"]);
            assert_eq!(
                (&seen.body["hostname"], &seen.body["name"]),
                (&"pi.lan".into(), &"pi".into())
            );
        }
    });
    // what was given is on the disk, for this user only; the site is the nexus's
    let data_dir = stage.data_dir().join("fresh");
    let kept = TokenFile::open(&data_dir, Arc::new(RealDisk)).unwrap();
    assert_eq!(kept.current().reveal(), registered.token);
    assert_eq!(AgentFile::read(&data_dir).unwrap().site_name, "Berlin");
    for name in ["agent.token", "agent.toml"] {
        let mode = std::fs::metadata(data_dir.join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    let settings = std::fs::read_to_string(data_dir.join("agent.toml")).unwrap();
    assert!(!settings.contains(&registered.token));
}

#[tokio::test]
async fn a_no_is_final_and_says_why() {
    let server = Server::start().await;
    let stage = Stage::new(&server);
    let mut file = settings(&stage);
    let error = enrol(&stage, &mut file, "wrong", Duration::from_secs(30))
        .await
        .unwrap_err();
    assert!(error.to_string().contains("Invalid token"), "{error}");
    assert!(!error.to_string().contains("wrong"), "{error}");
    assert_eq!(server.with(|world| world.paths("/register").len()), 1);
    // a later try is the same agent
    let kept = AgentFile::read(&stage.data_dir().join("fresh")).unwrap();
    assert_eq!(kept.agent_id, file.agent_id);
}

#[tokio::test]
async fn patience_ends() {
    let server = Server::start().await;
    server.with(|world| world.misdo("/register", vec![Misdeed::Say(503, "busy"); 1_000]));
    let stage = Stage::new(&server);
    let error = enrol(&stage, &mut settings(&stage), "enrol-me", Duration::from_millis(300)).await;
    assert!(matches!(error, Err(EnrolError::Client(_))));
    assert!(server.with(|world| world.paths("/register").len()) > 2);
}

#[tokio::test]
async fn an_old_server_that_says_little_is_enough() {
    let server = Server::start().await;
    server.with(|world| world.old = true);
    let stage = Stage::new(&server);
    let registered = enrol(&stage, &mut settings(&stage), "enrol-me", Duration::from_secs(5))
        .await
        .unwrap();
    assert_eq!(registered.agent_id.as_str(), "agent-1");
    assert!(registered.approved);
    assert_eq!(registered.site_name, "default");
}

#[tokio::test]
async fn an_enrol_string_is_all_it_takes() {
    let server = Server::start().await;
    let enrol: EnrolString = format!("venom://{}/?token=enrol-me", server.address).parse().unwrap();
    let client = Client::new(&enrol.nexus_url, enrol.pin, None).unwrap();
    let ask = RegisterAgent {
        agent_id: Some("a".parse().unwrap()),
        ..RegisterAgent::default()
    };
    client.register(&ask, &enrol.token).await.unwrap();
}

#[tokio::test]
async fn a_no_leaves_the_registration_that_was_there() {
    let server = Server::start().await;
    let stage = Stage::new(&server);
    let data_dir = stage.data_dir().join("fresh");
    let first = enrol(&stage, &mut settings(&stage), "enrol-me", Duration::from_secs(5))
        .await
        .unwrap();
    let (kept, token_of) = (AgentFile::read(&data_dir).unwrap(), || {
        let kept = TokenFile::open(&data_dir, Arc::new(RealDisk)).unwrap();
        kept.current().reveal().to_owned()
    });
    let mut other = settings(&stage);
    other.name = "another".to_owned();
    enrol(&stage, &mut other, "wrong", Duration::from_secs(5))
        .await
        .unwrap_err();
    assert_eq!(AgentFile::read(&data_dir).unwrap(), kept);
    assert_eq!(token_of(), first.token);
    let second = enrol(&stage, &mut other, "enrol-me", Duration::from_secs(5))
        .await
        .unwrap();
    assert_eq!(AgentFile::read(&data_dir).unwrap().name, "another");
    assert_eq!(token_of(), second.token);
}

#[tokio::test]
async fn an_answer_that_hangs_is_asked_for_again_however_short_the_patience() {
    let server = Server::start().await;
    server.with(|world| world.misdo("/register", [Misdeed::HangAfter]));
    let stage = Stage::new(&server);
    enrol(&stage, &mut settings(&stage), "enrol-me", Duration::from_millis(1))
        .await
        .unwrap();
    assert_eq!(server.with(|world| world.paths("/register").len()), 2);
}

#[tokio::test]
async fn a_hive_that_gives_no_token_is_enough_for_its_clients_and_not_for_an_agent() {
    let server = Server::start().await;
    server.with(|world| {
        world.misdo(
            "/register",
            [Misdeed::Say(200, "registered"), Misdeed::Say(200, "registered")],
        )
    });
    let stage = Stage::new(&server);
    let ask = RegisterAgent {
        agent_id: Some("a".parse().unwrap()),
        ..RegisterAgent::default()
    };
    let registered = stage.client().register(&ask, &token("enrol-me")).await.unwrap();
    assert_eq!((registered.agent_id.as_str(), registered.token.as_str()), ("a", ""));
    let error = enrol(&stage, &mut settings(&stage), "enrol-me", Duration::from_secs(5)).await;
    assert!(matches!(error, Err(EnrolError::OddToken)), "{error:?}");
}

#[tokio::test]
async fn who_is_registered_again_while_it_runs_goes_on_with_the_new_token() {
    let server = Server::start().await;
    let stage = Stage::new(&server);
    // what is on the disk may not beat as fast as the stage does; only whose it is counts here
    let mut there = stage.file.clone();
    there.heartbeat = Duration::from_secs(1);
    there.write(&stage.data_dir()).unwrap();
    let mut life = stage.start();
    life.until("it is online", |state| state.phase == Phase::Online).await;
    let again = |text: &str| {
        TokenFile::create(&stage.data_dir(), Arc::new(RealDisk), token(text), Timestamp::now()).unwrap();
    };
    again("the-second-token");
    server.with(|world| world.tokens = ["the-second-token".to_owned()].into());
    let beats_with = |world: &World, text: &str| {
        let beats = world.paths("/heartbeat");
        beats.iter().filter(|seen| seen.token.as_deref() == Some(text)).count()
    };
    server
        .until("it beats on", |world| beats_with(world, "the-second-token") > 2)
        .await;
    assert_eq!(life.state.borrow().phase, Phase::Online);

    // one for another nexus is shown to that one only
    let mut elsewhere = there.clone();
    elsewhere.nexus = "http://127.0.0.1:1".to_owned();
    elsewhere.write(&stage.data_dir()).unwrap();
    again("the-third-token");
    server.with(|world| world.tokens.clear());
    life.until("it is revoked", |state| state.phase == Phase::Revoked).await;
    life.stop().await;
    assert_eq!(server.with(|world| beats_with(world, "the-third-token")), 0);
    assert_eq!(
        TokenFile::open(&stage.data_dir(), Arc::new(RealDisk))
            .unwrap()
            .current()
            .reveal(),
        "the-third-token"
    );
}
