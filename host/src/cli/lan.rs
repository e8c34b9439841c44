//! Finding each other in the LAN: `discover`, and how `nexus` and `spore` are announced.

use clap::Args;
use venom_mdns::Selector;

use crate::settings::Seconds;

/// Whether and where a nexus or a spore announces itself.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct MdnsArgs {
    /// Announce nothing in the LAN, and look for nobody there [env: VENOM_MDNS=off]
    #[arg(long, conflicts_with = "mdns_interface")]
    pub no_mdns: bool,
    /// Interface to do it on, by name or address; !NAME: never that one [env: VENOM_MDNS_INTERFACES] [default: all but those of containers]
    #[arg(long = "mdns-interface", value_name = "NAME", value_delimiter = ',')]
    pub mdns_interface: Vec<Selector>,
}

/// `venom-host discover`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  venom-host discover\n  venom-host discover --json | jq -r '.found[] | select(.role == \"nexus\") | .urls[0]'\n\n\
                  Anybody in the LAN can announce anything: what is listed is a hint, and nothing is dialled."
)]
pub(crate) struct DiscoverArgs {
    /// How long to look
    #[arg(long, value_name = "TIME", default_value = "3s")]
    pub timeout: Seconds,
    /// Interface to look on, by name or address; !NAME: never that one [env: VENOM_MDNS_INTERFACES] [default: all but those of containers]
    #[arg(long = "mdns-interface", value_name = "NAME", value_delimiter = ',')]
    pub mdns_interface: Vec<Selector>,
    /// Print who was found as JSON
    #[arg(long)]
    pub json: bool,
}
