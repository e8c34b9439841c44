//! Limits the system puts on this process: how many files, and so connections, it may have open.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Asked for where the system sets no upper limit of its own.
const PLENTY: u64 = 1_048_576;

/// Raises the limit to all that is allowed without privileges. The usual soft limit of 1,024 is for programs that
/// use select(2); a nexus with a thousand spores is over it.
pub(crate) fn raise_open_files() {
    let maximum = getrlimit(Resource::Nofile).maximum;
    let raised = Rlimit {
        current: Some(most_open_files()),
        maximum,
    };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, "the limit of open files stays as it is: fewer connections than configured may fit");
    }
}

/// Files this process may open once the limit is raised.
pub(crate) fn most_open_files() -> u64 {
    getrlimit(Resource::Nofile).maximum.unwrap_or(PLENTY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_raised_to_the_hard_one() {
        raise_open_files();
        assert_eq!(getrlimit(Resource::Nofile).current, Some(most_open_files()));
    }
}
