//! The apalis-redis side of the task-queue benchmark; see ../README.md for what is measured and why it is set so.
//!
//! ```text
//! venom-bench-apalis REDIS_PORT throughput N | throughput-unlocked N | latency N | speedup
//! ```
//!
//! Prints one line of JSON. `venom-bench-apalis REDIS_PORT worker NAME BATCH CONCURRENCY LOCKS` is a worker
//! process: it prints "ready", consumes once it reads "go", and ends when its stdin closes, so that none
//! outlives its driver.

mod scenario;
mod worker;

use apalis_redis::{Config, RedisStorage};
use serde::{Deserialize, Serialize};

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// A task: about 40 bytes of JSON.
#[derive(Clone, Serialize, Deserialize)]
struct Item {
    item: u64,
    text: String,
    sleep_ms: u64,
}

/// How a worker process is set.
#[derive(Clone, Copy)]
struct Settings {
    /// Tasks fetched at a time.
    batch: usize,
    /// Tasks at the same time; 0 is no limit.
    concurrency: usize,
    /// Whether a fetched task is locked, as is the default. The lock's cost grows with the backlog.
    locks: bool,
}

/// What all processes of a run share.
struct Bench {
    port: String,
    connection: redis::aio::ConnectionManager,
}

impl Bench {
    async fn connect(port: String) -> Result<Self, Failure> {
        let connection = apalis_redis::connect(format!("redis://127.0.0.1:{port}")).await?;
        Ok(Self { port, connection })
    }

    fn storage(&self, settings: Settings) -> RedisStorage<Item> {
        let config = Config::default()
            .queue("bench")
            .batch_size(settings.batch)
            .lock_tasks(settings.locks)
            .emit_events(false);
        RedisStorage::new(self.connection.clone()).with_config(config)
    }
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let Some((port, rest)) = words.split_first() else {
        return Err("usage: venom-bench-apalis REDIS_PORT throughput N | latency N | speedup".into());
    };
    let bench = Bench::connect((*port).to_owned()).await?;
    match rest {
        ["throughput", count] => scenario::throughput(bench, count.parse()?, true).await,
        ["throughput-unlocked", count] => scenario::throughput(bench, count.parse()?, false).await,
        ["latency", count] => scenario::latency(bench, count.parse()?).await,
        ["speedup"] => scenario::speedup(bench).await,
        ["worker", name, batch, concurrency, locks] => {
            let settings = Settings {
                batch: batch.parse()?,
                concurrency: concurrency.parse()?,
                locks: locks.parse()?,
            };
            worker::run(bench, name, settings).await
        }
        _ => Err(format!("unknown scenario {rest:?}").into()),
    }
}
