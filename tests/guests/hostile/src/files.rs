//! Attempts on the file system, by raw WASI calls: no C library tidies the paths up before the host sees them.

use wasip2::filesystem::preopens::get_directories;
use wasip2::filesystem::types::{Descriptor, DescriptorFlags, ErrorCode, OpenFlags, PathFlags};

use crate::attempt::{Attempt, shown};

type Wasi<T> = Result<T, String>;

fn root() -> Wasi<Descriptor> {
    get_directories()
        .into_iter()
        .next()
        .map(|(descriptor, _)| descriptor)
        .ok_or_else(|| "no directory is granted".to_owned())
}

fn said(code: ErrorCode) -> String {
    code.name().to_owned()
}

fn read_at(root: &Descriptor, path: &str) -> Wasi<String> {
    let file = root
        .open_at(
            PathFlags::SYMLINK_FOLLOW,
            path,
            OpenFlags::empty(),
            DescriptorFlags::READ,
        )
        .map_err(said)?;
    match file.read(4096, 0) {
        Ok((bytes, _)) => Ok(shown(&bytes)),
        Err(ErrorCode::IsDirectory | ErrorCode::BadDescriptor) => Ok("a directory".to_owned()),
        Err(code) => Err(said(code)),
    }
}

pub(crate) fn open(path: &str) -> Attempt {
    Attempt::of("opened", root().and_then(|root| read_at(&root, path)))
}

pub(crate) fn write(path: &str, text: &str) -> Attempt {
    let flags = OpenFlags::CREATE | OpenFlags::TRUNCATE;
    let written = root().and_then(|root| {
        root.open_at(PathFlags::SYMLINK_FOLLOW, path, flags, DescriptorFlags::WRITE)
            .and_then(|file| file.write(text.as_bytes(), 0))
            .map_err(said)
    });
    Attempt::of("wrote", written)
}

pub(crate) fn list(path: &str) -> Attempt {
    let names = root().and_then(|root| {
        let directory = root
            .open_at(
                PathFlags::SYMLINK_FOLLOW,
                path,
                OpenFlags::DIRECTORY,
                DescriptorFlags::READ,
            )
            .map_err(said)?;
        let entries = directory.read_directory().map_err(said)?;
        let mut names = Vec::new();
        while let Some(entry) = entries.read_directory_entry().map_err(said)? {
            names.push(entry.name);
        }
        Ok(names)
    });
    Attempt::of("listed", names)
}

pub(crate) fn symlink(target: &str, name: &str) -> Attempt {
    let followed = root().and_then(|root| {
        let _ = root.unlink_file_at(name);
        root.symlink_at(target, name)
            .map_err(|code| format!("link not made: {code}", code = said(code)))?;
        read_at(&root, name).map_err(|code| format!("link made, not followed: {code}"))
    });
    Attempt::of("followed the link to", followed)
}

pub(crate) fn hard_link(target: &str, name: &str) -> Attempt {
    let followed = root().and_then(|root| {
        let _ = root.unlink_file_at(name);
        root.link_at(PathFlags::empty(), target, &root, name)
            .map_err(|code| format!("link not made: {code}", code = said(code)))?;
        read_at(&root, name)
    });
    Attempt::of("linked", followed)
}

pub(crate) fn rename(from: &str, to: &str) -> Attempt {
    Attempt::of(
        "renamed",
        root().and_then(|root| root.rename_at(from, &root, to).map_err(said)),
    )
}

/// Each round: the directory `race` steps aside for the link, then the link for the directory.
pub(crate) fn race_swap(target: &str, rounds: u32) -> Attempt {
    let made = root().and_then(|root| {
        let _ = root.create_directory_at("race");
        let _ = root.unlink_file_at("race_link");
        root.symlink_at(target, "race_link")
            .map_err(|code| format!("link not made: {code}", code = said(code)))?;
        Ok(root)
    });
    let root = match made {
        Ok(root) => root,
        Err(error) => return Attempt::shut(error),
    };
    let mut swaps = 0_u32;
    for _ in 0..rounds {
        let steps = [
            ("race", "race_aside"),
            ("race_link", "race"),
            ("race", "race_link"),
            ("race_aside", "race"),
        ];
        swaps += u32::from(steps.iter().all(|(from, to)| root.rename_at(from, &root, to).is_ok()));
    }
    Attempt::shut(format!("swapped {swaps} times"))
}

pub(crate) fn race_open(path: &str, rounds: u32) -> Attempt {
    let root = match root() {
        Ok(root) => root,
        Err(error) => return Attempt::shut(error),
    };
    let path = format!("race/{path}");
    let mut last = String::new();
    for round in 0..rounds {
        match read_at(&root, &path) {
            Ok(bytes) => return Attempt::through(format!("round {round}: {bytes}")),
            Err(error) => last = error,
        }
    }
    Attempt::shut(format!("{rounds} rounds, last: {last}"))
}

pub(crate) fn handle_bomb(count: u32) -> Attempt {
    let root = match root() {
        Ok(root) => root,
        Err(error) => return Attempt::shut(error),
    };
    let mut kept = Vec::new();
    for had in 0..count {
        match root.open_at(PathFlags::empty(), ".", OpenFlags::DIRECTORY, DescriptorFlags::READ) {
            Ok(descriptor) => kept.push(descriptor),
            Err(code) => return Attempt::counted(had, count, "handles", Some(said(code))),
        }
    }
    Attempt::counted(count, count, "handles", None::<String>)
}

pub(crate) fn fill_disk(bytes: u32) -> Attempt {
    let file = root().and_then(|root| {
        root.open_at(PathFlags::empty(), "fill", OpenFlags::CREATE, DescriptorFlags::WRITE)
            .map_err(said)
    });
    let file = match file {
        Ok(file) => file,
        Err(error) => return Attempt::shut(error),
    };
    let chunk = vec![b'x'; 64 * 1024];
    let mut written = 0_u32;
    while written < bytes {
        match file.write(&chunk, written.into()) {
            Ok(count) => written += u32::try_from(count).unwrap_or(0),
            Err(code) => return Attempt::counted(written, bytes, "bytes", Some(said(code))),
        }
    }
    Attempt::counted(written, bytes, "bytes", None::<String>)
}

pub(crate) fn sparse_file(mebibytes: u32) -> Attempt {
    let claimed = root().and_then(|root| {
        root.open_at(PathFlags::empty(), "sparse", OpenFlags::CREATE, DescriptorFlags::WRITE)
            .and_then(|file| file.set_size(u64::from(mebibytes) << 20))
            .map_err(said)
    });
    Attempt::of("claimed", claimed)
}
