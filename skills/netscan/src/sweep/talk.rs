//! The few words with a port that opened: it is listened to first, and asked by HTTP only where that is usual. Pure: what
//! came goes in, what to do next comes out.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::ports::Look;

/// Longest wait for the first word of a service that greets.
pub(super) const GREETING: Duration = Duration::from_millis(1_500);
/// The same where HTTP is usual: its servers wait to be asked.
const BEFORE_ASKING: Duration = Duration::from_millis(150);
/// Longest wait for the answer to a question.
const ANSWER: Duration = Duration::from_millis(2_000);
/// What is waited for more once something came that ends in no line.
const REST: Duration = Duration::from_millis(100);
/// Most bytes kept of what one port says.
const LONGEST: usize = 2_048;

/// What to do next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Wait for more, at most so long.
    Wait(Duration),
    /// Say this, then wait.
    Say(Vec<u8>, Duration),
    /// Hang up.
    Enough,
}

/// One conversation.
#[derive(Debug)]
pub(crate) struct Talk {
    peer: SocketAddr,
    /// Whether it is still to be asked.
    ask: bool,
    asked: bool,
    said: Vec<u8>,
}

impl Talk {
    pub(crate) fn new(look: Look, peer: SocketAddr) -> Self {
        Self {
            peer,
            ask: look == Look::Ask,
            asked: false,
            said: Vec::new(),
        }
    }

    /// How long it is listened to at first.
    pub(crate) fn patience(&self) -> Duration {
        if self.ask { BEFORE_ASKING } else { GREETING }
    }

    /// Bytes came.
    pub(crate) fn heard(&mut self, bytes: &[u8]) -> Next {
        let room = LONGEST.saturating_sub(self.said.len());
        self.said.extend(bytes.iter().take(room));
        let whole = if self.asked {
            self.said.windows(4).any(|end| end == b"\r\n\r\n")
        } else {
            self.said.contains(&b'\n')
        };
        if whole || self.said.len() >= LONGEST {
            Next::Enough
        } else if self.asked {
            Next::Wait(ANSWER)
        } else {
            Next::Wait(REST)
        }
    }

    /// The time was over.
    pub(crate) fn silent(&mut self) -> Next {
        if self.asked || !self.ask || !self.said.is_empty() {
            return Next::Enough;
        }
        self.asked = true;
        let host = match self.peer.ip() {
            IpAddr::V4(address) => address.to_string(),
            IpAddr::V6(address) => format!("[{address}]"),
        };
        let question = format!(
            "HEAD / HTTP/1.1\r\nHost: {host}:{}\r\nUser-Agent: venom-netscan\r\nAccept: */*\r\nConnection: close\r\n\r\n",
            self.peer.port()
        );
        Next::Say(question.into_bytes(), ANSWER)
    }

    /// All it said.
    pub(crate) fn said(self) -> Vec<u8> {
        self.said
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn talk(look: Look) -> Talk {
        Talk::new(look, "10.0.0.1:80".parse().unwrap())
    }

    #[test]
    fn who_greets_is_asked_nothing() {
        let mut ssh = talk(Look::Listen);
        assert_eq!(ssh.heard(b"SSH-2.0-"), Next::Wait(REST));
        assert_eq!(ssh.heard(b"x\r\n"), Next::Enough);
        assert_eq!(ssh.said(), b"SSH-2.0-x\r\n");
        assert_eq!(talk(Look::Listen).silent(), Next::Enough);
        let mut odd = talk(Look::Ask);
        assert_eq!(odd.heard(b"hello"), Next::Wait(REST));
        assert_eq!(odd.silent(), Next::Enough, "it speaks already, and no HTTP");
    }

    #[test]
    fn http_is_asked_once_and_heard_to_the_end_of_its_headers() {
        let mut http = talk(Look::Ask);
        let Next::Say(question, _) = http.silent() else {
            panic!("it must ask")
        };
        let question = String::from_utf8(question).unwrap();
        assert!(question.starts_with("HEAD / HTTP/1.1\r\nHost: 10.0.0.1:80\r\n") && question.ends_with("\r\n\r\n"));
        assert_eq!(http.heard(b"HTTP/1.1 200 OK\r\nServer: x\r\n"), Next::Wait(ANSWER));
        assert_eq!(http.heard(b"\r\n"), Next::Enough);
        let mut silent = talk(Look::Ask);
        silent.silent();
        assert_eq!(silent.silent(), Next::Enough);
    }

    #[test]
    fn an_endless_talker_is_cut_off() {
        let mut talker = talk(Look::Listen);
        assert_eq!(talker.heard(&[b'x'; 3 * LONGEST]), Next::Enough);
        assert_eq!(talker.said().len(), LONGEST);
    }
}
