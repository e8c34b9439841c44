//! Secrets reach their audience and nobody else.

use super::*;

const VALUE: &str = "geheim-4711";

async fn caller(server: &Server, audience: &str) -> Caller {
    let secret = SecretGrant {
        env: Some("TOKEN".to_owned()),
        file: None,
        audience: vec![audience.to_owned()],
    };
    let setup = Setup::new(vec![grant(&server.host(), &["127.0.0.1"])]);
    Setup {
        secrets: BTreeMap::from([("api-token".to_owned(), secret)]),
        ..setup
    }
    .call()
}

fn bearing(server: &Server, path: &str, placeholder: &str) -> http::request::Builder {
    Request::get(server.uri(path)).header("authorization", format!("Bearer {placeholder}"))
}

#[tokio::test]
async fn the_audience_gets_the_secret_and_the_guest_a_placeholder() {
    let server = Server::start().await;
    let mut caller = caller(&server, &server.host()).await;
    let placeholder = caller.call.secret("api-token").unwrap();
    assert!(!placeholder.contains(VALUE));
    assert_eq!(caller.call.secret("api-token").unwrap(), placeholder);
    caller
        .send(bearing(&server, "/", &placeholder), RequestOptions::default())
        .await
        .unwrap();
    assert_eq!(server.seen()[0].headers["authorization"], format!("Bearer {VALUE}"));
}

#[tokio::test]
async fn any_other_host_gets_no_request_at_all() {
    let server = Server::start().await;
    let mut caller = caller(&server, "api.example.com").await;
    let placeholder = caller.call.secret("api-token").unwrap();
    let sent = caller
        .send(bearing(&server, "/", &placeholder), RequestOptions::default())
        .await;
    assert!(matches!(sent, Err(Error::HttpRequestDenied)), "{sent:?}");
    assert!(
        caller
            .refusal()
            .reason
            .contains("secret `api-token` may not be sent to this host"),
        "{}",
        caller.refusal()
    );
    assert!(server.seen().is_empty());
}

#[tokio::test]
async fn a_placeholder_works_in_headers_of_its_own_call_only() {
    let server = Server::start().await;
    let mut first = caller(&server, &server.host()).await;
    let placeholder = first.call.secret("api-token").unwrap();
    let sent = first.get(&server.uri(&format!("/?token={placeholder}"))).await;
    assert!(matches!(sent, Err(Error::HttpRequestDenied)), "{sent:?}");
    let mut second = caller(&server, &server.host()).await;
    assert_ne!(second.call.secret("api-token").unwrap(), placeholder);
    second
        .send(bearing(&server, "/", &placeholder), RequestOptions::default())
        .await
        .unwrap();
    assert_eq!(
        server.seen()[0].headers["authorization"],
        format!("Bearer {placeholder}")
    );
}

#[tokio::test]
async fn a_response_header_that_repeats_the_secret_is_blanked() {
    let server = Server::start().await;
    let mut caller = caller(&server, &server.host()).await;
    let placeholder = caller.call.secret("api-token").unwrap();
    let answer = caller
        .send(bearing(&server, "/mirror", &placeholder), RequestOptions::default())
        .await;
    let (_, headers, body) = answer.unwrap();
    assert_eq!(
        (&headers["x-mirror"], &headers["x-other"]),
        (&"[secret]".parse().unwrap(), &"plain".parse().unwrap())
    );
    assert_eq!(body.as_ref(), b"mirrored");
}

#[tokio::test]
async fn a_secret_that_is_not_granted_is_refused_by_name() {
    let server = Server::start().await;
    let mut caller = caller(&server, &server.host()).await;
    let refusal = caller.call.secret("other").unwrap_err();
    assert_eq!((refusal.capability, refusal.target.as_str()), ("secret", "other"));
    assert!(refusal.reason.contains("granted: api-token"), "{refusal}");
    assert!(
        refusal.missing_grant.starts_with("[skills.Skill.secrets.\"other\"]"),
        "{refusal}"
    );
}

#[tokio::test]
async fn no_debug_output_shows_a_value() {
    let server = Server::start().await;
    let mut caller = caller(&server, &server.host()).await;
    let placeholder = caller.call.secret("api-token").unwrap();
    caller
        .send(bearing(&server, "/", &placeholder), RequestOptions::default())
        .await
        .unwrap();
    assert!(!format!("{:?} {:?}", caller.call, caller.refusals).contains(VALUE));
}
