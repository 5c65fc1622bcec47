//! Where a cache snapshot stands in the log.

use serde::{Deserialize, Serialize};

/// A note in the log that a cache snapshot covers it up to an entry.
///
/// The log keeps the note only. The snapshot itself belongs to whoever took it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SnapshotAnchor {
    /// The last entry that the snapshot covers; 0 when it covers none.
    pub high_watermark: u64,
    /// Where the snapshot is kept, in the owner's terms.
    pub blob_ref: String,
    /// The snapshot's hash, by which the owner recognises it; see [`compute_snapshot_content_hash`].
    pub content_hash: String,
}

impl SnapshotAnchor {
    /// An anchor with these fields.
    #[must_use]
    pub fn new(high_watermark: u64, blob_ref: impl Into<String>, content_hash: impl Into<String>) -> Self {
        Self { high_watermark, blob_ref: blob_ref.into(), content_hash: content_hash.into() }
    }
}

/// The content hash of a snapshot's bytes: `blake3:` and 64 lower-case hexadecimal digits.
#[must_use]
pub fn compute_snapshot_content_hash(bytes: &[u8]) -> String {
    format!("blake3:{}", blake3::hash(bytes).to_hex())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_content_hash_is_blake3_with_its_name_in_front() {
        // The digits are BLAKE3's published result for no input.
        let expected = "blake3:af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262";
        assert_eq!(compute_snapshot_content_hash(b""), expected);
    }
}
