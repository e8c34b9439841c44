//! Who made a network card, by the beginning of its MAC (MA-L, MA-M, MA-S of the IEEE's registry). It knows what
//! `build.rs` wrote down, and asks nobody.

const PREFIXES: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/prefixes"));
const ENDS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/ends"));
const NAMES: &str = include_str!(concat!(env!("OUT_DIR"), "/names"));

/// Bits of the prefixes of each list, in the order they are in the file.
const BITS: [u32; 3] = [24, 28, 36];
/// Bytes of one entry: the prefix and the number of its name.
const ENTRY: usize = 7;

/// The vendor of a MAC like `02:00:5e:10:00:01`; none when it is unknown, and none when the address is one that its owner
/// made up (as telephones do in every network).
pub(crate) fn of(mac: &str) -> Option<&'static str> {
    let address = number(mac)?;
    if is_made_up(address) {
        return None;
    }
    // the longest prefix is the one that says most
    let mut lists = lists();
    lists.reverse();
    lists
        .into_iter()
        .find_map(|(bits, entries)| find(entries, address >> (48 - bits)))
}

/// Whether a MAC was made up by its owner, not given by a vendor.
pub(crate) fn is_random(mac: &str) -> bool {
    number(mac).is_some_and(is_made_up)
}

fn number(mac: &str) -> Option<u64> {
    let digits: String = mac
        .chars()
        .filter(|character| !matches!(character, ':' | '-'))
        .collect();
    (digits.len() == 12).then(|| u64::from_str_radix(&digits, 16).ok())?
}

/// Bit 1 of the first byte: locally administered.
fn is_made_up(address: u64) -> bool {
    address >> 40 & 2 != 0
}

fn lists() -> Vec<(u32, &'static [u8])> {
    let mut rest = PREFIXES;
    let mut lists = Vec::new();
    for bits in BITS {
        let Some((count, after)) = rest.split_first_chunk::<4>() else {
            break;
        };
        let length = usize::try_from(u32::from_le_bytes(*count)).unwrap_or(0) * ENTRY;
        let (entries, after) = after.split_at_checked(length).unwrap_or_default();
        lists.push((bits, entries));
        rest = after;
    }
    lists
}

fn find(entries: &'static [u8], prefix: u64) -> Option<&'static str> {
    let (entries, _) = entries.as_chunks::<ENTRY>();
    let at = entries.binary_search_by_key(&prefix, |[a, b, c, d, e, ..]| {
        u64::from_be_bytes([0, 0, 0, *a, *b, *c, *d, *e])
    });
    let [.., low, high] = entries.get(at.ok()?)?;
    name(usize::from(u16::from_le_bytes([*low, *high])))
}

fn name(number: usize) -> Option<&'static str> {
    let (ends, _) = ENDS.as_chunks::<4>();
    let end = |at: usize| {
        ends.get(at)
            .and_then(|end| usize::try_from(u32::from_le_bytes(*end)).ok())
    };
    let start = number.checked_sub(1).map_or(Some(0), end)?;
    NAMES.get(start..end(number)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vendors_are_found_by_the_longest_prefix() {
        assert_eq!(of("50:a6:d8:00:00:01"), Some("Apple"));
        assert_eq!(of("50-A6-D8-00-00-01"), Some("Apple"));
        assert_eq!(of("B8:4C:87:40:00:00"), Some("Blum Novotest"), "28 bits");
        assert_eq!(of("8C:1F:64:AF:A0:00"), Some("DATA ELECTRONIC DEVICES"), "36 bits");
        assert_eq!(of("b8:27:eb:01:02:03"), Some("Raspberry Pi Foundation"));
    }

    #[test]
    fn what_is_made_up_or_unknown_has_no_vendor() {
        assert_eq!(of("02:00:5e:10:00:01"), None);
        assert!(is_random("da:a1:19:00:00:01") && !is_random("50:a6:d8:00:00:01"));
        for odd in ["", "50:a6:d8", "xx:xx:xx:xx:xx:xx", "ff:ff:ff:ff:ff:ff"] {
            assert_eq!(of(odd), None, "{odd}");
        }
    }

    #[test]
    fn every_name_can_be_read() {
        let (ends, _) = ENDS.as_chunks::<4>();
        assert!(ends.len() > 10_000);
        assert!((0..ends.len()).all(|number| name(number).is_some_and(|name| !name.is_empty())));
        assert_eq!(lists().len(), 3);
        assert!(lists().iter().all(|(_, entries)| entries.len() > 1_000 * ENTRY));
    }
}
