//! The steps, one after the other. Each is safe to repeat: what is there already stays.

mod foretell;
mod upload;

use std::time::Duration;

use sha2::{Digest as _, Sha256};
use tokio::io::AsyncWriteExt as _;

use super::nexus::{self, Enrolment};
use super::plan::Plan;
use super::report::{Outcome, Report, Step};
use super::ssh::{As, Said, Script, Ssh};
use super::survey::{Facts, Place, Service, State, printable};
use super::undo::{self, How, Undo};
use super::{scripts, unit};
use crate::client::NexusClient;
use crate::failure::Failure;
use crate::output;
use crate::settings::Secret;

/// Longest a small script may take.
const QUICK: Duration = Duration::from_secs(60);
/// Longest registering and starting may take: both talk to the nexus.
const TALK: Duration = Duration::from_secs(120);

/// Everything a run needs and what it has done so far.
pub(super) struct Work<'a> {
    plan: &'a Plan,
    pub ssh: Ssh,
    client: Option<NexusClient>,
    pub report: Report,
    step: Step,
    undos: Vec<Undo>,
    by: As,
    /// Whether the agent that ran before is to be started again by an undo.
    remembered: bool,
    /// Names what this run made there, so that nothing else is removed.
    run: String,
}

impl<'a> Work<'a> {
    pub(super) fn new(plan: &'a Plan, ssh: Ssh, client: Option<NexusClient>, report: Report) -> Self {
        Self {
            plan,
            ssh,
            client,
            report,
            step: Step::Connect,
            undos: Vec::new(),
            by: As::Login,
            remembered: false,
            run: format!("venom-provision-{}", uuid::Uuid::new_v4().simple()),
        }
    }

    /// From the first look to the agent that is online.
    pub(super) async fn run(&mut self) -> Result<(), Failure> {
        self.step = Step::Look;
        let (place, state, has_same_unit) = self.look().await?;
        if self.plan.dry_run {
            self.foretell(&place, &state);
            return Ok(());
        }
        self.step = Step::Enrol;
        let enrolment = self.enrol(&state).await?;
        self.step = Step::Upload;
        let new = self.upload(&place, &state).await?;
        self.step = Step::Install;
        let old = self.install(&place, &state, new.as_deref()).await?;
        self.step = Step::Register;
        self.register(&place, &state, enrolment).await?;
        self.step = Step::Start;
        let is_fresh = new.is_some() || !state.is_registered || !state.is_active;
        let before = self.seen().await?;
        let old_unit = self.start(&place, &state, is_fresh, has_same_unit).await?;
        self.step = Step::Online;
        let restarted = is_fresh || old_unit.is_some();
        self.online(&place, before.filter(|_| restarted)).await?;
        self.clean_up(&place, old, old_unit).await;
        Ok(())
    }

    /// Tells what failed, puts everything back, and answers at which step it was.
    pub(super) async fn fail(&mut self, failure: &Failure) -> Step {
        self.report.tell(self.step, Outcome::Failed, failure.summary());
        self.ssh.run_until_told(None);
        let undos = std::mem::take(&mut self.undos);
        undo::all(undos, &mut self.ssh, self.client.as_ref(), &mut self.report).await;
        self.step
    }

    async fn look(&mut self) -> Result<(Place, State, bool), Failure> {
        let said = self.script(scripts::LOOK, &[], QUICK).await?;
        let look = Facts::read(&fine(said, "the machine cannot be looked at")?);
        let (system, machine) = (
            look.get("system").unwrap_or_default(),
            look.get("machine").unwrap_or_default(),
        );
        self.plan.program.fits(system, machine)?;
        let place = Place::decide(&look, &self.plan.wish)?;
        self.by = if place.sudo { As::Sudo } else { As::Login };
        let words = [
            place.prefix.as_str(),
            &place.data_dir,
            place.service.as_str(),
            &place.unit,
            &place.account,
        ];
        let said = self.script(scripts::STATE, &words, QUICK).await?;
        let facts = Facts::read(&fine(said, "the machine cannot be looked at")?);
        let state = State::read(&facts, &place, self.plan.program.bytes)?;
        let has_same_unit = facts.get("unit_sha256") == Some(digest(unit::text(&place).as_bytes()).as_str());
        self.report.previous_version.clone_from(&state.version);
        self.report.agent_id.clone_from(&state.agent_id);
        let there = match (&state.version, state.is_registered, state.is_active) {
            (Some(version), true, true) => format!("an agent runs, version {version}"),
            (Some(version), true, false) => format!("an agent that does not run, version {version}"),
            (Some(version), false, _) => format!("venom-host {version}, no agent"),
            (None, true, _) => "an agent without its program".to_owned(),
            (None, false, _) if state.has_program => "a venom-host that does not start".to_owned(),
            (None, false, _) => "nothing of Venom yet".to_owned(),
        };
        let by = if place.sudo { ", by sudo" } else { "" };
        let how = match place.service {
            Service::System => "systemd",
            Service::User => "systemd of the user",
            Service::None => "no service",
        };
        let detail = format!("{system} {machine}, {how}{by}: {there}");
        self.report.tell(Step::Look, Outcome::Done, detail);
        Ok((place, state, has_same_unit))
    }

    async fn enrol(&mut self, state: &State) -> Result<Option<Enrolment>, Failure> {
        if state.is_registered {
            let id = state.agent_id.as_deref().unwrap_or("an agent");
            let unused = if self.plan.enrol.is_some() {
                "; the enrol string is not used"
            } else {
                ""
            };
            let detail = format!("registered as {id} already{unused}");
            self.report.tell(Step::Enrol, Outcome::Unchanged, detail);
            return Ok(None);
        }
        let enrolment = match (&self.plan.enrol, &self.client) {
            (Some(string), _) => Enrolment {
                string: string.clone(),
                id: None,
            },
            (None, Some(client)) => {
                let (site, tags) = (self.plan.site.as_deref(), &self.plan.tags);
                let made = nexus::enrol(client, self.plan.target.as_str(), site, tags).await?;
                if let Some(id) = &made.id {
                    self.undos.push(Undo {
                        step: Step::Enrol,
                        what: "the enrolment is withdrawn".to_owned(),
                        how: How::Withdraw(id.clone()),
                    });
                }
                made
            }
            (None, None) => {
                return Err(Failure::new(
                    "there is neither an enrol string nor a nexus to ask for one",
                ));
            }
        };
        if let Some(host) = nexus::loopback_host(enrolment.string.reveal()) {
            let real = self.ssh.real_host().await;
            if !real.is_some_and(|real| nexus::is_loopback(&real)) {
                return Err(Failure::new(format!("the agent there could not reach the nexus at {host}"))
                    .because("that is an address of this machine only")
                    .help("let the nexus listen on an address of the network (--bind IP, with TLS), and ask it there: --nexus URL"));
            }
        }
        let from = if enrolment.id.is_some() {
            "an enrolment for one agent"
        } else {
            "the enrol string that was given"
        };
        self.report.tell(Step::Enrol, Outcome::Done, from);
        Ok(Some(enrolment))
    }

    async fn register(&mut self, place: &Place, state: &State, enrolment: Option<Enrolment>) -> Result<(), Failure> {
        let Some(enrolment) = enrolment else {
            self.report.tell(
                Step::Register,
                Outcome::Unchanged,
                format!("registered in {}", place.data_dir),
            );
            return Ok(());
        };
        let run = self.run.clone();
        if !state.has_account {
            self.note(
                Step::Register,
                "the account is removed",
                scripts::NO_ACCOUNT,
                &[&place.account, &run],
            );
            let said = self
                .script(scripts::ACCOUNT, &[&place.account, &place.data_dir, &run], QUICK)
                .await?;
            fine(said, &format!("the account {} cannot be made", place.account))?;
        }
        if state.has_data {
            let said = self.script(scripts::KEEP_SETTINGS, &[&place.data_dir], QUICK).await?;
            fine(said, "the settings that are there cannot be kept")?;
            self.note(
                Step::Register,
                "the registration is removed",
                scripts::UNREGISTER,
                &[&place.data_dir],
            );
        } else {
            self.note(
                Step::Register,
                "the data directory is removed",
                scripts::NO_DATA,
                &[&place.data_dir, &run],
            );
            let said = self
                .script(scripts::DATA, &[&place.data_dir, &place.account, &run], QUICK)
                .await?;
            fine(said, &format!("the data directory {} cannot be made", place.data_dir))?;
        }
        if self.client.is_some() {
            // it writes its id down before the nexus is asked: a registration that is broken off is found by it
            self.undos.push(Undo {
                step: Step::Register,
                what: "the agent is deregistered".to_owned(),
                how: How::DeregisterThere {
                    data_dir: place.data_dir.clone(),
                    by: self.by,
                },
            });
        }
        let said = self
            .agent(place, &["register", "--enrol", "-", "--json"], Some(&enrolment.string))
            .await?;
        let out = fine(said, "the agent did not register").map_err(|failure| {
            failure.help("what it says of the nexus is seen from that machine: it must reach the nexus's address")
        })?;
        let id = serde_json::from_str::<serde_json::Value>(&out)
            .ok()
            .and_then(|answer| Some(printable(answer.get("agent_id")?.as_str()?)));
        let Some(id) = id else {
            return Err(Failure::new("the agent registered, but did not say its id")
                .help("compare the versions of both programs"));
        };
        self.report.tell(
            Step::Register,
            Outcome::Done,
            format!("agent {id} as {}", place.account),
        );
        self.report.agent_id = Some(id);
        Ok(())
    }

    /// Answers under which name the old unit is kept meanwhile, when one was written.
    async fn start(
        &mut self,
        place: &Place,
        state: &State,
        is_fresh: bool,
        has_same_unit: bool,
    ) -> Result<Option<String>, Failure> {
        let is_unit = place.service != Service::None;
        if !is_fresh && (has_same_unit || !is_unit) {
            self.report.tell(Step::Start, Outcome::Unchanged, "it runs");
            return Ok(None);
        }
        self.remember_what_runs(place, state);
        if !is_unit {
            return self.start_without_unit(place, state).await.map(|()| None);
        }
        let (scope, text) = (place.service.scope(), unit::text(place));
        let old = format!("{}.before-provision", place.unit);
        let what = if state.has_unit {
            "the old unit is back"
        } else {
            "the service is removed"
        };
        self.note(
            Step::Start,
            what,
            scripts::NO_SERVICE,
            &[&place.unit, scope, &old, yes(state.has_unit)],
        );
        let script = Script {
            text: scripts::SERVICE,
            words: vec![&place.unit, scope, &old],
            by: self.by,
            patience: TALK,
        };
        let said = self
            .ssh
            .run_with(&script, async |stdin| stdin.write_all(text.as_bytes()).await)
            .await?;
        if said.code != 0 {
            self.last_words(place).await;
        }
        let out = fine(said, "the service cannot be started")?;
        let lingers = if Facts::read(&out).get("lingers") == Some("no") {
            " (it ends when the user logs out: `loginctl enable-linger` there needs root)"
        } else {
            ""
        };
        self.report
            .tell(Step::Start, Outcome::Done, format!("{}{lingers}", place.unit));
        Ok(Some(old))
    }

    async fn start_without_unit(&mut self, place: &Place, state: &State) -> Result<(), Failure> {
        if state.is_active {
            let said = self.agent(place, &["stop"], None).await?;
            fine(said, "the agent that runs cannot be stopped")?;
        }
        let words = run_as(place, &["stop"]);
        self.undos.push(Undo {
            step: Step::Start,
            what: "the new agent is stopped".to_owned(),
            how: How::Script {
                text: scripts::RUN_AS,
                words,
                by: self.by,
            },
        });
        let said = self.agent(place, &["start"], None).await?;
        fine(said, "the agent cannot be started")?;
        self.report
            .tell(Step::Start, Outcome::Done, "it runs, until the machine is started anew");
        Ok(())
    }

    /// The agent as the nexus saw it last.
    async fn seen(&self) -> Result<Option<venom_protocol::AgentView>, Failure> {
        match (&self.client, &self.report.agent_id) {
            (Some(client), Some(id)) => Ok(nexus::agent(client, id).await?),
            _ => Ok(None),
        }
    }

    async fn online(&mut self, place: &Place, before: Option<venom_protocol::AgentView>) -> Result<(), Failure> {
        if let (Some(client), Some(id)) = (&self.client, self.report.agent_id.clone()) {
            let waited = nexus::wait_online(client, &id, before.as_ref(), self.plan.wait).await;
            if waited.is_err() {
                self.last_words(place).await;
            }
            let detail = if waited? {
                format!("the nexus hears it; it waits for `venom-host agent approve {id}`")
            } else {
                "the nexus hears it".to_owned()
            };
            self.report.tell(Step::Online, Outcome::Done, detail);
            return Ok(());
        }
        let said = self.agent(place, &["status", "--json"], None).await?;
        if said.code != 0 {
            self.last_words(place).await;
        }
        fine(said, "the agent does not run")?;
        self.report.tell(
            Step::Online,
            Outcome::Done,
            "it runs (only with an operator token can the nexus be asked)",
        );
        Ok(())
    }

    /// What is kept is named as people expect it; none of it matters enough to fail for.
    async fn clean_up(&mut self, place: &Place, old: Option<String>, old_unit: Option<String>) {
        self.undos.clear();
        // leftovers that nobody reads
        let _ = self.script(scripts::DATA_STAYS, &[&place.data_dir], QUICK).await;
        if let Some(old) = old {
            let kept = self.script(scripts::KEEP, &[&place.prefix, &old], QUICK).await;
            if let Err(failure) = kept.and_then(|said| fine(said, "the old program is not kept")) {
                output::note(failure.summary());
            }
        }
        if let Some(old_unit) = old_unit {
            // A leftover that systemd does not read.
            let _ = self.script(scripts::REMOVE, &[&old_unit], QUICK).await;
        }
    }

    fn remember_what_runs(&mut self, place: &Place, state: &State) {
        if self.remembered || !state.is_active {
            return;
        }
        self.remembered = true;
        let (text, words) = match place.service {
            Service::None => (scripts::RUN_AS, run_as(place, &["start"])),
            Service::System | Service::User => (scripts::RESTART, vec![place.service.scope().to_owned()]),
        };
        self.undos.push(Undo {
            step: Step::Start,
            what: "the agent that ran before runs again".to_owned(),
            how: How::Script {
                text,
                words,
                by: self.by,
            },
        });
    }

    fn note(&mut self, step: Step, what: &str, text: &'static str, words: &[&str]) {
        self.undos.push(Undo {
            step,
            what: what.to_owned(),
            how: How::Script {
                text,
                words: words.iter().map(|word| (*word).to_owned()).collect(),
                by: self.by,
            },
        });
    }

    async fn script(&mut self, text: &str, words: &[&str], patience: Duration) -> Result<Said, Failure> {
        let script = Script {
            text,
            words: words.to_vec(),
            by: self.by,
            patience,
        };
        self.ssh.run(&script).await
    }

    /// Runs `venom-host agent ...` there, as the agent's account.
    async fn agent(&mut self, place: &Place, words: &[&str], stdin: Option<&Secret>) -> Result<Said, Failure> {
        let words = run_as(place, words);
        let script = Script {
            text: scripts::RUN_AS,
            words: words.iter().map(String::as_str).collect(),
            by: self.by,
            patience: TALK,
        };
        let feed = stdin.map(|secret| format!("{}\n", secret.reveal())).unwrap_or_default();
        self.ssh
            .run_with(&script, async |stdin| stdin.write_all(feed.as_bytes()).await)
            .await
    }

    /// What the service said last, for who looks for the reason.
    async fn last_words(&mut self, place: &Place) {
        if place.service == Service::None {
            return;
        }
        if let Ok(said) = self.script(scripts::JOURNAL, &[place.service.scope()], QUICK).await {
            for line in said.out.lines() {
                output::note(format!("      there    | {}", printable(line)));
            }
        }
    }
}

/// The words of a program run as the agent's account.
fn run_as(place: &Place, words: &[&str]) -> Vec<String> {
    let program = place.program();
    let first = [place.account.as_str(), &program, "--data-dir", &place.data_dir, "agent"];
    first.iter().chain(words).map(|word| (*word).to_owned()).collect()
}

/// What a script printed, or why it failed.
fn fine(said: Said, what: &str) -> Result<String, Failure> {
    if said.code == 0 {
        return Ok(said.out);
    }
    let words: Vec<String> = said.err.lines().rev().take(8).map(printable).collect();
    let words: Vec<&str> = words.iter().rev().map(String::as_str).collect();
    let why = match words.join("\n") {
        words if words.trim().is_empty() => format!("it ended with {} and said nothing", said.code),
        words => words,
    };
    Err(Failure::new(what).because(why))
}

fn yes(is: bool) -> &'static str {
    if is { "yes" } else { "no" }
}

fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
