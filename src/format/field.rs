//! The fields of a structure, each of which begins where the one before it ends.
//!
//! A structure's file builds its fields as a chain of constants, so that offsets are never written
//! down twice, and reads its values through them, so that an error knows where it is.

use std::borrow::Cow;

use super::{FormatError, VERSION};

/// A field of a structure on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    /// The field's name, as FORMAT.md gives it.
    pub name: &'static str,
    /// The field's first byte within its structure; behind a field of variable length, the least that it can be.
    pub offset: usize,
    /// The field's length in bytes; 0 where it varies.
    pub len: usize,
}

impl Field {
    /// The first field of a structure.
    #[must_use]
    pub(crate) const fn first(name: &'static str, len: usize) -> Self {
        Self { name, offset: 0, len }
    }

    /// The field behind this one.
    #[must_use]
    pub(crate) const fn then(self, name: &'static str, len: usize) -> Self {
        Self { name, offset: self.end(), len }
    }

    /// The first byte behind the field.
    #[must_use]
    pub const fn end(self) -> usize {
        self.offset + self.len
    }

    /// The field's bytes in `structure`.
    #[inline]
    pub(crate) fn slice(self, structure: &[u8]) -> Result<&[u8], FormatError> {
        structure.get(self.offset..self.end()).ok_or_else(|| self.missing(structure.len()))
    }

    /// The field's bytes in `structure` as an array of the field's length.
    #[inline]
    pub(crate) fn array<const N: usize>(self, structure: &[u8]) -> Result<[u8; N], FormatError> {
        debug_assert!(N == self.len, "{} is read with a length that is not its own", self.name);
        self.slice(structure)?.first_chunk::<N>().copied().ok_or_else(|| self.missing(structure.len()))
    }

    #[inline]
    pub(crate) fn u8(self, structure: &[u8]) -> Result<u8, FormatError> {
        self.array(structure).map(u8::from_le_bytes)
    }

    #[inline]
    pub(crate) fn u16(self, structure: &[u8]) -> Result<u16, FormatError> {
        self.array(structure).map(u16::from_le_bytes)
    }

    #[inline]
    pub(crate) fn u32(self, structure: &[u8]) -> Result<u32, FormatError> {
        self.array(structure).map(u32::from_le_bytes)
    }

    #[inline]
    pub(crate) fn u64(self, structure: &[u8]) -> Result<u64, FormatError> {
        self.array(structure).map(u64::from_le_bytes)
    }

    /// The field's value as a length or a count, if it is within its bound.
    #[inline]
    pub(crate) fn len_within(self, structure: &[u8], maximum: usize) -> Result<usize, FormatError> {
        let found = self.u32(structure)? as usize;
        if found > maximum {
            return Err(self.over(maximum, found));
        }
        Ok(found)
    }

    /// Checks that the field's bytes are zero.
    #[inline]
    pub(crate) fn zeros(self, structure: &[u8]) -> Result<(), FormatError> {
        let bytes = self.slice(structure)?;
        if bytes.iter().fold(0, |any, byte| any | byte) == 0 {
            return Ok(());
        }
        Err(self.not_zero(bytes))
    }

    /// Checks that the field holds `magic`.
    pub(crate) fn magic(self, structure: &[u8], magic: &[u8]) -> Result<(), FormatError> {
        let found = self.slice(structure)?;
        if found == magic {
            return Ok(());
        }
        Err(self.damaged(format!("\"{}\"", magic.escape_ascii()), format!("\"{}\"", found.escape_ascii())))
    }

    /// Checks that the field holds the version that this build reads. Only for bytes whose checksum is right.
    pub(crate) fn version(self, structure: &[u8]) -> Result<(), FormatError> {
        match self.u32(structure)? {
            VERSION => Ok(()),
            found => Err(FormatError::UnknownVersion { found, supported: VERSION }),
        }
    }

    /// Checks that the field holds the CRC-32 that was computed.
    #[inline]
    pub(crate) fn crc(self, structure: &[u8], computed: u32) -> Result<(), FormatError> {
        let found = self.u32(structure)?;
        if found == computed {
            return Ok(());
        }
        Err(self.damaged(format!("CRC-32 {computed:08x}"), format!("{found:08x}")))
    }

    /// Writes the field's bytes into `structure`, which has room for all of the structure's fields.
    #[inline]
    pub(crate) fn put(self, structure: &mut [u8], value: &[u8]) {
        let target = structure.get_mut(self.offset..self.end()).filter(|target| target.len() == value.len());
        debug_assert!(target.is_some(), "{} does not fit its structure", self.name);
        if let Some(target) = target {
            target.copy_from_slice(value);
        }
    }

    /// Damage in this field.
    #[cold]
    pub(crate) fn damaged(self, expected: impl Into<Cow<'static, str>>, found: impl Into<Cow<'static, str>>) -> FormatError {
        FormatError::damaged(self.offset, format!("{} to be {}", self.name, expected.into()), found)
    }

    #[cold]
    fn over(self, maximum: usize, found: usize) -> FormatError {
        self.damaged(format!("at most {maximum}"), found.to_string())
    }

    #[cold]
    fn not_zero(self, bytes: &[u8]) -> FormatError {
        let at = bytes.iter().position(|byte| *byte != 0).unwrap_or_default();
        FormatError::damaged(self.offset + at, format!("zero in {}", self.name), "another value")
    }

    #[cold]
    fn missing(self, len: usize) -> FormatError {
        FormatError::damaged(len, format!("{} up to byte {}", self.name, self.end()), format!("an end after {len} bytes"))
    }
}

/// Whether `fields` cover a structure of `len` bytes without a gap and without an overlap.
pub(crate) const fn covers(fields: &[Field], len: usize) -> bool {
    let mut rest = fields;
    let mut offset = 0;
    while let [field, behind @ ..] = rest {
        if field.offset != offset {
            return false;
        }
        offset = field.end();
        rest = behind;
    }
    offset == len
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Field = Field::first("a", 4);
    const B: Field = A.then("b", 2);

    #[test]
    fn fields_cover_their_structure_only_without_gap_and_overlap() {
        assert!(covers(&[A, B], 6));
        assert!(!covers(&[A, B], 8));
        assert!(!covers(&[A], 6));
        assert!(!covers(&[B], 2));
        assert!(!covers(&[A, A], 8));
    }

    #[test]
    fn a_field_behind_the_end_is_damage_at_the_end() {
        assert_eq!(B.u16(&[1, 2, 3, 4, 5, 6]), Ok(0x0605));
        assert!(matches!(B.u16(&[1, 2, 3, 4, 5]), Err(FormatError::Damaged { offset: 5, .. })));
        assert!(B.u16(&[]).is_err());
    }

    #[test]
    fn the_first_byte_that_is_not_zero_is_named() {
        assert_eq!(B.zeros(&[9, 9, 9, 9, 0, 0]), Ok(()));
        assert!(matches!(B.zeros(&[0, 0, 0, 0, 0, 1]), Err(FormatError::Damaged { offset: 5, .. })));
    }
}
