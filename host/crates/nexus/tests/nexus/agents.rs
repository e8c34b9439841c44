//! Agents at the nexus's door: who gets in, with what, how often, and what a token opens. What follows from it is the fleet's own tests'.

use std::time::Duration;

use serde_json::{Value, json};
use venom_nexus::{AgentSettings, NexusSettings, Secret};

use crate::harness::{ADMIN, Answer, FakeSpore, OPERATOR, TestNexus, VIEWER, new_id, settings, until};

const SHARED: &str = "token-of-the-hive";
const REGISTER: &str = "/api/agents/register";
const HEARTBEAT: &str = "/api/agents/heartbeat";

fn open_doors() -> NexusSettings {
    NexusSettings {
        agents: AgentSettings {
            registration_token: Some(Secret::new(SHARED)),
            registrations_per_minute: 0,
            ..AgentSettings::default()
        },
        ..settings()
    }
}

async fn enrolment(nexus: &TestNexus, body: Value) -> Value {
    let made = nexus.with_token("POST", "/api/v1/enrolments", ADMIN, &body).await;
    assert_eq!(made.status, 201, "{made:?}");
    made.body
}

/// Id and token of a new agent.
async fn registered(nexus: &TestNexus, id: &str, token: &str) -> (String, String) {
    let body = json!({ "agent_id": id, "name": "n", "boot_id": "b" });
    let answer = nexus.with_token("POST", REGISTER, token, &body).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let text = |name: &str| answer.body[name].as_str().unwrap().to_owned();
    (text("agent_id"), text("token"))
}

async fn beat(nexus: &TestNexus, token: &str) -> Answer {
    nexus.with_token("POST", HEARTBEAT, token, &json!({})).await
}

#[tokio::test]
async fn without_a_configured_token_only_enrolment_tokens_let_in() {
    let nexus = TestNexus::with_fleet(settings()).await;
    for answer in [
        nexus
            .with_token("POST", REGISTER, SHARED, &json!({ "name": "x" }))
            .await,
        Answer::of(
            nexus
                .http
                .post(nexus.url(REGISTER))
                .json(&json!({ "name": "x", "secret": SHARED })),
        )
        .await,
        Answer::of(nexus.http.post(nexus.url(REGISTER)).json(&json!({ "name": "x" }))).await,
        // an operator's token is for operators
        nexus.with_token("POST", REGISTER, ADMIN, &json!({ "name": "x" })).await,
    ] {
        assert_eq!(answer.status, 403, "{answer:?}");
        assert_eq!(
            (&answer.body["status"], &answer.body["message"]),
            (&json!("error"), &json!("Invalid token"))
        );
    }
    let made = enrolment(&nexus, json!({ "site_name": "Berlin", "tags": ["rack:7"] })).await;
    let token = made["token"].as_str().unwrap();
    let (id, own) = registered(&nexus, "a-1", token).await;
    assert_eq!(beat(&nexus, &own).await.body["agent_id"], json!(id));
    let listed = nexus.get("/api/agents?site=Berlin").await;
    assert_eq!(listed.body["agents"][0]["tags"], json!(["rack:7"]));
    assert_eq!(nexus.get("/api/agents?site=Oslo").await.body["agents"], json!([]));
    nexus.stop().await;
}

#[tokio::test]
async fn an_agents_token_opens_its_own_routes_and_no_others() {
    let nexus = TestNexus::with_fleet(open_doors()).await;
    let (id, own) = registered(&nexus, "a-1", SHARED).await;
    for (method, path) in [
        ("GET", "/api/agents".to_owned()),
        ("GET", "/api/v1/nodes".to_owned()),
        ("GET", "/api/data".to_owned()),
        ("DELETE", format!("/api/agents/{id}")),
        ("POST", "/api/v1/enrolments".to_owned()),
        ("POST", format!("/api/agents/{id}/commands")),
    ] {
        let answer = nexus.with_token(method, &path, &own, &json!({})).await;
        answer.assert_problem(401, &path, "not known");
    }
    for (method, path) in [
        ("POST", HEARTBEAT),
        ("POST", "/api/agents/rotate-token"),
        ("GET", "/api/agents/commands"),
        ("PATCH", "/api/agents/commands/x"),
        ("POST", "/api/ingest/discovery"),
        ("POST", "/api/ingest/shield"),
    ] {
        for token in [ADMIN, SHARED, "nonsense"] {
            let answer = nexus.with_token(method, path, token, &json!({})).await;
            answer.assert_problem(401, path, "no agent's");
        }
    }
    assert_eq!(beat(&nexus, &own).await.status, 200);
    nexus.stop().await;
}

#[tokio::test]
async fn scopes_hold_and_an_agent_can_leave_by_itself() {
    let nexus = TestNexus::with_fleet(open_doors()).await;
    let (id, own) = registered(&nexus, "a-1", SHARED).await;
    for (method, path, token) in [
        ("POST", "/api/v1/enrolments".to_owned(), OPERATOR),
        ("POST", format!("/api/v1/agents/{id}/approve"), OPERATOR),
        ("DELETE", format!("/api/agents/{id}"), VIEWER),
        ("POST", format!("/api/agents/{id}/commands"), VIEWER),
    ] {
        let answer = nexus.with_token(method, &path, token, &json!({})).await;
        answer.assert_problem(403, &path, "scope");
    }
    let left = nexus
        .with_token("POST", "/api/agents/deregister", &own, &Value::Null)
        .await;
    assert_eq!(left.status, 204, "{left:?}");
    beat(&nexus, &own).await.assert_problem(401, HEARTBEAT, "revoked");
    nexus
        .get("/api/agents/nobody")
        .await
        .assert_problem(404, "/api/agents/nobody", "nobody");
    nexus.stop().await;
}

#[tokio::test]
async fn an_agent_that_waits_for_approval_beats_and_does_nothing_else() {
    let nexus = TestNexus::with_fleet(settings()).await;
    let made = enrolment(&nexus, json!({ "site_name": "Berlin", "approval": true })).await;
    let (id, own) = registered(&nexus, "a-1", made["token"].as_str().unwrap()).await;
    assert_eq!(beat(&nexus, &own).await.body["approved"], json!(false));
    let batch = json!({ "target": "10.0.0.0/24", "started_at": "2026-01-01T00:00:00Z", "assets": [] });
    let ingest = "/api/ingest/discovery";
    let refused = nexus.with_token("POST", ingest, &own, &batch).await;
    refused.assert_problem(403, ingest, "venom-host agent approve a-1");
    let approved = nexus
        .with_token("POST", &format!("/api/v1/agents/{id}/approve"), ADMIN, &Value::Null)
        .await;
    assert_eq!((approved.status, &approved.body["approved"]), (200, &json!(true)));
    assert_eq!(nexus.with_token("POST", ingest, &own, &batch).await.status, 200);
    nexus.stop().await;
}

#[tokio::test]
async fn registrations_and_requests_are_counted() {
    let limited = NexusSettings {
        agents: AgentSettings {
            registration_token: Some(Secret::new(SHARED)),
            registrations_per_minute: 3,
            requests_per_minute: 5,
            ..AgentSettings::default()
        },
        ..settings()
    };
    let nexus = TestNexus::with_fleet(limited).await;
    let (_, first) = registered(&nexus, "a-1", SHARED).await;
    let (_, second) = registered(&nexus, "a-2", SHARED).await;
    registered(&nexus, "a-3", SHARED).await;
    let over = nexus
        .with_token("POST", REGISTER, SHARED, &json!({ "agent_id": "a-4" }))
        .await;
    over.assert_problem(429, REGISTER, "registrations");
    assert!(!over.header("retry-after").is_empty());
    for _ in 0..5 {
        assert_eq!(beat(&nexus, &first).await.status, 200);
    }
    beat(&nexus, &first).await.assert_problem(429, HEARTBEAT, "this agent");
    assert_eq!(
        beat(&nexus, &second).await.status,
        200,
        "another agent is not in its way"
    );
    nexus.stop().await;
}

#[tokio::test]
async fn wrong_tokens_of_one_lock_out_nobody_else_behind_the_same_address() {
    let mut limited = open_doors();
    limited.rate_limits.auth_failures_per_minute = 3;
    let nexus = TestNexus::with_fleet(limited).await;
    let made = enrolment(&nexus, json!({ "site_name": "Berlin" })).await;
    let (id, own) = registered(&nexus, &new_id(), SHARED).await;
    for _ in 0..10 {
        let nothing = Answer::of(nexus.http.post(nexus.url(REGISTER)).json(&json!({ "name": "x" }))).await;
        assert_eq!(nothing.status, 403, "who shows no token guesses none: {nothing:?}");
    }
    for _ in 0..3 {
        assert_eq!(beat(&nexus, "wrong").await.status, 401);
    }
    beat(&nexus, "wrong")
        .await
        .assert_problem(429, HEARTBEAT, "wrong tokens");
    let guessed = nexus
        .with_token("POST", REGISTER, "wrong", &json!({ "name": "x" }))
        .await;
    guessed.assert_problem(429, REGISTER, "wrong tokens");
    // those with good ones do not notice
    assert_eq!(beat(&nexus, &own).await.status, 200);
    registered(&nexus, "a-2", made["token"].as_str().unwrap()).await;
    registered(&nexus, "a-3", SHARED).await;
    let mut spore = FakeSpore::connect(&nexus).await;
    spore.node_id.clone_from(&id);
    let mut handshake = spore.handshake(&[], &[]);
    handshake["token"] = json!(own);
    spore.say("HANDSHAKE", handshake).await;
    spore.registered(&nexus).await;
    // but the token that all spores share could be guessed
    let mut spore = FakeSpore::connect(&nexus).await;
    let handshake = spore.handshake(&[], &[]);
    spore.say("HANDSHAKE", handshake).await;
    spore.expect_close(1008, "Too many wrong tokens").await;
    nexus.stop().await;
}

#[tokio::test]
async fn an_agent_links_as_a_spore_by_its_own_token_until_it_is_revoked() {
    let nexus = TestNexus::with_fleet(settings()).await;
    let made = enrolment(&nexus, json!({ "site_name": "Berlin", "tags": ["rack:7"], "uses": 2 })).await;
    let (id, own) = registered(&nexus, &new_id(), made["token"].as_str().unwrap()).await;
    let (_, others) = registered(&nexus, &new_id(), made["token"].as_str().unwrap()).await;

    let introduce = async |token: &str| {
        let mut spore = FakeSpore::connect(&nexus).await;
        spore.node_id.clone_from(&id);
        let mut handshake = spore.handshake(&["EchoSkill"], &["own"]);
        handshake["token"] = json!(token);
        handshake["protocol"] = json!(2);
        handshake["boot_id"] = json!("b");
        spore.say("HANDSHAKE", handshake).await;
        spore
    };
    introduce(&others).await.expect_close(1008, "another agent's").await;
    introduce("nonsense")
        .await
        .expect_close(1008, "Authentication failed")
        .await;
    let mut spore = introduce(&own).await;
    spore.registered(&nexus).await;
    spore.expect("WELCOME").await;
    let node = nexus.get(&format!("/api/v1/nodes/{id}")).await.body;
    assert_eq!(
        node["node"]["capabilities"]["tags"],
        json!(["own", "rack:7", "site:Berlin"])
    );

    // a command is told at once, and then fetched as by any agent
    let path = format!("/api/agents/{id}/commands");
    let body = json!({ "command_type": "scan_now" });
    assert_eq!(nexus.with_token("POST", &path, OPERATOR, &body).await.status, 200);
    let hint = spore.expect("BROADCAST").await;
    assert_eq!(
        (&hint["command"], &hint["data"]),
        (&json!("AGENT_COMMANDS"), &json!({}))
    );
    let waiting = nexus
        .with_token("GET", "/api/agents/commands", &own, &Value::Null)
        .await;
    assert_eq!(
        waiting.body["commands"][0]["command_type"],
        json!("scan_now"),
        "{waiting:?}"
    );

    // bundles are for those that are linked
    let file = format!("/api/v1/bundles/{}", "0".repeat(64));
    let fetched = async |token: &str| nexus.with_token("GET", &file, token, &Value::Null).await.status;
    assert_ne!(fetched(&own).await, 401);
    assert_eq!(fetched(&others).await, 401);
    // by the token it has now, whichever it linked with
    let rotated = nexus
        .with_token("POST", "/api/agents/rotate-token", &own, &Value::Null)
        .await;
    let newer = rotated.body["token"].as_str().unwrap().to_owned();
    assert_ne!(fetched(&own).await, 401);
    assert_ne!(fetched(&newer).await, 401);
    assert_ne!(fetched(&own).await, 401, "it is good for the overlap after that");

    assert_eq!(nexus.delete(&format!("/api/agents/{id}")).await.status, 204);
    spore.expect_close(1008, "Authentication failed").await;
    assert_eq!(fetched(&newer).await, 401);
    introduce(&newer)
        .await
        .expect_close(1008, "Authentication failed")
        .await;
    nexus.stop().await;
}

#[tokio::test]
async fn an_agent_revoked_by_another_nexus_of_the_same_database_loses_its_link_too() {
    let directory = tempfile::tempdir().unwrap();
    let here = TestNexus::with_fleet_in(directory.path(), settings()).await;
    let there = TestNexus::with_fleet_in(directory.path(), settings()).await;
    let made = enrolment(&here, json!({ "site_name": "Berlin" })).await;
    let (id, own) = registered(&there, &new_id(), made["token"].as_str().unwrap()).await;
    let mut spore = FakeSpore::connect(&here).await;
    spore.node_id.clone_from(&id);
    let mut handshake = spore.handshake(&[], &[]);
    handshake["token"] = json!(own);
    spore.say("HANDSHAKE", handshake).await;
    spore.registered(&here).await;
    assert_eq!(there.delete(&format!("/api/agents/{id}")).await.status, 204);
    spore.expect_close(1008, "Authentication failed").await;
    here.stop().await;
    there.stop().await;
}

#[tokio::test]
async fn what_heartbeats_said_is_there_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let nexus = TestNexus::with_fleet_in(directory.path(), open_doors()).await;
    let (id, own) = registered(&nexus, "a-1", SHARED).await;
    let heard = beat(&nexus, &own).await;
    nexus.stop().await;
    let nexus = TestNexus::with_fleet_in(directory.path(), open_doors()).await;
    let shown = nexus.get(&format!("/api/agents/{id}")).await;
    assert_eq!(shown.body["last_seen"], heard.body["last_seen"], "{shown:?}");
    assert_eq!(shown.body["status"], json!("online"));
    assert_eq!(beat(&nexus, &own).await.status, 200);
    nexus.stop().await;
}

#[tokio::test]
async fn enrol_strings_say_where_the_nexus_is() {
    let nexus = TestNexus::with_fleet(settings()).await;
    let made = enrolment(&nexus, json!({ "site_name": "Berlin" })).await;
    let token = made["token"].as_str().unwrap();
    assert_eq!(
        made["enrol"],
        json!(format!("venom://{}/?token={token}", nexus.address))
    );
    let listed = nexus.get("/api/v1/enrolments").await;
    assert!(!listed.body.to_string().contains(token), "a token is shown once");
    let id = made["enrolment"]["id"].as_str().unwrap();
    let revoked = nexus
        .with_token("DELETE", &format!("/api/v1/enrolments/{id}"), ADMIN, &Value::Null)
        .await;
    assert!(revoked.body["revoked_at"].is_string(), "{revoked:?}");
    assert_eq!(
        nexus
            .with_token("POST", REGISTER, token, &json!({ "name": "x" }))
            .await
            .status,
        403
    );
    nexus.stop().await;

    let directory = tempfile::tempdir().unwrap();
    let files = crate::tls::certificate_files(directory.path());
    let behind = NexusSettings {
        tls: Some(files),
        agents: AgentSettings {
            public_url: Some("https://nexus.example:8443".to_owned()),
            ..AgentSettings::default()
        },
        ..settings()
    };
    let nexus = TestNexus::with_fleet(behind).await;
    let client = reqwest::Client::builder()
        .tls_danger_accept_invalid_certs(true)
        .build()
        .unwrap();
    let url = format!("https://{}/api/v1/enrolments", nexus.address);
    let made = Answer::of(client.post(url).bearer_auth(ADMIN).json(&json!({ "site_name": "B" }))).await;
    let enrol = made.body["enrol"].as_str().unwrap();
    assert!(enrol.starts_with("venom://nexus.example:8443/?token="), "{enrol}");
    let pin = enrol.split_once("&tls=1&pin=sha256:").unwrap().1;
    assert!(
        pin.len() == 64 && pin.bytes().all(|byte| byte.is_ascii_hexdigit()),
        "{enrol}"
    );
    nexus.stop().await;
}

#[tokio::test]
async fn a_nexus_without_a_fleet_says_so() {
    let nexus = TestNexus::start().await;
    nexus
        .get("/api/agents")
        .await
        .assert_problem(503, "/api/agents", "--database-url");
    beat(&nexus, "x")
        .await
        .assert_problem(503, HEARTBEAT, "keeps no agents");
    nexus.stop().await;
}

#[tokio::test]
async fn exports_are_files_and_hostile_words_are_answered() {
    let nexus = TestNexus::with_fleet(open_doors()).await;
    let (_, own) = registered(&nexus, "a-1", SHARED).await;
    let report = json!({ "target": "10.0.0.1", "started_at": "2026-01-01T00:00:00Z", "completed_at": "2026-01-01T00:01:00Z",
        "modules_run": ["tls"], "findings": [{ "module": "tls", "severity": "high", "title": "=1+1", "target_ip": "10.0.0.1" }] });
    let taken = nexus.with_token("POST", "/api/ingest/shield", &own, &report).await;
    assert_eq!(taken.status, 200, "{taken:?}");
    let sarif = nexus.get("/api/v1/export/findings.sarif").await;
    assert_eq!((sarif.status, &sarif.body["version"]), (200, &json!("2.1.0")));
    assert!(sarif.header("content-disposition").contains("findings.sarif"));
    for (path, kind) in [
        ("findings.ocsf", "application/x-ndjson"),
        ("assets.csv", "text/csv; charset=utf-8"),
        ("assets.json", "application/json"),
    ] {
        let answer = nexus.get(&format!("/api/v1/export/{path}?site=default")).await;
        assert_eq!((answer.status, answer.header("content-type")), (200, kind), "{path}");
    }
    let nothing = "/api/v1/export/nothing";
    nexus.get(nothing).await.assert_problem(404, nothing, "findings.sarif");
    for (path, words) in [
        ("/api/shield-findings?severity=terrible", "critical"),
        ("/api/shield-findings?status=gone", "false_positive"),
        ("/api/data?limit=0", "give 1 to"),
        ("/api/data?cursor=%00nonsense", "cursor"),
        ("/api/changes?since=noon", "ISO 8601"),
        ("/api/data?sight=Berlin", "known: site"),
    ] {
        let answer = nexus.get(path).await;
        answer.assert_problem(400, path.split('?').next().unwrap(), words);
    }
    let keyed = nexus
        .http
        .post(nexus.url("/api/ingest/shield"))
        .bearer_auth(&own)
        .json(&report);
    let answer = Answer::of(keyed.header("idempotency-key", "x".repeat(129))).await;
    answer.assert_problem(400, "/api/ingest/shield", "128");
    nexus.stop().await;
}

#[tokio::test]
async fn security_events_are_in_the_audit_and_no_token_is() {
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("audit.jsonl");
    let settings = NexusSettings {
        audit_log: Some(log.clone()),
        ..open_doors()
    };
    let nexus = TestNexus::with_fleet(settings).await;
    let made = enrolment(&nexus, json!({ "site_name": "Berlin" })).await;
    let (_, own) = registered(&nexus, "a-1", made["token"].as_str().unwrap()).await;
    nexus
        .with_token("POST", "/api/agents/rotate-token", &own, &Value::Null)
        .await;
    beat(&nexus, "wrong").await;
    nexus.delete("/api/agents/a-1").await;
    until("the audit", async || {
        let text = std::fs::read_to_string(&log).unwrap();
        let all = [
            "enrolment_created",
            "agent_registered",
            "agent_token_rotated",
            "auth_failed",
            "agent_deregistered",
        ];
        all.iter().all(|word| text.contains(word)).then_some(())
    })
    .await;
    let text = std::fs::read_to_string(&log).unwrap();
    assert!(!text.contains(&own) && !text.contains(made["token"].as_str().unwrap()));
    tokio::time::timeout(Duration::from_secs(60), nexus.stop())
        .await
        .unwrap();
}

#[tokio::test]
async fn what_agents_do_is_counted() {
    let nexus = TestNexus::with_fleet(open_doors()).await;
    let (_, own) = registered(&nexus, "a-1", SHARED).await;
    beat(&nexus, &own).await;
    let sweep = json!({ "target": "10.0.0.0/24", "started_at": "2026-01-01T00:00:00Z", "completed_at": "2026-01-01T00:01:00Z",
        "assets": [{ "ip": "10.0.0.1", "open_ports": [22] }, { "ip": "10.0.0.2", "open_ports": [] }] });
    for _ in 0..2 {
        let push = nexus
            .http
            .post(nexus.url("/api/ingest/discovery"))
            .bearer_auth(&own)
            .json(&sweep);
        assert_eq!(Answer::of(push.header("idempotency-key", "k")).await.status, 200);
    }
    let text = nexus.get("/metrics").await.body.as_str().unwrap().to_owned();
    for line in [
        "venom_nexus_agent_registrations_total 1",
        "venom_nexus_agent_heartbeats_total 1",
        "venom_nexus_ingest_batches_total 1",
        "venom_nexus_ingest_batches_again_total 1",
        "venom_nexus_ingest_assets_total 2",
        "venom_nexus_site_agents{site=\"default\"} 1",
        "venom_nexus_site_agents_online{site=\"default\"} 1",
        "venom_nexus_site_assets{site=\"default\"} 2",
    ] {
        assert!(text.lines().any(|told| told == line), "no `{line}` in\n{text}");
    }
    nexus.stop().await;
}
