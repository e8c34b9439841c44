//! The first words of TLS up to 1.2, written by hand: a library would rightly not say them any more. Of the answer only
//! the ServerHello or the alert is read; no handshake ever gets further.

use crate::reader::Reader;

/// A version of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Version {
    Ssl3 = 0x0300,
    Tls10 = 0x0301,
    Tls11 = 0x0302,
    Tls12 = 0x0303,
}

impl Version {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Ssl3 => "SSL 3.0",
            Self::Tls10 => "TLS 1.0",
            Self::Tls11 => "TLS 1.1",
            Self::Tls12 => "TLS 1.2",
        }
    }

    fn of(code: u16) -> Option<Self> {
        [Self::Ssl3, Self::Tls10, Self::Tls11, Self::Tls12]
            .into_iter()
            .find(|version| *version as u16 == code)
    }
}

/// What a server said to a ClientHello.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reply {
    /// It chose.
    Hello { version: Version, suite: u16 },
    /// It will not, and this is why (RFC 5246, section 7.2).
    Alert(u8),
    /// It does not speak TLS.
    Other,
}

/// Most bytes that a ServerHello may be in, fragments and all.
pub(crate) const MOST: usize = 16 * 1024;

const HANDSHAKE: u8 = 22;
const ALERT: u8 = 21;
const SERVER_HELLO: u8 = 2;
const WARNING: u8 = 1;
const CLOSE_NOTIFY: u8 = 0;
/// Bytes of a ServerHello up to its choice, with the longest session there is.
const LONGEST_CHOICE: usize = 73;

/// One complete ClientHello. `name` is sent as the server's name, not with SSL 3.0, which has no extensions.
pub(crate) fn client_hello(version: Version, suites: &[u16], name: Option<&str>) -> Vec<u8> {
    let mut body = Vec::with_capacity(256);
    body.extend_from_slice(&(version as u16).to_be_bytes());
    // its randomness protects a handshake; this one has no second message
    body.extend_from_slice(&[0x56; 32]);
    body.push(0);
    // TLS_EMPTY_RENEGOTIATION_INFO_SCSV: some servers insist on it (RFC 5746)
    let suites: Vec<u8> = suites
        .iter()
        .chain(&[0x00ff])
        .flat_map(|code| code.to_be_bytes())
        .collect();
    block16(&mut body, &suites);
    body.extend_from_slice(&[1, 0]);
    if version != Version::Ssl3 {
        block16(&mut body, &extensions(version, name));
    }
    let length = u32::try_from(body.len()).unwrap_or_default().to_be_bytes();
    let mut handshake = vec![1];
    handshake.extend_from_slice(length.get(1..).unwrap_or_default());
    handshake.extend_from_slice(&body);
    // the record's own version is the oldest that is sure to be read
    let mut record = vec![HANDSHAKE, 3, u8::from(version != Version::Ssl3)];
    block16(&mut record, &handshake);
    record
}

fn extensions(version: Version, name: Option<&str>) -> Vec<u8> {
    let mut all = Vec::new();
    // an address is no server name (RFC 6066, section 3)
    if let Some(name) = name.filter(|name| name.len() <= 255 && name.parse::<std::net::IpAddr>().is_err()) {
        let mut entry = vec![0];
        block16(&mut entry, name.as_bytes());
        let mut list = Vec::new();
        block16(&mut list, &entry);
        extension(&mut all, 0, &list);
    }
    // secp256r1, secp384r1, secp521r1, x25519; uncompressed points
    extension(&mut all, 10, &[0, 8, 0, 0x17, 0, 0x18, 0, 0x19, 0, 0x1d]);
    extension(&mut all, 11, &[1, 0]);
    if version == Version::Tls12 {
        // RSA, ECDSA and DSA with SHA-256 to SHA-1, and RSA-PSS
        let pairs: [[u8; 2]; 10] = [
            [4, 1],
            [5, 1],
            [6, 1],
            [4, 3],
            [5, 3],
            [6, 3],
            [8, 4],
            [2, 1],
            [2, 3],
            [2, 2],
        ];
        let mut list = Vec::new();
        block16(&mut list, &pairs.concat());
        extension(&mut all, 13, &list);
    }
    all
}

fn extension(all: &mut Vec<u8>, kind: u16, body: &[u8]) {
    all.extend_from_slice(&kind.to_be_bytes());
    block16(all, body);
}

fn block16(into: &mut Vec<u8>, bytes: &[u8]) {
    into.extend_from_slice(&u16::try_from(bytes.len()).unwrap_or_default().to_be_bytes());
    into.extend_from_slice(bytes);
}

/// Reads an answer; none: there has to be more of it.
pub(crate) fn reply(heard: &[u8]) -> Option<Reply> {
    let mut records = Reader(heard);
    let mut message = Vec::new();
    while message.len() < LONGEST_CHOICE {
        // what is no TLS is known by its first bytes, however few come
        match (records.0.first(), records.0.get(1)) {
            (None, _) | (Some(&(HANDSHAKE | ALERT)), None | Some(3)) => {}
            _ => return Some(Reply::Other),
        }
        let kind = records.u8()?;
        let _version = records.u16()?;
        let length = records.u16()?;
        if length == 0 || usize::from(length) > MOST {
            return Some(Reply::Other);
        }
        let body = records
            .0
            .get(..usize::from(length).min(records.0.len()))
            .unwrap_or_default();
        if kind == ALERT {
            if let Some(refusal) = refusal(body) {
                return Some(refusal);
            }
        } else {
            message.extend_from_slice(body);
            if let Some(reply) = server_hello(&message) {
                return Some(reply);
            }
        }
        records.take(usize::from(length))?;
    }
    Some(Reply::Other)
}

/// The first alert that ends a handshake. After a warning (that the name is not known, say) the server goes on.
fn refusal(alerts: &[u8]) -> Option<Reply> {
    let mut pairs = alerts.chunks_exact(2).filter_map(|pair| match pair {
        &[level, description] => Some((level, description)),
        _ => None,
    });
    let ends = |(level, description): &(u8, u8)| *level != WARNING || *description == CLOSE_NOTIFY;
    pairs.find(ends).map(|(_, description)| Reply::Alert(description))
}

/// Enough of a ServerHello to know the choice.
fn server_hello(message: &[u8]) -> Option<Reply> {
    let mut reader = Reader(message);
    if reader.u8()? != SERVER_HELLO {
        return Some(Reply::Other);
    }
    reader.u24()?;
    let Some(version) = Version::of(reader.u16()?) else {
        return Some(Reply::Other);
    };
    reader.take(32)?;
    let session = reader.u8()?;
    if session > 32 {
        return Some(Reply::Other);
    }
    reader.take(session.into())?;
    let suite = reader.u16()?;
    Some(Reply::Hello { version, suite })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What `openssl s_server` 3.0.19 (`-cipher ALL:@SECLEVEL=0`, RSA key) said to a hello of TLS 1.0 (the beginning).
    const REAL: &[u8] = include_bytes!("recorded/server-hello-tls10.bin");
    /// The same with `-tls1_3` only, to one of TLS 1.2.
    const REFUSAL: &[u8] = include_bytes!("recorded/alert-protocol-version.bin");

    #[test]
    fn real_answers_are_read_at_every_length() {
        let complete = reply(REAL);
        assert_eq!(
            complete,
            Some(Reply::Hello {
                version: Version::Tls10,
                suite: 0x002f
            })
        );
        assert_eq!(reply(REFUSAL), Some(Reply::Alert(70)));
        for length in 0..REAL.len() {
            let partly = reply(&REAL[..length]);
            assert!(partly.is_none() || partly == complete, "{length}: {partly:?}");
        }
        assert_eq!(reply(&REFUSAL[..6]), None);
    }

    #[test]
    fn a_warning_is_no_refusal() {
        // that it does not know the name, before its choice
        let warned = [&[21, 3, 1, 0, 2, 1, 112][..], REAL].concat();
        assert_eq!(reply(&warned), reply(REAL));
        for length in 0..12 {
            assert_eq!(reply(&warned[..length]), None, "{length}");
        }
        let refused = [21, 3, 1, 0, 2, 1, 112, 21, 3, 1, 0, 2, 2, 40];
        assert_eq!(reply(&refused), Some(Reply::Alert(40)));
        assert_eq!(reply(&[21, 3, 1, 0, 4, 1, 112, 2, 40]), Some(Reply::Alert(40)));
        assert_eq!(reply(&[21, 3, 1, 0, 2, 1, 0]), Some(Reply::Alert(0)), "it says goodbye");
    }

    #[test]
    fn a_hello_in_fragments_is_put_together() {
        let body = &REAL[5..];
        let mut fragments = Vec::new();
        for piece in body[..77].chunks(7) {
            fragments.extend_from_slice(&[22, 3, 1, 0, u8::try_from(piece.len()).unwrap()]);
            fragments.extend_from_slice(piece);
        }
        assert_eq!(reply(&fragments), reply(REAL));
        assert_eq!(reply(&fragments[..12]), None);
    }

    #[test]
    fn what_is_no_tls_is_known_at_once() {
        for text in [
            "HTTP/1.1 400 Bad Request\r\n",
            "SSH-2.0-x",
            "2",
            "\x16\x04",
            "\x16\x03\x01\0\0",
        ] {
            assert_eq!(reply(text.as_bytes()), Some(Reply::Other), "{text:?}");
        }
        // a certificate request is no ServerHello
        assert_eq!(reply(&[22, 3, 3, 0, 4, 13, 0, 0, 0]), Some(Reply::Other));
        // nor is one of TLS 1.4
        let mut odd = REAL.to_vec();
        odd[10] = 9;
        assert_eq!(reply(&odd), Some(Reply::Other));
        assert_eq!(reply(&[]), None);
    }

    /// Reads a ClientHello back: version of record and hello, suites, bytes of extensions.
    fn read_back(hello: &[u8]) -> (u16, u16, Vec<u16>, Vec<u8>) {
        let mut reader = Reader(hello);
        assert_eq!(reader.u8(), Some(22));
        let record = reader.u16().unwrap();
        assert_eq!(usize::from(reader.u16().unwrap()), reader.0.len());
        assert_eq!(
            (reader.u8(), reader.u24().map(|it| it as usize)),
            (Some(1), Some(reader.0.len()))
        );
        let version = reader.u16().unwrap();
        reader.take(32).unwrap();
        assert_eq!(reader.u8(), Some(0));
        let count = reader.u16().unwrap();
        let suites = reader.take(count.into()).unwrap();
        let suites = suites
            .chunks(2)
            .map(|pair| u16::from_be_bytes([pair[0], pair[1]]))
            .collect();
        assert_eq!(reader.take(2), Some(&[1, 0][..]));
        (record, version, suites, reader.0.to_vec())
    }

    #[test]
    fn a_hello_says_what_it_was_told_to() {
        let (record, version, suites, extensions) = read_back(&client_hello(Version::Ssl3, &[5], Some("a.example")));
        assert_eq!((record, version, suites.as_slice()), (0x0300, 0x0300, &[5, 0xff][..]));
        assert!(extensions.is_empty());
        let (record, version, _, extensions) = read_back(&client_hello(Version::Tls12, &[5], Some("a.example")));
        assert_eq!((record, version), (0x0301, 0x0303));
        assert!(extensions.windows(9).any(|it| it == b"a.example"));
        assert_eq!(
            extensions.len() - 2,
            usize::from(extensions[0]) * 256 + usize::from(extensions[1])
        );
        let (.., extensions) = read_back(&client_hello(Version::Tls10, &[5], Some("192.0.2.1")));
        assert!(!extensions.windows(3).any(|it| it == b"192"));
    }

    proptest! {
        #[test]
        fn nothing_a_server_says_makes_it_stumble(heard in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = reply(&heard);
        }

        #[test]
        fn a_damaged_answer_is_read_or_refused(at in 0..REAL.len(), value: u8, length in 0..REAL.len()) {
            let mut damaged = REAL.to_vec();
            damaged[at] = value;
            damaged.truncate(length);
            let read = reply(&damaged);
            prop_assert!(length > 0 || read.is_none());
        }
    }
}
