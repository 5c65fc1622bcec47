//! The four records of the sidecar. Each is the body of a frame, and begins with the hash that its writer gave it.
//!
//! That the hash is right is not checked here: a verifier compares the two and reports them.

pub(crate) mod dict;
pub(crate) mod gap;
pub(crate) mod hifi;
pub(crate) mod snapshot;

use super::field::Field;

const HASH: Field = Field::first("hash", 32);
