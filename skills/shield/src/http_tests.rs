//! Every check both ways.

use proptest::prelude::*;
use venom_sdk::Refusal;
use venom_sdk::fake::Host;
use venom_sdk::lan::Page;

use super::*;
use crate::check::ids;

/// `GET /` of `python3 -m http.server` 3.11.7 in a directory with one file.
const LISTING_PAGE: &[u8] = include_bytes!("recorded/python-listing.bin");

/// An answer by HTTPS with nothing to find.
fn good() -> Facts {
    let headers = [
        ("content-type", "text/html; charset=utf-8"),
        ("strict-transport-security", "max-age=31536000; includeSubDomains"),
        ("content-security-policy", "default-src 'self'; frame-ancestors 'none'"),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("server", "nginx"),
        ("set-cookie", "id=1; Secure; HttpOnly; SameSite=Lax; Path=/"),
    ];
    Facts {
        secure: true,
        named: true,
        status: 200,
        headers: headers
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .to_vec(),
        body: "<html><title>Hello</title>".to_owned(),
    }
}

fn without(name: &str) -> Facts {
    let mut facts = good();
    facts.headers.retain(|(known, _)| known != name);
    facts
}

fn with(name: &str, value: &str) -> Facts {
    let mut facts = without(name);
    facts.headers.push((name.to_owned(), value.to_owned()));
    facts
}

fn fires(facts: &Facts) -> Vec<&'static str> {
    ids(&judge(facts))
}

#[test]
fn a_good_answer_has_no_finding() {
    assert_eq!(judge(&good()), Verdict::default());
}

#[test]
fn headers_that_are_missing() {
    assert_eq!(fires(&without("strict-transport-security")), ["http.no-hsts"]);
    assert_eq!(fires(&with("strict-transport-security", "max-age=0")), ["http.no-hsts"]);
    assert_eq!(
        fires(&with("strict-transport-security", "includeSubDomains; Max-Age=\"9\"")),
        [""; 0]
    );
    assert_eq!(
        fires(&without("content-security-policy")),
        ["http.no-csp", "http.no-frame-options"]
    );
    assert_eq!(
        fires(&with("content-security-policy", "default-src 'self'")),
        ["http.no-frame-options"]
    );
    assert_eq!(
        fires(&without("x-content-type-options")),
        ["http.no-content-type-options"]
    );
    assert_eq!(fires(&without("referrer-policy")), ["http.no-referrer-policy"]);
    let mut framed = with("content-security-policy", "default-src 'self'");
    framed
        .headers
        .push(("x-frame-options".to_owned(), "SAMEORIGIN".to_owned()));
    assert_eq!(fires(&framed), [""; 0]);
}

#[test]
fn what_is_no_page_needs_no_headers_of_one() {
    let mut data = with("content-type", "application/json");
    data.headers.retain(|(name, _)| {
        ["content-type", "x-content-type-options", "strict-transport-security"].contains(&name.as_str())
    });
    assert_eq!(fires(&data), [""; 0]);
    let mut missing = Facts { status: 404, ..good() };
    missing.headers.retain(|(name, _)| name == "strict-transport-security");
    assert_eq!(fires(&missing), [""; 0]);
}

#[test]
fn plain_http_leads_to_https_or_is_told() {
    let plain = Facts {
        secure: false,
        ..without("strict-transport-security")
    };
    assert_eq!(fires(&plain), ["http.plain"]);
    let away = |location: &str| Facts {
        named: true,
        secure: false,
        status: 301,
        headers: vec![("location".to_owned(), location.to_owned())],
        body: String::new(),
    };
    assert_eq!(fires(&away("HTTPS://a.example/")), [""; 0]);
    assert_eq!(fires(&away("/login")), ["http.plain"]);
    let asks = Facts {
        named: true,
        secure: false,
        status: 401,
        headers: vec![("www-authenticate".to_owned(), "Basic realm=\"x\"".to_owned())],
        body: String::new(),
    };
    let verdict = judge(&asks);
    assert_eq!(ids(&verdict), ["http.plain-auth", "http.plain"]);
    assert!(verdict.issues[0].detail.contains("`WWW-Authenticate: Basic`"));
    assert_eq!(fires(&Facts { secure: true, ..asks }), ["http.no-hsts"]);
}

#[test]
fn cookies_and_never_their_values() {
    let bare = judge(&with("set-cookie", "session=geheim; Path=/"));
    assert_eq!(
        ids(&bare),
        [
            "http.cookie-not-secure",
            "http.cookie-not-httponly",
            "http.cookie-no-samesite"
        ]
    );
    assert!(
        bare.issues
            .iter()
            .all(|issue| issue.detail.contains("`session`") && !issue.detail.contains("geheim"))
    );
    assert_eq!(
        fires(&with("set-cookie", "a=b; secure; HTTPONLY")),
        ["http.cookie-no-samesite"]
    );
    assert_eq!(
        fires(&with("set-cookie", "a=b;Secure;SameSite=None")),
        ["http.cookie-not-httponly"]
    );
    assert_eq!(
        fires(&with("set-cookie", "a=b;HttpOnly;SameSite=None")),
        ["http.cookie-not-secure"]
    );
    // the name of a cookie is no attribute of it
    assert!(fires(&with("set-cookie", "secure=1; HttpOnly; SameSite=Lax")).contains(&"http.cookie-not-secure"));
    let plain = Facts {
        secure: false,
        ..with("set-cookie", "a=b; HttpOnly; SameSite=Lax")
    };
    assert_eq!(fires(&plain), ["http.plain"]);
}

#[test]
fn versions_in_headers() {
    for telling in ["nginx/1.22.1", "Apache/2.4.1 (Unix)", "Jetty(9.4.z)"] {
        let fired = fires(&with("server", telling));
        let expected: &[&str] = &["http.version-disclosed"];
        assert_eq!(fired, expected, "{telling}");
    }
    assert_eq!(
        fires(&with("x-aspnet-version", "4.0.30319")),
        ["http.version-disclosed"]
    );
    for silent in ["nginx", "cloudflare", "Apache", "h2o/x"] {
        assert_eq!(fires(&with("server", silent)), [""; 0], "{silent}");
    }
}

#[test]
fn a_real_listing() {
    let Some(Look::Seen(facts)) = read(LISTING_PAGE, false) else {
        panic!("not read")
    };
    let fired = fires(&facts);
    assert!(
        fired.contains(&"http.directory-listing") && fired.contains(&"http.version-disclosed"),
        "{fired:?}"
    );
    assert!(
        fires(&Facts {
            body: "<h1>Index of things</h1>".to_owned(),
            ..good()
        })
        .is_empty()
    );
    for sign in ["<title>Index of /</title>", "[To Parent Directory]"] {
        assert_eq!(
            fires(&Facts {
                body: sign.to_owned(),
                ..good()
            }),
            ["http.directory-listing"]
        );
    }
}

#[test]
fn answers_are_read_when_they_are_whole() {
    let head = LISTING_PAGE.windows(4).position(|it| it == b"\r\n\r\n").unwrap() + 4;
    for length in 1..LISTING_PAGE.len() {
        assert_eq!(read(&LISTING_PAGE[..length], false), None, "{length}");
        assert_eq!(
            read(&LISTING_PAGE[..length], true).is_some(),
            length >= head,
            "{length}"
        );
    }
    assert_eq!(read(b"", false), None);
    for other in [
        &b"SSH-2.0-x"[..],
        b"\x15\x03\x01\0\x02\x02\x46",
        b"-ERR unknown command",
    ] {
        assert_eq!(read(other, false), Some(Look::Absent));
    }
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "A: b\r\n".repeat(HEADERS + 1));
    assert!(matches!(read(many.as_bytes(), false), Some(Look::Unknown(why)) if why.contains("header")));
}

#[test]
fn https_is_asked_of_whoever_answers_where_that_is_granted() {
    let place: SocketAddr = "127.0.0.1:8443".parse().unwrap();
    let time = Duration::from_secs(1);
    let unknown = |place: SocketAddr| match look_securely(place, None, time) {
        Ok(Look::Unknown(why)) => why,
        other => panic!("{other:?}"),
    };
    let host = Host::new().install();
    assert!(unknown(place).contains("does not grant"));
    // servers of mail and the like are not asked for pages
    assert!(unknown("127.0.0.1:993".parse().unwrap()).contains("something else"));
    assert_eq!(host.pages(), [(place, String::new())]);
    let page = Page {
        status: 200,
        headers: vec![("server".to_owned(), b"nginx/1.2.3".to_vec())],
        body: [b"<html>".to_vec(), vec![b'x'; 2 * BODY]].concat(),
    };
    let host = Host::new().https(place, Ok(page)).install();
    let seen = |hostname| match look_securely(place, hostname, time) {
        Ok(Look::Seen(facts)) => facts,
        other => panic!("{other:?}"),
    };
    let facts = seen(Some("nas.lan"));
    assert!(facts.secure && facts.named && facts.status == 200 && facts.body.starts_with("<html>"));
    assert_eq!(facts.body.len(), BODY);
    assert!(fires(&facts).contains(&"http.no-hsts") && fires(&facts).contains(&"http.version-disclosed"));
    // browsers keep HSTS for names only
    let verdict = judge(&seen(None));
    assert!(ids(&verdict).contains(&"http.version-disclosed") && !ids(&verdict).contains(&"http.no-hsts"));
    assert_eq!(verdict.open, [&NO_HSTS]);
    assert_eq!(host.pages(), [(place, "nas.lan".to_owned()), (place, String::new())]);
}

#[test]
fn what_ends_the_call_is_not_unknown() {
    let place: SocketAddr = "127.0.0.1:8443".parse().unwrap();
    let elsewhere = Refusal {
        capability: "net".to_owned(),
        target: format!("tcp {place}"),
        reason: "it is not granted".to_owned(),
        missing_grant: String::new(),
    };
    for error in [
        Error::Cancelled,
        Error::Limit("connections".to_owned()),
        elsewhere.into(),
    ] {
        let _host = Host::new().https(place, Err(error.clone())).install();
        assert_eq!(look_securely(place, None, Duration::from_secs(1)), Err(error));
    }
    let _host = Host::new()
        .https(place, Err(Error::TimedOut("3s".to_owned())))
        .install();
    assert!(matches!(
        look_securely(place, None, Duration::from_secs(1)),
        Ok(Look::Unknown(_))
    ));
}

proptest! {
    #[test]
    fn nothing_a_server_says_makes_it_stumble(rest in prop::collection::vec(any::<u8>(), 0..400), http: bool, ended: bool) {
        let mut heard = if http { b"HTTP/1.1 200 OK\r\n".to_vec() } else { Vec::new() };
        heard.extend(rest);
        if let Some(Look::Seen(facts)) = read(&heard, ended) {
            let _ = judge(&facts);
        }
    }

    #[test]
    fn whatever_headers_say_is_judged(value in ".{0,60}", name in 0..6_usize) {
        let names = ["set-cookie", "strict-transport-security", "location", "server", "www-authenticate", "content-type"];
        for status in [200, 301, 401] {
            let facts = Facts { status, ..with(names[name], &value) };
            prop_assert!(judge(&facts).issues.iter().all(|issue| issue.detail.chars().count() < 2500));
        }
    }
}
