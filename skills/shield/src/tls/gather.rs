//! Asks a server which TLS it speaks: one connection a question, ended after its first answer. The handshake of today
//! is the host's (`lan.peek-tls`).

use std::net::SocketAddr;
use std::time::Duration;

use venom_sdk::{Error, Result, lan};

use super::hello::{self, MOST, Reply, Version, client_hello};
use super::suites::{self, ORDINARY, WEAK, Weakness};
use super::{Facts, Session, certificate};
use crate::check::{Look, evidence};
use crate::line::Trouble;
use crate::visit::Visit;

/// Most certificates of a chain that are read.
const CHAIN: usize = 8;

/// Whether the server speaks TLS, and the best version up to 1.2 it agrees to.
pub(crate) async fn first(visit: &Visit<'_>) -> Result<Look<Option<Version>>, Trouble> {
    match ask(visit, Version::Tls12, &everything()).await {
        Ok(Reply::Hello { version, .. }) => Ok(Look::Seen(Some(version))),
        Ok(Reply::Alert(_)) => Ok(Look::Seen(None)),
        Ok(Reply::Other) => Ok(Look::Absent),
        Err(trouble) => visit.unknown(trouble),
    }
}

/// Which of the old kinds a server speaks that speaks TLS.
pub(crate) async fn look(visit: &Visit<'_>, best: Option<Version>) -> Result<Facts, Trouble> {
    let suites = everything();
    let mut facts = Facts {
        best,
        ssl3: offers(visit, Version::Ssl3, &suites).await?,
        tls10: offers(visit, Version::Tls10, &suites).await?,
        tls11: offers(visit, Version::Tls11, &suites).await?,
        ..Facts::default()
    };
    find_weak(visit, &mut facts).await?;
    Ok(facts)
}

fn everything() -> Vec<u16> {
    ORDINARY.iter().copied().chain(WEAK.iter().map(|it| it.0)).collect()
}

async fn ask(visit: &Visit<'_>, version: Version, suites: &[u16]) -> Result<Reply, Trouble> {
    let mut line = visit.call().await?;
    line.say(&client_hello(version, suites, visit.hostname)).await?;
    line.hear_until(&mut Vec::new(), MOST, hello::reply).await
}

/// None: it could not be told. A server that just hangs up will not, as many do without an alert.
async fn offers(visit: &Visit<'_>, version: Version, suites: &[u16]) -> Result<Option<bool>, Trouble> {
    match ask(visit, version, suites).await {
        Ok(Reply::Hello { version: chosen, .. }) => Ok(Some(chosen == version)),
        Ok(Reply::Alert(_) | Reply::Other) | Err(Trouble::Ended) => Ok(Some(false)),
        Err(Trouble::Denied(place)) => Err(Trouble::Denied(place)),
        Err(_) => Ok(None),
    }
}

/// Offers nothing but weak suites, each time without the kinds it has agreed to, until it agrees to none.
async fn find_weak(visit: &Visit<'_>, facts: &mut Facts) -> Result<(), Trouble> {
    loop {
        let is_left = |kind: Weakness| !facts.weak.iter().any(|(found, _)| *found == kind);
        let left: Vec<u16> = WEAK.iter().filter(|it| is_left(it.2)).map(|it| it.0).collect();
        if left.is_empty() {
            facts.weak_done = true;
            return Ok(());
        }
        match ask(visit, Version::Tls12, &left).await {
            Ok(Reply::Hello { suite, .. }) => match suites::weak(suite) {
                Some((name, kind)) if is_left(kind) => facts.weak.push((kind, name)),
                // it chose what it was not offered: nothing more can be learned from it
                _ => return Ok(()),
            },
            Ok(Reply::Alert(_) | Reply::Other) | Err(Trouble::Ended) => {
                facts.weak_done = true;
                return Ok(());
            }
            Err(Trouble::Denied(place)) => return Err(Trouble::Denied(place)),
            Err(_) => return Ok(()),
        }
    }
}

/// The handshake of today; `Ok(Err(why))` when the server would not.
pub(crate) fn peek(place: SocketAddr, hostname: Option<&str>, time: Duration) -> Result<Result<Session, String>> {
    let name = hostname.unwrap_or_default();
    match lan::peek_tls(place.ip(), place.port(), name, time) {
        Ok(session) => Ok(Ok(Session {
            version: session.version,
            chain: session
                .chain
                .iter()
                .take(CHAIN)
                .map(|der| certificate::read(der))
                .collect(),
        })),
        Err(error @ (Error::Denied(_) | Error::Limit(_) | Error::Cancelled)) => Err(error),
        Err(other) => Ok(Err(evidence(other.to_string().as_bytes()))),
    }
}
