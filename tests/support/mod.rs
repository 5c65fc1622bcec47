//! What the integration tests stand on.

pub mod children;
pub mod entries;
pub mod faulty_storage;
pub mod folders;
pub mod log;
