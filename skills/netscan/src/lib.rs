//! `NetScanSkill`: finds what is in a network by TCP connections, evenly paced, and says what it seems to be. It needs no
//! root, sends not a byte to a printer's port, and reaches what its operator granted: a target that is not is an error.

mod banner;
mod certificate;
mod class;
mod pace;
mod params;
mod ports;
mod report;
mod scan;
mod surroundings;
mod sweep;
mod target;
mod vendor;

use venom_sdk::Result;

use params::Ports;
use report::Answer;
use scan::Scan;

/// The skill.
pub struct NetScanSkill;

/// Finds what is in a network by TCP connections, and what it seems to be.
#[venom_sdk::skill]
impl NetScanSkill {
    /// Scans targets and answers what was found, one discovery each, as `POST /api/ingest/discovery` takes them. A host that
    /// takes or refuses a connection is there. A target that is not granted is an error that names the policy entry. When the
    /// time is over before the ports are, `completed_at` is absent and the answer is what was found by then.
    fn scan(
        /// CIDRs and addresses; without any, the networks of this machine (of a large one, the /22 it is in).
        targets: Option<Vec<String>>,
        /// `top20`, `top100`, or a list. Printers' ports (515, 9100 to 9107) are connected to when they are listed, and sent
        /// nothing.
        #[default(Ports::default())]
        ports: Ports,
        /// Connections a second, at most 10,000.
        #[default(500)]
        rate: u32,
        /// Connections at one time, at most 512.
        #[default(128)]
        concurrency: u32,
        /// Milliseconds a connection may take, at most 10,000.
        #[default(800)]
        timeout_ms: u32,
        /// Whether to listen to what opens, to ask web servers for their headers, and to look at certificates.
        #[default(true)]
        banners: bool,
        /// Whether to listen to mDNS and SSDP too, for two seconds each, where they are granted.
        #[default(true)]
        announcements: bool,
    ) -> Result<Answer> {
        scan::check()?;
        let scan = Scan {
            targets: targets.unwrap_or_default(),
            ports: ports.0,
            manner: params::manner(rate, concurrency, timeout_ms, banners)?,
            listen: announcements,
        };
        scan.run()
    }
}

#[cfg(test)]
mod tests;
