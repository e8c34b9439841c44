//! Cipher suites of TLS up to 1.2 (IANA registry "TLS Cipher Suites"): the weak ones by what is wrong with them, and
//! what any server of the last twenty years knows, so that it answers at all.

/// What is wrong with a suite; of several the worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Weakness {
    /// Anybody may pose as the server.
    Anonymous,
    /// Nothing is encrypted.
    Null,
    /// Keys of 40 and 56 bits, made to be broken.
    Export,
    /// RFC 7465.
    Rc4,
    /// Blocks of 64 bits, RFC 9325; single DES with it.
    Des,
}

/// Suites that are weak, with their names.
pub(crate) const WEAK: [(u16, &str, Weakness); 54] = [
    (0x0001, "TLS_RSA_WITH_NULL_MD5", Weakness::Null),
    (0x0002, "TLS_RSA_WITH_NULL_SHA", Weakness::Null),
    (0x0003, "TLS_RSA_EXPORT_WITH_RC4_40_MD5", Weakness::Export),
    (0x0004, "TLS_RSA_WITH_RC4_128_MD5", Weakness::Rc4),
    (0x0005, "TLS_RSA_WITH_RC4_128_SHA", Weakness::Rc4),
    (0x0006, "TLS_RSA_EXPORT_WITH_RC2_CBC_40_MD5", Weakness::Export),
    (0x0008, "TLS_RSA_EXPORT_WITH_DES40_CBC_SHA", Weakness::Export),
    (0x0009, "TLS_RSA_WITH_DES_CBC_SHA", Weakness::Des),
    (0x000a, "TLS_RSA_WITH_3DES_EDE_CBC_SHA", Weakness::Des),
    (0x000b, "TLS_DH_DSS_EXPORT_WITH_DES40_CBC_SHA", Weakness::Export),
    (0x000c, "TLS_DH_DSS_WITH_DES_CBC_SHA", Weakness::Des),
    (0x000d, "TLS_DH_DSS_WITH_3DES_EDE_CBC_SHA", Weakness::Des),
    (0x000e, "TLS_DH_RSA_EXPORT_WITH_DES40_CBC_SHA", Weakness::Export),
    (0x000f, "TLS_DH_RSA_WITH_DES_CBC_SHA", Weakness::Des),
    (0x0010, "TLS_DH_RSA_WITH_3DES_EDE_CBC_SHA", Weakness::Des),
    (0x0011, "TLS_DHE_DSS_EXPORT_WITH_DES40_CBC_SHA", Weakness::Export),
    (0x0012, "TLS_DHE_DSS_WITH_DES_CBC_SHA", Weakness::Des),
    (0x0013, "TLS_DHE_DSS_WITH_3DES_EDE_CBC_SHA", Weakness::Des),
    (0x0014, "TLS_DHE_RSA_EXPORT_WITH_DES40_CBC_SHA", Weakness::Export),
    (0x0015, "TLS_DHE_RSA_WITH_DES_CBC_SHA", Weakness::Des),
    (0x0016, "TLS_DHE_RSA_WITH_3DES_EDE_CBC_SHA", Weakness::Des),
    (0x0017, "TLS_DH_anon_EXPORT_WITH_RC4_40_MD5", Weakness::Anonymous),
    (0x0018, "TLS_DH_anon_WITH_RC4_128_MD5", Weakness::Anonymous),
    (0x0019, "TLS_DH_anon_EXPORT_WITH_DES40_CBC_SHA", Weakness::Anonymous),
    (0x001a, "TLS_DH_anon_WITH_DES_CBC_SHA", Weakness::Anonymous),
    (0x001b, "TLS_DH_anon_WITH_3DES_EDE_CBC_SHA", Weakness::Anonymous),
    (0x0034, "TLS_DH_anon_WITH_AES_128_CBC_SHA", Weakness::Anonymous),
    (0x003a, "TLS_DH_anon_WITH_AES_256_CBC_SHA", Weakness::Anonymous),
    (0x003b, "TLS_RSA_WITH_NULL_SHA256", Weakness::Null),
    (0x006c, "TLS_DH_anon_WITH_AES_128_CBC_SHA256", Weakness::Anonymous),
    (0x006d, "TLS_DH_anon_WITH_AES_256_CBC_SHA256", Weakness::Anonymous),
    (0x00a6, "TLS_DH_anon_WITH_AES_128_GCM_SHA256", Weakness::Anonymous),
    (0x00a7, "TLS_DH_anon_WITH_AES_256_GCM_SHA384", Weakness::Anonymous),
    (0xc001, "TLS_ECDH_ECDSA_WITH_NULL_SHA", Weakness::Null),
    (0xc002, "TLS_ECDH_ECDSA_WITH_RC4_128_SHA", Weakness::Rc4),
    (0xc003, "TLS_ECDH_ECDSA_WITH_3DES_EDE_CBC_SHA", Weakness::Des),
    (0xc006, "TLS_ECDHE_ECDSA_WITH_NULL_SHA", Weakness::Null),
    (0xc007, "TLS_ECDHE_ECDSA_WITH_RC4_128_SHA", Weakness::Rc4),
    (0xc008, "TLS_ECDHE_ECDSA_WITH_3DES_EDE_CBC_SHA", Weakness::Des),
    (0xc00b, "TLS_ECDH_RSA_WITH_NULL_SHA", Weakness::Null),
    (0xc00c, "TLS_ECDH_RSA_WITH_RC4_128_SHA", Weakness::Rc4),
    (0xc00d, "TLS_ECDH_RSA_WITH_3DES_EDE_CBC_SHA", Weakness::Des),
    (0xc010, "TLS_ECDHE_RSA_WITH_NULL_SHA", Weakness::Null),
    (0xc011, "TLS_ECDHE_RSA_WITH_RC4_128_SHA", Weakness::Rc4),
    (0xc012, "TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA", Weakness::Des),
    (0xc015, "TLS_ECDH_anon_WITH_NULL_SHA", Weakness::Anonymous),
    (0xc016, "TLS_ECDH_anon_WITH_RC4_128_SHA", Weakness::Anonymous),
    (0xc017, "TLS_ECDH_anon_WITH_3DES_EDE_CBC_SHA", Weakness::Anonymous),
    (0xc018, "TLS_ECDH_anon_WITH_AES_128_CBC_SHA", Weakness::Anonymous),
    (0xc019, "TLS_ECDH_anon_WITH_AES_256_CBC_SHA", Weakness::Anonymous),
    (0x0060, "TLS_RSA_EXPORT1024_WITH_RC4_56_MD5", Weakness::Export),
    (0x0062, "TLS_RSA_EXPORT1024_WITH_DES_CBC_SHA", Weakness::Export),
    (0x0064, "TLS_RSA_EXPORT1024_WITH_RC4_56_SHA", Weakness::Export),
    (0x0066, "TLS_DHE_DSS_WITH_RC4_128_SHA", Weakness::Rc4),
];

/// AES and Camellia in CBC mode, then AEADs of TLS 1.2.
pub(crate) const ORDINARY: [u16; 24] = [
    0x002f, 0x0035, 0x0033, 0x0039, 0x0032, 0x0038, 0xc009, 0xc00a, 0xc013, 0xc014, 0x0041, 0x0084, 0x003c, 0x003d,
    0x009c, 0x009d, 0x009e, 0x009f, 0xc02b, 0xc02c, 0xc02f, 0xc030, 0xcca8, 0xcca9,
];

/// Name and weakness of a suite, if it is weak.
pub(crate) fn weak(code: u16) -> Option<(&'static str, Weakness)> {
    let found = WEAK.iter().find(|(known, ..)| *known == code);
    found.map(|&(_, name, weakness)| (name, weakness))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_suite_is_listed_once_and_under_the_worst_that_its_name_says() {
        for (index, (code, name, weakness)) in WEAK.iter().enumerate() {
            assert!(!ORDINARY.contains(code), "{name}");
            assert!(
                !WEAK[..index].iter().any(|other| other.0 == *code || other.1 == *name),
                "{name}"
            );
            let expected = match name {
                name if name.contains("_anon_") => Weakness::Anonymous,
                name if name.contains("NULL") => Weakness::Null,
                name if name.contains("EXPORT") => Weakness::Export,
                name if name.contains("RC4") => Weakness::Rc4,
                _ => Weakness::Des,
            };
            assert_eq!(*weakness, expected, "{name}");
        }
        assert_eq!(weak(0x0005), Some(("TLS_RSA_WITH_RC4_128_SHA", Weakness::Rc4)));
        assert_eq!(weak(0x1301), None);
    }
}
