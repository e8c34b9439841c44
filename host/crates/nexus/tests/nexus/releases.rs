//! Releases by the straight road: a root, a bundle, a release, what spores are answered, the file itself.

use serde_json::json;
use venom_bundle::{Channel, Digest, TrustState};

use crate::harness::{ADMIN, Answer, FakeSpore, SPORE_TOKEN, VIEWER, soon};
use crate::release_kit::*;

#[tokio::test]
async fn a_published_release_reaches_a_spore_that_believes_it() {
    let kept = Kept::start().await;
    let nexus = &kept.nexus;
    let trust = nexus.get("/api/v1/trust").await.body;
    assert_eq!(
        (&trust["swarm_id"], &trust["root_version"]),
        (&json!("test-swarm"), &json!(1))
    );
    let mut spore = FakeSpore::v2(nexus, &[]).await;
    let before = asked(&mut spore, 0, None, 0).await;
    assert_eq!(before["roots"], json!([trust["root"]]));
    assert!(
        before.get("release").is_none() && before.get("rollout").is_none(),
        "{before}"
    );

    let release = published(nexus, 1, None, None).await;
    let hint = heard(&mut spore, "BROADCAST").await;
    assert_eq!(
        (&hint["command"], &hint["data"]["channel"]),
        (&json!("UPDATE_SYSTEM"), &json!("stable"))
    );
    assert_eq!(hint["data"]["release_sha256"], json!(release.unsigned().digest()));
    assert_eq!((&hint["data"]["seq"], &hint["data"]["counter"]), (&json!(1), &json!(1)));

    // whoever was hinted finds it
    let answer = asked(&mut spore, 1, None, 0).await;
    let mut state = TrustState::new(trusted_root(), Channel::default());
    state
        .take_release(answer["release"].as_str().unwrap().as_bytes())
        .unwrap();
    state
        .take_rollout(answer["rollout"].as_str().unwrap().as_bytes())
        .unwrap();
    assert_eq!(state.current().unwrap().release.release(), &release);
    assert!(answer.get("roots").is_none(), "{answer}");
    let nothing = asked(&mut spore, 1, Some(&release), 1).await;
    for absent in ["roots", "release", "rollout"] {
        assert!(nothing.get(absent).is_none(), "{nothing}");
    }

    let bundle = &release.entries[0].bundle;
    let file = nexus
        .http
        .get(nexus.url(&format!("/api/v1/bundles/{}", bundle.file_sha256)));
    let file = soon("the file", file.bearer_auth(SPORE_TOKEN).send()).await.unwrap();
    assert_eq!(
        (file.status().as_u16(), file.content_length()),
        (200, Some(bundle.size))
    );
    assert_eq!(
        Digest::of(&soon("bytes", file.bytes()).await.unwrap()),
        bundle.file_sha256
    );
    kept.stop().await;
}

#[tokio::test]
async fn what_is_published_is_listed_and_publishing_it_again_changes_nothing() {
    let kept = Kept::start().await;
    let nexus = &kept.nexus;
    let first = published(nexus, 1, None, None).await;
    let again = publish(nexus, &first, None).await;
    assert_eq!((again.status, &again.body["counter"]), (200, &json!(1)), "{again:?}");
    let digest = first.unsigned().digest();
    let second = published(nexus, 7, Some(digest), None).await;
    let listed = nexus.get("/api/v1/releases?channel=stable").await.body;
    let seqs: Vec<_> = listed["releases"]
        .as_array()
        .unwrap()
        .iter()
        .map(|view| (&view["seq"], &view["current"]))
        .collect();
    assert_eq!(seqs, [(&json!(7), &json!(true)), (&json!(1), &json!(false))]);
    assert_eq!(listed["releases"][0]["entries"], json!(["EchoSkill 7.0.0"]));
    let current = nexus.get("/api/v1/releases/current").await.body;
    assert_eq!(current["release"], release_text(&second));
    let bundles = nexus.get("/api/v1/bundles").await.body;
    let versions: Vec<_> = bundles["bundles"]
        .as_array()
        .unwrap()
        .iter()
        .map(|view| &view["version"])
        .collect();
    assert_eq!(versions, [&json!("7.0.0"), &json!("1.0.0")]);
    assert_eq!(bundles["bundles"][0]["publisher"], "tester");
    let directory = kept.stop().await;
    let lines = Kept::audited(&directory, "release_published");
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert_eq!(lines[0]["by"], "owner");
}

#[tokio::test]
async fn only_admins_change_what_runs_and_spores_fetch_files_only() {
    let kept = Kept::start().await;
    let nexus = &kept.nexus;
    let release = published(nexus, 1, None, None).await;
    for path in [
        "/api/v1/releases",
        "/api/v1/bundles",
        "/api/v1/trust/roots",
        "/api/v1/rollouts/stable/pause",
    ] {
        let operator = nexus.post(path, &json!({})).await;
        operator.assert_problem(403, path, "has scope operator, this needs admin");
        let spore = Answer::of(nexus.http.post(nexus.url(path)).bearer_auth(SPORE_TOKEN)).await;
        spore.assert_problem(401, path, "not known");
    }
    let path = format!("/api/v1/bundles/{}", release.entries[0].bundle.file_sha256);
    for token in [SPORE_TOKEN, VIEWER, ADMIN] {
        let head = Answer::of(nexus.http.head(nexus.url(&path)).bearer_auth(token)).await;
        assert_eq!(head.status, 200, "{head:?}");
        assert_eq!(
            head.header("content-length"),
            release.entries[0].bundle.size.to_string()
        );
    }
    for other in ["/api/v1/bundles", "/api/v1/releases", "/api/v1/nodes"] {
        let spore = Answer::of(nexus.http.get(nexus.url(other)).bearer_auth(SPORE_TOKEN)).await;
        spore.assert_problem(401, other, "not known");
    }
    let delete = Answer::of(nexus.http.delete(nexus.url(&path)).bearer_auth(SPORE_TOKEN)).await;
    delete.assert_problem(401, &path, "not known");
    kept.stop().await;
}
