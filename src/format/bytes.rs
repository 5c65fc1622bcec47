//! Reading little-endian values off a slice, and writing them to the end of a buffer.

use super::FormatError;

/// Reads a slice from its front; `None` once it is used up.
#[derive(Debug, Clone)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    #[inline]
    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.rest.split_first_chunk::<N>()?;
        self.rest = rest;
        Some(*array)
    }

    /// The next `len` bytes.
    #[inline]
    pub(crate) fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        Some(taken)
    }

    /// What has not been read.
    pub(crate) const fn rest(&self) -> &'a [u8] {
        self.rest
    }
}

pub(crate) fn put_u16(buf: &mut Vec<u8>, value: u16) {
    buf.extend_from_slice(&value.to_le_bytes());
}

pub(crate) fn put_u32(buf: &mut Vec<u8>, value: u32) {
    buf.extend_from_slice(&value.to_le_bytes());
}

pub(crate) fn put_u64(buf: &mut Vec<u8>, value: u64) {
    buf.extend_from_slice(&value.to_le_bytes());
}

/// Appends zeros.
pub(crate) fn put_zeros(buf: &mut Vec<u8>, len: usize) {
    buf.resize(buf.len() + len, 0);
}

/// The next multiple of eight, where frames and payloads begin.
#[inline]
pub(crate) const fn align8(len: usize) -> usize {
    len.next_multiple_of(8)
}

/// A length that the limits have bounded, as it is written.
///
/// A length beyond 32 bits cannot come past the limits. It would be written as the largest value, which every decoder refuses.
#[inline]
pub(crate) fn len_u32(len: usize) -> u32 {
    debug_assert!(u32::try_from(len).is_ok(), "a length of {len} bytes has come past the limits");
    u32::try_from(len).unwrap_or(u32::MAX)
}

/// Whether all bytes are zero.
#[inline]
pub(crate) fn is_zero(bytes: &[u8]) -> bool {
    // Folding whole words without an early way out lets the compiler use wide registers.
    let (words, tail) = bytes.as_chunks::<8>();
    words.chunks(64).all(|block| block.iter().fold(0, |any, word| any | u64::from_le_bytes(*word)) == 0)
        && tail.iter().all(|byte| *byte == 0)
}

/// Checks that `bytes`, which begin at `offset` of their structure, are zero.
pub(crate) fn check_zeros(bytes: &[u8], offset: usize) -> Result<(), FormatError> {
    if is_zero(bytes) {
        return Ok(());
    }
    let at = bytes.iter().position(|byte| *byte != 0).unwrap_or_default();
    Err(FormatError::damaged(offset + at, "zeros to the end", "another value"))
}

/// Checks the length of a structure whose length is fixed.
pub(crate) fn check_len(bytes: &[u8], len: usize) -> Result<(), FormatError> {
    if bytes.len() == len { Ok(()) } else { Err(FormatError::wrong_len(len, bytes.len())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_gives_values_in_order_and_then_none() {
        let mut buf = vec![7];
        put_u16(&mut buf, 0x0102);
        put_u32(&mut buf, 0x0304_0506);
        put_u64(&mut buf, 0x0708_090a_0b0c_0d0e);
        put_zeros(&mut buf, 3);
        buf.extend_from_slice(b"ab");
        let mut reader = Reader::new(&buf);
        assert_eq!(reader.array(), Some([7]));
        assert_eq!(reader.array().map(u16::from_le_bytes), Some(0x0102));
        assert_eq!(reader.array().map(u32::from_le_bytes), Some(0x0304_0506));
        assert_eq!(reader.array().map(u64::from_le_bytes), Some(0x0708_090a_0b0c_0d0e));
        assert_eq!(reader.take(3), Some(&[0; 3][..]));
        assert_eq!(reader.array::<8>(), None);
        assert_eq!(reader.rest(), b"ab");
        assert_eq!(reader.take(2), Some(&b"ab"[..]));
        assert_eq!(reader.take(1), None);
    }

    #[test]
    fn one_byte_that_is_not_zero_is_found_wherever_it_is() {
        for len in [0, 1, 7, 8, 9, 511, 512, 513, 1031] {
            let mut bytes = vec![0; len];
            assert!(is_zero(&bytes));
            for at in 0..len {
                bytes[at] = 1;
                assert!(!is_zero(&bytes));
                assert!(matches!(check_zeros(&bytes, 10), Err(FormatError::Damaged { offset, .. }) if offset == 10 + at as u64));
                bytes[at] = 0;
            }
        }
    }

    #[test]
    fn alignment_goes_up_to_the_next_eight() {
        assert_eq!([0, 1, 7, 8, 9].map(align8), [0, 8, 8, 8, 16]);
    }
}
