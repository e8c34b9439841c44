//! A skill's second version published while the first is under load, a third that is bad and goes back by itself, and
//! three attempts to bring something else onto the spore.
#![expect(clippy::print_stdout, reason = "the demo talks to the person who ran it")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use super::{Running, text};
use crate::shell::root;
use crate::skills::{Built, build_components_and_guests};

/// Callers that never pause.
const CALLERS: usize = 4;
/// How long anything here may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// Calls before and after each change.
const A_WHILE: Duration = Duration::from_millis(700);
/// What stands before the variant in the component.
const MARK: &[u8] = b"@@VENOM-VARIANT:";
/// Bytes of a variant.
const VARIANT: usize = 46;

/// What the summary says.
pub(super) struct Shown {
    pub(super) calls: usize,
    pub(super) published_in: Duration,
    pub(super) refused: usize,
}

/// Plays it.
pub(super) fn show(built: &Built, directory: &Path) -> Result<Shown> {
    println!("---- a new version of a skill, published while the old one is under load ----");
    let data = directory.join("releases-nexus");
    // a release of an earlier demo would be newer than the first of this one
    for leftover in [&data, &directory.join("releases-spore"), &directory.join("thief")] {
        if leftover.exists() {
            std::fs::remove_dir_all(leftover)?;
        }
    }
    let stage = Stage::start(built, directory, data)?;
    stage.publish(&stage.pack("1.0.0", "v1")?)?;
    stage.until("committed", "1.0.0")?;
    println!(
        "  the spore (pid {}) answers: {}",
        stage.spore.child.id(),
        stage.variant()?
    );

    let load = Load::start(&stage);
    std::thread::sleep(A_WHILE);
    let began = Instant::now();
    stage.publish(&stage.pack("2.0.0", "v2")?)?;
    stage.until("committed", "2.0.0")?;
    let published_in = began.elapsed();
    std::thread::sleep(A_WHILE);
    let heard = load.stop()?;
    let calls: usize = heard.values().sum();
    println!("  {CALLERS} callers without a pause meanwhile: {}", words(&heard));
    ensure!(
        heard.keys().all(|said| said == "v1" || said == "v2"),
        "a call failed: {heard:?}"
    );
    println!(
        "  {calls} calls, no error, the same process: pid {}\n",
        stage.spore.child.id()
    );

    println!("---- a third version that crashes: it goes back by itself ----");
    stage.publish(&stage.pack("3.0.0", "v3 trap-call")?)?;
    stage.until("soaking", "3.0.0")?;
    println!("  a call of v3: {}", stage.variant()?);
    let back = stage.until("rolled_back", "2.0.0")?;
    println!("  rolled back to 2.0.0: {}", text(&back, "reason"));
    println!("  the next call: {}\n", stage.variant()?);

    let refused = stage.show_attacks()?;
    ensure!(stage.variant()? == "v2", "something got through");
    stage.spore.stop()?;
    stage.nexus.stop()?;
    Ok(Shown {
        calls,
        published_in,
        refused,
    })
}

/// A nexus and a spore of their own, and the files that are published.
struct Stage {
    host: PathBuf,
    component: Vec<u8>,
    directory: PathBuf,
    data: PathBuf,
    nexus: Running,
    spore: Running,
}

impl Stage {
    fn start(built: &Built, directory: &Path, data: PathBuf) -> Result<Self> {
        let component = std::fs::read(build_components_and_guests()?.join("release_guest.wasm"))?;
        let mut nexus = Command::new(&built.host);
        nexus.args(["nexus", "--dev", "--port", "0", "--data-dir"]).arg(&data);
        let nexus = Running::start("nexus", nexus, "nexus ready ", &directory.join("releases-nexus.log"))?;
        let mut spore = Command::new(&built.host);
        spore.args([
            "spore",
            "--dev",
            "--update-soak",
            "1s",
            "--nexus",
            &nexus.ready,
            "--data-dir",
        ]);
        spore.arg(directory.join("releases-spore"));
        let spore = Running::start("spore", spore, "spore ready ", &directory.join("releases-spore.log"))?;
        Ok(Self {
            host: built.host.clone(),
            component,
            directory: directory.to_owned(),
            data,
            nexus,
            spore,
        })
    }

    /// A signed bundle of the guest with this variant written into it.
    fn pack(&self, version: &str, variant: &str) -> Result<PathBuf> {
        let mut code = self.component.clone();
        let at = code
            .windows(MARK.len())
            .position(|bytes| bytes == MARK)
            .context("the guest has no mark")?;
        let place = code
            .get_mut(at + MARK.len()..at + MARK.len() + VARIANT)
            .context("a short mark")?;
        place.copy_from_slice(format!("{variant:VARIANT$}").as_bytes());
        let file = |name: &str| self.directory.join(format!("versioned-{version}.{name}"));
        std::fs::write(file("wasm"), code)?;
        let toml = std::fs::read_to_string(root()?.join("tests/guests/release/skill.toml"))?;
        std::fs::write(file("toml"), toml.replace("1.0.0", version))?;
        let packed = self.host(&["bundle", "pack"], |pack| {
            pack.arg(file("wasm"))
                .arg("--manifest")
                .arg(file("toml"))
                .arg("--out")
                .arg(file("venom"));
        })?;
        ensure!(packed.status.success(), "{}", said(&packed));
        Ok(file("venom"))
    }

    fn publish(&self, bundle: &Path) -> Result<()> {
        println!("$ venom-host release publish --bundle {}", bundle.display());
        let published = self.host(&["release", "publish"], |publish| {
            publish.arg("--bundle").arg(bundle).args(["--nexus", &self.nexus.ready]);
        })?;
        ensure!(published.status.success(), "{}", said(&published));
        Ok(())
    }

    fn host(&self, words: &[&str], more: impl FnOnce(&mut Command)) -> Result<Output> {
        let mut command = Command::new(&self.host);
        command.args(words);
        more(&mut command);
        Ok(command.arg("--data-dir").arg(&self.data).output()?)
    }

    /// Waits until the spore reports the skill so.
    fn until(&self, state: &str, version: &str) -> Result<Value> {
        let began = Instant::now();
        let url = format!("{}/api/v1/nodes/{}", self.nexus.ready, self.spore.ready);
        while began.elapsed() < PATIENCE {
            let answer: Value = ureq::get(&url).call()?.body_mut().read_json()?;
            let skills = answer.pointer("/node/update/skills").and_then(Value::as_array);
            let skill = skills
                .into_iter()
                .flatten()
                .find(|skill| text(skill, "skill") == "VersionedSkill");
            if let Some(skill) = skill
                && (text(skill, "state"), text(skill, "version")) == (state, version)
            {
                return Ok(skill.clone());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        bail!("the skill did not become {state} {version}");
    }

    fn variant(&self) -> Result<String> {
        call(&format!(
            "{}/api/v1/nodes/{}/execute",
            self.nexus.ready, self.spore.ready
        ))
    }

    fn show_attacks(&self) -> Result<usize> {
        println!("---- attempts to bring something else onto the spore ----");
        let good = self.directory.join("versioned-2.0.0.venom");
        let mut bytes = std::fs::read(&good)?;
        let middle = bytes.len() / 2;
        *bytes.get_mut(middle).context("an empty bundle")? ^= 1;
        let altered = self.directory.join("versioned-altered.venom");
        std::fs::write(&altered, bytes)?;
        self.refused("a tampered bundle", &["bundle", "publish"], |publish| {
            publish.arg(&altered).args(["--nexus", &self.nexus.ready]);
        })?;

        let release = self.directory.join("release.json");
        let nexus = ["--nexus", &self.nexus.ready];
        for words in [&["release", "create", "--sign", "--add"][..], &["release", "publish"]] {
            let done = self.host(words, |command| {
                if words.contains(&"create") {
                    command.arg(&good).arg("--out");
                }
                command.arg(&release).args(nexus);
            })?;
            ensure!(done.status.success(), "{}", said(&done));
        }
        self.publish(&good)?;
        self.refused(
            "a release that is not the newest any more",
            &["release", "publish"],
            |publish| {
                publish.arg(&release).args(nexus);
            },
        )?;

        let forged = self.forge(&good)?;
        self.refused(
            "a release signed with the stolen online key",
            &["release", "publish"],
            |publish| {
                publish.arg(&forged).args(nexus);
            },
        )?;
        println!();
        Ok(3)
    }

    /// A release that a thief of the online key makes: in a data directory of their own, where that key may sign all.
    fn forge(&self, bundle: &Path) -> Result<PathBuf> {
        let (thief, forged) = (self.directory.join("thief"), self.directory.join("forged.json"));
        std::fs::create_dir_all(thief.join("keys"))?;
        for (from, to) in [("online.key", "publisher.key"), ("online.pub", "publisher.pub")] {
            std::fs::copy(self.data.join("keys").join(from), thief.join("keys").join(to))?;
        }
        let make = |words: &[&str], bundle: Option<&Path>| {
            let mut command = Command::new(&self.host);
            command.args(words).arg("--data-dir").arg(&thief);
            if let Some(bundle) = bundle {
                command.arg("--add").arg(bundle).arg("--out").arg(&forged);
            }
            let made = command.output()?;
            ensure!(made.status.success(), "{}", said(&made));
            Ok(())
        };
        make(&["init"], None)?;
        let signed = thief.join("signed.venom");
        let sign = [
            "bundle",
            "sign",
            &bundle.display().to_string(),
            "--out",
            &signed.display().to_string(),
        ];
        make(&sign, None)?;
        make(&["release", "create", "--first", "--sign"], Some(&signed))?;
        Ok(forged)
    }

    fn refused(&self, what: &str, words: &[&str], more: impl FnOnce(&mut Command)) -> Result<()> {
        let tried = self.host(words, more)?;
        ensure!(!tried.status.success(), "{what} was taken");
        println!("  {what}\n  -> {}", said(&tried).replace('\n', "\n     "));
        Ok(())
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).trim().to_owned()
}

/// What the skill answers, or its error.
fn call(url: &str) -> Result<String> {
    let body = json!({"skill_name": "VersionedSkill", "method_name": "variant", "parameters": {}});
    let answer: Value = ureq::post(url).send_json(&body)?.body_mut().read_json()?;
    let result = answer.get("result").and_then(Value::as_str);
    Ok(result.map_or_else(|| format!("error: {}", text(&answer, "error")), str::to_owned))
}

fn words(heard: &BTreeMap<String, usize>) -> String {
    let parts: Vec<String> = heard
        .iter()
        .map(|(said, count)| format!("{said} {count} times"))
        .collect();
    parts.join(", ")
}

/// Callers that never pause, until they are stopped.
struct Load {
    stop: Arc<AtomicBool>,
    callers: Vec<JoinHandle<Result<BTreeMap<String, usize>>>>,
}

impl Load {
    fn start(stage: &Stage) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let url = format!("{}/api/v1/nodes/{}/execute", stage.nexus.ready, stage.spore.ready);
        let caller = || {
            let (stop, url) = (Arc::clone(&stop), url.clone());
            std::thread::spawn(move || {
                let mut heard = BTreeMap::new();
                while !stop.load(Ordering::Relaxed) {
                    *heard.entry(call(&url)?).or_default() += 1;
                }
                Ok(heard)
            })
        };
        let callers = (0..CALLERS).map(|_| caller()).collect();
        Self { stop, callers }
    }

    fn stop(self) -> Result<BTreeMap<String, usize>> {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = BTreeMap::new();
        for caller in self.callers {
            let heard = caller.join().map_err(|_| anyhow::anyhow!("a caller broke off"))??;
            for (said, count) in heard {
                *all.entry(said).or_default() += count;
            }
        }
        Ok(all)
    }
}
