//! Exchanging the token, past lost answers and kills at every step.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use venom_agent::{Phase, RealDisk, TokenFile};
use venom_protocol::Timestamp;

use crate::server::{Misdeed, Server, TOKEN, token};
use crate::sim_disk::{Fault, Remains, SimDisk};
use crate::stage::Stage;

fn long_ago() -> Timestamp {
    Timestamp(jiff::Timestamp::now() - Duration::from_secs(40 * 86_400))
}

fn with_an_old_token(server: &Server) -> Stage {
    let stage = Stage::new(server);
    TokenFile::create(&stage.data_dir(), Arc::new(RealDisk), token(TOKEN), long_ago()).unwrap();
    stage
}

fn kept(stage: &Stage) -> TokenFile {
    TokenFile::open(&stage.data_dir(), Arc::new(RealDisk)).unwrap()
}

#[tokio::test]
async fn an_old_token_is_exchanged_and_the_one_before_forgotten() {
    let server = Server::start().await;
    let stage = with_an_old_token(&server);
    let mut life = stage.start();
    server
        .until("the new one is in use", |world| {
            world.paths("/rotate-token").len() == 1 && world.rotated.is_none()
        })
        .await;
    life.until("it knows", |state| state.token_issued_at > long_ago()).await;
    let beats = server.with(|world| world.paths("/heartbeat").len());
    server
        .until("it goes on", |world| world.paths("/heartbeat").len() > beats + 2)
        .await;
    life.stop().await;
    let kept = kept(&stage);
    assert_ne!(kept.current().reveal(), TOKEN);
    assert!(kept.before().is_none() && !kept.is_rotating());
    server.with(|world| {
        assert_eq!(world.paths("/rotate-token").len(), 1, "once in thirty days");
        assert_eq!(world.tokens, BTreeSet::from([kept.current().reveal().to_owned()]));
    });
}

#[tokio::test]
async fn a_young_token_stays_and_zero_means_never() {
    for (rotate, issued) in [
        (Duration::from_secs(30 * 86_400), Timestamp::now()),
        (Duration::ZERO, long_ago()),
    ] {
        let server = Server::start().await;
        let mut stage = Stage::new(&server);
        stage.file.rotate_token = rotate;
        TokenFile::create(&stage.data_dir(), Arc::new(RealDisk), token(TOKEN), issued).unwrap();
        let life = stage.start();
        server
            .until("it beats", |world| world.paths("/heartbeat").len() > 4)
            .await;
        life.stop().await;
        assert_eq!(server.with(|world| world.paths("/rotate-token").len()), 0);
    }
}

#[tokio::test]
async fn a_lost_new_token_is_asked_for_again_also_after_a_restart() {
    let server = Server::start().await;
    server.with(|world| world.misdo("/rotate-token", [Misdeed::HangAfter]));
    let mut stage = with_an_old_token(&server);
    stage.patience.answer = Duration::from_secs(20);
    let life = stage.start();
    server
        .until("it was asked", |world| !world.paths("/rotate-token").is_empty())
        .await;
    life.kill().await;
    assert!(kept(&stage).is_rotating(), "that it began is on the disk");
    assert_eq!(kept(&stage).current().reveal(), TOKEN);
    let life = stage.start();
    server
        .until("it was asked again", |world| {
            world.paths("/rotate-token").len() == 2 && world.rotated.is_none()
        })
        .await;
    life.stop().await;
    assert_ne!(kept(&stage).current().reveal(), TOKEN);
}

#[tokio::test]
async fn a_new_token_the_nexus_does_not_know_is_given_up_for_the_one_before() {
    let server = Server::start().await;
    let stage = Stage::new(&server);
    let mut tokens = kept(&stage);
    tokens
        .take_new(token("nobody-knows-this-one"), Timestamp::now())
        .unwrap();
    drop(tokens);
    let mut life = stage.start();
    life.until("it is in", |state| state.phase == Phase::Online).await;
    // and exchanged: that one had begun
    server
        .until("it is exchanged", |world| {
            world.paths("/rotate-token").len() == 1 && world.rotated.is_none()
        })
        .await;
    life.stop().await;
}

#[tokio::test]
async fn a_nexus_that_does_not_exchange_tokens_is_left_in_peace() {
    let server = Server::start().await;
    server.with(|world| world.misdo("/rotate-token", vec![Misdeed::Say(404, "no such route"); 100]));
    let stage = with_an_old_token(&server);
    let life = stage.start();
    server
        .until("it beats on", |world| world.paths("/heartbeat").len() > 6)
        .await;
    life.stop().await;
    assert_eq!(server.with(|world| world.paths("/rotate-token").len()), 1);
    assert_eq!(kept(&stage).current().reveal(), TOKEN);
    assert!(!kept(&stage).is_rotating());
}

/// The nexus's half: the old token is good until the new one is used.
#[derive(Debug, Clone)]
struct Nexus {
    good: BTreeSet<&'static str>,
    /// Whether a token was given that nobody may have.
    given: bool,
}

#[test]
fn the_power_goes_at_every_step_of_an_exchange() {
    let directory = Path::new("/agent");
    for step in 0.. {
        let disk = SimDisk::default();
        let mut tokens = TokenFile::create(directory, Arc::new(disk.clone()), token("old"), Timestamp::now()).unwrap();
        let mut nexus = Nexus {
            good: ["old"].into(),
            given: false,
        };
        disk.fail_after(step, Fault::Power);
        let mut exchange = || {
            tokens.begin_rotation().ok()?;
            nexus.good.insert("new");
            nexus.given = true;
            tokens.take_new(token("new"), Timestamp::now()).ok()?;
            // used: the old one ends
            nexus.good = ["new"].into();
            tokens.forget_before().ok()
        };
        let whole = exchange().is_some();
        for remains in Remains::all() {
            let after = disk.after_power_cut(remains);
            let again = TokenFile::open(directory, Arc::new(after)).unwrap();
            let (current, before) = (again.current().reveal(), again.before().map(|token| token.reveal()));
            let has_good = nexus.good.contains(current) || before.is_some_and(|token| nexus.good.contains(token));
            assert!(has_good, "step {step}, {remains:?}: no good token is left");
            if nexus.given && current == "old" {
                assert!(
                    again.is_rotating(),
                    "step {step}, {remains:?}: the given one is forgotten"
                );
            }
        }
        if whole {
            assert!(step >= 15, "only {step} steps");
            return;
        }
    }
}
