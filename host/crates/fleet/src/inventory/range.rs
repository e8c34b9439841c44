//! Addresses, and ranges of them, in one order for both families: as 128 bits, those of IPv4 mapped. In the database they are 32 hexadecimal
//! digits, which sort the same way in any collation.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;

/// An address in the one order.
pub(crate) fn order(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().to_bits(),
        IpAddr::V6(ip) => ip.to_bits(),
    }
}

/// As the database keeps and sorts it.
pub(crate) fn key(ip: IpAddr) -> String {
    digits(order(ip))
}

/// 32 hexadecimal digits.
pub(crate) fn digits(order: u128) -> String {
    format!("{order:032x}")
}

/// From the first address to the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) first: u128,
    pub(crate) last: u128,
}

impl Range {
    fn of(net: IpNet) -> Self {
        Self {
            first: order(net.network()),
            last: order(net.broadcast()),
        }
    }

    pub(crate) const fn covers(&self, order: u128) -> bool {
        self.first <= order && order <= self.last
    }
}

/// What was scanned: a CIDR, an address, or a name, which covers no address that is known here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    /// In one spelling: `192.168.1.7/24` is `192.168.1.0/24`, `10.0.0.1` is `10.0.0.1/32`, names are in small letters.
    pub(crate) text: String,
    /// The addresses, unless it is a name.
    pub(crate) range: Option<Range>,
}

impl Target {
    pub(crate) fn parse(text: &str) -> Self {
        let text = text.trim();
        match net(text) {
            Some(net) => Self {
                text: net.to_string(),
                range: Some(Range::of(net)),
            },
            None => Self {
                text: super::clean::line(&text.to_lowercase(), super::clean::NAME),
                range: None,
            },
        }
    }

    /// Whether it covers this address.
    pub(crate) fn covers(&self, ip: IpAddr) -> bool {
        self.range.is_some_and(|range| range.covers(order(ip)))
    }

    /// Its only address, when it is one.
    pub(crate) fn single(&self) -> Option<IpAddr> {
        let range = self.range?;
        (range.first == range.last).then(|| address(range.first))
    }
}

/// A network, normalised; one address is a network of one.
pub(crate) fn net(text: &str) -> Option<IpNet> {
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Some(IpNet::from(ip.to_canonical()));
    }
    let net: IpNet = text.parse().ok()?;
    let IpAddr::V4(inner) = net.addr().to_canonical() else {
        return Some(net.trunc());
    };
    match net {
        IpNet::V4(_) => Some(net.trunc()),
        // `::ffff:10.0.0.0/104` is `10.0.0.0/8`
        IpNet::V6(mapped) => {
            let prefix = mapped.prefix_len().checked_sub(96)?;
            Some(IpNet::new(IpAddr::V4(inner), prefix).ok()?.trunc())
        }
    }
}

/// The address at this place in the order.
fn address(order: u128) -> IpAddr {
    let ip = std::net::Ipv6Addr::from_bits(order);
    ip.to_ipv4_mapped()
        .map_or(IpAddr::V6(ip), |ip: Ipv4Addr| IpAddr::V4(ip))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(target: &str) -> String {
        Target::parse(target).text
    }

    #[test]
    fn one_target_has_one_spelling() {
        assert_eq!(text("192.168.1.7/24"), "192.168.1.0/24");
        assert_eq!(text(" 10.0.0.1 "), "10.0.0.1/32");
        assert_eq!(text("::ffff:10.0.0.1"), "10.0.0.1/32");
        assert_eq!(text("::ffff:10.0.0.0/104"), "10.0.0.0/8");
        assert_eq!(text("FE80::1/64"), "fe80::/64");
        assert_eq!(text("Printer.LAN"), "printer.lan");
        for wrong in [
            "10.0.0.0/33",
            "10.0.0/24",
            "300.1.1.1",
            "::ffff:10.0.0.0/90",
            "",
            "/",
            "\0/8",
        ] {
            assert_eq!(Target::parse(wrong).range, None, "{wrong}");
        }
    }

    #[test]
    fn a_target_covers_its_addresses_and_no_others() {
        let target = Target::parse("192.168.1.0/24");
        for (ip, is_in) in [
            ("192.168.1.0", true),
            ("192.168.1.255", true),
            ("192.168.2.0", false),
            ("::1", false),
        ] {
            assert_eq!(target.covers(ip.parse().unwrap()), is_in, "{ip}");
        }
        assert_eq!(target.single(), None);
        let one = Target::parse("10.0.0.9");
        assert_eq!(one.single(), Some("10.0.0.9".parse().unwrap()));
        assert!(!Target::parse("printer").covers("10.0.0.9".parse().unwrap()));
        assert!(Target::parse("0.0.0.0/0").covers("255.255.255.255".parse().unwrap()));
        assert!(!Target::parse("0.0.0.0/0").covers("::1".parse().unwrap()));
    }

    proptest! {
        #[test]
        fn keys_sort_as_addresses_do(a in any::<std::net::Ipv4Addr>(), b in any::<std::net::Ipv4Addr>()) {
            prop_assert_eq!(key(a.into()).cmp(&key(b.into())), a.cmp(&b));
            prop_assert_eq!(address(order(a.into())), IpAddr::V4(a));
        }

        #[test]
        fn normalising_again_changes_nothing(target in any::<String>(), ip in any::<IpAddr>(), prefix in 0_u8..=128) {
            for target in [target, format!("{ip}/{prefix}"), ip.to_string()] {
                let once = Target::parse(&target);
                prop_assert_eq!(&Target::parse(&once.text), &once);
            }
        }
    }
}
