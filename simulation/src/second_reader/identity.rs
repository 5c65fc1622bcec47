//! What names a segment, and the salt that follows from it.

use super::bytes::{array, is_zero, u32_at};

/// The bytes of a header page copy.
const COPY_LEN: usize = 40;
/// Where the two copies begin.
pub(super) const COPIES: [usize; 2] = [0, 2048];
const ORDINAL_MAX: u32 = 99_999_999;

/// The 16 bytes that go into every checksum of a segment and are stored in none of its frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Salt(pub [u8; 16]);

/// Which segment of which stream of which run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// The run.
    pub uid: [u8; 16],
    /// 1 for entries, 2 for markers.
    pub stream: u8,
    /// The segment's number.
    pub ordinal: u32,
}

impl Identity {
    /// What one of the two copies of a header page says, 0 or 1; none if that copy is not whole.
    #[must_use]
    pub fn of_copy(bytes: &[u8], copy: usize) -> Option<Self> {
        let start = *COPIES.get(copy)?;
        let copy = bytes.get(start..start + COPY_LEN)?;
        let (covered, crc) = copy.split_at_checked(36)?;
        let stream = *copy.get(12)?;
        let ordinal = u32_at(copy, 32)?;
        let whole = copy.starts_with(b"TAPELOGS")
            && crc == crc32fast::hash(covered).to_le_bytes()
            && u32_at(copy, 8)? == 1
            && is_zero(copy.get(13..16)?)
            && matches!(stream, 1 | 2)
            && (1..=ORDINAL_MAX).contains(&ordinal);
        whole.then_some(Self { uid: array(copy, 16)?, stream, ordinal })
    }

    /// What the header page says, by whichever copy is whole.
    #[must_use]
    pub fn of_page(bytes: &[u8]) -> Option<Self> {
        Self::of_copy(bytes, 0).or_else(|| Self::of_copy(bytes, 1))
    }

    /// The segment's salt.
    #[must_use]
    pub fn salt(&self) -> Salt {
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"tapelog/salt/v1").update(&self.uid).update(&[self.stream]).update(&self.ordinal.to_le_bytes());
        let mut salt = [0; 16];
        hasher.finalize_xof().fill(&mut salt);
        Salt(salt)
    }
}
