//! What the integration tests stand on.

pub mod children;
pub mod counters;
pub mod entries;
pub mod faulty_storage;
pub mod folders;
#[allow(dead_code, reason = "the tests in the library use another part of it")]
pub mod format_text;
pub mod log;
pub mod scripted_store;
