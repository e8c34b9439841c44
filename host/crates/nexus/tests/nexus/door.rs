//! Who gets in: every route of the OpenAPI document, tokens, scopes, limits, foreign pages, dev mode, audit.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use venom_nexus::{Nexus, NexusError, NexusSettings, RateLimits};

use crate::harness::{Answer, FakeSpore, OPERATOR, TestNexus, VIEWER, echo, new_id, settings};

/// A path of the document with an id in each place of one.
fn filled(path: &str) -> String {
    let part = |part: &str| {
        if part.starts_with('{') {
            new_id()
        } else {
            part.to_owned()
        }
    };
    path.split('/').map(part).collect::<Vec<_>>().join("/")
}

/// Every operation of the document: method, path with an id put in, whether it is open.
fn operations() -> Vec<(reqwest::Method, String, bool)> {
    let document: Value = serde_json::from_str(&Nexus::openapi_json()).unwrap();
    let mut found = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let open = operation["security"] == json!([{}]) || operation["security"] == json!([]);
            let path = filled(path);
            found.push((method.to_uppercase().parse().unwrap(), path, open));
        }
    }
    assert!(found.len() >= 13, "{found:?}");
    found
}

/// Whether only agents' tokens open it.
fn is_an_agents_own(method: &reqwest::Method, path: &str) -> bool {
    let own = [
        "/api/agents/heartbeat",
        "/api/agents/rotate-token",
        "/api/agents/deregister",
        "/api/ingest/discovery",
        "/api/ingest/shield",
    ];
    let commands = path.strip_prefix("/api/agents/commands");
    own.contains(&path) || (commands.is_some() && method != reqwest::Method::POST)
}

#[tokio::test]
async fn every_route_asks_for_a_token_but_the_four_that_are_open() {
    let nexus = TestNexus::start().await;
    let mut open = Vec::new();
    let undocumented = [
        ("/docs", false),
        ("/docs/", false),
        ("/docs/index.html", false),
        ("/nothing", false),
    ];
    let extra = undocumented.map(|(path, open)| (reqwest::Method::GET, path.to_owned(), open));
    for (method, path, is_open) in operations().into_iter().chain(extra) {
        let answer = Answer::of(nexus.http.request(method, nexus.url(&path))).await;
        if is_open {
            assert_ne!(answer.status, 401, "{path}");
            open.push(path);
        } else {
            answer.assert_problem(401, &path, "Authorization: Bearer");
            assert!(answer.header("www-authenticate").starts_with("Bearer"), "{path}");
        }
    }
    open.sort();
    assert_eq!(open, ["/api/agents/register", "/healthz", "/readyz", "/ws/nodes"]);
    nexus.stop().await;
}

#[tokio::test]
async fn a_wrong_token_is_401_with_a_hint_and_a_viewer_only_reads() {
    let patient = NexusSettings {
        rate_limits: RateLimits {
            auth_failures_per_minute: 0,
            ..RateLimits::default()
        },
        ..settings()
    };
    let nexus = TestNexus::with_fleet(patient).await;
    for (method, path, open) in operations() {
        if open {
            continue;
        }
        let with = |token| nexus.http.request(method.clone(), nexus.url(&path)).bearer_auth(token);
        if is_an_agents_own(&method, &path) {
            for token in ["wrong", VIEWER, OPERATOR] {
                let answer = Answer::of(with(token)).await;
                answer.assert_problem(401, &path, "the token is no agent's");
            }
            continue;
        }
        Answer::of(with("wrong")).await.assert_problem(401, &path, "not known");
        if method != reqwest::Method::GET {
            Answer::of(with(VIEWER))
                .await
                .assert_problem(403, &path, "`eyes` has scope viewer, this needs ");
        }
    }
    let strange = nexus
        .http
        .get(nexus.url("/api/v1/nodes"))
        .header("authorization", "Digest x");
    Answer::of(strange)
        .await
        .assert_problem(401, "/api/v1/nodes", "holds no token");
    nexus.stop().await;
}

#[tokio::test]
async fn browsers_may_send_the_token_as_a_password_and_in_the_query_of_events_only() {
    let nexus = TestNexus::start().await;
    let basic = nexus.http.get(nexus.url("/docs/")).basic_auth("anyone", Some(VIEWER));
    let page = Answer::of(basic).await;
    assert_eq!(page.status, 200);
    assert!(page.body.as_str().unwrap().contains("swagger-ui"));
    let query = nexus
        .http
        .get(nexus.url(&format!("/api/v1/nodes?access_token={VIEWER}")));
    assert_eq!(Answer::of(query).await.status, 401);
    let events = nexus
        .http
        .get(nexus.url(&format!("/api/v1/events?access_token={VIEWER}")))
        .send()
        .await
        .unwrap();
    assert_eq!(events.status(), 200);
    nexus.ask_to_stop();
    drop(events);
    nexus.stopped().await;
}

#[tokio::test]
async fn too_many_wrong_tokens_are_429_while_the_right_one_still_works() {
    let nexus = TestNexus::start_with(NexusSettings {
        rate_limits: RateLimits {
            auth_failures_per_minute: 3,
            ..RateLimits::default()
        },
        ..settings()
    })
    .await;
    let wrong = || Answer::of(nexus.http.get(nexus.url("/api/v1/nodes")).bearer_auth("wrong"));
    for _ in 0..3 {
        assert_eq!(wrong().await.status, 401);
    }
    let limited = wrong().await;
    limited.assert_problem(429, "/api/v1/nodes", "too many wrong tokens");
    assert!(limited.header("retry-after").parse::<u64>().unwrap() >= 1);
    assert_eq!(nexus.get("/api/v1/nodes").await.status, 200);
    nexus.stop().await;
}

#[tokio::test]
async fn too_many_requests_with_one_token_are_429_and_other_tokens_are_not_touched() {
    let nexus = TestNexus::start_with(NexusSettings {
        rate_limits: RateLimits {
            requests_per_second: 1,
            ..RateLimits::default()
        },
        ..settings()
    })
    .await;
    let mut limited = None;
    for _ in 0..50 {
        let answer = nexus.get("/api/v1/nodes").await;
        if answer.status == 429 {
            limited = Some(answer);
            break;
        }
    }
    limited
        .expect("no limit")
        .assert_problem(429, "/api/v1/nodes", "too many requests");
    let other = nexus
        .post(&format!("/api/v1/nodes/{}/execute", new_id()), &echo(1.0))
        .await;
    assert_eq!(other.status, 404, "{other:?}");
    nexus.stop().await;
}

#[tokio::test]
async fn pages_of_others_are_refused_and_our_own_are_not() {
    let nexus = TestNexus::start().await;
    let from = |origin: String| {
        let request = nexus.http.get(nexus.url("/api/v1/nodes")).bearer_auth(VIEWER);
        Answer::of(request.header("origin", origin))
    };
    from("https://evil.example".to_owned())
        .await
        .assert_problem(403, "/api/v1/nodes", "evil.example");
    assert_eq!(from(nexus.url("")).await.status, 200);
    nexus.stop().await;
}

fn dev() -> NexusSettings {
    NexusSettings {
        dev: true,
        ..settings()
    }
}

#[tokio::test]
async fn dev_mode_asks_for_no_token_but_for_a_loopback_name() {
    let nexus = TestNexus::start_with(dev()).await;
    let plain = Answer::of(nexus.http.get(nexus.url("/api/v1/nodes"))).await;
    assert_eq!(plain.status, 200);
    let rebound = nexus
        .http
        .get(nexus.url("/api/v1/nodes"))
        .header("host", "evil.example");
    Answer::of(rebound)
        .await
        .assert_problem(403, "/api/v1/nodes", "loopback names only");
    let drive_by = nexus
        .http
        .post(nexus.url("/api/v1/execute"))
        .header("origin", "https://evil.example");
    Answer::of(drive_by)
        .await
        .assert_problem(403, "/api/v1/execute", "may not use this nexus");
    // spores still need their token
    let mut spore = FakeSpore::connect(&nexus).await;
    let mut handshake = spore.handshake(&[], &[]);
    handshake["token"] = json!("");
    spore.say("HANDSHAKE", handshake).await;
    spore.expect_close(1008, "Authentication failed").await;
    nexus.stop().await;
}

#[tokio::test]
async fn dev_mode_refuses_a_listener_others_can_reach() {
    let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
    let nexus = Nexus::new(dev(), None).unwrap();
    let refused = nexus.serve(listener, CancellationToken::new()).await;
    assert!(matches!(refused, Err(NexusError::DevNotLoopback { .. })), "{refused:?}");
}

#[tokio::test]
async fn connections_over_the_limit_are_closed_at_once() {
    let nexus = TestNexus::start_with(NexusSettings {
        max_connections: 2,
        ..settings()
    })
    .await;
    // one place is the client's own, kept alive
    let _link = FakeSpore::v1(&nexus, &[]).await;
    let refused = tokio_tungstenite::connect_async(format!("ws://{}/ws/nodes", nexus.address)).await;
    assert!(refused.is_err());
    assert_eq!(nexus.metric("venom_nexus_connections_refused_total").await, 1.0);
    nexus.stop().await;
}

#[tokio::test]
async fn security_events_are_in_the_audit_log_and_tokens_are_not() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("audit.jsonl");
    let nexus = TestNexus::start_with(NexusSettings {
        audit_log: Some(path.clone()),
        ..settings()
    })
    .await;
    let spore = FakeSpore::v1(&nexus, &["EchoSkill"]).await;
    nexus
        .post_empty(&format!("/api/v1/nodes/{}/drain", spore.node_id))
        .await;
    Answer::of(nexus.http.get(nexus.url("/api/v1/nodes")).bearer_auth("wrong-secret")).await;
    let query = nexus.http.get(nexus.url("/api/v1/events?access_token=wrong-secret"));
    Answer::of(query)
        .await
        .assert_problem(401, "/api/v1/events", "not known");
    Answer::of(nexus.http.post(nexus.url("/api/v1/execute")).bearer_auth(VIEWER)).await;
    nexus.stop().await;
    let text = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let find = |what: &str| {
        lines
            .iter()
            .find(|line| line["event"] == what)
            .unwrap_or_else(|| panic!("no {what}"))
    };
    assert_eq!(find("node_registered")["node_id"], spore.node_id.as_str());
    assert_eq!(find("node_drain_requested")["by"], "hands");
    assert_eq!(find("auth_failed")["peer"], "127.0.0.1");
    assert_eq!(find("scope_too_low")["token"], "eyes");
    assert!(lines.iter().all(|line| line["timestamp"].is_string()));
    for secret in ["wrong-secret", VIEWER, OPERATOR, crate::harness::SPORE_TOKEN] {
        assert!(!text.contains(secret), "{secret} is in the audit log");
    }
}

#[tokio::test]
async fn headers_that_never_end_are_not_waited_for() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let nexus = TestNexus::start_with(NexusSettings {
        read_timeout: Duration::from_millis(100),
        ..settings()
    })
    .await;
    let mut slow = tokio::net::TcpStream::connect(nexus.address).await.unwrap();
    slow.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n").await.unwrap();
    let mut rest = Vec::new();
    crate::harness::soon("the nexus to hang up", slow.read_to_end(&mut rest))
        .await
        .unwrap();
    nexus.stop().await;
}
