//! One scan: each target swept, and what answered put together with what its surroundings tell.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant, SystemTime};

use jiff::Timestamp;
use venom_sdk::{Error, Result, lan, log, progress};

use crate::banner::{self, Said};
use crate::class::{self, Facts};
use crate::ports::{self, Look};
use crate::report::{Answer, Asset, Discovery, Service};
use crate::surroundings::Surroundings;
use crate::sweep::{Host, Manner, Road, Sweep, Swept};
use crate::target::{Target, targets};
use crate::vendor;

/// Kept of the call's time for putting the answer together, or a tenth of it when that is less.
const RESERVE: Duration = Duration::from_secs(5);

/// What is to be done.
pub(crate) struct Scan {
    pub(crate) targets: Vec<String>,
    pub(crate) ports: Vec<u16>,
    pub(crate) manner: Manner,
    pub(crate) listen: bool,
}

/// What is left for questions after the sweeps: the same pace, and some time.
struct Looks {
    road: Road,
    until: Instant,
}

/// One target after its sweep.
struct Done {
    target: Target,
    started: SystemTime,
    ended: SystemTime,
    swept: Swept,
}

impl Scan {
    pub(crate) fn run(self) -> Result<Answer> {
        let remaining = progress::task().remaining;
        let end = Instant::now() + remaining;
        let sweep_end = end.checked_sub(RESERVE.min(remaining / 10)).unwrap_or(end);
        let targets = targets(&self.targets, lan::links)?;
        let mut around = Surroundings::with_links();
        let mut road = Road::new(self.manner.rate);
        let mut done = Vec::new();
        for target in targets {
            done.push(self.sweep(target, &mut road, sweep_end)?);
        }
        let whole = done.iter().all(|done| done.swept.complete);
        around.meet_neighbours();
        if self.listen && whole {
            around.listen(sweep_end);
        }
        // one that was broken off answers with what it has
        let until = if whole && self.manner.banners {
            sweep_end
        } else {
            Instant::now()
        };
        let mut looks = Looks { road, until };
        let discoveries = done
            .into_iter()
            .map(|done| self.discovery(done, &mut around, &mut looks));
        Ok(Answer {
            discoveries: discoveries.collect(),
        })
    }

    fn sweep(&self, target: Target, road: &mut Road, end: Instant) -> Result<Done> {
        let hosts = target.hosts();
        let started = SystemTime::now();
        let time = end.saturating_duration_since(Instant::now());
        let swept = Sweep::new(&self.manner, road, &target.text).run(&hosts, &self.ports, time)?;
        let ended = SystemTime::now();
        for peer in &swept.left_out {
            log::warn!(
                "{peer} was left out: the policy does not let it be reached, while it lets other hosts be. Where the nexus listens needs a net grant of that very address"
            );
        }
        log::info!(
            "{}: {} connections, {} hosts answered, {:?}",
            target.text,
            swept.tried,
            swept.hosts.len(),
            ended.duration_since(started).unwrap_or_default()
        );
        Ok(Done {
            target,
            started,
            ended,
            swept,
        })
    }

    fn discovery(&self, done: Done, around: &mut Surroundings, looks: &mut Looks) -> Discovery {
        let Done {
            target,
            started,
            ended,
            swept,
        } = done;
        let mut hosts: BTreeMap<IpAddr, Host> = swept.hosts;
        for address in around.announced(&target) {
            hosts.entry(address).or_default();
        }
        let assets = hosts
            .into_iter()
            .map(|(ip, host)| asset(ip, &host, around, looks))
            .collect();
        Discovery {
            network_fingerprint: around.fingerprint(&target),
            target: target.text,
            scan_method: "hybrid",
            started_at: time(started),
            completed_at: swept.complete.then(|| time(ended)),
            is_root: false,
            assets,
            ports_scanned: swept.complete.then(|| {
                let left_out = |port: &u16| swept.left_out.iter().any(|peer| peer.port() == *port);
                self.ports.iter().copied().filter(|port| !left_out(port)).collect()
            }),
            left_out: swept.left_out.iter().map(ToString::to_string).collect(),
        }
    }
}

fn time(at: SystemTime) -> String {
    Timestamp::try_from(at).map_or_else(|_| Timestamp::UNIX_EPOCH.to_string(), |at| at.to_string())
}

/// Everything known of one address, put together.
fn asset(ip: IpAddr, host: &Host, around: &mut Surroundings, looks: &mut Looks) -> Asset {
    let open: Vec<u16> = host.open.keys().copied().collect();
    let (services, systems): (Vec<Service>, Vec<Option<&'static str>>) = host
        .open
        .iter()
        .map(|(port, said)| service(ip, *port, banner::read(*port, said), around, looks))
        .unzip();
    let mac = around.mac(ip).cloned();
    let vendor = mac.as_deref().and_then(vendor::of);
    let mut names = around.names(ip, looks.until);
    let hostname = names.first().cloned();
    names.extend(services.iter().flat_map(|service| service.tls_names.iter().cloned()));
    let (kinds, ssdp) = (around.kinds(ip), around.ssdp(ip));
    let system = systems
        .into_iter()
        .flatten()
        .next()
        .or_else(|| system(&open, &ssdp, vendor));
    let products: Vec<String> = services
        .iter()
        .flat_map(|service| [service.product.clone(), service.banner.clone()])
        .flatten()
        .collect();
    let class = class::of(&Facts {
        open: &open,
        vendor,
        is_gateway: around.is_gateway(ip),
        has_made_up_mac: mac.as_deref().is_some_and(vendor::is_random),
        names: &names,
        products: &products,
        kinds: &kinds,
        ssdp: &ssdp,
        system,
    });
    let mut evidence = vec![presence(host)];
    evidence.extend(class.iter().flat_map(|class| class.evidence.iter().cloned()));
    Asset {
        ip,
        mac,
        hostname,
        vendor,
        open_ports: open,
        os_hint: system.map(str::to_owned),
        bigr_category: class.as_ref().map(|class| class.name),
        confidence_score: class.map(|class| class.confidence),
        services,
        evidence,
    }
}

fn service(
    ip: IpAddr,
    port: u16,
    said: Option<Said>,
    around: &mut Surroundings,
    looks: &mut Looks,
) -> (Service, Option<&'static str>) {
    let said = said.unwrap_or_default();
    let tls_names = if ports::look(port) == Look::Tls {
        let turn = |time| looks.road.turn(time);
        around.tls_names(ip, port, looks.until, turn).unwrap_or_default()
    } else {
        Vec::new()
    };
    let service = Service {
        port,
        protocol: "tcp",
        service: said.service.or_else(|| ports::usual(port)),
        product: said.product,
        version: said.version,
        banner: said.banner,
        tls_names,
    };
    (service, said.system)
}

/// How it is known to be there.
fn presence(host: &Host) -> String {
    match (host.open.len(), host.refused) {
        (0, 0) => "it announced itself by mDNS or SSDP".to_owned(),
        (0, refused) => format!("it refused {refused} connections, so it is there"),
        (open, _) => format!("it took connections on {open} of the ports tried"),
    }
}

/// The system, from what is open, where no banner gave it away.
fn system(open: &[u16], ssdp: &[String], vendor: Option<&str>) -> Option<&'static str> {
    let has = |port: &u16| open.contains(port);
    if [135, 445].iter().all(has) || [139, 3389].iter().all(has) {
        return Some("Windows");
    }
    if has(&8291) {
        return Some("RouterOS");
    }
    if has(&62_078) {
        return Some("iOS");
    }
    if has(&548) && vendor == Some("Apple") {
        return Some("macOS");
    }
    let says = |word: &str| ssdp.iter().any(|said| said.to_ascii_lowercase().contains(word));
    if says("linux/") {
        return Some("Linux");
    }
    says("windows").then_some("Windows")
}

/// Cancelled before anything was done; after that, what was found is answered.
pub(crate) fn check() -> Result<()> {
    if progress::cancelled() {
        Err(Error::Cancelled)
    } else {
        Ok(())
    }
}
