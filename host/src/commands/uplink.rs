//! A nexus or a spore that shows itself to another server beside its own work: it registers there as a hive client, says now
//! and then that it lives, and says goodbye. Trouble there is logged and never reaches the work itself.

use std::time::Duration;

use rand::RngExt as _;
use serde_json::{Map, Value};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use venom_agent::{Client, ClientError, Token};
use venom_protocol::{AgentHeartbeat, AgentId, RegisterAgent};

use crate::failure::chain;
use crate::settings::UplinkSettings;

/// Time between two heartbeats, a tenth more or less.
const HEARTBEAT: Duration = Duration::from_secs(30);
/// First and longest wait before a server that did not take the registration is asked again.
const BACKOFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(300));
/// The goodbye holds nobody up for longer.
const GOODBYE: Duration = Duration::from_secs(3);

/// Who shows itself.
#[derive(Debug, Clone)]
pub(crate) struct Who {
    /// Its id there.
    pub id: AgentId,
    /// `nexus` or `spore`.
    pub kind: &'static str,
    /// Name for people.
    pub name: String,
    /// Name of the machine.
    pub hostname: String,
    /// The port it serves something on; 0: none.
    pub service_port: u16,
    /// What it can do.
    pub capabilities: Vec<String>,
    /// Its tags.
    pub tags: Vec<String>,
}

/// The other server, for as long as this process works.
pub(crate) struct Uplink {
    showing: JoinHandle<()>,
    end: CancellationToken,
}

impl Uplink {
    /// Begins to show itself where the settings say so.
    pub(crate) fn begin(settings: Option<&UplinkSettings>, who: Who) -> Option<Self> {
        let line = line(settings?, who)?;
        let end = CancellationToken::new();
        let showing = tokio::spawn(line.show(end.clone()));
        Some(Self { showing, end })
    }

    /// Says goodbye and ends.
    pub(crate) async fn end(self) {
        self.end.cancel();
        // it ends by itself within the time of a goodbye
        let _ = self.showing.await;
    }
}

/// What can be set up; `None`, and said why, when something cannot.
fn line(settings: &UplinkSettings, who: Who) -> Option<Line> {
    let url = &settings.url;
    let Some(token) = &settings.token else {
        tracing::warn!(
            url,
            "HIVE_URL names a server, but there is no HIVE_REGISTRATION_TOKEN to register with: left out"
        );
        return None;
    };
    let token = match Token::new(token.reveal()) {
        Ok(token) => token,
        Err(error) => {
            tracing::warn!(url, %error, "HIVE_REGISTRATION_TOKEN cannot be used: the server of HIVE_URL is left out");
            return None;
        }
    };
    match Client::new(url, None, settings.ca_file.as_deref()) {
        Ok(client) => Some(Line {
            client,
            token,
            who,
            boot_id: uuid::Uuid::new_v4().to_string(),
            heartbeat: HEARTBEAT,
        }),
        Err(error) => {
            let why = chain(&error);
            tracing::warn!(url, why, "the server of HIVE_URL cannot be used: left out");
            None
        }
    }
}

struct Line {
    client: Client,
    token: Token,
    who: Who,
    boot_id: String,
    heartbeat: Duration,
}

impl Line {
    async fn show(self, end: CancellationToken) {
        let mut failures = 0;
        let mut said = String::new();
        while !end.is_cancelled() {
            let ended = tokio::select! {
                ended = self.one_stay(&mut failures) => ended,
                () = end.cancelled() => break,
            };
            let why = chain(&ended);
            if why == said {
                tracing::debug!(why, "still not shown to the server of HIVE_URL");
            } else {
                let url = self.client.nexus();
                tracing::warn!(
                    url,
                    why,
                    "not shown to the server of HIVE_URL; trying again, the work goes on"
                );
                said = why;
            }
            let wait = wait(failures, ended.retry_after());
            failures += 1;
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = end.cancelled() => break,
            }
        }
        let goodbye = AgentHeartbeat {
            status: Some("offline".to_owned()),
            boot_id: Some(self.boot_id.clone()),
            ..AgentHeartbeat::default()
        };
        if self.client.token().is_some() {
            // who does not hear it notices the silence
            let _ = timeout(GOODBYE, self.client.heartbeat(&goodbye)).await;
        }
    }

    /// Registers, and says that it lives until that is no longer heard.
    async fn one_stay(&self, failures: &mut u32) -> ClientError {
        match self.client.register(&self.registration(), &self.token).await {
            Ok(registered) => {
                tracing::info!(url = self.client.nexus(), id = %registered.agent_id, "shown to the server of HIVE_URL");
                // a hive gives its clients none and goes by the one they registered with
                let own = Token::new(&registered.token).unwrap_or_else(|_| self.token.clone());
                self.client.set_token(own);
            }
            Err(error) => return error,
        }
        *failures = 0;
        let beat = AgentHeartbeat {
            status: Some("online".to_owned()),
            version: Some(env!("CARGO_PKG_VERSION").to_owned()),
            boot_id: Some(self.boot_id.clone()),
            ..AgentHeartbeat::default()
        };
        loop {
            let share = rand::rng().random_range(0.9..1.1);
            tokio::time::sleep(self.heartbeat.mul_f64(share)).await;
            match self.client.heartbeat(&beat).await {
                Ok(_) => {}
                // it comes back by itself, or the next beat is heard
                Err(error) if error.is_retryable() => {
                    tracing::debug!(
                        why = chain(&error),
                        "the server of HIVE_URL did not hear this heartbeat"
                    );
                }
                Err(error) => return error,
            }
        }
    }

    fn registration(&self) -> RegisterAgent {
        let who = &self.who;
        let mut metadata = Map::new();
        metadata.insert("kind".to_owned(), Value::from(who.kind));
        metadata.insert("tags".to_owned(), Value::from(who.tags.clone()));
        RegisterAgent {
            agent_id: Some(who.id.clone()),
            hostname: Some(who.hostname.clone()),
            name: Some(who.name.clone()),
            service_port: Some(who.service_port),
            status: Some("online".to_owned()),
            capabilities: who.capabilities.clone(),
            version: Some(env!("CARGO_PKG_VERSION").to_owned()),
            boot_id: Some(self.boot_id.clone()),
            metadata,
            ..RegisterAgent::default()
        }
    }
}

/// Twice as long each time, up to the longest; a random share of it, so that not all come back at once.
fn wait(failures: u32, asked_for: Option<Duration>) -> Duration {
    let (first, longest) = BACKOFF;
    let most = first.saturating_mul(2_u32.saturating_pow(failures)).min(longest);
    let wait = most.mul_f64(rand::rng().random_range(0.5..1.0));
    asked_for.map_or(wait, |asked| wait.max(asked.min(longest)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_and_end_at_the_longest() {
        for (failures, most) in [(0, 1), (1, 2), (5, 32), (9, 300), (u32::MAX, 300)] {
            let found = wait(failures, None);
            assert!(
                found <= Duration::from_secs(most) && found >= Duration::from_secs(most) / 2,
                "{found:?}"
            );
        }
        assert_eq!(wait(0, Some(Duration::from_secs(60))), Duration::from_secs(60));
        assert_eq!(wait(0, Some(Duration::from_secs(6_000))), Duration::from_secs(300));
    }
}
