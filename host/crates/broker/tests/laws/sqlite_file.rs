//! What the embedded back end promises about its file.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use tempfile::TempDir;
use venom_broker::sqlite::{Durability, SqliteBroker};
use venom_broker::{BrokerError, NewTask, Note, Settings, State};
use venom_protocol::SessionId;

use crate::client::{Hive, completed, eventually, ms, task, want};

fn file() -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("hive.db");
    (dir, path)
}

fn open(path: &Path) -> Result<SqliteBroker, BrokerError> {
    SqliteBroker::open(path, Durability::Power, Settings::default())
}

fn hive(path: &Path) -> Hive {
    Hive::new(std::sync::Arc::new(open(path).unwrap()))
}

#[tokio::test]
async fn only_its_owner_can_read_it() {
    let (dir, path) = file();
    let hive = hive(&path);
    hive.submit(&[task()]).await;
    let mut files = 0;
    for entry in fs::read_dir(dir.path()).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{:?}", entry.path());
        files += 1;
    }
    assert!(files >= 3, "the database, its log, the lock");
}

#[tokio::test]
async fn a_second_nexus_is_told_who_has_it() {
    let (_dir, path) = file();
    let first = open(&path).unwrap();
    let error = open(&path).unwrap_err();
    assert!(matches!(error, BrokerError::Refused { .. }), "{error:?}");
    let text = error.to_string();
    let owner = format!("process {}", std::process::id());
    for part in ["another nexus", owner.as_str(), "stop that one", path.to_str().unwrap()] {
        assert!(text.contains(part), "{text}");
    }
    drop(first);
    open(&path).unwrap();
}

#[tokio::test]
async fn a_newer_file_is_left_alone() {
    let (_dir, path) = file();
    drop(open(&path).unwrap());
    Connection::open(&path)
        .unwrap()
        .pragma_update(None, "user_version", 99)
        .unwrap();
    let text = open(&path).unwrap_err().to_string();
    assert!(text.contains("format 99") && text.contains("newer version"), "{text}");
}

#[tokio::test]
async fn what_is_no_database_is_told() {
    let (_dir, path) = file();
    fs::write(
        &path,
        "this is a letter to a friend, and no database at all. ".repeat(100),
    )
    .unwrap();
    let error = open(&path).unwrap_err();
    assert!(matches!(error, BrokerError::Corrupt { .. }), "{error:?}");
    assert!(error.to_string().contains("move it away"), "{error}");
}

#[tokio::test]
async fn a_directory_that_is_not_there_is_told() {
    let (dir, _) = file();
    let error = open(&dir.path().join("nowhere/hive.db")).unwrap_err();
    assert!(matches!(error, BrokerError::Refused { .. }), "{error:?}");
    assert!(error.to_string().contains("nowhere"), "{error}");
}

#[tokio::test]
async fn a_record_that_cannot_be_read_is_put_aside() {
    let (_dir, path) = file();
    let ids = {
        let hive = hive(&path);
        hive.submit_some(3).await
    };
    let damaged = Connection::open(&path).unwrap();
    damaged
        .execute("UPDATE bodies SET body = x'ff00ff' WHERE seq = 1", [])
        .unwrap();
    damaged.execute("DELETE FROM bodies WHERE seq = 2", []).unwrap();
    drop(damaged);
    let hive = hive(&path);
    let session = SessionId::random();
    hive.renew_with(session, Note::default()).await;
    assert_eq!(
        hive.list(State::Pending).await.len(),
        1,
        "a list shows what can be read"
    );
    let error = hive.broker.tasks(vec![ids[0]]).await.unwrap_err();
    assert!(matches!(error, BrokerError::Corrupt { .. }), "{error:?}");
    let claim = hive.claim_wants(session, &[want(1)], 1).await;
    assert_eq!(claim.leases.iter().map(|lease| lease.id).collect::<Vec<_>>(), [ids[2]]);
    assert_eq!(hive.tend().await.corrupt, 2);
    assert_eq!(hive.tend().await.corrupt, 0, "told once");
    assert_eq!(hive.counts().await.waiting(), 0);
    hive.submit_some(1).await;
    assert_eq!(hive.claim(session, 5).await.len(), 1);
}

#[tokio::test]
async fn damaged_rows_do_not_keep_it_from_starting() {
    let (_dir, path) = file();
    let session = SessionId::random();
    let (parent, child, due) = (task(), task(), task());
    {
        let hive = hive(&path);
        hive.renew(session).await;
        hive.submit_some(3).await;
        assert_eq!(hive.claim(session, 2).await.len(), 2);
        let child = NewTask {
            depends_on: vec![parent.id],
            ..child
        };
        let due = NewTask { delay: ms(1), ..due };
        hive.submit(&[parent, child, due]).await;
    }
    let damaged = Connection::open(&path).unwrap();
    for change in [
        "UPDATE tasks SET id = x'07' WHERE seq = 1",
        "UPDATE sessions SET id = 'nobody'",
        "UPDATE tasks SET id = x'0707' WHERE seq = 5",
        "UPDATE tasks SET lane = 'x' WHERE seq = 6",
        "INSERT INTO lanes (name, tasks) VALUES ('no;lane', 1)",
    ] {
        assert_eq!(damaged.execute(change, []).unwrap(), 1, "{change}");
    }
    drop(damaged);
    let hive = hive(&path);
    let mut corrupt = 0;
    eventually("the lease of nobody is back and the delayed one was met", async || {
        let tended = hive.tend().await;
        corrupt += tended.corrupt;
        corrupt == 3 && hive.counts().await.running == 0
    })
    .await;
    let session = hive.session().await;
    let leases = hive.claim(session, 9).await;
    assert_eq!(leases.len(), 3);
    for lease in leases {
        hive.end(session, &lease, completed("1")).await;
    }
    assert_eq!(hive.tend().await.corrupt, 1, "the dependent");
    let counts = hive.counts().await;
    assert_eq!((counts.completed, counts.waiting(), counts.running), (3, 0, 0));
}
