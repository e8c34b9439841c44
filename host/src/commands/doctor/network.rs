//! Ports and the nexus.

use std::net::SocketAddr;

use tokio::net::TcpListener;

use super::Check;
use crate::client::{Hello, NexusClient};
use crate::data_dir::DataDir;
use crate::settings::{ClientSettings, NexusSettings};

/// Clocks further apart than this make certificates and log lines of two machines hard to match.
const MOST_SKEW: i64 = 30;

/// The nexus the command line would talk to, and the port a nexus here would take.
pub(crate) async fn check(client: &ClientSettings, own: &NexusSettings, data: &DataDir) -> Vec<Check> {
    let hello = match NexusClient::new(client, data) {
        Ok(nexus) => nexus.hello().await,
        Err(failure) => Err(failure),
    };
    let mut checks = vec![port(own, client, hello.is_ok()).await];
    match hello {
        Ok(hello) => checks.extend([version(client, &hello), skew("clock skew", &hello)]),
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

/// How far a nexus's clock is from this machine's.
pub(super) fn skew(name: &'static str, hello: &Hello) -> Check {
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
