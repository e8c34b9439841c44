//! What became of the records of a segment, in a file beside it: one entry of 24 bytes each, as they end. Pure.
//!
//! `seq u64, part of the key u64, outcome u8, 0 0 0, crc32c u32`, little endian. An entry that is damaged or half written counts for
//! nothing: its batch is sent again, which its key makes harmless.

use super::batch::BatchKey;
use super::record::crc32c;

/// Bytes of an entry.
pub(super) const ENTRY: usize = 24;

/// How a batch ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The nexus has it.
    Delivered,
    /// It made room.
    Dropped,
    /// The nexus will never take it.
    Dead,
    /// It cannot be read.
    Damaged,
}

impl Outcome {
    const fn code(self) -> u8 {
        match self {
            Self::Delivered => 1,
            Self::Dropped => 2,
            Self::Dead => 3,
            Self::Damaged => 4,
        }
    }

    const fn of_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Delivered),
            2 => Some(Self::Dropped),
            3 => Some(Self::Dead),
            4 => Some(Self::Damaged),
            _ => None,
        }
    }
}

/// One ending.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Settled {
    pub(super) seq: u64,
    /// Of the key; 0 where it is not known.
    pub(super) fragment: u64,
    pub(super) outcome: Outcome,
}

impl Settled {
    pub(super) fn new(seq: u64, key: Option<&BatchKey>, outcome: Outcome) -> Self {
        Self {
            seq,
            fragment: key.map_or(0, BatchKey::fragment),
            outcome,
        }
    }

    pub(super) fn write(&self, to: &mut Vec<u8>) {
        let mut entry = Vec::with_capacity(ENTRY);
        entry.extend_from_slice(&self.seq.to_le_bytes());
        entry.extend_from_slice(&self.fragment.to_le_bytes());
        entry.extend_from_slice(&[self.outcome.code(), 0, 0, 0]);
        let crc = crc32c(&entry);
        to.extend_from_slice(&entry);
        to.extend_from_slice(&crc.to_le_bytes());
    }

    fn read(entry: &[u8; ENTRY]) -> Option<Self> {
        let (sealed, crc) = entry.split_last_chunk::<4>()?;
        if crc32c(sealed) != u32::from_le_bytes(*crc) {
            return None;
        }
        let (seq, rest) = sealed.split_first_chunk::<8>()?;
        let (fragment, rest) = rest.split_first_chunk::<8>()?;
        Some(Self {
            seq: u64::from_le_bytes(*seq),
            fragment: u64::from_le_bytes(*fragment),
            outcome: Outcome::of_code(*rest.first()?)?,
        })
    }
}

/// All good entries of a file.
pub(super) fn read_all(bytes: &[u8]) -> Vec<Settled> {
    let (entries, _half) = bytes.as_chunks::<ENTRY>();
    entries.iter().filter_map(Settled::read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_stand_each_for_itself() {
        let outcomes = [Outcome::Delivered, Outcome::Dropped, Outcome::Dead, Outcome::Damaged];
        let all: Vec<Settled> = (1..)
            .zip(outcomes)
            .map(|(seq, outcome)| Settled::new(seq, Some(&BatchKey::new()), outcome))
            .collect();
        let mut bytes = Vec::new();
        all.iter().for_each(|settled| settled.write(&mut bytes));
        assert_eq!(read_all(&bytes), all);
        assert_eq!(read_all(&bytes[..bytes.len() - 1]), all[..3]);
        bytes[ENTRY] ^= 1;
        assert_eq!(read_all(&bytes), [all[0], all[2], all[3]]);
    }
}
