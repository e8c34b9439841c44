//! Names of addresses by the machine's own resolver: its hosts file, its name servers, whatever it is set up to ask.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use dns_lookup::{LookupErrorKind, getnameinfo};
use tokio::sync::Semaphore;

use super::text;
use crate::bindings::GuestError;

/// Questions to the system's resolver at one time, of all calls. It cannot be interrupted: whoever gave up waiting leaves
/// a thread behind until it answers.
static QUESTIONS: Semaphore = Semaphore::const_new(16);
/// How many of those one skill may have, so that one whose resolver does not answer leaves some to the others.
const SHARE: usize = 4;

/// A skill's part of the questions under way, of all its calls.
#[derive(Debug, Clone)]
pub(crate) struct ResolverShare(Arc<Semaphore>);

impl Default for ResolverShare {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(SHARE)))
    }
}

/// Longest name there is in DNS.
const LONGEST: usize = 253;

/// The names of an address; none when it has none.
pub(super) async fn names(address: IpAddr, share: ResolverShare) -> Result<Vec<String>, GuestError> {
    let asked = aside(share, move || {
        match getnameinfo(&SocketAddr::new(address, 0), libc::NI_NAMEREQD) {
            Ok((name, _)) => Ok(Some(name)),
            Err(error) if matches!(error.kind(), LookupErrorKind::NoName | LookupErrorKind::NoData) => Ok(None),
            Err(error) => Err(io::Error::from(error)),
        }
    });
    match asked.await? {
        Ok(name) => Ok(name.as_deref().and_then(plain).into_iter().collect()),
        Err(error) => Err(GuestError::Unavailable(format!("the name of {address}: {error}"))),
    }
}

/// Asks on a thread of its own, which keeps its places until it has an answer.
async fn aside<T: Send + 'static>(
    share: ResolverShare,
    ask: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<io::Result<T>, GuestError> {
    let shut = |_| GuestError::Unavailable("the resolver is shut".to_owned());
    let own = share.0.acquire_owned().await.map_err(shut)?;
    let place = QUESTIONS.acquire().await.map_err(shut)?;
    let asked = tokio::task::spawn_blocking(move || {
        let _places = (own, place);
        ask()
    });
    Ok(asked.await.unwrap_or_else(|gone| Err(io::Error::other(gone))))
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
    use std::sync::{Mutex, mpsc};
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn loopback_has_its_name_from_the_hosts_file() {
        let names = names("127.0.0.1".parse().unwrap(), ResolverShare::default()).await;
        assert_eq!(names.unwrap(), ["localhost"]);
    }

    #[tokio::test]
    async fn a_skill_whose_questions_hang_leaves_places_to_others() {
        let soon = Duration::from_millis(50);
        let greedy = ResolverShare::default();
        // each waits until the test lets it go, though nobody waits for it any more
        let (release, held) = mpsc::channel::<()>();
        let held = Arc::new(Mutex::new(held));
        for _ in 0..20 {
            let held = Arc::clone(&held);
            let hangs = aside(greedy.clone(), move || {
                let _ = held.lock().map(|held| held.recv());
                Ok(())
            });
            assert!(timeout(soon, hangs).await.is_err());
        }
        let other = timeout(Duration::from_secs(5), aside(ResolverShare::default(), || Ok(7))).await;
        assert_eq!(other.unwrap().unwrap().unwrap(), 7);
        drop(release);
        let again = timeout(Duration::from_secs(5), aside(greedy, || Ok(8))).await;
        assert_eq!(
            again.unwrap().unwrap().unwrap(),
            8,
            "what has ended has given its place back"
        );
    }

    #[test]
    fn what_is_no_name_is_dropped() {
        assert_eq!(plain("Printer.LAN.").as_deref(), Some("printer.lan"));
        for odd in ["", ".", "a b", "<script>", "10.0.0.1", &"x".repeat(254)] {
            assert_eq!(plain(odd), None, "{odd}");
        }
    }
}
