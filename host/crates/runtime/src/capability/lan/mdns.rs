//! Services that announce themselves by mDNS (DNS-SD), on the links that the skill's grants touch.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::SelectAll;
use mdns_sd::{IfKind, IfPredicate, ResolvedService, ServiceDaemon, ServiceEvent};
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, timeout_at};

use super::{MOST_FOUND, links, text};
use crate::bindings::GuestError;
use crate::bindings::venom::skill::lan::Service;
use crate::capability::net::AddressPolicy;

/// Listening at one time, of all calls: each has a thread and sockets of its own, and its place until those are gone.
static LISTENERS: Semaphore = Semaphore::const_new(4);

/// Most kinds listened for at one time.
const MOST_KINDS: usize = 32;
/// Most addresses and pairs of one service.
const MOST_ADDRESSES: usize = 16;
const MOST_PROPERTIES: usize = 32;

/// Asks which kinds there are (RFC 6763, section 9).
const ALL_KINDS: &str = "_services._dns-sd._udp";

/// Checks what a guest listens for; nothing named means every kind announced.
pub(super) fn kinds(asked: Vec<String>) -> Result<Vec<String>, GuestError> {
    if asked.len() > MOST_KINDS {
        let problem = format!(
            "{} kinds of services are too many: name at most {MOST_KINDS}",
            asked.len()
        );
        return Err(GuestError::InvalidParams(problem));
    }
    if let Some(odd) = asked.iter().find(|kind| !is_kind(kind)) {
        let problem = format!(
            "`{}` is no kind of service: write it like _http._tcp",
            text::cut(odd, 64)
        );
        return Err(GuestError::InvalidParams(problem));
    }
    if asked.is_empty() {
        return Ok(vec![ALL_KINDS.to_owned()]);
    }
    Ok(asked)
}

fn is_kind(text: &str) -> bool {
    let label = |label: &str| {
        let name = label.strip_prefix('_').unwrap_or_default();
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        (1..=62).contains(&name.len()) && name.bytes().all(legal) && !name.starts_with('-')
    };
    text.rsplit_once('.').is_some_and(|(name, transport)| {
        label(name) && (transport == "_tcp" || transport == "_udp") && !name.contains("--")
    })
}

/// Listens, and answers what was announced within the skill's grants.
pub(super) async fn browse(
    kinds: Vec<String>,
    time: Duration,
    policy: Arc<AddressPolicy>,
) -> Result<Vec<Service>, GuestError> {
    let end = Instant::now() + time;
    let touched: HashSet<(String, IpAddr)> = links::read()
        .await?
        .into_iter()
        .filter(|link| policy.touches(link.network))
        .map(|link| (link.name, link.network.addr()))
        .collect();
    if touched.is_empty() {
        return Ok(Vec::new());
    }
    let waiting = timeout_at(end, LISTENERS.acquire()).await;
    let Ok(Ok(place)) = waiting else {
        return Err(GuestError::Unavailable(
            "other calls listen to mDNS already; try again".to_owned(),
        ));
    };
    let listener = Listener::on(touched, place).map_err(unavailable)?;
    let found = listener.listen(kinds, end).await.map_err(unavailable)?;
    Ok(found
        .into_values()
        .filter_map(|service| told(service, &policy))
        .collect())
}

fn unavailable(error: mdns_sd::Error) -> GuestError {
    GuestError::Unavailable(format!("mDNS: {error}"))
}

/// A listener's thread and sockets; they go when it is dropped, and then its place.
struct Listener {
    daemon: ServiceDaemon,
    place: Option<SemaphorePermit<'static>>,
}

impl Listener {
    fn on(links: HashSet<(String, IpAddr)>, place: SemaphorePermit<'static>) -> Result<Self, mdns_sd::Error> {
        let listener = Self {
            daemon: ServiceDaemon::new()?,
            place: Some(place),
        };
        let others = IfPredicate::new(move |card| !links.contains(&(card.name.clone(), card.ip())));
        listener.daemon.disable_interface(IfKind::Predicate(others))?;
        Ok(listener)
    }

    /// What was resolved until `end`, by full name.
    async fn listen(
        &self,
        kinds: Vec<String>,
        end: Instant,
    ) -> Result<BTreeMap<String, ResolvedService>, mdns_sd::Error> {
        let mut events = SelectAll::new();
        let mut known = BTreeSet::new();
        for kind in kinds {
            events.push(self.daemon.browse(&format!("{kind}.local."))?.into_stream());
            known.insert(kind);
        }
        let mut found: BTreeMap<String, ResolvedService> = BTreeMap::new();
        while let Ok(Some(event)) = timeout_at(end, events.next()).await {
            match event {
                ServiceEvent::ServiceFound(of, name) if bare(&of) == Some(ALL_KINDS) => {
                    let kind = bare(&name).filter(|kind| is_kind(kind)).map(str::to_owned);
                    let new = kind.filter(|kind| known.len() <= MOST_KINDS && known.insert(kind.clone()));
                    if let Some(kind) = new {
                        events.push(self.daemon.browse(&format!("{kind}.local."))?.into_stream());
                    }
                }
                ServiceEvent::ServiceResolved(service)
                    if found.len() < MOST_FOUND || found.contains_key(&service.fullname) =>
                {
                    // each answer holds all that is known by then
                    found.insert(service.fullname.clone(), *service);
                }
                _ => {}
            }
        }
        Ok(found)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let place = self.place.take();
        match (self.daemon.shutdown(), Handle::try_current()) {
            (Ok(over), Ok(runtime)) => {
                // like a resolver's answer, its end is waited for aside: the call does not wait, the place does
                runtime.spawn_blocking(move || {
                    let _place = place;
                    // an error is the end of its thread too
                    let _ = over.recv();
                });
            }
            // nobody is left who could listen
            (Ok(_), Err(_)) => {}
            // Refused only while its queue is full, which the few commands above cannot fill, or when it is gone already.
            (Err(error), _) => tracing::debug!(%error, "an mDNS listener does not end"),
        }
    }
}

fn bare(domain: &str) -> Option<&str> {
    domain.strip_suffix(".local.")
}

/// The service as the skill is told of it; nothing when none of its addresses is within the grants.
fn told(service: ResolvedService, policy: &AddressPolicy) -> Option<Service> {
    let mut addresses: Vec<IpAddr> = service.addresses.iter().map(|address| address.to_ip_addr()).collect();
    addresses.retain(|address| policy.knows(*address));
    addresses.sort_unstable();
    addresses.truncate(MOST_ADDRESSES);
    if addresses.is_empty() {
        return None;
    }
    let kind = bare(&service.ty_domain).unwrap_or(&service.ty_domain);
    let instance = bare(&service.fullname).and_then(|name| name.strip_suffix(kind)?.strip_suffix('.'));
    let pairs = service.txt_properties.iter().take(MOST_PROPERTIES);
    Some(Service {
        instance: text::tame(instance.unwrap_or(&service.fullname)),
        kind: text::tame(kind),
        host: text::tame(service.host.strip_suffix('.').unwrap_or(&service.host)),
        addresses: addresses.iter().map(IpAddr::to_string).collect(),
        port: service.port,
        properties: pairs
            .map(|pair| (text::tame(pair.key()), text::tame(pair.val_str())))
            .collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Threads of listeners that there are, by the name that they are given.
    #[cfg(target_os = "linux")]
    fn threads() -> usize {
        let all = std::fs::read_dir("/proc/self/task").unwrap().filter_map(Result::ok);
        let names = all.filter_map(|task| std::fs::read_to_string(task.path().join("comm")).ok());
        names.filter(|name| name.starts_with("mDNS_daemon")).count()
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_place_is_free_when_its_listener_is_gone() {
        let all = LISTENERS.available_permits();
        for _ in 0..3 {
            for _ in 0..all {
                let place = LISTENERS.acquire().await.unwrap();
                drop(Listener::on(HashSet::new(), place).unwrap());
            }
            let places = LISTENERS.acquire_many(all.try_into().unwrap()).await.unwrap();
            // it says that it ends, and then its thread does
            tokio::time::sleep(Duration::from_millis(20)).await;
            assert_eq!(threads(), 0);
            drop(places);
        }
    }

    #[test]
    fn kinds_are_checked_before_anything_is_sent() {
        let list = |kinds: &[&str]| kinds.iter().map(|&kind| kind.to_owned()).collect::<Vec<_>>();
        assert_eq!(kinds(Vec::new()).unwrap(), [ALL_KINDS]);
        let usual = list(&["_http._tcp", "_sleep-proxy._udp"]);
        assert_eq!(kinds(usual.clone()).unwrap(), usual);
        for odd in [
            "http",
            "_http",
            "_http._sctp",
            "_a.b._tcp",
            "_._tcp",
            "_http._tcp.local.",
            "_-a._tcp",
            "_a--b._udp",
        ] {
            assert!(kinds(list(&[odd])).is_err(), "{odd}");
        }
        assert!(kinds(vec!["_http._tcp".to_owned(); MOST_KINDS + 1]).is_err());
    }
}
