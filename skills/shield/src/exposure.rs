//! Module `exposure`: services that others should not be able to reach. At most one harmless line is said, and only
//! where the protocol has one that changes nothing; nobody logs in anywhere. Printers are connected to and never sent a
//! byte, as they would print it.

use std::ops::RangeInclusive;

use crate::check::{Check, Look, Severity, Verdict, evidence};
use crate::http;
use crate::line::Trouble;
use crate::visit::Visit;

use Severity::{Critical, High, Info, Low, Medium};

const fn check(id: &'static str, severity: Severity, title: &'static str, remediation: &'static str) -> Check {
    Check {
        id,
        severity,
        title,
        remediation,
    }
}

const KEEP_IN: &str = "Let the service listen on the addresses of those who need it only, and close its port in the firewall for everybody else.";

static TELNET: Check = check(
    "exposure.telnet",
    High,
    "Telnet is reachable",
    "Switch telnet off and use SSH: passwords travel readable.",
);
static FTP: Check = check(
    "exposure.ftp",
    Medium,
    "FTP is reachable",
    "Use SFTP or HTTPS instead, or at least FTP over TLS: passwords and files travel readable.",
);
static REMOTE_SHELL: Check = check(
    "exposure.rlogin",
    High,
    "rexec, rlogin or rsh is reachable",
    "Switch it off and use SSH: it trusts addresses, and everything travels readable.",
);
static SMB: Check = check(
    "exposure.smb",
    Medium,
    "Windows file sharing (SMB) is reachable",
    "Keep ports 139 and 445 to the machines that share files; never open them towards the internet.",
);
static RPC: Check = check("exposure.rpc", Low, "RPC endpoints are reachable", KEEP_IN);
static NFS: Check = check(
    "exposure.nfs",
    Medium,
    "NFS is reachable",
    "Export to named hosts only, with `sec=krb5p` where you can, and close port 2049 for all others.",
);
static RDP: Check = check(
    "exposure.rdp",
    Medium,
    "Remote Desktop is reachable",
    "Put Remote Desktop behind a VPN or gateway, with network level authentication and a second factor.",
);
static VNC: Check = check(
    "exposure.vnc",
    Medium,
    "VNC is reachable",
    "Reach VNC through SSH or a VPN only: what it shows travels readable.",
);
static VNC_OPEN: Check = check(
    "exposure.vnc-open",
    Critical,
    "VNC asks for no password",
    "Set a password now, and reach VNC through SSH or a VPN only.",
);
static X11: Check = check(
    "exposure.x11",
    High,
    "An X11 display is reachable",
    "Start the X server with `-nolisten tcp`; use `ssh -X` to show windows from elsewhere.",
);
static ADB: Check = check(
    "exposure.adb",
    High,
    "The Android debug bridge is reachable",
    "Switch debugging over the network off: it gives a shell.",
);
static CONTROL: Check = check(
    "exposure.control",
    High,
    "An industrial controller is reachable",
    "Separate controllers from other machines by a network of their own: Modbus and S7 know no passwords.",
);
static RSYNC: Check = check(
    "exposure.rsync",
    Medium,
    "An rsync daemon is reachable",
    "Run rsync through SSH, or name `hosts allow` and `auth users` for each module.",
);
static MQTT: Check = check(
    "exposure.mqtt",
    Medium,
    "MQTT without encryption is reachable",
    "Offer MQTT by TLS (port 8883) with passwords or certificates, and close port 1883.",
);
static LDAP: Check = check(
    "exposure.ldap",
    Low,
    "LDAP without encryption is reachable",
    "Demand LDAPS or StartTLS, and signing: passwords travel readable otherwise.",
);
static DATABASE: Check = check("exposure.database", Medium, "A database is reachable", KEEP_IN);
static REDIS_OPEN: Check = check(
    "exposure.redis-open",
    Critical,
    "Redis asks for no password",
    "Set `requirepass` or ACL users, bind Redis to the addresses that need it, and leave `protected-mode` on.",
);
static MEMCACHED_OPEN: Check = check(
    "exposure.memcached-open",
    High,
    "Memcached answers anybody",
    "Bind memcached to 127.0.0.1 or to the addresses that need it (`-l`); it knows no passwords unless built with SASL.",
);
static ELASTIC_OPEN: Check = check(
    "exposure.elasticsearch-open",
    Critical,
    "Elasticsearch or OpenSearch asks for no password",
    "Switch its security features on (`xpack.security.enabled: true`), and bind it to the addresses that need it.",
);
static DOCKER_OPEN: Check = check(
    "exposure.docker-open",
    Critical,
    "The Docker API answers anybody",
    "Take `-H tcp://` off dockerd; use SSH contexts, or TLS with client certificates on port 2376: whoever reaches it is root.",
);
static ETCD: Check = check(
    "exposure.etcd",
    High,
    "etcd is reachable",
    "Demand client certificates (`--client-cert-auth`), and keep port 2379 to the control plane.",
);
static KUBELET: Check = check(
    "exposure.kubelet",
    High,
    "The kubelet's read-only port is reachable",
    "Set `readOnlyPort: 0` in the kubelet's configuration.",
);
static WINRM: Check = check(
    "exposure.winrm",
    Medium,
    "Windows remote management without encryption is reachable",
    "Use its HTTPS listener (port 5986), and keep it to the machines that administer.",
);
static PRINTER: Check = check(
    "exposure.printer",
    Info,
    "A printer takes jobs from anybody",
    "Keep ports 515 and 9100 to the print server, if there is one.",
);

/// What is said there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ask {
    /// Nothing: that it can be connected to is all there is to know.
    Nothing,
    /// Nothing, but it speaks first.
    Greeting,
    /// The same version back; it then names its ways to log in.
    Vnc,
    /// A line or request that changes nothing.
    Line(&'static str),
}

/// A service by the port it is known for.
struct Service {
    ports: RangeInclusive<u16>,
    reachable: Option<&'static Check>,
    /// It answers whoever asks.
    open: Option<&'static Check>,
    ask: Ask,
}

const fn quiet(ports: RangeInclusive<u16>, check: &'static Check) -> Service {
    Service {
        ports,
        reachable: Some(check),
        open: None,
        ask: Ask::Nothing,
    }
}

const fn greeting(port: u16, check: &'static Check) -> Service {
    Service {
        ports: port..=port,
        reachable: Some(check),
        open: None,
        ask: Ask::Greeting,
    }
}

const fn asked(
    ports: RangeInclusive<u16>,
    reachable: Option<&'static Check>,
    open: &'static Check,
    ask: Ask,
) -> Service {
    Service {
        ports,
        reachable,
        open: Some(open),
        ask,
    }
}

const DOCKER_PING: &str =
    "GET /_ping HTTP/1.1\r\nHost: shield\r\nUser-Agent: venom-shield\r\nConnection: close\r\n\r\n";
const ROOT: &str = "GET / HTTP/1.1\r\nHost: shield\r\nUser-Agent: venom-shield\r\nConnection: close\r\n\r\n";

static SERVICES: [Service; 39] = [
    greeting(21, &FTP),
    greeting(23, &TELNET),
    quiet(102..=102, &CONTROL),
    quiet(111..=111, &RPC),
    quiet(135..=135, &RPC),
    quiet(139..=139, &SMB),
    quiet(389..=389, &LDAP),
    quiet(445..=445, &SMB),
    quiet(502..=502, &CONTROL),
    quiet(512..=514, &REMOTE_SHELL),
    quiet(515..=515, &PRINTER),
    greeting(873, &RSYNC),
    quiet(1433..=1433, &DATABASE),
    quiet(1521..=1521, &DATABASE),
    quiet(1883..=1883, &MQTT),
    quiet(2049..=2049, &NFS),
    greeting(2323, &TELNET),
    asked(2375..=2375, None, &DOCKER_OPEN, Ask::Line(DOCKER_PING)),
    quiet(2379..=2379, &ETCD),
    greeting(3306, &DATABASE),
    quiet(3389..=3389, &RDP),
    quiet(5432..=5432, &DATABASE),
    quiet(5433..=5433, &DATABASE),
    quiet(5555..=5555, &ADB),
    asked(5900..=5909, Some(&VNC), &VNC_OPEN, Ask::Vnc),
    quiet(5984..=5984, &DATABASE),
    quiet(5985..=5985, &WINRM),
    quiet(6000..=6005, &X11),
    asked(6379..=6379, Some(&DATABASE), &REDIS_OPEN, Ask::Line("PING\r\n")),
    quiet(8086..=8086, &DATABASE),
    quiet(9042..=9042, &DATABASE),
    quiet(9100..=9107, &PRINTER),
    asked(9200..=9200, Some(&DATABASE), &ELASTIC_OPEN, Ask::Line(ROOT)),
    quiet(10255..=10255, &KUBELET),
    asked(11211..=11211, None, &MEMCACHED_OPEN, Ask::Line("version\r\n")),
    quiet(27017..=27017, &DATABASE),
    quiet(27018..=27019, &DATABASE),
    quiet(50000..=50000, &DATABASE),
    quiet(50070..=50070, &DATABASE),
];

fn service(port: u16) -> Option<&'static Service> {
    SERVICES.iter().find(|service| service.ports.contains(&port))
}

/// Checks that a port is looked at for.
pub(crate) fn checks(port: u16) -> Vec<&'static Check> {
    service(port)
        .into_iter()
        .flat_map(|it| it.reachable.into_iter().chain(it.open))
        .collect()
}

/// Ports where every byte may end on paper.
pub(crate) fn is_printer(port: u16) -> bool {
    port == 515 || (9100..=9107).contains(&port)
}

/// Whether a port is known for something that is neither HTTP nor TLS, so that neither is tried there.
pub(crate) fn is_its_own(port: u16) -> bool {
    service(port).is_some_and(|service| {
        !matches!(port, 2375 | 2379 | 5984 | 5985 | 8086 | 9200 | 10255 | 50070) && service.ports.contains(&port)
    })
}

/// Whether what is known to be at a port speaks unasked.
pub(crate) fn speaks_first(port: u16) -> bool {
    service(port).is_some_and(|service| matches!(service.ask, Ask::Greeting))
}

/// What a reachable service said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) heard: Vec<u8>,
    /// Why that does not tell whether it answers anybody: it was not asked, or not heard to the end.
    pub(crate) half: Option<String>,
}

pub(crate) fn judge(port: u16, facts: &Facts) -> Verdict {
    let mut verdict = Verdict::default();
    let Some(service) = service(port) else { return verdict };
    let said = match evidence(&facts.heard) {
        said if said.is_empty() => "It takes connections.".to_owned(),
        said => format!("It said `{said}`."),
    };
    if let Some(open) = service.open {
        if answers_anybody(open, &facts.heard) {
            verdict.add(open, said);
            return verdict;
        }
        if facts.half.is_some() {
            verdict.open.push(open);
        }
    }
    if let Some(reachable) = service.reachable {
        verdict.add(reachable, said);
    }
    verdict
}

fn answers_anybody(open: &Check, heard: &[u8]) -> bool {
    let text = String::from_utf8_lossy(heard);
    match open.id {
        "exposure.redis-open" => text.starts_with("+PONG"),
        "exposure.memcached-open" => text.starts_with("VERSION "),
        "exposure.docker-open" => is_ok(&text) && text.to_ascii_lowercase().contains("\napi-version:"),
        "exposure.elasticsearch-open" => is_ok(&text) && text.contains("\"cluster_name\""),
        "exposure.vnc-open" => vnc_ways(heard).is_some_and(|ways| ways.contains(&VNC_NONE)),
        _ => false,
    }
}

fn is_ok(text: &str) -> bool {
    text.starts_with("HTTP/1.1 200") || text.starts_with("HTTP/1.0 200")
}

/// Security type "None" (RFC 6143, section 7.1.2).
const VNC_NONE: u8 = 1;
/// `RFB 003.008\n`
const VNC_VERSION: usize = 12;

/// Ways to log in that a VNC server of version 3.7 or later names after its version.
fn vnc_ways(heard: &[u8]) -> Option<&[u8]> {
    let (version, rest) = heard.split_at_checked(VNC_VERSION)?;
    let count = usize::from(*rest.first()?);
    version.starts_with(b"RFB ").then_some(rest.get(1..=count)?)
}

/// Most bytes that are listened to.
const MOST: usize = 16 * 1024;

pub(crate) async fn look(visit: &Visit<'_>, greeting: &[u8]) -> Result<Look<Facts>, Trouble> {
    let Some(service) = service(visit.place.port()) else {
        return Ok(Look::Absent);
    };
    let facts = match service.ask {
        Ask::Greeting => Ok(Facts {
            heard: greeting.to_vec(),
            half: None,
        }),
        Ask::Nothing => visit.call().await.map(|_| Facts::default()),
        Ask::Vnc => talk(visit, vnc).await,
        Ask::Line(line) => talk(visit, async move |visit, heard| ask_line(visit, line, heard).await).await,
    };
    match facts {
        Ok(facts) => Ok(Look::Seen(facts)),
        // all others have been called once already, and somebody was there
        Err(Trouble::Refused) if is_printer(visit.place.port()) => Ok(Look::Absent),
        Err(trouble) => visit.unknown(trouble),
    }
}

/// The answer to a question; else why it is none, though something was heard.
type Heard = Result<Result<(), String>, Trouble>;

/// What was heard counts, even when it ended badly: only not getting there is trouble.
async fn talk<'a>(
    visit: &Visit<'a>,
    conversation: impl AsyncFnOnce(&Visit<'a>, &mut Vec<u8>) -> Heard,
) -> Result<Facts, Trouble> {
    let mut heard = Vec::new();
    let half = match conversation(visit, &mut heard).await {
        Ok(whole) => whole.err(),
        Err(trouble @ (Trouble::Denied(_) | Trouble::Refused | Trouble::Broken(_))) => return Err(trouble),
        Err(trouble) if heard.is_empty() => return Err(trouble),
        Err(trouble) => Some(format!("{} in the middle of its answer", trouble.words())),
    };
    Ok(Facts { heard, half })
}

async fn ask_line(visit: &Visit<'_>, say: &str, heard: &mut Vec<u8>) -> Heard {
    let mut line = visit.call().await?;
    line.say(say.as_bytes()).await?;
    if !say.starts_with("GET") {
        let has_line = |heard: &[u8]| heard.contains(&b'\n').then_some(());
        return line.hear_until(heard, MOST, has_line).await.map(Ok);
    }
    match line.hear_until(heard, MOST, |heard| http::read(heard, false)).await {
        Ok(Look::Unknown(why)) => Ok(Err(why)),
        Ok(_) => Ok(Ok(())),
        // one that says no length ends by hanging up
        Err(Trouble::Ended) if http::is_whole_when_hung_up(heard) => Ok(Ok(())),
        Err(trouble) => Err(trouble),
    }
}

async fn vnc(visit: &Visit<'_>, heard: &mut Vec<u8>) -> Heard {
    let mut line = visit.call().await?;
    let version = line
        .hear_until(heard, MOST, |heard| heard.get(..VNC_VERSION).map(<[u8]>::to_vec))
        .await?;
    // before 3.7 the server chooses the way itself, and to answer would be to log in
    let answerable = version.starts_with(b"RFB 003.007") || version.starts_with(b"RFB 003.008");
    if !version.starts_with(b"RFB ") {
        return Ok(Ok(()));
    }
    if !answerable {
        return Ok(Err("speaks a version of VNC that is asked no further".to_owned()));
    }
    line.say(&version).await?;
    let ways = line
        .hear_until(heard, MOST, |heard| vnc_ways(heard).map(<[u8]>::len))
        .await?;
    // none at all: it will not have anybody just now
    Ok((ways > 0)
        .then_some(())
        .ok_or_else(|| "names no way to log in at present".to_owned()))
}

#[cfg(test)]
#[path = "exposure_tests.rs"]
mod tests;
