//! The uid of a run, its two streams, and the salt that ties every checksum of a segment to its place.
//!
//! The salt follows from what names a segment, so that a segment without a readable header page can
//! still be read.

/// The domain of the salt's hash.
pub(crate) const DOMAIN: &str = "tapelog/salt/v1";

/// The random number that tells a run's files from those of every other run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Uid(pub(crate) [u8; 16]);

/// One of the two sequences of frames in a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Stream {
    /// The entries of the run.
    Entries = 1,
    /// The markers of its sidecar.
    Markers = 2,
}

impl Stream {
    /// The number that stands for the stream on disk.
    pub(crate) const fn code(self) -> u8 {
        self as u8
    }

    /// The stream that `code` stands for.
    pub(crate) const fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Entries),
            2 => Some(Self::Markers),
            _ => None,
        }
    }
}

/// What goes into the checksums of one segment, and of no other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Salt(pub(crate) [u8; Salt::LEN]);

impl Salt {
    /// The salt's length in bytes.
    pub(crate) const LEN: usize = 16;

    /// The salt of the segment with this ordinal.
    pub(crate) fn of(uid: &Uid, stream: Stream, ordinal: u32) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(DOMAIN.as_bytes());
        hasher.update(&uid.0);
        hasher.update(&[stream.code()]);
        hasher.update(&ordinal.to_le_bytes());
        let mut salt = [0; Self::LEN];
        hasher.finalize_xof().fill(&mut salt);
        Self(salt)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::testing::{UID, hex};

    #[test]
    fn the_salt_has_its_golden_bytes() {
        let salt = Salt::of(&UID, Stream::Entries, 1);
        let mut input = DOMAIN.as_bytes().to_vec();
        input.extend_from_slice(&UID.0);
        input.extend_from_slice(&[1, 1, 0, 0, 0]);
        assert_eq!(salt.0, blake3::hash(&input).as_bytes()[..16]);
        assert_eq!(hex(&salt.0), "52154d173252780718e9bc385abdd1db");
    }

    #[test]
    fn uid_stream_and_ordinal_each_change_the_salt() {
        let salt = Salt::of(&UID, Stream::Entries, 1);
        assert_ne!(salt, Salt::of(&Uid([0; 16]), Stream::Entries, 1));
        assert_ne!(salt, Salt::of(&UID, Stream::Markers, 1));
        assert_ne!(salt, Salt::of(&UID, Stream::Entries, 2));
    }

    #[test]
    fn a_code_leads_back_to_its_stream_and_others_to_none() {
        let known: Vec<_> = (0..=u8::MAX).filter_map(Stream::from_code).map(|stream| (stream, stream.code())).collect();
        assert_eq!(known, [(Stream::Entries, 1), (Stream::Markers, 2)]);
    }
}
