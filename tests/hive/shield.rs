//! ShieldSkill, the real component on a real spore, against real servers on loopback: each at an address of its own, so
//! that well-known ports are free.

mod servers;

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use venom_protocol::{Severity, ShieldReport};
use venom_tests::{Answer, Client, Node, SkillName, TestHive};

use servers::{Certificates, Process, Tcp, tls_server};

/// A hive with one spore that runs ShieldSkill.
struct Watch {
    _hive: TestHive,
    node: Node,
    client: Client,
}

/// All of loopback, handshakes, and connections enough.
const GRANTS: &str = "[skills.ShieldSkill]
net = [{ to = '127.0.0.0/8', ports = ['*'] }, { to = '::1', ports = ['*'] }]
lan = ['tls', 'https']
budgets = { connections = 500 }
";

impl Watch {
    async fn new() -> Result<Self> {
        Self::granted(GRANTS).await
    }

    async fn granted(policy: &str) -> Result<Self> {
        let hive = TestHive::start().await?;
        let node = hive.node()?.skill(SkillName::Shield).grant(|_| policy.to_owned());
        let node = node.start().await?;
        let client = hive.client()?;
        Ok(Self {
            _hive: hive,
            node,
            client,
        })
    }

    async fn call(&self, parameters: Value) -> Result<Answer> {
        self.client.call(self.node.id, "ShieldSkill.check", parameters).await
    }

    /// The reports as the fleet reads them; they must be nothing else.
    async fn reports(&self, parameters: Value) -> Result<Vec<ShieldReport>> {
        let answer = self.call(parameters).await?;
        ensure!(answer.success, "{}", answer.why());
        let names: Vec<_> = answer.result.as_object().context("no object")?.keys().collect();
        ensure!(names == ["reports"], "{names:?}");
        Ok(serde_json::from_value(answer.result["reports"].clone())?)
    }

    async fn report(&self, ip: &str, ports: &[u16], hostname: Option<&str>) -> Result<ShieldReport> {
        let mut target = json!({"ip": ip, "ports": ports});
        if let Some(hostname) = hostname {
            target["hostname"] = hostname.into();
        }
        let mut reports = self.reports(json!({"targets": [target]})).await?;
        ensure!(reports.len() == 1, "{reports:?}");
        let report = reports.remove(0);
        ensure!(report.completed_at.is_some() && report.target == ip, "{report:?}");
        Ok(report)
    }
}

fn ids(report: &ShieldReport) -> Vec<&str> {
    report.findings.iter().filter_map(|it| it.check_id.as_deref()).collect()
}

fn ran(report: &ShieldReport, check: &str, ip: &str, port: u16) -> bool {
    let ip = if ip.contains(':') {
        format!("[{ip}]")
    } else {
        ip.to_owned()
    };
    let name = format!("{check}@{ip}:{port}");
    report.checks_run.as_ref().is_some_and(|run| run.contains(&name))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_current_sshd_is_well_and_an_old_fashioned_one_is_not() -> Result<()> {
    let watch = Watch::new().await?;
    let current = Process::sshd("").await?;
    let report = watch.report("127.0.0.1", &[current.port], None).await?;
    // what Debian keeps alive may be older than what its makers do
    let findings: Vec<_> = ids(&report)
        .into_iter()
        .filter(|id| *id != "versions.end-of-life")
        .collect();
    assert!(findings.is_empty(), "{findings:?}");
    assert!(ran(&report, "ssh.terrapin", "127.0.0.1", current.port));
    let old = Process::sshd(
        "KexAlgorithms diffie-hellman-group1-sha1,diffie-hellman-group14-sha1\nHostKeyAlgorithms ssh-rsa\n\
         Ciphers 3des-cbc,aes128-cbc\nMACs hmac-md5,hmac-sha1-96\n",
    )
    .await?;
    let report = watch.report("127.0.0.1", &[old.port], None).await?;
    for expected in [
        "ssh.weak-kex",
        "ssh.weak-host-key",
        "ssh.weak-cipher",
        "ssh.weak-mac",
        "ssh.no-etm",
    ] {
        let finding = report
            .findings
            .iter()
            .find(|it| it.check_id.as_deref() == Some(expected));
        let finding = finding.with_context(|| format!("{expected}: {:?}", ids(&report)))?;
        assert_eq!((finding.module.as_str(), finding.port), ("ssh", Some(old.port)));
        assert!(!finding.remediation.is_empty() && finding.target_ip.as_deref() == Some("127.0.0.1"));
    }
    // nobody tried to log in
    for log in [current.log()?, old.log()?] {
        assert!(
            !log.contains("Invalid user") && !log.contains("Failed") && !log.contains("Accepted"),
            "{log}"
        );
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_of_a_server_of_today() -> Result<()> {
    let watch = Watch::new().await?;
    let certificates = Certificates::new()?;
    let expired = tls_server(certificates.expired()?).await?;
    let own = tls_server(certificates.self_signed()?).await?;
    let good = tls_server(certificates.good()?).await?;
    let ports = [expired.port, own.port, good.port];
    let report = watch.report("127.0.0.1", &ports, Some("server.example")).await?;
    let found = |port: u16| -> Vec<&str> {
        let own = report.findings.iter().filter(|it| it.port == Some(port));
        own.filter_map(|it| it.check_id.as_deref()).collect()
    };
    assert_eq!(found(expired.port), ["tls.expired"]);
    assert_eq!(
        found(own.port),
        ["tls.self-signed", "tls.name-mismatch", "tls.long-lived"]
    );
    assert_eq!(found(good.port), [""; 0]);
    for port in ports {
        for check in [
            "tls.expired",
            "tls.name-mismatch",
            "tls.ssl3",
            "tls.tls10",
            "tls.cipher-rc4",
        ] {
            assert!(ran(&report, check, "127.0.0.1", port), "{check} {port}");
        }
        // it hangs up before it answers by HTTP
        assert!(!ran(&report, "http.no-hsts", "127.0.0.1", port));
    }
    let shown = report
        .certificates
        .iter()
        .find(|it| it.port == Some(good.port))
        .context("no certificate")?;
    assert_eq!(shown.names, ["server.example"]);
    assert_eq!(
        (shown.key.as_deref(), shown.self_signed),
        (Some("ec p256"), Some(false))
    );
    // by another name, and by none
    let other = watch.report("127.0.0.1", &[good.port], Some("other.example")).await?;
    assert_eq!(ids(&other), ["tls.name-mismatch"]);
    let nameless = watch.report("127.0.0.1", &[good.port], None).await?;
    assert!(ids(&nameless).is_empty() && !ran(&nameless, "tls.name-mismatch", "127.0.0.1", good.port));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_and_suites_of_a_server_of_yesterday() -> Result<()> {
    let watch = Watch::new().await?;
    let old = Process::openssl(&["-cipher", "ALL:eNULL:aNULL:@SECLEVEL=0", "-no_tls1_2", "-no_tls1_3"]).await?;
    let report = watch.report("127.0.0.1", &[old.port], None).await?;
    let found = ids(&report);
    for expected in ["tls.tls11", "tls.no-tls12", "tls.cipher-null", "tls.cipher-anonymous"] {
        assert!(found.contains(&expected), "{expected}: {found:?}");
    }
    assert!(
        !found.contains(&"tls.ssl3") && !found.contains(&"tls.cipher-rc4"),
        "{found:?}"
    );
    // no handshake of today, so nobody saw the certificate
    assert!(!ran(&report, "tls.expired", "127.0.0.1", old.port) && report.certificates.is_empty());
    let both = Process::openssl(&["-cipher", "DEFAULT:@SECLEVEL=0"]).await?;
    let report = watch.report("127.0.0.1", &[both.port], None).await?;
    let found = ids(&report);
    for expected in ["tls.tls10", "tls.tls11", "tls.self-signed", "tls.weak-key"] {
        assert!(found.contains(&expected), "{expected}: {found:?}");
    }
    assert!(!found.contains(&"tls.no-tls12"), "{found:?}");
    assert_eq!(report.certificates[0].key.as_deref(), Some("rsa 1024"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_behind_a_certificate_that_nobody_signed() -> Result<()> {
    let watch = Watch::new().await?;
    let server = Process::openssl(&["-www", "-cipher", "DEFAULT:@SECLEVEL=0"]).await?;
    let report = watch.report("127.0.0.1", &[server.port], None).await?;
    let found = ids(&report);
    for expected in ["tls.self-signed", "http.no-csp", "http.no-content-type-options"] {
        assert!(found.contains(&expected), "{expected}: {found:?}");
    }
    assert!(ran(&report, "http.directory-listing", "127.0.0.1", server.port));
    // no browser keeps HSTS for an address
    assert!(!ran(&report, "http.no-hsts", "127.0.0.1", server.port) && !found.contains(&"http.no-hsts"));
    let named = watch.report("127.0.0.1", &[server.port], Some("old.example")).await?;
    assert!(ids(&named).contains(&"http.no-hsts"), "{:?}", ids(&named));
    // without the grant nobody asks, and nothing is claimed
    let without = Watch::granted(&GRANTS.replace(", 'https'", "")).await?;
    let answer = without
        .call(json!({"targets": [{"ip": "127.0.0.1", "ports": [server.port]}]}))
        .await?;
    let report: ShieldReport = serde_json::from_value(answer.result["reports"][0].clone())?;
    assert!(ids(&report).contains(&"tls.self-signed") && !ids(&report).contains(&"http.no-csp"));
    assert!(!ran(&report, "http.no-csp", "127.0.0.1", server.port));
    let notes = answer.result["reports"][0]["notes"].to_string().replace('\\', "");
    assert!(notes.contains("lan = [\"https\"]"), "{notes}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plain_web_server_and_a_directory() -> Result<()> {
    let watch = Watch::new().await?;
    let web = Process::python_web().await?;
    let report = watch.report("127.0.0.1", &[web.port], None).await?;
    let found = ids(&report);
    for expected in [
        "http.plain",
        "http.no-csp",
        "http.directory-listing",
        "http.version-disclosed",
    ] {
        assert!(found.contains(&expected), "{expected}: {found:?}");
    }
    assert!(ran(&report, "tls.ssl3", "127.0.0.1", web.port));
    let log = web.log()?;
    let asked: Vec<&str> = log.lines().filter(|line| line.contains("HTTP/1.1\"")).collect();
    assert!(
        !asked.is_empty() && asked.iter().all(|line| line.contains("\"GET / HTTP/1.1\"")),
        "{log}"
    );
    // it redirects, and has nothing else to say
    let polite = Tcp::answering(
        "127.0.0.1:0",
        b"HTTP/1.1 308 Permanent Redirect\r\nLocation: https://a.example/\r\nContent-Length: 0\r\n\r\n",
    )
    .await?;
    assert!(ids(&watch.report("127.0.0.1", &[polite.port], None).await?).is_empty());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_with_and_without_a_password() -> Result<()> {
    let watch = Watch::new().await?;
    let _open = Process::redis("127.95.0.1", &["--protected-mode", "no"]).await?;
    let _closed = Process::redis("127.95.0.2", &["--requirepass", "a-password"]).await?;
    let report = watch.report("127.95.0.1", &[6379], None).await?;
    assert!(ids(&report).contains(&"exposure.redis-open"), "{:?}", ids(&report));
    assert_eq!(report.findings[0].severity, Severity::Critical);
    assert!(ran(&report, "versions.end-of-life", "127.95.0.1", 6379));
    let report = watch.report("127.95.0.2", &[6379], None).await?;
    assert_eq!(ids(&report), ["exposure.database"]);
    assert!(ran(&report, "exposure.redis-open", "127.95.0.2", 6379));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_printer_is_not_sent_a_byte() -> Result<()> {
    let watch = Watch::new().await?;
    let printer = Tcp::listening("127.95.1.1:9100").await?;
    let report = watch.report("127.95.1.1", &[9100], None).await?;
    assert_eq!(ids(&report), ["exposure.printer"]);
    assert_eq!(printer.heard(1).await?, [b""]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_gone_is_said_to_be_gone() -> Result<()> {
    let watch = Watch::new().await?;
    let port = Tcp::listening("127.0.0.1:0").await?.port;
    let report = watch.report("127.0.0.1", &[port], None).await?;
    assert!(
        report.findings.is_empty() && ran(&report, "tls.expired", "127.0.0.1", port),
        "{report:?}"
    );
    assert_eq!(
        report.modules_run,
        ["tls", "exposure", "http", "ssh", "dns", "versions"]
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_other_family_of_addresses() -> Result<()> {
    let watch = Watch::new().await?;
    let web = Tcp::answering("[::1]:0", b"HTTP/1.1 204 No Content\r\nServer: nginx/1.18.0\r\n\r\n").await?;
    let report = watch.report("::1", &[web.port], None).await?;
    let expected = [
        "http.plain",
        "http.no-content-type-options",
        "http.version-disclosed",
        "versions.end-of-life",
    ];
    assert_eq!(ids(&report), expected);
    assert!(ran(&report, "http.plain", "::1", web.port));
    Ok(())
}

/// Servers that never speak, never stop, say garbage or hang up; all at one time.
#[tokio::test(flavor = "multi_thread")]
async fn hostile_servers_cost_bounded_time_and_claim_nothing() -> Result<()> {
    let watch = Watch::new().await?;
    let mut all = vec![
        Tcp::answering("127.0.0.1:0", b"").await?,
        Tcp::repeating("127.0.0.1:0", b"SSH-2.0-", Duration::ZERO).await?,
        Tcp::repeating("127.0.0.1:0", b"HTTP/1.1 200 OK\r\nX: y\r\n", Duration::ZERO).await?,
        Tcp::repeating("127.0.0.1:0", b"\x16\x03\x01\x40\x00", Duration::from_millis(10)).await?,
        Tcp::answering("127.0.0.1:0", b"SSH-2.0-x\r\n\xff\xff\xff\xff\x00\x14").await?,
        Tcp::answering("127.0.0.1:0", b"\x16\x03\x03\x00\x04\x02\xff\xff\xff").await?,
    ];
    for _ in 0..18 {
        all.push(Tcp::listening("127.0.0.1:0").await?);
    }
    let ports: Vec<u16> = all.iter().map(|server| server.port).collect();
    let target = json!({"ip": "127.0.0.1", "ports": ports});
    let began = Instant::now();
    let ask = json!({"targets": [target], "timeout_ms": 500, "concurrency": 24, "rate": 1000});
    let reports = watch.reports(ask).await?;
    // a silent port takes three conversations of half a second; one after the other the eighteen would take 27 seconds
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
    assert!(reports[0].completed_at.is_some());
    for server in all.iter().skip(6) {
        let some = reports[0]
            .checks_run
            .iter()
            .flatten()
            .any(|it| it.ends_with(&format!(":{}", server.port)));
        assert!(!some, "a silent port is not known to be well");
    }
    let again = watch.report("127.0.0.1", &[all[0].port], None).await?;
    assert!(again.findings.is_empty());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_there_was_no_time_for_is_cut_off() -> Result<()> {
    let watch = Watch::granted(&GRANTS.replace("connections = 500", "connections = 500, wall = '3s'")).await?;
    let (silent, sshd) = (Tcp::listening("127.0.0.1:0").await?, Process::sshd("").await?);
    let targets = json!([{"ip": "127.0.0.1", "ports": [sshd.port]}, {"ip": "127.0.0.1", "ports": [silent.port]}]);
    let reports = watch.reports(json!({"targets": targets, "timeout_ms": 30_000})).await?;
    assert!(reports[0].completed_at.is_some() && reports[0].modules_run.contains(&"ssh".to_owned()));
    assert!(
        reports[1].completed_at.is_none() && reports[1].modules_run.is_empty(),
        "{:?}",
        reports[1]
    );
    assert_eq!(reports[1].checks_run.as_deref(), Some(&[][..]));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_outside_the_grants_names_the_entry() -> Result<()> {
    let web = Tcp::answering("127.0.0.1:0", b"HTTP/1.1 204 No Content\r\n\r\n").await?;
    let port = web.port;
    let near = format!("[skills.ShieldSkill]\nnet = [{{ to = '127.0.0.1/32', ports = ['{port}'] }}]\n");
    let watch = Watch::granted(&near).await?;
    watch.report("127.0.0.1", &[port], None).await?;
    for (ip, port) in [("127.0.0.2", port), ("127.0.0.1", 22), ("192.0.2.1", 443)] {
        let answer = watch.call(json!({"targets": [{"ip": ip, "ports": [port]}]})).await?;
        assert!(!answer.success);
        let why = answer.why();
        for word in ["[[skills.ShieldSkill.net]]", ip, &port.to_string()] {
            assert!(why.contains(word), "`{why}` does not name {word}");
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn handshakes_and_connections_are_grants_of_their_own() -> Result<()> {
    let server = tls_server(Certificates::new()?.good()?).await?;
    let without = GRANTS.replace("lan = ['tls', 'https']\n", "");
    let watch = Watch::granted(&without).await?;
    let target = json!([{"ip": "127.0.0.1", "ports": [server.port]}]);
    let refused = watch.call(json!({"targets": target})).await?;
    assert!(!refused.success && refused.why().contains("lan"), "{}", refused.why());
    watch
        .reports(json!({"targets": target, "modules": ["http", "ssh"]}))
        .await?;
    let few = Watch::granted(&GRANTS.replace("connections = 500", "connections = 3")).await?;
    let refused = few.call(json!({"targets": target})).await?;
    assert!(
        !refused.success && refused.why().contains("connections = 6"),
        "{}",
        refused.why()
    );
    Ok(())
}
