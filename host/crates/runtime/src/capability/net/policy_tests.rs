//! The address rules against tables, and against addresses that hide others.

use std::net::{Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use super::*;

fn grant(to: &str, ports: &[&str], protocols: &[NetProtocol]) -> NetGrant {
    NetGrant {
        to: to.to_owned(),
        ports: ports.iter().map(ToString::to_string).collect(),
        protocols: protocols.to_vec(),
    }
}

fn policy(net: Vec<NetGrant>, dns: &[&str], denied: &[&str]) -> AddressPolicy {
    let grants = Grants {
        net,
        dns: dns.iter().map(ToString::to_string).collect(),
        ..Grants::default()
    };
    let denied: Vec<SocketAddr> = denied.iter().map(|address| address.parse().unwrap()).collect();
    AddressPolicy::new("Skill", &grants, &denied).unwrap()
}

/// A policy that grants TCP on all ports to each of these.
fn to(peers: &[&str]) -> AddressPolicy {
    policy(
        peers
            .iter()
            .map(|peer| grant(peer, &["*"], &[NetProtocol::Tcp]))
            .collect(),
        &[],
        &[],
    )
}

fn check(policy: &AddressPolicy, peer: &str, protocol: NetProtocol) -> Result<(), Refusal> {
    policy.check(peer.parse().unwrap(), protocol, |_| &[])
}

fn tcp(policy: &AddressPolicy, peer: &str) -> bool {
    check(policy, peer, NetProtocol::Tcp).is_ok()
}

const EVERYTHING: [&str; 3] = ["0.0.0.0/0", "::/0", "*"];

#[test]
fn nothing_is_granted_by_default() {
    let none = policy(vec![], &[], &[]);
    for peer in ["1.1.1.1:80", "10.0.0.1:22", "[2606:4700::1111]:443", "127.0.0.1:1"] {
        assert!(!tcp(&none, peer), "{peer}");
    }
    assert!(!none.allows(NetProtocol::Tcp) && !none.allows(NetProtocol::Udp));
    assert!(none.check_name("example.com").is_err());
}

#[test]
fn address_port_and_protocol_must_all_fit() {
    let policy = policy(
        vec![
            grant("10.1.0.0/16", &["22", "8000-9000"], &[NetProtocol::Tcp]),
            grant("10.2.0.1", &["53"], &[NetProtocol::Udp]),
            grant("2606:4700::/32", &["*"], &[NetProtocol::Tcp, NetProtocol::Udp]),
        ],
        &[],
        &[],
    );
    for (peer, protocol, granted) in [
        ("10.1.2.3:22", NetProtocol::Tcp, true),
        ("10.1.2.3:23", NetProtocol::Tcp, false),
        ("10.1.2.3:7999", NetProtocol::Tcp, false),
        ("10.1.2.3:8000", NetProtocol::Tcp, true),
        ("10.1.2.3:9000", NetProtocol::Tcp, true),
        ("10.1.2.3:9001", NetProtocol::Tcp, false),
        ("10.1.2.3:22", NetProtocol::Udp, false),
        ("10.3.0.1:22", NetProtocol::Tcp, false),
        ("10.2.0.1:53", NetProtocol::Udp, true),
        ("10.2.0.1:53", NetProtocol::Tcp, false),
        ("10.2.0.2:53", NetProtocol::Udp, false),
        ("[2606:4700::1]:1", NetProtocol::Tcp, true),
        ("[2606:4701::1]:1", NetProtocol::Tcp, false),
        ("[::ffff:10.1.2.3]:22", NetProtocol::Tcp, true),
        ("[::ffff:10.3.0.1]:22", NetProtocol::Tcp, false),
    ] {
        assert_eq!(check(&policy, peer, protocol).is_ok(), granted, "{peer} {protocol:?}");
    }
    assert!(policy.allows(NetProtocol::Tcp) && policy.allows(NetProtocol::Udp));
}

#[test]
fn special_addresses_need_a_grant_inside_their_range() {
    for (peer, naming) in [
        ("127.0.0.1:1", vec!["127.0.0.1", "127.0.0.0/8", "127.0.0.0/24"]),
        ("[::1]:1", vec!["::1", "::1/128"]),
        ("169.254.169.254:80", vec!["169.254.169.254"]),
        ("[fd00:ec2::254]:80", vec!["fd00:ec2::254"]),
        ("100.100.100.200:80", vec!["100.100.100.200/32"]),
        ("169.254.7.7:80", vec!["169.254.0.0/16"]),
        ("[fe80::1]:80", vec!["fe80::/10", "fe80::1"]),
        ("224.0.0.251:5353", vec!["224.0.0.251"]),
        ("255.255.255.255:9", vec!["255.255.255.255"]),
        ("0.0.0.0:9", vec!["0.0.0.0"]),
        ("[64:ff9b::127.0.0.1]:9", vec!["64:ff9b::127.0.0.1"]),
    ] {
        let wide = to(&EVERYTHING);
        assert!(!tcp(&wide, peer), "{peer} by everything");
        for grant in naming {
            assert!(tcp(&to(&[grant]), peer), "{peer} by {grant}");
        }
    }
    // the metadata address lies in the link-local range too, and a grant of that range does not mean it
    assert!(!tcp(&to(&["169.254.0.0/16"]), "169.254.169.254:80"));
    assert!(!tcp(&to(&["fd00::/8"]), "[fd00:ec2::254]:80"));
    assert!(!tcp(&to(&["126.0.0.0/7"]), "127.0.0.1:1"));
    assert!(tcp(&to(&EVERYTHING), "10.0.0.1:1"), "private addresses are ordinary");
}

#[test]
fn the_nexus_is_reached_only_when_named() {
    let nexus = "192.168.1.5:8000";
    let wide = policy(
        vec![grant("192.168.0.0/16", &["*"], &[NetProtocol::Tcp])],
        &[],
        &[nexus],
    );
    assert!(!tcp(&wide, nexus));
    assert!(!tcp(&wide, "[::ffff:192.168.1.5]:8000"));
    assert!(tcp(&wide, "192.168.1.5:22") && tcp(&wide, "192.168.1.6:8000"));
    let whole = policy(
        vec![grant("192.168.0.0/16", &["*"], &[NetProtocol::Tcp])],
        &[],
        &["192.168.1.5:0"],
    );
    assert!(!tcp(&whole, "192.168.1.5:22"));
    let named = policy(
        vec![grant("192.168.1.5", &["8000"], &[NetProtocol::Tcp])],
        &[],
        &[nexus],
    );
    assert!(tcp(&named, nexus));
    let carried = policy(vec![grant("::/0", &["*"], &[NetProtocol::Tcp])], &[], &[nexus]);
    assert!(!tcp(&carried, "[64:ff9b::192.168.1.5]:8000"));
}

#[test]
fn a_name_reaches_only_what_was_learned_by_it() {
    let policy = policy(vec![grant("*.example.com", &["443"], &[NetProtocol::Tcp])], &[], &[]);
    let learned = vec!["db.example.com".to_owned()];
    let other = vec!["example.org".to_owned()];
    let peer = |address: &str| address.parse::<SocketAddr>().unwrap();
    let check = |address: &str, names: &[String]| policy.check(peer(address), NetProtocol::Tcp, |_| names).is_ok();
    assert!(check("1.1.1.1:443", &learned));
    assert!(check("10.0.0.9:443", &learned));
    assert!(!check("1.1.1.1:80", &learned));
    assert!(!check("1.1.1.1:443", &[]));
    assert!(!check("1.1.1.1:443", &other));
    assert!(!check("127.0.0.1:443", &learned), "a name that means this machine");
    assert!(!check("169.254.169.254:443", &learned));
}

#[test]
fn only_granted_names_are_looked_up() {
    let policy = policy(
        vec![grant("db.internal", &["*"], &[NetProtocol::Tcp])],
        &["*.example.com"],
        &[],
    );
    for (name, granted) in [
        ("db.internal", true),
        ("DB.Internal.", true),
        ("a.example.com", true),
        ("example.com", false),
        ("evil.com", false),
        ("secret-data.evil.com", false),
        ("10.0.0.1", true),
        ("::1", true),
        ("[::1]", true),
    ] {
        assert_eq!(policy.check_name(name).is_ok(), granted, "{name}");
    }
    let refusal = policy.check_name("Evil.com").unwrap_err();
    assert_eq!(
        (refusal.capability, refusal.missing_grant.as_str()),
        ("dns", "[skills.Skill]\ndns = [\"evil.com\"]")
    );
}

#[test]
fn refusals_name_the_grant_that_would_allow() {
    for (peers, peer, reason) in [
        (vec!["10.0.0.0/8"], "192.168.0.1:22", "no grant reaches it"),
        (
            vec!["10.0.0.0/8"],
            "127.0.0.1:22",
            "loopback addresses are reached only by a grant",
        ),
        (vec!["example.com"], "1.1.1.1:22", "only addresses this call looked up"),
    ] {
        let refusal = check(&to(&peers), peer, NetProtocol::Tcp).unwrap_err();
        assert!(refusal.reason.contains(reason), "{refusal}");
        // what is proposed works
        let (ip, port) = peer.split_once(':').unwrap();
        assert_eq!(
            refusal.missing_grant,
            format!("[[skills.Skill.net]]\nto = \"{ip}\"\nports = [\"{port}\"]\nprotocols = [\"tcp\"]")
        );
        assert!(tcp(&to(&[ip]), peer));
    }
    let ports = policy(vec![grant("10.0.0.0/8", &["22"], &[NetProtocol::Tcp])], &[], &[]);
    let refusal = check(&ports, "10.0.0.1:23", NetProtocol::Tcp).unwrap_err();
    assert!(refusal.reason.contains("not tcp port 23"), "{refusal}");
}

#[test]
fn broken_grants_are_reported_all_at_once() {
    let grants = Grants {
        net: vec![
            grant("10.0.0.0/33", &["22"], &[]),
            grant("10.0.0.1", &["22-"], &[]),
            grant("10.0.0.1", &["0"], &[]),
            grant("10.0.0.1", &["9-8"], &[]),
            grant("a b", &["22"], &[]),
        ],
        dns: vec!["a*b".to_owned()],
        ..Grants::default()
    };
    assert_eq!(AddressPolicy::new("Skill", &grants, &[]).unwrap_err().len(), 6);
}

/// Any IPv4 address that a wide grant never means.
fn special_v4() -> impl Strategy<Value = Ipv4Addr> {
    prop_oneof![
        any::<[u8; 3]>().prop_map(|[b, c, d]| Ipv4Addr::new(127, b, c, d)),
        any::<[u8; 2]>().prop_map(|[c, d]| Ipv4Addr::new(169, 254, c, d)),
        (224_u8..=255, any::<[u8; 3]>()).prop_map(|(a, [b, c, d])| Ipv4Addr::new(a, b, c, d)),
        any::<[u8; 3]>().prop_map(|[b, c, d]| Ipv4Addr::new(0, b, c, d)),
        Just(Ipv4Addr::new(100, 100, 100, 200)),
        Just(Ipv4Addr::new(192, 168, 1, 5)), // the nexus below
    ]
}

/// The ways an IPv6 address carries an IPv4 one.
fn carriers(v4: Ipv4Addr) -> Vec<Ipv6Addr> {
    let [a, b, c, d] = v4.octets();
    let (high, low) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
    let (split_low, split_high) = (u16::from_be_bytes([0, c]), u16::from_be_bytes([d, 0]));
    vec![
        v4.to_ipv6_mapped(),
        Ipv6Addr::new(0, 0, 0, 0, 0, 0, high, low),
        Ipv6Addr::new(0, 0, 0, 0, 0xffff, 0, high, low),
        Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, high, low),
        Ipv6Addr::new(0x64, 0xff9b, 1, 0, 0, 0, high, low),
        Ipv6Addr::new(0x64, 0xff9b, 1, high, split_low, split_high, 0, 0),
        Ipv6Addr::new(0x2002, high, low, 0, 0, 0, 0, 1),
        Ipv6Addr::new(0x2001, 0, high, low, 0, 0, 0xfefe, 0xfefe),
        Ipv6Addr::new(0x2001, 0, 0x101, 0x101, 0, 0, !high, !low),
        Ipv6Addr::new(0x2606, 1, 2, 3, 0, 0x5efe, high, low),
    ]
}

proptest! {
    #[test]
    fn no_disguise_reaches_a_denied_address(v4 in special_v4(), port in 1_u16..) {
        let grants = EVERYTHING.iter().map(|peer| grant(peer, &["*"], &[NetProtocol::Tcp, NetProtocol::Udp]));
        let policy = policy(grants.collect(), &["*"], &["192.168.1.5:0"]);
        let names = vec!["any.name".to_owned()];
        for carrier in carriers(v4) {
            let peer = SocketAddr::new(carrier.into(), port);
            for protocol in [NetProtocol::Tcp, NetProtocol::Udp] {
                prop_assert!(policy.check(peer, protocol, |_| &names).is_err(), "{peer}");
            }
        }
        let plain = SocketAddr::new(v4.into(), port);
        prop_assert!(policy.check(plain, NetProtocol::Tcp, |_| &names).is_err());
    }
}

#[test]
fn a_skill_is_told_of_addresses_that_any_port_of_its_grants_reaches() {
    let some = policy(
        vec![
            grant("10.1.0.0/24", &["22"], &[NetProtocol::Udp]),
            grant("192.168.0.5", &["80"], &[NetProtocol::Tcp]),
            grant("host.example", &["80"], &[NetProtocol::Tcp]),
        ],
        &[],
        &["10.1.0.9:0", "10.1.0.8:8000"],
    );
    for (address, known) in [
        ("10.1.0.1", true),
        ("::ffff:10.1.0.1", true),
        ("10.1.1.1", false),
        ("192.168.0.5", true),
        ("192.168.0.6", false),
        // the nexus, when all of it is denied; another port of its machine may be reached
        ("10.1.0.9", false),
        ("10.1.0.8", true),
    ] {
        let address = address.parse().unwrap();
        assert_eq!(some.knows(address), known, "{address}");
        assert_eq!(some.check_known(address, "reverse").is_ok(), known);
    }
    for special in ["127.0.0.1", "169.254.169.254", "fe80::1"] {
        assert!(!to(&EVERYTHING).knows(special.parse().unwrap()), "{special}");
        assert!(to(&[special]).knows(special.parse().unwrap()), "{special}");
    }
    let refused = some.check_known("10.9.0.1".parse().unwrap(), "reverse").unwrap_err();
    assert_eq!(refused.target, "reverse 10.9.0.1");
    assert!(refused.missing_grant.contains("to = \"10.9.0.1\""), "{refused}");
}

#[test]
fn whole_networks_are_asked_only_where_a_grant_lies() {
    for (granted, network, touched) in [
        ("10.1.0.7", "10.1.0.1/24", true),
        ("10.0.0.0/8", "10.1.0.1/24", true),
        ("10.1.1.0/24", "10.1.0.1/24", false),
        ("*", "10.1.0.1/24", true),
        ("host.example", "10.1.0.1/24", false),
        ("*", "127.0.0.1/8", false),
        ("0.0.0.0/0", "127.0.0.1/8", false),
        ("127.0.0.1", "127.0.0.1/8", true),
        ("::/0", "fe80::1/64", false),
        ("fe80::/64", "fe80::1/64", true),
    ] {
        assert_eq!(
            to(&[granted]).touches(network.parse().unwrap()),
            touched,
            "{network} by {granted}"
        );
    }
}
