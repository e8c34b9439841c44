//! Keeps the beginning of what a program writes and throws the rest away, so that it never waits for us and
//! never fills our memory.

use tokio::io::{AsyncRead, AsyncReadExt};

/// One read. The pipe of a Linux child holds as much.
const CHUNK: usize = 64 * 1024;
/// Bytes past the cap that are thrown away before the program is ended: it will not stop by itself.
const FLOOD: u64 = 64 * 1024 * 1024;

/// What was kept.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Captured {
    pub(super) kept: Vec<u8>,
    pub(super) truncated: bool,
}

/// Reads to the end. Past the cap and [`FLOOD`], `end` is called once, to end the program.
pub(super) async fn capture<R>(mut from: R, cap: u64, end: impl Fn()) -> std::io::Result<Captured>
where
    R: AsyncRead + Unpin,
{
    let mut captured = Captured::default();
    let mut chunk = vec![0; CHUNK];
    let mut dropped = 0_u64;
    loop {
        let count = from.read(&mut chunk).await?;
        if count == 0 {
            return Ok(captured);
        }
        let left = cap.saturating_sub(captured.kept.len() as u64);
        let take = usize::try_from(left).unwrap_or(usize::MAX).min(count);
        captured.kept.extend_from_slice(chunk.get(..take).unwrap_or_default());
        if take < count {
            let before = dropped;
            dropped = dropped.saturating_add((count - take) as u64);
            captured.truncated = true;
            if before <= FLOOD && dropped > FLOOD {
                end();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[tokio::test]
    async fn keeps_the_beginning_and_reads_the_rest() {
        let data = vec![7_u8; 3 * CHUNK];
        let ended = Cell::new(0);
        let captured = capture(data.as_slice(), 10, || ended.set(ended.get() + 1))
            .await
            .unwrap();
        assert_eq!((captured.kept, captured.truncated, ended.get()), (vec![7; 10], true, 0));
        let whole = capture(&b"abc"[..], 3, || {}).await.unwrap();
        assert_eq!((whole.kept.as_slice(), whole.truncated), (&b"abc"[..], false));
    }

    #[tokio::test]
    async fn a_flood_ends_the_program_once() {
        let ended = Cell::new(0);
        let flood = tokio::io::repeat(1).take(FLOOD + 3 * CHUNK as u64);
        let captured = capture(flood, 1, || ended.set(ended.get() + 1)).await.unwrap();
        assert_eq!((captured.kept.len(), captured.truncated, ended.get()), (1, true, 1));
    }
}
