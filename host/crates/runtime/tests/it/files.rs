//! The file system a guest sees: its granted directories, their quota, and nothing beside them.

use std::path::Path;

use bytesize::ByteSize;
use serde_json::json;
use venom_bundle::capability::{Access, FsGrant, Grants};
use venom_runtime::Skill;

use crate::stage::{answer, hostile};

fn with_directory(host: &Path, access: Access, quota: Option<ByteSize>) -> Skill {
    hostile(Grants {
        fs: vec![FsGrant {
            host: host.to_owned(),
            guest: "/work".to_owned(),
            access,
            quota,
        }],
        ..Grants::default()
    })
}

fn bytes_in(directory: &Path) -> u64 {
    let entries = std::fs::read_dir(directory).unwrap();
    entries.map(|entry| entry.unwrap().metadata().unwrap().len()).sum()
}

#[tokio::test]
async fn reads_and_writes_inside() {
    let directory = tempfile::tempdir().unwrap();
    let skill = with_directory(directory.path(), Access::Rw, None);
    let written = answer(&skill, "write", json!({"path": "a.txt", "text": "hello"})).await;
    assert_eq!(written["escaped"], json!(true), "{written}");
    assert_eq!(
        std::fs::read_to_string(directory.path().join("a.txt")).unwrap(),
        "hello"
    );
    let read = answer(&skill, "open", json!({"path": "a.txt"})).await;
    assert!(read["detail"].to_string().contains("hello"), "{read}");
}

#[tokio::test]
async fn never_reaches_outside() {
    let outside = tempfile::tempdir().unwrap();
    let directory = outside.path().join("inside");
    std::fs::create_dir(&directory).unwrap();
    std::fs::write(outside.path().join("secret"), "secret").unwrap();
    std::os::unix::fs::symlink("../secret", directory.join("planted")).unwrap();
    let skill = with_directory(&directory, Access::Rw, None);
    let absolute = outside.path().join("secret").display().to_string();
    for path in [
        "../secret",
        &absolute,
        "/proc/self/environ",
        "planted",
        "x/../../secret",
    ] {
        let opened = answer(&skill, "open", json!({"path": path})).await;
        assert_eq!(opened["escaped"], json!(false), "{path}: {opened}");
    }
    for (method, params) in [
        ("symlink", json!({"target": absolute})),
        ("symlink", json!({"target": "../secret", "name": "link2"})),
        ("hard_link", json!({"target": "../secret"})),
        ("rename", json!({"from": "planted", "to": "../moved"})),
        ("open_absolute", json!({"path": absolute})),
        ("write", json!({"path": "../new"})),
    ] {
        let tried = answer(&skill, method, params).await;
        assert_eq!(tried["escaped"], json!(false), "{method}: {tried}");
    }
}

#[tokio::test]
async fn read_only_means_that() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("a"), "hello").unwrap();
    let skill = with_directory(directory.path(), Access::Ro, None);
    assert_eq!(
        answer(&skill, "open", json!({"path": "a"})).await["escaped"],
        json!(true)
    );
    for path in ["a", "new"] {
        let written = answer(&skill, "write", json!({"path": path})).await;
        assert_eq!(written["escaped"], json!(false), "{written}");
    }
    assert_eq!(std::fs::read_to_string(directory.path().join("a")).unwrap(), "hello");
}

#[tokio::test]
async fn a_full_directory_takes_no_more() {
    let directory = tempfile::tempdir().unwrap();
    let skill = with_directory(directory.path(), Access::Rw, Some(ByteSize::kib(256)));
    let filled = answer(&skill, "fill_disk", json!({"bytes": 4 << 20})).await;
    assert_eq!(filled["escaped"], json!(false), "{filled}");
    let held = bytes_in(directory.path());
    assert!((64 << 10..=256 << 10).contains(&held), "{held} bytes are there");
    // Room that the operator makes is found again.
    for entry in std::fs::read_dir(directory.path()).unwrap() {
        std::fs::remove_file(entry.unwrap().path()).unwrap();
    }
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while answer(&skill, "write", json!({"path": "b", "text": "hello"})).await["escaped"] == json!(false) {
        assert!(std::time::Instant::now() < deadline, "the room is not found");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_sparse_file_counts_by_its_size() {
    let directory = tempfile::tempdir().unwrap();
    let skill = with_directory(directory.path(), Access::Rw, Some(ByteSize::mib(1)));
    let claimed = answer(&skill, "sparse_file", json!({"mebibytes": 64})).await;
    assert_eq!(claimed["escaped"], json!(false), "{claimed}");
    assert!(bytes_in(directory.path()) <= 1 << 20);
}
