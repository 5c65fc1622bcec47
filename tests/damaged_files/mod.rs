//! Years later, or a second later, the bytes are not what they were: bits flip, sectors go back to
//! zeros, files are cut short, lost, mixed up, or come from somewhere else.
//!
//! Whatever happened to a run's files, nobody gets a wrong answer: a store answers what was given to
//! it, or says that something is damaged and where. Nothing that was acknowledged vanishes without a
//! word, what is intact can still be read, and nothing panics. Each damage is tried in every way in
//! which a run is opened: read-only, recovered by name, swept at boot, opened as sealed, verified.

mod cut_files;
mod flipped_bits;
mod forged_claims;
mod lost_sectors;
mod mixed_up_files;
mod small_run;
mod trial;
mod unknown_versions;
