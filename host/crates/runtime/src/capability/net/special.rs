//! Addresses that a wide grant never means: this machine, its links, cloud metadata. Tables after the IANA
//! special-purpose registries (RFC 6890 and successors); metadata services as the clouds document them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// A range that is reached only by a grant lying inside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Special {
    pub(crate) range: IpNet,
    /// What it is, in the plural.
    pub(crate) what: &'static str,
}

const fn v4(a: u8, b: u8, c: u8, d: u8, length: u8) -> IpNet {
    IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), length))
}

const fn v6(high: [u16; 4], low: [u16; 4], length: u8) -> IpNet {
    let [a, b, c, d] = high;
    let [e, f, g, h] = low;
    IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, d, e, f, g, h), length))
}

const METADATA: &str = "cloud metadata services";
const LINK: &str = "link-local addresses";
const SPECIALS: [(IpNet, &str); 17] = [
    (v4(127, 0, 0, 0, 8), "loopback addresses"),
    (v4(169, 254, 169, 254, 32), METADATA),
    (v4(100, 100, 100, 200, 32), METADATA), // Alibaba
    (v4(168, 63, 129, 16, 32), METADATA),   // Azure
    (v4(192, 0, 0, 192, 32), METADATA),     // Oracle
    (v4(169, 254, 0, 0, 16), LINK),
    (v4(0, 0, 0, 0, 8), "unspecified addresses"),
    (v4(224, 0, 0, 0, 4), "multicast addresses"),
    (v4(255, 255, 255, 255, 32), "broadcast addresses"),
    (v4(240, 0, 0, 0, 4), "reserved addresses"),
    (v6([0; 4], [0, 0, 0, 1], 128), "loopback addresses"),
    (v6([0; 4], [0; 4], 128), "unspecified addresses"),
    (v6([0xfd00, 0xec2, 0, 0], [0, 0, 0, 0x254], 128), METADATA), // Amazon
    (v6([0xfd20, 0xce, 0, 0], [0, 0, 0, 0x254], 128), METADATA),  // Google
    (v6([0xfe80, 0, 0, 0], [0; 4], 10), LINK),
    (v6([0xfec0, 0, 0, 0], [0; 4], 10), "site-local addresses"),
    (v6([0xff00, 0, 0, 0], [0; 4], 8), "multicast addresses"),
];

/// Ranges that are ordinary but not public: private, shared, documentation, benchmarking.
const PRIVATE: [IpNet; 12] = [
    v4(10, 0, 0, 0, 8),
    v4(172, 16, 0, 0, 12),
    v4(192, 168, 0, 0, 16),
    v4(100, 64, 0, 0, 10),
    v4(192, 0, 0, 0, 24),
    v4(192, 0, 2, 0, 24),
    v4(198, 18, 0, 0, 15),
    v4(198, 51, 100, 0, 24),
    v4(203, 0, 113, 0, 24),
    v6([0x2001, 0xdb8, 0, 0], [0; 4], 32),
    v6([0x3fff, 0, 0, 0], [0; 4], 20),
    v6([0x2001, 2, 0, 0], [0; 4], 48),
];

/// Global unicast, all of it; and the well-known NAT64 prefix, public when the embedded address is.
const GLOBAL_V6: [IpNet; 2] = [v6([0x2000, 0, 0, 0], [0; 4], 3), v6([0x64, 0xff9b, 0, 0], [0; 4], 96)];

/// The special ranges an address lies in. The address must be canonical (`IpAddr::to_canonical`). An IPv6
/// address that carries a special IPv4 address is special itself, alone in its range.
pub(crate) fn specials(ip: IpAddr) -> Vec<Special> {
    let own = SPECIALS.iter().filter(|(range, _)| range.contains(&ip));
    let mut found: Vec<Special> = own.map(|&(range, what)| Special { range, what }).collect();
    for carried in embedded(ip) {
        for inner in specials(IpAddr::V4(carried)) {
            found.push(Special {
                range: IpNet::from(ip),
                what: inner.what,
            });
        }
    }
    found
}

/// Whether an address is one anybody on the internet could hold.
pub(crate) fn is_public(ip: IpAddr) -> bool {
    let global = ip.is_ipv4() || GLOBAL_V6.iter().any(|range| range.contains(&ip));
    global
        && !PRIVATE.iter().any(|range| range.contains(&ip))
        && specials(ip).is_empty()
        && embedded(ip).into_iter().all(|carried| is_public(IpAddr::V4(carried)))
}

/// The IPv4 addresses that a packet to this IPv6 address may end at: compatible, translated (SIIT), NAT64,
/// 6to4, Teredo and ISATAP. (A mapped address is gone once it is canonical.)
pub(crate) fn embedded(ip: IpAddr) -> Vec<Ipv4Addr> {
    let IpAddr::V6(address) = ip else {
        return Vec::new();
    };
    let [a, b, c, d, e, f, g, h] = address.segments();
    let low = join(g, h);
    let mut found = Vec::new();
    match [a, b, c, d, e, f] {
        [0, 0, 0, 0, 0, 0] if address != Ipv6Addr::LOCALHOST && address != Ipv6Addr::UNSPECIFIED => found.push(low),
        [0, 0, 0, 0, 0, 0xffff] | [0, 0, 0, 0, 0xffff, 0] | [0x64, 0xff9b, 0, 0, 0, 0] => found.push(low),
        // RFC 8215: a local NAT64 prefix of any length from 48 to 96; the address may sit in either place (RFC 6052)
        [0x64, 0xff9b, 1, ..] => found.extend([low, split_by_u(d, e, f)]),
        [0x2002, ..] => found.push(join(b, c)),
        [0x2001, 0, ..] => found.extend([join(c, d), Ipv4Addr::from_bits(!low.to_bits())]),
        _ => {}
    }
    if matches!([e, f], [0 | 0x200, 0x5efe]) {
        found.push(low);
    }
    found
}

fn join(high: u16, low: u16) -> Ipv4Addr {
    Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low))
}

/// RFC 6052, prefix length 48: two octets, the reserved octet `u`, two octets.
fn split_by_u(d: u16, e: u16, f: u16) -> Ipv4Addr {
    let [first, second] = d.to_be_bytes();
    let [_, third] = e.to_be_bytes();
    let [fourth, _] = f.to_be_bytes();
    Ipv4Addr::new(first, second, third, fourth)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn every_special_range_is_known() {
        for (address, what) in [
            ("127.0.0.1", "loopback"),
            ("127.255.255.255", "loopback"),
            ("::1", "loopback"),
            ("169.254.169.254", "metadata"),
            ("100.100.100.200", "metadata"),
            ("168.63.129.16", "metadata"),
            ("192.0.0.192", "metadata"),
            ("fd00:ec2::254", "metadata"),
            ("fd20:ce::254", "metadata"),
            ("169.254.0.1", "link-local"),
            ("fe80::1", "link-local"),
            ("febf::1", "link-local"),
            ("fec0::1", "site-local"),
            ("0.0.0.0", "unspecified"),
            ("0.1.2.3", "unspecified"),
            ("::", "unspecified"),
            ("224.0.0.1", "multicast"),
            ("239.255.255.255", "multicast"),
            ("ff02::1", "multicast"),
            ("255.255.255.255", "broadcast"),
            ("240.0.0.1", "reserved"),
        ] {
            let found = specials(ip(address));
            assert!(
                found.iter().any(|special| special.what.contains(what)),
                "{address}: {found:?}"
            );
            assert!(!is_public(ip(address)), "{address}");
        }
    }

    #[test]
    fn ordinary_addresses_are_not_special() {
        for (address, public) in [
            ("1.1.1.1", true),
            ("126.255.255.255", true),
            ("128.0.0.1", true),
            ("169.253.1.1", true),
            ("2606:4700::1111", true),
            ("64:ff9b::101:101", true),
            ("2002:101:101::1", true),
            ("10.0.0.1", false),
            ("172.31.255.255", false),
            ("192.168.1.1", false),
            ("100.64.0.1", false),
            ("203.0.113.9", false),
            ("fd12::1", false),
            ("2001:db8::1", false),
            ("2002:0a00:0001::1", false),
            ("64:ff9b::a00:1", false),
        ] {
            assert!(specials(ip(address)).is_empty(), "{address}");
            assert_eq!(is_public(ip(address)), public, "{address}");
        }
    }

    #[test]
    fn carriers_of_special_addresses_are_special_and_alone() {
        for address in [
            "::127.0.0.1",
            "::ffff:0:127.0.0.1",
            "64:ff9b::127.0.0.1",
            "64:ff9b:1::127.0.0.1",
            "64:ff9b:1:7f00:0:100::",
            "2002:7f00:1::",
            "2001:0:7f00:1::",
            "2001::80ff:fffe",
            "2001:db8::5efe:127.0.0.1",
            "2001:db8::200:5efe:127.0.0.1",
        ] {
            let found = specials(ip(address));
            let loopback = found.iter().find(|special| special.what == "loopback addresses");
            let alone = IpNet::from(ip(address));
            assert_eq!(loopback.map(|special| special.range), Some(alone), "{address}");
        }
    }
}
