//! Module `versions`: what servers say of their versions, against a table of branches that get no more fixes. It asks
//! nothing itself but Redis's own description where Redis answers anybody; it goes by what the other modules heard.

use crate::check::{Check, Look, Severity, Verdict, evidence};
use crate::http;
use crate::line::Trouble;
use crate::report::Moment;
use crate::visit::Visit;

static END_OF_LIFE: Check = Check {
    id: "versions.end-of-life",
    severity: Severity::Medium,
    title: "Software that gets no more fixes",
    remediation: "Update to a branch that is still maintained; if a distribution maintains this one, make sure that its updates are installed.",
};

pub(crate) static CHECKS: [&Check; 1] = [&END_OF_LIFE];

/// Redis's port.
pub(crate) const REDIS: u16 = 6379;

const TABLE: &str = include_str!("../data/end-of-life.txt");

/// A branch of a product and its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Branch<'a> {
    product: &'a str,
    branch: &'a str,
    /// `2026-01-31`.
    ended: &'a str,
    source: &'a str,
}

fn table() -> impl Iterator<Item = Branch<'static>> {
    TABLE.lines().filter_map(row)
}

/// A line of the table; none for a comment, an empty line and what is no line of it.
fn row(line: &str) -> Option<Branch<'_>> {
    let mut cells = line.split('|').map(str::trim);
    let (product, branch, ended, source) = (cells.next()?, cells.next()?, cells.next()?, cells.next()?);
    let comment = product.starts_with('#') || cells.next().is_some();
    (!comment).then_some(Branch {
        product,
        branch,
        ended,
        source,
    })
}

/// A product as a server named it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Product {
    /// As in the table.
    pub(crate) name: &'static str,
    pub(crate) version: String,
    /// All of what the server said.
    pub(crate) said: String,
}

pub(crate) fn judge(products: &[Product], now: Moment) -> Verdict {
    let mut verdict = Verdict::default();
    for product in products {
        let found = table().find(|row| row.product == product.name && is_of(row.branch, &product.version));
        let Some(row) = found.filter(|row| row.ended < now.date().as_str()) else {
            continue;
        };
        // a distribution keeps the version and mends it all the same
        let maintained = [
            "debian", "ubuntu", "el7", "el8", "el9", "red hat", "centos", "suse", "alpine", "fedora", "+deb",
        ];
        let distribution = maintained
            .iter()
            .any(|name| product.said.to_ascii_lowercase().contains(name));
        let severity = if distribution {
            Severity::Low
        } else {
            END_OF_LIFE.severity
        };
        let perhaps = if distribution {
            " Its distribution may still maintain it."
        } else {
            ""
        };
        let detail = format!(
            "{} {} (`{}`): the branch {} ended on {} ({}).{perhaps}",
            product.name, product.version, product.said, row.branch, row.ended, row.source
        );
        verdict.add_as(severity, &END_OF_LIFE, detail);
    }
    verdict
}

/// Whether a version is of a branch: `1.18.0` of `1.18`, `1.1.1k` of `1.1.1`, `7.9p1` of `7`, but not `1.18` of `1.1`.
fn is_of(branch: &str, version: &str) -> bool {
    let rest = version.strip_prefix(branch);
    rest.is_some_and(|rest| !rest.starts_with(|next: char| next.is_ascii_digit()))
}

/// Names as servers write them, and as the table does.
const NAMES: [(&str, &str); 10] = [
    ("Apache", "Apache httpd"),
    ("nginx", "nginx"),
    ("PHP", "PHP"),
    ("OpenSSL", "OpenSSL"),
    ("Microsoft-IIS", "Microsoft IIS"),
    ("Python", "Python"),
    ("CPython", "Python"),
    ("MariaDB", "MariaDB"),
    ("MySQL", "MySQL"),
    ("PostgreSQL", "PostgreSQL"),
];

/// Products in a text of words like `nginx/1.18.0`.
pub(crate) fn in_words(said: &str) -> Vec<Product> {
    let products = said.split([' ', ',', ';', '(', ')']).filter_map(|word| {
        let (name, version) = word.split_once('/')?;
        let (_, known) = NAMES.iter().find(|(written, _)| written.eq_ignore_ascii_case(name))?;
        product(known, version, said)
    });
    products.collect()
}

fn product(name: &'static str, version: &str, said: &str) -> Option<Product> {
    let version: String = version
        .chars()
        .take_while(|it| it.is_ascii_alphanumeric() || *it == '.')
        .take(20)
        .collect();
    let product = Product {
        name,
        version,
        said: evidence(said.as_bytes()),
    };
    product
        .version
        .starts_with(|first: char| first.is_ascii_digit())
        .then_some(product)
}

/// OpenSSH in an identification: `SSH-2.0-OpenSSH_9.2p1 Debian-2`.
fn in_identification(said: &str) -> Option<Product> {
    let software = said.splitn(3, '-').nth(2)?;
    product("OpenSSH", software.strip_prefix("OpenSSH_")?, said)
}

/// MySQL or MariaDB in the first packet of a server: protocol 10, then its version up to a zero.
fn in_database_greeting(greeting: &[u8]) -> Option<Product> {
    let text = greeting.get(4..)?.strip_prefix(&[10])?;
    let version = text.split(|byte| *byte == 0).next()?;
    let said = evidence(version);
    // MariaDB from 10 on puts this before its own version for old clients' sake
    let own = said.strip_prefix("5.5.5-").unwrap_or(&said);
    let name = if said.contains("MariaDB") { "MariaDB" } else { "MySQL" };
    product(name, own, &said)
}

/// Redis in its answer to `INFO server`.
fn in_redis_info(heard: &[u8]) -> Option<Product> {
    let text = String::from_utf8_lossy(heard);
    let line = text.lines().find(|line| line.starts_with("redis_version:"))?;
    product("Redis", line.strip_prefix("redis_version:")?, line)
}

/// What was heard on a port.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Heard<'a> {
    pub(crate) greeting: &'a [u8],
    pub(crate) http: Option<&'a http::Facts>,
    pub(crate) redis: &'a [u8],
}

/// Products of a port, each once.
pub(crate) fn products(heard: Heard<'_>) -> Vec<Product> {
    let first_line = heard.greeting.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let greeting = evidence(first_line);
    let mut all = in_words(&greeting);
    all.extend(in_identification(&greeting));
    all.extend(in_database_greeting(heard.greeting));
    all.extend(in_redis_info(heard.redis));
    for name in ["server", "x-powered-by"] {
        let values = heard.http.into_iter().flat_map(|facts| &facts.headers);
        for (_, value) in values.filter(|(known, _)| known == name) {
            all.extend(in_words(value));
        }
    }
    all.sort_by(|one, other| one.name.cmp(other.name).then_with(|| one.version.cmp(&other.version)));
    all.dedup_by(|one, other| one.name == other.name && one.version == other.version);
    all
}

/// Asks a Redis that answers anybody what it is.
pub(crate) async fn ask_redis(visit: &Visit<'_>) -> Result<Look<Vec<u8>>, Trouble> {
    let mut heard = Vec::new();
    let asked = async {
        let mut line = visit.call().await?;
        line.say(b"INFO server\r\n").await?;
        line.hear_until(&mut heard, 8192, |heard| {
            let at = heard.windows(14).position(|it| it == b"redis_version:")?;
            heard.get(at..)?.contains(&b'\n').then_some(())
        })
        .await
    };
    match asked.await {
        Ok(()) => Ok(Look::Seen(heard)),
        Err(trouble) => visit.unknown(trouble),
    }
}

#[cfg(test)]
mod tests {
    use std::cmp::Ordering;

    use proptest::prelude::*;

    use super::*;

    /// 2026-06-01.
    const NOW: Moment = Moment(1_780_272_000);

    /// 10.2 comes before 10.11.
    fn by_number(one: &str, other: &str) -> Ordering {
        let numbers = |branch: &str| -> Vec<u32> { branch.split('.').map(|it| it.parse().unwrap()).collect() };
        numbers(one).cmp(&numbers(other))
    }

    #[test]
    fn every_line_of_the_table_is_read_and_in_order() {
        let written = TABLE.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        let rows: Vec<_> = table().collect();
        assert_eq!(written.count(), rows.len());
        for row in &rows {
            assert!(!row.source.is_empty() && !row.product.is_empty(), "{row:?}");
            assert!(row.branch.split('.').all(|part| part.parse::<u32>().is_ok()), "{row:?}");
            let date: Vec<u32> = row.ended.split('-').map(|part| part.parse().unwrap()).collect();
            assert!(row.ended.len() == 10 && (2000..2100).contains(&date[0]), "{row:?}");
            assert!((1..=12).contains(&date[1]) && (1..=31).contains(&date[2]), "{row:?}");
            let written_somehow = NAMES.iter().any(|(_, known)| *known == row.product);
            assert!(
                written_somehow || ["OpenSSH", "Redis"].contains(&row.product),
                "{row:?}"
            );
        }
        for pair in rows.windows(2) {
            let products = pair[0].product.to_lowercase().cmp(&pair[1].product.to_lowercase());
            let order = products.then_with(|| by_number(pair[0].branch, pair[1].branch));
            assert_eq!(order, Ordering::Less, "{pair:?}");
        }
    }

    #[test]
    fn lines_that_are_none() {
        for line in ["", "# a | b | c | d", "a | b | c", "a | b | c | d | e"] {
            assert_eq!(row(line), None, "{line}");
        }
    }

    #[test]
    fn versions_are_of_branches() {
        for (branch, version) in [
            ("1.18", "1.18.0"),
            ("1.1.1", "1.1.1k"),
            ("7", "7.9p1"),
            ("10", "10"),
            ("2.2", "2.2.34"),
        ] {
            assert!(is_of(branch, version), "{branch} {version}");
        }
        for (branch, version) in [("1.1", "1.18.0"), ("9", "90.1"), ("1", "10.0"), ("8.0", "8")] {
            assert!(!is_of(branch, version), "{branch} {version}");
        }
    }

    fn found(heard: Heard<'_>) -> Vec<(String, Severity)> {
        let verdict = judge(&products(heard), NOW);
        verdict
            .issues
            .into_iter()
            .map(|issue| (issue.detail, issue.severity))
            .collect()
    }

    fn server(value: &str) -> http::Facts {
        http::Facts {
            headers: vec![("server".to_owned(), value.to_owned())],
            ..http::Facts::default()
        }
    }

    #[test]
    fn headers_say_what_ended_and_when() {
        let facts = server("Apache/2.2.15 OpenSSL/1.0.1e-fips PHP/5.3.3");
        let ended = found(Heard {
            http: Some(&facts),
            ..Heard::default()
        });
        assert_eq!(ended.len(), 1);
        assert!(
            ended[0].0.contains("OpenSSL 1.0.1e") && ended[0].0.contains("PHP 5.3.3"),
            "{ended:?}"
        );
        assert!(
            ended[0].0.contains("Apache httpd 2.2.15") && ended[0].0.contains("ended on 2017-07-11 (httpd.apache.org"),
            "{ended:?}"
        );
        assert_eq!(ended[0].1, Severity::Medium);
        let facts = server("nginx/1.18.0 (Ubuntu)");
        let ended = found(Heard {
            http: Some(&facts),
            ..Heard::default()
        });
        assert!(
            ended[0].1 == Severity::Low && ended[0].0.contains("distribution"),
            "{ended:?}"
        );
        for current in [
            "nginx/1.28.0",
            "nginx",
            "Apache/2.4.66",
            "PHP/8.2.1",
            "Caddy",
            "nginx/x",
            "Apache/",
        ] {
            let facts = server(current);
            assert!(
                found(Heard {
                    http: Some(&facts),
                    ..Heard::default()
                })
                .is_empty(),
                "{current}"
            );
        }
    }

    #[test]
    fn greetings_say_it_too() {
        let ssh = |text: &'static str| {
            found(Heard {
                greeting: text.as_bytes(),
                ..Heard::default()
            })
        };
        assert!(
            ssh("SSH-2.0-OpenSSH_7.4\r\n")[0]
                .0
                .contains("branch 7 ended on 2019-04-17")
        );
        assert_eq!(ssh("SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u10\r\n")[0].1, Severity::Low);
        assert!(ssh("SSH-2.0-OpenSSH_10.0\r\n").is_empty() && ssh("SSH-2.0-dropbear_2022.83\r\n").is_empty());
        let maria = b"\x5b\0\0\0\x0a5.5.5-10.3.39-MariaDB-0+deb10u2\0\x01\x02\x03";
        let ended = found(Heard {
            greeting: maria,
            ..Heard::default()
        });
        assert!(
            ended[0].0.starts_with("MariaDB 10.3.39") && ended[0].1 == Severity::Low,
            "{ended:?}"
        );
        let mysql = b"\x4a\0\0\0\x0a5.7.44-log\0\x01";
        assert!(
            found(Heard {
                greeting: mysql,
                ..Heard::default()
            })[0]
                .0
                .starts_with("MySQL 5.7.44")
        );
        let redis = b"$100\r\n# Server\r\nredis_version:6.0.16\r\n";
        assert!(
            found(Heard {
                redis,
                ..Heard::default()
            })[0]
                .0
                .contains("Redis 6.0.16")
        );
    }

    #[test]
    fn the_last_day_still_counts_as_maintained() {
        let products = [Product {
            name: "MySQL",
            version: "8.0.1".to_owned(),
            said: String::new(),
        }];
        let last_day = Moment(1_777_500_000);
        assert_eq!(last_day.date(), "2026-04-29");
        assert!(judge(&products, last_day).issues.is_empty());
        assert!(judge(&products, Moment(last_day.0 + 86_400)).issues.is_empty());
        assert_eq!(judge(&products, Moment(last_day.0 + 2 * 86_400)).issues.len(), 1);
    }

    proptest! {
        #[test]
        fn nothing_a_server_says_makes_it_stumble(greeting in prop::collection::vec(any::<u8>(), 0..200), server in ".{0,80}") {
            let facts = http::Facts { headers: vec![("server".to_owned(), server)], ..http::Facts::default() };
            let all = products(Heard { greeting: &greeting, http: Some(&facts), redis: &greeting });
            prop_assert!(all.iter().all(|product| product.version.len() <= 20 && product.said.chars().count() <= 201));
        }
    }
}
