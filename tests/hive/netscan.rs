//! NetScanSkill, the real component on a real spore, where its nexus stands in the network that is scanned.

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use venom_tests::{Answer, SkillName, TestHive};

/// What a spore with this policy answers to a scan of the addresses around the nexus.
async fn scan(hive: &TestHive, policy: &str, ports: &[u16]) -> Result<Answer> {
    let node = hive.node()?.skill(SkillName::NetScan).grant(|_| policy.to_owned());
    let node = node.start().await?;
    let asked = json!({"targets": ["127.0.0.0/29"], "ports": ports, "announcements": false});
    let answer = hive.client()?.call(node.id, "NetScanSkill.scan", asked).await;
    node.stop().await?;
    answer
}

fn open(discovery: &Value) -> Vec<(&str, Value)> {
    let assets = discovery["assets"].as_array().into_iter().flatten();
    assets
        .map(|asset| (asset["ip"].as_str().unwrap_or_default(), asset["open_ports"].clone()))
        .filter(|(_, open)| *open != json!([]))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_nexus_is_left_out_of_a_scan_unless_its_address_is_granted() -> Result<()> {
    let hive = TestHive::start().await?;
    let nexus = hive.address().port();
    let _like_it = TcpListener::bind(("127.0.0.2", nexus)).await?;
    let beside = TcpListener::bind("127.0.0.1:0").await?;
    let other = beside.local_addr()?.port();
    let wide =
        "[skills.NetScanSkill]\nnet = [{ to = '127.0.0.0/8', ports = ['*'] }]\nbudgets = { connections = 200 }\n";

    let answer = scan(&hive, wide, &[nexus, other]).await?;
    ensure!(answer.success, "{}", answer.why());
    let discovery = &answer.result["discoveries"][0];
    assert_eq!(
        open(discovery),
        [("127.0.0.1", json!([other])), ("127.0.0.2", json!([nexus]))]
    );
    assert_eq!(discovery["left_out"], json!([format!("127.0.0.1:{nexus}")]));
    // so nobody takes the nexus's port for one that has closed, or its machine for gone
    assert_eq!(discovery["ports_scanned"], json!([other]));
    assert!(discovery["completed_at"].is_string(), "{discovery}");

    let named = wide.replace("}]\n", "}, { to = '127.0.0.1', ports = ['*'] }]\n");
    let answer = scan(&hive, &named, &[nexus, other]).await?;
    ensure!(answer.success, "{}", answer.why());
    let discovery = &answer.result["discoveries"][0];
    assert_eq!(open(discovery).len(), 2, "{discovery}");
    assert_eq!(discovery["ports_scanned"], json!([nexus, other]));
    assert!(discovery.get("left_out").is_none(), "{discovery}");

    // a budget that is used up, and a port that is granted nowhere, are no nexus
    for (policy, entry) in [
        (wide.replace("200", "11"), "connections = 22".to_owned()),
        (
            wide.replace("'*'", &format!("'{nexus}'")),
            format!("to = \"127.0.0.1\"\nports = [\"{other}\"]"),
        ),
    ] {
        let answer = scan(&hive, &policy, &[nexus, other]).await?;
        ensure!(!answer.success, "{:?}", answer.result);
        assert!(answer.why().contains(&entry), "{entry}: {}", answer.why());
    }
    Ok(())
}
