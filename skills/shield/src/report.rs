//! The body of `POST /api/ingest/shield`, one a target. Written here, read by the fleet.

use std::net::{IpAddr, SocketAddr};
use std::time::{SystemTime, UNIX_EPOCH};

use schemars::JsonSchema;
use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::check::{Check, Issue, Severity, Verdict};

/// What one look at the security of a target found.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Report {
    /// The target's address.
    pub target: String,
    /// When it began.
    pub started_at: Moment,
    /// When it ended; absent: it was cut off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<Moment>,
    /// Modules that ran to their end.
    pub modules_run: Vec<&'static str>,
    /// What they found, by port, then module.
    pub findings: Vec<Finding>,
    /// Certificates they saw, a server's own first.
    pub certificates: Vec<Certificate>,
    /// Checks that ran to their end, `check_id@ip:port`; an IPv6 address is in brackets.
    pub checks_run: Vec<String>,
    /// What could not be looked at, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Finding {
    /// Which module found it.
    pub module: &'static str,
    /// Stable name of the check.
    pub check_id: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// One line.
    pub title: &'static str,
    /// The evidence.
    pub detail: String,
    /// What to do.
    pub remediation: &'static str,
    /// Where.
    pub target_ip: String,
    /// On which port.
    pub port: u16,
}

/// A certificate that was seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Certificate {
    /// Where.
    pub ip: String,
    /// On which port.
    pub port: u16,
    /// 0: the server's own; the ones after it were sent with it.
    pub position: usize,
    /// SHA-256 of its DER, hex.
    pub fingerprint_sha256: String,
    /// Its subject.
    pub subject: String,
    /// Who signed it.
    pub issuer: String,
    /// Its number, hex.
    pub serial: String,
    /// Names in it.
    pub names: Vec<String>,
    /// From when it is good.
    pub not_before: Moment,
    /// Until when.
    pub not_after: Moment,
    /// `rsa 2048`, `ec p256`, `ed25519`.
    pub key: String,
    /// `sha256WithRSAEncryption`.
    pub signature_algorithm: String,
    /// Whether it names itself as its issuer.
    pub self_signed: bool,
}

/// Seconds since 1970, UTC. Written as RFC 3339.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(pub i64);

/// The last second that readers of RFC 3339 take in every zone: certificates "without end" say 9999-12-31T23:59:59Z.
const LAST: i64 = 253_402_207_200;

impl Moment {
    /// The wall clock of this machine.
    #[must_use]
    pub fn now() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(i64::try_from(since.as_secs()).unwrap_or(LAST))
    }

    /// Whole days from here to there, rounded towards zero.
    pub(crate) fn days_until(self, other: Self) -> i64 {
        other.0.saturating_sub(self.0) / 86_400
    }

    fn civil(self) -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp(self.0.clamp(-62_135_596_800, LAST)).unwrap_or(OffsetDateTime::UNIX_EPOCH)
    }

    /// `2026-01-31`.
    pub(crate) fn date(self) -> String {
        self.civil().date().to_string()
    }
}

impl Serialize for Moment {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = self.civil().format(&Rfc3339).map_err(serde::ser::Error::custom)?;
        serializer.serialize_str(&text)
    }
}

impl JsonSchema for Moment {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Moment".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "format": "date-time" })
    }
}

impl Certificate {
    /// About how many bytes it takes.
    pub(crate) fn size(&self) -> usize {
        let texts = [
            &self.ip,
            &self.fingerprint_sha256,
            &self.subject,
            &self.issuer,
            &self.serial,
            &self.key,
            &self.signature_algorithm,
        ];
        let all = texts.into_iter().chain(&self.names);
        size_of::<Self>() + all.map(|text| size_of::<String>() + text.len()).sum::<usize>()
    }
}

impl Report {
    pub(crate) fn new(ip: IpAddr, started_at: Moment) -> Self {
        Self {
            target: ip.to_string(),
            started_at,
            completed_at: None,
            modules_run: Vec::new(),
            findings: Vec::new(),
            certificates: Vec::new(),
            checks_run: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// Takes in what came of a module at a place.
    pub(crate) fn take(
        &mut self,
        module: &'static str,
        checks: &[&'static Check],
        place: SocketAddr,
        verdict: Verdict,
    ) {
        let (ip, port) = (place.ip(), place.port());
        let ended = checks.iter().filter(|check| !verdict.open.contains(check));
        self.checks_run
            .extend(ended.map(|check| format!("{}@{place}", check.id)));
        let finding = |Issue {
                           check,
                           severity,
                           detail,
                       }| Finding {
            module,
            check_id: check.id,
            severity,
            title: check.title,
            detail,
            remediation: check.remediation,
            target_ip: ip.to_string(),
            port,
        };
        self.findings.extend(verdict.issues.into_iter().map(finding));
    }
}

#[cfg(test)]
mod tests {
    use venom_protocol::ShieldReport;

    use super::*;

    static CHECKS: [Check; 2] = [
        Check {
            id: "tls.a",
            severity: Severity::High,
            title: "A",
            remediation: "Mend a.",
        },
        Check {
            id: "tls.b",
            severity: Severity::Low,
            title: "B",
            remediation: "Mend b.",
        },
    ];

    #[test]
    fn the_fleet_reads_what_is_written() {
        let place: SocketAddr = "[2001:db8::1]:443".parse().unwrap();
        let mut report = Report::new(place.ip(), Moment(1_767_323_045));
        let mut verdict = Verdict::default();
        verdict.add(&CHECKS[0], "because");
        verdict.open.push(&CHECKS[1]);
        report.take("tls", &CHECKS.iter().collect::<Vec<_>>(), place, verdict);
        report.modules_run.push("tls");
        report.completed_at = Some(Moment(1_767_323_046));
        report.certificates.push(Certificate {
            ip: "2001:db8::1".to_owned(),
            port: 443,
            position: 0,
            fingerprint_sha256: "ab".to_owned(),
            subject: "CN=a".to_owned(),
            issuer: "CN=b".to_owned(),
            serial: "01".to_owned(),
            names: vec!["a.example".to_owned()],
            not_before: Moment(0),
            not_after: Moment(i64::MAX),
            key: "ec p256".to_owned(),
            signature_algorithm: "ecdsa-with-SHA256".to_owned(),
            self_signed: false,
        });
        let read: ShieldReport = serde_json::from_value(serde_json::to_value(&report).unwrap()).unwrap();
        assert_eq!(read.started_at.to_string(), "2026-01-02T03:04:05.000000+00:00");
        assert_eq!(read.checks_run.unwrap(), ["tls.a@[2001:db8::1]:443"]);
        let finding = &read.findings[0];
        assert_eq!((finding.check_id.as_deref(), finding.port), (Some("tls.a"), Some(443)));
        assert_eq!(
            (finding.severity.as_str(), finding.target_ip.as_deref()),
            ("high", Some("2001:db8::1"))
        );
        assert!(finding.extra.is_empty(), "{:?}", finding.extra);
        let certificate = &read.certificates[0];
        assert_eq!((certificate.port, certificate.self_signed), (Some(443), Some(false)));
        assert_eq!(
            certificate.not_after.unwrap().to_string(),
            "9999-12-30T22:00:00.000000+00:00"
        );
        assert_eq!(certificate.extra.keys().collect::<Vec<_>>(), ["position"]);
    }

    #[test]
    fn days_are_whole() {
        assert_eq!(Moment(0).days_until(Moment(86_400 * 7 + 5)), 7);
        assert_eq!(Moment(86_400).days_until(Moment(0)), -1);
        assert_eq!(Moment(86_399).date(), "1970-01-01");
    }
}
