//! Findings as events of the Open Cybersecurity Schema Framework, version 1.9: a finding that names a CVE is a Vulnerability Finding (2002), which
//! has to name one; any other is what a check found, a Compliance Finding (2003).

use serde_json::{Map, Value, json};
use venom_protocol::{FindingStatus, FindingView, Severity, Timestamp};

use super::sarif::place;

/// The version of the schema.
const SCHEMA: &str = "1.9.0";
/// The category Findings.
const CATEGORY: u32 = 2;

/// One event for each finding.
#[must_use]
pub fn ocsf(findings: &[FindingView]) -> Vec<Value> {
    findings.iter().map(event).collect()
}

fn event(finding: &FindingView) -> Value {
    let cves = cves(finding);
    let (class, class_name) = if cves.is_empty() {
        (2_003, "Compliance Finding")
    } else {
        (2_002, "Vulnerability Finding")
    };
    let (activity, activity_name) = activity(finding);
    let (status, status_name) = status(finding.status);
    let (severity, severity_name) = severity(finding.severity);
    let mut event = json!({
        "class_uid": class,
        "class_name": class_name,
        "category_uid": CATEGORY,
        "category_name": "Findings",
        "type_uid": class * 100 + activity,
        "type_name": format!("{class_name}: {activity_name}"),
        "activity_id": activity,
        "activity_name": activity_name,
        "severity_id": severity,
        "severity": severity_name,
        "status_id": status,
        "status": status_name,
        "time": millis(finding.first_seen),
        "start_time": millis(finding.first_seen),
        "end_time": millis(finding.last_seen),
        "message": finding.title,
        "metadata": {
            "version": SCHEMA,
            "uid": finding.id,
            "product": {"name": "Venom", "vendor_name": "Venom", "version": env!("CARGO_PKG_VERSION")},
        },
        "finding_info": {
            "uid": finding.id,
            "title": finding.title,
            "desc": finding.detail,
            "types": [finding.module],
            "created_time": millis(finding.first_seen),
            "first_seen_time": millis(finding.first_seen),
            "last_seen_time": millis(finding.last_seen),
            "modified_time": millis(finding.changed_at),
            "analytic": {"uid": finding.check_id, "name": finding.check_id, "type": "Rule", "type_id": 1},
        },
        "resources": [resource(finding)],
        "unmapped": {"site_name": finding.site_name, "network": finding.network, "agent_id": finding.agent_id},
    });
    if let Some(map) = event.as_object_mut() {
        put_reason(map, finding);
        if cves.is_empty() {
            put_compliance(map, finding);
        } else {
            let known: Vec<Value> = cves.iter().map(|cve| vulnerability(finding, cve)).collect();
            map.insert("vulnerabilities".to_owned(), Value::Array(known));
        }
    }
    event
}

/// A check that failed, or passes now.
fn put_compliance(map: &mut Map<String, Value>, finding: &FindingView) {
    let (status, name) = if finding.status == FindingStatus::Fixed {
        (1, "Pass")
    } else {
        (3, "Fail")
    };
    let (severity, severity_name) = severity(finding.severity);
    let compliance = json!({
        "standards": ["Venom"],
        "status_id": status,
        "status": name,
        "checks": [{
            "uid": finding.check_id,
            "name": finding.title,
            "desc": finding.detail,
            "status_id": status,
            "status": name,
            "severity_id": severity,
            "severity": severity_name,
            "standards": ["Venom"],
        }],
    });
    map.insert("compliance".to_owned(), compliance);
    if !finding.remediation.is_empty() {
        map.insert("remediation".to_owned(), json!({"desc": finding.remediation}));
    }
}

fn vulnerability(finding: &FindingView, cve: &str) -> Value {
    let mut vulnerability = json!({
        "cve": {"uid": cve},
        "title": finding.title,
        "desc": finding.detail,
        "severity": severity(finding.severity).1,
        "first_seen_time": millis(finding.first_seen),
        "last_seen_time": millis(finding.last_seen),
    });
    if let Some(map) = vulnerability
        .as_object_mut()
        .filter(|_| !finding.remediation.is_empty())
    {
        map.insert("remediation".to_owned(), json!({"desc": finding.remediation}));
    }
    vulnerability
}

/// What an operator said, and who.
fn put_reason(map: &mut Map<String, Value>, finding: &FindingView) {
    if let Some(reason) = &finding.reason {
        let note = json!({
            "comment": reason,
            "created_time": millis(finding.changed_at),
            "owner": {"name": finding.changed_by},
        });
        map.insert("notes".to_owned(), json!([note]));
    }
}

fn resource(finding: &FindingView) -> Value {
    let place = place(finding).unwrap_or_else(|| finding.site_name.clone());
    json!({
        "uid": format!("{}/{}/{place}", finding.site_name, finding.network),
        "name": place,
        "type": "Host",
        "data": {"ip": finding.target_ip, "port": finding.port, "site_name": finding.site_name, "network": finding.network},
    })
}

/// The CVEs a finding names: in its check, or as `cve`, `cves` or `cve_id` beside it.
fn cves(finding: &FindingView) -> Vec<String> {
    let mut cves: Vec<String> = Vec::new();
    let beside = ["cve", "cves", "cve_id"]
        .into_iter()
        .filter_map(|name| finding.extra.get(name));
    let beside = beside.flat_map(|value| match value {
        Value::Array(values) => values.iter().collect(),
        value => vec![value],
    });
    let texts = std::iter::once(finding.check_id.as_str()).chain(beside.filter_map(Value::as_str));
    for text in texts {
        let text = text.trim().to_ascii_uppercase();
        if is_cve(&text) && !cves.contains(&text) {
            cves.push(text);
        }
    }
    cves
}

/// `CVE-2021-44228`.
fn is_cve(text: &str) -> bool {
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    text.strip_prefix("CVE-")
        .and_then(|rest| rest.split_once('-'))
        .is_some_and(|(year, number)| {
            year.len() == 4 && digits(year) && (4..=19).contains(&number.len()) && digits(number)
        })
}

fn activity(finding: &FindingView) -> (u32, &'static str) {
    match finding.status {
        FindingStatus::Open if finding.last_seen <= finding.first_seen => (1, "Create"),
        FindingStatus::Open => (2, "Update"),
        FindingStatus::Fixed | FindingStatus::Accepted | FindingStatus::FalsePositive => (3, "Close"),
    }
}

const fn status(status: FindingStatus) -> (u32, &'static str) {
    match status {
        FindingStatus::Open => (1, "New"),
        FindingStatus::Accepted | FindingStatus::FalsePositive => (3, "Suppressed"),
        FindingStatus::Fixed => (4, "Resolved"),
    }
}

const fn severity(severity: Severity) -> (u32, &'static str) {
    match severity {
        Severity::Info => (1, "Informational"),
        Severity::Low => (2, "Low"),
        Severity::Medium => (3, "Medium"),
        Severity::High => (4, "High"),
        Severity::Critical => (5, "Critical"),
    }
}

fn millis(at: Timestamp) -> i64 {
    at.0.as_millisecond()
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;

    #[test]
    fn the_format_stays_as_it_is() {
        insta::assert_json_snapshot!(ocsf(&samples::findings()), {"[].metadata.product.version" => "VERSION"});
    }

    #[test]
    fn what_the_schema_requires_is_there() {
        for event in ocsf(&samples::findings()) {
            for required in [
                "activity_id",
                "category_uid",
                "class_uid",
                "severity_id",
                "time",
                "type_uid",
            ] {
                assert!(event[required].is_u64(), "{required}");
            }
            let (class, activity) = (
                event["class_uid"].as_u64().unwrap(),
                event["activity_id"].as_u64().unwrap(),
            );
            assert_eq!(event["type_uid"], class * 100 + activity);
            assert_eq!(event["category_uid"], class / 1_000);
            assert_eq!(event["metadata"]["version"], SCHEMA);
            assert!(event["metadata"]["product"]["name"].is_string() && event["finding_info"]["uid"].is_string());
            if class == 2_002 {
                for vulnerability in event["vulnerabilities"].as_array().unwrap() {
                    assert!(is_cve(vulnerability["cve"]["uid"].as_str().unwrap()));
                }
            } else {
                assert!(event["compliance"]["status_id"].is_u64());
                assert!(!event["compliance"]["standards"].as_array().unwrap().is_empty());
            }
            if let Some(remediation) = event.get("remediation") {
                assert!(remediation["desc"].is_string());
            }
        }
    }

    #[test]
    fn cves_are_found_wherever_they_are_named() {
        let mut finding = samples::findings().remove(0);
        assert_eq!(cves(&finding), [""; 0]);
        finding.check_id = "cve-2021-44228".into();
        finding
            .extra
            .insert("cves".into(), json!(["CVE-2021-44228", "CVE-2014-0160", "CVE-1-2", 7]));
        assert_eq!(cves(&finding), ["CVE-2021-44228", "CVE-2014-0160"]);
        for no in ["CVE-2021", "CVE-2021-1", "CVE-20210-1234", "CVE-2021-12a4", "CVE-2021-"] {
            assert!(!is_cve(no), "{no}");
        }
    }
}
