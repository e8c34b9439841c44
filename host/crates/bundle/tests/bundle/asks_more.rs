//! `Request::beyond` held against `resolve`: whatever it calls "nothing more" must be granted nothing more, under any
//! policy and any ceiling. Requests, policies and ceilings come from small alphabets, so that they touch all the time.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use proptest::test_runner::{Config, RngSeed, TestRunner};
use venom_bundle::capability::{
    BudgetLimits, FsRequest, Grants, HttpGrant, HttpHost, Lan, NetGrant, NetProtocol, NetRequest, Peer, Policy,
    PortRange, Request, SkillPolicy, host_pattern_matches, pattern_matches, resolve,
};

const NAMES: [&str; 9] = ["*", "a", "b", "ab", "a*", "*b", "ab*", "b*", "*ab"];
const PLAIN_NAMES: [&str; 6] = ["a", "b", "ab", "ba", "abb", "c"];
const HOSTS: [&str; 6] = ["*", "e", "a.e", "b.a.e", "*.e", "*.a.e"];
const PLAIN_HOSTS: [&str; 6] = ["e", "a.e", "b.a.e", "c.a.e", "c.e", "x"];
const ADDRESSES: [&str; 3] = ["127.0.0.1", "10.1.1.1", "[::1]"];
const HTTP_PORTS: [&str; 4] = ["", ":443", ":80", ":8443"];
const TASKS: [&str; 8] = ["*", "A.b", "A.c", "A.*", "*.b", "A.b*", "*A.b", "B.b"];
const PLAIN_TASKS: [&str; 6] = ["A.b", "A.c", "B.b", "A.bb", "BA.b", "C.d"];
const PEERS: [&str; 8] = [
    "*",
    "10.0.0.0/8",
    "10.1.0.0/16",
    "10.1.1.1",
    "0.0.0.0/0",
    "a.e",
    "*.e",
    "e",
];
const PORTS: [&str; 6] = ["*", "1-5", "3-8", "6-10", "4", "443"];
const GUESTS: [&str; 4] = ["*", "/a", "/b", "/a/c"];

fn some(of: &'static [&'static str]) -> impl Strategy<Value = Vec<String>> {
    subsequence(of, 0..=3.min(of.len()))
        .prop_shuffle()
        .prop_map(|it| it.into_iter().map(str::to_owned).collect())
}

fn http() -> impl Strategy<Value = Vec<String>> {
    let hosts: Vec<&str> = HOSTS.into_iter().chain(ADDRESSES).collect();
    let one = (select(hosts), select(HTTP_PORTS.to_vec())).prop_map(|(host, port)| format!("{host}{port}"));
    prop::collection::vec(one, 0..4)
}

fn net() -> impl Strategy<Value = Vec<NetRequest>> {
    let both = vec![NetProtocol::Tcp, NetProtocol::Udp];
    let ports = subsequence(PORTS.to_vec(), 1..4);
    let one = (select(PEERS.to_vec()), ports, subsequence(both, 1..=2)).prop_map(|(to, ports, protocols)| NetRequest {
        to: to.to_owned(),
        ports: ports.into_iter().map(str::to_owned).collect(),
        protocols,
    });
    prop::collection::vec(one, 0..4)
}

fn lan() -> impl Strategy<Value = Vec<Lan>> {
    subsequence(Lan::ALL.to_vec(), 0..=3)
}

fn fs() -> impl Strategy<Value = Vec<FsRequest>> {
    let one = (select(GUESTS.to_vec()), select(vec!["ro", "rw"]))
        .prop_map(|(guest, access)| toml::from_str(&format!("guest='{guest}'\naccess='{access}'")).unwrap());
    prop::collection::vec(one, 0..4)
}

fn request() -> impl Strategy<Value = Request> {
    let names = (some(&NAMES), some(&NAMES), some(&NAMES), some(&NAMES));
    let others = (some(&HOSTS), http(), some(&TASKS), net(), fs(), any::<bool>(), lan());
    (names, others).prop_map(|(names, (dns, http, hive, net, fs, cache, lan))| {
        let (commands, env, config, secrets) = names;
        Request {
            fs,
            commands,
            net,
            dns,
            http,
            env,
            config,
            secrets,
            cache,
            hive,
            lan,
        }
    })
}

/// Offers of the same alphabets, as a policy file has them.
fn policy() -> impl Strategy<Value = Policy> {
    let directories = prop::collection::vec((select(vec!["/a", "/b", "/a/c", "/d"]), any::<bool>()), 0..4);
    let names = (
        some(&PLAIN_NAMES),
        some(&PLAIN_NAMES),
        some(&PLAIN_NAMES),
        some(&PLAIN_NAMES),
    );
    let hosts = (
        some(&HOSTS),
        prop::collection::vec((http(), any::<bool>()), 1),
        some(&TASKS),
    );
    let switches = (any::<bool>(), lan());
    (directories, names, hosts, net(), switches).prop_map(
        |(directories, names, (dns, http, hive), net, (cache, lan))| {
            let mut text = "[skills.EchoSkill]\n".to_owned();
            let lan: Vec<_> = lan.into_iter().map(Lan::as_str).collect();
            writeln!(text, "dns={dns:?}\nhive={hive:?}\nlan={lan:?}").unwrap();
            if cache {
                writeln!(text, "cache={{quota=9}}").unwrap();
            }
            let fs = directories.into_iter().map(|(guest, rw)| {
                format!(
                    "{{host='/srv{guest}',guest='{guest}',access='{}'}}",
                    if rw { "rw" } else { "ro" }
                )
            });
            let commands = names.0.iter().enumerate().map(|(at, name)| {
                let directory = if at == 0 { ",directory='/a'" } else { "" };
                format!("{{name='{name}'{directory}}}")
            });
            let http = http
                .iter()
                .flat_map(|(hosts, plain)| hosts.iter().map(move |host| format!("{{host='{host}',plain={plain}}}")));
            let net = net.iter().map(|it| {
                let protocols: Vec<_> = it.protocols.iter().map(|it| format!("{it:?}").to_lowercase()).collect();
                format!("{{to='{}',ports={:?},protocols={protocols:?}}}", it.to, it.ports)
            });
            for (key, list) in [
                ("fs", fs.collect::<Vec<_>>()),
                ("commands", commands.collect()),
                ("http", http.collect()),
                ("net", net.collect()),
            ] {
                writeln!(text, "{key}=[{}]", list.join(",")).unwrap();
            }
            for (key, names, value) in [
                ("env", &names.1, "'v'"),
                ("config", &names.2, "'v'"),
                ("secrets", &names.3, "{env='V',audience=['e']}"),
            ] {
                let pairs: Vec<_> = names.iter().map(|name| format!("{name}={value}")).collect();
                writeln!(text, "{key}={{{}}}", pairs.join(",")).unwrap();
            }
            toml::from_str(&text).unwrap_or_else(|error| panic!("{error}\n{text}"))
        },
    )
}

/// Any ceiling, but on tasks and HTTP hosts none or a list of plain ones: three patterns with their stars at different ends
/// have no common part that could be written down, and what a policy and a ceiling make of each other there is not a
/// matter of what is asked.
fn ceiling() -> impl Strategy<Value = Request> {
    let bounded = (request(), any::<bool>()).prop_map(|(mut ceiling, open)| {
        let plain = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
        let hosts = ["a.e", "c.e", "a.e:443", "a.e:8443", "e:80", "127.0.0.1"];
        ceiling.http = plain(if open { &["*"] } else { &hosts });
        ceiling.hive = plain(if open { &["*"] } else { &["A.b", "B.b"] });
        ceiling
    });
    prop_oneof![Just(Request::anything()), bounded]
}

/// Of `asked`, what by itself is nothing beyond `before`.
fn only_covered(asked: Request, before: &Request) -> Request {
    let covered = |one: Request| one.beyond(before).is_empty();
    let nothing = Request::default;
    macro_rules! filtered {
        ($($field:ident),*) => {
            Request { cache: asked.cache && before.cache, $($field: asked.$field.into_iter()
                .filter(|it| covered(Request { $field: vec![it.clone()], ..nothing() })).collect()),* }
        };
    }
    filtered!(fs, commands, net, dns, http, env, config, secrets, hive, lan)
}

fn granted(request: &Request, ceiling: &Request, policy: &Policy) -> Grants {
    let none = BudgetLimits::default();
    resolve("EchoSkill", request, &none, ceiling, &none, policy).0
}

fn opens(grants: &[NetGrant], to: &str, protocol: NetProtocol, port: u16) -> bool {
    let inside = |ports: &[String]| ports.iter().any(|text| PortRange::parse(text).unwrap().contains(port));
    grants
        .iter()
        .any(|it| it.to == to && it.protocols.contains(&protocol) && inside(&it.ports))
}

fn calls(grants: &[HttpGrant], host: &str, port: u16, plain: bool) -> bool {
    grants.iter().filter(|it| it.plain == plain).any(|it| {
        let written = HttpHost::parse(&it.host).unwrap();
        let whom = match (&written.peer, Peer::parse(host).unwrap()) {
            (Peer::Name(pattern), Peer::Name(_)) => host_pattern_matches(pattern, host),
            (peer, host) => peer.covers(&host),
        };
        whom && written.port.map_or(matches!(port, 443 | 80), |own| own == port)
    })
}

fn is_part<V: PartialEq>(small: &BTreeMap<String, V>, large: &BTreeMap<String, V>) -> bool {
    small.iter().all(|(key, value)| large.get(key) == Some(value))
}

/// The first right of `small` that `large` lacks.
fn excess(small: &Grants, large: &Grants) -> Option<String> {
    let fs = |it: &&_| !large.fs.iter().any(|wide| same_directory(it, wide));
    if let Some(fs) = small.fs.iter().find(fs) {
        return Some(format!("{fs:?}"));
    }
    if let Some(command) = small.commands.iter().find(|it| !large.commands.contains(it)) {
        return Some(format!("{command:?}"));
    }
    let pairs = [(&small.env, &large.env), (&small.config, &large.config)];
    if pairs.iter().any(|(small, large)| !is_part(small, large)) || !is_part(&small.secrets, &large.secrets) {
        return Some("env, config or secrets".to_owned());
    }
    if small.cache.is_some() && small.cache != large.cache {
        return Some("cache".to_owned());
    }
    if let Some(lan) = small.lan.iter().find(|it| !large.lan.contains(it)) {
        return Some(lan.to_string());
    }
    let fits = |patterns: &[String], text: &str| patterns.iter().any(|pattern| pattern_matches(pattern, text));
    for (small, large, texts) in [
        (&small.dns, &large.dns, PLAIN_HOSTS),
        (&small.hive, &large.hive, PLAIN_TASKS),
    ] {
        if let Some(text) = texts.iter().find(|text| fits(small, text) && !fits(large, text)) {
            return Some((*text).to_owned());
        }
    }
    for to in PEERS {
        for port in (1..=12).chain([443, 444, 65_535]) {
            for protocol in [NetProtocol::Tcp, NetProtocol::Udp] {
                if opens(&small.net, to, protocol, port) && !opens(&large.net, to, protocol, port) {
                    return Some(format!("{to} {protocol:?} {port}"));
                }
            }
        }
    }
    for host in PLAIN_HOSTS.into_iter().chain(["127.0.0.1", "10.1.1.1", "::1"]) {
        for port in [80, 443, 8_443, 8_444] {
            for plain in [false, true] {
                if calls(&small.http, host, port, plain) && !calls(&large.http, host, port, plain) {
                    return Some(format!("{host}:{port} {plain}"));
                }
            }
        }
    }
    None
}

fn same_directory(small: &venom_bundle::capability::FsGrant, large: &venom_bundle::capability::FsGrant) -> bool {
    (&small.host, &small.guest, small.quota) == (&large.host, &large.guest, large.quota) && small.access <= large.access
}

fn runner(seed: u64, cases: u32) -> TestRunner {
    TestRunner::new(Config {
        cases,
        rng_seed: RngSeed::Fixed(seed),
        failure_persistence: None,
        ..Config::default()
    })
}

#[test]
fn what_is_nothing_more_is_granted_nothing_more() {
    let entries = std::cell::Cell::new((0_usize, 0_usize));
    let all = (request(), request(), ceiling(), policy());
    let result = runner(11, 6_000).run(&all, |(asked, before, ceiling, policy)| {
        let asked = only_covered(asked, &before);
        prop_assert_eq!(asked.beyond(&before), Vec::<String>::new());
        let (now, then) = (granted(&asked, &ceiling, &policy), granted(&before, &ceiling, &policy));
        prop_assert_eq!(excess(&now, &then), None);
        let granted = now != granted(&Request::default(), &ceiling, &policy);
        let (covered, in_force) = entries.get();
        entries.set((
            covered + usize::from(asked != Request::default()),
            in_force + usize::from(granted),
        ));
        Ok(())
    });
    result.unwrap();
    let (covered, in_force) = entries.get();
    assert!(
        covered > 4_000 && in_force > 1_500,
        "the test tests too little: {covered} covered, {in_force} granted"
    );
}

#[test]
fn nothing_is_beyond_itself_and_everything_is_within_anything() {
    let result = runner(12, 3_000).run(&(request(), request()), |(one, other)| {
        prop_assert_eq!(one.beyond(&one), Vec::<String>::new());
        let addresses = |line: &String| !line.starts_with("http ");
        prop_assert!(!one.beyond(&Request::anything()).iter().any(addresses));
        prop_assert_eq!(one.lines(), one.beyond(&Request::default()));
        prop_assert_eq!(one == Request::default(), one.lines().is_empty());
        // with more to hold it against, less is beyond
        let mut both = other.clone();
        both.net.extend(one.net.clone());
        both.http.extend(one.http.clone());
        let (alone, with) = (one.beyond(&other), one.beyond(&both));
        prop_assert!(with.iter().all(|line| alone.contains(line)), "{with:?} {alone:?}");
        Ok(())
    });
    result.unwrap();
}

/// The case that decides against "patterns include each other": the narrower request is granted what the wider is not.
#[test]
fn a_narrower_pattern_may_be_granted_more() {
    let policy = |hive: &str| SkillPolicy {
        hive: vec![hive.to_owned()],
        ..SkillPolicy::default()
    };
    let policy = Policy {
        skills: [("EchoSkill".to_owned(), policy("*.run"))].into(),
        ..Policy::default()
    };
    let asking = |hive: &str| Request {
        hive: vec![hive.to_owned()],
        ..Request::default()
    };
    let (wide, narrow) = (asking("EchoSkill.*"), asking("EchoSkill.run"));
    let anything = Request::anything();
    assert_eq!(granted(&wide, &anything, &policy).hive, [""; 0]);
    assert_eq!(granted(&narrow, &anything, &policy).hive, ["EchoSkill.run"]);
    assert_eq!(narrow.beyond(&wide), ["hive EchoSkill.run"]);
}
