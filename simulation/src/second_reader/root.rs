//! The hash chain over the records of a stream.

use super::bytes::array;
use super::entry::keys_range;
use super::{FramePlace, kind};

/// One link of the chain.
pub type Root = [u8; 32];

/// The root before the first commit.
#[must_use]
pub fn root_zero(uid: &[u8; 16], opening: &[u8]) -> Root {
    *blake3::Hasher::new().update(b"tapelog/root-0/v1").update(uid).update(opening).finalize().as_bytes()
}

/// The root of a batch while its records are fed to it.
pub(super) struct RootHasher(blake3::Hasher);

impl RootHasher {
    /// Begins a batch behind the root of the one before.
    pub(super) fn behind(root: &Root) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"tapelog/root/v1").update(root);
        Self(hasher)
    }

    /// Feeds the record of a frame; none if its body does not hold what goes in.
    pub(super) fn record(&mut self, bytes: &[u8], frame: &FramePlace) -> Option<()> {
        self.0.update(&[frame.kind]).update(&frame.seq.to_le_bytes());
        if frame.kind == kind::ENTRY {
            let keys = keys_range(bytes, &frame.body)?;
            self.0.update(&array::<32>(bytes, frame.body.start)?);
            self.0.update(&u32::try_from(keys.len()).ok()?.to_le_bytes()).update(bytes.get(keys)?);
        } else {
            self.0.update(&u32::try_from(frame.body.len()).ok()?.to_le_bytes()).update(bytes.get(frame.body.clone())?);
        }
        Some(())
    }

    /// Ends the batch.
    pub(super) fn finish(mut self, commit_no: u64, count: u32) -> Root {
        *self.0.update(&commit_no.to_le_bytes()).update(&count.to_le_bytes()).finalize().as_bytes()
    }
}
