//! Headers, limits and TLS.

use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use super::*;

async fn caller(server: &Server) -> Caller {
    Setup::new(vec![grant(&server.host(), &["127.0.0.1"])]).call()
}

#[tokio::test]
async fn headers_that_steer_the_connection_are_the_host_s() {
    let server = Server::start().await;
    let mut caller = caller(&server).await;
    let filter = caller.call.forbidden_header_filter();
    for name in [
        "host",
        "connection",
        "proxy-authorization",
        "proxy-anything",
        "transfer-encoding",
        "upgrade",
        "te",
        "trailer",
    ] {
        assert!(filter(&name.parse().unwrap()), "{name}");
    }
    assert!(!filter(&http::header::AUTHORIZATION));
    // and should one come through all the same:
    let request = Request::get(server.uri("/"))
        .header("host", "evil.test")
        .header("proxy-authorization", "x")
        .header("connection", "upgrade")
        .header("x-kept", "yes");
    caller.send(request, RequestOptions::default()).await.unwrap();
    let headers = &server.seen()[0].headers;
    assert_eq!(
        headers.get_all("host").iter().collect::<Vec<_>>(),
        [server.host().as_str()]
    );
    assert_eq!(headers["x-kept"], "yes");
    assert!(!headers.contains_key("proxy-authorization") && !headers.contains_key("connection"));
}

#[tokio::test]
async fn a_user_in_the_address_is_refused() {
    let server = Server::start().await;
    let mut caller = caller(&server).await;
    let uri = format!("http://user@{}/", server.host());
    assert!(matches!(caller.get(&uri).await, Err(Error::HttpRequestUriInvalid)));
}

#[tokio::test]
async fn a_large_body_arrives_whole() {
    let server = Server::start().await;
    let (_, _, body) = caller(&server).await.get(&server.uri("/large")).await.unwrap();
    assert_eq!(body.len(), 1_000_000);
}

#[tokio::test]
async fn connections_are_counted() {
    let server = Server::start().await;
    let setup = Setup::new(vec![grant(&server.host(), &["127.0.0.1"])]);
    let mut caller = Setup {
        connections: 2,
        ..setup
    }
    .call();
    for _ in 0..2 {
        caller.get(&server.uri("/")).await.unwrap();
    }
    assert!(matches!(
        caller.get(&server.uri("/")).await,
        Err(Error::ConnectionLimitReached)
    ));
    assert!(caller.refusal().reason.contains("`connections`"));
    assert_eq!(server.seen().len(), 2);
}

#[tokio::test]
async fn silence_is_not_waited_for_longer_than_asked() {
    let server = Server::start().await;
    let started = std::time::Instant::now();
    let short = Some(Duration::from_millis(100));
    let first_byte = RequestOptions {
        first_byte_timeout: short,
        ..RequestOptions::default()
    };
    let sent = caller(&server)
        .await
        .send(Request::get(server.uri("/silent")), first_byte)
        .await;
    assert!(matches!(sent, Err(Error::ConnectionReadTimeout)), "{sent:?}");
    let between_bytes = RequestOptions {
        between_bytes_timeout: short,
        ..RequestOptions::default()
    };
    let sent = caller(&server)
        .await
        .send(Request::get(server.uri("/stalling")), between_bytes)
        .await;
    assert!(matches!(sent, Err(Error::ConnectionReadTimeout)), "{sent:?}");
    // the call itself has a minute
    assert!(started.elapsed() < Duration::from_secs(15));
}

#[tokio::test]
async fn connecting_is_not_waited_for_longer_than_asked() {
    // a resolver that never answers stands for a network that does not
    #[derive(Debug)]
    struct Never;
    #[async_trait::async_trait]
    impl Resolve for Never {
        async fn resolve(&self, _: &str) -> std::io::Result<Vec<IpAddr>> {
            std::future::pending().await
        }
    }
    let setup = || {
        let setup = Setup::new(vec![grant("never.test", &[])]);
        let client = setup.client.clone().with_resolver(Arc::new(Never));
        Setup { client, ..setup }
    };
    let short = Duration::from_millis(100);
    let connect = RequestOptions {
        connect_timeout: Some(short),
        ..RequestOptions::default()
    };
    let sent = setup().call().send(Request::get("http://never.test/"), connect).await;
    assert!(matches!(sent, Err(Error::ConnectionTimeout)), "{sent:?}");
    // the call's own deadline is shorter than any wait
    let started = std::time::Instant::now();
    let sent = Setup {
        deadline: short,
        ..setup()
    }
    .call()
    .get("http://never.test/")
    .await;
    assert!(matches!(sent, Err(Error::ConnectionTimeout)), "{sent:?}");
    assert!(started.elapsed() < Duration::from_secs(15));
}

#[tokio::test]
async fn the_call_s_deadline_ends_silence_too() {
    let server = Server::start().await;
    for path in ["/silent", "/stalling"] {
        let setup = Setup::new(vec![grant(&server.host(), &["127.0.0.1"])]);
        let mut caller = Setup {
            deadline: Duration::from_millis(300),
            ..setup
        }
        .call();
        assert!(
            matches!(caller.get(&server.uri(path)).await, Err(Error::ConnectionReadTimeout)),
            "{path}"
        );
    }
}

#[tokio::test]
async fn a_name_nobody_knows_is_a_dns_error() {
    let mut caller = Setup::new(vec![grant("none.test", &[])]).resolver(&[]).call();
    assert!(matches!(
        caller.get("http://none.test/").await,
        Err(Error::DnsError { .. })
    ));
    assert_eq!(caller.refusals.list(), []);
}

#[tokio::test]
async fn tls_trusts_the_given_roots_for_the_given_name_only() {
    let made = rcgen::generate_simple_self_signed(["secure.test".to_owned()]).unwrap();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let server = Server::start_with(Some(Arc::new(config))).await;
    let trusting = HttpClient::new(&[made.cert.der().clone()]).unwrap();
    let strict = HttpClient::new(&[]).unwrap();
    for (client, name, trusted) in [
        (&trusting, "secure.test", true),
        (&trusting, "other.test", false),
        (&strict, "secure.test", false),
    ] {
        let host = format!("{name}:{}", server.address.port());
        let secure = HttpGrant {
            plain: false,
            ..grant(&host, &["127.0.0.1"])
        };
        let client = client.clone().with_resolver(resolver(&[&["127.0.0.1"]]));
        let setup = Setup::new(vec![secure]);
        let sent = Setup { client, ..setup }.call().get(&format!("https://{host}/")).await;
        match sent {
            Ok((_, _, body)) => assert!(trusted && body.as_ref() == b"hello", "{name}"),
            Err(Error::Tls(_)) => assert!(!trusted, "{name}"),
            Err(other) => panic!("{name}: {other}"),
        }
    }
}
