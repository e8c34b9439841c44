//! A disk in memory that fails where it is told to: it is full, or the power goes, at any single step of any change. Each write is two
//! halves and a wait for the disk; names and contents become durable apart from each other.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use venom_agent::{Disk, DiskLock};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// This one step fails.
    Once,
    /// Each step that needs room fails until the disk has room again.
    Full,
    /// Nothing happens any more.
    Power,
}

/// What is there after the power was cut.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Remains {
    /// Whether names are as they were last seen, or as they were surely kept.
    pub(crate) names_seen: bool,
    pub(crate) contents: Contents,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Contents {
    /// What was waited for, and no more.
    Kept,
    /// Everything that was written.
    Written,
    /// Of what was not waited for, half.
    Half,
    /// Of what was not waited for, the length and no byte.
    Zeros,
}

impl Remains {
    pub(crate) fn all() -> Vec<Self> {
        let contents = [Contents::Kept, Contents::Written, Contents::Half, Contents::Zeros];
        let both = |contents| [true, false].map(|names_seen| Self { names_seen, contents });
        contents.into_iter().flat_map(both).collect()
    }
}

#[derive(Debug, Clone, Default)]
struct Inode {
    written: Vec<u8>,
    kept: Vec<u8>,
    /// What a failed wait for the disk lost: later waits do not bring it back (as Linux does it).
    lost: Option<Range<usize>>,
}

#[derive(Debug, Default)]
struct Sim {
    names: BTreeMap<PathBuf, u64>,
    kept_names: BTreeMap<PathBuf, u64>,
    inodes: BTreeMap<u64, Inode>,
    steps: usize,
    fault: Option<(usize, Fault)>,
    struck: bool,
}

/// See the module. Clones are the same disk.
#[derive(Debug, Clone, Default)]
pub(crate) struct SimDisk(Arc<Mutex<Sim>>);

impl SimDisk {
    fn with<T>(&self, change: impl FnOnce(&mut Sim) -> T) -> T {
        change(&mut self.0.lock().unwrap())
    }

    /// From now on, this many steps go well.
    pub(crate) fn fail_after(&self, steps: usize, fault: Fault) {
        self.with(|sim| {
            sim.fault = Some((sim.steps + steps, fault));
            sim.struck = false;
        });
    }

    pub(crate) fn mend(&self) {
        self.with(|sim| sim.fault = None);
    }

    pub(crate) fn has_struck(&self) -> bool {
        self.with(|sim| sim.struck)
    }

    /// The disk after the power was cut now.
    pub(crate) fn after_power_cut(&self, remains: Remains) -> Self {
        self.with(|sim| {
            let names = if remains.names_seen {
                &sim.names
            } else {
                &sim.kept_names
            };
            let mut after = Sim::default();
            for (path, id) in names {
                let inode = &sim.inodes[id];
                let (kept, written) = (&inode.kept, &inode.written);
                let same = kept.iter().zip(written).take_while(|(a, b)| a == b).count();
                let contents = match remains.contents {
                    Contents::Kept => kept.clone(),
                    Contents::Written => written.clone(),
                    Contents::Half => written[..same + (written.len() - same) / 2].to_vec(),
                    Contents::Zeros => {
                        let mut zeros = written.clone();
                        zeros[same..].fill(0);
                        zeros
                    }
                };
                let inode = Inode {
                    written: contents.clone(),
                    kept: contents,
                    lost: None,
                };
                after.inodes.insert(*id, inode);
                after.names.insert(path.clone(), *id);
            }
            after.kept_names = after.names.clone();
            Self(Arc::new(Mutex::new(after)))
        })
    }

    /// Flips bits of a file, as a bad disk does.
    pub(crate) fn spoil(&self, path: &Path, at: usize) {
        self.with(|sim| {
            let id = sim.names[path];
            let inode = sim.inodes.get_mut(&id).unwrap();
            inode.written[at] ^= 0x20;
            inode.kept[at] ^= 0x20;
        });
    }

    /// Files whose names end so.
    pub(crate) fn files(&self, suffix: &str) -> Vec<PathBuf> {
        self.with(|sim| {
            let names = sim.names.keys();
            let matching = names.filter(|path| path.to_string_lossy().ends_with(suffix));
            matching.cloned().collect()
        })
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.with(|sim| sim.names.values().map(|id| sim.inodes[id].written.len() as u64).sum())
    }
}

impl Sim {
    fn step(&mut self, needs_room: bool) -> io::Result<()> {
        let step = self.steps;
        self.steps += 1;
        let Some((at, fault)) = self.fault else { return Ok(()) };
        let strikes = match fault {
            Fault::Once => step == at,
            Fault::Full => step >= at && needs_room,
            Fault::Power => step >= at,
        };
        if strikes {
            self.struck = true;
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }

    fn inode(&mut self, path: &Path) -> io::Result<&mut Inode> {
        let id = self.names.get(path).ok_or(io::ErrorKind::NotFound)?;
        Ok(self.inodes.get_mut(id).unwrap())
    }

    fn create(&mut self, path: &Path) -> io::Result<()> {
        if !self.names.contains_key(path) {
            self.step(true)?;
            let id = self.inodes.len() as u64;
            self.inodes.insert(id, Inode::default());
            self.names.insert(path.to_owned(), id);
        }
        Ok(())
    }

    fn write(&mut self, path: &Path, offset: usize, bytes: &[u8]) -> io::Result<()> {
        let (first, second) = bytes.split_at(bytes.len() / 2);
        for (offset, half) in [(offset, first), (offset + first.len(), second)] {
            self.step(true)?;
            let inode = self.inode(path)?;
            let end = offset + half.len();
            if inode.written.len() < end {
                inode.written.resize(end, 0);
            }
            inode.written[offset..end].copy_from_slice(half);
        }
        let inode = self.inode(path)?;
        let covers = |lost: &Range<usize>| offset <= lost.start && lost.end <= offset + bytes.len();
        if inode.lost.as_ref().is_some_and(covers) {
            inode.lost = None;
        }
        Ok(())
    }

    fn sync(&mut self, path: &Path) -> io::Result<()> {
        let waited = self.step(false);
        let inode = self.inode(path)?;
        if waited.is_err() {
            inode.lost = Some(inode.kept.len().min(inode.written.len())..inode.written.len());
            return waited;
        }
        inode.kept.clone_from(&inode.written);
        if let Some(lost) = &inode.lost {
            let end = lost.end.min(inode.kept.len());
            inode.kept[lost.start.min(end)..end].fill(0);
        }
        Ok(())
    }

    fn sync_names(&mut self, directory: &Path) -> io::Result<()> {
        self.step(false)?;
        let inside = |path: &PathBuf| path.parent() == Some(directory);
        self.kept_names.retain(|path, _| !inside(path));
        let now = self.names.iter().filter(|(path, _)| inside(path));
        self.kept_names.extend(now.map(|(path, id)| (path.clone(), *id)));
        Ok(())
    }
}

impl Disk for SimDisk {
    fn make_directory(&self, _path: &Path) -> io::Result<()> {
        Ok(())
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        let name = |path: &PathBuf| {
            let inside = path.parent() == Some(directory);
            inside.then(|| path.file_name().unwrap().to_str().unwrap().to_owned())
        };
        Ok(self.with(|sim| sim.names.keys().filter_map(name).collect()))
    }

    fn read(&self, path: &Path) -> io::Result<Option<Vec<u8>>> {
        Ok(self.with(|sim| sim.inode(path).ok().map(|inode| inode.written.clone())))
    }

    fn length(&self, path: &Path) -> io::Result<Option<u64>> {
        Ok(self.with(|sim| sim.inode(path).ok().map(|inode| inode.written.len() as u64)))
    }

    fn read_at(&self, path: &Path, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        self.with(|sim| {
            let part = sim.inode(path)?.written.get(offset as usize..offset as usize + length);
            part.map(<[u8]>::to_vec)
                .ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
        })
    }

    fn write_at(&self, path: &Path, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.with(|sim| {
            sim.create(path)?;
            sim.write(path, offset as usize, bytes)?;
            sim.sync(path)
        })
    }

    fn truncate(&self, path: &Path, length: u64) -> io::Result<()> {
        self.with(|sim| {
            sim.step(false)?;
            let inode = sim.inode(path)?;
            inode.written.truncate(length as usize);
            if inode.lost.as_ref().is_some_and(|lost| lost.start >= length as usize) {
                inode.lost = None;
            }
            sim.sync(path)
        })
    }

    fn replace(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut draft = path.as_os_str().to_owned();
        draft.push(".tmp");
        let draft = PathBuf::from(draft);
        self.with(|sim| {
            let mut write = || {
                sim.create(&draft)?;
                sim.inode(&draft)?.written.clear();
                sim.write(&draft, 0, bytes)?;
                sim.sync(&draft)?;
                sim.step(false)?;
                let id = sim.names.remove(&draft).unwrap();
                sim.names.insert(path.to_owned(), id);
                Ok(())
            };
            if let Err(error) = write() {
                if sim.step(false).is_ok() {
                    sim.names.remove(&draft);
                }
                return Err(error);
            }
            sim.sync_names(path.parent().unwrap())
        })
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.with(|sim| {
            sim.step(false)?;
            sim.names.remove(path);
            Ok(())
        })
    }

    fn sync_directory(&self, directory: &Path) -> io::Result<()> {
        self.with(|sim| sim.sync_names(directory))
    }

    fn lock(&self, _directory: &Path) -> io::Result<Option<DiskLock>> {
        Ok(Some(Box::new(())))
    }
}
