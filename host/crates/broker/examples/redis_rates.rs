//! Rates of the Redis back end on a server of its own: submit, claim and finish in batches, on an empty queue and on a
//! long one, and what each task costs the server.
//!
//! `cargo run --release -p venom-broker --example redis_rates [tasks] [batch] [queued] [redis settings…]`
#![expect(clippy::print_stdout, reason = "it prints what it measured")]

use std::error::Error;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use venom_broker::redis::{RedisBroker, RedisSettings};
use venom_broker::{Broker, Ending, EndingKind, Lease, NewTask, Note, Settings, Want};
use venom_protocol::{Lane, NodeId, Priority, Requirements, SessionId, TaskId};

type Done<T> = Result<T, Box<dyn Error>>;

/// Requests at the same time.
const AT_ONCE: usize = 2;

fn lane() -> Lane {
    Lane::of("EchoSkill", &Requirements::default(), None)
}

fn task() -> NewTask {
    NewTask {
        id: TaskId::next(),
        lane: lane(),
        priority: Priority::BACKGROUND,
        delay: Duration::ZERO,
        idempotency: None,
        depends_on: Vec::new(),
        body: r#"{"skill_name":"EchoSkill","method_name":"echo","parameters":{"text":"hello, hello, hello, hello"},"timeout":300.0,"max_retries":3,"task_type":"bench"}"#
            .to_owned(),
    }
}

fn ending(lease: &Lease, node: NodeId) -> Ending {
    Ending {
        id: lease.id,
        fence: lease.fence,
        node: Some(node),
        started_at: lease.created_at,
        kind: EndingKind::Completed {
            result: r#"{"text":"hello"}"#.to_owned(),
        },
    }
}

/// A server on a port of its own.
struct Server {
    process: Child,
    port: u16,
    _dir: tempfile::TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ended = self.process.kill().and_then(|()| self.process.wait());
    }
}

impl Server {
    fn start(settings: &[String]) -> Done<Self> {
        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let dir = tempfile::tempdir()?;
        let mut command = Command::new("redis-server");
        command.args(["--port", &port.to_string(), "--save", ""]).args(settings);
        let process = command.current_dir(dir.path()).stdout(Stdio::null()).spawn()?;
        Ok(Self {
            process,
            port,
            _dir: dir,
        })
    }

    /// Processor time it has used.
    fn cpu(&self) -> Done<Duration> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.process.id()))?;
        let (_, rest) = stat.rsplit_once(") ").ok_or("no stat")?;
        let ticks: u64 = rest
            .split(' ')
            .skip(11)
            .take(2)
            .filter_map(|word| word.parse::<u64>().ok())
            .sum();
        Ok(Duration::from_millis(ticks * 10))
    }
}

struct Bench {
    server: Server,
    broker: RedisBroker,
    session: SessionId,
    node: NodeId,
    batch: usize,
}

impl Bench {
    async fn submit(&self, tasks: usize) -> Done<()> {
        let one = async || -> Done<()> {
            for _ in 0..tasks / self.batch / AT_ONCE {
                self.broker.submit((0..self.batch).map(|_| task()).collect()).await?;
            }
            Ok(())
        };
        tokio::try_join!(one(), one()).map(|_| ())
    }

    async fn claim(&self, tasks: usize) -> Done<Vec<Lease>> {
        let want = Want {
            lane: lane(),
            priority: Priority::BACKGROUND,
            most: self.batch,
        };
        let mut leases = Vec::with_capacity(tasks);
        for _ in 0..tasks / self.batch {
            leases.append(
                &mut self
                    .broker
                    .claim(self.session, vec![want.clone()], self.batch)
                    .await?
                    .leases,
            );
        }
        Ok(leases)
    }

    async fn finish(&self, leases: &[Lease]) -> Done<()> {
        for some in leases.chunks(self.batch) {
            self.broker
                .finish(
                    self.session,
                    some.iter().map(|lease| ending(lease, self.node)).collect(),
                )
                .await?;
        }
        Ok(())
    }

    /// Claims and finishes at the same time, as a nexus does.
    async fn work(&self, tasks: usize) -> Done<()> {
        let one = async || -> Done<()> {
            let mut done = 0;
            while done < tasks / AT_ONCE {
                let leases = self.claim(self.batch).await?;
                done += leases.len();
                self.finish(&leases).await?;
            }
            Ok(())
        };
        tokio::try_join!(one(), one()).map(|_| ())
    }

    async fn timed<T>(&self, name: &str, tasks: usize, work: impl Future<Output = Done<T>>) -> Done<T> {
        let (begin, cpu) = (Instant::now(), self.server.cpu()?);
        let done = work.await?;
        let (took, cpu) = (
            begin.elapsed().as_secs_f64(),
            self.server.cpu()?.saturating_sub(cpu).as_secs_f64(),
        );
        let tasks = f64::from(u32::try_from(tasks)?);
        println!(
            "  {name}: {:.0}/s, server {:.2} us a task",
            tasks / took,
            cpu * 1e6 / tasks
        );
        Ok(done)
    }

    async fn measure(&self, name: &str, tasks: usize) -> Done<()> {
        self.broker.renew(self.session, Note::default()).await?;
        println!("{name}, {tasks} tasks in batches of {}", self.batch);
        self.timed("submit", tasks, self.submit(tasks)).await?;
        let leases = self.timed("claim", tasks, self.claim(tasks)).await?;
        self.timed("finish", tasks, self.finish(&leases)).await?;
        self.submit(tasks).await?;
        self.timed("claim and finish", tasks, self.work(tasks)).await
    }
}

#[tokio::main]
async fn main() -> Done<()> {
    let mut words = std::env::args().skip(1);
    let tasks: usize = words.next().map_or(Ok(200_000), |word| word.parse())?;
    let batch: usize = words.next().map_or(Ok(500), |word| word.parse())?;
    // whole batches for each of those who ask at the same time
    let tasks = tasks - tasks % (batch * AT_ONCE);
    let queued: usize = words.next().map_or(Ok(0), |word| word.parse())?;
    let server = Server::start(&words.collect::<Vec<_>>())?;
    let settings = Settings {
        session_ttl: Duration::from_secs(600),
        ..Settings::default()
    };
    let redis = RedisSettings::new(format!("redis://127.0.0.1:{}", server.port));
    let bench = Bench {
        broker: RedisBroker::new(redis, settings)?,
        server,
        session: SessionId::random(),
        node: NodeId::random(),
        batch,
    };
    while bench.broker.check().await.is_err() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    bench.measure("empty queue", tasks).await?;
    if queued > 0 {
        bench.timed("fill the queue", queued, bench.submit(queued)).await?;
        bench.measure("long queue", tasks).await?;
    }
    let begin = Instant::now();
    for _ in 0..1_000 {
        bench.broker.submit(vec![task()]).await?;
    }
    println!("one alone: {:?}", begin.elapsed() / 1_000);
    Ok(())
}
