//! Finding each other in the LAN by mDNS (RFC 6762) and DNS-SD (RFC 6763): a nexus and its spores announce themselves, and
//! whoever wants to know looks. What is found is a hint and never trusted: anybody in the LAN can announce anything. Nothing
//! here dials, and nothing secret is ever announced.

mod announcement;
mod announcer;
mod browser;
mod found;
mod interfaces;

pub use announcement::{Announcement, Role};
pub use announcer::{Announcer, announce};
pub use browser::{Browser, Sighting, browse, look};
pub use found::Found;
pub use interfaces::{Interfaces, InvalidSelector, Link, Selector};

/// The service type of everything of Venom.
pub const SERVICE: &str = "_venom._tcp.local.";

/// mDNS cannot be used at all.
#[derive(Debug, thiserror::Error)]
pub enum MdnsError {
    /// The system gave no thread, no poll or no waker.
    #[error("mdns cannot be started: {0}")]
    Start(mdns_sd::Error),
    /// A command was not taken: too many at once, or the thread is gone.
    #[error("mdns does not answer: {0}")]
    Silent(mdns_sd::Error),
    /// What was to be announced cannot be.
    #[error("this cannot be announced by mdns: {0}")]
    Unspeakable(mdns_sd::Error),
}
