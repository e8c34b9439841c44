//! Twenty half-second tasks over five spores that take one at a time: first undisturbed, then with a spore killed in
//! the middle. The tasks are real commands in the sandbox, stored in the broker before anything runs.
#![expect(clippy::print_stdout, reason = "the demo talks to the person who ran it")]

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use super::Running;
use crate::skills::Built;

const ITEMS: usize = 20;
const SPORES: usize = 5;
const SECONDS_EACH: f64 = 0.5;
/// Into the second map: the spores are at their first or second task.
const KILL_AFTER: Duration = Duration::from_millis(700);
/// Over this the spores would not have worked side by side.
const LEAST_SPEED_UP: f64 = 4.0;

/// Where tasks are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keep {
    Embedded,
    Redis,
}

/// What the summary says.
pub(super) struct Shown {
    pub(super) speed_up: f64,
    pub(super) with_a_loss: f64,
    pub(super) kept_in: &'static str,
}

/// Plays it.
pub(super) fn show(built: &Built, directory: &Path, keep: Keep) -> Result<Shown> {
    let kept_in = match keep {
        Keep::Embedded => "the embedded broker (SQLite)",
        Keep::Redis => "Redis",
    };
    println!("---- {ITEMS} tasks of {SECONDS_EACH} s on {SPORES} spores, kept in {kept_in} ----");
    let redis = (keep == Keep::Redis).then(Redis::start).transpose()?;
    let nexus = start_nexus(built, directory, redis.as_ref())?;
    let mut spores = Vec::new();
    for number in 1..=SPORES {
        spores.push(start_spore(built, directory, &nexus.ready, number)?);
    }
    let speed_up = map(&nexus.ready, || Ok(()))?;
    ensure!(
        speed_up >= LEAST_SPEED_UP,
        "a speed-up of {speed_up:.2} on {SPORES} spores"
    );

    println!(
        "the same, and one spore is killed (SIGKILL) after {} ms",
        KILL_AFTER.as_millis()
    );
    let victim = spores.pop().context("no spore")?;
    let with_a_loss = map(&nexus.ready, || {
        std::thread::sleep(KILL_AFTER);
        drop(victim);
        println!("  spore-{SPORES} is dead");
        Ok(())
    })?;
    println!();
    for spore in spores {
        spore.stop()?;
    }
    nexus.stop()?;
    Ok(Shown {
        speed_up,
        with_a_loss,
        kept_in,
    })
}

fn start_nexus(built: &Built, directory: &Path, redis: Option<&Redis>) -> Result<Running> {
    let mut nexus = Command::new(&built.host);
    let own = directory.join("hive-nexus");
    nexus.args(["nexus", "--dev", "--port", "0", "--data-dir"]).arg(&own);
    if let Some(redis) = redis {
        nexus.args(["--redis-url", &format!("redis://127.0.0.1:{}", redis.port)]);
    }
    Running::start(
        "nexus of the hive",
        nexus,
        "nexus ready ",
        &directory.join("hive-nexus.log"),
    )
}

fn start_spore(built: &Built, directory: &Path, nexus: &str, number: usize) -> Result<Running> {
    let name = format!("spore-{number}");
    let own = directory.join(&name);
    // it trusts what the publisher of this checkout signed
    let public = Path::new("keys").join("publisher.pub");
    let trusted = own.join(&public);
    if !trusted.exists() {
        std::fs::create_dir_all(own.join("keys"))?;
        for file in ["publisher.pub", "publisher.key"] {
            std::fs::copy(built.data_dir.join("keys").join(file), own.join("keys").join(file))?;
        }
    }
    let mut spore = Command::new(&built.host);
    spore.args([
        "spore",
        "--dev",
        "--name",
        &name,
        "--concurrency",
        "1",
        "--nexus",
        nexus,
        "--data-dir",
    ]);
    spore.arg(&own).arg("--skills").arg(&built.bundles);
    Running::start("spore", spore, "spore ready ", &directory.join(format!("{name}.log")))
}

/// Maps over all items while something else happens. Gives how much faster than one after the other.
fn map(nexus: &str, meanwhile: impl FnOnce() -> Result<()>) -> Result<f64> {
    let item = json!({ "command": format!("sleep {SECONDS_EACH}") });
    let body = json!({ "skill_name": "ShellSkill", "method_name": "run", "items": vec![item; ITEMS] });
    println!(
        "$ curl -X POST {nexus}/api/v1/map -d '{{\"skill_name\": \"ShellSkill\", \"method_name\": \"run\", \"items\": [{ITEMS} x sleep {SECONDS_EACH}]}}'"
    );
    let url = format!("{nexus}/api/v1/map");
    let began = Instant::now();
    let mapping = std::thread::spawn(move || -> Result<(Value, Duration)> {
        let answer = ureq::post(url).send_json(&body)?.body_mut().read_json()?;
        Ok((answer, began.elapsed()))
    });
    meanwhile()?;
    let (answer, took) = match mapping.join() {
        Ok(mapped) => mapped?,
        Err(_) => bail!("the caller of the map broke off"),
    };
    let summary = answer.get("summary").context("no summary in the answer")?;
    let speed_up = ITEMS as f64 * SECONDS_EACH / took.as_secs_f64();
    println!("  -> {summary}");
    println!(
        "  -> {:.2} s instead of {:.0} s: {speed_up:.2} times as fast",
        took.as_secs_f64(),
        ITEMS as f64 * SECONDS_EACH
    );
    ensure!(
        summary.get("completed") == Some(&json!(ITEMS)),
        "not all completed: {answer}"
    );
    Ok(speed_up)
}

/// A Redis of the demo's own. Killed when dropped.
struct Redis {
    child: Child,
    port: u16,
}

impl Redis {
    fn start() -> Result<Self> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let child = Command::new("redis-server")
            .args([
                "--port",
                &port.to_string(),
                "--bind",
                "127.0.0.1",
                "--save",
                "",
                "--appendonly",
                "no",
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .context("redis-server cannot be run; install it (Debian: apt-get install redis-server)")?;
        Ok(Self { child, port })
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        // nothing is left to do when it is gone already
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
