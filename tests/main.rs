//! The integration tests, in one binary: every test works on the public interface alone.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests may fail loudly, and no documentation is made of them"
)]

mod damaged_files;
mod entry_writer;
mod failing_disk;
mod format_document;
mod killed_writer;
mod lifecycle;
mod model_equivalence;
mod reading;
mod rooms;
mod segment_store;
mod storage_seam;
mod support;
