//! The HTTP rules of one skill: pure, made once when the skill is loaded. It sends nothing.

use std::net::{IpAddr, SocketAddr};

use http::Method;
use ipnet::IpNet;
use venom_bundle::capability::{Grants, HttpGrant};

use super::client::HttpClient;
use super::host::{HostPattern, Target};
use super::secret::Secrets;
use crate::capability::net::{Special, embedded, is_public, specials};
use crate::capability::refusal::policy_key;
use crate::capability::{GrantError, Refusal};

/// What a skill may request, and the secrets it may have injected.
#[derive(Debug)]
pub struct HttpPolicy {
    pub(super) skill: String,
    pub(super) client: HttpClient,
    pub(super) secrets: Secrets,
    rules: Vec<Rule>,
    denied: Vec<SocketAddr>,
}

/// One grant.
#[derive(Debug)]
pub(super) struct Rule {
    host: HostPattern,
    /// Empty: any.
    methods: Vec<String>,
    plain: bool,
    addresses: Vec<IpNet>,
}

impl HttpPolicy {
    /// Reads the http grants and the secrets of `skill`. `denied` are the nexus's addresses (port 0: every
    /// port); `environment` answers for the variables that hold secrets.
    ///
    /// # Errors
    /// One for each grant that makes no sense or whose secret is not there.
    pub fn new(
        skill: &str,
        grants: &Grants,
        denied: &[SocketAddr],
        client: HttpClient,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, Vec<GrantError>> {
        let mut errors = Vec::new();
        let mut rules = Vec::new();
        for grant in &grants.http {
            match Rule::read(grant) {
                Ok(rule) => rules.push(rule),
                Err(problem) => errors.push(GrantError::new("http", &grant.host, problem)),
            }
        }
        let secrets = Secrets::read(&grants.secrets, environment, &mut errors);
        if !errors.is_empty() {
            return Err(errors);
        }
        Ok(Self {
            skill: skill.to_owned(),
            client,
            secrets,
            rules,
            denied: denied
                .iter()
                .map(|one| SocketAddr::new(one.ip().to_canonical(), one.port()))
                .collect(),
        })
    }

    /// The grants that allow a request, before anything is resolved.
    pub(super) fn admit(&self, method: &Method, target: &Target) -> Result<Vec<usize>, Refusal> {
        if *method == Method::CONNECT || *method == Method::TRACE {
            let reason = format!("no skill may use the method {method}");
            return Err(self.refusal(target, reason, String::new()));
        }
        let here = |(_, rule): &(usize, &Rule)| rule.host.matches(target);
        let hosts: Vec<(usize, &Rule)> = self.rules.iter().enumerate().filter(here).collect();
        let schemes: Vec<&(usize, &Rule)> = hosts.iter().filter(|(_, rule)| target.tls || rule.plain).collect();
        let fitting = schemes
            .iter()
            .filter(|(_, rule)| rule.has_method(method))
            .map(|(index, _)| *index);
        let fitting: Vec<usize> = fitting.collect();
        if !fitting.is_empty() {
            return Ok(fitting);
        }
        let (reason, key) = if hosts.is_empty() {
            ("the host is not granted".to_owned(), String::new())
        } else if schemes.is_empty() {
            ("the host is granted over https only".to_owned(), String::new())
        } else {
            let key = format!("\nmethods = [\"{method}\"]");
            (format!("the method {method} is not granted for this host"), key)
        };
        let plain = if target.tls { "" } else { "\nplain = true" };
        Err(self.refusal(target, reason, self.proposal(target) + plain + &key))
    }

    /// Those of the resolved addresses that may be dialled under these grants.
    pub(super) fn approve(
        &self,
        fitting: &[usize],
        target: &Target,
        found: &[IpAddr],
    ) -> Result<Vec<SocketAddr>, Refusal> {
        let mut approved = Vec::new();
        let mut refused = None;
        for ip in found {
            let peer = SocketAddr::new(ip.to_canonical(), target.port);
            match self.check(fitting, peer) {
                Ok(()) => approved.push(peer),
                Err(what) => refused = Some((peer.ip(), what)),
            }
        }
        match refused {
            Some((ip, what)) if approved.is_empty() => {
                let reason = format!("it resolves to {ip}, and {what} are reached only when `addresses` names them");
                let grant = self.proposal(target) + &format!("\naddresses = [\"{}\"]", IpNet::from(ip));
                Err(self.refusal(target, reason, grant))
            }
            _ => Ok(approved),
        }
    }

    /// The error says what the address is, in the plural.
    fn check(&self, fitting: &[usize], peer: SocketAddr) -> Result<(), &'static str> {
        let rules = fitting.iter().filter_map(|index| self.rules.get(*index));
        let ranges: Vec<&IpNet> = rules.flat_map(|rule| &rule.addresses).collect();
        let mut special = specials(peer.ip());
        if self.denied.iter().any(|denied| is_it(*denied, peer)) {
            special.push(Special {
                range: IpNet::from(peer.ip()),
                what: "the nexus's addresses",
            });
        }
        for special in &special {
            // as with sockets: a wide range does not mean this machine
            let named = |range: &&IpNet| range.contains(&peer.ip()) && special.range.contains(*range);
            if !ranges.iter().any(named) {
                return Err(special.what);
            }
        }
        let public = special.is_empty() && is_public(peer.ip());
        if public || ranges.iter().any(|range| range.contains(&peer.ip())) {
            return Ok(());
        }
        Err("private addresses")
    }

    pub(super) fn refusal(&self, target: &Target, reason: String, missing_grant: String) -> Refusal {
        let scheme = if target.tls { "https" } else { "http" };
        Refusal {
            capability: "http",
            target: format!("{scheme}://{}", target.authority()),
            reason,
            missing_grant,
        }
    }

    fn proposal(&self, target: &Target) -> String {
        format!(
            "[[skills.{}.http]]\nhost = \"{}\"",
            policy_key(&self.skill),
            target.authority()
        )
    }
}

fn is_it(denied: SocketAddr, peer: SocketAddr) -> bool {
    let carried = embedded(peer.ip());
    let same = denied.ip() == peer.ip() || carried.into_iter().any(|inner| IpAddr::V4(inner) == denied.ip());
    same && (denied.port() == 0 || denied.port() == peer.port())
}

impl Rule {
    fn read(grant: &HttpGrant) -> Result<Self, String> {
        let range = |text: &String| {
            let address = text.trim().parse::<IpAddr>().map(|ip| IpNet::from(ip.to_canonical()));
            let range = address.or_else(|_| text.trim().parse::<IpNet>().map(|range| range.trunc()));
            range.map_err(|_| format!("`addresses` holds {text:?}, which is no address and no CIDR"))
        };
        let methods = grant.methods.iter().map(|method| method.to_ascii_uppercase());
        Ok(Self {
            host: HostPattern::parse(&grant.host)?,
            methods: methods.collect(),
            plain: grant.plain,
            addresses: grant.addresses.iter().map(range).collect::<Result<_, _>>()?,
        })
    }

    fn has_method(&self, method: &Method) -> bool {
        self.methods.is_empty() || self.methods.iter().any(|granted| granted == method.as_str())
    }
}
