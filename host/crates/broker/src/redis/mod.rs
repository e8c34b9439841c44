//! The Redis back end, for several nexuses that share one hive. Every change is one Lua script, so it is done as a
//! whole or not at all, also when this process or the connection dies in the middle.
//!
//! The model of keys is described in `lua/book.lua`. All keys carry one hash tag, so a cluster keeps them together.
//! Redis 7 or newer is needed. What was accepted survives a crash of Redis as far as its persistence goes: with
//! `appendonly yes` and `appendfsync always` all of it.

mod ask;
mod broadcasts;
mod cache;
mod claim;
mod connect;
mod documents;
mod fault;
mod finish;
mod heard;
mod link;
mod listen;
mod look;
mod place;
mod record;
mod reply;
mod script;
mod serve;
mod submit;
mod tend;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::broadcast;
use venom_protocol::SessionId;

use crate::{BrokerError, Hint, Settings};
pub use broadcasts::hear_broadcasts;
use connect::Connector;
use link::Link;
use listen::Listener;
use script::Scripts;

/// Hints that wait for a receiver; one that falls further behind looks at everything.
const HINTS: usize = 1_024;

/// Where Redis is and how to get in.
#[derive(Clone)]
pub struct RedisSettings {
    /// `redis://[user:pass@]host:port[/db]`, `rediss://…` for TLS, `redis+unix:///path/to/socket[?db=0]`, or
    /// `redis+sentinel://[user:pass@]host:port,host:port/master[/db]` (`rediss+sentinel://…` for TLS).
    pub url: String,
    /// Instead of the user of the URL.
    pub username: Option<String>,
    /// Instead of the password of the URL.
    pub password: Option<String>,
    /// PEM file with the only authorities to trust for TLS; without it the public ones.
    pub ca_file: Option<PathBuf>,
    /// How long connecting may take, TLS and login included.
    pub connect_timeout: Duration,
    /// How long an answer may take; then the connection is given up and made anew.
    pub answer_timeout: Duration,
}

impl RedisSettings {
    /// This URL with everything else as usual.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            username: None,
            password: None,
            ca_file: None,
            connect_timeout: Duration::from_secs(3),
            answer_timeout: Duration::from_secs(5),
        }
    }
}

impl fmt::Debug for RedisSettings {
    /// Without user and password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisSettings")
            .field("url", &place::without_login(&self.url))
            .finish_non_exhaustive()
    }
}

/// A broker in Redis. It connects in the background and again whenever the connection breaks; meanwhile everything
/// is answered with why it cannot be reached. Dropping it closes the connections.
///
/// A batch given to `submit` is one step up to 20,000 tasks and 64 MiB. Larger ones are taken in several steps in
/// their order, each all or none; an error says that steps before it may have been done, and the whole batch may be
/// submitted again, as tasks that are known change nothing.
///
/// `send` counts who listens on the node of a cluster it is connected to, so there `false` only means that
/// nobody was found.
pub struct RedisBroker {
    settings: Settings,
    place: String,
    /// `{name}:`, before every key.
    tag: String,
    scripts: Scripts,
    /// Name of this broker in hints about what it did itself and no session did.
    me: SessionId,
    /// For single tasks and short requests.
    quick: Link,
    /// For batches, so that no short request waits behind one.
    bulk: Link,
    listener: Listener,
    hints: broadcast::Sender<Hint>,
}

impl RedisBroker {
    /// Starts connecting. To be called within a tokio runtime.
    ///
    /// # Errors
    /// [`BrokerError::Refused`]: the URL or the CA file cannot be used, or there is no runtime. That Redis cannot be
    /// reached is no error here: it may come.
    pub fn new(redis: RedisSettings, settings: Settings) -> Result<Self, BrokerError> {
        let connector = Arc::new(Connector::new(&redis)?);
        let place = connector.place().to_owned();
        let runtime = tokio::runtime::Handle::try_current().map_err(|error| BrokerError::Refused {
            broker: place.clone(),
            why: error.to_string(),
        })?;
        let _in_it = runtime.enter();
        let (hints, _) = broadcast::channel(HINTS);
        let me = SessionId::random();
        Ok(Self {
            tag: format!("{{{}}}:", settings.namespace),
            scripts: Scripts::new(&settings),
            quick: Link::start(Arc::clone(&connector), link::Use::Quick),
            bulk: Link::start(Arc::clone(&connector), link::Use::Bulk),
            listener: Listener::start(connector, &settings, me, hints.clone()),
            settings,
            place,
            me,
            hints,
        })
    }
}

impl fmt::Debug for RedisBroker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisBroker")
            .field("place", &self.place)
            .finish_non_exhaustive()
    }
}
