//! Which Redis is meant, and how to get in. Whoever gives a URL means it; host, port and database of the first nexuses
//! count only where tasks are switched on by name, as many machines have a `REDIS_HOST` for something else.

use venom_broker::redis::RedisSettings;

use super::{Secret, SettingError, Sources, env};

/// The port of a Redis that names none.
const DEFAULT_PORT: u16 = 6379;

/// The Redis that is configured, if any: the flag's, else the environment's, else the file's.
pub(crate) fn redis(flag: Option<&str>, sources: &Sources) -> Result<Option<RedisSettings>, SettingError> {
    let from_env = || sources.env.get(env::REDIS_URL).map(str::to_owned);
    let from_file = || sources.file.redis.url.as_ref().map(|url| url.reveal().to_owned());
    let url = match flag.map(str::to_owned).or_else(from_env) {
        Some(url) => Some(url),
        None => host_and_port(sources)?.or_else(from_file),
    };
    url.map(|url| with_login(url, sources)).transpose()
}

/// `REDIS_HOST` and the like as a URL, where `ENABLE_HIVE` is on.
fn host_and_port(sources: &Sources) -> Result<Option<String>, SettingError> {
    let on = sources.pick_switch(None, env::ENABLE_HIVE, sources.file.hive.enabled)?;
    if on != Some(true) {
        return Ok(None);
    }
    let host = sources.env.get(env::REDIS_HOST);
    let port: Option<u16> = sources.env.parse(env::REDIS_PORT)?;
    let database: Option<u32> = sources.env.parse(env::REDIS_DB)?;
    if host.is_none() && port.is_none() {
        return Ok(None);
    }
    let host = host.unwrap_or("127.0.0.1");
    let host = if host.contains(':') && !host.starts_with('[') {
        format!("[{host}]")
    } else {
        host.to_owned()
    };
    let (port, database) = (port.unwrap_or(DEFAULT_PORT), database.unwrap_or(0));
    Ok(Some(format!("redis://{host}:{port}/{database}")))
}

/// User and password that stand beside a URL fill in for those it does not have.
fn with_login(url: String, sources: &Sources) -> Result<RedisSettings, SettingError> {
    let file = &sources.file.redis;
    let has_login = url.contains('@');
    let username = sources.pick(None, env::REDIS_USERNAME, file.username.clone())?;
    let password: Option<Secret> = sources.pick(None, env::REDIS_PASSWORD, file.password.clone())?;
    Ok(RedisSettings {
        username: username.filter(|_| !has_login),
        password: password
            .filter(|_| !has_login)
            .map(|password| password.reveal().to_owned()),
        ca_file: sources.pick(None, env::REDIS_CA_FILE, file.ca_file.clone())?,
        ..RedisSettings::new(url)
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::settings::{Environment, File};

    fn found(flag: Option<&str>, pairs: &[(&str, &str)], file: &str) -> Option<String> {
        let sources = Sources {
            env: Environment::of(pairs),
            file: File::parse(file, Path::new("/d/venom.toml")).unwrap(),
            data_dir: "/d".into(),
        };
        let redis = redis(flag, &sources).unwrap()?;
        let login = |part: Option<String>| part.map_or(String::new(), |part| format!(" {part}"));
        Some(format!(
            "{}{}{}",
            redis.url,
            login(redis.username),
            login(redis.password)
        ))
    }

    #[test]
    fn the_flag_beats_the_environment_beats_the_file() {
        let file = "[redis]\nurl = \"redis://c\"";
        let env = [("REDIS_URL", "redis://b"), ("REDIS_HOST", "h"), ("ENABLE_HIVE", "true")];
        assert_eq!(found(Some("redis://a"), &env, file).as_deref(), Some("redis://a"));
        assert_eq!(found(None, &env, file).as_deref(), Some("redis://b"));
        assert_eq!(found(None, &env[1..], file).as_deref(), Some("redis://h:6379/0"));
        assert_eq!(found(None, &[], file).as_deref(), Some("redis://c"));
        assert_eq!(found(None, &[], ""), None);
    }

    #[test]
    fn the_certificates_of_redis_can_be_named() {
        let of = |pairs: &[(&str, &str)]| {
            let sources = Sources {
                env: Environment::of(pairs),
                file: File::parse("[redis]\nca_file = \"ca.pem\"", Path::new("/d/venom.toml")).unwrap(),
                data_dir: "/d".into(),
            };
            redis(Some("rediss://h"), &sources).unwrap().unwrap().ca_file.unwrap()
        };
        assert_eq!(of(&[]), Path::new("/d/ca.pem"));
        assert_eq!(of(&[("REDIS_CA_FILE", "/e")]), Path::new("/e"));
    }

    #[test]
    fn host_and_port_count_only_where_the_hive_is_switched_on() {
        let parts = [
            ("REDIS_HOST", "::1"),
            ("REDIS_PORT", "7000"),
            ("REDIS_DB", "2"),
            ("REDIS_PASSWORD", "a@b/c"),
        ];
        assert_eq!(found(None, &parts, ""), None);
        let on = [&parts[..], &[("ENABLE_HIVE", "true")]].concat();
        assert_eq!(found(None, &on, "").as_deref(), Some("redis://[::1]:7000/2 a@b/c"));
        let by_file = found(None, &parts, "[hive]\nenabled = true");
        assert_eq!(by_file.as_deref(), Some("redis://[::1]:7000/2 a@b/c"));
        assert_eq!(
            found(None, &[("ENABLE_HIVE", "true")], ""),
            None,
            "nothing names a Redis"
        );
    }

    #[test]
    fn a_login_beside_the_url_fills_in_for_one_inside() {
        let login = [("REDIS_USERNAME", "u"), ("REDIS_PASSWORD", "p")];
        assert_eq!(found(Some("redis://h"), &login, "").as_deref(), Some("redis://h u p"));
        assert_eq!(
            found(Some("redis://x:y@h"), &login, "").as_deref(),
            Some("redis://x:y@h")
        );
        let file = "[redis]\nusername = \"f\"\npassword = \"g\"";
        assert_eq!(found(Some("redis://h"), &[], file).as_deref(), Some("redis://h f g"));
    }

    #[test]
    fn no_secret_is_printed() {
        let sources = Sources {
            env: Environment::of(&[("REDIS_PASSWORD", "s3cret")]),
            file: File::default(),
            data_dir: "/d".into(),
        };
        for url in ["redis://h", "redis://u:s3cret@h"] {
            let printed = format!("{:?}", redis(Some(url), &sources).unwrap());
            assert!(!printed.contains("s3cret") && printed.contains('h'), "{printed}");
        }
    }
}
