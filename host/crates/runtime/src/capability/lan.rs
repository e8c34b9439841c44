//! The `lan` interface: what this machine knows of its networks, and what answers there. Each function is a right of
//! its own, and every answer is cut to addresses that the skill's net grants reach, then bounded in number and size.
//! Nothing here listens for longer than asked, and nothing is sent but the questions that the functions are about.

#[cfg(not(target_os = "linux"))]
mod elsewhere;
mod links;
#[cfg(target_os = "linux")]
mod linux;
mod mdns;
mod page;
mod reverse;
mod ssdp;
mod text;
mod tls;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::time::{Instant, timeout, timeout_at};
use venom_bundle::capability::Lan;

use super::Refusal;
use super::net::AddressPolicy;
use super::refusal::policy_key;
use crate::bindings::GuestError;
use crate::bindings::venom::skill::lan::{Device, Host, Link, Neighbour, Page, Service, TlsSession};
use crate::state::CallState;

#[cfg(not(target_os = "linux"))]
use elsewhere as system;
#[cfg(target_os = "linux")]
use linux as system;

pub(crate) use reverse::ResolverShare;
pub(crate) use tls::Peek;

/// Longest any of these functions listens or waits.
const LONGEST: Duration = Duration::from_secs(10);
/// How long `browse` and `discover` listen unless told otherwise.
const LISTEN: Duration = Duration::from_secs(2);
/// How long a TLS handshake, or a page by HTTPS, may take unless told otherwise.
const HANDSHAKE: Duration = Duration::from_secs(3);
/// Longest a name is waited for. A resolver that is not there takes much longer to say so.
const RESOLVE: Duration = Duration::from_secs(3);

/// Most entries of an answer, so that a crowded or hostile network cannot fill a guest's memory.
const MOST_LINKS: usize = 64;
const MOST_NEIGHBOURS: usize = 4_096;
const MOST_FOUND: usize = 512;

impl CallState {
    fn may(&self, part: Lan) -> Result<Arc<AddressPolicy>, GuestError> {
        if self.rights.grants.lan.contains(&part) {
            return Ok(Arc::clone(&self.rights.addresses));
        }
        let skill = policy_key(&self.rights.skill);
        Err(GuestError::from(Refusal {
            capability: "lan",
            target: part.to_string(),
            reason: "it is not granted".to_owned(),
            missing_grant: format!("[skills.{skill}]\nlan = [\"{part}\"]"),
        }))
    }

    /// Which server is to be asked by TLS, and for which name. That a net grant reaches it is checked with each connection.
    fn tls_server(
        &self,
        part: Lan,
        text: &str,
        port: u16,
        server_name: &str,
    ) -> Result<(SocketAddr, ServerName<'static>), GuestError> {
        self.may(part)?;
        let peer = SocketAddr::new(address(text)?, port);
        tls::spare_printers(part, peer)?;
        Ok((peer, tls::server_name(peer.ip(), server_name)?))
    }

    /// A question to a whole network, or to the machine's resolver, counts as one connection.
    fn take_question(&mut self, part: Lan) -> Result<(), GuestError> {
        let skill = Arc::clone(&self.rights.skill);
        Ok(self.connections().take("lan", part.as_str(), &skill)?)
    }
}

/// `0` is the default; nobody waits for longer than [`LONGEST`].
fn time(milliseconds: u32, default: Duration) -> Duration {
    if milliseconds == 0 {
        default
    } else {
        Duration::from_millis(milliseconds.into()).min(LONGEST)
    }
}

fn address(text: &str) -> Result<IpAddr, GuestError> {
    let parsed = text.parse::<IpAddr>().map(|ip| ip.to_canonical());
    parsed.map_err(|_| GuestError::InvalidParams(format!("`{}` is no address", text::cut(text, 64))))
}

impl Host for CallState {
    async fn links(&mut self) -> Result<Vec<Link>, GuestError> {
        let policy = self.may(Lan::Links)?;
        let found = links::read().await?;
        let mut links: Vec<Link> = found.iter().filter_map(|link| link.seen_by(&policy)).collect();
        links.truncate(MOST_LINKS);
        Ok(links)
    }

    async fn neighbours(&mut self) -> Result<Vec<Neighbour>, GuestError> {
        let policy = self.may(Lan::Neighbours)?;
        let found = links::read_neighbours().await?;
        let known = found.into_iter().filter(|neighbour| policy.knows(neighbour.address));
        let answer = known.take(MOST_NEIGHBOURS).map(|neighbour| Neighbour {
            address: neighbour.address.to_string(),
            mac: neighbour.mac,
            link: neighbour.link,
        });
        Ok(answer.collect())
    }

    async fn reverse(&mut self, text: String) -> Result<Vec<String>, GuestError> {
        let policy = self.may(Lan::Reverse)?;
        let address = address(&text)?;
        policy.check_known(address, "reverse")?;
        self.take_question(Lan::Reverse)?;
        let names = timeout(RESOLVE, reverse::names(address, self.rights.resolver.clone())).await;
        names.unwrap_or_else(|_| {
            Err(GuestError::TimedOut(format!(
                "no answer on the name of {address} within {RESOLVE:?}"
            )))
        })
    }

    async fn browse(&mut self, kinds: Vec<String>, timeout_ms: u32) -> Result<Vec<Service>, GuestError> {
        let policy = self.may(Lan::Mdns)?;
        let kinds = mdns::kinds(kinds)?;
        self.take_question(Lan::Mdns)?;
        let found = mdns::browse(kinds, time(timeout_ms, LISTEN), policy).await?;
        Ok(found)
    }

    async fn discover(&mut self, timeout_ms: u32) -> Result<Vec<Device>, GuestError> {
        let policy = self.may(Lan::Ssdp)?;
        self.take_question(Lan::Ssdp)?;
        ssdp::discover(time(timeout_ms, LISTEN), &policy).await
    }

    async fn peek_tls(
        &mut self,
        text: String,
        port: u16,
        server_name: String,
        timeout_ms: u32,
    ) -> Result<TlsSession, GuestError> {
        let (peer, name) = self.tls_server(Lan::Tls, &text, port, &server_name)?;
        let limit = time(timeout_ms, HANDSHAKE);
        let net = self.net().clone();
        let permit = || net.open_tcp(peer).map_err(GuestError::from);
        let looked = timeout(limit, Peek::shared().session(peer, &name, permit)).await;
        looked.unwrap_or_else(|_| {
            Err(GuestError::TimedOut(format!(
                "no TLS handshake with {peer} within {limit:?}"
            )))
        })
    }

    async fn get_https(
        &mut self,
        text: String,
        port: u16,
        server_name: String,
        most_body: u32,
        timeout_ms: u32,
    ) -> Result<Page, GuestError> {
        let (peer, name) = self.tls_server(Lan::Https, &text, port, &server_name)?;
        let limit = time(timeout_ms, HANDSHAKE);
        let until = Instant::now() + limit;
        let net = self.net().clone();
        let permit = || net.open_tcp(peer).map_err(GuestError::from);
        let late = |_| GuestError::TimedOut(format!("no answer by HTTPS of {peer} within {limit:?}"));
        let connecting = Peek::shared().for_http(peer, &name, permit);
        let stream = timeout_at(until, connecting).await.map_err(late)??;
        let question = page::Question {
            peer,
            name: &name,
            most_body,
            until,
        };
        question.ask(stream).await.map_err(|trouble| match trouble {
            page::Trouble::Late(elapsed) => late(elapsed),
            page::Trouble::Broken(error) => GuestError::Failed(format!("no answer by HTTPS of {peer}: {error}")),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_a_default_and_an_end() {
        assert_eq!(time(0, LISTEN), LISTEN);
        assert_eq!(time(1, LISTEN), Duration::from_millis(1));
        assert_eq!(time(u32::MAX, LISTEN), LONGEST);
    }

    #[test]
    fn addresses_are_canonical() {
        assert_eq!(address("::ffff:10.0.0.1").unwrap().to_string(), "10.0.0.1");
        assert!(matches!(address("a.example"), Err(GuestError::InvalidParams(_))));
    }
}
