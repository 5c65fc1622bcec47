//! What the fuzz targets do with an input. Each function takes any bytes, and panics where the library breaks a promise.
//!
//! The bodies of the targets are here because they need the inside of the library; `fuzz/` holds a few
//! lines for each. Compiled for fuzzing and for tests only: the tests replay the committed inputs, and
//! some thousands of random ones.
//!
//! An input either holds the bytes of a structure as they are, or chooses a valid structure and says how
//! to change it. A checksum keeps a fuzzer out of everything behind it, so that an input also says
//! whether the checksums are made right again.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "a panic is how a fuzz target says that it found something"
)]

mod decode_files;
mod decode_frames;
mod input;
#[cfg(test)]
mod replay;
mod samples;
mod stamps;
mod walk_segment;

pub use decode_files::decode_files;
pub use decode_frames::decode_frames;
pub use walk_segment::walk_segment;
