//! Names of addresses by the machine's own resolver: its hosts file, its name servers, whatever it is set up to ask.

use std::io;
use std::net::{IpAddr, SocketAddr};

use dns_lookup::{LookupErrorKind, getnameinfo};
use tokio::sync::Semaphore;

use super::text;
use crate::bindings::GuestError;

/// Questions to the system's resolver at one time, of all calls. It cannot be interrupted: whoever gave up waiting leaves
/// a thread behind until it answers.
static QUESTIONS: Semaphore = Semaphore::const_new(16);

/// Longest name there is in DNS.
const LONGEST: usize = 253;

/// The names of an address; none when it has none.
pub(super) async fn names(address: IpAddr) -> Result<Vec<String>, GuestError> {
    let place = QUESTIONS.acquire().await;
    let place = place.map_err(|_| GuestError::Unavailable("the resolver is shut".to_owned()))?;
    let asked = tokio::task::spawn_blocking(move || {
        let _place = place;
        let flags = libc::NI_NAMEREQD;
        match getnameinfo(&SocketAddr::new(address, 0), flags) {
            Ok((name, _)) => Ok(Some(name)),
            Err(error) if matches!(error.kind(), LookupErrorKind::NoName | LookupErrorKind::NoData) => Ok(None),
            Err(error) => Err(io::Error::from(error)),
        }
    });
    let answer = asked.await.unwrap_or_else(|gone| Err(io::Error::other(gone)));
    match answer {
        Ok(name) => Ok(name.as_deref().and_then(plain).into_iter().collect()),
        Err(error) => Err(GuestError::Unavailable(format!("the name of {address}: {error}"))),
    }
}

/// A host's name as it is written, lower case, without the root's dot; whoever owns a zone may put anything into it.
fn plain(name: &str) -> Option<String> {
    let name = text::tame(name).to_ascii_lowercase();
    let name = name.strip_suffix('.').unwrap_or(&name);
    let legal = |character: char| character.is_ascii_alphanumeric() || "-_.".contains(character);
    let good = (1..=LONGEST).contains(&name.len()) && name.chars().all(legal) && name.parse::<IpAddr>().is_err();
    good.then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn loopback_has_its_name_from_the_hosts_file() {
        let names = names("127.0.0.1".parse().unwrap()).await.unwrap();
        assert_eq!(names, ["localhost"]);
    }

    #[test]
    fn what_is_no_name_is_dropped() {
        assert_eq!(plain("Printer.LAN.").as_deref(), Some("printer.lan"));
        for odd in ["", ".", "a b", "<script>", "10.0.0.1", &"x".repeat(254)] {
            assert_eq!(plain(odd), None, "{odd}");
        }
    }
}
