//! Reads numbers and pieces off the front of bytes that a stranger sent. Never panics, never reads past the end.

/// The rest of the bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    pub(crate) fn u16(&mut self) -> Option<u16> {
        Some(u16::from_be_bytes(self.take(2)?.try_into().ok()?))
    }

    pub(crate) fn u24(&mut self) -> Option<u32> {
        let &[a, b, c] = self.take(3)? else { return None };
        Some(u32::from_be_bytes([0, a, b, c]))
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        Some(u32::from_be_bytes(self.take(4)?.try_into().ok()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_is_there_and_no_more() {
        let mut reader = Reader(&[1, 0, 2, 0, 0, 3, 0, 0, 0, 4, 9, 9]);
        assert_eq!(
            (reader.u8(), reader.u16(), reader.u24(), reader.u32()),
            (Some(1), Some(2), Some(3), Some(4))
        );
        assert_eq!((reader.u24(), reader.take(3)), (None, None));
        assert_eq!(reader.take(2), Some(&[9, 9][..]));
        assert_eq!(
            (reader.u8(), reader.u16(), reader.u32(), reader.take(0)),
            (None, None, None, Some(&[][..]))
        );
    }
}
