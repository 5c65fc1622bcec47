//! What the fuzz targets that need a disk do with an input. Each function takes any bytes, and panics where tapelog
//! breaks a promise.
//!
//! `fuzz/` holds a few lines for each. The tests replay the committed inputs, and some hundreds of random ones.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "a panic is how a fuzz target says that it found something"
)]

mod base_runs;
#[path = "../../../tests/support/entries.rs"]
#[allow(dead_code, reason = "the integration tests of the library use another part of it")]
mod entries;
#[path = "../../../src/fuzzing/input.rs"]
#[allow(dead_code, reason = "the targets in the library use another part of it")]
mod input;
#[path = "../../../tests/support/log.rs"]
#[allow(dead_code, reason = "the integration tests of the library use another part of it")]
mod log;
mod open_folder;
mod operations;
mod readers;
#[cfg(test)]
mod replay;
mod stamps;

pub use open_folder::open_folder;
pub use operations::operations;
