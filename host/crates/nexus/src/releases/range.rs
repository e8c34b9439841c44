//! `Range` of a download (RFC 9110, one range of bytes). What cannot be read is ignored, as the RFC says. Pure.

/// What of a file is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// All of it.
    Whole,
    /// Bytes from, up to and including.
    Part(u64, u64),
    /// Bytes it does not have.
    Nothing,
}

/// Reads the header for a file of so many bytes.
pub(crate) fn wanted(header: Option<&str>, size: u64) -> Wanted {
    let range = header.and_then(|text| text.trim().strip_prefix("bytes="));
    // several ranges may be answered with everything
    let Some((first, last)) = range
        .filter(|text| !text.contains(','))
        .and_then(|text| text.trim().split_once('-'))
    else {
        return Wanted::Whole;
    };
    let number = |text: &str| match text.bytes().all(|byte| byte.is_ascii_digit()) && !text.is_empty() {
        true => Some(text.parse::<u64>().unwrap_or(u64::MAX)),
        false => None,
    };
    match (number(first), number(last)) {
        (Some(first), None) if last.is_empty() => part(first, u64::MAX, size),
        (Some(first), Some(last)) if first <= last => part(first, last, size),
        (None, Some(0)) if first.is_empty() => Wanted::Nothing,
        (None, Some(last)) if first.is_empty() => part(size.saturating_sub(last), u64::MAX, size),
        _ => Wanted::Whole,
    }
}

fn part(first: u64, last: u64, size: u64) -> Wanted {
    match size.checked_sub(1) {
        Some(end) if first <= end => Wanted::Part(first, last.min(end)),
        _ => Wanted::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_the_rfc_says() {
        for (header, expected) in [
            ("bytes=0-0", Wanted::Part(0, 0)),
            ("bytes=0-", Wanted::Part(0, 9)),
            ("bytes=9-", Wanted::Part(9, 9)),
            ("bytes=3-5", Wanted::Part(3, 5)),
            ("bytes=3-99", Wanted::Part(3, 9)),
            ("bytes=-1", Wanted::Part(9, 9)),
            ("bytes=-99", Wanted::Part(0, 9)),
            ("bytes=10-", Wanted::Nothing),
            ("bytes=10-11", Wanted::Nothing),
            ("bytes=99999999999999999999-", Wanted::Nothing),
            ("bytes=-0", Wanted::Nothing),
            ("bytes=5-3", Wanted::Whole),
            ("bytes=0-1,3-4", Wanted::Whole),
            ("bytes=-", Wanted::Whole),
            ("bytes=+1-2", Wanted::Whole),
            ("bytes=a-b", Wanted::Whole),
            ("lines=1-2", Wanted::Whole),
            ("", Wanted::Whole),
        ] {
            assert_eq!(wanted(Some(header), 10), expected, "{header}");
        }
        assert_eq!(wanted(None, 10), Wanted::Whole);
        assert_eq!(wanted(Some("bytes=0-"), 0), Wanted::Nothing);
    }
}
