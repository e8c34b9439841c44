//! What one request asks for beyond another: an update that asks for more than the version before is shown to an
//! operator first. Whoever is unsure whether something is covered says that it is not.

use super::{Access, Request, pattern};

pub(super) fn beyond(asked: &Request, before: &Request) -> Vec<String> {
    let mut more = Vec::new();
    let mut names = |what: &str, asked: &[String], before: &[String]| {
        let covered = |name: &String| before.iter().any(|known| pattern::pattern_covers(known, name));
        more.extend(
            asked
                .iter()
                .filter(|name| !covered(name))
                .map(|name| format!("{what} {name}")),
        );
    };
    names("command", &asked.commands, &before.commands);
    names("dns", &asked.dns, &before.dns);
    names("http", &asked.http, &before.http);
    names("env", &asked.env, &before.env);
    names("config", &asked.config, &before.config);
    names("secret", &asked.secrets, &before.secrets);
    names("hive", &asked.hive, &before.hive);
    for fs in &asked.fs {
        let covers =
            |known: &&super::FsRequest| (known.guest == "*" || known.guest == fs.guest) && known.access >= fs.access;
        if before.fs.iter().find(covers).is_none() {
            let access = if fs.access == Access::Rw { "rw" } else { "ro" };
            more.push(format!("fs {} {access}", fs.guest));
        }
    }
    for net in &asked.net {
        if !before.net.contains(net) {
            more.push(format!("net {} {}", net.to, net.ports.join(",")));
        }
    }
    if asked.cache && !before.cache {
        more.push("cache".to_owned());
    }
    more
}
