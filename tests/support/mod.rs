//! What the integration tests stand on.

pub mod faulty_storage;
