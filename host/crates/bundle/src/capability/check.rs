//! Whether what a document asks for is well formed, with the key at fault in the message. Says nothing about
//! whether it is granted.

use super::peer::{self, Peer, PortRange};
use super::{BudgetLimits, HttpHost, NetProtocol, Request, pattern};

/// A capability or budget that makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{key}`: {problem}")]
pub struct InvalidRequest {
    /// Path of the key, for example `capabilities.net[0].ports[1]`.
    pub key: String,
    /// What is wrong and what to write.
    pub problem: String,
}

type Checked = Result<(), InvalidRequest>;

impl InvalidRequest {
    pub(super) fn new(key: impl Into<String>, problem: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            problem: problem.into(),
        }
    }
}

impl Request {
    /// Checks every entry; `at` is the path of the request in its document.
    pub fn check(&self, at: &str) -> Checked {
        for (index, fs) in self.fs.iter().enumerate() {
            if fs.guest != "*" {
                check_guest_path(&fs.guest, &format!("{at}.fs[{index}].guest"))?;
            }
        }
        for (index, net) in self.net.iter().enumerate() {
            check_net(&net.to, &net.ports, &net.protocols, &format!("{at}.net[{index}]"))?;
        }
        each(&self.commands, &format!("{at}.commands"), check_name_pattern)?;
        each(&self.dns, &format!("{at}.dns"), check_dns)?;
        each(&self.http, &format!("{at}.http"), check_http)?;
        each(&self.env, &format!("{at}.env"), check_name_pattern)?;
        each(&self.config, &format!("{at}.config"), check_name_pattern)?;
        each(&self.secrets, &format!("{at}.secrets"), check_name_pattern)?;
        each(&self.hive, &format!("{at}.hive"), check_hive)
    }
}

impl BudgetLimits {
    /// Refuses budgets that no call could live with. (Zero connections, commands, submissions, random bytes or
    /// log lines are fine.)
    pub fn check(&self, at: &str) -> Checked {
        let needed = [
            "wall",
            "cpu",
            "memory",
            "table_elements",
            "instances",
            "handles",
            "host_call_bytes",
            "output_bytes",
            "concurrency",
        ];
        match self
            .entries()
            .into_iter()
            .find(|(name, limit)| *limit == Some(0) && needed.contains(name))
        {
            Some((name, _)) => Err(InvalidRequest::new(
                format!("{at}.{name}"),
                "is 0, with which no call could run",
            )),
            None => Ok(()),
        }
    }
}

/// Runs `check` on every text of a list, with its key.
pub(super) fn each(texts: &[String], at: &str, check: impl Fn(&str, &str) -> Checked) -> Checked {
    texts
        .iter()
        .enumerate()
        .try_for_each(|(index, text)| check(text, &format!("{at}[{index}]")))
}

pub(super) fn check_guest_path(path: &str, key: &str) -> Checked {
    let normal = |part: &str| !part.is_empty() && part != "." && part != ".." && !part.chars().any(char::is_control);
    let parts = path
        .strip_prefix('/')
        .map(|rest| rest.is_empty() || rest.split('/').all(normal));
    match parts {
        Some(true) => Ok(()),
        Some(false) => Err(InvalidRequest::new(
            key,
            format!("`{path}` has empty, `.` or `..` parts: write the plain path, like /work"),
        )),
        None => Err(InvalidRequest::new(
            key,
            format!("`{path}` is not absolute: write the path the skill sees, like /work"),
        )),
    }
}

pub(super) fn check_net(to: &str, ports: &[String], protocols: &[NetProtocol], at: &str) -> Checked {
    if Peer::parse(to).is_none() {
        let problem = format!(
            "`{to}` is no peer: write a CIDR, an address (IPv4 not as IPv6), a host name in lower case, *.name or *"
        );
        return Err(InvalidRequest::new(format!("{at}.to"), problem));
    }
    if ports.is_empty() {
        return Err(InvalidRequest::new(
            format!("{at}.ports"),
            "is empty: write for example [\"22\"] or [\"*\"]",
        ));
    }
    if protocols.is_empty() {
        return Err(InvalidRequest::new(
            format!("{at}.protocols"),
            "is empty: write [\"tcp\"], [\"udp\"] or both",
        ));
    }
    each(ports, &format!("{at}.ports"), |text, key| {
        let problem = || format!("`{text}` is no port: write 1 to 65535, a range like 8000-9000, or *");
        PortRange::parse(text)
            .map(drop)
            .ok_or_else(|| InvalidRequest::new(key, problem()))
    })
}

pub(super) fn check_dns(text: &str, key: &str) -> Checked {
    let good = text == "*" || peer::is_host_pattern(text);
    let problem = || format!("`{text}` is no name to look up: write a host name in lower case, *.name or *");
    if good {
        Ok(())
    } else {
        Err(InvalidRequest::new(key, problem()))
    }
}

pub(super) fn check_http(text: &str, key: &str) -> Checked {
    let problem = || {
        format!(
            "`{text}` is no HTTP host: write a host name in lower case, *.name or an address, with :port where it is not 443 or 80"
        )
    };
    HttpHost::parse(text)
        .map(drop)
        .ok_or_else(|| InvalidRequest::new(key, problem()))
}

pub(super) fn check_hive(text: &str, key: &str) -> Checked {
    let good = pattern::is_well_formed(text) && (text == "*" || text.contains('.'));
    let problem = || format!("`{text}` names no tasks: write Skill.method, Skill.* or *");
    if good {
        Ok(())
    } else {
        Err(InvalidRequest::new(key, problem()))
    }
}

fn check_name_pattern(text: &str, key: &str) -> Checked {
    let good = pattern::is_well_formed(text) && !text.contains(['/', '=']);
    let problem = || format!("`{text}` is no name or pattern: one `*` may stand at either end, no spaces, `/` or `=`");
    if good {
        Ok(())
    } else {
        Err(InvalidRequest::new(key, problem()))
    }
}

#[cfg(test)]
mod tests {
    use super::super::FsRequest;
    use super::*;

    fn fault(text: &str) -> String {
        let request: Request = toml::from_str(text).unwrap();
        request
            .check("asked")
            .map_or_else(|error| error.key, |()| "none".to_owned())
    }

    #[test]
    fn everything_is_well_formed_and_so_is_nothing() {
        Request::anything().check("x").unwrap();
        Request::default().check("x").unwrap();
        BudgetLimits::default().check("x").unwrap();
    }

    #[test]
    fn the_key_at_fault_is_named() {
        for (text, key) in [
            ("fs=[{guest='/work'},{guest='work'}]", "asked.fs[1].guest"),
            ("fs=[{guest='/work/../etc'}]", "asked.fs[0].guest"),
            ("fs=[{guest='/work/'}]", "asked.fs[0].guest"),
            ("commands=['ls','/bin/ls']", "asked.commands[1]"),
            ("commands=['l*s']", "asked.commands[0]"),
            ("net=[{to='Example.com',ports=['1']}]", "asked.net[0].to"),
            ("net=[{to='*',ports=[]}]", "asked.net[0].ports"),
            ("net=[{to='*',ports=['22','0']}]", "asked.net[0].ports[1]"),
            ("net=[{to='*',ports=['22'],protocols=[]}]", "asked.net[0].protocols"),
            ("dns=['api.*']", "asked.dns[0]"),
            ("http=['https://a.com']", "asked.http[0]"),
            ("env=['A=B']", "asked.env[0]"),
            ("config=['']", "asked.config[0]"),
            ("secrets=['a b']", "asked.secrets[0]"),
            ("hive=['EchoSkill']", "asked.hive[0]"),
            ("hive=['EchoSkill.*']", "none"),
        ] {
            assert_eq!(fault(text), key, "{text}");
        }
        let root = Request {
            fs: vec![FsRequest {
                guest: "/".to_owned(),
                access: Default::default(),
            }],
            ..Default::default()
        };
        root.check("x").unwrap();
    }

    #[test]
    fn a_budget_of_zero_is_refused_where_no_call_could_run() {
        let limits: BudgetLimits =
            toml::from_str("connections=0\ncommands=0\nlog_lines=0\nrandom_bytes=0\nsubmissions=0").unwrap();
        limits.check("x").unwrap();
        for name in [
            "wall",
            "cpu",
            "memory",
            "table_elements",
            "instances",
            "handles",
            "host_call_bytes",
            "output_bytes",
            "concurrency",
        ] {
            let limits: BudgetLimits = toml::from_str(&format!("{name}=0")).unwrap();
            assert_eq!(limits.check("x").unwrap_err().key, format!("x.{name}"));
        }
    }
}
