//! Opens connections: to the server of the URL, or to whom the sentinels call master now.

use std::collections::HashMap;
use std::fs;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, ProtocolVersion, PushInfo,
    PushKind, RedisConnectionInfo, RedisError, RedisResult, TlsCertificates, Value,
};
use tokio::sync::Notify;

use super::RedisSettings;
use super::fault::{told, unavailable};
use super::place::Target;
use crate::BrokerError;

/// Requests handed to the writer of one connection and not written yet; whoever has one more waits.
const UNWRITTEN: usize = 256;

/// Scripts with flags came with it.
const OLDEST: u64 = 7;

/// What is needed to connect, at any time.
pub(super) struct Connector {
    target: Target,
    place: String,
    roots: Option<Vec<u8>>,
    connect_timeout: Duration,
    answer_timeout: Duration,
}

impl Connector {
    /// # Errors
    /// URL or CA file cannot be used.
    pub(super) fn new(settings: &RedisSettings) -> Result<Self, BrokerError> {
        let target = Target::parse(settings)?;
        let place = target.place();
        let roots = match &settings.ca_file {
            Some(path) if target.is_tls() => Some(fs::read(path).map_err(|error| BrokerError::Refused {
                broker: place.clone(),
                why: format!("CA file {}: {error}", path.display()),
            })?),
            _ => None,
        };
        if target.is_tls() {
            // whoever was first has chosen
            let _chosen = rustls::crypto::ring::default_provider().install_default();
        }
        let connector = Self {
            target,
            place,
            roots,
            connect_timeout: settings.connect_timeout,
            answer_timeout: settings.answer_timeout,
        };
        if let Target::Server(info) = &connector.target {
            connector.client(info.clone()).map_err(|error| connector.told(&error))?;
        }
        Ok(connector)
    }

    pub(super) fn place(&self) -> &str {
        &self.place
    }

    /// How long an answer may take.
    pub(super) fn answer_timeout(&self) -> Duration {
        self.answer_timeout
    }

    pub(super) fn told(&self, error: &RedisError) -> BrokerError {
        told(&self.place, error)
    }

    /// A connection for requests to a server that can do what is needed. `broken` is notified when it breaks.
    pub(super) async fn requests(&self, broken: Arc<Notify>) -> Result<MultiplexedConnection, BrokerError> {
        let hear = move |push: PushInfo| {
            if push.kind == PushKind::Disconnection {
                broken.notify_one();
            }
            Ok::<(), ()>(())
        };
        self.in_time(async {
            let mut conn = self.open(self.config().set_push_sender(hear)).await?;
            self.check(&mut conn).await?;
            Ok(conn)
        })
        .await
    }

    /// A connection that hands over what is published to the channels it subscribes to.
    pub(super) async fn subscriptions(
        &self,
        hear: impl Fn(PushInfo) -> Result<(), ()> + Send + Sync + 'static,
    ) -> Result<MultiplexedConnection, BrokerError> {
        self.in_time(self.open(self.config().set_push_sender(hear))).await
    }

    async fn in_time<T>(&self, work: impl Future<Output = Result<T, BrokerError>>) -> Result<T, BrokerError> {
        let late = || {
            unavailable(
                self.place.clone(),
                "connecting takes too long; see that it runs and can be reached",
            )
        };
        tokio::time::timeout(self.connect_timeout, work)
            .await
            .unwrap_or_else(|_| Err(late()))
    }

    /// The time limits of the library are not used: who waits for an answer limits that.
    fn config(&self) -> AsyncConnectionConfig {
        AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.connect_timeout))
            .set_response_timeout(None)
            .set_pipeline_buffer_size(UNWRITTEN)
    }

    async fn open(&self, config: AsyncConnectionConfig) -> Result<MultiplexedConnection, BrokerError> {
        let info = match &self.target {
            Target::Server(info) => info.clone(),
            Target::Master {
                name,
                sentinels,
                login,
                tls,
            } => self.master(name, sentinels, login, *tls).await?,
        };
        let login = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
        let client = self
            .client(info.set_redis_settings(login))
            .map_err(|error| self.told(&error))?;
        let opened = client.get_multiplexed_async_connection_with_config(&config).await;
        opened.map_err(|error| self.told(&error))
    }

    fn client(&self, info: ConnectionInfo) -> RedisResult<Client> {
        match &self.roots {
            Some(roots) => {
                let certificates = TlsCertificates {
                    client_tls: None,
                    root_cert: Some(roots.clone()),
                };
                Client::build_with_tls(info, certificates)
            }
            None => Client::open(info),
        }
    }

    async fn check(&self, conn: &mut MultiplexedConnection) -> Result<(), BrokerError> {
        let hello: HashMap<String, Value> = redis::cmd("HELLO")
            .query_async(conn)
            .await
            .map_err(|error| self.told(&error))?;
        let version = match hello.get("version") {
            Some(Value::BulkString(text)) => String::from_utf8_lossy(text).into_owned(),
            Some(Value::SimpleString(text)) => text.clone(),
            _ => String::new(),
        };
        let major = version.split('.').next().and_then(|major| major.parse::<u64>().ok());
        if major.is_some_and(|major| major < OLDEST) {
            return Err(BrokerError::Refused {
                broker: self.place.clone(),
                why: format!("it is version {version} and {OLDEST} or newer is needed"),
            });
        }
        Ok(())
    }

    /// Says so when Redis is set up to lose accepted tasks. Whether it tells its settings is up to its user's rights.
    pub(super) async fn warn_of_losses(&self, mut conn: MultiplexedConnection) {
        let asked = ["maxmemory-policy", "appendonly", "save"];
        let get = redis::cmd("CONFIG").arg("GET").arg(&asked).to_owned();
        let answer = self.in_time(async { get.query_async(&mut conn).await.map_err(|error| self.told(&error)) });
        let Ok(known) = answer.await as Result<HashMap<String, String>, BrokerError> else {
            return;
        };
        let is = |name: &str, value: &str| known.get(name).is_some_and(|found| found == value);
        if known.contains_key("maxmemory-policy") && !is("maxmemory-policy", "noeviction") {
            tracing::warn!(
                place = self.place,
                policy = known.get("maxmemory-policy"),
                "it may throw tasks away when its memory is full; set maxmemory-policy noeviction"
            );
        }
        if is("appendonly", "no") {
            tracing::warn!(
                place = self.place,
                snapshots = !is("save", ""),
                "tasks accepted since its last snapshot are lost when it ends; set appendonly yes"
            );
        }
    }

    /// Asks the sentinels in turn.
    async fn master(
        &self,
        name: &str,
        sentinels: &[(String, u16)],
        login: &RedisConnectionInfo,
        tls: bool,
    ) -> Result<ConnectionInfo, BrokerError> {
        let mut why = String::new();
        for (host, port) in sentinels {
            let found = self.ask_sentinel(name, address(host, *port, tls), login).await;
            match found {
                Ok(Some((host, port))) => {
                    let info = address(&host, port, tls).into_connection_info();
                    let info = info.map_err(|error| self.told(&error))?;
                    return Ok(info.set_redis_settings(login.clone()));
                }
                Ok(None) => why = format!("sentinel {host}:{port} knows no such master"),
                Err(error) => why = format!("sentinel {host}:{port}: {error}"),
            }
        }
        Err(unavailable(
            self.place.clone(),
            &format!("no sentinel names a master ({why})"),
        ))
    }

    /// Sentinels may or may not have the password of the server.
    async fn ask_sentinel(
        &self,
        name: &str,
        address: ConnectionAddr,
        login: &RedisConnectionInfo,
    ) -> RedisResult<Option<(String, u16)>> {
        let open = self.sentinel(name, &address, RedisConnectionInfo::default()).await;
        match open {
            Err(error) if login.password().is_some() && error.code() == Some("NOAUTH") => {
                self.sentinel(name, &address, login.clone().set_db(0)).await
            }
            answer => answer,
        }
    }

    async fn sentinel(
        &self,
        name: &str,
        address: &ConnectionAddr,
        login: RedisConnectionInfo,
    ) -> RedisResult<Option<(String, u16)>> {
        let info = address.clone().into_connection_info()?.set_redis_settings(login);
        let mut conn = self
            .client(info)?
            .get_multiplexed_async_connection_with_config(&self.config())
            .await?;
        redis::cmd("SENTINEL")
            .arg("GET-MASTER-ADDR-BY-NAME")
            .arg(name)
            .query_async(&mut conn)
            .await
    }
}

fn address(host: &str, port: u16, tls: bool) -> ConnectionAddr {
    if tls {
        ConnectionAddr::TcpTls {
            host: host.to_owned(),
            port,
            insecure: false,
            tls_params: None,
        }
    } else {
        ConnectionAddr::Tcp(host.to_owned(), port)
    }
}
