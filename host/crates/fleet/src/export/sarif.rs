//! Findings as SARIF 2.1.0, for programs that show the results of checks.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use venom_protocol::{FindingStatus, FindingView, Severity};

/// The schema that the document follows.
const SCHEMA: &str = "https://json.schemastore.org/sarif-2.1.0.json";

/// One run, with a rule for each check and a result for each finding.
#[must_use]
pub fn sarif(findings: &[FindingView]) -> Value {
    let mut rules: BTreeMap<&str, Vec<&FindingView>> = BTreeMap::new();
    for finding in findings {
        rules.entry(&finding.check_id).or_default().push(finding);
    }
    let places: BTreeMap<&str, usize> = rules.keys().enumerate().map(|(place, check)| (*check, place)).collect();
    let results: Vec<Value> = findings
        .iter()
        .map(|finding| result(finding, places.get(finding.check_id.as_str()).copied()))
        .collect();
    let rules: Vec<Value> = rules
        .into_iter()
        .map(|(check, findings)| rule(check, &findings))
        .collect();
    json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "Venom",
                "version": env!("CARGO_PKG_VERSION"),
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": rules,
            }},
            "results": results,
        }],
    })
}

/// The worst of its findings speaks for a check.
fn rule(check: &str, findings: &[&FindingView]) -> Value {
    let mut rule = json!({"id": check});
    let Some((worst, map)) = findings
        .iter()
        .max_by_key(|finding| finding.severity)
        .zip(rule.as_object_mut())
    else {
        return rule;
    };
    // a message that is there is not empty
    put_text(map, "shortDescription", &worst.title);
    put_text(map, "help", &worst.remediation);
    map.insert(
        "defaultConfiguration".to_owned(),
        json!({"level": level(worst.severity)}),
    );
    let mut tags = vec!["security"];
    tags.extend(Some(worst.module.as_str()).filter(|module| !module.is_empty() && *module != "security"));
    let properties = json!({"security-severity": score(worst.severity), "tags": tags});
    map.insert("properties".to_owned(), properties);
    rule
}

fn put_text(map: &mut Map<String, Value>, name: &str, text: &str) {
    if !text.trim().is_empty() {
        map.insert(name.to_owned(), json!({"text": text}));
    }
}

fn result(finding: &FindingView, rule: Option<usize>) -> Value {
    let place = place(finding);
    let full = format!(
        "{}/{}/{}",
        finding.site_name,
        finding.network,
        place.as_deref().unwrap_or("-")
    );
    let mut result = json!({
        "ruleId": finding.check_id,
        "kind": "fail",
        "level": level(finding.severity),
        "message": {"text": message(finding)},
        "locations": [{"logicalLocations": [{
            "name": place.as_deref().unwrap_or(&finding.site_name),
            "fullyQualifiedName": full,
            "kind": "resource",
        }]}],
        "partialFingerprints": {"venomFinding/v1": finding.id},
        "properties": {
            "site_name": finding.site_name,
            "network": finding.network,
            "module": finding.module,
            "severity": finding.severity,
            "status": finding.status,
            "first_seen": finding.first_seen,
            "last_seen": finding.last_seen,
            "agent_id": finding.agent_id,
        },
    });
    let suppressed = match finding.status {
        FindingStatus::Open | FindingStatus::Fixed => None,
        FindingStatus::Accepted => Some("an operator accepted it"),
        FindingStatus::FalsePositive => Some("an operator says it is none"),
    };
    let Some(map) = result.as_object_mut() else {
        return result;
    };
    if let Some(rule) = rule {
        map.insert("ruleIndex".to_owned(), json!(rule));
    }
    if finding.status == FindingStatus::Fixed {
        map.insert("baselineState".to_owned(), json!("absent"));
    }
    if let Some(why) = suppressed {
        let why = finding.reason.as_deref().unwrap_or(why);
        let suppression = json!({"kind": "external", "status": "accepted", "justification": why});
        map.insert("suppressions".to_owned(), json!([suppression]));
    }
    result
}

fn message(finding: &FindingView) -> String {
    match (finding.title.trim(), finding.detail.trim()) {
        ("", "") => finding.check_id.clone(),
        (text, "") | ("", text) => text.to_owned(),
        (title, detail) => format!("{title}: {detail}"),
    }
}

/// `10.0.0.1:443`, `[fe80::1]:443`.
pub(super) fn place(finding: &FindingView) -> Option<String> {
    let ip = finding.target_ip.as_ref()?;
    Some(match finding.port {
        None => ip.clone(),
        Some(port) if ip.contains(':') => format!("[{ip}]:{port}"),
        Some(port) => format!("{ip}:{port}"),
    })
}

/// What SARIF calls it.
const fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Info | Severity::Low => "note",
        Severity::Medium => "warning",
        Severity::High | Severity::Critical => "error",
    }
}

/// A number from 0 to 10 as text, by which viewers sort: within the range that has this name in CVSS.
const fn score(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "0.0",
        Severity::Low => "2.0",
        Severity::Medium => "5.5",
        Severity::High => "8.0",
        Severity::Critical => "9.5",
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;

    #[test]
    fn the_format_stays_as_it_is() {
        insta::assert_json_snapshot!(sarif(&samples::findings()), {
            ".runs[].tool.driver.version" => "VERSION",
            ".runs[].tool.driver.semanticVersion" => "VERSION",
        });
    }

    /// The rules of SARIF 2.1.0 for what is used of it: sections 3.13 (sarifLog), 3.14 (run), 3.19 (toolComponent), 3.27 (result),
    /// 3.33 (logicalLocation), 3.35 (suppression), 3.49 (reportingDescriptor).
    fn check(log: &Value, count: usize) {
        assert_eq!(log["version"], "2.1.0");
        assert!(log["$schema"].as_str().unwrap().contains("sarif-2.1.0"));
        let runs = log["runs"].as_array().unwrap();
        assert_eq!(runs.len(), 1);
        let driver = &runs[0]["tool"]["driver"];
        assert!(!driver["name"].as_str().unwrap().is_empty());
        let rules = driver["rules"].as_array().unwrap();
        let mut ids: Vec<&str> = rules.iter().map(|rule| rule["id"].as_str().unwrap()).collect();
        for rule in rules {
            assert!(
                ["none", "note", "warning", "error"].contains(&rule["defaultConfiguration"]["level"].as_str().unwrap())
            );
            for text in ["shortDescription", "help"]
                .into_iter()
                .filter_map(|name| rule.get(name))
            {
                assert!(!text["text"].as_str().unwrap().is_empty());
            }
            let score: f64 = rule["properties"]["security-severity"]
                .as_str()
                .unwrap()
                .parse()
                .unwrap();
            assert!((0.0..=10.0).contains(&score));
            let tags = rule["properties"]["tags"].as_array().unwrap();
            assert!(
                tags.iter()
                    .all(|tag| tags.iter().filter(|other| *other == tag).count() == 1)
            );
        }
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), rules.len(), "each rule is there once");
        let results = runs[0]["results"].as_array().unwrap();
        assert_eq!(results.len(), count);
        for result in results {
            let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
            assert_eq!(rules[index]["id"], result["ruleId"]);
            assert_eq!(result["kind"], "fail", "with any other kind the level is `none`");
            assert!(["note", "warning", "error"].contains(&result["level"].as_str().unwrap()));
            assert!(!result["message"]["text"].as_str().unwrap().is_empty());
            for location in result["locations"].as_array().unwrap() {
                let place = &location["logicalLocations"][0];
                assert!(!place["name"].as_str().unwrap().is_empty());
                assert!(!place["fullyQualifiedName"].as_str().unwrap().is_empty());
            }
            if let Some(state) = result.get("baselineState") {
                assert!(["new", "unchanged", "updated", "absent"].contains(&state.as_str().unwrap()));
            }
            for suppression in result
                .get("suppressions")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
            {
                assert!(["inSource", "external"].contains(&suppression["kind"].as_str().unwrap()));
                assert!(["accepted", "underReview", "rejected"].contains(&suppression["status"].as_str().unwrap()));
            }
            assert!(
                result["partialFingerprints"]
                    .as_object()
                    .unwrap()
                    .values()
                    .all(Value::is_string)
            );
        }
    }

    #[test]
    fn it_follows_the_rules_of_sarif() {
        check(&sarif(&[]), 0);
        let mut findings = samples::findings();
        check(&sarif(&findings), findings.len());
        // as little as can be known
        for finding in &mut findings {
            (finding.title, finding.detail, finding.remediation) = (String::new(), "\n".into(), String::new());
            (finding.module, finding.target_ip, finding.port) = ("security".into(), None, Some(1));
        }
        check(&sarif(&findings), findings.len());
    }
}
