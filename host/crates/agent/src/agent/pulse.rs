//! Heartbeats, and what hangs on them: whether the nexus is there, whether the token is good, and its exchange.

use std::time::Duration;

use rand::RngExt as _;
use tokio::time::{sleep, timeout};
use venom_protocol::{AgentHeartbeat, Timestamp};

use super::Context;
use crate::agent_file::AgentFile;
use crate::backoff::Tries;
use crate::client::{BeatAnswer, ClientError};
use crate::journal::blocking;
use crate::state::Phase;
use crate::token_file::{TokenFile, TokenFileError};

/// How long a nexus that will not exchange tokens is not asked again.
const ROTATION_PAUSE: Duration = Duration::from_secs(86_400);

/// How far the clocks may differ before it is worth a line.
const CLOCK_TOLERANCE: i64 = 120;

pub(super) async fn run(context: &Context, tokens: TokenFile) {
    let mut pulse = Pulse {
        context,
        tokens: Some(tokens),
        tries: Tries::new(context.settings.backoff),
        told_subnets: false,
        no_rotation_before: Duration::ZERO,
        warned_of_clock: false,
    };
    let beating = async {
        loop {
            let wait = pulse.beat().await;
            tokio::select! {
                () = sleep(wait) => {}
                () = context.beat_now.notified() => {}
            }
        }
    };
    tokio::select! {
        () = beating => {}
        () = context.stop.cancelled() => {}
    }
    goodbye(context).await;
}

struct Pulse<'a> {
    context: &'a Context,
    /// None only while a blocking thread has it.
    tokens: Option<TokenFile>,
    tries: Tries,
    told_subnets: bool,
    no_rotation_before: Duration,
    warned_of_clock: bool,
}

impl Pulse<'_> {
    /// One heartbeat; answers how long to wait for the next.
    async fn beat(&mut self) -> Duration {
        let context = self.context;
        context.report_outbox();
        match context.client.heartbeat(&self.words()).await {
            Ok(answer) => self.heard(&answer).await,
            Err(error) => self.not_heard(error).await,
        }
    }

    fn words(&self) -> AgentHeartbeat {
        let settings = &self.context.settings;
        AgentHeartbeat {
            status: Some("online".to_owned()),
            version: Some(settings.version.clone()),
            subnets: Some(&settings.file.subnets)
                .filter(|subnets| !self.told_subnets && !subnets.is_empty())
                .cloned(),
            boot_id: Some(settings.boot_id.clone()),
            outbox: Some(self.context.outbox.report().into()),
        }
    }

    async fn heard(&mut self, answer: &BeatAnswer) -> Duration {
        let (context, now) = (self.context, self.context.now());
        self.told_subnets = true;
        self.tries.reset();
        self.compare_clocks(answer.last_seen, now);
        let phase = if answer.approved {
            Phase::Online
        } else {
            Phase::Unapproved
        };
        let before = context.board.phase();
        context.board.enter(phase, None, now);
        context
            .board
            .change(|state| state.last_seen = answer.last_seen.or(Some(now)));
        if before != phase {
            tracing::info!(nexus = context.client.nexus(), ?phase, "the nexus answers");
            context.back.notify_one();
        }
        // older servers do not say how many wait: they are asked each time. And what is in hand is gone on with
        let waiting = answer.pending_commands.is_none_or(|waiting| waiting > 0);
        if answer.approved && (waiting || context.board.commands() > 0) {
            context.commands_due.notify_one();
        }
        if self.tokens.as_ref().is_some_and(|tokens| tokens.before().is_some()) {
            self.with_tokens(TokenFile::forget_before).await;
        }
        if answer.approved && self.rotation_is_due(now) && self.rotate().await {
            // shows the new token at once: only then the old one may be forgotten
            return Duration::ZERO;
        }
        // a tenth more or less, so that a thousand agents do not beat as one
        context
            .settings
            .file
            .heartbeat
            .mul_f64(rand::rng().random_range(0.9..=1.1))
    }

    fn compare_clocks(&mut self, theirs: Option<Timestamp>, ours: Timestamp) {
        let Some(theirs) = theirs else { return };
        let ahead = theirs.0.as_second().saturating_sub(ours.0.as_second());
        self.context.board.change(|state| state.clock_ahead = Some(ahead));
        let far = ahead.saturating_abs() > CLOCK_TOLERANCE;
        if far && !self.warned_of_clock {
            tracing::warn!(
                seconds = ahead,
                "the clock of this machine and the nexus's differ: set one of them, or times of scans will be wrong"
            );
        }
        self.warned_of_clock = far;
    }

    async fn not_heard(&mut self, error: ClientError) -> Duration {
        let (context, now) = (self.context, self.context.now());
        let beat = context.settings.file.heartbeat;
        if error.is_token_refused() {
            if self.was_registered_again().await {
                tracing::info!("this agent was registered again: its new token is in use");
                return Duration::ZERO;
            }
            if self.with_tokens(TokenFile::fall_back).await == Some(true) {
                tracing::warn!("the nexus does not know the new token; the one before is in use again");
                return Duration::ZERO;
            }
            context.board.enter(Phase::Revoked, Some(error.to_string()), now);
            tracing::error!(%error, agent_id = %context.settings.file.agent_id,
                "the nexus does not know this agent's token: it was deregistered or revoked. What it sees is kept; register it again \
                 with `venom-host agent register`");
            return self.tries.wait_at_cap().max(error.retry_after().unwrap_or_default());
        }
        if self.tries.failures() == 0 {
            tracing::warn!(%error, "no heartbeat; what is seen is kept until the nexus is back");
        } else {
            tracing::debug!(%error, failures = self.tries.failures(), "no heartbeat");
        }
        context.board.enter(Phase::Unreachable, Some(error.to_string()), now);
        let refused = error.status().is_some_and(|status| status.is_client_error());
        let wait = if refused && !error.is_retryable() {
            self.tries.wait_at_cap()
        } else {
            // whoever is back is noticed within a heartbeat
            self.tries.wait().min(beat.mul_f64(1.1))
        };
        wait.max(error.retry_after().unwrap_or_default())
    }

    fn rotation_is_due(&self, now: Timestamp) -> bool {
        let (context, every) = (self.context, self.context.settings.file.rotate_token);
        let Some(tokens) = &self.tokens else { return false };
        if context.steady() < self.no_rotation_before {
            return false;
        }
        // a clock that was set counts like time that passed
        let age = now.0.as_second().abs_diff(tokens.issued_at().0.as_second());
        tokens.is_rotating() || (!every.is_zero() && age >= every.as_secs())
    }

    /// Exchanges the token. Whether a new one is in use.
    async fn rotate(&mut self) -> bool {
        let context = self.context;
        if self.was_registered_again().await {
            return true;
        }
        if self.with_tokens(TokenFile::begin_rotation).await.is_none() {
            return false;
        }
        match context.client.rotate().await {
            Ok(token) => {
                let now = context.now();
                if self
                    .with_tokens(move |tokens| tokens.take_new(token, now))
                    .await
                    .is_none()
                {
                    return false;
                }
                context.board.change(|state| state.token_issued_at = now);
                tracing::info!("the token was exchanged for a new one");
                true
            }
            Err(error) if error.is_retryable() || error.is_token_refused() => {
                tracing::warn!(%error, "the token could not be exchanged; trying again with the next heartbeat");
                false
            }
            Err(error) => {
                tracing::warn!(%error, "the nexus does not exchange tokens; it is asked again tomorrow");
                self.no_rotation_before = context.steady().saturating_add(ROTATION_PAUSE);
                self.with_tokens(TokenFile::give_up_rotation).await;
                false
            }
        }
    }

    /// Takes the token that `agent register` wrote beside this process. One of another nexus, or for another agent, is for the next start.
    async fn was_registered_again(&mut self) -> bool {
        let (directory, file) = (&self.context.settings.data_dir, &self.context.settings.file);
        let (directory, nexus, agent_id) = (directory.clone(), file.nexus.clone(), file.agent_id.clone());
        let is_this_one = blocking(move || {
            AgentFile::read(&directory).is_ok_and(|file| file.nexus == nexus && file.agent_id == agent_id)
        });
        if !is_this_one.await.unwrap_or(false) || self.with_tokens(TokenFile::read_again).await != Some(true) {
            return false;
        }
        if let Some(tokens) = &self.tokens {
            let issued_at = tokens.issued_at();
            self.context.board.change(|state| state.token_issued_at = issued_at);
        }
        true
    }

    /// Changes the token file on a blocking thread; the client goes on with what is current after it. None when the disk says no.
    async fn with_tokens<T: Send + 'static>(
        &mut self,
        change: impl FnOnce(&mut TokenFile) -> Result<T, TokenFileError> + Send + 'static,
    ) -> Option<T> {
        let mut tokens = self.tokens.take()?;
        let changed = blocking(move || {
            let changed = change(&mut tokens);
            (tokens, changed)
        });
        let (tokens, changed) = changed.await.ok()?;
        self.context.client.set_token(tokens.current().clone());
        self.tokens = Some(tokens);
        changed
            .inspect_err(|error| tracing::error!(%error, "the token file cannot be changed"))
            .ok()
    }
}

async fn goodbye(context: &Context) {
    if !matches!(context.board.phase(), Phase::Online | Phase::Unapproved) {
        return;
    }
    let words = AgentHeartbeat {
        status: Some("offline".to_owned()),
        boot_id: Some(context.settings.boot_id.clone()),
        outbox: Some(context.outbox.report().into()),
        ..AgentHeartbeat::default()
    };
    match timeout(context.settings.goodbye, context.client.heartbeat(&words)).await {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => tracing::debug!(%error, "the goodbye was not heard"),
        Err(_) => tracing::debug!("the goodbye was not answered in time"),
    }
}
