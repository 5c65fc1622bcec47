//! What the bytes of a run mean: one file per structure on disk.
//!
//! Everything here is a pure function over slices; files, threads and time belong to the rooms above.
//! FORMAT.md describes the same bytes in words, and [`layout`] holds them as data, so that a test can
//! compare the two.
//!
//! | file | structure |
//! |---|---|
//! | `file_name` | the names of the files of a run |
//! | `salt` | the uid of a run, its streams, and the salt of a segment |
//! | `header_page` | the first page of a segment |
//! | `frame` | the header of a frame, and its kinds |
//! | `open`, `genesis` | the frames that begin a segment and a run |
//! | `entry` | an entry |
//! | `commit` | the frame that ends a batch |
//! | `anchor` | a snapshot anchor |
//! | `marker` | the four records of the sidecar |
//! | `root` | the hash chain over all records |
//! | `chain` | a point of that chain: what a walk carries from frame to frame |
//! | `watermark` | WATERMARK, the witness beside the segments |
//! | `index_header`, `sparse_index`, `key_index` | the indexes of a full segment |
//! | `envelope`, `manifest` | MANIFEST, and the envelope of whatever is not read often |
//! | `bytes`, `field`, `format_error` | the tools by which all of these are read and written |
//!
//! Bytes from a file never panic and never cause an allocation beyond [`crate::limits`]. The order is
//! always length, checksum, version, values; reserved bytes and padding are zero, and are checked.
//! What is given to an encoder comes from this process and has passed the limits: there a breach is
//! a programmer's error.

pub(crate) mod anchor;
pub(crate) mod bytes;
pub(crate) mod chain;
pub(crate) mod commit;
pub(crate) mod entry;
pub(crate) mod envelope;
pub(crate) mod field;
pub(crate) mod file_name;
pub(crate) mod format_error;
pub(crate) mod frame;
pub(crate) mod genesis;
pub(crate) mod header_page;
pub(crate) mod index_header;
pub(crate) mod key_index;
pub mod layout;
pub(crate) mod manifest;
#[cfg_attr(
    not(any(test, fuzzing)),
    expect(dead_code, reason = "the store of the sidecar writes and reads these records, and is built on this room")
)]
pub(crate) mod marker;
pub(crate) mod open;
pub(crate) mod root;
pub(crate) mod salt;
pub(crate) mod sparse_index;
pub(crate) mod watermark;

#[cfg(test)]
pub(crate) mod testing;

pub(crate) use format_error::FormatError;

/// The version of every structure that this build reads and writes.
pub(crate) const VERSION: u32 = 1;
