//! Looking who announces itself. Bounded in all it keeps, as anybody in the LAN can answer.

use std::collections::BTreeMap;
use std::time::Duration;

use mdns_sd::{IfKind, IfPredicate, Receiver, ServiceDaemon, ServiceEvent};
use tokio::time::{Instant, timeout_at};

use crate::{Found, Interfaces, Link, MdnsError, SERVICE};

/// Announcements kept at one time; what comes beyond is ignored.
const MOST_FOUND: usize = 64;

/// Looks until it is dropped.
pub struct Browser {
    daemon: ServiceDaemon,
    events: Receiver<ServiceEvent>,
    /// By full name.
    known: BTreeMap<String, Found>,
    overflowed: bool,
}

/// What a browser saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sighting {
    /// Somebody new, or something new about somebody.
    Found(Found),
    /// It said goodbye, or was not heard of for too long.
    Gone(Found),
}

/// Begins to look. Interfaces that come later are looked on as well.
///
/// # Errors
/// When the system gives no thread or socket for it.
pub fn browse(interfaces: &Interfaces) -> Result<Browser, MdnsError> {
    let daemon = daemon(interfaces)?;
    let events = daemon.browse(SERVICE).map_err(MdnsError::Silent)?;
    Ok(Browser {
        daemon,
        events,
        known: BTreeMap::new(),
        overflowed: false,
    })
}

/// Looks for so long, and answers who is there at the end: nexuses first, then by name.
///
/// # Errors
/// When the system gives no thread or socket for it.
pub async fn look(interfaces: &Interfaces, time: Duration) -> Result<Vec<Found>, MdnsError> {
    let end = Instant::now() + time;
    let mut browser = browse(interfaces)?;
    while let Ok(Some(_)) = timeout_at(end, browser.next()).await {}
    Ok(browser.found())
}

impl Browser {
    /// What is seen next; `None` once nothing more can come. Losing its future loses nothing.
    pub async fn next(&mut self) -> Option<Sighting> {
        loop {
            let event = self.events.recv_async().await.ok()?;
            if let Some(sighting) = self.take_in(event) {
                return Some(sighting);
            }
        }
    }

    /// Who is there: nexuses first, then by name.
    #[must_use]
    pub fn found(&self) -> Vec<Found> {
        let mut found: Vec<Found> = self.known.values().cloned().collect();
        found.sort_by(|a, b| (a.role, &a.instance).cmp(&(b.role, &b.instance)));
        found
    }

    fn take_in(&mut self, event: ServiceEvent) -> Option<Sighting> {
        match event {
            ServiceEvent::ServiceResolved(resolved) => {
                let found = match Found::read(&resolved) {
                    Ok(found) => found,
                    Err(why) => {
                        tracing::debug!(name = ?resolved.fullname, why, "an announcement is ignored");
                        // what it said before, it says no longer
                        return self.known.remove(&resolved.fullname).map(Sighting::Gone);
                    }
                };
                if !self.known.contains_key(&resolved.fullname) && self.known.len() >= MOST_FOUND {
                    self.overflow();
                    return None;
                }
                let before = self.known.insert(resolved.fullname.clone(), found.clone());
                (before.as_ref() != Some(&found)).then_some(Sighting::Found(found))
            }
            ServiceEvent::ServiceRemoved(_, fullname) => self.known.remove(&fullname).map(Sighting::Gone),
            _ => None,
        }
    }

    fn overflow(&mut self) {
        if !self.overflowed {
            self.overflowed = true;
            tracing::warn!(
                most = MOST_FOUND,
                "more announce themselves in the LAN than are looked at"
            );
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // It ends by itself; nobody waits for that.
        let _ = self.daemon.shutdown();
    }
}

/// A daemon that speaks on these interfaces only, on those that come later as well.
pub(crate) fn daemon(interfaces: &Interfaces) -> Result<ServiceDaemon, MdnsError> {
    let daemon = ServiceDaemon::new().map_err(MdnsError::Start)?;
    let interfaces = interfaces.clone();
    let others = IfPredicate::new(move |interface| !interfaces.admit(&Link::of(interface)));
    daemon
        .disable_interface(IfKind::Predicate(others))
        .map_err(MdnsError::Silent)?;
    Ok(daemon)
}
