//! The fleet, against SQLite and against a real PostgreSQL: every test once on each.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

/// Runs tests of this module, `async fn(&Base)`, on both back ends.
macro_rules! on_both {
    ($($name:ident),+ $(,)?) => {
        $(mod $name {
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite() {
                super::$name(&crate::base::Base::sqlite()).await;
            }
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            #[cfg_attr(no_postgres, ignore = "needs PostgreSQL (Debian: postgresql)")]
            async fn postgres() {
                super::$name(&crate::base::Base::postgres().await).await;
            }
        })+
    };
}

mod admitted;
mod agents_clones;
mod agents_commands;
mod agents_enrolment;
mod agents_inside;
mod agents_laws;
mod agents_lists;
mod agents_presence;
mod agents_shared;
mod agents_tokens;
mod base;
mod carried;
mod inventory_batches;
mod inventory_findings;
mod inventory_gone;
mod inventory_hostile;
mod inventory_lists;
mod inventory_prune;
mod inventory_things;
mod inventory_volume;
mod postgres;
mod seen;
