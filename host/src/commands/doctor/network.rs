//! Ports, the nexus and Redis.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::{Check, Status};
use crate::client::{Hello, NexusClient};
use crate::data_dir::DataDir;
use crate::settings::{ClientSettings, NexusSettings, Sources, env};

/// A peer that has not answered by then is not there.
const PATIENCE: Duration = Duration::from_secs(3);

/// Clocks further apart than this make certificates and log lines of two machines hard to match.
const MOST_SKEW: i64 = 30;

const REDIS_PORT: u16 = 6379;

/// The nexus the command line would talk to, and the port a nexus here would take.
pub(crate) async fn check(client: &ClientSettings, own: &NexusSettings, data: &DataDir) -> Vec<Check> {
    let hello = match NexusClient::new(client, data) {
        Ok(nexus) => nexus.hello().await,
        Err(failure) => Err(failure),
    };
    let mut checks = vec![port(own, client, hello.is_ok()).await];
    match hello {
        Ok(hello) => checks.extend([version(client, &hello), skew(&hello)]),
        Err(failure) => checks.push(Check::warn(
            "nexus",
            failure.summary(),
            "start one with `venom-host nexus`, or name yours with --nexus URL",
        )),
    }
    checks
}

async fn port(own: &NexusSettings, client: &ClientSettings, nexus_answers: bool) -> Check {
    let address = SocketAddr::new(own.bind, own.port);
    match TcpListener::bind(address).await {
        Ok(_) => Check::ok("port", format!("{address} is free")),
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
            let is_ours = nexus_answers && client.nexus.ends_with(&format!(":{}", own.port));
            if is_ours {
                return Check::ok("port", format!("{address} is taken by the nexus that answers there"));
            }
            Check::warn(
                "port",
                format!("{address} is taken by another program"),
                "a nexus here needs another: [nexus] port, or --port N",
            )
        }
        Err(error) => Check::fail(
            "port",
            format!("{address}: {error}"),
            "set [nexus] bind and port to something this machine can listen on",
        ),
    }
}

fn version(client: &ClientSettings, hello: &Hello) -> Check {
    let own = env!("CARGO_PKG_VERSION");
    match &hello.version {
        Some(theirs) if theirs == own => Check::ok("nexus", format!("{} answers, version {theirs}", client.nexus)),
        Some(theirs) => Check::warn(
            "nexus",
            format!("{} has version {theirs}, this program {own}", client.nexus),
            "run the same version on both where you can",
        ),
        None => Check::ok(
            "nexus",
            format!("{} answers (it tells its version only with a token)", client.nexus),
        ),
    }
}

fn skew(hello: &Hello) -> Check {
    let name = "clock skew";
    match hello.clock_ahead {
        None => Check::skip(name, "the nexus did not say what time it is"),
        Some(seconds) if seconds.abs() <= MOST_SKEW => Check::ok(name, "this machine and the nexus agree"),
        Some(seconds) => Check::warn(
            name,
            format!("the nexus's clock is {seconds} s ahead of this machine's"),
            "let both keep time (chrony, systemd-timesyncd)",
        ),
    }
}

/// Redis, only where somebody configured it.
pub(crate) async fn redis(sources: &Sources) -> Check {
    let name = "redis";
    let Some(address) = redis_address(sources) else {
        return Check::skip(name, "not configured, not needed");
    };
    let help = "start it, or take REDIS_URL and REDIS_HOST out of the environment and [redis] out of venom.toml";
    match timeout(PATIENCE, ping(&address)).await {
        Ok(Ok(status)) => Check {
            name,
            status,
            detail: format!("{address} answers"),
            help: None,
        },
        Ok(Err(error)) => Check::fail(name, format!("{address}: {error}"), help),
        Err(_) => Check::fail(
            name,
            format!("{address} does not answer within {} s", PATIENCE.as_secs()),
            help,
        ),
    }
}

/// `host:port`; the user and password of a URL are left out.
fn redis_address(sources: &Sources) -> Option<String> {
    let env = &sources.env;
    let from_file = || sources.file.redis.url.as_ref().map(|url| url.reveal().to_owned());
    if let Some(url) = env.get(env::REDIS_URL).map(str::to_owned) {
        return Some(host_and_port(&url));
    }
    if let Some(host) = env.get(env::REDIS_HOST) {
        return Some(format!("{host}:{}", env.get(env::REDIS_PORT).unwrap_or("6379")));
    }
    from_file().map(|url| host_and_port(&url))
}

fn host_and_port(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    let address = authority.rsplit_once('@').map_or(authority, |(_, address)| address);
    let has_port = address
        .rsplit_once(':')
        .is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    if has_port {
        address.to_owned()
    } else {
        format!("{address}:{REDIS_PORT}")
    }
}

/// An answer of any kind to `PING` is a Redis, one that asks for a password included.
async fn ping(address: &str) -> std::io::Result<Status> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(b"PING\r\n").await?;
    let mut answer = [0; 64];
    let read = stream.read(&mut answer).await?;
    let answer = String::from_utf8_lossy(answer.get(..read).unwrap_or_default()).into_owned();
    if answer.starts_with("+PONG") || answer.starts_with("-NOAUTH") {
        Ok(Status::Ok)
    } else {
        Err(std::io::Error::other(
            "something answers there, but it is no Redis (or one that speaks TLS only)",
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redis_url_gives_host_and_port_and_no_password() {
        for (url, address) in [
            ("redis://127.0.0.1:7000/2", "127.0.0.1:7000"),
            ("rediss://user:s3cret@cache.example/0", "cache.example:6379"),
            ("redis://:p@[::1]:6380", "[::1]:6380"),
            ("cache", "cache:6379"),
        ] {
            assert_eq!(host_and_port(url), address);
        }
    }

    #[tokio::test]
    async fn only_a_redis_answers_a_ping() {
        for (says, is_redis) in [
            ("+PONG\r\n", true),
            ("-NOAUTH Authentication required.\r\n", true),
            ("HTTP/1.1 400\r\n", false),
        ] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap().to_string();
            let server = async {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut heard = [0; 6];
                stream.read_exact(&mut heard).await.unwrap();
                assert_eq!(&heard, b"PING\r\n");
                stream.write_all(says.as_bytes()).await.unwrap();
            };
            let (_, answer) = tokio::join!(server, ping(&address));
            assert_eq!(answer.is_ok(), is_redis, "{says}");
        }
    }
}
