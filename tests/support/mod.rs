//! What the integration tests stand on.

pub mod entries;
pub mod faulty_storage;
