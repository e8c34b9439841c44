//! Envelopes that are none, and files that are no archives.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use venom_bundle::{
    ArchiveError, BundleError, EnvelopeError, JsonError, MAX_ENVELOPE_BYTES, PAYLOAD_TYPE, UnverifiedBundle,
    pre_authentication_encoding,
};

use crate::support::{archive, good};

fn envelope_error(envelope: &[u8]) -> EnvelopeError {
    match UnverifiedBundle::parse(archive(envelope, b"")) {
        Err(BundleError::Envelope(error)) => error,
        other => panic!("{other:?}"),
    }
}

/// The example of the DSSE specification, `protocol.md`.
#[test]
fn the_pre_authentication_encoding_is_the_one_of_the_specification() {
    let encoded = pre_authentication_encoding("http://example.com/HelloWorld", b"hello world");
    assert_eq!(encoded, b"DSSEv1 29 http://example.com/HelloWorld 11 hello world");
    assert_eq!(pre_authentication_encoding("", b""), b"DSSEv1 0  0 ");
    assert_eq!(
        pre_authentication_encoding("\u{e9}", b"\xff"),
        b"DSSEv1 2 \xc3\xa9 1 \xff"
    );
}

#[test]
fn envelopes_are_strict_json() {
    let good = format!(r#"{{"payloadType":"{PAYLOAD_TYPE}","payload":"","signatures":[]}}"#);
    UnverifiedBundle::parse(archive(good.as_bytes(), b"")).unwrap();
    let body = good.strip_suffix('}').unwrap();
    let json = |text: String| match envelope_error(text.as_bytes()) {
        EnvelopeError::Json(error) => error,
        other => panic!("{text}: {other}"),
    };
    assert!(matches!(json(format!("{body},\"payload\":\"\"}}")), JsonError::DuplicateKey { key } if key == "payload"));
    assert!(
        matches!(json(format!("{body},\"payl\\u006fad\":\"\"}}")), JsonError::DuplicateKey { key } if key == "payload")
    );
    assert!(matches!(
        json(format!("{body},\"x\":{}", "[".repeat(50_000))),
        JsonError::TooDeep
    ));
    assert!(matches!(
        json(format!("{body},\"x\":9007199254740993}}")),
        JsonError::Number
    ));
    assert!(matches!(json(format!("{good}x")), JsonError::Syntax(_)));
    assert!(matches!(
        envelope_error(b"{\"payloadType\":\"\xc0\"}"),
        EnvelopeError::Json(JsonError::Utf8 { .. })
    ));
}

#[test]
fn envelopes_have_the_fields_of_dsse_and_no_others() {
    for text in [
        "[]",
        "null",
        "{}",
        r#"{"payload":"","signatures":[]}"#,
        r#"{"payloadType":"t","payload":"","signatures":{}}"#,
    ] {
        assert!(
            matches!(envelope_error(text.as_bytes()), EnvelopeError::Fields(_)),
            "{text}"
        );
    }
    let envelope = |payload: &str, signatures: &str| {
        format!(r#"{{"payloadType":"t","payload":"{payload}","signatures":[{signatures}]}}"#)
    };
    for payload in ["=", "QQ", "QR==", "Q Q=", "-_-_", "QQ==QQ=="] {
        let error = envelope_error(envelope(payload, "").as_bytes());
        assert!(
            matches!(error, EnvelopeError::Base64 { field: "payload" }),
            "{payload}: {error}"
        );
    }
    let error = envelope_error(envelope("", r#"{"sig":"%"}"#).as_bytes());
    assert!(matches!(error, EnvelopeError::Base64 { field: "sig" }));
    for length in [0, 63, 65] {
        let signature = format!(r#"{{"sig":"{}"}}"#, STANDARD.encode(vec![1; length]));
        let error = envelope_error(envelope("", &signature).as_bytes());
        assert!(
            matches!(error, EnvelopeError::SignatureLength { length: it } if it == length),
            "{error}"
        );
    }
    let error = envelope_error(envelope("", r#"{"sig":"","cert":""}"#).as_bytes());
    assert!(matches!(error, EnvelopeError::Fields(_)));
}

#[test]
fn an_envelope_over_its_cap_is_refused_by_its_declared_size() {
    let exact = vec![b' '; MAX_ENVELOPE_BYTES];
    assert!(matches!(envelope_error(&exact), EnvelopeError::Json(_)));
    let error = UnverifiedBundle::parse(archive(&[exact.as_slice(), b" "].concat(), b"")).unwrap_err();
    assert!(
        matches!(error, BundleError::Archive(ArchiveError::TooLarge { .. })),
        "{error}"
    );
}

#[test]
fn files_are_read_from_disk_and_errors_name_them() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("echo.venom");
    let error = UnverifiedBundle::read(&path).unwrap_err().to_string();
    assert!(error.contains("echo.venom"), "{error}");
    std::fs::write(&path, good().to_bytes()).unwrap();
    assert_eq!(
        UnverifiedBundle::read(&path).unwrap().claimed().digest(),
        &good().digest()
    );
    let error = UnverifiedBundle::read(directory.path()).unwrap_err();
    assert!(matches!(error, BundleError::Read { .. }), "{error}");
    for text in ["", "PK\u{3}\u{4}", "not a bundle at all"] {
        std::fs::write(&path, text.repeat(100)).unwrap();
        assert!(
            matches!(UnverifiedBundle::read(&path), Err(BundleError::Archive(_))),
            "{text}"
        );
    }
}
