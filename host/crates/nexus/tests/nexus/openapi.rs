//! The OpenAPI document: complete, consistent, the same as served.

use std::collections::BTreeSet;

use serde_json::Value;
use venom_nexus::Nexus;

use crate::harness::TestNexus;

fn document() -> Value {
    serde_json::from_str(&Nexus::openapi_json()).unwrap()
}

/// Calls `each` with every `$ref` of the document.
fn references(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => {
            if let Some(Value::String(target)) = map.get("$ref") {
                found.insert(target.clone());
            }
            map.values().for_each(|inner| references(inner, found));
        }
        Value::Array(items) => items.iter().for_each(|inner| references(inner, found)),
        _ => {}
    }
}

#[test]
fn is_openapi_3_1_and_every_reference_leads_somewhere() {
    let document = document();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    assert!(document["info"]["title"].is_string() && document["info"]["version"].is_string());
    let mut found = BTreeSet::new();
    references(&document, &mut found);
    assert!(found.len() >= 8, "{found:?}");
    for target in &found {
        let pointer = target.strip_prefix('#').expect("only local references");
        assert!(document.pointer(pointer).is_some(), "{target} leads nowhere");
    }
}

#[test]
fn every_operation_is_described_and_names_its_errors() {
    let document = document();
    let mut ids = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let name = format!("{method} {path}");
            assert!(operation["summary"].is_string(), "{name} has no summary");
            assert!(
                ids.insert(operation["operationId"].as_str().unwrap().to_owned()),
                "{name} shares its id"
            );
            for (_, parameter) in path.match_indices('{').zip(0..) {
                assert_eq!(operation["parameters"][parameter]["in"], "path", "{name}");
            }
            let open = ["/healthz", "/readyz", "/ws/nodes", "/api/agents/register"].contains(&path.as_str());
            assert_eq!(operation["responses"]["401"].is_object(), !open, "{name}");
            for (status, response) in operation["responses"].as_object().unwrap() {
                if status.as_str() >= "400" {
                    let schema = &response["content"]["application/problem+json"]["schema"]["$ref"];
                    assert_eq!(schema, "#/components/schemas/ProblemBody", "{name} {status}");
                }
            }
        }
    }
    assert_eq!(document["components"]["securitySchemes"]["token"]["scheme"], "bearer");
}

#[test]
fn every_route_of_the_contract_is_there() {
    let document = document();
    for path in [
        "/api/v1/nodes",
        "/api/v1/nodes/{node_id}",
        "/api/v1/nodes/{node_id}/execute",
        "/api/v1/nodes/{node_id}/drain",
        "/api/v1/nodes/{node_id}/undrain",
        "/api/v1/execute",
        "/api/v1/tasks",
        "/api/v1/tasks/{task_id}",
        "/api/v1/tasks/{task_id}/events",
        "/api/v1/tasks/{task_id}/requeue",
        "/ws/tasks/{task_id}",
        "/api/v1/map",
        "/api/v1/queues",
        "/api/v1/queues/groups/{name}",
        "/api/v1/queues/dead/requeue",
        "/api/v1/cluster",
        "/api/v1/cluster/broadcast",
        "/api/v1/cache/{namespace}",
        "/api/v1/cache/{namespace}/{key}",
        "/api/agents/register",
        "/api/agents/heartbeat",
        "/api/agents/rotate-token",
        "/api/agents",
        "/api/agents/{agent_id}",
        "/api/agents/{agent_id}/commands",
        "/api/agents/commands",
        "/api/agents/commands/{name}",
        "/api/agents/version",
        "/api/ingest/discovery",
        "/api/ingest/shield",
        "/api/data",
        "/api/assets/{name}",
        "/api/changes",
        "/api/scans",
        "/api/subnets",
        "/api/sites",
        "/api/topology",
        "/api/certificates",
        "/api/shield-findings",
        "/api/networks",
        "/api/v1/events",
        "/ws/events",
        "/ws/nodes",
        "/healthz",
        "/readyz",
        "/metrics",
        "/openapi.json",
    ] {
        assert!(document["paths"][path].is_object(), "{path} is missing");
    }
}

#[test]
fn no_agent_is_called_what_another_route_is() {
    let document = document();
    let words = document["paths"].as_object().unwrap().keys();
    let words: BTreeSet<&str> = words
        .filter_map(|path| path.strip_prefix("/api/agents/")?.split('/').next())
        .filter(|word| !word.starts_with('{'))
        .collect();
    assert!(words.contains("version") && words.len() >= 6, "{words:?}");
    for word in words {
        assert!(word.parse::<venom_protocol::AgentId>().is_err(), "{word}");
    }
}

#[tokio::test]
async fn is_served_as_it_is_and_shown_on_a_page_from_this_binary() {
    let nexus = TestNexus::start().await;
    assert_eq!(nexus.get("/openapi.json").await.body, document());
    let page = nexus.get("/docs/").await;
    assert_eq!(page.status, 200);
    let script = nexus.get("/docs/swagger-initializer.js").await;
    assert!(script.body.as_str().unwrap().contains("/openapi.json"), "{script:?}");
    let html = page.body.as_str().unwrap();
    assert!(!html.contains("://cdn") && !html.contains("unpkg.com"), "{html}");
    nexus.stop().await;
}
