//! Keeps the write-ahead log short. Copying it into the file waits for the disk, so a thread of its own does that while
//! the writer goes on; only when the log has become long all the same, the writer stops for the rest of it, as the log
//! can begin anew only when nothing is left.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use rusqlite::Connection;

/// Pages, by the writer's estimate, after which the log is worth copying: 4 MiB.
const WORTH: usize = 1_024;

/// Pages that a round of the writer touches beside those of its tasks: ends of the table and of its indices.
const ROUND: usize = 8;

/// Tasks on a page, over table, bodies and indices.
const TASKS: usize = 8;

/// Pages of the log, 64 MiB, after which the writer stops for it.
const LONG: i64 = 16 * 1_024;

/// The writer's end.
#[derive(Debug)]
pub(super) struct Log {
    copy: SyncSender<()>,
    is_long: Arc<AtomicBool>,
    pages: usize,
}

impl Log {
    /// To be told after each round.
    pub(super) fn grew(&mut self, conn: &Connection, tasks: usize) {
        self.pages += ROUND + tasks / TASKS;
        if self.pages >= WORTH {
            self.pages = 0;
            // When it is at work it will see these pages too, or else be told again soon.
            let _busy = self.copy.try_send(());
        }
        if self.is_long.load(Ordering::Relaxed) {
            if let Err(error) = copy(conn) {
                tracing::warn!(%error, "the write-ahead log could not be copied into the file; it grows until it can");
            }
            self.is_long.store(false, Ordering::Relaxed);
        }
    }
}

/// The thread that copies.
#[derive(Debug)]
pub(super) struct Keeper {
    thread: Option<JoinHandle<()>>,
}

impl Keeper {
    /// It ends when the writer's end is dropped.
    pub(super) fn start(conn: Connection) -> std::io::Result<(Self, Log)> {
        // One order in waiting is as good as many.
        let (copy, copies) = sync_channel(1);
        let is_long = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&is_long);
        let thread = std::thread::Builder::new()
            .name("broker-log".to_owned())
            .spawn(move || keep(&conn, &copies, &told))?;
        let log = Log {
            copy,
            is_long,
            pages: 0,
        };
        let thread = Some(thread);
        Ok((Self { thread }, log))
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        let _panicked = self.thread.take().map(JoinHandle::join);
    }
}

fn keep(conn: &Connection, copies: &Receiver<()>, is_long: &AtomicBool) {
    while copies.recv().is_ok() {
        // The writer does the rest itself; two cannot copy at one time.
        if is_long.load(Ordering::Relaxed) {
            continue;
        }
        match copy(conn) {
            Ok(pages) => is_long.store(pages > LONG, Ordering::Relaxed),
            Err(error) => tracing::warn!(%error, "the write-ahead log could not be copied into the file"),
        }
    }
}

/// Copies what nobody reads any more; gives the pages of the log, of which all that could be are copied now.
fn copy(conn: &Connection) -> rusqlite::Result<i64> {
    conn.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| row.get(1))
}
