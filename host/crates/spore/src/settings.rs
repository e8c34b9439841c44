//! What a spore is told at its start. Plain values: this module reads neither flags nor environment.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use rustls::ClientConfig;
use venom_protocol::NodeId;

use crate::SporeError;

/// Calls a spore runs at one time unless told otherwise.
pub const DEFAULT_CONCURRENCY: u32 = 256;

/// Calls that wait for a slot unless told otherwise; beyond them a call is refused as busy.
pub const DEFAULT_QUEUE: u32 = 1024;

/// The token a spore shows its nexus. Clones are one and the same: a new one is shown by all of them from then on. Never
/// printed.
#[derive(Clone, Default)]
pub struct Token(Arc<RwLock<String>>);

impl Token {
    /// Shows another from now on: the next link and the next download begin with it.
    pub fn renew(&self, text: &str) {
        text.clone_into(&mut self.0.write().unwrap_or_else(PoisonError::into_inner));
    }

    /// The text, for the handshake.
    pub(crate) fn reveal(&self) -> String {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl PartialEq for Token {
    fn eq(&self, other: &Self) -> bool {
        self.reveal() == other.reveal()
    }
}

impl Eq for Token {}

impl From<String> for Token {
    fn from(text: String) -> Self {
        Self(Arc::new(RwLock::new(text)))
    }
}

impl From<&str> for Token {
    fn from(text: &str) -> Self {
        Self::from(text.to_owned())
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(redacted)")
    }
}

/// How long to wait before the nexus is tried again: a random time up to `base * 2^failures`, at most `cap`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// Bound of the first wait.
    pub base: Duration,
    /// Bound of every wait.
    pub cap: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            base: Duration::from_millis(500),
            cap: Duration::from_secs(30),
        }
    }
}

/// Everything [`crate::run`] is told.
#[derive(Debug, Clone)]
pub struct SporeSettings {
    /// `ws`, `wss`, `http` or `https` URL of the nexus, or `host[:port]`; several, with commas between, when they
    /// share a broker: any will do.
    pub nexus: String,
    /// Shared or agent token.
    pub token: Token,
    /// See [`crate::node_id_in`].
    pub node_id: NodeId,
    /// For people.
    pub name: String,
    /// `location:server_room` and so on; `gpu` is added when there is one.
    pub tags: Vec<String>,
    /// Calls run at one time.
    pub concurrency: u32,
    /// Calls that may wait for a slot.
    pub queue: u32,
    /// Longest time between heartbeats. A nexus that calls a spore gone sooner is sent more.
    pub heartbeat_interval: Duration,
    /// How long running calls may go on once a drain began.
    pub drain_timeout: Duration,
    /// PEM file of certificate authorities trusted beside the public ones.
    pub ca_file: Option<PathBuf>,
    /// How connections to the nexus are secured, in the place of all that `ca_file` says: where one key is trusted and no
    /// authority.
    pub tls: Option<Arc<ClientConfig>>,
    /// Waits between tries.
    pub backoff: Backoff,
}

impl SporeSettings {
    /// The defaults, for a nexus.
    pub fn new(nexus: impl Into<String>, token: impl Into<Token>, node_id: NodeId) -> Self {
        Self {
            nexus: nexus.into(),
            token: token.into(),
            node_id,
            name: format!("spore-{}", &node_id.0.simple().to_string()[..8]),
            tags: Vec::new(),
            concurrency: DEFAULT_CONCURRENCY,
            queue: DEFAULT_QUEUE,
            heartbeat_interval: Duration::from_secs(30),
            drain_timeout: Duration::from_secs(30),
            ca_file: None,
            tls: None,
            backoff: Backoff::default(),
        }
    }

    /// Refuses values that cannot work, before anything is dialled.
    pub(crate) fn check(&self) -> Result<(), SporeError> {
        let wrong = |setting, why| Err(SporeError::Setting { setting, why });
        if self.concurrency == 0 {
            return wrong("concurrency", "0 would run no call; give 1 or more");
        }
        if self.heartbeat_interval.is_zero() {
            return wrong("heartbeat interval", "0 would send without a pause; give 1 s or more");
        }
        if self.backoff.base.is_zero() || self.backoff.cap < self.backoff.base {
            return wrong("backoff", "the base must be over 0 and not over the cap");
        }
        if self.name.trim().is_empty() {
            return wrong("name", "it is empty; give the node a name");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> SporeSettings {
        SporeSettings::new("localhost:8000", "hush", NodeId::random())
    }

    #[test]
    fn the_token_is_not_printed() {
        let printed = format!("{:?}", settings());
        assert!(!printed.contains("hush"), "{printed}");
        assert!(printed.contains("redacted"), "{printed}");
    }

    #[test]
    fn a_renewed_token_is_shown_by_all_who_have_it() {
        let settings = settings();
        let token = settings.token.clone();
        token.renew("new");
        assert_eq!(settings.token.reveal(), "new");
        assert_eq!(settings.token, Token::from("new"));
    }

    #[test]
    fn defaults_pass_the_check() {
        settings().check().expect("the defaults work");
    }

    #[test]
    fn each_impossible_value_is_named() {
        type Spoil = fn(&mut SporeSettings);
        let cases: [(&str, Spoil); 4] = [
            ("concurrency", |s| s.concurrency = 0),
            ("heartbeat interval", |s| s.heartbeat_interval = Duration::ZERO),
            ("backoff", |s| s.backoff.cap = Duration::from_millis(1)),
            ("name", |s| s.name = " ".to_owned()),
        ];
        for (name, spoil) in cases {
            let mut settings = settings();
            spoil(&mut settings);
            let error = settings.check().expect_err(name).to_string();
            assert!(error.contains(name), "{error}");
        }
    }
}
