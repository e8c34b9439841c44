//! Files of bundles: parts of them, too many at once, uploads that are too long, endless or slow, and the quota.

use std::time::Duration;

use bytesize::ByteSize;
use futures_util::StreamExt;
use venom_bundle::{Digest, MAX_COMPONENT_BYTES, MAX_ENVELOPE_BYTES};

use crate::harness::{ADMIN, Answer, SPORE_TOKEN, TestNexus, soon, until};
use crate::release_kit::*;

const BUNDLES: &str = "/api/v1/bundles";

struct Part {
    status: u16,
    range: String,
    bytes: Vec<u8>,
}

async fn part(nexus: &TestNexus, path: &str, headers: &[(&str, &str)]) -> Part {
    let mut request = nexus.http.get(nexus.url(path)).bearer_auth(SPORE_TOKEN);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = soon("an answer", request.send()).await.unwrap();
    let range = answer
        .headers()
        .get("content-range")
        .map_or("", |value| value.to_str().unwrap());
    Part {
        status: answer.status().as_u16(),
        range: range.to_owned(),
        bytes: soon("the bytes", answer.bytes()).await.unwrap().to_vec(),
    }
}

#[tokio::test]
async fn parts_of_a_file_make_the_file() {
    let kept = Kept::start().await;
    let nexus = &kept.nexus;
    let file = bundle("EchoSkill", "1.0.0", &[]).to_bytes();
    assert_eq!(upload(nexus, file.clone()).await.status, 201);
    let path = format!("{BUNDLES}/{}", Digest::of(&file));
    let (size, tag) = (file.len(), format!("\"{}\"", Digest::of(&file)));
    let first = part(nexus, &path, &[("range", "bytes=0-0")]).await;
    assert_eq!((first.status, first.bytes.as_slice()), (206, &file[..1]));
    assert_eq!(first.range, format!("bytes 0-0/{size}"));
    let last = part(nexus, &path, &[("range", "bytes=-1")]).await;
    assert_eq!((last.status, last.bytes.as_slice()), (206, &file[size - 1..]));
    // broken off in the middle, and taken up again
    let begun = part(nexus, &path, &[("range", "bytes=0-999")]).await.bytes;
    let range = format!("bytes={}-", begun.len());
    let rest = part(nexus, &path, &[("range", &range), ("if-range", &tag)]).await;
    assert_eq!(
        (rest.status, rest.range),
        (206, format!("bytes 1000-{}/{size}", size - 1))
    );
    assert_eq!([begun, rest.bytes].concat(), file);
    let other = part(nexus, &path, &[("range", &range), ("if-range", "\"other\"")]).await;
    assert_eq!(
        (other.status, other.bytes.len()),
        (200, size),
        "a part of another file is of no use"
    );
    let known = part(nexus, &path, &[("if-none-match", &tag)]).await;
    assert_eq!((known.status, known.bytes.len()), (304, 0));
    let past = nexus
        .http
        .get(nexus.url(&path))
        .bearer_auth(ADMIN)
        .header("range", format!("bytes={size}-"));
    let past = Answer::of(past).await;
    past.assert_problem(416, &path, "none of those asked for");
    assert_eq!(past.header("content-range"), format!("bytes */{size}"));
    assert!(nexus.metric("venom_nexus_bundle_bytes_served_total").await >= 2.0 * size as f64);
    for unknown in [
        Digest::of(b"x").to_string(),
        "nonsense".to_owned(),
        "..%2F..%2Fhive.db".to_owned(),
    ] {
        let path = format!("{BUNDLES}/{unknown}");
        nexus.get(&path).await.assert_problem(404, &path, "no bundle");
    }
    kept.stop().await;
}

#[tokio::test]
async fn more_downloads_than_may_run_are_told_to_come_back() {
    let kept = Kept::start_with(|settings| settings.releases.max_downloads = 1).await;
    let nexus = &kept.nexus;
    // larger than what sockets take in at once, so that it runs until it is read
    let large = large_bundle(24 << 20);
    let path = format!("{BUNDLES}/{}", Digest::of(&large));
    assert_eq!(upload(nexus, large.clone()).await.status, 201);
    let running = nexus.http.get(nexus.url(&path)).bearer_auth(SPORE_TOKEN);
    let running = soon("the first", running.send()).await.unwrap();
    assert_eq!(running.status(), 200);
    let second = nexus.http.get(nexus.url(&path)).bearer_auth(SPORE_TOKEN);
    let second = Answer::of(second).await;
    second.assert_problem(503, &path, "as many as may");
    assert!((1..=6).contains(&second.header("retry-after").parse::<u64>().unwrap()));
    assert_eq!(
        Digest::of(&soon("all of it", running.bytes()).await.unwrap()),
        Digest::of(&large)
    );
    until("the place to be free", async || {
        (part(nexus, &path, &[("range", "bytes=0-0")]).await.status == 206).then_some(())
    })
    .await;
    kept.stop().await;
}

/// A bundle whose component is padded to about so many bytes.
fn large_bundle(size: usize) -> Vec<u8> {
    let component = format!(
        r#"(component (component $empty) (instance $api (instantiate $empty))
            (export "venom:skill/api@0.1.0" (instance $api)) (@custom "padding" "{}"))"#,
        "x".repeat(size)
    );
    let toml = "name='LargeSkill'\nversion='1.0.0'\nsummary='a test'\nhost='*'";
    let toml = venom_bundle::SkillToml::parse(toml).unwrap();
    let packed = venom_bundle::pack(&toml, &wat::parse_str(component).unwrap(), in_seconds(0)).unwrap();
    packed.sign(&key(PUBLISHER_KEY)).to_bytes()
}

#[tokio::test]
async fn uploads_stop_at_the_limit_declared_or_not_and_leave_nothing() {
    let kept = Kept::start().await;
    let nexus = &kept.nexus;
    let limit = MAX_COMPONENT_BYTES + MAX_ENVELOPE_BYTES as u64 + 16 * 1024;
    let words = format!("limit of {limit} bytes");
    let over = vec![0; usize::try_from(limit).unwrap() + 1];
    upload(nexus, over).await.assert_problem(413, BUNDLES, &words);
    let mut left = limit + 1;
    let pieces = std::iter::from_fn(move || {
        let size = left.min(1 << 20);
        left -= size;
        (size > 0).then(|| Ok::<_, std::io::Error>(vec![0_u8; usize::try_from(size).unwrap()]))
    });
    let undeclared = reqwest::Body::wrap_stream(futures_util::stream::iter(pieces));
    upload(nexus, undeclared).await.assert_problem(413, BUNDLES, &words);
    let left = std::fs::read_dir(kept.directory.path().join("releases"))
        .unwrap()
        .count();
    assert_eq!(left, 0);
    kept.stop().await;
}

#[tokio::test]
async fn an_endless_upload_is_ended_and_a_slow_one_is_not_waited_for() {
    let kept = Kept::start_with(|settings| settings.read_timeout = Duration::from_millis(300)).await;
    let nexus = &kept.nexus;
    let endless = futures_util::stream::repeat_with(|| Ok::<_, std::io::Error>(vec![0_u8; 1 << 20]));
    let request = nexus.http.post(nexus.url(BUNDLES)).bearer_auth(ADMIN);
    // the nexus reads on for a while and then hangs up: whichever the client sees first
    match soon("an end", request.body(reqwest::Body::wrap_stream(endless)).send()).await {
        Ok(answer) => assert_eq!(answer.status(), 413),
        Err(error) => assert!(error.is_request() || error.is_body(), "{error:?}"),
    }
    let silent =
        futures_util::stream::iter([Ok::<_, std::io::Error>(vec![0_u8; 10])]).chain(futures_util::stream::pending());
    let slow = upload(nexus, reqwest::Body::wrap_stream(silent)).await;
    slow.assert_problem(408, BUNDLES, "not complete within 0.3 s");
    until("drafts to be gone", async || {
        let left = std::fs::read_dir(kept.directory.path().join("releases"))
            .unwrap()
            .count();
        (left == 0).then_some(())
    })
    .await;
    kept.stop().await;
}

#[tokio::test]
async fn the_quota_counts_what_is_there_and_what_is_refused_does_not() {
    let file = bundle("EchoSkill", "1.0.0", &[]).to_bytes();
    let room = file.len() as u64 + 100;
    let kept = Kept::start_with(|settings| settings.releases.quota = ByteSize(room)).await;
    let nexus = &kept.nexus;
    for _ in 0..3 {
        let mut tampered = file.clone();
        tampered[700] ^= 1;
        assert_ne!(upload(nexus, tampered).await.status, 507);
    }
    assert_eq!(upload(nexus, file).await.status, 201);
    let second = bundle("EchoSkill", "2.0.0", &[]).to_bytes();
    upload(nexus, second.clone())
        .await
        .assert_problem(507, BUNDLES, &format!("may have {room} bytes"));
    let directory = kept.stop().await;
    // what lies there counts for the next process too
    let mut settings = keeping(directory.path());
    settings.releases.quota = ByteSize(room);
    let again = started(
        settings,
        crate::harness::sqlite_in(directory.path(), Default::default()),
    )
    .await;
    upload(&again, second).await.assert_problem(507, BUNDLES, "may have");
    again.stop().await;
}
