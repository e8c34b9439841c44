//! What one call has learned and used of the network. It decides by the skill's [`AddressPolicy`].

use std::collections::{HashMap, HashSet};
use std::future::ready;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use venom_bundle::capability::NetProtocol;
use wasmtime_wasi::sockets::SocketAddrUse;

use super::name::is_literal;
use super::{AddressPolicy, normalise};
use crate::capability::{Connections, Refusal, Refusals};

/// Addresses a call may learn by look-ups; more are not remembered, so not reachable by a name's grant.
const LEARNED: usize = 1_024;

/// The network of one call. Cheap to clone; all clones share what was learned.
#[derive(Debug, Clone)]
pub struct NetCall {
    policy: Arc<AddressPolicy>,
    connections: Connections,
    refusals: Refusals,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// Which names this call resolved to an address.
    learned: HashMap<IpAddr, Vec<String>>,
    /// Names behind the look-ups under way, by handle.
    lookups: HashMap<u32, String>,
    /// UDP peers already paid for: a datagram is no new connection, a new peer is.
    peers: HashSet<SocketAddr>,
}

/// What `WasiCtxBuilder::socket_addr_check` wants to have answered.
type Answer = Pin<Box<dyn Future<Output = bool> + Send + Sync>>;

impl NetCall {
    /// The network of a call that starts now.
    #[must_use]
    pub fn new(policy: Arc<AddressPolicy>, connections: Connections, refusals: Refusals) -> Self {
        Self {
            policy,
            connections,
            refusals,
            state: Arc::default(),
        }
    }

    /// The closure for `WasiCtxBuilder::socket_addr_check`.
    pub fn check(&self) -> impl Fn(SocketAddr, SocketAddrUse) -> Answer + Send + Sync + 'static {
        let call = self.clone();
        move |address, purpose| Box::pin(ready(call.permits(address, purpose)))
    }

    /// Whether a socket may use an address for a purpose. Records the refusal when not.
    #[must_use]
    pub fn permits(&self, address: SocketAddr, purpose: SocketAddrUse) -> bool {
        let outcome = match purpose {
            SocketAddrUse::TcpConnect => self.connect(address),
            SocketAddrUse::UdpSend => self.send(address),
            // a datagram nobody asked for is dropped in silence: the guest did nothing that could be refused
            SocketAddrUse::UdpReceive => return self.reaches(address, NetProtocol::Udp).is_ok(),
            SocketAddrUse::TcpBind | SocketAddrUse::UdpBind => bind(address),
            SocketAddrUse::TcpListen | SocketAddrUse::TcpAccept => Err(no_listening(address)),
        };
        match outcome {
            Ok(()) => true,
            Err(refusal) => {
                tracing::debug!(skill = self.policy.skill(), %refusal, "refused");
                self.refusals.record(refusal);
                false
            }
        }
    }

    /// Whether a connection of the host's own, made for the skill, may be opened; it counts like one of the skill's.
    pub(crate) fn open_tcp(&self, address: SocketAddr) -> Result<(), Refusal> {
        self.connect(address)
    }

    pub(super) fn policy(&self) -> &AddressPolicy {
        &self.policy
    }

    pub(super) fn refuse(&self, refusal: Refusal) {
        self.refusals.record(refusal);
    }

    pub(super) fn lookup_started(&self, handle: u32, name: &str) {
        // an address learned by spelling it out would pass for one that a name's owner answered for
        if !is_literal(name) {
            self.state().lookups.insert(handle, normalise(name));
        }
    }

    pub(super) fn lookup_ended(&self, handle: u32) {
        self.state().lookups.remove(&handle);
    }

    /// Remembers that this call resolved the name of a look-up to an address.
    pub(super) fn learn(&self, handle: u32, address: IpAddr) {
        let mut state = self.state();
        let Some(name) = state.lookups.get(&handle).cloned() else {
            return;
        };
        if state.learned.len() < LEARNED {
            let names = state.learned.entry(address.to_canonical()).or_default();
            if !names.contains(&name) {
                names.push(name);
            }
        }
    }

    fn connect(&self, address: SocketAddr) -> Result<(), Refusal> {
        self.reaches(address, NetProtocol::Tcp)?;
        self.connections
            .take("net", &format!("tcp {address}"), self.policy.skill())
    }

    fn send(&self, address: SocketAddr) -> Result<(), Refusal> {
        self.reaches(address, NetProtocol::Udp)?;
        if self.state().peers.contains(&address) {
            return Ok(());
        }
        self.connections
            .take("net", &format!("udp {address}"), self.policy.skill())?;
        // bounded by the budget just taken from
        self.state().peers.insert(address);
        Ok(())
    }

    fn reaches(&self, address: SocketAddr, protocol: NetProtocol) -> Result<(), Refusal> {
        let state = self.state();
        let learned = |ip: IpAddr| state.learned.get(&ip).map_or(&[] as &[String], Vec::as_slice);
        self.policy.check(address, protocol, learned)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A client socket is bound to the wildcard and port 0 by the system as it connects; nothing else is a client.
fn bind(address: SocketAddr) -> Result<(), Refusal> {
    if address.ip().is_unspecified() && address.port() == 0 {
        return Ok(());
    }
    Err(Refusal {
        capability: "net",
        target: format!("bind {address}"),
        reason: "a skill's socket is bound to no address and port of its choosing; connect without bind".to_owned(),
        missing_grant: String::new(),
    })
}

fn no_listening(address: SocketAddr) -> Refusal {
    Refusal {
        capability: "net",
        target: format!("listen {address}"),
        reason: "a skill never listens".to_owned(),
        missing_grant: String::new(),
    }
}

#[cfg(test)]
#[path = "call_tests.rs"]
mod tests;
