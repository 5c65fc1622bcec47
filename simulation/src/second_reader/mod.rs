//! A second reader of runs, written from FORMAT.md alone, and a forger of them.
//!
//! What judges tapelog must not ask tapelog what its files mean: an error in its code would then be its own
//! witness. This module shares no line with it. It says where every frame and every commit stands, what each
//! commit and each slot of WATERMARK claims, and which bytes belong to what. With [`forge`] it changes files and
//! repairs every checksum that the change broke, so that what notices the change must be what is meant to.
//!
//! Everything works on bytes in memory and answers with places: offsets and ranges in a file. A reading holds no
//! reference to the bytes that it was made from, so that a simulation reads a run once, before it damages it.

mod attribution;
mod batch;
mod bytes;
mod commit;
mod entry;
pub mod forge;
mod frame;
mod identity;
mod manifest;
mod open;
mod root;
mod run;
mod segment;
#[cfg(test)]
mod tests;
mod watermark;

pub use attribution::{Owner, Part};
pub use batch::{BatchPlace, RecordPlace};
pub use commit::CommitPlace;
pub use entry::{EntryPlace, KeyPlace};
pub use frame::{FramePlace, frame_at, frames, search_frames};
pub use identity::{Identity, Salt};
pub use manifest::{Manifest, Seal, SealedSegmentRow};
pub use open::OpenPlace;
pub use root::{Root, root_zero};
pub use run::{Run, WitnessPlace, ordinal_of, segment_name};
pub use segment::Segment;
pub use watermark::{SlotPlace, Watermark};

/// Where the frames of a segment begin: behind its header page.
pub const HEADER_PAGE_LEN: usize = 4096;
/// The length of a frame's header.
pub const FRAME_HEADER_LEN: usize = 24;
/// The largest body of a frame.
pub const BODY_LEN_MAX: usize = 20 << 20;
/// How far behind the first frame of a batch its last one may begin.
pub const BATCH_SPAN_MAX: usize = 256 << 20;

/// The stream of entries.
pub const STREAM_ENTRIES: u8 = 1;
/// The stream of markers.
pub const STREAM_MARKERS: u8 = 2;

/// The kinds of frames that version 1 knows.
pub mod kind {
    /// What all segments before one come to.
    pub const OPEN: u8 = 1;
    /// The opening section of MANIFEST, once more.
    pub const GENESIS: u8 = 2;
    /// A captured message.
    pub const ENTRY: u8 = 3;
    /// The end of a batch.
    pub const COMMIT: u8 = 4;
    /// The place of a snapshot.
    pub const ANCHOR: u8 = 5;
    /// A marker: how far the streams had come.
    pub const SNAPSHOT: u8 = 6;
    /// A marker: one record of market data.
    pub const HIFI: u8 = 7;
    /// A marker: what a slot stands for.
    pub const DICT: u8 = 8;
    /// A marker: a range of markers that were dropped.
    pub const GAP: u8 = 9;
}
