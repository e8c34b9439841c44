//! The program that goes there: what machines it is for, how large it is, its digest.

use std::io::{Read as _, Seek as _};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use crate::failure::{Explain as _, Failure};

/// Bytes read at one time.
const CHUNK: usize = 256 * 1024;

/// A program on this machine.
#[derive(Debug)]
pub(super) struct Program {
    pub path: PathBuf,
    pub bytes: u64,
    pub sha256: String,
    /// As `uname -m` has it; `None` for a script, which runs on any.
    machine: Option<&'static str>,
}

impl Program {
    /// Reads `path`, or else this very program.
    pub(super) fn read(path: Option<&Path>) -> Result<Self, Failure> {
        let path = match path {
            Some(path) => path.to_owned(),
            None => std::env::current_exe().or_fail("this program cannot be found")?,
        };
        let what = || format!("the program {} cannot be read", path.display());
        let mut file = std::fs::File::open(&path).or_fail(what())?;
        let mut head = [0; 20];
        file.read_exact(&mut head).or_fail(what())?;
        let machine = machine(&head)
            .map_err(|why| Failure::new(format!("{} cannot be put on another machine", path.display())).because(why))?;
        file.rewind().or_fail(what())?;
        let (mut digest, mut bytes, mut chunk) = (Sha256::new(), 0, vec![0; CHUNK]);
        loop {
            let read = file.read(&mut chunk).or_fail(what())?;
            if read == 0 {
                break;
            }
            bytes += read as u64;
            digest.update(chunk.get(..read).unwrap_or_default());
        }
        let sha256 = digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self {
            path,
            bytes,
            sha256,
            machine,
        })
    }

    /// Whether it is for machines of that kind.
    pub(super) fn fits(&self, system: &str, machine: &str) -> Result<(), Failure> {
        let machine = match machine {
            "arm64" => "aarch64",
            "amd64" => "x86_64",
            other => other,
        };
        if system == "Linux" && self.machine.is_none_or(|own| own == machine) {
            return Ok(());
        }
        Err(Failure::new(format!("this program does not run on {system} {machine}"))
            .because(format!(
                "{} is for Linux {}",
                self.path.display(),
                self.machine.unwrap_or("of any kind")
            ))
            .help("name one that was built for that machine with --program FILE"))
    }
}

/// Of the head of an ELF file.
fn machine(head: &[u8; 20]) -> Result<Option<&'static str>, &'static str> {
    let [magic @ .., low, high] = head;
    if magic.starts_with(b"#!") {
        return Ok(None);
    }
    if !magic.starts_with(b"\x7fELF") {
        return Err("it is no program of Linux");
    }
    match u16::from_le_bytes([*low, *high]) {
        62 => Ok(Some("x86_64")),
        183 => Ok(Some("aarch64")),
        243 => Ok(Some("riscv64")),
        _ => Err("it is for a kind of machine that is not known here"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_program_is_for_this_machine_and_no_other() {
        let program = Program::read(None).unwrap();
        assert_eq!(program.bytes, std::fs::metadata(&program.path).unwrap().len());
        assert!(program.fits("Linux", std::env::consts::ARCH).is_ok());
        for (system, machine) in [("Darwin", std::env::consts::ARCH), ("Linux", "armv7l"), ("Linux", "")] {
            assert!(program.fits(system, machine).is_err(), "{system} {machine}");
        }
    }

    #[test]
    fn the_machine_is_read_from_the_file() {
        let of = |machine: u16| {
            let mut head = [0; 20];
            head[..4].copy_from_slice(b"\x7fELF");
            head[18..].copy_from_slice(&machine.to_le_bytes());
            super::machine(&head)
        };
        assert_eq!(
            [62, 183, 243].map(|id| of(id).unwrap()),
            [Some("x86_64"), Some("aarch64"), Some("riscv64")]
        );
        assert!(of(8).is_err());
        assert_eq!(super::machine(b"#!/bin/sh\nexec true\n"), Ok(None));
        assert!(super::machine(&[0; 20]).is_err());
    }
}
