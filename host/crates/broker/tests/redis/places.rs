//! Ways to a server: TLS, limited users, clusters, sentinels, sockets.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use venom_broker::redis::RedisSettings;
use venom_broker::{Broker, BrokerError, Note};
use venom_protocol::{GroupLimits, SessionId};

use crate::hive::{begun, broker, completed, open, task, until_done, until_refused, wants};
use crate::redis_server::{RedisServer, free_port};

/// Everything a broker asks of its server at least once.
async fn all_of_it_works(broker: &impl Broker) {
    let session = SessionId::random();
    until_done(|| broker.renew(session, Note::default())).await;
    let first = task();
    let mut second = task();
    second.depends_on = vec![first.id];
    let mut third = task();
    third.delay = Duration::from_millis(1);
    broker.submit(vec![first.clone(), second.clone(), third]).await.unwrap();
    broker.claim(session, wants(1), 1).await.unwrap();
    broker
        .append_progress(session, vec![(first.id, "1".to_owned())])
        .await
        .unwrap();
    assert_eq!(broker.progress(first.id, 0, 9).await.unwrap().len(), 1);
    broker.finish(session, vec![completed(first.id, 1)]).await.unwrap();
    broker.tend().await.unwrap();
    broker.cancel(second.id).await.unwrap();
    assert!(broker.requeue(second.id).await.unwrap());
    broker.limit_group("g", Some(GroupLimits::default())).await.unwrap();
    assert_eq!(broker.groups().await.unwrap().len(), 1);
    broker
        .cache_set("n", 1_000, "k", vec![1], Duration::from_secs(60))
        .await
        .unwrap();
    assert!(broker.cache_get("n", "k").await.unwrap().is_some());
    assert_eq!(broker.cache_keys("n", 9).await.unwrap(), ["k"]);
    assert!(broker.cache_delete("n", "k").await.unwrap());
    broker.send(session, None, "x".to_owned()).await.unwrap();
    broker.broadcast("x".to_owned()).await.unwrap();
    broker.nodes(session).await.unwrap();
    broker.leave(session).await.unwrap();
    assert_eq!(broker.counts().await.unwrap().completed, 1);
}

#[tokio::test]
async fn a_cluster_keeps_all_keys_on_one_node() {
    let server = RedisServer::cluster();
    let broker = broker(&server);
    all_of_it_works(&broker).await;
    // a dead session and what it held, on one slot too
    let gone = crate::hive::impatient(&server);
    let session = begun(&gone).await;
    gone.claim(session, wants(9), 9).await.unwrap();
    let give_up = || async {
        match gone.tend().await?.sessions_ended {
            ended if ended == [session] => Ok(()),
            _ => Err(BrokerError::Unavailable {
                broker: String::new(),
                why: "it lives".to_owned(),
            }),
        }
    };
    until_done(give_up).await;
}

#[tokio::test]
async fn a_user_limited_to_the_hive_is_enough() {
    let server = RedisServer::new();
    server.command(&[
        "ACL",
        "SETUSER",
        "hive",
        "on",
        ">p@ss:w/rd",
        "~{venom}*",
        "&venom*",
        "+@all",
    ]);
    let url = format!("redis://hive:p%40ss%3Aw%2Frd@127.0.0.1:{}", server.port());
    all_of_it_works(&open(RedisSettings::new(url.clone()))).await;
    server.command(&["ACL", "SETUSER", "hive", "resetkeys", "~other*"]);
    let error = until_refused(|| async {
        let broker = open(RedisSettings::new(url.clone()));
        broker.submit(vec![task()]).await
    })
    .await;
    assert!(matches!(error, BrokerError::Refused { .. }), "{error}");
    assert!(
        error.to_string().contains("lacks a right") && !error.to_string().contains("p@ss"),
        "{error}"
    );
}

/// Certificate authority, certificate and key as files of a server's directory.
fn certificates(server: &RedisServer) -> PathBuf {
    let authority_key = rcgen::KeyPair::generate().unwrap();
    let mut authority = rcgen::CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority_cert = authority.self_signed(&authority_key).unwrap();
    let issuer = rcgen::Issuer::new(authority, authority_key);
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let cert = params.signed_by(&key, &issuer).unwrap();
    let dir = server.dir();
    fs::write(dir.join("ca.pem"), authority_cert.pem()).unwrap();
    fs::write(dir.join("cert.pem"), cert.pem()).unwrap();
    fs::write(dir.join("key.pem"), key.serialize_pem()).unwrap();
    dir.join("ca.pem")
}

#[tokio::test]
async fn tls_trusts_the_given_authority_and_nobody_else() {
    let tls_port = free_port().to_string();
    let mut server = RedisServer::stopped(&[
        "--tls-port",
        &tls_port,
        "--tls-cert-file",
        "cert.pem",
        "--tls-key-file",
        "key.pem",
        "--tls-ca-cert-file",
        "ca.pem",
        "--tls-auth-clients",
        "no",
    ]);
    let ca_file = certificates(&server);
    server.start();
    let url = format!("rediss://127.0.0.1:{tls_port}");
    let trusting = RedisSettings {
        ca_file: Some(ca_file),
        ..RedisSettings::new(url.clone())
    };
    all_of_it_works(&open(trusting.clone())).await;
    let error = until_refused(|| async { open(RedisSettings::new(url.clone())).check().await }).await;
    assert!(error.to_string().contains("ertificate"), "{error}");
    let missing = RedisSettings {
        ca_file: Some(PathBuf::from("/nowhere/ca.pem")),
        ..trusting
    };
    let refused = venom_broker::redis::RedisBroker::new(missing, venom_broker::Settings::default());
    assert!(refused.unwrap_err().to_string().contains("/nowhere/ca.pem"));
}

#[tokio::test]
async fn a_unix_socket_is_a_place_too() {
    let server = RedisServer::new();
    let socket = server.socket();
    all_of_it_works(&open(RedisSettings::new(format!("redis+unix://{}", socket.display())))).await;
    all_of_it_works_at(&RedisSettings::new(format!("unix://{}?db=1", socket.display()))).await;
}

async fn all_of_it_works_at(settings: &RedisSettings) {
    all_of_it_works(&open(settings.clone())).await;
}

#[tokio::test]
async fn sentinels_say_who_is_master_also_after_a_failover() {
    let master = RedisServer::new();
    let master_port = master.port().to_string();
    let replica = RedisServer::with(&["--replicaof", "127.0.0.1", &master_port]);
    let sentinel = RedisServer::sentinel(&master, "hive");
    let dead = free_port();
    let url = format!("redis+sentinel://127.0.0.1:{dead},127.0.0.1:{}/hive", sentinel.port());
    let broker = open(RedisSettings::new(url.clone()));
    all_of_it_works(&broker).await;
    let known = || async {
        let replicas = sentinel.command(&["SENTINEL", "REPLICAS", "hive"]);
        let copied = replica
            .command(&["INFO", "replication"])
            .contains("master_link_status:up");
        match copied && replicas.contains(&replica.port().to_string()) {
            true => Ok(()),
            false => Err(BrokerError::Unavailable {
                broker: String::new(),
                why: replicas,
            }),
        }
    };
    until_done(known).await;
    let mut master = master;
    master.kill();
    let moved = || async {
        broker.check().await?;
        let role = replica.command(&["ROLE"]);
        match role.contains("master") {
            true => broker.submit(vec![task()]).await,
            false => Err(BrokerError::Unavailable {
                broker: String::new(),
                why: role,
            }),
        }
    };
    until_done(moved).await;
    assert_eq!(broker.counts().await.unwrap().completed, 1, "what the old master had");
    let error = until_refused(|| open(RedisSettings::new(url.replace("/hive", "/other"))).into_check()).await;
    assert!(error.to_string().contains("knows no such master"), "{error}");
}

trait IntoCheck {
    async fn into_check(self) -> Result<(), BrokerError>;
}

impl<B: Broker> IntoCheck for B {
    async fn into_check(self) -> Result<(), BrokerError> {
        self.check().await
    }
}
