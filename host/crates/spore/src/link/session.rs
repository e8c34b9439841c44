//! The loop of one session: what it hears, what its calls say, what is due.

use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout};
use venom_protocol::session::{SporeEnd, SporeStep};
use venom_protocol::{
    Body, Broadcast, Capabilities, Disconnect, ErrorCode, ErrorReport, ExecuteSkill, Handshake, Heartbeat,
    PROTOCOL_VERSION, StatusUpdate, Timestamp, Welcome, close, encode,
};

use super::due::{Due, Duty};
use super::{Core, Ended, Lasting, Signals};
use crate::broadcasts::{Order, Via};
use crate::calls::{Finished, NotStarted, Said, Watched};
use crate::error::LinkError;
use crate::hive::Nexus;
use crate::update::Outgoing;
use crate::wire::{Heard, Wire};
use crate::{Executor, Ready};

/// Time for the goodbye to go out and the nexus to close.
const CLOSE_PATIENCE: Duration = Duration::from_secs(2);

/// Sent behind the news of a drain: once it comes back, the nexus has read that news, and every call it sent
/// before has come in.
const DRAIN_PING: &[u8] = b"drain";

/// See the module.
pub(super) struct Session<'a, E> {
    core: &'a Core<E>,
    lasting: &'a mut Lasting<E>,
    wire: Wire,
    end: SporeEnd,
    due: Due,
    accepted: Option<Instant>,
    /// The skills the nexus knows of.
    announced: Vec<String>,
    draining: bool,
    /// The nexus read of it, so that no call is on its way here.
    drain_is_known: bool,
    /// Calls ignored their cancellation and are not waited for.
    left: bool,
    /// The nexus said goodbye, with this reason.
    leaving: Option<String>,
}

impl<'a, E: Executor> Session<'a, E> {
    pub(super) fn new(core: &'a Core<E>, lasting: &'a mut Lasting<E>, wire: Wire) -> Self {
        Self {
            core,
            lasting,
            wire,
            end: SporeEnd::new(core.settings.node_id),
            due: Due::new(Instant::now(), core.settings.heartbeat_interval),
            accepted: None,
            announced: core.executor.skills(),
            draining: false,
            drain_is_known: false,
            left: false,
            leaving: None,
        }
    }

    pub(super) const fn accepted_at(&self) -> Option<Instant> {
        self.accepted
    }

    pub(super) async fn run(&mut self, signals: &Signals) -> Result<Ended, LinkError> {
        self.introduce()?;
        loop {
            tokio::select! {
                heard = self.wire.hear() => self.on_heard(heard?, signals),
                said = self.lasting.calls.next(), if self.wire.has_room() => self.pass_on(said),
                ask = self.core.line.next(), if self.wire.has_room() => Ok(self.wire.send(ask)?),
                update = self.core.updates.next(), if self.wire.has_room() => self.on_update(update),
                broadcast = self.lasting.broadcasts.next() => self.on_broadcast(&broadcast, Via::Redis, signals),
                () = sleep_until(self.due.next()) => self.on_due(),
                () = signals.drain.cancelled(), if !self.draining => self.begin_drain(),
                () = signals.quit.cancelled() => return Ok(Ended::Quit),
            }?;
            self.gather()?;
            if let Some(ended) = self.done()? {
                return Ok(ended);
            }
        }
    }

    /// After the last frame that matters: says goodbye where that is in order, and closes.
    pub(super) async fn end(mut self, ended: &Ended) {
        self.core.line.set(Nexus::Away);
        self.core.updates.set_linked(false);
        self.lasting.calls.abandon_all();
        let (code, reason) = match ended {
            Ended::Quit => return,
            Ended::Lost(LinkError::Confused { reason }) => (close::POLICY, reason.as_str()),
            Ended::Lost(LinkError::Goodbye { .. }) => (close::NORMAL, "goodbye"),
            Ended::Lost(_) => return,
            Ended::Drained => {
                let goodbye = Disconnect {
                    reason: "drained".to_owned(),
                };
                if self.send(&goodbye).is_err() || timeout(CLOSE_PATIENCE, self.wire.flush()).await.is_err() {
                    return;
                }
                (close::NORMAL, "drained")
            }
        };
        self.wire.close(code, reason, CLOSE_PATIENCE).await;
    }

    fn introduce(&mut self) -> Result<(), LinkError> {
        let settings = &self.core.settings;
        let handshake = Handshake {
            node_id: settings.node_id,
            node_name: settings.name.clone(),
            capabilities: self.capabilities(),
            token: settings.token.reveal(),
            protocol: Some(PROTOCOL_VERSION),
            concurrency: Some(settings.concurrency),
            boot_id: Some(self.core.boot_id.clone()),
            version: Some(env!("CARGO_PKG_VERSION").to_owned()),
        };
        self.send(&handshake)
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            skills: self.announced.clone(),
            ..self.core.machine.clone()
        }
    }

    fn send<B: Body>(&mut self, body: &B) -> Result<(), LinkError> {
        Ok(self.wire.send(encode(body, Timestamp::now())?)?)
    }

    fn pass_on(&mut self, said: Said) -> Result<(), LinkError> {
        match said {
            Said::Progress(progress) => self.send(&progress),
            Said::Finished(finished) => self.answer(finished),
        }
    }

    fn answer(&mut self, finished: Finished) -> Result<(), LinkError> {
        if let Some(frame) = finished.frame {
            self.wire.send(frame)?;
        }
        Ok(())
    }

    /// Gathers everything that was said meanwhile, so that it goes out in one write.
    fn gather(&mut self) -> Result<(), LinkError> {
        while self.wire.has_room() {
            if let Some(ask) = self.core.line.try_next() {
                self.wire.send(ask)?;
            } else if let Some(said) = self.lasting.calls.try_next() {
                self.pass_on(said)?;
            } else {
                break;
            }
        }
        Ok(())
    }

    /// Whether nothing is left to do here: drained, or left by a nexus that goes away.
    fn done(&mut self) -> Result<Option<Ended>, LinkError> {
        if self.lasting.calls.wanted() > 0 && !self.left {
            return Ok(None);
        }
        if self.draining && (self.drain_is_known || self.left) {
            return Ok(Some(Ended::Drained));
        }
        match self.leaving.take() {
            Some(reason) => Err(LinkError::Goodbye { reason }),
            None => Ok(None),
        }
    }

    fn on_heard(&mut self, heard: Heard, signals: &Signals) -> Result<(), LinkError> {
        if matches!(heard, Heard::Room) {
            return Ok(());
        }
        self.due.heard(Instant::now());
        let step = match heard {
            Heard::Text(text) => self.end.on_text(&text),
            Heard::Binary => self.end.on_binary(),
            Heard::Ping | Heard::Room => return Ok(()),
            Heard::Pong(payload) => {
                self.drain_is_known |= payload == DRAIN_PING;
                return Ok(());
            }
            Heard::BrokenOff => return Err(self.leaving.take().map_or(LinkError::BrokenOff, goodbye)),
            Heard::Closed { code, reason } => {
                return Err(self.leaving.take().map_or_else(|| closed(code, reason), goodbye));
            }
        };
        match step {
            SporeStep::Welcome(welcome) => self.on_welcome(&welcome),
            SporeStep::Execute(execute) => self.on_execute(execute),
            SporeStep::Cancel(cancel) => {
                let known = self.lasting.calls.cancel(cancel.request_id);
                tracing::debug!(request_id = %cancel.request_id, reason = cancel.reason, known, "call cancelled");
                Ok(())
            }
            SporeStep::Answer(answer) => {
                let ask_id = answer.ask_id;
                if !self.core.line.answer(answer) {
                    tracing::debug!(ask_id, "an answer of the hive came for nobody who still waits");
                }
                Ok(())
            }
            SporeStep::Broadcast(broadcast) => self.on_broadcast(&broadcast, Via::Link, signals),
            SporeStep::ReleaseAnswer(answer) => {
                self.core.updates.answer(answer);
                Ok(())
            }
            SporeStep::Goodbye(Disconnect { reason }) => {
                self.leaving = Some(reason);
                Ok(())
            }
            SporeStep::PeerError(ErrorReport { error }) => {
                tracing::warn!(error, "the nexus says that a message of this spore was wrong");
                Ok(())
            }
            SporeStep::Complain { error, send } => {
                tracing::warn!(error = error.error, "the nexus sent a message that is wrong");
                if send { self.send(&error) } else { Ok(()) }
            }
            SporeStep::Close { reason, .. } => Err(LinkError::Confused { reason }),
        }
    }

    fn on_welcome(&mut self, welcome: &Welcome) -> Result<(), LinkError> {
        let timeout = Duration::try_from_secs_f64(welcome.heartbeat_timeout).ok();
        self.accept(timeout, Some(welcome.version.clone()));
        if self.draining { self.tell_status() } else { Ok(()) }
    }

    fn on_broadcast(&mut self, broadcast: &Broadcast, via: Via, signals: &Signals) -> Result<(), LinkError> {
        match self.lasting.broadcasts.judge(broadcast, via, Instant::now()) {
            Some(Order::Report) if self.accepted.is_some() => {
                self.tell_status()?;
                self.beat()
            }
            Some(Order::Drain) => {
                signals.drain.cancel();
                Ok(())
            }
            Some(Order::Update) => {
                self.core.updates.hint();
                Ok(())
            }
            Some(Order::Commands) => {
                if let Some(commands) = &self.lasting.commands {
                    commands.notify_one();
                }
                Ok(())
            }
            Some(Order::Report) | None => Ok(()),
        }
    }

    fn on_update(&mut self, update: Outgoing) -> Result<(), LinkError> {
        match update {
            Outgoing::Frame(frame) => Ok(self.wire.send(frame)?),
            Outgoing::Status => {
                self.announced = self.core.executor.skills();
                self.tell_status()
            }
        }
    }

    fn on_execute(&mut self, execute: ExecuteSkill) -> Result<(), LinkError> {
        if self.accepted.is_none() {
            self.accept(None, None);
        }
        let request_id = execute.request_id;
        if self.draining {
            let text = "node is draining and takes no new calls; try another node";
            return self.refuse(&execute, ErrorCode::Draining, text);
        }
        let watched = if self.end.protocol() >= 2 {
            Watched::Yes
        } else {
            Watched::No
        };
        match self.lasting.calls.start(execute, watched) {
            Ok(()) => Ok(()),
            Err(NotStarted::Refused(error)) => {
                let finished = Finished::failed(request_id, self.core.settings.node_id, error);
                self.answer(finished)
            }
            Err(NotStarted::Duplicate) => {
                tracing::warn!(%request_id, "the nexus sent a call that is in hand already; it is not run twice");
                let error = format!("request {request_id} is in hand already and is not run twice");
                if self.end.protocol() >= 2 {
                    self.send(&ErrorReport { error })
                } else {
                    Ok(())
                }
            }
        }
    }

    fn refuse(&mut self, execute: &ExecuteSkill, code: ErrorCode, text: &str) -> Result<(), LinkError> {
        let error = venom_protocol::CallError::new(code, text);
        self.answer(Finished::failed(execute.request_id, self.core.settings.node_id, error))
    }

    /// The nexus took this spore.
    fn accept(&mut self, timeout: Option<Duration>, version: Option<String>) {
        let now = Instant::now();
        self.due.accepted(now, timeout);
        self.accepted.get_or_insert(now);
        let protocol = self.end.protocol();
        let nexus = if protocol >= 2 { Nexus::There } else { Nexus::TooOld };
        self.core.line.set(nexus);
        self.core.updates.set_linked(protocol >= 2);
        tracing::info!(protocol, nexus_version = version.as_deref(), "accepted by the nexus");
        if let Some(ready) = self.lasting.ready.take() {
            // whoever started this spore may not care
            let _ = ready.send(Ready {
                node_id: self.core.settings.node_id,
                protocol,
                nexus_version: version,
            });
        }
    }

    fn on_due(&mut self) -> Result<(), LinkError> {
        while let Some(duty) = self.due.take(Instant::now()) {
            match duty {
                Duty::GiveUp { silence } => return Err(LinkError::Silent { silence }),
                Duty::DrainIsKnown => self.drain_is_known = true,
                Duty::LeaveCalls => self.left = true,
                Duty::CancelCalls => {
                    tracing::warn!(
                        calls = self.lasting.calls.wanted(),
                        "drain deadline passed; running calls are cancelled"
                    );
                    self.lasting.calls.cancel_all();
                }
                Duty::TakeSilenceForConsent => self.accept(None, None),
                Duty::Beat => self.beat()?,
                Duty::Ping => self.wire.ping(b"")?,
            }
        }
        Ok(())
    }

    fn beat(&mut self) -> Result<(), LinkError> {
        let skills = self.core.executor.skills();
        if skills != self.announced {
            self.announced = skills;
            self.tell_status()?;
        }
        let heartbeat = Heartbeat {
            node_id: self.core.settings.node_id,
            cpu_usage: self.core.vitals.cpu(),
            memory_usage: self.core.vitals.memory(),
            active_tasks: self.lasting.calls.active(),
            credits: Some(if self.draining { 0 } else { self.lasting.calls.credits() }),
        };
        self.send(&heartbeat)
    }

    fn begin_drain(&mut self) -> Result<(), LinkError> {
        let calls = self.lasting.calls.wanted();
        tracing::info!(calls, "draining: running calls finish, new ones are refused");
        self.draining = true;
        self.due.drain_began(Instant::now(), self.core.settings.drain_timeout);
        self.tell_status()?;
        Ok(self.wire.ping(DRAIN_PING)?)
    }

    /// What changed without a reconnect; protocol 1 has no word for it.
    fn tell_status(&mut self) -> Result<(), LinkError> {
        if self.end.protocol() < 2 {
            return Ok(());
        }
        let status = StatusUpdate {
            node_id: self.core.settings.node_id,
            capabilities: self.capabilities(),
            draining: self.draining,
        };
        self.send(&status)
    }
}

fn goodbye(reason: String) -> LinkError {
    LinkError::Goodbye { reason }
}

fn closed(code: u16, reason: String) -> LinkError {
    match code {
        close::POLICY if reason == close::AUTHENTICATION_FAILED => LinkError::TokenRefused { reason },
        close::UNSUPPORTED => LinkError::RoleOff { reason },
        code => LinkError::Closed { code, reason },
    }
}
