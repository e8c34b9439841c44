//! The bytes of a segment: a header, then records one after the other. Pure.
//!
//! ```text
//! segment  "VENOMBOX"  version u32  id u64  first seq u64  crc32c u32 of all before
//! record   FF 56 52 FE  kind u8  0 0 0  seq u64  key [16]  at i64 (ms)  length u32  crc32c u32 of the body
//!          crc32c u32 of all before  body
//! ```
//!
//! All little endian. In a segment each seq is one more than the one before. A body is UTF-8, in which the marker of a record cannot
//! occur, so that after a damaged header the next record is found.

use crc::{CRC_32_ISCSI, Crc, Table};
use uuid::Uuid;
use venom_protocol::Timestamp;

use super::batch::{BatchKey, BatchKind};

/// CRC-32C (Castagnoli).
const CRC32C: Crc<u32, Table<16>> = Crc::<u32, Table<16>>::new(&CRC_32_ISCSI);

const MAGIC: &[u8; 8] = b"VENOMBOX";
const MARKER: [u8; 4] = [0xFF, b'V', b'R', 0xFE];

/// Version of the format.
pub(super) const VERSION: u32 = 1;
/// Bytes before the first record.
pub(super) const SEGMENT_HEADER: usize = 32;
/// Bytes before a body.
pub(super) const RECORD_HEADER: usize = 52;

pub(super) fn crc32c(bytes: &[u8]) -> u32 {
    CRC32C.checksum(bytes)
}

/// What is known of a record without its body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) seq: u64,
    pub(super) key: BatchKey,
    pub(super) kind: BatchKind,
    pub(super) at: Timestamp,
    pub(super) length: u32,
    pub(super) body_crc: u32,
}

pub(super) fn write_segment_header(to: &mut Vec<u8>, id: u64, first_seq: u64) {
    let begin = to.len();
    to.extend_from_slice(MAGIC);
    to.extend_from_slice(&VERSION.to_le_bytes());
    to.extend_from_slice(&id.to_le_bytes());
    to.extend_from_slice(&first_seq.to_le_bytes());
    seal(to, begin);
}

pub(super) fn write_record(to: &mut Vec<u8>, head: &Head, body: &[u8]) {
    let begin = to.len();
    to.extend_from_slice(&MARKER);
    to.extend_from_slice(&[head.kind.code(), 0, 0, 0]);
    to.extend_from_slice(&head.seq.to_le_bytes());
    to.extend_from_slice(head.key.0.as_bytes());
    to.extend_from_slice(&head.at.0.as_millisecond().to_le_bytes());
    to.extend_from_slice(&head.length.to_le_bytes());
    to.extend_from_slice(&head.body_crc.to_le_bytes());
    seal(to, begin);
    to.extend_from_slice(body);
}

/// Appends the checksum of everything from `begin`.
fn seal(to: &mut Vec<u8>, begin: usize) {
    let crc = to.get(begin..).map_or(0, crc32c);
    to.extend_from_slice(&crc.to_le_bytes());
}

/// Reads fields one after the other.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (field, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*field)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }
}

/// The bytes before the checksum at the end, when it is right.
fn unseal(bytes: &[u8]) -> Option<Fields<'_>> {
    let (sealed, crc) = bytes.split_last_chunk::<4>()?;
    (crc32c(sealed) == u32::from_le_bytes(*crc)).then_some(Fields(sealed))
}

fn read_head(bytes: &[u8]) -> Option<Head> {
    let mut fields = unseal(bytes.get(..RECORD_HEADER)?)?;
    if fields.take()? != MARKER {
        return None;
    }
    let [kind, ..] = fields.take::<4>()?;
    Some(Head {
        kind: BatchKind::of_code(kind)?,
        seq: fields.u64()?,
        key: BatchKey(Uuid::from_bytes(fields.take()?)),
        at: Timestamp(jiff::Timestamp::from_millisecond(i64::from_le_bytes(fields.take()?)).ok()?),
        length: fields.u32()?,
        body_crc: fields.u32()?,
    })
}

/// What a segment holds.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Scan {
    /// Good records, and where their bodies begin.
    pub(super) records: Vec<(Head, u64)>,
    /// Seqs of records that are damaged.
    pub(super) damaged: Vec<u64>,
    /// Where the good part ends: behind it is what a crash left half written.
    pub(super) end: u64,
    /// Whether the segment's own header is good.
    pub(super) whole_header: bool,
    /// The highest seq that is known to have been used, and 0 when none is.
    pub(super) last_seq: u64,
}

/// Why a segment is not read at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NewerVersion(pub(super) u32);

/// Reads a segment. In the `last` one, a record that ends the file and is damaged is half written; elsewhere it is damaged.
pub(super) fn scan(bytes: &[u8], last: bool) -> Result<Scan, NewerVersion> {
    let mut scan = Scan::default();
    let mut expected = None;
    if let Some(mut header) = bytes.get(..SEGMENT_HEADER).and_then(unseal) {
        let magic = header.take::<8>();
        let version = header.u32().unwrap_or_default();
        if magic.as_ref() == Some(MAGIC) && version != VERSION {
            return Err(NewerVersion(version));
        }
        let first = header.u64().and_then(|_id| header.u64());
        expected = first;
        scan.last_seq = first.unwrap_or_default().saturating_sub(1);
        scan.end = SEGMENT_HEADER as u64;
        scan.whole_header = true;
    }
    let mut at = SEGMENT_HEADER;
    while let Some((found, head)) = next_head(bytes, at) {
        let body_at = found.saturating_add(RECORD_HEADER);
        let end = body_at.saturating_add(head.length as usize);
        let Some(body) = bytes.get(body_at..end) else {
            // cut off in its body
            break;
        };
        // those whose headers are damaged
        if let Some(expected) = expected {
            let most = bytes.len() / RECORD_HEADER;
            scan.damaged.extend((expected..head.seq).take(most));
        }
        if crc32c(body) == head.body_crc {
            scan.records.push((head, body_at as u64));
        } else if last && end == bytes.len() {
            break;
        } else {
            scan.damaged.push(head.seq);
        }
        scan.last_seq = head.seq;
        scan.end = end as u64;
        expected = Some(head.seq.saturating_add(1));
        at = end;
    }
    Ok(scan)
}

/// The first good header at or after a place, and where it is.
fn next_head(bytes: &[u8], from: usize) -> Option<(usize, Head)> {
    let mut at = from;
    loop {
        let rest = bytes.get(at..)?;
        if let Some(head) = read_head(rest) {
            return Some((at, head));
        }
        let next = rest.get(1..)?.windows(MARKER.len()).position(|four| four == MARKER)?;
        at = at.saturating_add(1).saturating_add(next);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn head(seq: u64, body: &[u8]) -> Head {
        Head {
            seq,
            key: BatchKey::new(),
            kind: BatchKind::Shield,
            at: Timestamp::parse("2026-05-04T10:00:00Z").unwrap(),
            length: body.len() as u32,
            body_crc: crc32c(body),
        }
    }

    fn segment(bodies: &[&str]) -> (Vec<u8>, Vec<usize>) {
        let (mut bytes, mut ends) = (Vec::new(), Vec::new());
        write_segment_header(&mut bytes, 3, 7);
        for (seq, body) in (7..).zip(bodies) {
            write_record(&mut bytes, &head(seq, body.as_bytes()), body.as_bytes());
            ends.push(bytes.len());
        }
        (bytes, ends)
    }

    fn seqs(scan: &Scan) -> Vec<u64> {
        scan.records.iter().map(|(head, _)| head.seq).collect()
    }

    #[test]
    fn the_checksum_is_crc32c() {
        // the check value of the algorithm (RFC 3720, "123456789")
        assert_eq!(crc32c(b"123456789"), 0xE306_9283);
    }

    #[test]
    fn what_is_written_is_read_again() {
        let (bytes, ends) = segment(&["{}", "", "{\"a\":1}"]);
        assert_eq!(bytes.len(), SEGMENT_HEADER + 3 * RECORD_HEADER + 9);
        let scan = scan(&bytes, true).unwrap();
        assert_eq!(seqs(&scan), [7, 8, 9]);
        let (head, at) = scan.records[2];
        assert_eq!(&bytes[at as usize..][..head.length as usize], b"{\"a\":1}");
        assert_eq!((scan.end, scan.last_seq), (ends[2] as u64, 9));
    }

    #[test]
    fn a_segment_cut_off_anywhere_keeps_the_records_before() {
        let (bytes, ends) = segment(&["{}", "{\"a\":1}", "{\"b\":2}"]);
        for length in 0..bytes.len() {
            let scan = scan(&bytes[..length], true).unwrap();
            let whole = ends.iter().filter(|end| **end <= length).count();
            assert_eq!(scan.records.len(), whole, "{length}");
            assert!(scan.damaged.is_empty());
            let end = ends[..whole]
                .last()
                .map_or(if length < 32 { 0 } else { 32 }, |end| *end);
            assert_eq!(scan.end, end as u64);
        }
    }

    #[test]
    fn a_version_from_the_future_is_not_guessed_at() {
        let (mut bytes, _) = segment(&["{}"]);
        bytes[8] = 2;
        let crc = crc32c(&bytes[..28]);
        bytes[28..32].copy_from_slice(&crc.to_le_bytes());
        assert_eq!(scan(&bytes, true), Err(NewerVersion(2)));
    }

    #[test]
    fn a_flipped_bit_costs_the_record_it_is_in_and_no_other() {
        let (bytes, ends) = segment(&["{\"a\":1}", "{\"b\":2}", "{\"c\":3}", "{\"d\":4}"]);
        let last_begins = ends[2];
        for at in 0..last_begins {
            for bit in 0..8 {
                let mut damaged = bytes.clone();
                damaged[at] ^= 1 << bit;
                let scan = scan(&damaged, true).unwrap();
                let hit = ends.iter().position(|end| at < *end).unwrap() as u64 + 7;
                if at < SEGMENT_HEADER {
                    assert_eq!(seqs(&scan), [7, 8, 9, 10], "{at}");
                } else {
                    let others: Vec<u64> = (7..=10).filter(|seq| *seq != hit).collect();
                    assert_eq!(seqs(&scan), others, "{at}");
                    assert_eq!(scan.damaged, [hit], "{at}");
                }
            }
        }
    }

    proptest! {
        #[test]
        fn garbage_is_never_taken_for_records_and_harms_none_before_it(garbage in proptest::collection::vec(any::<u8>(), 0..300)) {
            let (mut bytes, ends) = segment(&["{}", "{\"a\":1}"]);
            bytes.extend_from_slice(&garbage);
            let scan = scan(&bytes, true).unwrap();
            prop_assert_eq!(seqs(&scan), [7, 8]);
            prop_assert_eq!(scan.end, ends[1] as u64);
        }
    }
}
