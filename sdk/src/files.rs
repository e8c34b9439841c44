//! Paths of granted directories, for use with `std::fs`. The checks here only make refusals readable: the
//! sandbox itself keeps a skill inside its directories, links and races included.
//!
//! ```
//! use venom_sdk::{fake::Host, files};
//! # let directory = std::env::temp_dir();
//! let _host = Host::new().directory("/work", directory).install();
//! assert_eq!(files::roots(), ["/work"]);
//! assert!(files::path("notes/today.txt").is_ok());
//! assert!(files::path("../../etc/passwd").is_err());
//! ```

use std::path::{Component, Path, PathBuf};

use crate::{Error, Refusal, Result, host};

/// What relative paths are relative to.
pub const WORKSPACE: &str = "/work";

/// The guest paths of all granted directories, in no order.
#[must_use]
pub fn roots() -> Vec<String> {
    host::roots().into_iter().map(|(guest, _)| guest).collect()
}

/// The path to open for a path a caller wrote: relative ones are inside [`WORKSPACE`], absolute ones must be inside a
/// granted directory. (In native tests the answer is a path of the directory that the fake host was given.)
pub fn path(written: &str) -> Result<PathBuf> {
    if written.contains('\0') {
        return Err(Error::InvalidParams(format!(
            "`{}` is no path: it holds a zero byte",
            written.escape_debug()
        )));
    }
    let guest = Path::new(WORKSPACE).join(written);
    let roots = host::roots();
    let inside = |root: &str| guest.strip_prefix(root).ok().map(Path::to_path_buf);
    let found = roots
        .iter()
        .filter_map(|(root, place)| Some((root, place, inside(root)?)))
        .max_by_key(|(root, ..)| root.len());
    match found {
        Some((root, _, rest)) if leaves(&rest) => Err(refusal(
            written,
            format!("it leaves the granted directory `{root}`"),
            String::new(),
        )),
        Some((_, place, rest)) if rest.as_os_str().is_empty() => Ok(place.clone()),
        Some((_, place, rest)) => Ok(place.join(rest)),
        None => Err(not_granted(written, &guest, &roots)),
    }
}

/// Whether `..` climbs above where the path began.
fn leaves(rest: &Path) -> bool {
    let mut depth = 0_u32;
    for component in rest.components() {
        match component {
            Component::ParentDir => match depth.checked_sub(1) {
                Some(less) => depth = less,
                None => return true,
            },
            Component::Normal(_) => depth += 1,
            _ => {}
        }
    }
    false
}

fn not_granted(written: &str, guest: &Path, roots: &[(String, PathBuf)]) -> Error {
    let reason = if roots.is_empty() {
        "no directory is granted".to_owned()
    } else {
        let names: Vec<&str> = roots.iter().map(|(root, _)| root.as_str()).collect();
        format!("it is outside the granted directories ({})", names.join(", "))
    };
    let directory = if written.starts_with('/') {
        guest.parent().unwrap_or(guest).display().to_string()
    } else {
        WORKSPACE.to_owned()
    };
    refusal(
        written,
        reason,
        format!("fs = [{{ host = \"DIRECTORY\", guest = \"{directory}\" }}]"),
    )
}

fn refusal(target: &str, reason: String, missing_grant: String) -> Error {
    Refusal {
        capability: "fs".to_owned(),
        target: target.to_owned(),
        reason,
        missing_grant,
    }
    .into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::Host;

    fn denied(written: &str) -> Refusal {
        match path(written) {
            Err(Error::Denied(refusal)) => *refusal,
            other => panic!("`{written}` should be denied, got {other:?}"),
        }
    }

    #[test]
    fn paths_stay_inside_granted_directories() {
        let _host = Host::new()
            .directory("/work", "/tmp/w")
            .directory("/work/deep", "/tmp/d")
            .install();
        assert_eq!(path("a/b.txt").unwrap(), Path::new("/tmp/w/a/b.txt"));
        assert_eq!(path("a/../b.txt").unwrap(), Path::new("/tmp/w/a/../b.txt"));
        assert_eq!(path("").unwrap(), Path::new("/tmp/w"));
        assert_eq!(path("/work/deep/x").unwrap(), Path::new("/tmp/d/x"));
        assert!(denied("../x").reason.contains("leaves the granted directory `/work`"));
        assert!(denied("a/../../work/x").reason.contains("leaves"));
        assert!(denied("/work/../etc/passwd").reason.contains("leaves"));
        assert!(
            denied("/workshop/x")
                .reason
                .contains("outside the granted directories (/work, /work/deep)")
        );
        assert_eq!(
            denied("/etc/passwd").missing_grant,
            "fs = [{ host = \"DIRECTORY\", guest = \"/etc\" }]"
        );
        assert!(matches!(path("a\0b"), Err(Error::InvalidParams(_))));
    }

    #[test]
    fn without_grants_nothing_opens() {
        let _host = Host::new().install();
        assert_eq!(denied("a.txt").reason, "no directory is granted");
        assert!(denied("a.txt").missing_grant.contains("/work"));
    }
}
