//! Checking that a run is what was written, without changing anything.

mod damage;
mod report;
mod verifier;
mod walk;

pub use report::{GapRange, IndexDrift, ManifestField, VerifyError, VerifyFinding, VerifyReport};
pub use verifier::Verifier;
