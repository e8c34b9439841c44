//! Announcing: keeps the records in the LAN for as long as it lives, takes another name when somebody has its own, and says
//! goodbye at the end.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use mdns_sd::{DaemonEvent, DnsNameChange, IfKind, IfPredicate, RRType, Receiver, ServiceDaemon, ServiceInfo};

use crate::{Announcement, Interfaces, Link, MdnsError, Role, SERVICE};

/// The name a nexus has beside the one of its machine, for people with a browser.
const NEXUS_HOST: &str = "venom.local.";
/// Names tried when others have them; a LAN with more of one name is somebody playing.
const MOST_NAMESAKES: u32 = 100;
/// Longest wait for the goodbye to be sent.
const GOODBYE: Duration = Duration::from_secs(1);
/// The same where nobody can wait for long.
const GOODBYE_AT_DROP: Duration = Duration::from_millis(250);

/// Announces until it is stopped or dropped.
#[derive(Debug)]
pub struct Announcer {
    voice: Arc<Voice>,
    stopped: bool,
}

/// What the thread that watches over the names shares with its owner.
struct Voice {
    daemon: ServiceDaemon,
    told: Announcement,
    interfaces: Interfaces,
    number: Mutex<u32>,
}

impl std::fmt::Debug for Voice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Voice")
            .field("told", &self.told)
            .finish_non_exhaustive()
    }
}

/// Begins to announce. Interfaces that come later are announced on as well, within seconds; that there is none now is said
/// in the log, once.
///
/// # Errors
/// When the system gives no thread or socket for it, or the announcement cannot be written as DNS.
pub fn announce(told: Announcement, interfaces: Interfaces) -> Result<Announcer, MdnsError> {
    if !interfaces.usable().iter().any(|link| told.is_reached_by(link.address)) {
        tracing::warn!(
            "no network interface to announce on by mDNS; those that come up later are used (--mdns-interface NAME chooses, \
             --no-mdns turns it off)"
        );
    }
    let daemon = crate::browser::daemon(&interfaces)?;
    let events = daemon.monitor().map_err(MdnsError::Silent)?;
    let voice = Arc::new(Voice {
        daemon,
        told,
        interfaces,
        number: Mutex::new(1),
    });
    let announcer = Announcer {
        voice: Arc::clone(&voice),
        stopped: false,
    };
    voice.register(1)?;
    voice.register_page()?;
    // It ends with the daemon, which closes the channel.
    let started = std::thread::Builder::new()
        .name("venom-mdns".to_owned())
        .spawn(move || voice.watch(&events));
    match started {
        Ok(_) => Ok(announcer),
        Err(error) => Err(MdnsError::Start(mdns_sd::Error::Msg(error.to_string()))),
    }
}

impl Announcer {
    /// The name it has in the LAN: `venom-{hostname}`, or `venom-{hostname}-2` when somebody else has that.
    #[must_use]
    pub fn instance(&self) -> String {
        self.voice.told.instance(self.voice.number())
    }

    /// Says goodbye, so that nobody believes it is still there.
    pub async fn stop(mut self) {
        self.stopped = true;
        if let Ok(status) = self.voice.daemon.shutdown() {
            // Silence or not, it ends now.
            let _ = tokio::time::timeout(GOODBYE, status.recv_async()).await;
        }
    }
}

impl Drop for Announcer {
    fn drop(&mut self) {
        if self.stopped {
            return;
        }
        if let Ok(status) = self.voice.daemon.shutdown() {
            // The goodbye goes out before the answer comes.
            let _ = status.recv_timeout(GOODBYE_AT_DROP);
        }
    }
}

impl Voice {
    fn number(&self) -> u32 {
        *self.number.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn register(&self, number: u32) -> Result<(), MdnsError> {
        let service = self.service(SERVICE, &self.told.instance(number), &self.told.host())?;
        self.daemon.register(service).map_err(MdnsError::Silent)
    }

    /// A page people can open, at the name every nexus has.
    fn register_page(&self) -> Result<(), MdnsError> {
        if self.told.role != Role::Nexus {
            return Ok(());
        }
        let kind = if self.told.tls {
            "_https._tcp.local."
        } else {
            "_http._tcp.local."
        };
        let service = self.service(kind, &self.told.instance(1), NEXUS_HOST)?;
        self.daemon.register(service).map_err(MdnsError::Silent)
    }

    fn service(&self, kind: &str, instance: &str, host: &str) -> Result<ServiceInfo, MdnsError> {
        let properties = if kind == SERVICE {
            self.told.properties()
        } else {
            vec![("path", self.told.path.clone())]
        };
        let service = ServiceInfo::new(kind, instance, host, (), self.told.port, &properties[..]);
        let mut service = service.map_err(MdnsError::Unspeakable)?.enable_addr_auto();
        let (told, interfaces) = (self.told.clone(), self.interfaces.clone());
        service.set_interfaces(vec![IfKind::Predicate(IfPredicate::new(move |interface| {
            told.is_reached_by(interface.ip()) && interfaces.admit(&Link::of(interface))
        }))]);
        Ok(service)
    }

    /// Until the daemon ends.
    fn watch(&self, events: &Receiver<DaemonEvent>) {
        while let Ok(event) = events.recv() {
            match event {
                DaemonEvent::NameChange(change) => self.rename(&change),
                DaemonEvent::Announce(name, to) => tracing::debug!(name, to, "announced by mDNS"),
                DaemonEvent::Error(error) => tracing::warn!(%error, "mDNS has trouble"),
                _ => {}
            }
        }
    }

    /// Somebody has this instance's name. The library would call it `venom-pi (2)`; ours is `venom-pi-2`.
    fn rename(&self, change: &DnsNameChange) {
        if !matches!(change.rr_type, RRType::SRV | RRType::TXT) {
            tracing::info!(
                from = change.original,
                to = change.new_name,
                "another machine has this name in the LAN"
            );
            return;
        }
        let mut number = self.number.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = format!("{}.{SERVICE}", self.told.instance(*number));
        if !change.original.eq_ignore_ascii_case(&taken) || *number >= MOST_NAMESAKES {
            return;
        }
        *number += 1;
        let name = self.told.instance(*number);
        tracing::info!(taken, name, "another one has this name in the LAN");
        let renamed = self.daemon.unregister(&taken).map_err(MdnsError::Silent);
        if let Err(error) = renamed.and_then(|_| self.register(*number)) {
            tracing::warn!(%error, "mDNS has trouble");
        }
    }
}
