//! What one request asks for beyond another: an update that asks for more than the version before is shown to an
//! operator first.
//!
//! The rule: where this says "nothing more", no policy grants the new version anything that it would not have granted
//! the old one. That is narrower than "the patterns include each other". A policy is held against a request
//! as a whole ([`super::resolve()`]): from the offer `*.run`, a request for `EchoSkill.*` gets nothing and one for
//! `EchoSkill.run` gets that, though it asks for less. Whoever is unsure says that it is more.

use super::ask::access;
use super::peer::{PortRange, ranges};
use super::settle::Ask as _;
use super::{FsRequest, HttpHost, NetProtocol, NetRequest, Peer, Request, pattern};

pub(super) fn beyond(asked: &Request, before: &Request) -> Vec<String> {
    let mut more = Vec::new();
    for fs in &asked.fs {
        if !before.fs.iter().any(|known| covers_directory(known, fs)) {
            more.push(format!("fs {} {}", fs.guest, access(fs.access)));
        }
    }
    let mut names = |what: &str, asked: &[String], before: &[String], covers: fn(&str, &str) -> bool| {
        let uncovered = asked
            .iter()
            .filter(|name| !before.iter().any(|known| covers(known, name)));
        more.extend(uncovered.map(|name| format!("{what} {name}")));
    };
    names("command", &asked.commands, &before.commands, pattern::pattern_covers);
    names("dns", &asked.dns, &before.dns, pattern::pattern_covers);
    names("http", &asked.http, &before.http, covers_http);
    names("env", &asked.env, &before.env, pattern::pattern_covers);
    names("config", &asked.config, &before.config, pattern::pattern_covers);
    names("secret", &asked.secrets, &before.secrets, pattern::pattern_covers);
    names("hive", &asked.hive, &before.hive, covers_tasks);
    for net in &asked.net {
        if !covers_net(&before.net, net) {
            more.push(format!("net {}", net.describe()));
        }
    }
    if asked.cache && !before.cache {
        more.push("cache".to_owned());
    }
    let unknown = asked.lan.iter().filter(|part| !before.lan.contains(part));
    more.extend(unknown.map(|part| format!("lan {part}")));
    more
}

fn covers_directory(known: &FsRequest, asked: &FsRequest) -> bool {
    (known.guest == "*" || known.guest == asked.guest) && known.access >= asked.access
}

/// Patterns of tasks may have their star at either end, and so may those of policies: only those with the star at the
/// same end are always held against a policy alike.
fn covers_tasks(known: &str, asked: &str) -> bool {
    let alike = known == "*" || known == asked || asked.contains('*');
    alike && pattern::pattern_covers(known, asked)
}

/// A host with another port is another offer to a policy. 443 and 80 are those that a host without a port means, so that
/// with them the wider name may get nothing where the narrower one does.
fn covers_http(known: &str, asked: &str) -> bool {
    let Some((known, asked)) = HttpHost::parse(known).zip(HttpHost::parse(asked)) else {
        return false;
    };
    let anything = known.peer == Peer::Anyone && known.port.is_none();
    let alike = known.peer == asked.peer || !matches!(known.port, Some(443 | 80));
    anything || (known.port == asked.port && alike && known.peer.covers(&asked.peer))
}

/// Peers are granted whole and ports by the piece: all ports must be among those of the entries that cover the peer.
fn covers_net(known: &[NetRequest], asked: &NetRequest) -> bool {
    let covers = |known: &&NetRequest| {
        let both = Peer::parse(&known.to).zip(Peer::parse(&asked.to));
        both.is_some_and(|(known, asked)| known.covers(&asked))
    };
    let of = |protocol: &NetProtocol| {
        let entries = known.iter().filter(|known| known.protocols.contains(protocol));
        entries.filter(covers).flat_map(|known| ranges(&known.ports)).collect()
    };
    let readable = Peer::parse(&asked.to).is_some() && asked.ports.iter().all(|port| PortRange::parse(port).is_some());
    let within = |protocol| {
        let known: Vec<PortRange> = of(protocol);
        ranges(&asked.ports).all(|ports| is_within(ports, &known))
    };
    readable && asked.protocols.iter().all(within)
}

/// Whether every port of a range is in one of others.
fn is_within(ports: PortRange, known: &[PortRange]) -> bool {
    let mut known = known.to_vec();
    known.sort_unstable();
    // the lowest port not yet found; none are left after 65535
    let mut next = u32::from(ports.first);
    for range in known {
        if u32::from(range.first) <= next {
            next = next.max(u32::from(range.last) + 1);
        }
    }
    next > u32::from(ports.last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(text: &str) -> Request {
        let request: Request = toml::from_str(text).unwrap();
        request.check("request").unwrap();
        request
    }

    fn more(asked: &str, before: &str) -> Vec<String> {
        request(asked).beyond(&request(before))
    }

    #[test]
    fn what_is_new_is_told_for_every_capability() {
        let all = "fs=[{guest='/a',access='rw'}]\ncommands=['ls']\nnet=[{to='10.0.0.0/8',ports=['22','80-90']}]\n\
                   dns=['a.example']\nhttp=['a.example']\nenv=['A']\nconfig=['b']\nsecrets=['c']\ncache=true\nhive=['A.b']\nlan=['links','tls']";
        let lines = [
            "fs /a rw",
            "command ls",
            "dns a.example",
            "http a.example",
            "env A",
            "config b",
            "secret c",
            "hive A.b",
            "net 10.0.0.0/8 tcp 22,80-90",
            "cache",
            "lan links",
            "lan tls",
        ];
        assert_eq!(more(all, ""), lines);
        assert_eq!(request(all).lines(), lines);
        assert_eq!(more("", all), [""; 0]);
        assert_eq!(more(all, all), [""; 0]);
        assert_eq!(request(all).beyond(&Request::anything()), [""; 0]);
        assert_eq!(
            Request::anything().beyond(&request(all)).len(),
            14,
            "all but the cache and two of `lan`"
        );
        assert_eq!(Request::anything().beyond(&Request::anything()), [""; 0]);
    }

    /// Asked now, asked before, and whether that is more.
    #[test]
    fn each_capability_has_its_own_measure() {
        for (asked, before, is_more) in [
            ("fs=[{guest='/a',access='rw'}]", "fs=[{guest='/a'}]", true),
            ("fs=[{guest='/a'}]", "fs=[{guest='/a',access='rw'}]", false),
            ("fs=[{guest='/a/b'}]", "fs=[{guest='/a'}]", true),
            (
                "fs=[{guest='/a',access='rw'}]",
                "fs=[{guest='*'},{guest='/b',access='rw'}]",
                true,
            ),
            ("fs=[{guest='*'}]", "fs=[{guest='/'}]", true),
            ("commands=['git-*']", "commands=['git-log']", true),
            ("commands=['git-log']", "commands=['git-*']", false),
            ("commands=['git-l*']", "commands=['git-*']", false),
            ("commands=['*-log']", "commands=['git-*']", true),
            ("env=['*']", "env=['A*','*B']", true),
            ("dns=['*.a.example']", "dns=['*.example']", false),
            ("dns=['example']", "dns=['*.example']", true),
            ("http=['a.example']", "http=['*.example']", false),
            ("http=['a.example:8443']", "http=['*.example:8443']", false),
            ("http=['a.example:8443']", "http=['*.example']", true),
            ("http=['a.example:443']", "http=['a.example']", true),
            ("http=['a.example']", "http=['a.example:443']", true),
            ("http=['a.example:443']", "http=['*.example:443']", true),
            ("http=['*:8443']", "http=['*']", false),
            ("http=['*']", "http=['*:8443']", true),
            ("http=['127.0.0.1']", "http=['*']", false),
            ("http=['[::1]:80']", "http=['[0:0:0:0:0:0:0:1]:80']", false),
            ("hive=['A.b']", "hive=['A.b']", false),
            ("hive=['A.b']", "hive=['*']", false),
            ("hive=['A.b*']", "hive=['A.*']", false),
            ("hive=['A.b']", "hive=['A.*']", true),
            ("cache=true", "", true),
            ("lan=['mdns']", "lan=['links','mdns']", false),
            ("lan=['links','mdns']", "lan=['mdns']", true),
        ] {
            assert_eq!(!more(asked, before).is_empty(), is_more, "{asked} after {before}");
        }
    }

    #[test]
    fn peers_ports_and_protocols_are_all_measured() {
        let net = |entries: &str| format!("net=[{entries}]");
        for (asked, before, is_more) in [
            (
                "{to='10.1.0.0/16',ports=['22']}",
                "{to='10.0.0.0/8',ports=['*']}",
                false,
            ),
            ("{to='10.0.0.0/8',ports=['22']}", "{to='10.1.0.0/16',ports=['*']}", true),
            ("{to='10.0.0.1',ports=['22']}", "{to='10.0.0.1/32',ports=['22']}", false),
            ("{to='::1',ports=['22']}", "{to='0.0.0.0/0',ports=['22']}", true),
            (
                "{to='*',ports=['22']}",
                "{to='0.0.0.0/0',ports=['22']},{to='::/0',ports=['22']}",
                true,
            ),
            ("{to='a.example',ports=['22']}", "{to='*.example',ports=['22']}", false),
            ("{to='a.example',ports=['22']}", "{to='0.0.0.0/0',ports=['22']}", true),
            ("{to='*',ports=['5-15']}", "{to='*',ports=['10-20','1-9']}", false),
            ("{to='*',ports=['5-15']}", "{to='*',ports=['11-20','1-9']}", true),
            (
                "{to='*',ports=['5-15']}",
                "{to='*',ports=['1-9']},{to='*',ports=['10-15']}",
                false,
            ),
            (
                "{to='10.0.0.1',ports=['5-15']}",
                "{to='10.0.0.1',ports=['1-9']},{to='*',ports=['10-15']}",
                false,
            ),
            ("{to='*',ports=['*']}", "{to='*',ports=['1-65534']}", true),
            ("{to='*',ports=['*']}", "{to='*',ports=['1-65535']}", false),
            ("{to='*',ports=['1'],protocols=['udp']}", "{to='*',ports=['1']}", true),
            (
                "{to='*',ports=['1'],protocols=['tcp','udp']}",
                "{to='*',ports=['1'],protocols=['udp']}",
                true,
            ),
            (
                "{to='*',ports=['1'],protocols=['tcp','udp']}",
                "{to='*',ports=['1'],protocols=['udp']},{to='*',ports=['1']}",
                false,
            ),
            (
                "{to='*',ports=['1-2'],protocols=['tcp','udp']}",
                "{to='*',ports=['1'],protocols=['tcp','udp']},{to='*',ports=['2']}",
                true,
            ),
        ] {
            assert_eq!(
                !more(&net(asked), &net(before)).is_empty(),
                is_more,
                "{asked} after {before}"
            );
        }
    }

    #[test]
    fn what_is_malformed_is_never_covered() {
        let odd = Request {
            commands: vec!["a*b".to_owned()],
            http: vec!["https://a".to_owned()],
            net: vec![NetRequest {
                to: "*".to_owned(),
                ports: vec!["x".to_owned()],
                protocols: vec![NetProtocol::Tcp],
            }],
            ..Request::default()
        };
        assert_eq!(odd.beyond(&odd).len(), 3);
        assert_eq!(odd.beyond(&Request::anything()).len(), 3);
    }
}
