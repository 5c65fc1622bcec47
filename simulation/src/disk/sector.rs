//! The unit that a disk writes wholly or not at all.

use std::hash::{DefaultHasher, Hasher};
use std::sync::Arc;

/// The length of a sector, in bytes.
pub const SECTOR_LEN: usize = 512;

/// The contents of one sector; shared, because images of a disk have most of them in common.
#[derive(Debug, Clone, Default)]
pub struct Sector(Option<Arc<Contents>>);

#[derive(Debug)]
struct Contents {
    bytes: [u8; SECTOR_LEN],
    hash: u64,
}

/// What a sector without contents holds.
static ZEROS: [u8; SECTOR_LEN] = [0; SECTOR_LEN];

impl Sector {
    /// A sector of zeros.
    pub const ZEROS: Self = Self(None);

    /// A sector with these contents.
    #[must_use]
    pub fn new(bytes: [u8; SECTOR_LEN]) -> Self {
        if bytes == ZEROS {
            return Self::ZEROS;
        }
        let mut hasher = DefaultHasher::new();
        hasher.write(&bytes);
        Self(Some(Arc::new(Contents { bytes, hash: hasher.finish() })))
    }

    /// The contents.
    #[must_use]
    pub fn bytes(&self) -> &[u8; SECTOR_LEN] {
        self.0.as_ref().map_or(&ZEROS, |contents| &contents.bytes)
    }

    /// Whether every byte is zero.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        self.0.is_none()
    }

    /// A hash of the contents; zero for zeros.
    #[must_use]
    pub fn hash(&self) -> u64 {
        self.0.as_ref().map_or(0, |contents| contents.hash)
    }
}

impl PartialEq for Sector {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (None, None) => true,
            (Some(left), Some(right)) => Arc::ptr_eq(left, right) || (left.hash == right.hash && left.bytes == right.bytes),
            _ => false,
        }
    }
}

impl Eq for Sector {}
