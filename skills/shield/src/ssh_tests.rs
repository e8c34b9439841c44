//! Every check both ways, on what real servers said.

use proptest::prelude::*;

use super::*;
use crate::check::ids;

/// What OpenSSH 9.2p1 of Debian 12 says first, as it comes.
const NOW: &[u8] = include_bytes!("recorded/sshd-now.bin");
/// The same told to offer group1, group14-sha1, ssh-rsa, 3des-cbc, aes128-cbc, hmac-md5 and hmac-sha1-96 only.
const OLD: &[u8] = include_bytes!("recorded/sshd-old.bin");

fn facts(heard: &[u8]) -> Facts {
    match read(heard) {
        Some(Look::Seen(facts)) => facts,
        other => panic!("{other:?}"),
    }
}

fn offer(change: impl FnOnce(&mut Offer)) -> Facts {
    let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let mut offer = Offer {
        kex: set(&["curve25519-sha256", "kex-strict-s-v00@openssh.com"]),
        host_keys: set(&["ssh-ed25519", "rsa-sha2-512"]),
        ciphers: set(&["aes256-ctr"]),
        macs: set(&["hmac-sha2-256-etm@openssh.com", "hmac-sha1"]),
    };
    change(&mut offer);
    Facts {
        identification: "SSH-2.0-x".to_owned(),
        offer: Ok(offer),
    }
}

fn fires(change: impl FnOnce(&mut Offer)) -> Vec<&'static str> {
    ids(&judge(&offer(change)))
}

fn add(names: &mut BTreeSet<String>, name: &str) {
    names.insert(name.to_owned());
}

#[test]
fn a_current_server_has_no_finding() {
    let facts = facts(NOW);
    assert_eq!(facts.identification, "SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u10");
    assert!(
        facts
            .offer
            .as_ref()
            .unwrap()
            .kex
            .contains("sntrup761x25519-sha512@openssh.com")
    );
    assert_eq!(judge(&facts), Verdict::default());
}

#[test]
fn a_server_of_yesterday_has_many() {
    let verdict = judge(&facts(OLD));
    let expected = [
        "ssh.weak-kex",
        "ssh.weak-host-key",
        "ssh.weak-cipher",
        "ssh.weak-mac",
        "ssh.no-etm",
    ];
    assert_eq!(ids(&verdict), expected);
    assert!(
        verdict.issues[0].detail.contains("diffie-hellman-group1-sha1"),
        "{verdict:?}"
    );
    assert!(verdict.issues[2].detail.contains("3des-cbc") && verdict.issues[3].detail.contains("hmac-md5"));
}

#[test]
fn algorithms_one_by_one() {
    assert_eq!(fires(|_| {}), [""; 0]);
    for weak in [
        "diffie-hellman-group1-sha1",
        "diffie-hellman-group14-sha1",
        "diffie-hellman-group-exchange-sha1",
    ] {
        assert_eq!(fires(|it| add(&mut it.kex, weak)), ["ssh.weak-kex"], "{weak}");
    }
    assert_eq!(fires(|it| add(&mut it.kex, "diffie-hellman-group14-sha256")), [""; 0]);
    for weak in ["ssh-dss", "ssh-rsa", "ssh-rsa-cert-v01@openssh.com"] {
        assert_eq!(
            fires(|it| add(&mut it.host_keys, weak)),
            ["ssh.weak-host-key"],
            "{weak}"
        );
    }
    for weak in ["arcfour128", "blowfish-cbc", "rijndael-cbc@lysator.liu.se", "none"] {
        let strict = fires(|it| add(&mut it.ciphers, weak));
        assert_eq!(strict, ["ssh.weak-cipher"], "{weak}");
    }
    for weak in [
        "hmac-md5-96",
        "hmac-md5-etm@openssh.com",
        "hmac-sha1-96",
        "hmac-sha1-96-etm@openssh.com",
    ] {
        assert_eq!(fires(|it| add(&mut it.macs, weak)), ["ssh.weak-mac"], "{weak}");
    }
}

#[test]
fn encrypt_then_mac_or_an_authenticated_cipher() {
    let without = |it: &mut Offer| {
        it.macs.remove("hmac-sha2-256-etm@openssh.com");
    };
    assert_eq!(fires(without), ["ssh.no-etm"]);
    let gcm = fires(|it| {
        without(it);
        add(&mut it.ciphers, "aes128-gcm@openssh.com");
    });
    assert_eq!(gcm, [""; 0]);
}

#[test]
fn terrapin_needs_a_cipher_it_works_on_and_no_strict_key_exchange() {
    let lax = |it: &mut Offer| {
        it.kex.remove("kex-strict-s-v00@openssh.com");
    };
    assert_eq!(fires(lax), [""; 0]);
    let chacha = "chacha20-poly1305@openssh.com";
    assert_eq!(fires(|it| add(&mut it.ciphers, chacha)), [""; 0]);
    let both = |cipher: &'static str| {
        fires(move |it| {
            lax(it);
            add(&mut it.ciphers, cipher);
        })
    };
    assert_eq!(both(chacha), ["ssh.terrapin"]);
    assert_eq!(both("aes128-cbc"), ["ssh.weak-cipher", "ssh.terrapin"]);
    let cbc_without_etm = fires(|it| {
        lax(it);
        it.macs.clear();
        add(&mut it.ciphers, "aes128-cbc");
    });
    assert_eq!(cbc_without_etm, ["ssh.weak-cipher", "ssh.no-etm"]);
}

#[test]
fn protocol_1_alone_or_beside_2() {
    let old = facts(b"SSH-1.5-OldBox\n\0\0\0\x10rubbish");
    let verdict = judge(&old);
    assert_eq!(ids(&verdict), ["ssh.protocol-1"]);
    assert_eq!(verdict.open.len(), CHECKS.len() - 1);
    let mut both = offer(|_| {});
    both.identification = "SSH-1.99-Cisco-1.25".to_owned();
    assert_eq!(ids(&judge(&both)), ["ssh.protocol-1"]);
}

#[test]
fn real_packets_are_read_at_every_length() {
    for length in 0..NOW.len() {
        assert_eq!(read(&NOW[..length]), None, "{length}");
    }
    let mut preceded = b"Welcome to the jungle\r\n".to_vec();
    preceded.extend_from_slice(NOW);
    assert_eq!(facts(&preceded), facts(NOW));
}

#[test]
fn garbage_is_told_apart() {
    for no_ssh in [&b"HTTP/1.1 400\r\n".repeat(60)[..], &[b'x'; 300]] {
        assert_eq!(read(no_ssh), Some(Look::Absent));
    }
    for bad in [
        &b"SSH-2.0-x\r\n\xff\xff\xff\xff"[..],
        b"SSH-2.0-x\r\n\0\0\0\x01\0",
        b"SSH-2.0-x\r\n\0\0\0\x04\x02\x15ab",
    ] {
        let facts = facts(bad);
        assert!(facts.offer.is_err());
        let verdict = judge(&facts);
        assert!(verdict.issues.is_empty() && verdict.open.len() == CHECKS.len() - 1);
    }
}

proptest! {
    #[test]
    fn nothing_a_server_says_makes_it_stumble(heard in prop::collection::vec(any::<u8>(), 0..400), ssh: bool) {
        let mut all = if ssh { b"SSH-2.0-x\r\n".to_vec() } else { Vec::new() };
        all.extend(heard);
        let _ = read(&all);
    }

    #[test]
    fn a_damaged_packet_is_read_or_refused(
        damage in prop::collection::vec((42..OLD.len(), any::<u8>()), 1..6),
        length in 42..OLD.len(),
        whole: bool,
    ) {
        let mut heard = OLD.to_vec();
        for (at, value) in damage {
            heard[at] = value;
        }
        if !whole {
            heard.truncate(length);
        }
        if let Some(Look::Seen(facts)) = read(&heard) {
            let _ = judge(&facts);
            prop_assert_eq!(facts.identification, "SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u10");
        }
    }
}
