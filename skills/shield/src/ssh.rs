//! Module `ssh`: what a server offers before anybody logs in. It reads the server's identification and its first packet
//! (KEXINIT, RFC 4253), says its own identification, and hangs up: no key exchange, no user, no password.

use std::collections::BTreeSet;

use crate::check::{Check, Look, Severity, Verdict, evidence};
use crate::line::Trouble;
use crate::reader::Reader;
use crate::visit::Visit;

static PROTOCOL_1: Check = Check {
    id: "ssh.protocol-1",
    severity: Severity::High,
    title: "SSH protocol 1 is offered",
    remediation: "Update the server to one that speaks protocol 2 only (in OpenSSH before 7.4: `Protocol 2` in sshd_config).",
};
static WEAK_KEX: Check = Check {
    id: "ssh.weak-kex",
    severity: Severity::Medium,
    title: "Weak SSH key exchanges are offered",
    remediation: "Take the named algorithms out of `KexAlgorithms` in sshd_config (RFC 9142); curve25519-sha256 and the ones after it replace them.",
};
static WEAK_HOST_KEY: Check = Check {
    id: "ssh.weak-host-key",
    severity: Severity::Medium,
    title: "Weak SSH host key algorithms are offered",
    remediation: "Take the named algorithms out of `HostKeyAlgorithms`; give the server an Ed25519 host key. RSA keys stay usable as rsa-sha2-512 and rsa-sha2-256.",
};
static WEAK_CIPHER: Check = Check {
    id: "ssh.weak-cipher",
    severity: Severity::Medium,
    title: "Weak SSH ciphers are offered",
    remediation: "Take the named ciphers out of `Ciphers` in sshd_config; aes256-gcm@openssh.com and aes256-ctr replace them.",
};
static WEAK_MAC: Check = Check {
    id: "ssh.weak-mac",
    severity: Severity::Low,
    title: "Weak SSH message authentication codes are offered",
    remediation: "Take the named codes out of `MACs` in sshd_config; hmac-sha2-256-etm@openssh.com replaces them.",
};
static NO_ETM: Check = Check {
    id: "ssh.no-etm",
    severity: Severity::Info,
    title: "SSH offers neither encrypt-then-MAC nor an authenticated cipher",
    remediation: "Add hmac-sha2-256-etm@openssh.com to `MACs` or aes256-gcm@openssh.com to `Ciphers` in sshd_config.",
};
static TERRAPIN: Check = Check {
    id: "ssh.terrapin",
    severity: Severity::Medium,
    title: "Terrapin: the start of a connection can be shortened unnoticed (CVE-2023-48795)",
    remediation: "Update the server to one with strict key exchange (OpenSSH 9.6, or a distribution's update of December 2023); until then take out chacha20-poly1305@openssh.com and CBC ciphers.",
};

pub(crate) static CHECKS: [&Check; 7] = [
    &PROTOCOL_1,
    &WEAK_KEX,
    &WEAK_HOST_KEY,
    &WEAK_CIPHER,
    &WEAK_MAC,
    &NO_ETM,
    &TERRAPIN,
];

/// What a server says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Facts {
    /// `SSH-2.0-OpenSSH_9.2p1 Debian-2`.
    pub(crate) identification: String,
    /// Why not, where it cannot be read.
    pub(crate) offer: Result<Offer, String>,
}

/// Algorithms of a KEXINIT; both directions together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Offer {
    pub(crate) kex: BTreeSet<String>,
    pub(crate) host_keys: BTreeSet<String>,
    pub(crate) ciphers: BTreeSet<String>,
    pub(crate) macs: BTreeSet<String>,
}

pub(crate) fn judge(facts: &Facts) -> Verdict {
    let mut verdict = Verdict::default();
    let shown = evidence(facts.identification.as_bytes());
    // 1.99: both (RFC 4253, section 5.1)
    verdict.add_if(facts.identification.starts_with("SSH-1."), &PROTOCOL_1, || {
        format!("The server says `{shown}`.")
    });
    match &facts.offer {
        Ok(offer) => judge_offer(offer, &mut verdict),
        Err(_) => verdict
            .open
            .extend(CHECKS.into_iter().filter(|check| **check != PROTOCOL_1)),
    }
    verdict
}

/// Whether the algorithm of a name is weak.
type Weak = fn(&str) -> bool;

fn judge_offer(offer: &Offer, verdict: &mut Verdict) {
    let lists: [(&'static Check, &BTreeSet<String>, Weak); 4] = [
        (&WEAK_KEX, &offer.kex, is_weak_kex),
        (&WEAK_HOST_KEY, &offer.host_keys, is_weak_host_key),
        (&WEAK_CIPHER, &offer.ciphers, is_weak_cipher),
        (&WEAK_MAC, &offer.macs, is_weak_mac),
    ];
    for (check, offered, is_weak) in lists {
        let weak: Vec<&str> = offered
            .iter()
            .map(String::as_str)
            .filter(|name| is_weak(name))
            .collect();
        verdict.add_if(!weak.is_empty(), check, || {
            format!("Offered: {}.", evidence(weak.join(", ").as_bytes()))
        });
    }
    let has_etm = offer.macs.iter().any(|name| is_etm(name));
    let has_aead = offer
        .ciphers
        .iter()
        .any(|name| name.contains("gcm") || name.starts_with("chacha20-poly1305"));
    verdict.add_if(!has_etm && !has_aead, &NO_ETM, || {
        let macs: Vec<&str> = offer.macs.iter().map(String::as_str).collect();
        format!("Offered: {}.", evidence(macs.join(", ").as_bytes()))
    });
    let chacha = offer.ciphers.contains("chacha20-poly1305@openssh.com");
    let cbc = has_etm && offer.ciphers.iter().any(|name| name.ends_with("-cbc"));
    let strict = offer.kex.contains("kex-strict-s-v00@openssh.com");
    verdict.add_if((chacha || cbc) && !strict, &TERRAPIN, || {
        let what = if chacha {
            "chacha20-poly1305@openssh.com"
        } else {
            "CBC ciphers with encrypt-then-MAC"
        };
        format!("Offered: {what}, without kex-strict-s-v00@openssh.com.")
    });
}

fn is_weak_kex(name: &str) -> bool {
    name.ends_with("-sha1") || name.starts_with("rsa1024-")
}

fn is_weak_host_key(name: &str) -> bool {
    let name = name.split("-cert-v").next().unwrap_or(name);
    matches!(name, "ssh-rsa" | "ssh-dss")
}

fn is_weak_cipher(name: &str) -> bool {
    name.contains("-cbc") || name.starts_with("arcfour") || name.starts_with("3des") || matches!(name, "none" | "des")
}

fn is_weak_mac(name: &str) -> bool {
    name.contains("md5") || name.starts_with("hmac-sha1-96") || name == "none"
}

fn is_etm(name: &str) -> bool {
    name.contains("-etm@")
}

/// Most bytes before and with the first packet.
const MOST: usize = 64 * 1024;
/// Largest packet there has to be (RFC 4253, section 6.1).
const LARGEST_PACKET: usize = 35_000;
/// Longest identification (RFC 4253, section 4.2), and the most lines before it.
const LONGEST_LINE: usize = 255;
const LINES: usize = 50;
const KEXINIT: u8 = 20;
const IDENTIFICATION: &[u8] = b"SSH-2.0-VenomShield\r\n";

/// Calls a server that greeted as SSH servers do.
pub(crate) async fn look(visit: &Visit<'_>) -> Result<Look<Facts>, Trouble> {
    let mut heard = Vec::new();
    match listen(visit, &mut heard).await {
        Ok(look) => Ok(look),
        Err(Trouble::Denied(place)) => Err(Trouble::Denied(place)),
        Err(trouble) => match identification(&heard) {
            // it said who it is, and no more
            Some(Ok((identification, _))) => Ok(Look::Seen(Facts {
                identification,
                offer: Err(trouble.words()),
            })),
            _ => visit.unknown(trouble),
        },
    }
}

async fn listen(visit: &Visit<'_>, heard: &mut Vec<u8>) -> Result<Look<Facts>, Trouble> {
    let mut line = visit.call().await?;
    line.say(IDENTIFICATION).await?;
    line.hear_until(heard, MOST, read).await
}

/// Reads what a server says first; none: there has to be more of it.
fn read(heard: &[u8]) -> Option<Look<Facts>> {
    let (identification, rest) = match identification(heard)? {
        Ok(found) => found,
        Err(()) => return Some(Look::Absent),
    };
    if !identification.starts_with("SSH-2.") && !identification.starts_with("SSH-1.99") {
        let offer = Err("it speaks protocol 1 only".to_owned());
        return Some(Look::Seen(Facts { identification, offer }));
    }
    let offer = kexinit(rest)?;
    Some(Look::Seen(Facts { identification, offer }))
}

/// The identification and what follows it; an error: this is no SSH.
fn identification(heard: &[u8]) -> Option<Result<(String, &[u8]), ()>> {
    let mut rest = heard;
    for _ in 0..LINES {
        let Some(end) = rest.iter().position(|byte| *byte == b'\n') else {
            return if rest.len() > LONGEST_LINE { Some(Err(())) } else { None };
        };
        let (line, after) = rest.split_at_checked(end + 1)?;
        if line.starts_with(b"SSH-") {
            return Some(Ok((evidence(line), after)));
        }
        rest = after;
    }
    Some(Err(()))
}

/// The packet of RFC 4253, section 7.1.
fn kexinit(bytes: &[u8]) -> Option<Result<Offer, String>> {
    let mut reader = Reader(bytes);
    let length = reader.u32()? as usize;
    if !(2..=LARGEST_PACKET).contains(&length) {
        return Some(Err("its first packet has no possible length".to_owned()));
    }
    let mut packet = Reader(reader.take(length)?);
    let offer = offer(&mut packet);
    Some(offer.ok_or_else(|| "its first packet is no KEXINIT".to_owned()))
}

fn offer(packet: &mut Reader<'_>) -> Option<Offer> {
    packet.u8()?;
    if packet.u8()? != KEXINIT {
        return None;
    }
    packet.take(16)?;
    let mut offer = Offer {
        kex: names(packet)?,
        host_keys: names(packet)?,
        ..Offer::default()
    };
    for _ in 0..2 {
        offer.ciphers.extend(names(packet)?);
    }
    for _ in 0..2 {
        offer.macs.extend(names(packet)?);
    }
    Some(offer)
}

fn names(packet: &mut Reader<'_>) -> Option<BTreeSet<String>> {
    let length = packet.u32()? as usize;
    let text = std::str::from_utf8(packet.take(length)?)
        .ok()
        .filter(|text| text.is_ascii())?;
    Some(
        text.split(',')
            .filter(|name| !name.is_empty())
            .map(str::to_owned)
            .collect(),
    )
}

#[cfg(test)]
#[path = "ssh_tests.rs"]
mod tests;
