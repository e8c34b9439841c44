//! Where a path argument leads, links followed. It refuses what leaves the granted directory; it opens nothing.
//!
//! A path may change between this look and the program's own; Landlock holds then. This is the clear error
//! before it, and all there is where the kernel has no Landlock.

use std::path::{Component, Path, PathBuf};

use venom_bundle::capability::Access;

/// The directory a program works in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Home {
    /// Canonical, on this machine.
    pub(super) host: PathBuf,
    /// As the guest sees it; none for a private directory, which the guest does not see.
    pub(super) guest: Option<String>,
    pub(super) access: Access,
}

impl Home {
    /// The argument as the program must get it: guest paths become paths of this machine.
    ///
    /// `cwd` is canonical and inside the directory. The error is the reason for people.
    pub(super) fn admit(&self, cwd: &Path, argument: &str) -> Result<PathBuf, String> {
        let (path, start) = match self.translate(argument)? {
            Some(rest) => (rest, self.host.as_path()),
            None => (Path::new(argument), cwd),
        };
        self.follow(start, path)?;
        Ok(if argument.starts_with('/') {
            self.host.join(path)
        } else {
            path.to_owned()
        })
    }

    /// The canonical directory a guest path names; it must exist.
    pub(super) fn directory(&self, guest: &str) -> Result<PathBuf, String> {
        if guest.is_empty() {
            return Ok(self.host.clone());
        }
        let path = self.translate(guest)?.unwrap_or(Path::new(guest));
        let found = self.follow(&self.host, path)?;
        if found.is_dir() {
            Ok(found)
        } else {
            Err("it is no directory".to_owned())
        }
    }

    /// The part of an absolute guest path below this directory; none for a relative path.
    fn translate<'a>(&self, path: &'a str) -> Result<Option<&'a Path>, String> {
        if !path.starts_with('/') {
            return Ok(None);
        }
        let Some(guest) = &self.guest else {
            return Err("an absolute path, and the program has no granted directory".to_owned());
        };
        match Path::new(path).strip_prefix(guest) {
            Ok(rest) => Ok(Some(rest)),
            Err(_) => Err(format!("an absolute path outside {guest}")),
        }
    }

    /// Walks a path from a canonical start, through links, and refuses to step outside.
    fn follow(&self, start: &Path, path: &Path) -> Result<PathBuf, String> {
        let mut at = start.to_owned();
        let mut missing = false;
        for component in path.components() {
            match component {
                Component::CurDir => continue,
                Component::ParentDir if missing => return Err("`..` behind a directory that does not exist".to_owned()),
                Component::ParentDir => drop(at.pop()),
                Component::Normal(name) => at.push(name),
                Component::RootDir | Component::Prefix(_) => return Err("an absolute path".to_owned()),
            }
            if !missing {
                missing = !settle(&mut at)?;
            }
            if !at.starts_with(&self.host) {
                return Err("it leads outside the granted directory".to_owned());
            }
        }
        Ok(at)
    }
}

/// Replaces a link by where it leads. False when nothing is there.
fn settle(at: &mut PathBuf) -> Result<bool, String> {
    match at.symlink_metadata() {
        Ok(found) if found.is_symlink() => {
            *at = at.canonicalize().map_err(|_| "a link that leads nowhere".to_owned())?;
            Ok(true)
        }
        Ok(_) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        // `file/x`: the program will say so itself
        Err(error) if error.kind() == std::io::ErrorKind::NotADirectory => Ok(false),
        Err(error) => Err(format!("it cannot be looked at ({error})")),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn home() -> (tempfile::TempDir, Home) {
        let root = tempfile::tempdir().unwrap();
        let host = root.path().canonicalize().unwrap().join("home");
        std::fs::create_dir_all(host.join("sub/deep")).unwrap();
        std::fs::create_dir(root.path().join("home-2")).unwrap();
        std::fs::write(root.path().join("secret"), "s").unwrap();
        std::fs::write(host.join("file"), "f").unwrap();
        symlink("../secret", host.join("out")).unwrap();
        symlink("/etc", host.join("etc")).unwrap();
        symlink("sub/deep", host.join("in")).unwrap();
        symlink("nowhere", host.join("dangling")).unwrap();
        symlink(root.path().join("secret-to-be"), host.join("dangling-out")).unwrap();
        let guest = Some("/work".to_owned());
        (
            root,
            Home {
                host,
                guest,
                access: Access::Ro,
            },
        )
    }

    #[test]
    fn paths_inside_are_admitted_and_guest_paths_translated() {
        let (_root, home) = home();
        let host = home.host.clone();
        for (argument, given) in [
            ("file", PathBuf::from("file")),
            (".", PathBuf::from(".")),
            ("sub/../file", PathBuf::from("sub/../file")),
            ("in/../deep", PathBuf::from("in/../deep")),
            ("new", PathBuf::from("new")),
            ("sub/new/newer", PathBuf::from("sub/new/newer")),
            ("file/x", PathBuf::from("file/x")),
            ("/work", host.join("")),
            ("/work/", host.join("")),
            ("/work/file", host.join("file")),
            ("/work/sub/../file", host.join("sub/../file")),
        ] {
            assert_eq!(home.admit(&host, argument), Ok(given), "{argument}");
        }
        assert_eq!(home.admit(&host.join("sub"), "../file"), Ok(PathBuf::from("../file")));
    }

    #[test]
    fn paths_that_leave_are_refused() {
        let (_root, home) = home();
        let host = home.host.clone();
        let absolute_host = host.join("file").display().to_string();
        for argument in [
            "..",
            "../secret",
            "../home/file",
            "../home-2",
            "sub/../../secret",
            "in/../../../secret",
            "out",
            "etc/shadow",
            "etc/../etc/shadow",
            "dangling",
            "dangling-out",
            "new/../../secret",
            "/etc/shadow",
            "/workshop",
            "/work/../etc/shadow",
            "/work/out",
            "/",
            &absolute_host,
        ] {
            assert!(home.admit(&host, argument).is_err(), "{argument}");
        }
    }

    #[test]
    fn a_directory_to_run_in_must_be_one_inside() {
        let (_root, home) = home();
        let deep = home.host.join("sub/deep");
        assert_eq!(home.directory(""), Ok(home.host.clone()));
        assert_eq!(home.directory("/work/sub/deep"), Ok(deep.clone()));
        assert_eq!(home.directory("/work/in"), Ok(deep));
        for directory in ["/work/file", "/work/none", "/work/etc", "/tmp", "/work/.."] {
            assert!(home.directory(directory).is_err(), "{directory}");
        }
    }

    #[test]
    fn a_private_directory_takes_relative_paths_only() {
        let (_root, mut home) = home();
        home.guest = None;
        assert!(home.admit(&home.host, "file").is_ok());
        assert!(home.admit(&home.host, "/work/file").is_err());
    }
}
