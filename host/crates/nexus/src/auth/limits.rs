//! Token buckets for whoever knocks, in a table that cannot grow without bound.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Visitors told apart at one time. Beyond that newcomers share one bucket until others have calmed down.
const MAX_VISITORS: usize = 16_384;

/// Whose bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Visitor {
    /// The holder of an operator token, by its place in the keyring.
    Holder(u32),
    /// An address; IPv6 by its /64, which is what one customer gets.
    Address(IpAddr),
    /// An agent, by a digest of its id that is this process's own.
    Agent(u64),
    /// All for whom there was no room.
    Crowd,
}

impl Visitor {
    /// The bucket of an agent.
    pub(crate) fn from_agent(agent: &venom_protocol::AgentId) -> Self {
        static KEYS: std::sync::LazyLock<std::hash::RandomState> = std::sync::LazyLock::new(Default::default);
        Self::Agent(std::hash::BuildHasher::hash_one(&*KEYS, agent))
    }

    /// The bucket of an address.
    pub(crate) fn from_address(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(v4) => Self::Address(v4.into()),
            IpAddr::V6(v6) => Self::Address(IpAddr::from((u128::from(v6) & !u128::from(u64::MAX)).to_be_bytes())),
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    level: f64,
    filled_at: Instant,
}

/// Buckets of one size and speed.
pub(crate) struct Buckets {
    size: f64,
    per_second: f64,
    table: Mutex<HashMap<Visitor, Bucket>>,
}

impl Buckets {
    /// Buckets of `size` that fill in `fill_time`. Size 0 never refuses.
    pub(crate) fn new(size: u32, fill_time: Duration) -> Self {
        Self {
            size: f64::from(size),
            per_second: f64::from(size) / fill_time.as_secs_f64().max(f64::MIN_POSITIVE),
            table: Mutex::default(),
        }
    }

    /// Takes one from the bucket, or says after how long there will be one.
    pub(crate) fn take(&self, visitor: Visitor, now: Instant) -> Result<(), Duration> {
        self.with_bucket(visitor, now, |bucket| {
            if bucket.level < 1.0 {
                return Err(bucket.level);
            }
            bucket.level -= 1.0;
            Ok(())
        })
    }

    /// Whether there is one to take, without taking it.
    pub(crate) fn look(&self, visitor: Visitor, now: Instant) -> Result<(), Duration> {
        self.with_bucket(visitor, now, |bucket| {
            if bucket.level < 1.0 { Err(bucket.level) } else { Ok(()) }
        })
    }

    fn with_bucket(
        &self,
        visitor: Visitor,
        now: Instant,
        act: impl FnOnce(&mut Bucket) -> Result<(), f64>,
    ) -> Result<(), Duration> {
        if self.size == 0.0 {
            return Ok(());
        }
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        let visitor = self.with_room(&mut table, visitor, now);
        let bucket = table.entry(visitor).or_insert(Bucket {
            level: self.size,
            filled_at: now,
        });
        bucket.level = self.level(bucket, now);
        bucket.filled_at = now;
        act(bucket).map_err(|level| Duration::from_secs_f64((1.0 - level) / self.per_second))
    }

    fn level(&self, bucket: &Bucket, now: Instant) -> f64 {
        let waited = now.saturating_duration_since(bucket.filled_at).as_secs_f64();
        (bucket.level + waited * self.per_second).min(self.size)
    }

    /// A full bucket says nothing that a new one does not: those go first.
    fn with_room(&self, table: &mut HashMap<Visitor, Bucket>, visitor: Visitor, now: Instant) -> Visitor {
        if table.len() < MAX_VISITORS || table.contains_key(&visitor) {
            return visitor;
        }
        table.retain(|_, bucket| self.level(bucket, now) < self.size);
        if table.len() < MAX_VISITORS {
            visitor
        } else {
            Visitor::Crowd
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(n: u32) -> Visitor {
        Visitor::from_address(IpAddr::from(n.to_be_bytes()))
    }

    #[test]
    fn refuses_when_empty_and_says_how_long_to_wait() {
        let buckets = Buckets::new(2, Duration::from_secs(1));
        let now = Instant::now();
        assert!(buckets.take(address(1), now).is_ok() && buckets.take(address(1), now).is_ok());
        let wait = buckets.take(address(1), now).unwrap_err();
        assert_eq!(wait, Duration::from_millis(500));
        assert!(buckets.take(address(2), now).is_ok(), "others are not touched");
        assert!(buckets.take(address(1), now + wait).is_ok());
    }

    #[test]
    fn looking_takes_nothing() {
        let buckets = Buckets::new(1, Duration::from_secs(1));
        let now = Instant::now();
        assert!(buckets.look(address(1), now).is_ok() && buckets.look(address(1), now).is_ok());
        assert!(buckets.take(address(1), now).is_ok());
        assert!(buckets.look(address(1), now).is_err());
    }

    #[test]
    fn zero_means_no_limit() {
        let buckets = Buckets::new(0, Duration::from_secs(1));
        let now = Instant::now();
        assert!((0..1000).all(|_| buckets.take(address(1), now).is_ok()));
    }

    #[test]
    fn the_table_is_bounded_and_newcomers_share_when_it_is_full() {
        let buckets = Buckets::new(2, Duration::from_secs(1));
        let now = Instant::now();
        for n in 0..(MAX_VISITORS as u32 + 100) {
            let _ = buckets.take(address(n), now);
        }
        assert!(buckets.table.lock().unwrap().len() <= MAX_VISITORS + 1);
        assert!(
            buckets.take(address(9_999_999), now).is_err(),
            "the crowd's bucket is empty by now"
        );
        let later = now + Duration::from_secs(2);
        assert!(buckets.take(address(9_999_999), later).is_ok());
        assert!(buckets.table.lock().unwrap().len() < 10, "full buckets are forgotten");
    }

    #[test]
    fn one_ipv6_network_is_one_visitor_and_mapped_addresses_are_ipv4() {
        let a = Visitor::from_address("2001:db8::1".parse().unwrap());
        let b = Visitor::from_address("2001:db8::ffff".parse().unwrap());
        let c = Visitor::from_address("2001:db8:0:1::1".parse().unwrap());
        assert!(a == b && a != c);
        let mapped = Visitor::from_address("::ffff:10.0.0.1".parse().unwrap());
        assert_eq!(mapped, Visitor::from_address("10.0.0.1".parse().unwrap()));
    }
}
