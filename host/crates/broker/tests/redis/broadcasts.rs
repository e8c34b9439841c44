//! Listening to broadcasts: heard, over crashes and hangs of Redis, whatever else is on the channel.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use venom_broker::BrokerError;
use venom_broker::redis::{RedisSettings, hear_broadcasts};
use venom_protocol::ControlBroadcast;

use crate::redis_server::RedisServer;

/// Nothing here takes this long unless it is broken.
const DEADLINE: Duration = Duration::from_secs(30);

const CHANNEL: &str = "venom:broadcast";

struct Ear {
    heard: mpsc::Receiver<ControlBroadcast>,
    life: JoinHandle<Result<(), BrokerError>>,
}

impl Ear {
    fn at(url: &str) -> Self {
        let (sender, heard) = mpsc::channel(4);
        let url = url.to_owned();
        let life = tokio::spawn(async move { hear_broadcasts(RedisSettings::new(url), CHANNEL, sender).await });
        Self { heard, life }
    }

    /// Says `command` until somebody is there to hear it: publishing answers how many were.
    async fn say(server: &RedisServer, command: &str) {
        let text = json!({"command": command, "data": {"n": 1}, "timestamp": "2026-03-01T12:00:00"}).to_string();
        Self::publish(server, &text).await;
    }

    async fn publish(server: &RedisServer, text: &str) {
        let published = async {
            while server.command(&["PUBLISH", CHANNEL, text]) != ":1\r\n" {
                sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(DEADLINE, published).await.expect("somebody listens");
    }

    async fn hears(&mut self, command: &str) -> Value {
        let heard = timeout(DEADLINE, self.heard.recv())
            .await
            .expect("a broadcast")
            .expect("it listens");
        assert_eq!(heard.command, command);
        heard.data
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn broadcasts_are_heard_also_after_redis_was_killed_and_started_again() {
    let mut server = RedisServer::new();
    let mut ear = Ear::at(&server.url());
    Ear::say(&server, "STATUS").await;
    assert_eq!(ear.hears("STATUS").await, json!({"n": 1}));
    for _ in 0..2 {
        server.kill();
        server.start();
        Ear::say(&server, "UPDATE_SYSTEM").await;
        ear.hears("UPDATE_SYSTEM").await;
    }
    drop(ear.heard);
    let ended = timeout(DEADLINE, ear.life)
        .await
        .expect("it ends")
        .expect("without a panic");
    assert_eq!(ended, Ok(()), "nobody listens any more");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_is_not_there_yet_is_waited_for() {
    let mut server = RedisServer::stopped(&["--save", ""]);
    let mut ear = Ear::at(&server.url());
    server.start();
    Ear::say(&server, "STATUS").await;
    ear.hears("STATUS").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_tried_again_until_it_is_right() {
    let server = RedisServer::new();
    let set = |password: &str| server.command(&["CONFIG", "SET", "requirepass", password]);
    let url = |password: &str| format!("redis://:{password}@127.0.0.1:{}/0", server.port());
    assert_eq!(set("right"), "+OK\r\n");
    let mut ear = Ear::at(&url("wrong"));
    let tried = async {
        // refused logins are counted by the server
        let stats = || server.commands(&[&["AUTH", "right"], &["INFO", "stats"]]);
        while stats().contains("acl_access_denied_auth:0") {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(DEADLINE, tried).await.expect("a try with the wrong password");
    assert!(!ear.life.is_finished(), "it is not given up");
    let allowed = server.commands(&[&["AUTH", "right"], &["CONFIG", "SET", "requirepass", "wrong"]]);
    assert!(allowed.ends_with("+OK\r\n"), "{allowed}");
    let text = json!({"command": "STATUS"}).to_string();
    let said = async {
        while !server
            .commands(&[&["AUTH", "wrong"], &["PUBLISH", CHANNEL, &text]])
            .ends_with(":1\r\n")
        {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(DEADLINE, said).await.expect("it came in");
    ear.hears("STATUS").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nonsense_and_floods_on_the_channel_do_no_harm() {
    let server = RedisServer::new();
    let mut ear = Ear::at(&server.url());
    let huge = json!({"command": "STATUS", "data": "x".repeat(70_000)}).to_string();
    for text in ["", "{", "7", "{\"data\":{}}", "\u{0}", &huge] {
        Ear::publish(&server, text).await;
    }
    for number in 0..100 {
        Ear::say(&server, &format!("C{number}")).await;
    }
    for number in 0..4 {
        ear.hears(&format!("C{number}")).await;
    }
    let after = async {
        loop {
            Ear::say(&server, "AFTER").await;
            if ear.heard.recv().await.expect("it listens").command == "AFTER" {
                return;
            }
        }
    };
    timeout(DEADLINE, after).await.expect("it still hears");
}

#[tokio::test]
async fn a_url_that_is_none_is_told_without_its_password() {
    let (sender, _heard) = mpsc::channel(1);
    let error = hear_broadcasts(RedisSettings::new("http://:hush@127.0.0.1"), CHANNEL, sender)
        .await
        .expect_err("refused");
    let text = error.to_string();
    assert!(text.contains("redis://") && !text.contains("hush"), "{text}");
}
