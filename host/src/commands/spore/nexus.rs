//! Which nexus a spore works for when nobody named one: looks in the LAN, then on this machine, until one is there. Decides
//! who of those found may be shown the token: anybody in the LAN can announce a nexus, and a token shown to whoever does is
//! a token given away.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio::time::timeout;
use venom_mdns::{Found, Role};

use crate::failure::{Explain as _, Failure};
use crate::output;
use crate::settings::{DEFAULT_PORT, SporeSettings};
use crate::signals::Signals;

/// How long the LAN is asked in one go.
const LOOK: Duration = Duration::from_secs(3);
/// What is told of those found; whoever announces more wants to fill the log, or the memory.
const MOST_TOLD: usize = 256;
/// Longest wait for the nexus of this machine to take a connection.
const KNOCK: Duration = Duration::from_secs(1);

/// Where the spore may go.
#[derive(Debug, Clone)]
pub(super) struct Choice {
    /// As `--nexus` would have it.
    pub nexus: String,
    /// Trusts the authorities of `--ca-file` alone. Whoever announces a nexus can have a certificate of a public authority for
    /// the address it announces; where a nexus is named, the name keeps that out.
    pub tls: Option<Arc<ClientConfig>>,
}

/// Says where to go; `None` when told to stop before there was anywhere.
pub(super) async fn choose(settings: &SporeSettings, signals: &Signals) -> Result<Option<Choice>, Failure> {
    let as_said = Choice {
        nexus: settings.nexus.clone(),
        tls: None,
    };
    // --dev is for a nexus on loopback, and those announce nothing.
    if settings.nexus_is_named || settings.dev || !settings.mdns.enabled {
        return Ok(Some(as_said));
    }
    tokio::select! {
        choice = look(settings, as_said) => choice.map(Some),
        () = signals.drain.cancelled() => Ok(None),
    }
}

/// Looks until there is one.
async fn look(settings: &SporeSettings, here: Choice) -> Result<Choice, Failure> {
    output::note(format!(
        "no nexus is named: looking in the LAN for {} s (--nexus URL names one, --no-mdns looks nowhere)",
        LOOK.as_secs()
    ));
    // at boot a spore may be there before the network is
    if settings.mdns.interfaces.usable().is_empty() {
        output::note("no network interface can be asked yet");
        if answers_here().await {
            output::note(format!("trying {}, which takes connections", here.nexus));
            return Ok(here);
        }
    }
    let mut told = Told::default();
    for round in 0_u32.. {
        let found = venom_mdns::look(&settings.mdns.interfaces, LOOK).await.or_advise(
            "cannot look for a nexus in the LAN",
            "name one with --nexus URL, or pass --no-mdns",
        )?;
        let verdicts: Vec<Verdict> = found
            .iter()
            .filter(|found| found.role == Role::Nexus)
            .map(|found| judge(found, settings))
            .collect();
        for verdict in &verdicts {
            if let Some(line) = told.line(verdict) {
                output::note(line);
            }
        }
        let urls: Vec<String> = verdicts.into_iter().flat_map(Verdict::into_urls).collect();
        if !urls.is_empty() {
            return Ok(Choice {
                nexus: urls.join(","),
                tls: if settings.trust_lan {
                    None
                } else {
                    only_own_authorities(settings)?
                },
            });
        }
        if answers_here().await {
            output::note(format!("trying {}, which takes connections", here.nexus));
            return Ok(here);
        }
        if round == 0 {
            output::note(format!(
                "no nexus in the LAN that may be used, and {} does not answer: looking on, until one is there",
                here.nexus
            ));
        }
    }
    Ok(here)
}

/// Whether somebody takes connections where a nexus of this machine would.
async fn answers_here() -> bool {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, DEFAULT_PORT));
    matches!(timeout(KNOCK, TcpStream::connect(address)).await, Ok(Ok(_)))
}

fn only_own_authorities(settings: &SporeSettings) -> Result<Option<Arc<ClientConfig>>, Failure> {
    let Some(path) = &settings.ca_file else {
        return Ok(None);
    };
    let what = || format!("the certificate file {} cannot be used", path.display());
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).or_fail(what())? {
        roots.add(certificate.or_fail(what())?).or_fail(what())?;
    }
    if roots.is_empty() {
        return Err(Failure::new(what())
            .because("it holds no certificate")
            .help("give a PEM file"));
    }
    let config = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Some(Arc::new(config)))
}

/// What becomes of a nexus that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Verdict {
    /// It may be dialled.
    Dial { instance: String, urls: Vec<String> },
    /// It may not.
    Leave {
        instance: String,
        url: String,
        why: &'static str,
    },
}

/// What was told already.
#[derive(Debug, Default)]
struct Told(Vec<Verdict>);

impl Told {
    /// What to tell of this one, if anything.
    fn line(&mut self, verdict: &Verdict) -> Option<String> {
        if self.0.len() > MOST_TOLD || self.0.contains(verdict) {
            return None;
        }
        self.0.push(verdict.clone());
        if self.0.len() > MOST_TOLD {
            return Some(format!("more than {MOST_TOLD} were found: no more of them are told"));
        }
        Some(verdict.text())
    }
}

fn judge(found: &Found, settings: &SporeSettings) -> Verdict {
    let instance = found.instance.clone();
    let urls = found.urls();
    if settings.trust_lan || (found.tls && settings.ca_file.is_some()) {
        return Verdict::Dial { instance, urls };
    }
    let why = if found.tls {
        "nobody said who signs its certificate. Give the authority of your nexuses with --ca-file FILE, name this one with --nexus URL, or trust the whole LAN with --trust-lan"
    } else {
        "it speaks plain http, so the token would go to whoever says it is a nexus. Name this one with --nexus URL if it is yours, or trust the whole LAN with --trust-lan"
    };
    let url = urls.into_iter().next().unwrap_or_default();
    Verdict::Leave { instance, url, why }
}

impl Verdict {
    fn text(&self) -> String {
        match self {
            Self::Dial { instance, urls } => format!("found {instance}: trying {}", urls.join(", ")),
            Self::Leave { instance, url, why } => format!("found {instance} at {url}, but it is not used: {why}"),
        }
    }

    fn into_urls(self) -> Vec<String> {
        match self {
            Self::Dial { urls, .. } => urls,
            Self::Leave { .. } => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use clap::Parser as _;

    use super::*;
    use crate::cli::{Cli, Command};
    use crate::settings::{Environment, Sources};

    fn settings(flags: &[&str]) -> SporeSettings {
        let cli = Cli::try_parse_from(["venom-host", "spore"].iter().chain(flags)).unwrap();
        let Command::Spore(args) = cli.command else {
            panic!("not spore")
        };
        let sources = Sources {
            env: Environment::of(&[]),
            file: Default::default(),
            data_dir: Path::new("/d").to_owned(),
        };
        SporeSettings::merge(*args, &sources, "here".to_owned()).unwrap()
    }

    fn nexus(tls: bool) -> Found {
        Found {
            role: Role::Nexus,
            instance: "venom-hub".to_owned(),
            host: "venom-hub.local".to_owned(),
            hostname: None,
            addresses: vec!["10.0.0.5".parse().unwrap()],
            port: 8000,
            id: None,
            version: None,
            path: "/".to_owned(),
            tls,
        }
    }

    #[test]
    fn the_token_goes_only_to_whom_the_operator_trusts() {
        let cases: [(&[&str], bool, bool); 6] = [
            (&[], false, false),
            (&[], true, false),
            (&["--ca-file", "ca.pem"], false, false),
            (&["--ca-file", "ca.pem"], true, true),
            (&["--trust-lan"], false, true),
            (&["--trust-lan"], true, true),
        ];
        for (flags, tls, may) in cases {
            let verdict = judge(&nexus(tls), &settings(flags));
            assert_eq!(matches!(verdict, Verdict::Dial { .. }), may, "{flags:?} tls {tls}");
        }
    }

    #[test]
    fn a_nexus_that_is_left_alone_is_told_with_what_to_do() {
        let text = judge(&nexus(false), &settings(&[])).text();
        assert!(
            text.contains("venom-hub at http://10.0.0.5:8000")
                && text.contains("--nexus")
                && text.contains("--trust-lan")
        );
        let text = judge(&nexus(true), &settings(&[])).text();
        assert!(
            text.contains("https://10.0.0.5:8000") && text.contains("--ca-file"),
            "{text}"
        );
    }

    #[test]
    fn a_flood_of_announcements_is_told_in_part() {
        let mut told = Told::default();
        let verdict = |n: usize| Verdict::Leave {
            instance: format!("n-{n}"),
            url: String::new(),
            why: "no",
        };
        let lines: Vec<String> = (0..1_000).filter_map(|n| told.line(&verdict(n))).collect();
        assert_eq!(lines.len(), MOST_TOLD + 1);
        assert!(lines.last().unwrap().contains("no more of them"), "{lines:?}");
        assert!(told.line(&verdict(3)).is_none() && told.0.len() <= MOST_TOLD + 1);
    }

    #[tokio::test]
    async fn nobody_looks_when_a_nexus_is_named_in_development_or_without_mdns() {
        for (flags, nexus) in [
            (&["--nexus", "http://hub:1"][..], "http://hub:1"),
            (&["--dev"], "http://127.0.0.1:8000"),
            (&["--no-mdns"], "http://127.0.0.1:8000"),
        ] {
            let signals = Signals::watch().unwrap();
            let choice = choose(&settings(flags), &signals).await.unwrap().unwrap();
            assert_eq!(choice.nexus, nexus, "{flags:?}");
            assert!(choice.tls.is_none(), "{flags:?}");
        }
    }
}
