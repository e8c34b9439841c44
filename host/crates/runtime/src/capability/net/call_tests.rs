//! What one call may do, and what it remembers.

use venom_bundle::capability::{Grants, NetGrant};

use super::*;

fn call(net: &[&str], connections: u32) -> (NetCall, Refusals) {
    let both = vec![NetProtocol::Tcp, NetProtocol::Udp];
    let grants = Grants {
        net: net
            .iter()
            .map(|to| NetGrant {
                to: to.to_string(),
                ports: vec!["*".to_owned()],
                protocols: both.clone(),
            })
            .collect(),
        ..Grants::default()
    };
    let policy = AddressPolicy::new("Skill", &grants, &[]).unwrap();
    let refusals = Refusals::default();
    let call = NetCall::new(Arc::new(policy), Connections::new(connections), refusals.clone());
    (call, refusals)
}

fn at(address: &str) -> SocketAddr {
    address.parse().unwrap()
}

#[tokio::test]
async fn the_closure_answers_as_the_policy_does() {
    let (call, refusals) = call(&["10.0.0.0/8"], 9);
    let check = call.check();
    assert!(check(at("10.0.0.1:22"), SocketAddrUse::TcpConnect).await);
    assert!(!check(at("11.0.0.1:22"), SocketAddrUse::TcpConnect).await);
    let refused = refusals.list();
    assert_eq!(refused.len(), 1);
    assert_eq!(
        (refused[0].capability, refused[0].target.as_str()),
        ("net", "tcp 11.0.0.1:22")
    );
}

#[test]
fn a_client_binds_to_nothing_of_its_choosing_and_never_listens() {
    let (call, _) = call(&["*", "127.0.0.1"], 9);
    for (address, purpose, allowed) in [
        ("0.0.0.0:0", SocketAddrUse::TcpBind, true),
        ("[::]:0", SocketAddrUse::UdpBind, true),
        ("0.0.0.0:80", SocketAddrUse::TcpBind, false),
        ("127.0.0.1:0", SocketAddrUse::TcpBind, false),
        ("10.0.0.1:0", SocketAddrUse::UdpBind, false),
        ("0.0.0.0:0", SocketAddrUse::TcpListen, false),
        ("10.0.0.1:999", SocketAddrUse::TcpAccept, false),
    ] {
        assert_eq!(call.permits(at(address), purpose), allowed, "{address} {purpose:?}");
    }
}

#[test]
fn connections_are_a_budget_and_refused_ones_cost_nothing() {
    let (call, refusals) = call(&["10.0.0.0/8"], 2);
    for _ in 0..5 {
        assert!(!call.permits(at("11.0.0.1:1"), SocketAddrUse::TcpConnect));
        assert!(!call.permits(at("11.0.0.1:1"), SocketAddrUse::UdpSend));
    }
    assert!(call.permits(at("10.0.0.1:1"), SocketAddrUse::TcpConnect));
    // the second datagram to a peer is no second connection
    for _ in 0..5 {
        assert!(call.permits(at("10.0.0.1:1"), SocketAddrUse::UdpSend));
        assert!(call.permits(at("10.0.0.1:1"), SocketAddrUse::UdpReceive));
    }
    assert!(!call.permits(at("10.0.0.2:1"), SocketAddrUse::UdpSend));
    assert!(!call.permits(at("10.0.0.1:1"), SocketAddrUse::TcpConnect));
    assert!(
        refusals
            .explain()
            .unwrap()
            .contains("budget `connections` (2 a call) is used up")
    );
}

#[test]
fn unasked_datagrams_are_dropped_without_a_word() {
    let (call, refusals) = call(&["10.0.0.0/8"], 2);
    assert!(!call.permits(at("11.0.0.1:1"), SocketAddrUse::UdpReceive));
    assert_eq!(refusals.list(), []);
}

#[test]
fn a_looked_up_address_is_reachable_by_its_name_in_this_call_only() {
    let (first, _) = call(&["db.example.com"], 9);
    let (address, peer) = ("10.0.0.9".parse().unwrap(), at("10.0.0.9:5432"));
    assert!(!first.permits(peer, SocketAddrUse::TcpConnect));
    first.lookup_started(7, "DB.example.com.");
    first.learn(7, address);
    first.lookup_ended(7);
    assert!(first.permits(peer, SocketAddrUse::TcpConnect));
    assert!(first.permits(at("[::ffff:10.0.0.9]:5432"), SocketAddrUse::TcpConnect));
    assert!(!first.permits(at("10.0.0.10:5432"), SocketAddrUse::TcpConnect));
    // an answer of a look-up that is over teaches nothing
    first.learn(7, "10.0.0.10".parse().unwrap());
    assert!(!first.permits(at("10.0.0.10:5432"), SocketAddrUse::TcpConnect));
    // a name that resolves to this machine reaches nothing
    first.lookup_started(8, "db.example.com");
    first.learn(8, "127.0.0.1".parse().unwrap());
    assert!(!first.permits(at("127.0.0.1:5432"), SocketAddrUse::TcpConnect));
    let (second, _) = call(&["db.example.com"], 9);
    assert!(!second.permits(peer, SocketAddrUse::TcpConnect));
}

#[test]
fn an_address_spelled_out_teaches_nothing() {
    let (call, _) = call(&["0x*"], 9);
    call.lookup_started(1, "0x0a000009");
    call.learn(1, "10.0.0.9".parse().unwrap());
    assert!(!call.permits(at("10.0.0.9:1"), SocketAddrUse::TcpConnect));
}

#[test]
fn what_is_learned_is_bounded() {
    let (call, _) = call(&["*.example.com"], 9);
    call.lookup_started(1, "a.example.com");
    for index in 0..u32::try_from(LEARNED).unwrap() + 10 {
        call.learn(1, IpAddr::V4((0x0a00_0000 + index).into()));
    }
    assert_eq!(call.state().learned.len(), LEARNED);
}
