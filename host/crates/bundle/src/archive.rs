//! The `.venom` file: an uncompressed tar of exactly `envelope.json` and `component.wasm`, in that order. There is
//! one valid byte string for one pair of contents; whatever else a tar can hold is refused, and nothing is ever
//! unpacked to disk.

use std::io::{self, Read};
use std::path::{Component, Path};

use tar::{EntryType, Header};

use crate::MAX_ENVELOPE_BYTES;

/// Largest component.
pub const MAX_COMPONENT_BYTES: u64 = 64 * 1024 * 1024;

const ENVELOPE: &str = "envelope.json";
const COMPONENT: &str = "component.wasm";
const BLOCK: usize = 512;
/// Largest `.venom` file: both contents at their largest (whole blocks), a header for each, and the end marker.
pub const MAX_BUNDLE_FILE_BYTES: u64 = MAX_ENVELOPE_BYTES as u64 + MAX_COMPONENT_BYTES + 4 * BLOCK as u64;

/// Why a file is no `.venom` archive.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// It cannot be read.
    #[error("reading failed: {0}")]
    Io(#[source] io::Error),
    /// It ends too soon.
    #[error("it ends inside {part}: the file is cut short, fetch it again")]
    CutShort {
        /// Where.
        part: &'static str,
    },
    /// Not a tar header.
    #[error("where the header of {part} should be there is no tar header: this is no .venom file, or a damaged one")]
    NotTar {
        /// The entry expected.
        part: &'static str,
    },
    /// A name that points out of the archive.
    #[error("it holds the entry `{name}`, which points outside: somebody built it to do harm, do not use it")]
    UnsafeName {
        /// The name.
        name: String,
    },
    /// A link, a directory, a device, an extension header.
    #[error("its entry `{name}` is {kind}, only plain files are taken: pack it again with `venom-host bundle pack`")]
    NotAFile {
        /// The name.
        name: String,
        /// What it is.
        kind: String,
    },
    /// Another name, or another order.
    #[error(
        "its entry `{name}` stands where {expected} is expected (a bundle is {ENVELOPE}, then {COMPONENT}, nothing else)"
    )]
    UnexpectedEntry {
        /// The name.
        name: String,
        /// What belongs there.
        expected: &'static str,
    },
    /// Too large.
    #[error("its {part} claims {size} bytes, at most {limit} are taken")]
    TooLarge {
        /// The entry.
        part: &'static str,
        /// What the header says.
        size: u64,
        /// The cap.
        limit: u64,
    },
    /// Owners, times, modes or fill bytes that packing never writes.
    #[error(
        "the header or filling of {part} is not the one packing writes (owner, time, mode or stray bytes): pack it again"
    )]
    NotCanonical {
        /// The entry.
        part: &'static str,
    },
    /// Something after the end.
    #[error("bytes follow its end: the file is damaged, or something was appended; fetch it again")]
    Trailing,
}

/// The two contents.
pub(crate) struct Archive {
    pub(crate) envelope: Vec<u8>,
    pub(crate) component: Vec<u8>,
}

/// Reads an archive, and not a byte more than the sizes its headers declare and the end marker.
pub(crate) fn read(mut reader: impl Read) -> Result<Archive, ArchiveError> {
    let envelope = read_entry(&mut reader, ENVELOPE, MAX_ENVELOPE_BYTES as u64)?;
    let component = read_entry(&mut reader, COMPONENT, MAX_COMPONENT_BYTES)?;
    read_end(&mut reader)?;
    Ok(Archive { envelope, component })
}

/// Writes an archive: owner 0, time 0, mode 0644, so that equal contents are equal bytes.
pub(crate) fn write(envelope: &[u8], component: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(envelope.len() + component.len() + 6 * BLOCK);
    for (name, content) in [(ENVELOPE, envelope), (COMPONENT, component)] {
        bytes.extend_from_slice(canonical_header(name, content.len() as u64).as_bytes());
        bytes.extend_from_slice(content);
        bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
    }
    bytes.resize(bytes.len() + 2 * BLOCK, 0);
    bytes
}

fn canonical_header(name: &'static str, size: u64) -> Header {
    let mut header = Header::new_ustar();
    if let Some(field) = header.as_old_mut().name.get_mut(..name.len()) {
        field.copy_from_slice(name.as_bytes());
    }
    header.set_entry_type(EntryType::Regular);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(size);
    header.set_cksum();
    header
}

fn read_entry(reader: &mut impl Read, part: &'static str, limit: u64) -> Result<Vec<u8>, ArchiveError> {
    let header = read_header(reader, part)?;
    check_header(&header, part)?;
    let size = header.entry_size().map_err(|_| ArchiveError::NotTar { part })?;
    if size > limit {
        return Err(ArchiveError::TooLarge { part, size, limit });
    }
    if header.as_bytes() != canonical_header(part, size).as_bytes() {
        return Err(ArchiveError::NotCanonical { part });
    }
    // Grows with what really comes: a header alone makes nobody allocate 64 MiB.
    let mut content = Vec::new();
    let read = reader
        .by_ref()
        .take(size)
        .read_to_end(&mut content)
        .map_err(ArchiveError::Io)?;
    if read as u64 != size {
        return Err(ArchiveError::CutShort { part });
    }
    let mut filling = vec![0; content.len().next_multiple_of(BLOCK) - content.len()];
    fill(reader, &mut filling, part)?;
    if filling.iter().any(|&byte| byte != 0) {
        return Err(ArchiveError::NotCanonical { part });
    }
    Ok(content)
}

fn read_header(reader: &mut impl Read, part: &'static str) -> Result<Header, ArchiveError> {
    let mut header = Header::new_old();
    fill(reader, header.as_mut_bytes(), part)?;
    let mut summed = header.clone();
    summed.set_cksum();
    let valid = header.cksum().is_ok() && header.cksum().ok() == summed.cksum().ok();
    if valid {
        Ok(header)
    } else {
        Err(ArchiveError::NotTar { part })
    }
}

/// The specific refusals; the comparison with the canonical header catches whatever they miss.
fn check_header(header: &Header, expected: &'static str) -> Result<(), ArchiveError> {
    let path = header.path_bytes();
    let name: String = String::from_utf8_lossy(&path).chars().take(120).collect();
    let outside = |part| !matches!(part, Component::Normal(_) | Component::CurDir);
    if Path::new(&name).components().any(outside) || name.contains('\\') {
        return Err(ArchiveError::UnsafeName { name });
    }
    if header.entry_type() != EntryType::Regular {
        return Err(ArchiveError::NotAFile {
            name,
            kind: describe(header.entry_type()),
        });
    }
    if path.as_ref() != expected.as_bytes() {
        return Err(ArchiveError::UnexpectedEntry { name, expected });
    }
    Ok(())
}

fn describe(kind: EntryType) -> String {
    match kind {
        EntryType::Symlink => "a symbolic link".to_owned(),
        EntryType::Link => "a hard link".to_owned(),
        EntryType::Directory => "a directory".to_owned(),
        other => format!("of the kind {other:?}"),
    }
}

fn read_end(reader: &mut impl Read) -> Result<(), ArchiveError> {
    let mut end = Header::new_old();
    for _ in 0..2 {
        fill(reader, end.as_mut_bytes(), "the end marker")?;
        if end.as_bytes().iter().any(|&byte| byte != 0) {
            check_header(&end, "the end")?;
            return Err(ArchiveError::Trailing);
        }
    }
    match reader.read(&mut [0]) {
        Ok(0) => Ok(()),
        Ok(_) => Err(ArchiveError::Trailing),
        Err(error) => Err(ArchiveError::Io(error)),
    }
}

fn fill(reader: &mut impl Read, buffer: &mut [u8], part: &'static str) -> Result<(), ArchiveError> {
    reader.read_exact(buffer).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => ArchiveError::CutShort { part },
        _ => ArchiveError::Io(error),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(bytes: &[u8]) -> ArchiveError {
        read(bytes).err().expect("the archive is refused")
    }

    /// An archive whose first header was changed by `change`, with a right checksum.
    fn with_first_header(change: impl FnOnce(&mut Header)) -> Vec<u8> {
        let mut bytes = write(b"{}", b"code");
        let mut header = canonical_header(ENVELOPE, 2);
        change(&mut header);
        header.set_cksum();
        bytes[..BLOCK].copy_from_slice(header.as_bytes());
        bytes
    }

    fn named(name: &str) -> Vec<u8> {
        with_first_header(|header| {
            header.as_old_mut().name = [0; 100];
            header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        })
    }

    #[test]
    fn what_is_written_is_read_and_other_tools_read_it_too() {
        for sizes in [(0, 0), (1, 511), (512, 512), (513, 100_000)] {
            let (envelope, component) = (vec![b'e'; sizes.0], vec![b'c'; sizes.1]);
            let bytes = write(&envelope, &component);
            let archive = read(bytes.as_slice()).unwrap();
            assert_eq!((archive.envelope, archive.component), (envelope, component));
            let names: Vec<_> = tar::Archive::new(bytes.as_slice())
                .entries()
                .unwrap()
                .map(|entry| entry.unwrap().path().unwrap().display().to_string())
                .collect();
            assert_eq!(names, [ENVELOPE, COMPONENT]);
        }
    }

    #[test]
    fn case_14_names_that_point_outside_are_refused() {
        for name in [
            "../envelope.json",
            "/envelope.json",
            "a/../../envelope.json",
            "..",
            "..\\envelope.json",
        ] {
            assert!(
                matches!(refusal(&named(name)), ArchiveError::UnsafeName { .. }),
                "{name}: {}",
                refusal(&named(name))
            );
        }
    }

    #[test]
    fn other_names_and_the_other_order_are_refused() {
        for name in [
            "component.wasm",
            "envelope.json2",
            "x",
            "",
            "./envelope.json",
            "dir/envelope.json",
            "Envelope.json",
        ] {
            let error = refusal(&named(name));
            assert!(matches!(error, ArchiveError::UnexpectedEntry { .. }), "{name}: {error}");
        }
    }

    #[test]
    fn case_14_links_directories_and_extension_headers_are_refused() {
        for kind in [
            EntryType::Symlink,
            EntryType::Link,
            EntryType::Directory,
            EntryType::XHeader,
            EntryType::GNUSparse,
        ] {
            let bytes = with_first_header(|header| {
                header.set_entry_type(kind);
                header.as_old_mut().linkname[..11].copy_from_slice(b"/etc/passwd");
            });
            assert!(matches!(refusal(&bytes), ArchiveError::NotAFile { .. }), "{kind:?}");
        }
    }

    #[test]
    fn declared_sizes_over_the_caps_are_refused_before_anything_is_read() {
        let bytes = with_first_header(|header| header.set_size(MAX_ENVELOPE_BYTES as u64 + 1));
        assert!(matches!(refusal(&bytes), ArchiveError::TooLarge { part: ENVELOPE, .. }));
        let bytes = with_first_header(|header| header.set_size(u64::MAX));
        assert!(matches!(
            refusal(&bytes),
            ArchiveError::TooLarge { .. } | ArchiveError::NotTar { .. }
        ));
        let mut bytes = write(b"{}", b"");
        bytes.truncate(2 * BLOCK);
        bytes.extend_from_slice(canonical_header(COMPONENT, MAX_COMPONENT_BYTES + 1).as_bytes());
        let endless = bytes.as_slice().chain(io::repeat(0));
        assert!(matches!(
            read(endless),
            Err(ArchiveError::TooLarge { part: COMPONENT, .. })
        ));
    }

    #[test]
    fn an_endless_body_is_left_one_byte_after_the_end() {
        struct Counting(u64);
        impl Read for &mut Counting {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                self.0 += buffer.len() as u64;
                buffer.fill(0);
                Ok(buffer.len())
            }
        }
        let bytes = write(b"{}", b"code");
        let mut rest = Counting(0);
        let result = read(bytes.as_slice().chain(&mut rest));
        assert!(matches!(result, Err(ArchiveError::Trailing)));
        assert_eq!(rest.0, 1);
    }

    #[test]
    fn every_shorter_file_is_cut_short_and_every_longer_one_has_a_tail() {
        let bytes = write(b"{}", b"code");
        for length in 0..bytes.len() {
            assert!(
                matches!(refusal(&bytes[..length]), ArchiveError::CutShort { .. }),
                "{length}"
            );
        }
        let longer = [bytes.as_slice(), &[0]].concat();
        assert!(matches!(refusal(&longer), ArchiveError::Trailing));
    }

    #[test]
    fn a_third_entry_is_refused() {
        let mut bytes = write(b"{}", b"code");
        bytes.truncate(bytes.len() - 2 * BLOCK);
        let third = [bytes.as_slice(), &write(b"x", b"y")].concat();
        assert!(matches!(refusal(&third), ArchiveError::UnexpectedEntry { .. }));
    }

    #[test]
    fn every_single_bit_outside_the_contents_matters() {
        let bytes = write(b"{}", b"code");
        for position in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[position / 8] ^= 1 << (position % 8);
            let content = [BLOCK..BLOCK + 2, 3 * BLOCK..3 * BLOCK + 4]
                .iter()
                .any(|range| range.contains(&(position / 8)));
            assert_eq!(read(flipped.as_slice()).is_ok(), content, "bit {position}");
        }
    }
}
