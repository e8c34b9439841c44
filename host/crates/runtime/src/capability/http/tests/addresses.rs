//! Which hosts and addresses are reached.

use super::*;

const LOOPBACK: [&str; 1] = ["127.0.0.0/8"];

#[tokio::test]
async fn a_granted_host_answers() {
    let server = Server::start().await;
    let mut caller = Setup::new(vec![grant(&server.host(), &LOOPBACK)]).call();
    let (status, _, body) = caller.get(&server.uri("/a?b=c")).await.unwrap();
    assert_eq!((status, body.as_ref()), (StatusCode::OK, &b"hello"[..]));
    let seen = server.seen();
    assert_eq!(
        (seen[0].line.as_str(), seen[0].body.as_ref()),
        ("GET /a?b=c", &b"body"[..])
    );
    assert_eq!(caller.refusals.list(), []);
}

#[tokio::test]
async fn other_hosts_ports_schemes_and_methods_are_refused_with_the_grant_to_write() {
    let server = Server::start().await;
    let host = server.host();
    let narrow = HttpGrant {
        methods: vec!["get".to_owned(), "HEAD".to_owned()],
        ..grant(&host, &LOOPBACK)
    };
    let secure = HttpGrant {
        plain: false,
        ..grant("secure.test", &LOOPBACK)
    };
    let mut caller = Setup::new(vec![narrow, secure]).resolver(&[]).call();
    for (request, grant) in [
        (
            Request::get("http://other.test/"),
            "host = \"other.test\"\nplain = true",
        ),
        (Request::get("https://other.test:8443/"), "host = \"other.test:8443\""),
        (
            Request::get("http://127.0.0.1:1/"),
            "host = \"127.0.0.1:1\"\nplain = true",
        ),
        (
            Request::get("http://secure.test/"),
            "host = \"secure.test\"\nplain = true",
        ),
        (
            Request::post(server.uri("/")),
            &format!("host = \"{host}\"\nplain = true\nmethods = [\"POST\"]"),
        ),
    ] {
        let sent = caller.send(request, RequestOptions::default()).await;
        assert!(matches!(sent, Err(Error::HttpRequestDenied)), "{sent:?}");
        assert_eq!(
            caller.refusal().missing_grant,
            format!("[[skills.Skill.http]]\n{grant}")
        );
    }
    for method in ["CONNECT", "TRACE"] {
        let request = Request::builder().method(method).uri(server.uri("/"));
        assert!(caller.send(request, RequestOptions::default()).await.is_err());
    }
    assert!(server.seen().is_empty());
    assert!(
        caller.get(&server.uri("/")).await.is_ok(),
        "methods are read in any case"
    );
}

#[tokio::test]
async fn special_and_private_addresses_need_to_be_named() {
    let server = Server::start().await;
    let port = server.address.port();
    let host = format!("name.test:{port}");
    let uri = format!("http://{host}/");
    for (addresses, resolved, what) in [
        (vec![], "127.0.0.1", "loopback"),
        (vec!["0.0.0.0/0"], "127.0.0.1", "loopback"),
        (vec!["0.0.0.0/0"], "::ffff:127.0.0.1", "loopback"),
        (vec!["::/0", "0.0.0.0/0"], "64:ff9b::127.0.0.1", "loopback"),
        (vec!["0.0.0.0/0"], "169.254.169.254", "metadata"),
        (vec!["169.254.0.0/16"], "169.254.169.254", "metadata"),
        (vec!["127.0.0.0/8"], "10.0.0.1", "private"),
        (vec!["127.0.0.0/8"], "fd12::1", "private"),
        (vec!["127.0.0.2"], "127.0.0.1", "loopback"),
    ] {
        let mut caller = Setup::new(vec![grant(&host, &addresses)])
            .resolver(&[&[resolved]])
            .call();
        let sent = caller.get(&uri).await;
        assert!(
            matches!(sent, Err(Error::DestinationIpProhibited)),
            "{addresses:?} {resolved}: {sent:?}"
        );
        let refusal = caller.refusal();
        assert!(refusal.reason.contains(what), "{refusal}");
        assert!(refusal.missing_grant.contains("addresses = [\""), "{refusal}");
    }
    assert!(server.seen().is_empty());
    for addresses in [["127.0.0.1"], ["127.0.0.0/8"]] {
        let mut caller = Setup::new(vec![grant(&host, &addresses)])
            .resolver(&[&["127.0.0.1"]])
            .call();
        assert!(caller.get(&uri).await.is_ok(), "{addresses:?}");
    }
}

#[tokio::test]
async fn a_literal_address_is_no_way_around() {
    let server = Server::start().await;
    let mut caller = Setup::new(vec![grant(&server.host(), &[])]).call();
    assert!(matches!(
        caller.get(&server.uri("/")).await,
        Err(Error::DestinationIpProhibited)
    ));
    let anything = || grant("*:80", &["0.0.0.0/0", "::/0"]);
    for uri in [
        "http://127.0.0.1/",
        "http://[::1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://169.254.169.254/",
        "http://0.0.0.0/",
    ] {
        let mut caller = Setup::new(vec![anything()]).call();
        assert!(
            matches!(caller.get(uri).await, Err(Error::DestinationIpProhibited)),
            "{uri}"
        );
    }
    // spellings of 127.0.0.1 that only some readers take for an address: they are names, and resolve
    for uri in [
        "http://0x7f000001/",
        "http://2130706433/",
        "http://0177.0.0.1/",
        "http://127.1/",
    ] {
        let mut caller = Setup::new(vec![anything()]).resolver(&[&["127.0.0.1"]]).call();
        assert!(
            matches!(caller.get(uri).await, Err(Error::DestinationIpProhibited)),
            "{uri}"
        );
    }
}

#[tokio::test]
async fn the_address_checked_is_the_address_dialled() {
    let server = Server::start().await;
    let host = format!("rebinding.test:{}", server.address.port());
    let uri = format!("http://{host}/");
    // a second question would be answered with another address: it must not be asked
    let answers: [&[&str]; 2] = [&["127.0.0.1"], &["169.254.169.254"]];
    let setup = Setup::new(vec![grant(&host, &LOOPBACK)]);
    let resolver = resolver(&answers);
    let client = setup.client.clone().with_resolver(resolver.clone());
    let mut caller = Setup { client, ..setup }.call();
    assert!(caller.get(&uri).await.is_ok());
    assert_eq!(resolver.0.lock().unwrap().len(), 1, "resolved once for one request");
    let second = caller.get(&uri).await;
    assert!(matches!(second, Err(Error::DestinationIpProhibited)), "{second:?}");
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn of_several_addresses_only_approved_ones_are_dialled() {
    let server = Server::start().await;
    let host = format!("name.test:{}", server.address.port());
    let answer: &[&str] = &["169.254.169.254", "127.0.0.1", "10.0.0.1"];
    let mut caller = Setup::new(vec![grant(&host, &LOOPBACK)]).resolver(&[answer]).call();
    let quick = RequestOptions {
        connect_timeout: Some(Duration::from_secs(5)),
        ..RequestOptions::default()
    };
    assert!(
        caller
            .send(Request::get(format!("http://{host}/")), quick)
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn a_grant_s_addresses_do_not_help_another_grant() {
    let server = Server::start().await;
    let host = format!("public.test:{}", server.address.port());
    let grants = vec![grant(&host, &[]), grant("internal.test", &LOOPBACK)];
    let mut caller = Setup::new(grants).resolver(&[&["127.0.0.1"]]).call();
    assert!(matches!(
        caller.get(&format!("http://{host}/")).await,
        Err(Error::DestinationIpProhibited)
    ));
}

#[tokio::test]
async fn the_nexus_is_refused_unless_named() {
    let server = Server::start().await;
    let denied = vec![server.address];
    let with = |addresses: &[&str]| Setup {
        denied: denied.clone(),
        ..Setup::new(vec![grant(&server.host(), addresses)])
    };
    let mut caller = with(&LOOPBACK).call();
    assert!(caller.get(&server.uri("/")).await.is_err());
    assert!(caller.refusal().reason.contains("nexus"), "{}", caller.refusal());
    assert!(with(&["127.0.0.1"]).call().get(&server.uri("/")).await.is_ok());
}

#[tokio::test]
async fn a_redirect_is_handed_to_the_guest_and_its_target_refused() {
    let server = Server::start().await;
    let mut caller = Setup::new(vec![grant(&server.host(), &LOOPBACK), grant("*", &["0.0.0.0/0"])]).call();
    let (status, headers, body) = caller.get(&server.uri("/redirect")).await.unwrap();
    assert_eq!((status, body.as_ref()), (StatusCode::FOUND, &b"moved"[..]));
    assert_eq!(server.seen().len(), 1);
    let location = headers["location"].to_str().unwrap();
    assert!(matches!(
        caller.get(location).await,
        Err(Error::DestinationIpProhibited)
    ));
    assert!(
        caller.refusal().reason.contains("cloud metadata"),
        "{}",
        caller.refusal()
    );
}
