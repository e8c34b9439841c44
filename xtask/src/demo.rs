//! The first thing a newcomer sees: a nexus, a spore, signed skills run through REST, escapes refused.
//! Everything is real: the processes, the signatures, the sandbox. Nothing here decides what is shown.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the demo talks to the person who ran it"
)]

mod hive;
mod releases;

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

pub(crate) use hive::Keep;

use crate::shell::target_dir;
use crate::skills::{Built, build_and_pack};

/// How long a process may take to say that it is ready; the first start compiles the skills.
const READY: Duration = Duration::from_secs(60);

/// Builds everything, then plays the demo.
pub(crate) fn run(keep: Keep) -> Result<()> {
    let started = Instant::now();
    let built = build_and_pack()?;
    let built_in = started.elapsed();

    let directory = target_dir()?.join("demo");
    std::fs::create_dir_all(&directory)?;
    let nexus = start_nexus(&built, &directory)?;
    let spore = start_spore(&built, &nexus.ready)?;
    println!("\nnexus  {}   spore  {}\n", nexus.ready, spore.ready);

    let mut stage = Stage {
        base: nexus.ready.clone(),
        node: spore.ready.clone(),
        calls: 0,
        refused: 0,
    };
    stage.show_nodes()?;
    stage.show_skills()?;
    stage.show_escapes()?;
    let tampered = show_tampering(&built, &directory)?;

    let calls = stage.calls;
    let refused = stage.refused;
    spore.stop()?;
    nexus.stop()?;
    let hive = hive::show(&built, &directory, keep)?;
    let released = releases::show(&built, &directory)?;
    println!("---- summary ----");
    println!("{calls} calls through REST answered by a spore, {refused} escape attempts refused with their reason");
    println!("1 altered bundle refused: {tampered}");
    println!(
        "20 tasks on 5 spores: {:.2} times as fast as one after the other, {:.2} with a spore killed meanwhile and none lost; kept in {}",
        hive.speed_up, hive.with_a_loss, hive.kept_in
    );
    println!(
        "a new version published and watched in {:.1} s under {} calls without an error, a bad one rolled back by itself, {} attacks refused",
        released.published_in.as_secs_f64(),
        released.calls,
        released.refused
    );
    println!(
        "build {:.1} s, demo {:.1} s",
        built_in.as_secs_f64(),
        (started.elapsed() - built_in).as_secs_f64()
    );
    println!("next: cargo xtask test, or README.md for your own nexus and spores");
    Ok(())
}

fn start_nexus(built: &Built, directory: &Path) -> Result<Running> {
    let mut nexus = Command::new(&built.host);
    nexus
        .args(["nexus", "--dev", "--port", "0", "--data-dir"])
        .arg(directory.join("nexus"));
    Running::start("nexus", nexus, "nexus ready ", &directory.join("nexus.log"))
}

fn start_spore(built: &Built, nexus: &str) -> Result<Running> {
    let mut spore = Command::new(&built.host);
    spore.args([
        "spore",
        "--dev",
        "--name",
        "demo-spore",
        "--tag",
        "demo",
        "--nexus",
        nexus,
        "--data-dir",
    ]);
    spore.arg(&built.data_dir).arg("--skills").arg(&built.bundles);
    Running::start(
        "spore",
        spore,
        "spore ready ",
        &target_dir()?.join("demo").join("spore.log"),
    )
}

/// A process of ours that said it is ready; killed when dropped.
struct Running {
    name: &'static str,
    child: Child,
    ready: String,
}

impl Running {
    fn start(name: &'static str, mut command: Command, says: &'static str, log: &Path) -> Result<Self> {
        let began = Instant::now();
        let stderr = std::fs::File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(stderr)
            .stdin(Stdio::null())
            .spawn()?;
        let stdout = child.stdout.take().context("no stdout")?;
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let mut running = Self {
            name,
            child,
            ready: String::new(),
        };
        while let Ok(line) = lines.recv_timeout(READY.saturating_sub(began.elapsed())) {
            if let Some(ready) = line.strip_prefix(says) {
                running.ready = ready.trim().to_owned();
                eprintln!("==> {name} ready in {:.2} s", began.elapsed().as_secs_f64());
                return Ok(running);
            }
        }
        let told = std::fs::read_to_string(log).unwrap_or_default();
        bail!("{name} did not become ready; it said:\n{told}");
    }

    /// SIGTERM, then waits: both ends drain and leave with 0.
    fn stop(mut self) -> Result<()> {
        let pid = self.child.id().to_string();
        Command::new("kill")
            .args(["-TERM", &pid])
            .status()
            .context("kill -TERM")?;
        let status = self.child.wait()?;
        ensure!(status.success(), "{} ended with {status} after SIGTERM", self.name);
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Only still alive when the demo failed midway.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The running hive as a REST caller sees it.
struct Stage {
    base: String,
    node: String,
    calls: u32,
    refused: u32,
}

impl Stage {
    fn show_nodes(&self) -> Result<()> {
        println!("---- who is there ----");
        println!("$ curl {}/api/v1/nodes", self.base);
        let answer: Value = ureq::get(format!("{}/api/v1/nodes", self.base))
            .call()?
            .body_mut()
            .read_json()?;
        let nodes = answer
            .get("nodes")
            .and_then(Value::as_array)
            .context("no nodes in the answer")?;
        for node in nodes {
            let capabilities = node.get("capabilities").context("a node without capabilities")?;
            println!(
                "  {} online={} {capabilities}",
                text(node, "node_name"),
                node.get("is_online").unwrap_or(&Value::Null)
            );
        }
        println!();
        Ok(())
    }

    fn show_skills(&mut self) -> Result<()> {
        println!("---- signed skills, run on the spore through REST ----");
        self.expect_success("ShellSkill", "run", &json!({"command": "uname -sm"}))?;
        self.expect_success(
            "ShellSkill",
            "run",
            &json!({"command": "echo hello from a sandboxed command"}),
        )?;
        self.expect_success(
            "FileSkill",
            "write_file",
            &json!({"path": "notes.txt", "content": "written by a skill\n"}),
        )?;
        self.expect_success("FileSkill", "read_file", &json!({"path": "notes.txt"}))?;
        self.expect_success("FileSkill", "list_files", &json!({}))?;
        self.expect_success("ShellSkill", "run", &json!({"command": "cat notes.txt"}))?;
        println!();
        Ok(())
    }

    fn show_escapes(&mut self) -> Result<()> {
        println!("---- attempts to get out ----");
        self.expect_refusal("FileSkill", "read_file", &json!({"path": "../../../../etc/passwd"}))?;
        self.expect_refusal("FileSkill", "read_file", &json!({"path": "/etc/shadow"}))?;
        self.expect_refusal("ShellSkill", "run", &json!({"command": "cat /etc/shadow"}))?;
        self.expect_refusal("ShellSkill", "run", &json!({"command": "rm -rf /"}))?;
        self.expect_refusal("ShellSkill", "run", &json!({"command": "echo hi; cat notes.txt | sh"}))?;
        println!();
        Ok(())
    }

    fn call(&mut self, skill: &str, method: &str, parameters: &Value) -> Result<Value> {
        let path = format!("/api/v1/nodes/{}/execute", self.node);
        println!(
            "$ curl -X POST {}{path} -d '{{\"skill_name\": \"{skill}\", \"method_name\": \"{method}\", \"parameters\": {parameters}}}'",
            self.base
        );
        let body = json!({"skill_name": skill, "method_name": method, "parameters": parameters});
        // a 4xx is an answer too: what the caller asked for was wrong
        let answer = ureq::post(format!("{}{path}", self.base))
            .config()
            .http_status_as_error(false)
            .build()
            .send_json(&body)?
            .body_mut()
            .read_json()?;
        self.calls += 1;
        Ok(answer)
    }

    fn expect_success(&mut self, skill: &str, method: &str, parameters: &Value) -> Result<()> {
        let answer = self.call(skill, method, parameters)?;
        let seconds = answer.get("execution_time").and_then(Value::as_f64).unwrap_or_default();
        println!(
            "  -> {}   ({:.2} ms on the node)",
            answer.get("result").unwrap_or(&Value::Null),
            seconds * 1e3
        );
        ensure!(
            answer.get("success") == Some(&Value::Bool(true)),
            "{skill}.{method} failed: {answer}"
        );
        Ok(())
    }

    fn expect_refusal(&mut self, skill: &str, method: &str, parameters: &Value) -> Result<()> {
        let answer = self.call(skill, method, parameters)?;
        println!("  -> refused: {}", text(&answer, "error"));
        ensure!(
            answer.get("success") == Some(&Value::Bool(false)),
            "{skill}.{method} got out: {answer}"
        );
        self.refused += 1;
        Ok(())
    }
}

/// Flips one bit of a signed component and shows what verification says.
fn show_tampering(built: &Built, directory: &Path) -> Result<String> {
    println!("---- one bit of a signed bundle flipped ----");
    let mut bytes = std::fs::read(built.bundles.join("echo.venom"))?;
    let middle = bytes.len() / 2;
    *bytes.get_mut(middle).context("an empty bundle")? ^= 1;
    let altered: PathBuf = directory.join("altered.venom");
    std::fs::write(&altered, bytes)?;
    println!("$ venom-host bundle verify {}", altered.display());
    let verify = Command::new(&built.host)
        .args(["bundle", "verify"])
        .arg(&altered)
        .arg("--data-dir")
        .arg(&built.data_dir)
        .output()?;
    ensure!(!verify.status.success(), "an altered bundle was taken for good");
    let said = String::from_utf8_lossy(&verify.stderr).trim().to_owned();
    println!("  -> {said}\n");
    let why = said
        .lines()
        .find_map(|line| line.trim().strip_prefix("why: "))
        .unwrap_or(&said);
    Ok(why.to_owned())
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}
