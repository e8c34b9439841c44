//! Being found in the LAN: best effort, as nothing that matters depends on it.

use venom_mdns::{Announcement, Announcer, Interfaces};

/// Begins to announce, when there is something to announce. That it cannot be done is said in the log and stops nothing.
pub(super) fn announce(told: Option<(Announcement, Interfaces)>) -> Option<Announcer> {
    let (told, interfaces) = told?;
    match venom_mdns::announce(told, interfaces) {
        Ok(announcer) => {
            tracing::info!(name = announcer.instance(), "announced in the LAN by mDNS");
            Some(announcer)
        }
        Err(error) => {
            tracing::warn!(%error, "not announced in the LAN (--no-mdns turns this off)");
            None
        }
    }
}

/// Ends it, so that nobody looks for what is gone.
pub(super) async fn goodbye(announcer: Option<Announcer>) {
    if let Some(announcer) = announcer {
        announcer.stop().await;
    }
}
