//! Findings and assets for the tests of the exports.

use serde_json::json;
use venom_protocol::{AssetView, FindingStatus, FindingView, SeenService, Severity, Timestamp};

fn at(text: &str) -> Timestamp {
    Timestamp::parse(text).unwrap()
}

fn finding(number: u32, check_id: &str, severity: Severity, status: FindingStatus) -> FindingView {
    FindingView {
        id: format!("0192f0c1-0000-7000-8000-{number:012}"),
        site_name: "Berlin".into(),
        network: "fp-1".into(),
        module: "tls".into(),
        check_id: check_id.into(),
        severity,
        title: "Certificate has expired".into(),
        detail: "It ended on 2026-01-01.\nBrowsers refuse it.".into(),
        target_ip: Some("10.0.0.1".into()),
        port: Some(443),
        remediation: "Renew it.".into(),
        status,
        first_seen: at("2026-02-01T00:00:00Z"),
        last_seen: at("2026-02-02T00:00:00Z"),
        changed_at: at("2026-02-03T00:00:00Z"),
        changed_by: "agent-1".into(),
        reason: None,
        agent_id: "agent-1".parse().unwrap(),
        extra: serde_json::Map::new(),
    }
}

/// One of each status, two of one check, one with a CVE, one nowhere in particular.
pub(super) fn findings() -> Vec<FindingView> {
    let open = finding(1, "tls.expired", Severity::High, FindingStatus::Open);
    let fixed = FindingView {
        target_ip: Some("fe80::1".into()),
        ..finding(2, "tls.expired", Severity::Critical, FindingStatus::Fixed)
    };
    let accepted = FindingView {
        reason: Some("replaced in May".into()),
        changed_by: "alice".into(),
        port: None,
        ..finding(3, "http.plain", Severity::Medium, FindingStatus::Accepted)
    };
    let mut with_cve = finding(4, "ssh.version", Severity::Low, FindingStatus::FalsePositive);
    with_cve.extra.insert("cve".into(), json!("CVE-2024-6387"));
    let bare = FindingView {
        target_ip: None,
        port: None,
        detail: String::new(),
        remediation: String::new(),
        last_seen: at("2026-02-01T00:00:00Z"),
        ..finding(5, "net: odd", Severity::Info, FindingStatus::Open)
    };
    vec![open, fixed, accepted, with_cve, bare]
}

/// One that is well known, and one of which hardly anything is, with a name that means harm.
pub(super) fn assets() -> Vec<AssetView> {
    let known = AssetView {
        id: "a-1".into(),
        site_name: "Berlin".into(),
        network: "fp-1".into(),
        ip: "10.0.0.1".into(),
        mac: Some("00:1a:2b:3c:4d:5e".into()),
        hostname: Some("printer.lan".into()),
        vendor: Some("Maker, Inc.".into()),
        open_ports: vec![22, 443],
        os_hint: Some("linux".into()),
        bigr_category: Some("printer".into()),
        confidence_score: Some(0.9),
        services: vec![SeenService::default()],
        evidence: vec!["port 9100".into()],
        first_seen: at("2026-02-01T00:00:00Z"),
        last_seen: at("2026-02-02T00:00:00Z"),
        is_gone: false,
        agent_id: "agent-1".parse().unwrap(),
        open_findings: 2,
        extra: serde_json::Map::new(),
    };
    let hostile = AssetView {
        id: "a-2".into(),
        ip: "10.0.0.2".into(),
        mac: None,
        hostname: Some("=cmd|' /C calc'!A0".into()),
        vendor: None,
        open_ports: Vec::new(),
        os_hint: None,
        bigr_category: None,
        confidence_score: None,
        is_gone: true,
        open_findings: 0,
        ..known.clone()
    };
    vec![known, hostile]
}
