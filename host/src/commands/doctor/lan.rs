//! Whether this machine can be found in the LAN, and find others there.

use super::Check;
use crate::settings::MdnsSettings;

/// Names what would be used; asks nobody.
pub(super) fn check(settings: &MdnsSettings) -> Check {
    let name = "mdns";
    if !settings.enabled {
        return Check::skip(name, "off (VENOM_MDNS, [mdns] enabled)");
    }
    let links: Vec<String> = settings
        .interfaces
        .usable()
        .into_iter()
        .map(|link| format!("{} ({})", link.name, link.address))
        .collect();
    if links.is_empty() {
        return Check::warn(
            name,
            "no network interface to announce or look on",
            "name one in [mdns] interfaces, or turn it off with VENOM_MDNS=off",
        );
    }
    Check::ok(name, format!("would use {}", links.join(", ")))
}
