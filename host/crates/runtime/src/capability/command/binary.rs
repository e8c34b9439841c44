//! Finds a granted program and what the kernel needs to start it. It runs nothing.

use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Where a program without a path is looked for.
const PROGRAM_DIRECTORIES: [&str; 3] = ["/usr/local/bin", "/usr/bin", "/bin"];
/// Interpreters of interpreters are followed this far, as the kernel does.
const MOST_INTERPRETERS: usize = 4;
/// Program headers looked at for the loader's name.
const MOST_HEADERS: usize = 64;

/// A program found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Binary {
    /// As granted or found, before links were followed: what the program sees as its own name.
    pub(super) shown: PathBuf,
    /// What is started.
    pub(super) path: PathBuf,
    /// The loader or interpreters without which it does not start.
    pub(super) starters: Vec<PathBuf>,
}

/// Finds a program by its path, or by its name in the fixed list. The error says what is wrong.
pub(super) fn find(name: &str, path: Option<&Path>) -> Result<Binary, String> {
    let shown = match path {
        Some(path) if path.is_absolute() => path.to_owned(),
        Some(path) => return Err(format!("`path` must be absolute, not {}", path.display())),
        None => in_directories(name)?,
    };
    let path = executable(&shown)?;
    let starters = starters(&path)?;
    Ok(Binary { shown, path, starters })
}

fn in_directories(name: &str) -> Result<PathBuf, String> {
    let plain = !name.is_empty() && !name.contains('/') && name != "." && name != "..";
    let mut places = PROGRAM_DIRECTORIES
        .iter()
        .map(|directory| Path::new(directory).join(name));
    let found = places.find(|place| plain && place.is_file());
    found.ok_or_else(|| {
        format!(
            "no such program in {} (install it or give its `path`)",
            PROGRAM_DIRECTORIES.join(", ")
        )
    })
}

/// The canonical path of a regular file that may be executed.
fn executable(path: &Path) -> Result<PathBuf, String> {
    let shown = path.display();
    let path = path.canonicalize().map_err(|error| format!("{shown}: {error}"))?;
    let found = path.metadata().map_err(|error| format!("{shown}: {error}"))?;
    if !found.is_file() {
        return Err(format!("{shown} is no regular file"));
    }
    if found.permissions().mode() & 0o111 == 0 {
        return Err(format!("{shown} is not executable"));
    }
    Ok(path)
}

fn starters(path: &Path) -> Result<Vec<PathBuf>, String> {
    let mut found = Vec::new();
    let mut next = starter(path)?;
    while let Some(path) = next {
        if found.len() == MOST_INTERPRETERS {
            return Err("its interpreters go round in a circle".to_owned());
        }
        let path = executable(&path)?;
        next = starter(&path)?;
        found.push(path);
    }
    Ok(found)
}

/// The interpreter of a script or the loader of an ELF file; none for a static one.
fn starter(path: &Path) -> Result<Option<PathBuf>, String> {
    let unreadable = |error: std::io::Error| format!("{}: {error}", path.display());
    let mut file = std::fs::File::open(path).map_err(unreadable)?;
    let mut head = Vec::new();
    (&mut file).take(64 * 1024).read_to_end(&mut head).map_err(unreadable)?;
    if let Some(line) = head.strip_prefix(b"#!") {
        return script(path, line).map(Some);
    }
    Ok(elf_loader(&head))
}

fn script(path: &Path, line: &[u8]) -> Result<PathBuf, String> {
    let line = line.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let line = String::from_utf8_lossy(line);
    let interpreter = PathBuf::from(line.split_whitespace().next().unwrap_or_default());
    if interpreter.file_name().is_some_and(|name| name == "env") {
        return Err(format!(
            "{} is a script started through env, which may start any program (grant its interpreter instead)",
            path.display()
        ));
    }
    Ok(interpreter)
}

/// The `PT_INTERP` of a little-endian 64-bit ELF file, after the System V ABI.
fn elf_loader(file: &[u8]) -> Option<PathBuf> {
    const PT_INTERP: u32 = 3;
    if file.get(..6)? != [0x7f, b'E', b'L', b'F', 2, 1] {
        return None;
    }
    let first = usize::try_from(u64::from_le_bytes(bytes(file, 32)?)).ok()?;
    let size = usize::from(u16::from_le_bytes(bytes(file, 54)?));
    let count = usize::from(u16::from_le_bytes(bytes(file, 56)?)).min(MOST_HEADERS);
    for index in 0..count {
        let header = first.checked_add(index.checked_mul(size)?)?;
        if u32::from_le_bytes(bytes(file, header)?) == PT_INTERP {
            let start = usize::try_from(u64::from_le_bytes(bytes(file, header.checked_add(8)?)?)).ok()?;
            let length = usize::try_from(u64::from_le_bytes(bytes(file, header.checked_add(32)?)?)).ok()?;
            let name = file.get(start..start.checked_add(length)?)?;
            let name = name.split(|byte| *byte == 0).next()?;
            return Some(PathBuf::from(std::str::from_utf8(name).ok()?));
        }
    }
    None
}

fn bytes<const N: usize>(file: &[u8], at: usize) -> Option<[u8; N]> {
    file.get(at..at.checked_add(N)?)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_a_program_and_its_loader() {
        let found = find("cat", None).unwrap();
        assert_eq!(found.path.file_name().unwrap(), found.shown.file_name().unwrap());
        #[cfg(all(target_os = "linux", target_env = "gnu"))]
        assert!(
            found.starters.iter().any(|path| path.to_string_lossy().contains("ld-")),
            "{found:?}"
        );
    }

    #[test]
    fn what_cannot_be_run_is_refused_with_the_reason() {
        let directory = tempfile::tempdir().unwrap();
        let plain = directory.path().join("plain");
        std::fs::write(&plain, "x").unwrap();
        let script = directory.path().join("script");
        std::fs::write(&script, "#!/usr/bin/env sh\n").unwrap();
        std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
        for (name, path, problem) in [
            ("no-such-program", None, "no such program"),
            ("../bin/cat", None, "no such program"),
            ("cat", Some(Path::new("bin/cat")), "must be absolute"),
            ("cat", Some(Path::new("/no/such")), "No such file"),
            ("cat", Some(Path::new("/etc")), "no regular file"),
            ("cat", Some(plain.as_path()), "not executable"),
            ("cat", Some(script.as_path()), "through env"),
        ] {
            let refused = find(name, path).unwrap_err();
            assert!(refused.contains(problem), "{refused}");
        }
    }

    #[test]
    fn a_script_needs_its_interpreter_and_that_ones_loader() {
        let directory = tempfile::tempdir().unwrap();
        let script = directory.path().join("script");
        std::fs::write(&script, "#! /bin/sh -e\necho hi\n").unwrap();
        std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
        let found = find("script", Some(&script)).unwrap();
        assert_eq!(
            found.starters.first(),
            Some(&Path::new("/bin/sh").canonicalize().unwrap())
        );
    }

    #[test]
    fn broken_elf_files_have_no_loader() {
        let file = std::fs::read("/bin/cat").unwrap();
        for length in [0, 5, 6, 33, 57, 64, 65, 100] {
            assert_eq!(elf_loader(&file[..length]), None, "{length}");
        }
    }
}
