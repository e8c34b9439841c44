//! Module `http`: what one `GET /` shows. Plain HTTP is spoken over a socket; HTTPS by the host, whoever signed for the server.
//! Values of cookies are never repeated.

use std::net::SocketAddr;
use std::time::Duration;

use venom_sdk::{Error, Result as SkillResult, lan};

use crate::check::{Check, Look, Severity, Verdict, evidence};
use crate::line::Trouble;
use crate::visit::Visit;

use Severity::{High, Info, Low, Medium};

const fn check(id: &'static str, severity: Severity, title: &'static str, remediation: &'static str) -> Check {
    Check {
        id,
        severity,
        title,
        remediation,
    }
}

static PLAIN: Check = check(
    "http.plain",
    Medium,
    "Pages are served without encryption",
    "Serve the site by HTTPS, and answer plain HTTP with a redirect to it (301 or 308).",
);
static PLAIN_AUTH: Check = check(
    "http.plain-auth",
    High,
    "Passwords are asked for without encryption",
    "Ask for passwords by HTTPS only; redirect plain HTTP before asking.",
);
static NO_HSTS: Check = check(
    "http.no-hsts",
    Low,
    "HTTPS is not made binding (HSTS)",
    "Send `Strict-Transport-Security: max-age=31536000` with every answer by HTTPS.",
);
static NO_CSP: Check = check(
    "http.no-csp",
    Low,
    "There is no Content-Security-Policy",
    "Send a `Content-Security-Policy`; `default-src 'self'` is a start. It keeps foreign scripts out of the pages.",
);
static NO_NOSNIFF: Check = check(
    "http.no-content-type-options",
    Low,
    "Browsers may guess content types",
    "Send `X-Content-Type-Options: nosniff`.",
);
static NO_FRAME: Check = check(
    "http.no-frame-options",
    Low,
    "Pages may be framed by any other site",
    "Send `Content-Security-Policy: frame-ancestors 'self'`, or `X-Frame-Options: SAMEORIGIN` for old browsers.",
);
static NO_REFERRER: Check = check(
    "http.no-referrer-policy",
    Info,
    "Addresses of pages go to other sites",
    "Send `Referrer-Policy: strict-origin-when-cross-origin` or stricter.",
);
static COOKIE_SECURE: Check = check(
    "http.cookie-not-secure",
    Medium,
    "Cookies may travel without encryption",
    "Set the cookie's attribute `Secure`.",
);
static COOKIE_SCRIPT: Check = check(
    "http.cookie-not-httponly",
    Low,
    "Scripts can read cookies",
    "Set the cookie's attribute `HttpOnly`, unless a script of the page needs it.",
);
static COOKIE_SITE: Check = check(
    "http.cookie-no-samesite",
    Low,
    "Cookies are sent along from other sites",
    "Set the cookie's attribute `SameSite=Lax` or `Strict`.",
);
static VERSION: Check = check(
    "http.version-disclosed",
    Info,
    "The server tells its version",
    "Shorten the header (nginx: `server_tokens off`; Apache: `ServerTokens Prod`; PHP: `expose_php = Off`).",
);
static LISTING: Check = check(
    "http.directory-listing",
    Medium,
    "The directory is listed",
    "Switch listings off (nginx: `autoindex off`; Apache: `Options -Indexes`), or put an index page there.",
);

/// In the order in which they are reported.
pub(crate) static CHECKS: [&Check; 12] = [
    &PLAIN,
    &PLAIN_AUTH,
    &NO_HSTS,
    &NO_CSP,
    &NO_NOSNIFF,
    &NO_FRAME,
    &NO_REFERRER,
    &COOKIE_SECURE,
    &COOKIE_SCRIPT,
    &COOKIE_SITE,
    &VERSION,
    &LISTING,
];

/// One answer to `GET /`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    /// Whether it came by HTTPS.
    pub(crate) secure: bool,
    /// Whether it was asked for by a name.
    pub(crate) named: bool,
    pub(crate) status: u16,
    /// In order, names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    /// Its beginning.
    pub(crate) body: String,
}

impl Facts {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    fn all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        let found = self.headers.iter().filter(move |(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    fn is_page(&self) -> bool {
        let kind = self.header("content-type").unwrap_or("text/html");
        let is_empty = matches!(self.status, 204 | 205);
        self.is_success() && !is_empty && kind.to_ascii_lowercase().contains("html")
    }

    fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    fn leads_to_https(&self) -> bool {
        let location = self.header("location").unwrap_or_default();
        (300..400).contains(&self.status) && location.to_ascii_lowercase().starts_with("https://")
    }
}

pub(crate) fn judge(facts: &Facts) -> Verdict {
    let mut verdict = Verdict::default();
    judge_encryption(facts, &mut verdict);
    judge_headers(facts, &mut verdict);
    judge_cookies(facts, &mut verdict);
    let telling: Vec<String> = ["server", "x-powered-by", "x-aspnet-version", "x-aspnetmvc-version"]
        .into_iter()
        .flat_map(|name| facts.all(name).map(move |value| (name, value)))
        .filter(|(_, value)| tells_version(value))
        .map(|(name, value)| format!("`{name}: {}`", evidence(value.as_bytes())))
        .collect();
    verdict.add_if(!telling.is_empty(), &VERSION, || format!("{}.", telling.join(", ")));
    verdict.add_if(facts.is_success() && is_listing(&facts.body), &LISTING, || {
        "The page at `/` is a list of files.".to_owned()
    });
    verdict
}

fn judge_encryption(facts: &Facts, verdict: &mut Verdict) {
    if facts.secure {
        if !facts.named {
            // no browser keeps it for an address (RFC 6797), so an address need not say it
            verdict.open.push(&NO_HSTS);
            return;
        }
        let max_age = facts.header("strict-transport-security").and_then(max_age);
        verdict.add_if(max_age.unwrap_or(0) == 0, &NO_HSTS, || match max_age {
            Some(_) => "Its `max-age` is 0, which switches it off.".to_owned(),
            None => "There is no usable `Strict-Transport-Security`.".to_owned(),
        });
        return;
    }
    let asks = facts.status == 401 && facts.header("www-authenticate").is_some();
    verdict.add_if(asks, &PLAIN_AUTH, || {
        let scheme = facts.header("www-authenticate").unwrap_or_default();
        let scheme = scheme.split([' ', ',']).next().unwrap_or_default();
        format!(
            "`GET /` is answered with 401 and `WWW-Authenticate: {}`.",
            evidence(scheme.as_bytes())
        )
    });
    verdict.add_if(!facts.leads_to_https(), &PLAIN, || {
        format!(
            "`GET /` is answered with {} instead of a redirect to https.",
            facts.status
        )
    });
}

fn max_age(value: &str) -> Option<u64> {
    let directives = value.split(';').filter_map(|directive| directive.split_once('='));
    let mut ages = directives.filter(|(name, _)| name.trim().eq_ignore_ascii_case("max-age"));
    ages.next()
        .and_then(|(_, age)| age.trim().trim_matches('"').parse().ok())
}

fn judge_headers(facts: &Facts, verdict: &mut Verdict) {
    let policies: Vec<&str> = facts.all("content-security-policy").collect();
    let frames = policies
        .iter()
        .any(|policy| policy.to_ascii_lowercase().contains("frame-ancestors"));
    let options = facts
        .header("x-frame-options")
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    let framed = frames || matches!(options.as_str(), "deny" | "sameorigin");
    let answer = || format!("In the answer {} to `GET /`.", facts.status);
    let nosniff = facts
        .header("x-content-type-options")
        .is_some_and(|value| value.trim().eq_ignore_ascii_case("nosniff"));
    verdict.add_if(facts.is_page() && policies.is_empty(), &NO_CSP, answer);
    verdict.add_if(facts.is_success() && !nosniff, &NO_NOSNIFF, answer);
    verdict.add_if(facts.is_page() && !framed, &NO_FRAME, answer);
    verdict.add_if(
        facts.is_page() && facts.header("referrer-policy").is_none(),
        &NO_REFERRER,
        answer,
    );
}

fn judge_cookies(facts: &Facts, verdict: &mut Verdict) {
    let lacking = |attribute: &str| -> Vec<String> {
        let cookies = facts.all("set-cookie");
        let lacks = cookies.filter(|cookie| {
            let mut attributes = cookie.split(';').skip(1);
            !attributes.any(|it| {
                it.split('=')
                    .next()
                    .unwrap_or_default()
                    .trim()
                    .eq_ignore_ascii_case(attribute)
            })
        });
        let name = |cookie: &str| cookie.split(['=', ';']).next().unwrap_or_default().to_owned();
        lacks
            .map(|cookie| format!("`{}`", evidence(name(cookie).as_bytes())))
            .take(10)
            .collect()
    };
    // by plain HTTP the attribute would only keep the cookie away from its own site
    let kinds = [
        (&COOKIE_SECURE, "secure", facts.secure),
        (&COOKIE_SCRIPT, "httponly", true),
        (&COOKIE_SITE, "samesite", true),
    ];
    for (check, attribute, counts) in kinds {
        let names = lacking(attribute);
        verdict.add_if(counts && !names.is_empty(), check, || {
            format!("Cookies: {}.", names.join(", "))
        });
    }
}

/// A number after the name: `nginx/1.22.1`, `4.0.30319`.
fn tells_version(value: &str) -> bool {
    let mut parts = value.split(['/', ' ', '(']);
    parts.any(|part| part.starts_with(|first: char| first.is_ascii_digit()) && part.contains('.'))
}

fn is_listing(body: &str) -> bool {
    let body = body.to_ascii_lowercase();
    [
        "<title>index of /",
        "<h1>index of /",
        "<title>directory listing for",
        "[to parent directory]",
        "<title>directory: /",
    ]
    .iter()
    .any(|sign| body.contains(sign))
}

/// The part of `lan` that asks by HTTPS, as refusals call it.
const HTTPS: &str = "https";

/// Most bytes of a head, most headers of it, and how much of a body is looked at.
const MOST: usize = 64 * 1024;
const HEADERS: usize = 128;
const BODY: usize = 4096;

/// Asks `GET /` by plain HTTP.
pub(crate) async fn look(visit: &Visit<'_>) -> Result<Look<Facts>, Trouble> {
    let mut heard = Vec::new();
    match ask(visit, &mut heard).await {
        Ok(look) => Ok(look),
        Err(Trouble::Denied(place)) => Err(Trouble::Denied(place)),
        // the head may have come whole, and the body never ends or never comes
        Err(trouble) => match read(&heard, true) {
            Some(look) => Ok(look),
            None => visit.unknown(trouble),
        },
    }
}

async fn ask(visit: &Visit<'_>, heard: &mut Vec<u8>) -> Result<Look<Facts>, Trouble> {
    let host = match visit.hostname {
        Some(name) => format!("{name}:{}", visit.place.port()),
        None => visit.place.to_string(),
    };
    let request = format!(
        "GET / HTTP/1.1\r\nHost: {host}\r\nUser-Agent: venom-shield\r\nAccept: */*\r\nConnection: close\r\n\r\n"
    );
    let mut line = visit.call().await?;
    line.say(request.as_bytes()).await?;
    line.hear_until(heard, MOST, |heard| read(heard, false)).await
}

/// Reads an answer; none: there has to be more of it, or it `ended` before its head did.
pub(crate) fn read(heard: &[u8], ended: bool) -> Option<Look<Facts>> {
    let start = b"HTTP/1.";
    if !heard.starts_with(start.get(..heard.len().min(start.len())).unwrap_or_default()) {
        return Some(Look::Absent);
    }
    let mut headers = [httparse::EMPTY_HEADER; HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    let config = || {
        let mut config = httparse::ParserConfig::default();
        config.allow_spaces_after_header_name_in_responses(true);
        config.allow_obsolete_multiline_headers_in_responses(true);
        config.ignore_invalid_headers_in_responses(true);
        config
    };
    let head = match config().parse_response(&mut response, heard) {
        Ok(httparse::Status::Complete(head)) => head,
        Ok(httparse::Status::Partial) => return None,
        Err(error) => return Some(Look::Unknown(format!("its answer is no HTTP: {error}"))),
    };
    let body = heard.get(head..).unwrap_or_default();
    let text = |header: &httparse::Header<'_>| {
        let value = String::from_utf8_lossy(header.value).into_owned();
        (header.name.to_ascii_lowercase(), value)
    };
    let facts = Facts {
        secure: false,
        named: false,
        status: response.code.unwrap_or_default(),
        headers: response.headers.iter().map(text).collect(),
        body: String::from_utf8_lossy(body.get(..BODY).unwrap_or(body)).into_owned(),
    };
    let length = facts
        .header("content-length")
        .and_then(|length| length.trim().parse::<usize>().ok());
    let enough = ended || body.len() >= BODY.min(length.unwrap_or(BODY));
    enough.then_some(Look::Seen(facts))
}

/// Whether an answer that was cut off by its server is whole all the same: it says no length, so this is how it ends.
pub(crate) fn is_whole_when_hung_up(heard: &[u8]) -> bool {
    matches!(read(heard, true), Some(Look::Seen(facts)) if facts.header("content-length").is_none())
}

/// Ports of TLS where something else is known to be, and a request for a page would be noise in its log: mail, news, LDAP, name
/// servers, FTP, telnet, IRC, SIP and message brokers.
const NO_PAGES: [u16; 18] = [
    465, 563, 636, 853, 989, 990, 992, 993, 994, 995, 3269, 5061, 5223, 5269, 5349, 5671, 6697, 8883,
];

/// Asks `GET /` by HTTPS of whoever answers there: the host asks, and judges no certificate. What it cannot do, or may not, is
/// no error, but unknown.
pub(crate) fn look_securely(place: SocketAddr, hostname: Option<&str>, time: Duration) -> SkillResult<Look<Facts>> {
    if NO_PAGES.contains(&place.port()) {
        return Ok(Look::Unknown(
            "the port is known for something else than pages, so none was asked for".to_owned(),
        ));
    }
    let body = u32::try_from(BODY).unwrap_or(u32::MAX);
    match lan::get_https(place.ip(), place.port(), hostname.unwrap_or_default(), body, time) {
        Ok(page) => Ok(Look::Seen(Facts {
            secure: true,
            named: hostname.is_some(),
            status: page.status,
            headers: page
                .headers
                .into_iter()
                .map(|(name, value)| (name, String::from_utf8_lossy(&value).into_owned()))
                .collect(),
            body: String::from_utf8_lossy(&page.body).into_owned(),
        })),
        Err(error @ (Error::Cancelled | Error::Limit(_))) => Err(error),
        Err(Error::Denied(refusal)) if refusal.target != HTTPS => Err(Error::Denied(refusal)),
        Err(error) => Ok(Look::Unknown(format!(
            "HTTPS: {}",
            evidence(error.to_string().as_bytes())
        ))),
    }
}

#[cfg(test)]
#[path = "http_tests.rs"]
mod tests;
