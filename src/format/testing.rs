//! What the tests of this room share.

use std::fmt::Write;

use super::FormatError;
use super::chain::{ChainState, Position};
use super::salt::{Salt, Stream, Uid};

/// A uid for tests.
pub(crate) const UID: Uid = Uid([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]);

/// The salt of the first entry segment of that uid.
pub(crate) fn salt() -> Salt {
    Salt::of(&UID, Stream::Entries, 1)
}

/// A point of a chain with a different value in every field.
pub(crate) fn chain_state() -> ChainState {
    ChainState {
        commit_no: 0x1112,
        seq: 0x2122,
        root: [0x33; 32],
        max_ts_init: 0x4142,
        anchor: Some(Position { ordinal: 0x51, offset: 0x6168 }),
        marker_counts: [0x71, 0x72, 0x73, 0x74],
    }
}

/// The bytes in lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

/// The same, 32 bytes a line.
pub(crate) fn hex_lines(bytes: &[u8]) -> Vec<String> {
    bytes.chunks(32).map(hex).collect()
}

/// Calls `check` with the bytes after each flip of one bit.
pub(crate) fn for_each_bit_flip(bytes: &[u8], mut check: impl FnMut(&[u8], &str)) {
    let mut flipped = bytes.to_vec();
    for at in 0..bytes.len() {
        for bit in 0..8 {
            flipped[at] ^= 1 << bit;
            check(&flipped, &format!("bit {bit} of byte {at}"));
            flipped[at] ^= 1 << bit;
        }
    }
}

/// Calls `check` with the bytes cut short at every length.
pub(crate) fn for_each_truncation(bytes: &[u8], mut check: impl FnMut(&[u8])) {
    for len in 0..bytes.len() {
        check(&bytes[..len]);
    }
}

/// Whether the result is damage, and not an unknown version.
pub(crate) fn is_damage<T>(result: &Result<T, FormatError>) -> bool {
    matches!(result, Err(FormatError::Damaged { .. }))
}
