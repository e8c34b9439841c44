//! One port: who is there, which modules look, and what comes of it. First contact says what may be asked at all.

use std::time::{Duration, Instant};

use crate::check::{Check, Look, Verdict};
use crate::line::Trouble;
use crate::report::Moment;
use crate::visit::Visit;
use crate::{dns, exposure, http, ssh, tls, versions};

/// Something that looks, in the order in which they are reported.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Deserialize, serde::Serialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum Module {
    /// Versions, cipher suites and certificates.
    Tls,
    /// Services that others should not be able to reach.
    Exposure,
    /// Headers, cookies and redirects.
    Http,
    /// Algorithms offered before a login.
    Ssh,
    /// Open recursion and disclosed versions.
    Dns,
    /// Software that gets no more fixes.
    Versions,
}

impl Module {
    pub(crate) const ALL: [Self; 6] = [
        Self::Tls,
        Self::Exposure,
        Self::Http,
        Self::Ssh,
        Self::Dns,
        Self::Versions,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Tls => "tls",
            Self::Exposure => "exposure",
            Self::Http => "http",
            Self::Ssh => "ssh",
            Self::Dns => "dns",
            Self::Versions => "versions",
        }
    }

    /// What it looks for on a port.
    pub(crate) fn checks(self, port: u16) -> Vec<&'static Check> {
        match self {
            Self::Tls => tls::CHECKS.iter().collect(),
            Self::Exposure => exposure::checks(port),
            Self::Http => http::CHECKS.to_vec(),
            Self::Ssh => ssh::CHECKS.to_vec(),
            Self::Dns if port == dns::PORT => dns::CHECKS.to_vec(),
            Self::Dns => Vec::new(),
            Self::Versions => versions::CHECKS.to_vec(),
        }
    }
}

/// Ports where the client speaks first, so that waiting for a greeting is waiting in vain.
const SILENT: [u16; 21] = [
    53, 80, 81, 443, 631, 2375, 3000, 4443, 5000, 6379, 8000, 8008, 8080, 8081, 8086, 8088, 8443, 8888, 9200, 9443,
    11211,
];
/// Ports where plain HTTP is likelier than TLS.
const PLAIN: [u16; 17] = [
    80, 81, 591, 631, 2375, 3000, 5000, 5984, 5985, 8000, 8008, 8080, 8081, 8086, 8088, 8888, 9200,
];
/// How long is waited for a greeting, at most, and its most bytes.
const GREETING: Duration = Duration::from_millis(1500);
const GREETING_BYTES: usize = 1024;

/// What was seen on a port.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) greeting: Vec<u8>,
    /// Whether it speaks TLS.
    pub(crate) speaks_tls: bool,
    pub(crate) tls: Look<tls::Facts>,
    pub(crate) exposure: Look<exposure::Facts>,
    pub(crate) http: Look<http::Facts>,
    pub(crate) ssh: Look<ssh::Facts>,
    pub(crate) dns: Look<dns::Facts>,
    pub(crate) redis: Vec<u8>,
    pub(crate) versions: Look<()>,
    /// Why a handshake of today came to nothing.
    pub(crate) trouble: Option<String>,
}

const NOT_KNOWN: &str = "nothing that is known here answered";
/// Said in plain HTTP by servers of HTTPS too, so that it tells nothing where the question for TLS came to nothing.
const BAD_REQUEST: u16 = 400;
const AMBIGUOUS: &str = "answered 400 by plain HTTP, as servers of HTTPS do, and came to no end by TLS";
const NO_VERSION: &str = "did not tell its version";

/// Looks at a port, except for what only the host can ask (see `run`).
pub(crate) async fn look(visit: &Visit<'_>, modules: &[Module]) -> Result<Seen, Trouble> {
    let asked = |module: Module| modules.contains(&module);
    let port = visit.place.port();
    if exposure::is_printer(port) {
        // it may be anything, but it would print whatever it is asked
        let exposure = if asked(Module::Exposure) {
            exposure::look(visit, &[]).await?
        } else {
            Look::NotAsked
        };
        return Ok(Seen {
            exposure,
            ..Seen::default()
        });
    }
    let mut seen = Seen::default();
    match greet(visit).await {
        Ok(greeting) => seen.greeting = greeting,
        Err(Trouble::Refused) => return Ok(seen.fill(None)),
        Err(trouble @ Trouble::Denied(_)) => return Err(trouble),
        Err(trouble) => return Ok(seen.fill(Some(&trouble.words()))),
    }
    if asked(Module::Exposure) || (asked(Module::Versions) && port == versions::REDIS) {
        seen.exposure = exposure::look(visit, &seen.greeting).await?;
    }
    let redis = seen
        .exposure
        .seen()
        .is_some_and(|facts| port == versions::REDIS && facts.heard.starts_with(b"+PONG"));
    if redis
        && asked(Module::Versions)
        && let Look::Seen(heard) = versions::ask_redis(visit).await?
    {
        seen.redis = heard;
    }
    if seen.greeting.starts_with(b"SSH-") && asked(Module::Ssh) {
        seen.ssh = ssh::look(visit).await?;
    }
    if port == dns::PORT && asked(Module::Dns) {
        seen.dns = dns::look(visit).await?;
    }
    let may_ask = seen.greeting.is_empty() && port != dns::PORT && !exposure::is_its_own(port);
    if may_ask && (asked(Module::Tls) || asked(Module::Http) || asked(Module::Versions)) {
        ask_web(visit, modules, &mut seen).await?;
    }
    Ok(seen.conclude(port))
}

/// What it says unasked. Nothing, if it waits for the client: that is no trouble.
async fn greet(visit: &Visit<'_>) -> Result<Vec<u8>, Trouble> {
    let mut heard = Vec::new();
    let mut line = visit.call().await?;
    if SILENT.contains(&visit.place.port()) {
        return Ok(heard);
    }
    line.hurry(Instant::now() + GREETING.min(visit.timeout));
    let is_whole = |heard: &[u8]| (heard.contains(&b'\n') || !heard.is_ascii()).then_some(());
    match line.hear_until(&mut heard, GREETING_BYTES, is_whole).await {
        Err(trouble @ Trouble::Broken(_)) => Err(trouble),
        Err(Trouble::Ended) if heard.is_empty() => Err(Trouble::Ended),
        _ => Ok(heard),
    }
}

/// Plain HTTP and TLS, the likelier first; the other only if that is not it.
async fn ask_web(visit: &Visit<'_>, modules: &[Module], seen: &mut Seen) -> Result<(), Trouble> {
    let plain_first = PLAIN.contains(&visit.place.port());
    if plain_first {
        seen.http = http::look(visit).await?;
    }
    // a server of HTTPS may well explain in plain HTTP that this is not how to speak to it
    if !seen.is_plain_web() {
        let first = tls::gather::first(visit).await?;
        seen.speaks_tls = first.seen().is_some();
        seen.tls = match first {
            Look::Seen(best) if modules.contains(&Module::Tls) => Look::Seen(tls::gather::look(visit, best).await?),
            Look::Seen(_) | Look::NotAsked => Look::NotAsked,
            Look::Absent => Look::Absent,
            Look::Unknown(why) => Look::Unknown(why),
        };
    }
    if seen.speaks_tls {
        seen.http = Look::NotAsked;
    } else if !plain_first {
        seen.http = http::look(visit).await?;
    }
    if matches!(seen.tls, Look::Unknown(_)) {
        if seen.is_plain_web() {
            seen.tls = Look::Absent;
        } else if seen.http.seen().is_some() {
            seen.http = Look::Unknown(AMBIGUOUS.to_owned());
        }
    }
    Ok(())
}

impl Seen {
    /// Whether what is there is known for something, so that it is nothing else.
    fn is_known(&self, port: u16) -> bool {
        let answered = self.exposure.seen().is_some_and(|facts| !facts.heard.is_empty());
        let web = self.speaks_tls || self.http.seen().is_some();
        let own = exposure::is_its_own(port) || self.dns.seen().is_some();
        web || own || answered || !self.greeting.is_empty()
    }

    /// Whether it speaks plain HTTP, so that it does not speak TLS.
    fn is_plain_web(&self) -> bool {
        self.http.seen().is_some_and(|facts| facts.status != BAD_REQUEST)
    }

    /// What no one looked for is absent where something else is there. What was looked for in vain stays unknown.
    fn conclude(mut self, port: u16) -> Self {
        if !self.is_known(port) {
            return self.fill(Some(NOT_KNOWN));
        }
        self.versions = Look::Seen(());
        self.fill(None)
    }

    /// Why nobody can say which versions it names: what would have named them did not come.
    fn unheard(&self, port: u16) -> Option<&str> {
        if !matches!(self.versions, Look::Seen(())) || !self.greeting.is_empty() {
            return None;
        }
        let silent = exposure::speaks_first(port) || (port == versions::REDIS && self.redis.is_empty());
        self.http.reason().or_else(|| silent.then_some(NO_VERSION))
    }

    /// Gives each module that has no answer yet this one: unknown because of `why`, absent without.
    fn fill(mut self, why: Option<&str>) -> Self {
        fill(&mut self.tls, why);
        fill(&mut self.exposure, why);
        // answers by HTTPS are the host's to ask for
        if !self.speaks_tls {
            fill(&mut self.http, why);
        }
        fill(&mut self.ssh, why);
        fill(&mut self.dns, why);
        fill(&mut self.versions, why);
        self
    }

    /// What a module that was asked makes of it; none: it did not look.
    pub(crate) fn judge(&self, module: Module, visit: &Visit<'_>, now: Moment) -> Option<Verdict> {
        let port = visit.place.port();
        let checks = module.checks(port);
        match module {
            Module::Tls => self.tls.judge(checks, |facts| tls::judge(facts, visit.hostname, now)),
            Module::Exposure => self.exposure.judge(checks, |facts| exposure::judge(port, facts)),
            Module::Http => self.http.judge(checks, http::judge),
            Module::Ssh => self.ssh.judge(checks, ssh::judge),
            Module::Dns => self.dns.judge(checks, |facts| dns::judge(facts, visit.place.ip())),
            Module::Versions if self.unheard(port).is_some() => Some(Verdict::all_open(checks)),
            Module::Versions => self.versions.judge(checks, |()| {
                let heard = versions::Heard {
                    greeting: &self.greeting,
                    http: self.http.seen(),
                    redis: &self.redis,
                };
                versions::judge(&versions::products(heard), now)
            }),
        }
    }

    /// Why modules could not tell, each reason once.
    pub(crate) fn reasons(&self, port: u16, modules: &[Module]) -> Vec<(Module, &str)> {
        let all = [
            (Module::Tls, self.tls.reason().or(self.trouble.as_deref())),
            (
                Module::Exposure,
                self.exposure.reason().or_else(|| self.exposure.seen()?.half.as_deref()),
            ),
            (Module::Http, self.http.reason()),
            (
                Module::Ssh,
                self.ssh
                    .reason()
                    .or_else(|| self.ssh.seen()?.offer.as_ref().err().map(String::as_str)),
            ),
            (Module::Dns, self.dns.reason()),
            (Module::Versions, self.versions.reason().or_else(|| self.unheard(port))),
        ];
        let mut reasons: Vec<(Module, &str)> = Vec::new();
        for (module, reason) in all {
            let Some(reason) = reason.filter(|_| modules.contains(&module)) else {
                continue;
            };
            if !reasons.iter().any(|(_, known)| *known == reason) {
                reasons.push((module, reason));
            }
        }
        reasons
    }
}

fn fill<F>(look: &mut Look<F>, why: Option<&str>) {
    if matches!(look, Look::NotAsked) {
        *look = why.map_or(Look::Absent, |why| Look::Unknown(why.to_owned()));
    }
}

#[cfg(test)]
#[path = "port_tests.rs"]
pub(crate) mod tests;
