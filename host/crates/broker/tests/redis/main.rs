//! The Redis back end against real servers: what a server can do to it, and what it must still promise then.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod broadcasts;
mod corrupt;
mod hive;
mod places;
#[path = "../support/redis_server.rs"]
mod redis_server;
mod sessions;
mod trouble;
mod work;

use redis_server::RedisServer;

#[test]
fn the_server_of_a_test_starts_ends_and_starts_again() {
    let mut server = RedisServer::durable();
    assert_eq!(server.command(&["SET", "a", "b"]), "+OK\r\n");
    server.kill();
    assert_eq!(server.command(&["PING"]), "-NOTTHERE");
    server.start();
    assert_eq!(server.command(&["GET", "a"]), "$1\r\nb\r\n");
    let cluster = RedisServer::cluster();
    assert!(cluster.command(&["CLUSTER", "INFO"]).contains("cluster_state:ok"));
    let sentinel = RedisServer::sentinel(&server, "hive");
    let asked = sentinel.command(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", "hive"]);
    assert!(asked.contains(&server.port().to_string()), "{asked}");
}
