//! The `lan` interface from inside a guest: each function refused without its grant, and cut to the net grants with it;
//! against real servers on loopback, and in a network of its own.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use mdns_sd::{IfKind, ServiceDaemon, ServiceInfo};
use serde_json::{Value, json};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};
use tokio_rustls::TlsAcceptor;
use venom_bundle::capability::{Grants, Lan, NetGrant, NetProtocol};
use venom_runtime::Skill;

use crate::stage::{answer, hostile};

/// What the `lan` grants `parts` and TCP to `to` allow.
fn with(parts: &[Lan], to: &[&str]) -> Skill {
    let net = to.iter().map(|to| NetGrant {
        to: (*to).to_owned(),
        ports: vec!["*".to_owned()],
        protocols: vec![NetProtocol::Tcp],
    });
    hostile(Grants {
        lan: parts.to_vec(),
        net: net.collect(),
        ..Grants::default()
    })
}

async fn detail(skill: &Skill, method: &str, parameters: Value, escaped: bool) -> String {
    let attempt = answer(skill, method, parameters).await;
    assert_eq!(attempt["escaped"], escaped, "{method}: {attempt}");
    attempt["detail"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn every_function_is_a_grant_of_its_own() {
    let methods = [
        (Lan::Links, "links", json!({})),
        (Lan::Neighbours, "neighbours", json!({})),
        (Lan::Reverse, "reverse", json!({"address": "127.0.0.1"})),
        (Lan::Mdns, "browse", json!({"milliseconds": 1})),
        (Lan::Ssdp, "discover", json!({"milliseconds": 1})),
        (Lan::Tls, "peek_tls", json!({"address": "127.0.0.1", "port": 1})),
        (Lan::Https, "get_https", json!({"address": "127.0.0.1", "port": 1})),
    ];
    for (part, method, parameters) in methods {
        let others: Vec<Lan> = Lan::ALL.into_iter().filter(|other| *other != part).collect();
        let skill = with(&others, &["127.0.0.0/8"]);
        let why = detail(&skill, method, parameters, false).await;
        assert!(why.contains(&format!("lan denied for `{part}`")), "{why}");
        assert!(
            why.contains(&format!("[skills.HostileSkill]\nlan = [\"{part}\"]")),
            "{why}"
        );
    }
}

#[tokio::test]
async fn links_are_told_within_the_net_grants() {
    let nothing = detail(&with(&[Lan::Links], &[]), "links", json!({}), true).await;
    assert_eq!(nothing, "saw []");
    let wide = detail(&with(&[Lan::Links], &["0.0.0.0/0", "::/0"]), "links", json!({}), true).await;
    assert!(!wide.contains("127.0.0.1") && !wide.contains("\"::1\""), "{wide}");
    let named = detail(&with(&[Lan::Links], &["127.0.0.0/8"]), "links", json!({}), true).await;
    assert!(
        named.contains("name: \"lo\", address: \"127.0.0.1\", prefix: 8"),
        "{named}"
    );
    assert_eq!(named.matches("address: ").count(), 1, "{named}");
}

#[tokio::test]
async fn names_are_told_of_granted_addresses() {
    let skill = with(&[Lan::Reverse], &["127.0.0.1"]);
    let named = detail(&skill, "reverse", json!({"address": "127.0.0.1"}), true).await;
    assert_eq!(named, "named [\"localhost\"]");
    let why = detail(&skill, "reverse", json!({"address": "127.0.0.2"}), false).await;
    assert!(why.contains("no net grant reaches the address"), "{why}");
    assert!(why.contains("to = \"127.0.0.2\""), "{why}");
}

/// A TLS server with a certificate of its own making that speaks these protocols, and what it was sent after the handshake.
async fn tls_server(protocols: &[&[u8]]) -> (SocketAddr, usize, tokio::sync::mpsc::Receiver<(Option<String>, usize)>) {
    let (acceptor, length) = acceptor(protocols);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (tell, told) = tokio::sync::mpsc::channel(64);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            if let Ok(mut stream) = acceptor.accept(stream).await {
                let name = stream.get_ref().1.server_name().map(str::to_owned);
                let mut sent = Vec::new();
                // a peer that goes without a goodbye is an error here, and what we want to see is what it sent
                let _ = stream.read_to_end(&mut sent).await;
                tell.send((name, sent.len())).await.unwrap();
            }
        }
    });
    (address, length, told)
}

/// With a certificate of its own making, and how long that is.
fn acceptor(protocols: &[&[u8]]) -> (TlsAcceptor, usize) {
    let made = rcgen::generate_simple_self_signed(vec!["box.lan".to_owned()]).unwrap();
    let certificate = made.cert.der().clone();
    let length = certificate.len();
    let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key);
    let mut config = config.unwrap();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    (TlsAcceptor::from(Arc::new(config)), length)
}

#[tokio::test]
async fn a_tls_server_is_seen_whoever_signed_for_it_and_sent_nothing() {
    let (server, length, mut told) = tls_server(&[b"http/1.1"]).await;
    let skill = with(&[Lan::Tls], &["127.0.0.1"]);
    let parameters = json!({"address": "127.0.0.1", "port": server.port(), "name": "other.example"});
    let seen = detail(&skill, "peek_tls", parameters, true).await;
    assert!(seen.contains("TLSv1.3 TLS13_"), "{seen}");
    assert!(seen.contains(&format!("alpn `http/1.1` chain [{length}]")), "{seen}");
    assert_eq!(told.recv().await, Some((Some("other.example".to_owned()), 0)));
    let parameters = json!({"address": "127.0.0.1", "port": server.port(), "name": "127.0.0.1"});
    detail(&skill, "peek_tls", parameters, true).await;
    assert_eq!(told.recv().await, Some((None, 0)), "an address is no server name");
}

#[tokio::test]
async fn a_server_with_protocols_of_its_own_is_seen_too() {
    let (server, length, _told) = tls_server(&[b"mqtt"]).await;
    let skill = with(&[Lan::Tls], &["127.0.0.1"]);
    let parameters = json!({"address": "127.0.0.1", "port": server.port()});
    let seen = detail(&skill, "peek_tls", parameters, true).await;
    assert!(seen.contains(&format!("alpn `` chain [{length}]")), "{seen}");
}

#[tokio::test]
async fn handshakes_go_only_where_sockets_may_and_count_as_connections() {
    let (server, _, _told) = tls_server(&[]).await;
    let port = server.port();
    for (to, address) in [
        ("127.0.0.2", "127.0.0.1"),
        ("0.0.0.0/0", "127.0.0.1"),
        ("0.0.0.0/0", "169.254.169.254"),
        ("0.0.0.0/0", "::ffff:127.0.0.1"),
    ] {
        let skill = with(&[Lan::Tls], &[to]);
        let why = detail(&skill, "peek_tls", json!({"address": address, "port": port}), false).await;
        assert!(
            why.contains("net denied for") && why.contains("[[skills.HostileSkill.net]]"),
            "{why}"
        );
    }
    let grants = Grants {
        lan: vec![Lan::Tls],
        net: vec![NetGrant {
            to: "127.0.0.1".to_owned(),
            ports: vec![port.to_string()],
            protocols: vec![NetProtocol::Tcp],
        }],
        ..Grants::default()
    };
    let mut few = grants.clone();
    few.budgets.connections = 3;
    let flood = json!({"address": "127.0.0.1", "port": port, "count": 9});
    let why = detail(&hostile(few), "peek_flood", flood, false).await;
    assert!(
        why.contains("3 of 9 handshakes") && why.contains("budget `connections` (3 a call)"),
        "{why}"
    );
    let other = json!({"address": "127.0.0.1", "port": port.wrapping_add(1).max(1)});
    let why = detail(&hostile(grants), "peek_tls", other, false).await;
    assert!(why.contains("net denied for"), "{why}");
}

#[tokio::test]
async fn a_server_that_says_nothing_is_waited_for_no_longer_than_asked() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = silent.local_addr().unwrap().port();
    let skill = with(&[Lan::Tls], &["127.0.0.1"]);
    let parameters = json!({"address": "127.0.0.1", "port": port, "milliseconds": 50});
    let why = detail(&skill, "peek_tls", parameters, false).await;
    assert!(why.contains("within 50ms"), "{why}");
}

/// An HTTPS server with a certificate of its own making that says this to whoever asks, then waits; and what it was asked.
async fn https_server(said: Vec<u8>) -> (SocketAddr, tokio::sync::mpsc::Receiver<(Option<String>, String)>) {
    let (acceptor, _) = acceptor(&[b"http/1.1"]);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (tell, told) = tokio::sync::mpsc::channel(64);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, said, tell) = (acceptor.clone(), said.clone(), tell.clone());
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else {
                    return;
                };
                let name = stream.get_ref().1.server_name().map(str::to_owned);
                let mut asked = vec![0; 4096];
                let length = stream.read(&mut asked).await.unwrap_or(0);
                let asked = String::from_utf8_lossy(&asked[..length]).into_owned();
                tell.send((name, asked)).await.unwrap();
                // the peer may go before it has heard all, and is waited for: not everybody hangs up
                let _ = stream.write_all(&said).await;
                let _ = stream.read_to_end(&mut Vec::new()).await;
            });
        }
    });
    (address, told)
}

#[tokio::test]
async fn a_page_is_got_from_whoever_answers_and_the_question_is_the_hosts() {
    let page = "HTTP/1.1 401 Unauthorized\r\nServer: box/1.2\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n\
                Location: https://127.0.0.1/x\r\nContent-Length: 5\r\n\r\nhello";
    let (server, mut asked) = https_server(page.into()).await;
    let skill = with(&[Lan::Https], &["127.0.0.1"]);
    let parameters = json!({"address": "127.0.0.1", "port": server.port(), "name": "other.example"});
    let got = detail(&skill, "get_https", parameters, true).await;
    assert_eq!(
        got,
        "got \"401 [server: box/1.2, set-cookie: a=1, set-cookie: b=2, location: https://127.0.0.1/x, content-length: 5] `hello` 5 bytes\""
    );
    let question = |host: &str| {
        format!("GET / HTTP/1.1\r\nhost: {host}\r\nuser-agent: venom\r\naccept: */*\r\nconnection: close\r\n\r\n")
    };
    let port = server.port();
    let by_name = question(&format!("other.example:{port}"));
    assert_eq!(asked.recv().await, Some((Some("other.example".to_owned()), by_name)));
    let parameters = json!({"address": "127.0.0.1", "port": port});
    detail(&skill, "get_https", parameters.clone(), true).await;
    let by_address = question(&format!("127.0.0.1:{port}"));
    assert_eq!(asked.recv().await, Some((None, by_address)));
    for name in ["a b", "x\r\ny: z", "a/../b"] {
        let mut odd = parameters.clone();
        odd["name"] = json!(name);
        let why = detail(&skill, "get_https", odd, false).await;
        assert!(why.contains("is no server name"), "{why}");
    }
}

#[tokio::test]
async fn answers_by_https_are_bounded_in_headers_bytes_and_time() {
    let skill = with(&[Lan::Https], &["127.0.0.1"]);
    let got = async |said: Vec<u8>, body: u32, escaped: bool| {
        let (server, _asked) = https_server(said).await;
        let asked = json!({"address": "127.0.0.1", "port": server.port(), "body": body, "milliseconds": 700});
        detail(&skill, "get_https", asked, escaped).await
    };
    let long = |said: usize| [b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), vec![b'x'; said]].concat();
    let cut = got(long(10_000), 10, true).await;
    assert!(cut.ends_with("`xxxxxxxxxx` 10 bytes\""), "{cut}");
    let none = got(long(10_000), 0, true).await;
    assert!(none.ends_with("`` 0 bytes\""), "{none}");
    let most = got(long(200_000), u32::MAX, true).await;
    assert!(most.ends_with(" 65536 bytes\""), "{most}");
    // a body that never ends is told as far as it came, a head that never does is not
    let unfinished = got(long(7), 4096, true).await;
    assert!(unfinished.ends_with("`xxxxxxx` 7 bytes\""), "{unfinished}");
    let late = got(b"HTTP/1.1 200 OK\r\nServer: ".to_vec(), 4096, false).await;
    assert!(late.contains("within 700ms"), "{late}");
    let head = |headers: usize, length: usize| {
        let header = format!("a: {}\r\n", "x".repeat(length));
        format!("HTTP/1.1 200 OK\r\n{}\r\n", header.repeat(headers)).into_bytes()
    };
    got(head(128, 1), 0, true).await;
    for (headers, length) in [(129, 1), (100, 1000), (70, 1000), (1, 70_000)] {
        let why = got(head(headers, length), 0, false).await;
        assert!(why.contains("no answer by HTTPS of 127.0.0.1:"), "{why}");
    }
    for strange in ["220 mail.example ESMTP\r\n", "SSH-2.0-x\r\n", "\u{0}\u{1}\u{2}"] {
        let why = got(strange.into(), 0, false).await;
        assert!(why.contains("no answer by HTTPS"), "{strange}: {why}");
    }
}

#[tokio::test]
async fn pages_come_only_from_where_sockets_may_go_and_count_as_connections() {
    let (server, mut asked) = https_server(b"HTTP/1.1 204 No Content\r\n\r\n".to_vec()).await;
    let page = |port: u16| json!({"address": "127.0.0.1", "port": port});
    for to in ["127.0.0.2", "0.0.0.0/0"] {
        let why = detail(&with(&[Lan::Https], &[to]), "get_https", page(server.port()), false).await;
        assert!(why.contains("net denied for"), "{why}");
    }
    let mut grants = Grants {
        lan: vec![Lan::Https],
        net: vec![NetGrant {
            to: "127.0.0.0/8".to_owned(),
            ports: vec!["*".to_owned()],
            protocols: vec![NetProtocol::Tcp],
        }],
        ..Grants::default()
    };
    let why = detail(&hostile(grants.clone()), "get_https", page(9100), false).await;
    assert!(
        why.contains("lan denied for `https 127.0.0.1:9100`") && why.contains("would print"),
        "{why}"
    );
    grants.budgets.connections = 0;
    let why = detail(&hostile(grants), "get_https", page(server.port()), false).await;
    assert!(why.contains("budget `connections` (0 a call)"), "{why}");
    assert!(asked.try_recv().is_err(), "somebody asked");
}

#[tokio::test]
async fn announced_services_are_heard_within_the_grants() {
    let kind = format!("_v{:08x}._tcp", std::process::id());
    let announcer = ServiceDaemon::new().unwrap();
    announcer.disable_interface(IfKind::All).unwrap();
    announcer.enable_interface(IfKind::LoopbackV4).unwrap();
    let properties = [("path", "/x"), ("version", "7")];
    let service = ServiceInfo::new(
        &format!("{kind}.local."),
        "Box in the hall",
        "box.local.",
        "127.0.0.1",
        8443,
        &properties[..],
    );
    announcer.register(service.unwrap()).unwrap();
    for asked in [
        json!({"kinds": [kind], "milliseconds": 3000}),
        json!({"milliseconds": 4000}),
    ] {
        let heard = detail(&with(&[Lan::Mdns], &["127.0.0.1"]), "browse", asked, true).await;
        let expected = format!(
            "instance: \"Box in the hall\", kind: \"{kind}\", host: \"box.local\", addresses: [\"127.0.0.1\"], port: 8443"
        );
        assert!(heard.contains(&expected), "{heard}");
        assert!(
            heard.contains("(\"path\", \"/x\")") && heard.contains("(\"version\", \"7\")"),
            "{heard}"
        );
    }
    let asked = json!({"kinds": [kind], "milliseconds": 1500});
    let cut = detail(&with(&[Lan::Mdns], &["127.0.0.2"]), "browse", asked.clone(), true).await;
    assert_eq!(cut, "heard []", "asked, but the answer's address is not granted");
    let elsewhere = detail(&with(&[Lan::Mdns], &["0.0.0.0/0"]), "browse", asked, true).await;
    assert!(!elsewhere.contains("127.0.0.1"), "{elsewhere}");
    announcer.shutdown().unwrap();
}

#[tokio::test]
async fn odd_kinds_of_services_are_refused() {
    let skill = with(&[Lan::Mdns], &["127.0.0.1"]);
    let why = detail(&skill, "browse", json!({"kinds": ["http"]}), false).await;
    assert!(why.contains("`http` is no kind of service"), "{why}");
}

/// A device on loopback that answers searches from `from`.
fn ssdp_device(from: Ipv4Addr) -> tokio::task::JoinHandle<()> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP)).unwrap();
    socket.set_reuse_address(true).unwrap();
    socket.set_nonblocking(true).unwrap();
    let any = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 1900));
    socket.bind(&any.into()).unwrap();
    let group = Ipv4Addr::new(239, 255, 255, 250);
    socket.join_multicast_v4(&group, &Ipv4Addr::LOCALHOST).unwrap();
    let socket = UdpSocket::from_std(socket.into()).unwrap();
    tokio::spawn(async move {
        let answers = UdpSocket::bind((from, 0)).await.unwrap();
        let mut bytes = [0; 1024];
        while let Ok((length, peer)) = socket.recv_from(&mut bytes).await {
            let asked = String::from_utf8_lossy(&bytes[..length]).into_owned();
            assert!(
                asked.starts_with("M-SEARCH * HTTP/1.1\r\n") && asked.contains("ST: ssdp:all"),
                "{asked}"
            );
            let answer = "HTTP/1.1 200 OK\r\nLOCATION: http://127.0.0.1:5000/d.xml\r\nSERVER: Box/1.0 UPnP/1.0\r\nST: upnp:rootdevice\r\nUSN: uuid:box\r\n\r\n";
            answers.send_to(answer.as_bytes(), peer).await.unwrap();
        }
    })
}

#[tokio::test]
async fn devices_answer_a_search_within_the_grants() {
    let device = ssdp_device(Ipv4Addr::LOCALHOST);
    let asked = json!({"milliseconds": 600});
    let heard = detail(&with(&[Lan::Ssdp], &["127.0.0.1"]), "discover", asked.clone(), true).await;
    assert_eq!(
        heard.matches("address: \"127.0.0.1\"").count(),
        1,
        "asked twice, told once: {heard}"
    );
    assert!(
        heard.contains("location: \"http://127.0.0.1:5000/d.xml\", server: \"Box/1.0 UPnP/1.0\", target: \"upnp:rootdevice\", unique_name: \"uuid:box\""),
        "{heard}"
    );
    let cut = detail(&with(&[Lan::Ssdp], &["127.0.0.2"]), "discover", asked.clone(), true).await;
    assert_eq!(cut, "heard []", "asked, but whoever answers is not granted");
    let elsewhere = detail(&with(&[Lan::Ssdp], &["0.0.0.0/0"]), "discover", asked, true).await;
    assert!(!elsewhere.contains("127.0.0.1"), "{elsewhere}");
    device.abort();
}

#[tokio::test]
async fn questions_count_as_connections() {
    let mut grants = Grants {
        lan: vec![Lan::Ssdp, Lan::Mdns, Lan::Reverse],
        net: vec![NetGrant {
            to: "127.0.0.1".to_owned(),
            ports: vec!["443".to_owned()],
            protocols: vec![NetProtocol::Tcp],
        }],
        ..Grants::default()
    };
    grants.budgets.connections = 0;
    let skill = hostile(grants);
    for (method, parameters) in [
        ("discover", json!({"milliseconds": 1})),
        ("browse", json!({"milliseconds": 1})),
        ("reverse", json!({"address": "127.0.0.1"})),
    ] {
        let why = detail(&skill, method, parameters, false).await;
        assert!(why.contains("budget `connections` (0 a call)"), "{why}");
    }
}

#[tokio::test]
async fn no_handshake_is_sent_to_a_printer() {
    let printer = TcpListener::bind("127.91.1.1:9100").await.unwrap();
    let skill = with(&[Lan::Tls], &["*", "127.0.0.0/8"]);
    let why = detail(
        &skill,
        "peek_tls",
        json!({"address": "127.91.1.1", "port": 9100}),
        false,
    )
    .await;
    assert!(
        why.contains("lan denied for `tls 127.91.1.1:9100`") && why.contains("would print"),
        "{why}"
    );
    let came = tokio::time::timeout(Duration::from_millis(100), printer.accept()).await;
    assert!(came.is_err(), "somebody connected");
}

/// Links with addresses, a gateway and a neighbour, and one of a container engine; nobody else is in this network.
const NETWORK: &str = "set -e
ip link add lan0 type veth peer name lan9
ip link add docker0 type veth peer name lan8
ip address add 10.77.0.5/24 dev lan0
ip address add 10.78.0.5/24 dev docker0
for link in lan0 lan9 docker0 lan8; do ip link set $link up; done
ip link set lan0 address 02:00:00:00:00:05
ip neighbour add 10.77.0.1 lladdr 02:00:00:00:00:fe dev lan0 nud permanent
ip neighbour add 10.77.0.200 lladdr 02:00:00:00:00:c8 dev lan0 nud permanent
ip neighbour add 10.78.0.9 lladdr 02:00:00:00:00:09 dev docker0 nud permanent
ip route add default via 10.77.0.1 metric 50
exec \"$0\" --exact lan::in_a_network_of_its_own --ignored --nocapture";

#[test]
fn gateways_and_neighbours_are_told_within_the_grants() {
    let output = Command::new("unshare")
        .args(["--map-root-user", "--net", "sh", "-c", NETWORK])
        .arg(std::env::current_exe().unwrap())
        .output()
        .expect("this test needs unshare (util-linux) and ip (iproute2) in PATH");
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

#[tokio::test]
#[ignore = "started by gateways_and_neighbours_are_told_within_the_grants, in a network of its own"]
async fn in_a_network_of_its_own() {
    let both = [Lan::Links, Lan::Neighbours];
    let all = with(&both, &["10.0.0.0/8"]);
    let links = detail(&all, "links", json!({}), true).await;
    let told = "name: \"lan0\", address: \"10.77.0.5\", prefix: 24, mac: \"02:00:00:00:00:05\", gateway: \"10.77.0.1\", gateway_mac: \"02:00:00:00:00:fe\"";
    assert!(links.contains(told), "{links}");
    assert!(!links.contains("docker0"), "{links}");
    let neighbours = detail(&all, "neighbours", json!({}), true).await;
    for (address, mac) in [("10.77.0.1", "02:00:00:00:00:fe"), ("10.77.0.200", "02:00:00:00:00:c8")] {
        let told = format!("address: \"{address}\", mac: \"{mac}\", link: \"lan0\"");
        assert!(neighbours.contains(&told), "{neighbours}");
    }
    assert!(!neighbours.contains("10.78.0.9"), "{neighbours}");

    let half = with(&both, &["10.77.0.4/31", "10.77.0.128/25"]);
    let links = detail(&half, "links", json!({}), true).await;
    assert!(
        links.contains("gateway: \"\", gateway_mac: \"\""),
        "the gateway is not granted: {links}"
    );
    let neighbours = detail(&half, "neighbours", json!({}), true).await;
    assert!(
        neighbours.contains("10.77.0.200") && !neighbours.contains("10.77.0.1\""),
        "{neighbours}"
    );
    let started = std::time::Instant::now();
    detail(
        &with(&[Lan::Ssdp], &["10.0.0.0/8"]),
        "discover",
        json!({"milliseconds": 100}),
        true,
    )
    .await;
    assert!(
        started.elapsed() < Duration::from_secs(20),
        "nobody answers, and it ends"
    );
}
