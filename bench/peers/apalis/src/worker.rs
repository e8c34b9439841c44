//! A worker process, and starting and ending some of them.

use std::io::BufRead;
use std::process::Stdio;
use std::time::Duration;

use apalis::prelude::*;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};

use crate::{Bench, Failure, Item, Settings};

/// How often an idle worker asks for tasks.
const POLL: Duration = Duration::from_millis(1);

async fn perform(task: Item) -> Result<bool, BoxDynError> {
    if task.sleep_ms > 0 {
        tokio::time::sleep(Duration::from_millis(task.sleep_ms)).await;
    }
    Ok(true)
}

/// Runs a worker until stdin closes.
pub async fn run(bench: Bench, name: &str, settings: Settings) -> Result<(), Failure> {
    let backend = bench.storage(settings).poll_with_interval(POLL);
    let builder = WorkerBuilder::new(name).backend(backend);
    println!("ready");
    let (go, gone) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let mut lines = std::io::stdin().lock().lines();
        if lines.next().is_some() {
            let _ = go.send(());
            lines.for_each(drop);
        }
        std::process::exit(0);
    });
    gone.await?;
    match settings.concurrency {
        0 => builder.parallelize(tokio::spawn).build(perform).run().await?,
        limit => builder.concurrency(limit).build(perform).run().await?,
    }
    Ok(())
}

/// Worker processes; they end when this is dropped.
pub struct Workers(Vec<(Child, ChildStdin)>);

impl Workers {
    /// Starts `count`, and waits until all are ready.
    pub async fn start(bench: &Bench, count: usize, settings: Settings) -> Result<Self, Failure> {
        let mut workers = Vec::new();
        for number in 0..count {
            let mut child = Command::new(std::env::current_exe()?)
                .args([&bench.port, "worker", &format!("w{number}")])
                .args([settings.batch.to_string(), settings.concurrency.to_string()])
                .arg(settings.locks.to_string())
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .kill_on_drop(true)
                .spawn()?;
            let stdin = child.stdin.take().ok_or("no stdin")?;
            let mut stdout = BufReader::new(child.stdout.take().ok_or("no stdout")?);
            stdout.read_line(&mut String::new()).await?;
            workers.push((child, stdin));
        }
        Ok(Self(workers))
    }

    /// Lets them consume.
    pub async fn go(&mut self) -> Result<(), Failure> {
        for (_, stdin) in &mut self.0 {
            stdin.write_all(b"go\n").await?;
        }
        Ok(())
    }

    /// Resident memory of all, MiB.
    pub fn resident_mib(&self) -> Result<f64, Failure> {
        let mut kib = 0.0;
        for (child, _) in &self.0 {
            let id = child.id().ok_or("a worker ended early")?;
            let status = std::fs::read_to_string(format!("/proc/{id}/status"))?;
            let line = status
                .lines()
                .find(|line| line.starts_with("VmRSS:"))
                .ok_or("no VmRSS")?;
            kib += line.split_whitespace().nth(1).ok_or("no figure")?.parse::<f64>()?;
        }
        Ok(kib / 1024.0)
    }
}
