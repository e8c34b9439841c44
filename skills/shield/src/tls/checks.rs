//! What is looked for in TLS.

use crate::check::{Check, Severity};

use Severity::{High, Info, Low, Medium};

const fn check(id: &'static str, severity: Severity, title: &'static str, remediation: &'static str) -> Check {
    Check {
        id,
        severity,
        title,
        remediation,
    }
}

/// In the order in which they are reported.
pub(crate) static CHECKS: [Check; 20] = [
    check(
        "tls.expired",
        High,
        "The certificate has expired",
        "Renew the certificate, and let something renew it before it ends the next time (ACME, or a reminder 30 days before).",
    ),
    check(
        "tls.expiring",
        Medium,
        "The certificate expires soon",
        "Renew the certificate now; if something should have renewed it by itself, find out why it did not.",
    ),
    check(
        "tls.not-yet-valid",
        Medium,
        "The certificate is not valid yet",
        "Compare the clocks of the server and of who issued the certificate; install one that is valid today.",
    ),
    check(
        "tls.self-signed",
        Low,
        "The certificate is self-signed",
        "Use a certificate of a certificate authority that your machines trust: a public one, or one of your own for inside the network.",
    ),
    check(
        "tls.name-mismatch",
        Medium,
        "The certificate is for another name",
        "Issue the certificate for the name by which the server is reached, as a subject alternative name.",
    ),
    check(
        "tls.weak-key",
        High,
        "The certificate's key is weak",
        "Make a new key, RSA of 2048 bits or more, ECDSA P-256 or Ed25519, and a certificate for it.",
    ),
    check(
        "tls.weak-signature",
        Medium,
        "The certificate's signature uses a broken hash",
        "Have the certificate issued again with SHA-256 or better.",
    ),
    check(
        "tls.long-lived",
        Info,
        "The certificate is valid for very long",
        "Issue certificates for at most 398 days and renew them by machine, so that a stolen key ends by itself.",
    ),
    check(
        "tls.chain-expired",
        Medium,
        "A certificate that was sent along has expired",
        "Send the current intermediate certificates of the issuer, and none that have ended.",
    ),
    check(
        "tls.unreadable",
        Low,
        "The certificate cannot be read",
        "Issue the certificate again with a tool that follows RFC 5280; clients may refuse this one.",
    ),
    check(
        "tls.ssl3",
        High,
        "SSL 3.0 is offered",
        "Switch SSL 3.0 off (RFC 7568); offer TLS 1.2 and 1.3 only.",
    ),
    check(
        "tls.tls10",
        Medium,
        "TLS 1.0 is offered",
        "Switch TLS 1.0 off (RFC 8996); offer TLS 1.2 and 1.3 only.",
    ),
    check(
        "tls.tls11",
        Medium,
        "TLS 1.1 is offered",
        "Switch TLS 1.1 off (RFC 8996); offer TLS 1.2 and 1.3 only.",
    ),
    check(
        "tls.no-tls12",
        High,
        "Neither TLS 1.2 nor 1.3 is offered",
        "Update the server's TLS library or firmware to one that speaks TLS 1.2 or 1.3; until then keep the service away from untrusted networks.",
    ),
    check(
        "tls.no-tls13",
        Info,
        "TLS 1.3 is not offered",
        "Switch TLS 1.3 on when the server's software can do it; TLS 1.2 stays acceptable.",
    ),
    check(
        "tls.cipher-anonymous",
        High,
        "Cipher suites without a certificate are offered",
        "Remove anonymous suites (ADH, AECDH, aNULL) from the server's list: anybody on the way can pose as the server.",
    ),
    check(
        "tls.cipher-null",
        High,
        "Cipher suites without encryption are offered",
        "Remove NULL suites from the server's list: everything is readable on the way.",
    ),
    check(
        "tls.cipher-export",
        High,
        "Export cipher suites are offered",
        "Remove EXPORT suites from the server's list: their keys can be broken in hours.",
    ),
    check(
        "tls.cipher-rc4",
        Medium,
        "RC4 cipher suites are offered",
        "Remove RC4 suites from the server's list (RFC 7465).",
    ),
    check(
        "tls.cipher-des",
        Medium,
        "DES or 3DES cipher suites are offered",
        "Remove DES and 3DES suites from the server's list (SWEET32, RFC 9325); AES-GCM and ChaCha20 replace them.",
    ),
];

/// The check of this id; the first one for an id that there is not, which a test rules out.
pub(super) fn of(id: &str) -> &'static Check {
    let [first, ..] = &CHECKS;
    CHECKS.iter().find(|check| check.id == id).unwrap_or(first)
}
