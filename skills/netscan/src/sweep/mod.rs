//! The sweep: connects to every port of every host, evenly paced, and listens to what those say that open. It decides what
//! is done and when; how bytes get anywhere is the wire's matter. It never sends a byte to a printer's port.

#[cfg(not(target_family = "wasm"))]
pub(crate) mod script;
#[cfg(target_family = "wasm")]
mod sockets;
mod talk;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use venom_sdk::{Error, Refusal, Result, progress};

use crate::pace::Pace;
use crate::ports::{self, Look};
use talk::{GREETING, Next, Talk};

#[cfg(not(target_family = "wasm"))]
pub(crate) use script::Wire;
#[cfg(target_family = "wasm")]
pub(crate) use sockets::Wire;

/// How long the sweep lets pass without asking whether anyone still wants it.
const BREATH: Duration = Duration::from_millis(100);
/// How often it is reported how far it is.
const REPORT: Duration = Duration::from_millis(500);

/// How a sweep is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Manner {
    /// Connections a second.
    pub(crate) rate: u32,
    /// Connections at one time.
    pub(crate) concurrency: usize,
    /// Longest wait for a connection.
    pub(crate) timeout: Duration,
    /// Whether what opens is listened to.
    pub(crate) banners: bool,
}

/// What became of a connection, by the place it was opened at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Event {
    /// It is open.
    Open(usize),
    /// It is not, and the place is free.
    Shut(usize, Shut),
    /// Bytes came.
    Heard(usize, Vec<u8>),
    /// No more will come.
    Ended(usize),
}

/// Why a connection did not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shut {
    /// The host said so: it is there.
    Refused,
    /// Nobody is there, or nobody says.
    Lost,
    /// The sandbox does not let it.
    Denied,
    /// The machine itself cannot, in the system's words.
    Broken(&'static str),
}

/// What a sweep found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Swept {
    /// Hosts that answered.
    pub(crate) hosts: BTreeMap<IpAddr, Host>,
    /// False when it was broken off, and when nothing says that there was a network at all.
    pub(crate) complete: bool,
    /// Connections that were tried.
    pub(crate) tried: usize,
    /// Ports of one host that the sandbox does not let be reached, while it does let others be.
    pub(crate) left_out: BTreeSet<SocketAddr>,
}

/// What one host showed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Host {
    /// Open ports, and what they said.
    pub(crate) open: BTreeMap<u16, Vec<u8>>,
    /// Ports it refused, the first few: they prove that it is there.
    pub(crate) refused: u32,
}

/// A connection that fails sooner than this was not lost on the way: the machine knew no way.
const AT_ONCE: Duration = Duration::from_millis(100);

/// What all sweeps of a scan go by: one wire and one pace, for whatever the number of targets the rate is one.
pub(crate) struct Road {
    wire: Wire,
    pace: Pace,
}

impl Road {
    /// At most so many connections a second.
    pub(crate) fn new(rate: u32) -> Self {
        let wire = Wire::new();
        let pace = Pace::new(rate, wire.now());
        Self { wire, pace }
    }

    /// Waits for the turn of a connection that the host makes; false: the time is over, or nobody wants it any more.
    pub(crate) fn turn(&mut self, time: Duration) -> bool {
        let end = self.wire.now() + time;
        loop {
            let now = self.wire.now();
            if now >= end || progress::cancelled() {
                return false;
            }
            if self.pace.take(now) {
                return true;
            }
            let wake = self.pace.next().min(end).min(now + BREATH);
            self.wire.wait(wake.saturating_sub(now));
        }
    }
}

/// One connection.
struct Slot {
    peer: SocketAddr,
    began: Duration,
    /// Until when the present stage may take.
    until: Duration,
    /// Until when the present part of the conversation may take, however its words are spread.
    end: Duration,
    stage: Stage,
}

enum Stage {
    Opening,
    Talking(Talk),
}

/// One sweep under way.
pub(crate) struct Sweep<'a> {
    manner: &'a Manner,
    road: &'a mut Road,
    slots: Vec<Option<Slot>>,
    busy: usize,
    swept: Swept,
    /// Two hosts of the target, and how many ports each is tried on.
    pair: Vec<IpAddr>,
    ports: usize,
    /// What has to be known before the sweep goes on.
    urgent: Vec<SocketAddr>,
    total: usize,
    /// Whether any connection came to what only a network leads to: it opened, was refused, or was waited for in vain.
    has_network: bool,
    reported: Duration,
    label: &'a str,
}

impl<'a> Sweep<'a> {
    /// A sweep that is `label` to people.
    pub(crate) fn new(manner: &'a Manner, road: &'a mut Road, label: &'a str) -> Self {
        let reported = road.wire.now();
        Self {
            manner,
            road,
            slots: Vec::new(),
            busy: 0,
            swept: Swept::default(),
            pair: Vec::new(),
            ports: 0,
            urgent: Vec::new(),
            total: 0,
            has_network: false,
            reported,
            label,
        }
    }

    /// Sweeps, until it is done, cancelled, or `time` is over. The first host is tried on every port and the first port on
    /// every host before the rest, so that what is not granted shows early.
    ///
    /// # Errors
    /// When the sandbox refuses connections to more than some ports of one host: nothing of the target may be left out in silence.
    pub(crate) fn run(mut self, hosts: &[IpAddr], ports: &[u16], time: Duration) -> Result<Swept> {
        let outcome = self.sweep(hosts, ports, time);
        // what is left of it is nothing to the next one on this road
        for place in 0..self.slots.len() {
            if self.forget(place).is_some() {
                self.road.wire.close(place);
            }
        }
        outcome.map(|()| self.swept)
    }

    fn sweep<'h>(&mut self, hosts: &'h [IpAddr], ports: &'h [u16], time: Duration) -> Result<()> {
        self.total = hosts.len() * ports.len();
        self.pair = hosts.iter().take(2).copied().collect();
        self.ports = ports.len();
        let (first, others) = hosts.split_at(hosts.len().min(1));
        let rows = |hosts: &'h [IpAddr]| {
            ports
                .iter()
                .flat_map(move |port| hosts.iter().map(move |host| SocketAddr::new(*host, *port)))
        };
        let mut plan = rows(first).chain(rows(others)).peekable();
        let end = self.road.wire.now() + time;
        loop {
            let now = self.road.wire.now();
            if now >= end || progress::cancelled() {
                return Ok(());
            }
            while self.busy < self.manner.concurrency
                && (!self.urgent.is_empty() || plan.peek().is_some())
                && self.road.pace.take(now)
            {
                if let Some(peer) = self.urgent.pop().or_else(|| plan.next()) {
                    self.open(peer, now)?;
                }
            }
            let is_more = !self.urgent.is_empty() || plan.peek().is_some();
            if self.busy == 0 && !is_more {
                self.swept.complete = self.has_network || self.swept.tried == 0;
                return Ok(());
            }
            let waits = self.busy < self.manner.concurrency && is_more;
            let turn = if waits { self.road.pace.next() } else { end };
            let wake = self.first_deadline().min(turn).min(end).min(now + BREATH);
            for event in self.road.wire.wait(wake.saturating_sub(now)) {
                self.on(event)?;
            }
            self.expire();
            self.report();
        }
    }

    fn open(&mut self, peer: SocketAddr, now: Duration) -> Result<()> {
        let place = match self.road.wire.connect(peer) {
            Err(Error::Denied(_)) => return self.leave_out(peer),
            place => place?,
        };
        if self.slots.len() <= place {
            self.slots.resize_with(place + 1, || None);
        }
        if let Some(slot) = self.slots.get_mut(place) {
            let until = now + self.manner.timeout;
            *slot = Some(Slot {
                peer,
                began: now,
                until,
                end: until,
                stage: Stage::Opening,
            });
        }
        self.busy += 1;
        self.swept.tried += 1;
        Ok(())
    }

    fn on(&mut self, event: Event) -> Result<()> {
        match event {
            Event::Open(place) => self.opened(place),
            Event::Shut(place, shut) => {
                let Some(slot) = self.forget(place) else {
                    return Ok(());
                };
                match shut {
                    Shut::Refused => {
                        self.has_network = true;
                        self.host(slot.peer.ip()).refused += 1;
                    }
                    Shut::Lost => self.has_network |= self.road.wire.now() >= slot.began + AT_ONCE,
                    Shut::Denied => return self.leave_out(slot.peer),
                    Shut::Broken(why) => return Err(broken(slot.peer, why)),
                }
            }
            Event::Heard(place, bytes) => self.talked(place, |talk| talk.heard(&bytes)),
            Event::Ended(place) => self.hang_up(place),
        }
        Ok(())
    }

    /// The sandbox does not let it. One host may have ports that are no skill's business, as the nexus's is unless its address is
    /// granted. Another host is tried on the same port at once, so that neither a port that is granted nowhere nor a budget
    /// that is used up is taken for that.
    fn leave_out(&mut self, peer: SocketAddr) -> Result<()> {
        let before = &mut self.swept.left_out;
        let is_one_host = before.iter().all(|other| other.ip() == peer.ip());
        let another = self.pair.iter().find(|host| **host != peer.ip());
        let Some(another) = another.filter(|_| is_one_host && before.len() + 1 < self.ports) else {
            let of_port = before.iter().find(|other| other.port() == peer.port());
            return Err(denied(of_port.copied().unwrap_or(peer)));
        };
        before.insert(peer);
        self.urgent.push(SocketAddr::new(*another, peer.port()));
        self.total += 1;
        Ok(())
    }

    fn opened(&mut self, place: usize) {
        let Some(peer) = self.slots.get(place).and_then(Option::as_ref).map(|slot| slot.peer) else {
            return;
        };
        self.has_network = true;
        self.host(peer.ip()).open.entry(peer.port()).or_default();
        let look = if self.manner.banners {
            ports::look(peer.port())
        } else {
            Look::Away
        };
        if matches!(look, Look::Away | Look::Tls) {
            self.hang_up(place);
            return;
        }
        let talk = Talk::new(look, peer);
        let now = self.road.wire.now();
        if let Some(Some(slot)) = self.slots.get_mut(place) {
            slot.until = now + talk.patience();
            slot.end = now + GREETING;
            slot.stage = Stage::Talking(talk);
        }
        self.road.wire.listen(place);
    }

    /// Lets a conversation go on, and does what it says next.
    fn talked(&mut self, place: usize, step: impl FnOnce(&mut Talk) -> Next) {
        let now = self.road.wire.now();
        let Some(Some(slot)) = self.slots.get_mut(place) else {
            return;
        };
        let Stage::Talking(talk) = &mut slot.stage else {
            return;
        };
        match step(talk) {
            // each word prolongs the wait for the next, and none that for the last
            Next::Wait(more) => slot.until = (now + more).min(slot.end),
            // the wall that matters: whatever led here, a printer is sent nothing
            Next::Say(bytes, more) if !ports::is_printers(slot.peer.port()) => {
                slot.until = now + more;
                slot.end = slot.until;
                self.road.wire.say(place, &bytes);
            }
            Next::Say(..) | Next::Enough => self.hang_up(place),
        }
    }

    fn expire(&mut self) {
        let now = self.road.wire.now();
        let late = |slot: &Option<Slot>| slot.as_ref().is_some_and(|slot| slot.until <= now);
        let places: Vec<usize> = (0..self.slots.len())
            .filter(|at| self.slots.get(*at).is_some_and(late))
            .collect();
        for place in places {
            let opening = self.slots.get(place).is_some_and(|slot| {
                matches!(
                    slot,
                    Some(Slot {
                        stage: Stage::Opening,
                        ..
                    })
                )
            });
            if opening {
                self.has_network = true;
                self.road.wire.close(place);
                self.forget(place);
            } else {
                self.talked(place, Talk::silent);
            }
        }
    }

    /// Frees a connection, and keeps what it said.
    fn hang_up(&mut self, place: usize) {
        self.road.wire.close(place);
        let Some(slot) = self.forget(place) else {
            return;
        };
        if let Stage::Talking(talk) = slot.stage {
            let said = talk.said();
            if !said.is_empty() {
                self.host(slot.peer.ip()).open.insert(slot.peer.port(), said);
            }
        }
    }

    fn forget(&mut self, place: usize) -> Option<Slot> {
        let slot = self.slots.get_mut(place)?.take()?;
        self.busy -= 1;
        Some(slot)
    }

    fn host(&mut self, ip: IpAddr) -> &mut Host {
        self.swept.hosts.entry(ip).or_default()
    }

    fn first_deadline(&self) -> Duration {
        let deadlines = self.slots.iter().flatten().map(|slot| slot.until);
        deadlines.min().unwrap_or(Duration::MAX)
    }

    fn report(&mut self) {
        let now = self.road.wire.now();
        if now < self.reported + REPORT {
            return;
        }
        self.reported = now;
        let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let note = format!("{}: {} hosts", self.label, self.swept.hosts.len());
        progress::report(number(self.swept.tried - self.busy), number(self.total), &note);
    }
}

/// The host adds which policy entry is missing: it knows, and tells a skill's sockets no more than "no".
fn denied(peer: SocketAddr) -> Error {
    Error::from(Refusal {
        capability: "net".to_owned(),
        target: format!("tcp {peer}"),
        reason:
            "it is among the targets, and the sandbox does not let it be reached; nothing is left out in silence, so \
                 nothing is reported"
                .to_owned(),
        missing_grant: String::new(),
    })
}

/// What the machine cannot do says nothing about the network, so that nothing is concluded from it.
fn broken(peer: SocketAddr, why: &str) -> Error {
    Error::Unavailable(format!(
        "this machine cannot begin a connection to {peer}: {why}; it may have no address for it, or no port or socket left"
    ))
}

#[cfg(test)]
mod tests;
