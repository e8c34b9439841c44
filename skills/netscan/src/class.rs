//! What a thing seems to be: a table of signs, each with a class, a weight and a line of evidence. Pure. Signs of one class
//! add up like independent chances; the class with the highest sum wins.

use std::collections::BTreeMap;

/// What is known of one address.
#[derive(Debug, Default, Clone)]
pub(crate) struct Facts<'a> {
    pub(crate) open: &'a [u16],
    pub(crate) vendor: Option<&'a str>,
    pub(crate) is_gateway: bool,
    pub(crate) has_made_up_mac: bool,
    /// Names of it: reverse DNS, mDNS, certificates.
    pub(crate) names: &'a [String],
    /// Products and banners of its services.
    pub(crate) products: &'a [String],
    /// Kinds of services it announces by mDNS.
    pub(crate) kinds: &'a [String],
    /// What it says of itself by SSDP: server, target.
    pub(crate) ssdp: &'a [String],
    pub(crate) system: Option<&'a str>,
}

/// What it seems to be.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Class {
    pub(crate) name: &'static str,
    /// 0..1, two decimals.
    pub(crate) confidence: f64,
    pub(crate) evidence: Vec<String>,
}

/// One sign.
struct Sign {
    class: &'static str,
    /// How sure it makes alone, in hundredths.
    weight: u8,
    of: Of,
}

/// Where a sign is looked for.
enum Of {
    Gateway,
    MadeUpMac,
    Port(u16),
    /// All of these ports.
    Ports(&'static [u16]),
    /// Part of the vendor's name, lower case.
    Vendor(&'static str),
    /// Beginning of a word in a name of it.
    Name(&'static str),
    /// Part of what a service runs or says.
    Product(&'static str),
    /// A kind of mDNS service.
    Kind(&'static str),
    /// Part of what it says by SSDP.
    Ssdp(&'static str),
    /// Beginning of its system's name.
    System(&'static str),
}

const fn sign(class: &'static str, weight: u8, of: Of) -> Sign {
    Sign { class, weight, of }
}

/// At equal sums the class named first wins.
const SIGNS: &[Sign] = &[
    // what forwards packets
    sign("network", 80, Of::Gateway),
    sign("network", 85, Of::Ssdp("internetgatewaydevice")),
    sign("network", 85, Of::Port(8291)),
    sign("network", 60, Of::Port(7547)),
    sign("network", 40, Of::Port(179)),
    sign("network", 30, Of::Port(4786)),
    sign("network", 50, Of::Vendor("mikrotik")),
    sign("network", 50, Of::Vendor("ubiquiti")),
    sign("network", 45, Of::Vendor("cisco")),
    sign("network", 45, Of::Vendor("juniper")),
    sign("network", 45, Of::Vendor("aruba")),
    sign("network", 45, Of::Vendor("netgear")),
    sign("network", 40, Of::Vendor("avm")),
    sign("network", 35, Of::Vendor("tp-link")),
    sign("network", 35, Of::Vendor("zyxel")),
    sign("network", 50, Of::System("RouterOS")),
    sign("network", 50, Of::System("Cisco")),
    sign("network", 50, Of::System("Linux (OpenWrt)")),
    sign("network", 40, Of::Name("router")),
    sign("network", 40, Of::Name("gateway")),
    sign("network", 40, Of::Name("fritz")),
    sign("network", 30, Of::Name("switch")),
    // printers
    sign("printer", 85, Of::Kind("_ipp._tcp")),
    sign("printer", 85, Of::Kind("_ipps._tcp")),
    sign("printer", 85, Of::Kind("_pdl-datastream._tcp")),
    sign("printer", 80, Of::Kind("_printer._tcp")),
    sign("printer", 75, Of::Port(9100)),
    sign("printer", 60, Of::Port(515)),
    sign("printer", 50, Of::Port(631)),
    sign("printer", 60, Of::Ssdp("printer")),
    sign("printer", 50, Of::Product("jetdirect")),
    sign("printer", 40, Of::Name("printer")),
    sign("printer", 40, Of::Vendor("brother")),
    sign("printer", 40, Of::Vendor("canon")),
    sign("printer", 40, Of::Vendor("seiko epson")),
    sign("printer", 40, Of::Vendor("lexmark")),
    sign("printer", 40, Of::Vendor("kyocera")),
    sign("printer", 40, Of::Vendor("xerox")),
    // cameras
    sign("camera", 70, Of::Port(554)),
    sign("camera", 60, Of::Vendor("hikvision")),
    sign("camera", 60, Of::Vendor("dahua")),
    sign("camera", 60, Of::Vendor("axis communications")),
    sign("camera", 60, Of::Vendor("reolink")),
    sign("camera", 70, Of::Product("hipcam")),
    sign("camera", 50, Of::Name("camera")),
    sign("camera", 70, Of::Kind("_axis-video._tcp")),
    // disks of the network
    sign("nas", 75, Of::Vendor("synology")),
    sign("nas", 75, Of::Vendor("qnap")),
    sign("nas", 80, Of::System("Linux (Synology")),
    sign("nas", 80, Of::System("Linux (QNAP")),
    sign("nas", 50, Of::Ports(&[445, 548])),
    sign("nas", 50, Of::Ports(&[445, 2049])),
    sign("nas", 40, Of::Name("nas")),
    sign("nas", 45, Of::Kind("_adisk._tcp")),
    // telephones on the desk
    sign("voip", 65, Of::Port(5060)),
    sign("voip", 65, Of::Port(5061)),
    sign("voip", 60, Of::Vendor("yealink")),
    sign("voip", 60, Of::Vendor("snom")),
    sign("voip", 60, Of::Vendor("polycom")),
    sign("voip", 60, Of::Vendor("grandstream")),
    // what plays
    sign("media", 80, Of::Kind("_googlecast._tcp")),
    sign("media", 55, Of::Kind("_airplay._tcp")),
    sign("media", 55, Of::Kind("_raop._tcp")),
    sign("media", 75, Of::Kind("_sonos._tcp")),
    sign("media", 70, Of::Kind("_spotify-connect._tcp")),
    sign("media", 70, Of::Port(8009)),
    sign("media", 70, Of::Ssdp("mediarenderer")),
    sign("media", 60, Of::Ssdp("dial-multiscreen")),
    sign("media", 60, Of::Vendor("sonos")),
    sign("media", 60, Of::Vendor("roku")),
    sign("media", 40, Of::Ssdp("mediaserver")),
    sign("media", 40, Of::Port(32_400)),
    // telephones in the pocket
    sign("mobile", 75, Of::Port(62_078)),
    sign("mobile", 60, Of::Name("iphone")),
    sign("mobile", 60, Of::Name("ipad")),
    sign("mobile", 55, Of::Name("android")),
    sign("mobile", 45, Of::Name("galaxy")),
    sign("mobile", 45, Of::Name("pixel")),
    sign("mobile", 60, Of::Kind("_apple-mobdev2._tcp")),
    sign("mobile", 25, Of::MadeUpMac),
    // things
    sign("iot", 60, Of::Kind("_hap._tcp")),
    sign("iot", 70, Of::Kind("_hue._tcp")),
    sign("iot", 70, Of::Kind("_esphomelib._tcp")),
    sign("iot", 70, Of::Kind("_shelly._tcp")),
    sign("iot", 65, Of::Kind("_matter._tcp")),
    sign("iot", 65, Of::Vendor("espressif")),
    sign("iot", 60, Of::Vendor("tuya")),
    sign("iot", 60, Of::Vendor("shelly")),
    sign("iot", 55, Of::Vendor("philips lighting")),
    sign("iot", 55, Of::Vendor("signify")),
    sign("iot", 60, Of::Port(502)),
    sign("iot", 40, Of::Port(1883)),
    // computers that serve
    sign("server", 60, Of::System("FreeBSD")),
    sign("server", 40, Of::System("Linux (")),
    sign("server", 35, Of::Port(22)),
    sign("server", 60, Of::Port(8006)),
    sign("server", 60, Of::Port(6443)),
    sign("server", 55, Of::Port(2376)),
    sign("server", 55, Of::Port(2375)),
    sign("server", 50, Of::Port(5432)),
    sign("server", 50, Of::Port(3306)),
    sign("server", 50, Of::Port(1433)),
    sign("server", 50, Of::Port(27_017)),
    sign("server", 45, Of::Port(6379)),
    sign("server", 50, Of::Port(25)),
    sign("server", 55, Of::Ports(&[53, 88, 389])),
    sign("server", 30, Of::Port(53)),
    sign("server", 40, Of::Product("microsoft-iis")),
    sign("server", 30, Of::Product("nginx")),
    sign("server", 30, Of::Product("apache")),
    // computers that are sat at
    sign("workstation", 55, Of::Ports(&[135, 445])),
    sign("workstation", 40, Of::Port(3389)),
    sign("workstation", 30, Of::Ports(&[139, 445])),
    sign("workstation", 60, Of::Kind("_workstation._tcp")),
    sign("workstation", 50, Of::Kind("_companion-link._tcp")),
    sign("workstation", 50, Of::Port(5900)),
    sign("workstation", 50, Of::Name("laptop")),
    sign("workstation", 50, Of::Name("desktop")),
    sign("workstation", 50, Of::Name("macbook")),
    sign("workstation", 40, Of::System("macOS")),
    sign("workstation", 25, Of::System("Windows")),
];

/// What the facts make of it; nothing when there is no sign at all.
pub(crate) fn of(facts: &Facts<'_>) -> Option<Class> {
    // order of the first sign of each class, chance that it is not, evidence
    let mut classes: BTreeMap<&'static str, (usize, f64, Vec<String>)> = BTreeMap::new();
    for (order, sign) in SIGNS.iter().enumerate() {
        if let Some(line) = sign.of.seen(facts) {
            let entry = classes.entry(sign.class).or_insert((order, 1.0, Vec::new()));
            entry.1 *= 1.0 - f64::from(sign.weight) / 100.0;
            entry.2.push(line);
        }
    }
    let best = classes
        .into_iter()
        .min_by(|(_, one), (_, other)| one.1.total_cmp(&other.1).then(one.0.cmp(&other.0)));
    best.map(|(name, (_, not, evidence))| Class {
        name,
        confidence: ((1.0 - not) * 100.0).round() / 100.0,
        evidence,
    })
}

impl Of {
    /// The line of evidence, when the sign is there.
    fn seen(&self, facts: &Facts<'_>) -> Option<String> {
        let part = |texts: &[String], part: &str| {
            texts
                .iter()
                .find(|text| text.to_ascii_lowercase().contains(part))
                .cloned()
        };
        match self {
            Self::Gateway => facts.is_gateway.then(|| "it is the gateway of this network".to_owned()),
            Self::MadeUpMac => facts.has_made_up_mac.then(|| "it made its MAC up".to_owned()),
            Self::Port(port) => facts.open.contains(port).then(|| port_line(*port)),
            Self::Ports(ports) => {
                let all = ports.iter().all(|port| facts.open.contains(port));
                let list: Vec<String> = ports.iter().map(u16::to_string).collect();
                all.then(|| format!("ports {} are open together", list.join(", ")))
            }
            Self::Vendor(name) => {
                let vendor = facts.vendor.filter(|vendor| vendor.to_ascii_lowercase().contains(name));
                vendor.map(|vendor| format!("its network card is of {vendor}"))
            }
            Self::Name(word) => facts
                .names
                .iter()
                .find(|name| has_word(name, word))
                .map(|name| format!("it is called {name}")),
            Self::Product(word) => part(facts.products, word).map(|product| format!("it runs {product}")),
            Self::Kind(kind) => facts
                .kinds
                .iter()
                .any(|known| known == kind)
                .then(|| format!("it announces {kind} by mDNS")),
            Self::Ssdp(word) => part(facts.ssdp, word).map(|said| format!("it says {said} by SSDP")),
            Self::System(beginning) => {
                let system = facts.system.filter(|system| system.starts_with(beginning));
                system.map(|system| format!("it seems to run {system}"))
            }
        }
    }
}

/// Whether a word of a name begins so: `nas-1.lan` has one that begins with `nas`, `dynasty.lan` has none.
fn has_word(name: &str, beginning: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let mut words = name.split(|character: char| !character.is_ascii_alphanumeric());
    words.any(|word| word.starts_with(beginning))
}

fn port_line(port: u16) -> String {
    match crate::ports::usual(port) {
        Some(usual) => format!("port {port} ({usual}) is open"),
        None => format!("port {port} is open"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|&text| text.to_owned()).collect()
    }

    #[test]
    fn usual_things_are_told_apart() {
        let (ipp, cast) = (texts(&["_ipp._tcp"]), texts(&["_googlecast._tcp"]));
        let nginx = texts(&["nginx"]);
        let phone = texts(&["annas-iphone.lan"]);
        let gateway = texts(&["urn:schemas-upnp-org:device:InternetGatewayDevice:1"]);
        for (class, facts) in [
            (
                "network",
                Facts {
                    is_gateway: true,
                    open: &[53, 80, 443],
                    ..Facts::default()
                },
            ),
            (
                "network",
                Facts {
                    ssdp: &gateway,
                    open: &[80],
                    ..Facts::default()
                },
            ),
            (
                "printer",
                Facts {
                    kinds: &ipp,
                    open: &[80, 631, 9100],
                    ..Facts::default()
                },
            ),
            (
                "printer",
                Facts {
                    vendor: Some("Brother Industries"),
                    open: &[80, 515],
                    ..Facts::default()
                },
            ),
            (
                "camera",
                Facts {
                    vendor: Some("Hangzhou Hikvision Digital Technology"),
                    open: &[80, 554],
                    ..Facts::default()
                },
            ),
            (
                "nas",
                Facts {
                    vendor: Some("Synology"),
                    open: &[22, 80, 445, 548, 5000],
                    ..Facts::default()
                },
            ),
            (
                "media",
                Facts {
                    kinds: &cast,
                    open: &[8009],
                    ..Facts::default()
                },
            ),
            (
                "mobile",
                Facts {
                    names: &phone,
                    has_made_up_mac: true,
                    ..Facts::default()
                },
            ),
            (
                "iot",
                Facts {
                    vendor: Some("Espressif"),
                    open: &[80],
                    ..Facts::default()
                },
            ),
            (
                "server",
                Facts {
                    system: Some("Linux (Debian)"),
                    products: &nginx,
                    open: &[22, 80],
                    ..Facts::default()
                },
            ),
            (
                "workstation",
                Facts {
                    system: Some("Windows"),
                    open: &[135, 139, 445, 3389],
                    ..Facts::default()
                },
            ),
        ] {
            let found = of(&facts).unwrap();
            assert_eq!(found.name, class, "{facts:?}: {found:?}");
            assert!(
                (0.25..1.0).contains(&found.confidence) && !found.evidence.is_empty(),
                "{found:?}"
            );
        }
    }

    #[test]
    fn no_sign_is_no_class() {
        assert_eq!(of(&Facts::default()), None);
        assert_eq!(
            of(&Facts {
                open: &[12_345],
                ..Facts::default()
            }),
            None
        );
    }

    #[test]
    fn more_signs_make_it_surer_and_each_is_named() {
        let one = of(&Facts {
            open: &[631],
            ..Facts::default()
        })
        .unwrap();
        let two = of(&Facts {
            open: &[631, 515],
            ..Facts::default()
        })
        .unwrap();
        assert!(
            (one.confidence - 0.5).abs() < 1e-9 && (two.confidence - 0.8).abs() < 1e-9,
            "{two:?}"
        );
        assert_eq!(two.evidence, ["port 515 (lpd) is open", "port 631 (ipp) is open"]);
    }

    #[test]
    fn names_are_read_by_the_word() {
        for (name, is_nas) in [
            ("nas.lan", true),
            ("my-NAS2.lan", true),
            ("dynasty.lan", false),
            ("x", false),
        ] {
            assert_eq!(has_word(name, "nas"), is_nas, "{name}");
        }
    }

    #[test]
    fn every_weight_is_a_chance_and_every_word_is_lower_case() {
        for sign in SIGNS {
            assert!((1..100).contains(&sign.weight));
            if let Of::Vendor(word) | Of::Name(word) | Of::Product(word) | Of::Ssdp(word) = &sign.of {
                assert_eq!(*word, word.to_ascii_lowercase());
            }
        }
    }
}
