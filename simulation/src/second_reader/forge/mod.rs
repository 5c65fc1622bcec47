//! Changes to the files of a run after which every checksum fits again.
//!
//! A flipped bit is caught by the checksum next to it, and shows little more than that there is one. A forgery
//! repairs what stands nearest and so reaches what stands behind: the tag, the root, the hash of an entry, the count
//! of a batch. Each one is a function of the bytes of a segment and answers with the range that it touched, or with
//! none where it does not apply; then nothing was changed.

mod batches;
mod records;
mod repair;

pub use batches::{Repaired, change_base_root, change_commit_no, change_count, raise_claim};
pub use records::{Numbers, drop_record, enlarge_body, exchange_records, flip_key, flip_payload};
pub use repair::{repair_commit, repair_frame, repair_header, repair_roots, repair_run, repair_slot};
