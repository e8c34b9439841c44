//! The wire of a native build: a network that a test describes, with a clock of its own. Nothing is ever sent anywhere.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use venom_sdk::Result;

use super::{Event, Shut};

thread_local! {
    static NETWORK: RefCell<Rc<RefCell<Network>>> = RefCell::default();
}

/// What the network is, and what was done to it.
#[derive(Debug, Default)]
pub(crate) struct Network {
    pub(crate) answers: BTreeMap<SocketAddr, Answer>,
    /// Every connection tried, with its time.
    pub(crate) tried: Vec<(Duration, SocketAddr)>,
    /// Every byte sent.
    pub(crate) sent: BTreeMap<SocketAddr, Vec<u8>>,
    /// Most connections at one time.
    pub(crate) most: usize,
    /// Connections that are let.
    #[cfg(test)]
    pub(crate) budget: Option<usize>,
    /// How long an answer takes.
    pub(crate) delay: Duration,
}

/// How one port answers; those without an answer are silent.
#[cfg_attr(not(test), expect(dead_code, reason = "outside a sandbox only tests have a network"))]
#[derive(Debug, Clone, Default)]
pub(crate) enum Answer {
    #[default]
    Refuse,
    /// There is no way to it.
    Lose,
    Deny,
    /// The machine has no socket for it.
    Break,
    /// Opens, says this at once, and that once it is spoken to.
    Open(Vec<u8>, Vec<u8>),
    /// Opens, and says a byte that ends no line now and then, for ever.
    Drip(Duration),
}

/// Makes this the network of the thread.
#[cfg(test)]
pub(crate) fn install(network: Network) -> Rc<RefCell<Network>> {
    let network = Rc::new(RefCell::new(network));
    NETWORK.with(|installed| installed.replace(Rc::clone(&network)));
    network
}

pub(crate) struct Wire {
    network: Rc<RefCell<Network>>,
    now: Duration,
    places: Vec<Option<(SocketAddr, bool)>>,
    coming: VecDeque<(Duration, Event)>,
}

impl Wire {
    pub(crate) fn new() -> Self {
        Self {
            network: NETWORK.with(|installed| Rc::clone(&installed.borrow())),
            now: Duration::ZERO,
            places: Vec::new(),
            coming: VecDeque::new(),
        }
    }

    pub(crate) fn now(&self) -> Duration {
        self.now
    }

    pub(crate) fn connect(&mut self, peer: SocketAddr) -> Result<usize> {
        let free = self.places.iter().position(Option::is_none);
        let place = free.unwrap_or(self.places.len());
        if free.is_none() {
            self.places.push(None);
        }
        if let Some(slot) = self.places.get_mut(place) {
            *slot = Some((peer, false));
        }
        let mut network = self.network.borrow_mut();
        network.tried.push((self.now, peer));
        #[cfg(test)]
        if network.budget.is_some_and(|budget| network.tried.len() > budget) {
            drop(network);
            self.close(place);
            return Err(super::denied(peer));
        }
        network.most = network.most.max(self.places.iter().flatten().count());
        let at = self.now + network.delay;
        match network.answers.get(&peer) {
            Some(Answer::Refuse) => self.coming.push_back((at, Event::Shut(place, Shut::Refused))),
            Some(Answer::Lose) => self.coming.push_back((at, Event::Shut(place, Shut::Lost))),
            Some(Answer::Deny) => self.coming.push_back((at, Event::Shut(place, Shut::Denied))),
            Some(Answer::Break) => {
                let why = Shut::Broken("address-not-bindable");
                self.coming.push_back((at, Event::Shut(place, why)));
            }
            Some(Answer::Open(..) | Answer::Drip(_)) => self.coming.push_back((at, Event::Open(place))),
            None => {}
        }
        Ok(place)
    }

    /// Time passes up to the next thing that happens.
    pub(crate) fn wait(&mut self, at_most: Duration) -> Vec<Event> {
        let end = self.now + at_most;
        let first = self.coming.iter().map(|(at, _)| *at).min();
        self.now = first.map_or(end, |first| first.clamp(self.now, end));
        let (due, later): (VecDeque<_>, _) = self.coming.drain(..).partition(|(at, _)| *at <= self.now);
        self.coming = later;
        let events: Vec<Event> = due.into_iter().map(|(_, event)| event).collect();
        for event in &events {
            match event {
                Event::Shut(place, _) => self.close(*place),
                Event::Heard(place, _) => self.drip(*place),
                _ => {}
            }
        }
        events
    }

    fn drip(&mut self, place: usize) {
        if let Some(Answer::Drip(pause)) = self.answer(place) {
            self.coming
                .push_back((self.now + pause, Event::Heard(place, b".".to_vec())));
        }
    }

    pub(crate) fn listen(&mut self, place: usize) {
        self.drip(place);
        if let Some(Answer::Open(greeting, _)) = self.answer(place)
            && !greeting.is_empty()
        {
            self.coming.push_back((self.now, Event::Heard(place, greeting)));
        }
    }

    pub(crate) fn say(&mut self, place: usize, bytes: &[u8]) {
        let Some(Some((peer, _))) = self.places.get(place) else {
            return;
        };
        self.network.borrow_mut().sent.entry(*peer).or_default().extend(bytes);
        if let Some(Answer::Open(_, answer)) = self.answer(place) {
            self.coming.push_back((self.now, Event::Heard(place, answer)));
            self.coming.push_back((self.now, Event::Ended(place)));
        }
    }

    pub(crate) fn close(&mut self, place: usize) {
        if let Some(slot) = self.places.get_mut(place) {
            *slot = None;
        }
        let of_it = |event: &Event| match event {
            Event::Open(at) | Event::Shut(at, _) | Event::Heard(at, _) | Event::Ended(at) => *at == place,
        };
        self.coming.retain(|(_, event)| !of_it(event));
    }

    fn answer(&self, place: usize) -> Option<Answer> {
        let (peer, _) = self.places.get(place)?.as_ref()?;
        self.network.borrow().answers.get(peer).cloned()
    }
}
