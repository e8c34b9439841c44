//! Which Redis is meant: URLs, what is shown of them, and where the sentinels of a master are.

use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo, RedisConnectionInfo};

use super::RedisSettings;
use crate::BrokerError;

/// Port of sentinels that name none.
const SENTINEL_PORT: u16 = 26_379;

/// Where to connect to.
#[derive(Clone)]
pub(super) enum Target {
    /// That server.
    Server(ConnectionInfo),
    /// The master of this name.
    Master {
        name: String,
        sentinels: Vec<(String, u16)>,
        login: RedisConnectionInfo,
        tls: bool,
    },
}

impl Target {
    /// # Errors
    /// A URL that cannot be used.
    pub(super) fn parse(settings: &RedisSettings) -> Result<Self, BrokerError> {
        let url = settings.url.trim();
        let mut target = match url.split_once("+sentinel://") {
            Some(("redis", rest)) => master(rest, false),
            Some(("rediss", rest)) => master(rest, true),
            _ => url
                .into_connection_info()
                .map(Self::Server)
                .map_err(|error| error.to_string()),
        }
        .map_err(|why| unusable(url, &why))?;
        let login = match &mut target {
            Self::Server(info) => info.redis_settings().clone(),
            Self::Master { login, .. } => login.clone(),
        };
        target.log_in_as(with_override(login, settings));
        Ok(target)
    }

    fn log_in_as(&mut self, settings: RedisConnectionInfo) {
        match self {
            Self::Server(info) => *info = info.clone().set_redis_settings(settings),
            Self::Master { login, .. } => *login = settings,
        }
    }

    /// For messages, without user and password.
    pub(super) fn place(&self) -> String {
        match self {
            Self::Server(info) => {
                let db = info.redis_settings().db();
                let suffix = if db == 0 { String::new() } else { format!("/{db}") };
                format!("redis at {}{suffix}", info.addr())
            }
            Self::Master { name, sentinels, .. } => {
                let list: Vec<String> = sentinels.iter().map(|(host, port)| format!("{host}:{port}")).collect();
                format!("redis master `{name}` of sentinels {}", list.join(","))
            }
        }
    }

    pub(super) fn is_tls(&self) -> bool {
        match self {
            Self::Server(info) => matches!(info.addr(), ConnectionAddr::TcpTls { .. }),
            Self::Master { tls, .. } => *tls,
        }
    }
}

fn with_override(mut login: RedisConnectionInfo, settings: &RedisSettings) -> RedisConnectionInfo {
    if let Some(username) = &settings.username {
        login = login.set_username(username);
    }
    if let Some(password) = &settings.password {
        login = login.set_password(password);
    }
    login
}

/// What comes after `redis+sentinel://`.
fn master(rest: &str, tls: bool) -> Result<Target, String> {
    let (login, rest) = rest
        .rsplit_once('@')
        .map_or((None, rest), |(login, rest)| (Some(login), rest));
    let (hosts, path) = rest.split_once('/').ok_or("the name of the master is missing")?;
    let (name, db) = path.split_once('/').unwrap_or((path, "0"));
    let name = decoded(name)
        .filter(|name| !name.is_empty())
        .ok_or("the name of the master is missing")?;
    let mut settings = RedisConnectionInfo::default().set_db(db.parse().map_err(|_| format!("`{db}` is no database"))?);
    if let Some((user, password)) = login.map(|login| login.split_once(':').unwrap_or(("", login))) {
        let readable = || "the user or password is not percent-encoded".to_owned();
        settings = settings.set_password(decoded(password).ok_or_else(readable)?);
        if !user.is_empty() {
            settings = settings.set_username(decoded(user).ok_or_else(readable)?);
        }
    }
    let sentinels: Result<Vec<_>, String> = hosts.split(',').map(host_and_port).collect();
    Ok(Target::Master {
        name,
        sentinels: sentinels?,
        login: settings,
        tls,
    })
}

fn host_and_port(text: &str) -> Result<(String, u16), String> {
    let (host, port) = match text.rsplit_once(':') {
        // an IPv6 address without a port
        Some(_) if text.ends_with(']') => (text, None),
        Some((host, port)) => (host, Some(port)),
        None => (text, None),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    if host.is_empty() {
        return Err("a sentinel has no host".to_owned());
    }
    let port = port
        .map_or(Ok(SENTINEL_PORT), str::parse)
        .map_err(|_| format!("`{text}` has no valid port"))?;
    Ok((host.to_owned(), port))
}

fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digits = [rest.next()?, rest.next()?];
            bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

fn unusable(url: &str, why: &str) -> BrokerError {
    BrokerError::Refused {
        broker: format!("redis at {}", without_login(url)),
        why: format!(
            "the URL cannot be used: {why}; expected redis://[user:pass@]host:port[/db], rediss://…, \
             redis+unix:///path or redis+sentinel://host:port,host:port/master"
        ),
    }
}

/// A URL without what may be secret in it: user and password, and everything after `?`.
pub(super) fn without_login(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let rest = rest.rsplit_once('@').map_or(rest, |(_, rest)| rest);
    let rest = rest.split_once('?').map_or(rest, |(rest, _)| rest);
    if scheme.is_empty() {
        rest.to_owned()
    } else {
        format!("{scheme}://{rest}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(url: &str) -> Result<Target, BrokerError> {
        Target::parse(&RedisSettings::new(url))
    }

    #[test]
    fn places_are_shown_without_secrets() {
        for (url, place) in [
            ("redis://me:sec%40ret@h:7/3", "redis at h:7/3"),
            ("rediss://:secret@h", "redis at h:6379"),
            ("redis+unix:///run/redis.sock?pass=secret", "redis at /run/redis.sock"),
            (
                "redis+sentinel://:secret@a:1,b,[::1]:2/hive/4",
                "redis master `hive` of sentinels a:1,b:26379,::1:2",
            ),
        ] {
            assert_eq!(target(url).unwrap().place(), place, "{url}");
            assert!(!format!("{:?}", RedisSettings::new(url)).contains("sec"), "{url}");
        }
    }

    #[test]
    fn unusable_urls_are_refused_with_the_forms_that_work() {
        for url in [
            "",
            "h:7",
            "http://me:secret@h",
            "redis+sentinel://me:secret@h:1",
            "redis+sentinel://me:secret@/hive",
            "redis+sentinel://h:1/hive/x",
        ] {
            let error = target(url).err().unwrap().to_string();
            assert!(error.contains("expected redis://"), "{error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn sentinels_have_a_login_and_settings_override_it() {
        let settings = RedisSettings {
            password: Some("other".to_owned()),
            ..RedisSettings::new("rediss+sentinel://me:p%3Aw@h:1/hive/4")
        };
        let Target::Master { login, tls, .. } = Target::parse(&settings).unwrap() else {
            panic!()
        };
        assert_eq!(
            (login.username(), login.password(), login.db(), tls),
            (Some("me"), Some("other"), 4, true)
        );
    }
}
