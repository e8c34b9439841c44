//! Attempts to use something up: time, memory, stack, handles, and whatever the host keeps on the skill's behalf.

use std::hint::black_box;
use std::time::Duration;

use venom_sdk::{cache, log, progress};

use crate::attempt::Attempt;

pub(crate) fn spin() {
    let mut count = 0_u32;
    loop {
        count = black_box(count.wrapping_add(1));
    }
}

pub(crate) fn spin_on_host() {
    loop {
        let _ = black_box(progress::cancelled());
    }
}

pub(crate) fn nap_forever() {
    loop {
        std::thread::sleep(Duration::from_millis(1));
    }
}

pub(crate) fn memory(mebibytes: u32) -> Attempt {
    let mut kept: Vec<Vec<u8>> = Vec::new();
    for had in 0..mebibytes {
        let mut block = Vec::new();
        if let Err(error) = block.try_reserve_exact(1 << 20) {
            return Attempt::counted(had, mebibytes, "mebibytes", Some(error));
        }
        block.resize(1 << 20, 0xa5);
        kept.push(black_box(block));
    }
    Attempt::counted(mebibytes, mebibytes, "mebibytes", None::<String>)
}

#[expect(unconditional_recursion, reason = "that is the attempt")]
pub(crate) fn recurse(depth: u32) -> u32 {
    let frame = black_box([depth; 64]);
    recurse(depth.wrapping_add(1)).wrapping_add(frame.iter().sum())
}

pub(crate) fn pollables(count: u32) -> Attempt {
    let kept: Vec<_> = (0..count)
        .map(|_| wasip2::clocks::monotonic_clock::subscribe_duration(u64::MAX))
        .collect();
    Attempt::through(format!("{} timers", black_box(kept).len()))
}

#[expect(clippy::print_stdout, clippy::print_stderr, reason = "that is the attempt")]
pub(crate) fn print(bytes: u32) -> Attempt {
    let line = "x".repeat(99);
    for number in 0..bytes / 100 {
        if number % 2 == 0 {
            println!("{line}");
        } else {
            eprintln!("{line}");
        }
    }
    Attempt::through(format!("printed {bytes} bytes"))
}

#[expect(clippy::print_stdout, reason = "that is the attempt")]
pub(crate) fn print_endless_line(bytes: u32) -> Attempt {
    let piece = "x".repeat(1024);
    for _ in 0..bytes / 1024 {
        print!("{piece}");
    }
    Attempt::through(format!("printed {bytes} bytes"))
}

pub(crate) fn partials(count: u32) -> Attempt {
    let partial = "x".repeat(1022);
    for had in 0..count {
        if let Err(error) = progress::emit(&partial) {
            return Attempt::counted(had, count, "partial results", Some(error));
        }
    }
    Attempt::counted(count, count, "partial results", None::<String>)
}

pub(crate) fn log(lines: u32) -> Attempt {
    for line in 0..lines {
        log::info!(line = line; "flood");
    }
    Attempt::through(format!("wrote {lines} lines"))
}

pub(crate) fn random(bytes: u32, piece: u32) -> Attempt {
    let mut had = 0_u32;
    while had < bytes {
        let drawn = wasip2::random::random::get_random_bytes(piece.into());
        had = had.saturating_add(u32::try_from(black_box(drawn).len()).unwrap_or(0));
    }
    Attempt::through(format!("drew {had} bytes"))
}

pub(crate) fn cache(count: u32) -> Attempt {
    for had in 0..count {
        if let Err(error) = cache::set_bytes(&format!("key {had}"), b"x", None) {
            return Attempt::counted(had, count, "cache entries", Some(error));
        }
    }
    Attempt::counted(count, count, "cache entries", None::<String>)
}
