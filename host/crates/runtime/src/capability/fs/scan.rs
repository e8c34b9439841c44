//! Measures a directory: apparent sizes of files, each inode once, and a fixed amount for every entry. It never
//! follows a link.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::quota::ENTRY_BYTES;

/// Bytes held below `root`, at least.
pub(super) fn bytes_below(root: &Path) -> io::Result<u64> {
    let mut total: u64 = 0;
    let mut counted = HashSet::new();
    let mut open = vec![root.to_owned()];
    while let Some(directory) = open.pop() {
        let entries = match fs::read_dir(&directory) {
            // Deleted while we look: nothing to count any more.
            Err(error) if error.kind() == io::ErrorKind::NotFound && directory != root => continue,
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            let found = match entry.metadata() {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                found => found?,
            };
            total = total.saturating_add(ENTRY_BYTES);
            if found.is_dir() {
                open.push(entry.path());
            } else if found.nlink() == 1 || counted.insert((found.dev(), found.ino())) {
                total = total.saturating_add(found.len());
            }
        }
    }
    Ok(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_nested_files_hard_links_once_and_never_follows_links() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        fs::create_dir(root.join("d")).unwrap();
        fs::write(root.join("d/a"), vec![0; 1000]).unwrap();
        fs::hard_link(root.join("d/a"), root.join("b")).unwrap();
        std::os::unix::fs::symlink("/usr", root.join("l")).unwrap();
        let link = fs::symlink_metadata(root.join("l")).unwrap().len();
        assert_eq!(bytes_below(root).unwrap(), 1000 + link + 4 * ENTRY_BYTES);
    }
}
