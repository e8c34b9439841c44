//! The two families of agents older than Venom, as they are out there, unchanged: hive clients and LAN scan agents.

use anyhow::{Context, Result};
use reqwest::Method;
use serde_json::{Value, json};
use venom_fleet::FleetSettings;
use venom_nexus::Secret;
use venom_tests::{Client, Python, TestHive, eventually};

const REGISTRATION_TOKEN: &str = "token-of-the-hive";
const SITE_SECRET: &str = "secret-of-the-sites";

async fn hive() -> Result<TestHive> {
    let doors = |settings: &mut venom_nexus::NexusSettings| {
        settings.agents.registration_token = Some(Secret::new(REGISTRATION_TOKEN));
        settings.agents.registration_secret = Some(Secret::new(SITE_SECRET));
    };
    let fleet = FleetSettings {
        // the token before ends with the first use of the next: nobody waits here
        rotation_overlap: std::time::Duration::ZERO,
        ..FleetSettings::default()
    };
    TestHive::with_fleet(doors, fleet).await
}

async fn said(script: &mut Python, event: &str) -> Result<Value> {
    let line = script
        .line()
        .await?
        .with_context(|| format!("the script ended before `{event}`"))?;
    let said: Value = serde_json::from_str(&line).with_context(|| line.clone())?;
    anyhow::ensure!(said["event"] == event, "{said} instead of `{event}`");
    Ok(said)
}

async fn got(client: &Client, path: &str) -> Result<Value> {
    let answer = client.send(client.request(Method::GET, path)).await?;
    anyhow::ensure!(answer.status == 200, "{path}: {} {}", answer.status, answer.body);
    Ok(answer.body)
}

fn lan_agent(hive: &TestHive, name: &str, site: &str, secret: &str, commands: &str) -> Result<Python> {
    Python::start(
        "lan_agent.py",
        &[
            ("SERVER", &hive.url()),
            ("NAME", name),
            ("SITE", site),
            ("AGENT_REGISTRATION_SECRET", secret),
            ("COMMANDS", commands),
        ],
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hive_client_registers_at_each_start_and_is_one_agent() -> Result<()> {
    let hive = hive().await?;
    let client = hive.client()?;
    for _ in 0..6 {
        let environment = [
            ("HIVE_URL", hive.url()),
            ("HIVE_REGISTRATION_TOKEN", REGISTRATION_TOKEN.to_owned()),
            ("AGENT_ID", "pi-17".to_owned()),
        ];
        let environment: Vec<(&str, &str)> = environment
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        let mut script = Python::start("hive_client.py", &environment)?;
        let registered = said(&mut script, "registered").await?;
        assert_eq!(
            (&registered["agent_id"], &registered["tasks"]),
            (&json!("pi-17"), &json!([]))
        );
    }
    let listed = got(&client, "/api/agents").await?;
    assert_eq!(listed["agents"].as_array().map(Vec::len), Some(1), "{listed}");
    let agent = &listed["agents"][0];
    assert_eq!((&agent["id"], &agent["version"]), (&json!("pi-17"), &json!("0.9.1")));
    assert_eq!(agent["metadata"]["gpu"]["count"], json!(0), "{agent}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_token_is_refused_in_the_words_both_know() -> Result<()> {
    let hive = hive().await?;
    let mut script = Python::start(
        "hive_client.py",
        &[("HIVE_URL", &hive.url()), ("HIVE_REGISTRATION_TOKEN", "wrong")],
    )?;
    let refused = said(&mut script, "refused").await?;
    assert_eq!(
        (&refused["status"], &refused["message"]),
        (&json!("error"), &json!("Invalid token"))
    );
    let mut script = lan_agent(&hive, "scan-1", "Berlin", "wrong", "0")?;
    assert_eq!(said(&mut script, "refused").await?["code"], json!(403));
    let listed = got(&hive.client()?, "/api/agents").await?;
    assert_eq!(listed["agents"], json!([]));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lan_agent_beats_obeys_and_pushes_and_its_site_is_its_tokens() -> Result<()> {
    let hive = hive().await?;
    let client = hive.client()?;
    let mut ids = Vec::new();
    for site in ["Berlin", "Oslo"] {
        let mut script = lan_agent(&hive, "scan-1", site, SITE_SECRET, "1")?;
        let registered = said(&mut script, "registered").await?;
        let id = registered["agent_id"].as_str().context("no id")?.to_owned();
        let beat = said(&mut script, "beat").await?;
        assert_eq!(
            (&beat["answer"]["status"], &beat["answer"]["agent_id"]),
            (&json!("ok"), &json!(id))
        );
        assert_eq!(beat["answer"]["pending_commands"], json!(0));

        let ask = client.request(Method::POST, &format!("/api/agents/{id}/commands"));
        let sent = client.send(ask.json(&json!({"targets": ["192.168.1.0/24"]}))).await?;
        assert_eq!(sent.status, 200, "{}", sent.body);
        assert_eq!(
            (&sent.body["command_type"], &sent.body["shield"]),
            (&json!("scan_now"), &json!(true))
        );
        let commands = said(&mut script, "commands").await?;
        assert_eq!(commands["answer"]["count"], json!(1));
        let discovery = said(&mut script, "discovery").await?;
        assert_eq!(
            (&discovery["code"], &discovery["answer"]["assets_ingested"]),
            (&json!(200), &json!(2)),
            "{discovery}"
        );
        let shield = said(&mut script, "shield").await?;
        assert_eq!(
            (&shield["code"], &shield["answer"]["findings_count"]),
            (&json!(200), &json!(1)),
            "{shield}"
        );
        assert_eq!(shield["answer"]["modules_received"], json!(2));
        assert_eq!(
            said(&mut script, "completed").await?["answer"]["command_status"],
            json!("completed")
        );
        let history = got(&client, &format!("/api/agents/{id}/commands")).await?;
        assert_eq!(history["commands"][0]["status"], json!("completed"));

        assert_eq!(said(&mut script, "rotated").await?["code"], json!(200));
        assert_eq!(said(&mut script, "beat").await?["code"], json!(200), "the new token");
        assert_eq!(said(&mut script, "beat").await?["code"], json!(401), "the one before");
        ids.push(id);
    }
    assert_ne!(ids[0], ids[1]);

    // one address, one fingerprint, two sites: two things
    for site in ["Berlin", "Oslo"] {
        let data = got(&client, &format!("/api/data?site={site}")).await?;
        assert_eq!(data["total"], json!(2), "{data}");
        let details = got(&client, &format!("/api/assets/192.168.1.1?site={site}")).await?;
        assert_eq!(details["count"], json!(1));
        let asset = &details["assets"][0]["asset"];
        assert_eq!(
            (&asset["site_name"], &asset["mac"]),
            (&json!(site), &json!("aa:bb:cc:00:00:01"))
        );
        let changes = got(&client, &format!("/api/changes?site={site}&kind=new")).await?;
        assert_eq!(changes["total"], json!(2));
        for path in ["scans", "subnets", "certificates", "shield-findings", "networks"] {
            let listed = got(&client, &format!("/api/{path}?site={site}")).await?;
            assert!(listed["count"].as_u64().unwrap_or(0) >= 1, "{path}: {listed}");
        }
    }
    assert_eq!(got(&client, "/api/assets/192.168.1.1").await?["count"], json!(2));
    let sites = got(&client, "/api/sites").await?;
    assert_eq!(sites["count"], json!(2), "{sites}");
    assert_eq!(
        got(&client, "/api/agents/version").await?["versions"]["1.4.2"],
        json!(2)
    );
    let topology = got(&client, "/api/topology?site=Oslo").await?;
    assert!(
        topology["nodes"].as_array().is_some_and(|nodes| nodes.len() >= 5),
        "{topology}"
    );

    // revoked at once
    let gone = client
        .send(client.request(Method::DELETE, &format!("/api/agents/{}", ids[0])))
        .await?;
    assert_eq!(gone.status, 204);
    eventually("the list to say so", async || {
        let listed = got(&client, "/api/agents?site=Berlin").await?;
        Ok((listed["agents"][0]["is_active"] == json!(false)).then_some(()))
    })
    .await?;
    assert_eq!(
        got(&client, "/api/data?site=Berlin").await?["total"],
        json!(2),
        "what it saw stays"
    );
    Ok(())
}
