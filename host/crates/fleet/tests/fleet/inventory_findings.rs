//! Findings and certificates, and what becomes of them.

use serde_json::{Value, json};
use venom_fleet::{CertificateQuery, FindingQuery, Fleet, FleetError};
use venom_protocol::{ChangeKind, FindingStatus, FindingUpdate, FindingView, Severity};

use crate::admitted::{admitted, kinds};
use crate::base::{Base, at};
use crate::seen::{changes, find, findings, see};

on_both!(
    a_finding_is_opened_fixed_and_reopened_once,
    a_finding_is_fixed_only_when_its_check_ran_there,
    checks_that_ran_say_exactly_what_is_fixed,
    a_finding_that_is_nowhere_in_particular_is_fixed_by_its_target,
    an_accepted_finding_stays_accepted,
    an_operator_says_and_takes_back,
    a_late_report_turns_nothing_back,
    findings_are_told_and_many_as_one,
    a_report_is_where_the_discovery_was,
    a_certificate_changes_once,
);

fn expired(ip: &str, port: u16) -> Value {
    json!({"module": "tls", "check_id": "tls.expired", "severity": "high", "title": "Expired", "target_ip": ip, "port": port})
}

async fn statuses(fleet: &Fleet) -> Vec<FindingStatus> {
    findings(fleet)
        .await
        .into_iter()
        .map(|finding| finding.status)
        .collect()
}

async fn a_finding_is_opened_fixed_and_reopened_once(base: &Base) {
    let fleet = base.open().await;
    let agent = admitted(&fleet, "a", "Berlin").await;
    let found = json!([expired("192.168.1.5", 443)]);
    for (seconds, found, told) in [
        (0, found.clone(), Some("FINDING_OPENED")),
        (1, found.clone(), None),
        (2, json!([]), Some("FINDING_FIXED")),
        (3, json!([]), None),
        (4, found.clone(), Some("FINDING_REOPENED")),
        (5, found, None),
    ] {
        let outcome = find(&fleet, &agent, seconds, found, json!({})).await;
        let events = kinds(&outcome.events);
        assert_eq!(events.get(1).copied(), told, "{seconds}");
        if told.is_some() {
            assert_eq!(
                outcome.events[1].data["scan_id"].as_str(),
                Some(outcome.answer.scan_id.as_str())
            );
        }
    }
    let finding = findings(&fleet).await.remove(0);
    assert_eq!(
        (finding.status, finding.severity),
        (FindingStatus::Open, Severity::High)
    );
    assert_eq!(
        (finding.first_seen, finding.last_seen, finding.changed_at),
        (at(0), at(5), at(4))
    );
    assert_eq!((finding.changed_by.as_str(), finding.port), ("a", Some(443)));
    assert_eq!(findings(&fleet).await.len(), 1);
}

async fn a_finding_is_fixed_only_when_its_check_ran_there(base: &Base) {
    let fleet = base.open().await;
    let agent = admitted(&fleet, "a", "Berlin").await;
    let other_site = admitted(&fleet, "b", "Paris").await;
    find(&fleet, &agent, 0, json!([expired("192.168.1.5", 443)]), json!({})).await;
    for more in [
        json!({"modules_run": ["http"]}),
        json!({"modules_run": []}),
        json!({"completed_at": null}),
        json!({"target": "192.168.1.0/30"}),
        json!({"target": "192.168.2.0/24"}),
        json!({"target": "printer"}),
        json!({"network_fingerprint": {"fingerprint_hash": "other"}}),
        json!({"checks_run": []}),
        json!({"checks_run": ["tls.expired@192.168.1.6:443", "tls.weak@192.168.1.5:443", "tls.expired@192.168.1.5:8443", "rubbish", "@", "x@y:z"]}),
    ] {
        let told = find(&fleet, &agent, 1, json!([]), more.clone()).await;
        assert_eq!(kinds(&told.events), ["SCAN_INGESTED"], "{more}");
        assert_eq!(statuses(&fleet).await, [FindingStatus::Open], "{more}");
    }
    find(&fleet, &other_site, 2, json!([]), json!({})).await;
    assert_eq!(statuses(&fleet).await, [FindingStatus::Open]);
    find(&fleet, &agent, 3, json!([]), json!({"target": "192.168.1.5"})).await;
    assert_eq!(statuses(&fleet).await, [FindingStatus::Fixed]);
}

async fn checks_that_ran_say_exactly_what_is_fixed(base: &Base) {
    let fleet = base.open().await;
    let agent = admitted(&fleet, "a", "Berlin").await;
    let found = json!([
        expired("192.168.1.5", 443),
        expired("192.168.1.5", 8443),
        expired("192.168.1.6", 443),
        expired("fe80::1", 443)
    ]);
    let open = |fleet: &Fleet| {
        let fleet = fleet.clone();
        async move {
            let ask = FindingQuery {
                status: Some(FindingStatus::Open),
                ..FindingQuery::default()
            };
            fleet.findings(ask).await.unwrap().total
        }
    };
    find(&fleet, &agent, 0, found, json!({})).await;
    for (seconds, check, left) in [
        (1, "tls.expired@192.168.1.5:443", 3),
        (2, "tls.expired@[fe80::1]:443", 2),
        // on all ports
        (3, "tls.expired@192.168.1.5", 1),
        (4, "tls.expired@::ffff:192.168.1.6", 0),
    ] {
        let more = json!({"checks_run": [check], "target": "10.0.0.0/24", "started_at": at(seconds)});
        find(&fleet, &agent, seconds, json!([]), more).await;
        assert_eq!(open(&fleet).await, left, "{check}");
    }
}

async fn a_finding_that_is_nowhere_in_particular_is_fixed_by_its_target(base: &Base) {
    let fleet = base.open().await;
    let agent = admitted(&fleet, "a", "Berlin").await;
    let found = json!([{"module": "tls", "severity": "nonsense", "title": "Odd"}, {"module": "tls", "severity": "low", "title": "Named", "target_ip": "Printer"}]);
    find(&fleet, &agent, 0, found, json!({})).await;
    let found = findings(&fleet).await;
    assert_eq!(
        (found[1].severity, found[1].target_ip.as_deref()),
        (Severity::Info, None)
    );
    assert_eq!(
        (found[1].check_id.as_str(), found[0].target_ip.as_deref()),
        ("tls: Odd", Some("printer"))
    );
    find(&fleet, &agent, 1, json!([]), json!({"target": "192.168.2.0/24"})).await;
    assert_eq!(statuses(&fleet).await, [FindingStatus::Open; 2]);
    find(&fleet, &agent, 2, json!([]), json!({"target": "192.168.1.0/24"})).await;
    assert_eq!(statuses(&fleet).await, [FindingStatus::Fixed; 2]);
    // of one address, that is where
    find(
        &fleet,
        &agent,
        3,
        json!([{"module": "m", "severity": "critical", "title": "t"}]),
        json!({"target": "192.168.1.8"}),
    )
    .await;
    assert_eq!(findings(&fleet).await[0].target_ip.as_deref(), Some("192.168.1.8"));
}

fn says(status: FindingStatus, reason: &str) -> FindingUpdate {
    FindingUpdate {
        status,
        reason: reason.to_owned(),
    }
}

async fn an_accepted_finding_stays_accepted(base: &Base) {
    let fleet = base.open().await;
    let agent = admitted(&fleet, "a", "Berlin").await;
    for (start, status) in [(0, FindingStatus::Accepted), (10, FindingStatus::FalsePositive)] {
        let found = json!([expired(&format!("192.168.1.{start}"), 443)]);
        let only = || async {
            let all = findings(&fleet).await;
            let ip = format!("192.168.1.{start}");
            all.into_iter()
                .find(|finding| finding.target_ip.as_deref() == Some(&ip))
                .unwrap()
        };
        find(&fleet, &agent, start, found.clone(), json!({})).await;
        let accepted = fleet
            .update_finding(&only().await.id, says(status, "known"), "alice", at(start + 1))
            .await;
        let accepted = accepted.unwrap().answer;
        // found, not found, found again
        for (seconds, found) in [(2, found.clone()), (3, json!([])), (4, found)] {
            let told = find(&fleet, &agent, start + seconds, found, json!({})).await;
            assert_eq!(kinds(&told.events), ["SCAN_INGESTED"]);
            let last_seen = only().await.last_seen;
            let expected = FindingView {
                last_seen,
                ..accepted.clone()
            };
            assert_eq!(only().await, expected);
        }
        assert_eq!(only().await.last_seen, at(start + 4));
    }
}

async fn an_operator_says_and_takes_back(base: &Base) {
    let fleet = base.open().await;
    let agent = admitted(&fleet, "a", "Berlin").await;
    find(&fleet, &agent, 0, json!([expired("192.168.1.5", 443)]), json!({})).await;
    let id = findings(&fleet).await.remove(0).id;
    for (seconds, status, told) in [
        (1, FindingStatus::Accepted, vec!["FINDING_ACCEPTED"]),
        (2, FindingStatus::Accepted, vec![]),
        (3, FindingStatus::FalsePositive, vec!["FINDING_FALSE_POSITIVE"]),
        (4, FindingStatus::Open, vec!["FINDING_REOPENED"]),
        (5, FindingStatus::Open, vec![]),
    ] {
        let said = fleet
            .update_finding(&id, says(status, "be\u{1b}cause"), "alice", at(seconds))
            .await
            .unwrap();
        assert_eq!(kinds(&said.events), told);
        assert_eq!(
            (said.answer.status, said.answer.reason.as_deref()),
            (status, Some("because"))
        );
        assert_eq!(findings(&fleet).await, [said.answer]);
    }
    let fixed = fleet
        .update_finding(&id, says(FindingStatus::Fixed, ""), "alice", at(6))
        .await;
    assert!(matches!(fixed, Err(FleetError::Invalid(why)) if why.contains("`status`")));
    let long = fleet
        .update_finding(&id, says(FindingStatus::Accepted, &"x".repeat(1_001)), "alice", at(6))
        .await;
    assert!(matches!(long, Err(FleetError::Invalid(why)) if why.contains("`reason`")));
    fleet
        .update_finding(&id, says(FindingStatus::Accepted, &"x".repeat(1_000)), "alice", at(6))
        .await
        .unwrap();
    for nobody in ["no-such", "\0", ""] {
        let unknown = fleet
            .update_finding(nobody, says(FindingStatus::Accepted, ""), "alice", at(6))
            .await;
        assert!(matches!(unknown, Err(FleetError::Unknown(_))));
    }
}

async fn a_late_report_turns_nothing_back(base: &Base) {
    let fleet = base.open().await;
    let agent = admitted(&fleet, "a", "Berlin").await;
    let found = json!([expired("192.168.1.5", 443)]);
    find(&fleet, &agent, 0, found.clone(), json!({})).await;
    find(&fleet, &agent, 1_000, json!([]), json!({})).await;
    // it was found before it was fixed
    let told = find(&fleet, &agent, 2_000, found.clone(), json!({"started_at": at(500)})).await;
    assert_eq!(kinds(&told.events), ["SCAN_INGESTED"]);
    assert_eq!(statuses(&fleet).await, [FindingStatus::Fixed]);
    find(&fleet, &agent, 3_000, found, json!({})).await;
    // and it was fixed before it was found again
    let told = find(&fleet, &agent, 4_000, json!([]), json!({"started_at": at(2_500)})).await;
    assert_eq!(kinds(&told.events), ["SCAN_INGESTED"]);
    assert_eq!(statuses(&fleet).await, [FindingStatus::Open]);
}

async fn findings_are_told_and_many_as_one(base: &Base) {
    let fleet = base.open().await;
    let agent = admitted(&fleet, "a", "Berlin").await;
    let many: Vec<Value> = (1..=26)
        .map(|last| expired(&format!("192.168.1.{last}"), 443))
        .collect();
    let told = find(&fleet, &agent, 0, json!(many[..25]), json!({})).await;
    assert_eq!(told.events.len(), 26);
    let data = &told.events[1].data;
    for (name, expected) in [
        ("site_name", "Berlin"),
        ("network", "home"),
        ("agent_id", "a"),
        ("severity", "high"),
        ("status", "open"),
    ] {
        assert_eq!(data[name].as_str(), Some(expected));
    }
    let told = find(&fleet, &agent, 1, json!(many[25..]), json!({})).await;
    assert_eq!(kinds(&told.events), ["SCAN_INGESTED", "FINDINGS_CHANGED"]);
    assert_eq!(
        told.events[1].data["counts"],
        json!({"FINDING_FIXED": 25, "FINDING_OPENED": 1})
    );
}

async fn a_report_is_where_the_discovery_was(base: &Base) {
    let fleet = base.open().await;
    let agent = admitted(&fleet, "a", "Berlin").await;
    see(&fleet, &agent, 0, json!([{"ip": "192.168.1.5"}]), json!({})).await;
    // older agents say no network with it
    let found = json!([expired("192.168.1.5", 443), expired("192.168.1.5", 8443)]);
    find(
        &fleet,
        &agent,
        1,
        found,
        json!({"network_fingerprint": null, "target": "192.168.1.5"}),
    )
    .await;
    assert_eq!(findings(&fleet).await[0].network, "home");
    let detail = fleet.asset_details("192.168.1.5", None, at(2)).await.unwrap().remove(0);
    assert_eq!(
        (detail.asset.open_findings, detail.findings.len(), detail.changes.len()),
        (2, 2, 1)
    );
    // what was not discovered is where its target is
    find(
        &fleet,
        &agent,
        2,
        json!([expired("10.0.0.1", 443)]),
        json!({"network_fingerprint": null, "target": "10.0.0.1"}),
    )
    .await;
    assert_eq!(
        findings(&fleet)
            .await
            .iter()
            .filter(|finding| finding.network == "target:10.0.0.1/32")
            .count(),
        1
    );
}

async fn a_certificate_changes_once(base: &Base) {
    const DAY: i64 = 86_400;
    let fleet = base.open().await;
    let agent = admitted(&fleet, "a", "Berlin").await;
    see(&fleet, &agent, 0, json!([{"ip": "192.168.1.5"}]), json!({})).await;
    let shown = |print: &str, days: i64| {
        let one = json!({"host": "192.168.1.5", "port": 443, "fingerprint": print, "cn": format!("cn={days}"), "valid_to": at(days * DAY)});
        // and one where nothing was discovered
        json!({"certificates": [one, {"ip": "192.168.1.9", "port": 443, "fingerprint": print}], "modules_run": []})
    };
    for (seconds, shown) in [
        (0, shown("aa", 10)),
        (1, shown("AA", 10)),
        (2, shown("bb", 90)),
        (3, shown("bb", 90)),
    ] {
        let told = find(&fleet, &agent, seconds, json!([]), shown).await;
        assert_eq!(told.events.len(), if seconds == 2 { 2 } else { 1 });
    }
    let change = changes(&fleet).await.pop().unwrap();
    assert_eq!(
        (change.kind, change.ip.as_str()),
        (ChangeKind::CertificateChanged, "192.168.1.5")
    );
    assert!(change.before.unwrap().starts_with("443: cn=10, until 2026-03-11"));
    assert!(change.after.unwrap().starts_with("443: cn=90, until 2026-05-30"));
    let all = fleet
        .certificates(CertificateQuery::default(), at(DAY / 2))
        .await
        .unwrap();
    assert_eq!(
        (all.total, all.items[0].days_left, all.items[1].days_left),
        (2, Some(89), None)
    );
    assert_eq!((all.items[0].first_seen, all.items[0].last_seen), (at(2), at(3)));
    let soon = |days: u64| CertificateQuery {
        expiring_within: Some(std::time::Duration::from_secs(days * 86_400)),
        ..CertificateQuery::default()
    };
    assert_eq!(fleet.certificates(soon(89), at(0)).await.unwrap().total, 0);
    assert_eq!(fleet.certificates(soon(90), at(0)).await.unwrap().total, 1);
    let ended = fleet.certificates(soon(0), at(90 * DAY + 3_600)).await.unwrap();
    assert_eq!((ended.total, ended.items[0].days_left), (1, Some(-1)));
}
