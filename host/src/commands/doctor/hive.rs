//! Where a nexus here would keep tasks: its file and the room for it, or Redis.

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use rustix::fs::{Access, access, statvfs};
use venom_broker::Broker as _;
use venom_broker::redis::{RedisBroker, RedisSettings};

use super::Check;
use crate::failure::chain;
use crate::settings::{HiveSettings, Kept};

/// A Redis that has not answered by then is not there.
const PATIENCE: Duration = Duration::from_secs(3);

/// A queue of two million small tasks takes about as much.
const PLENTY: u64 = 2 * 1024 * 1024 * 1024;

const MIB: u64 = 1024 * 1024;

/// Less, and the next busy hour fills the disk.
const TOO_LITTLE: u64 = 64 * MIB;

/// The file of tasks and Redis; what is not used is skipped.
pub(super) async fn check(settings: &HiveSettings) -> [Check; 2] {
    match &settings.kept {
        Kept::Nowhere => [
            Check::skip(FILE, "no tasks are kept (ENABLE_HIVE, [hive] enabled)"),
            Check::skip(REDIS, "no tasks are kept"),
        ],
        Kept::File { path, .. } => [file(path), Check::skip(REDIS, "not configured, not needed")],
        Kept::Redis(redis) => [
            Check::skip(FILE, "not used: tasks are kept in Redis"),
            answers(redis, settings).await,
        ],
    }
}

const FILE: &str = "tasks";
const REDIS: &str = "redis";

/// The file, or the directory it will be made in, can be written and has room to grow.
fn file(path: &Path) -> Check {
    let exists = path.exists();
    let directory = path.parent().unwrap_or(Path::new("."));
    let writable = if exists { path } else { directory };
    for place in [writable, directory] {
        if let Err(error) = access(place, Access::READ_OK | Access::WRITE_OK) {
            return Check::fail(
                FILE,
                format!("{} cannot be written: {error}", place.display()),
                "let the user that runs the nexus write it, or name another data directory",
            );
        }
    }
    let room = match statvfs(directory) {
        Ok(disk) => disk.f_bavail.saturating_mul(disk.f_frsize),
        Err(error) => return Check::fail(FILE, format!("{}: {error}", directory.display()), "look at its disk"),
    };
    let state = match (exists, is_in_use(path)) {
        (false, _) => "is made by the first nexus",
        (true, true) => "is used by a nexus now",
        (true, false) => "can be written",
    };
    let text = format!("{} {state}; {} MiB are free", path.display(), room / MIB);
    match room {
        0..TOO_LITTLE => Check::fail(FILE, text, "free space on its disk: a full one takes no tasks"),
        TOO_LITTLE..PLENTY => Check::warn(
            FILE,
            text,
            "a long queue needs more; free space, or lower HIVE_MAX_QUEUED",
        ),
        _ => Check::ok(FILE, text),
    }
}

/// A nexus that uses the file holds a lock beside it.
fn is_in_use(path: &Path) -> bool {
    let mut lock = path.as_os_str().to_owned();
    lock.push(".lock");
    File::open(lock).is_ok_and(|lock| matches!(lock.try_lock(), Err(std::fs::TryLockError::WouldBlock)))
}

/// As a nexus would: address, TLS, login, version and rights.
async fn answers(redis: &RedisSettings, settings: &HiveSettings) -> Check {
    let redis = RedisSettings {
        connect_timeout: PATIENCE,
        answer_timeout: PATIENCE,
        ..redis.clone()
    };
    let help =
        "start it or repair what is named there; without REDIS_URL, REDIS_HOST and [redis] tasks are kept in a file";
    let broker = match RedisBroker::new(redis, settings.broker.clone()) {
        Ok(broker) => broker,
        Err(error) => return Check::fail(REDIS, chain(&error), help),
    };
    let asked = async {
        broker.check().await?;
        broker.counts().await
    };
    match tokio::time::timeout(2 * PATIENCE, asked).await {
        Ok(Ok(counts)) => Check::ok(
            REDIS,
            format!(
                "{} answers, lets us in and is new enough; {} tasks wait",
                broker.place(),
                counts.waiting()
            ),
        ),
        Ok(Err(error)) => Check::fail(REDIS, chain(&error), help),
        Err(_) => Check::fail(REDIS, format!("{} does not answer", broker.place()), help),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::doctor::Status;

    #[test]
    fn a_directory_that_is_not_there_cannot_be_written() {
        assert_eq!(file(Path::new("/nowhere/hive.db")).status, Status::Fail);
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("hive.db");
        assert_ne!(file(&path).status, Status::Skip);
        assert!(file(&path).detail.contains("is made by the first nexus"));
        assert!(!path.exists(), "doctor changes nothing");
    }

    #[test]
    fn a_nexus_that_uses_the_file_is_seen() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("hive.db");
        std::fs::write(&path, "").unwrap();
        assert!(!is_in_use(&path));
        let lock = File::create(directory.path().join("hive.db.lock")).unwrap();
        lock.try_lock().unwrap();
        assert!(is_in_use(&path));
    }
}
