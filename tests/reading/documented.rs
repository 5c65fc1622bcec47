//! What README.md says of reading is what compiles and comes to an end.

use tapelog::{EventStore, RunStatus, SegmentBackend};

use super::readme::{read_others, read_own};
use crate::support::entries::{batch, manifest};

#[test]
fn the_code_about_reading_in_the_readme_is_this_and_comes_to_an_end() {
    let code = include_str!("readme.rs");
    assert!(include_str!("../../README.md").contains(&format!("```rust\n{code}```")), "the code in README.md is another one");
    let base = tempfile::tempdir().unwrap();
    let mut store = SegmentBackend::builder(base.path()).segment_len(16 << 10).build().unwrap();
    store.open_run(manifest("1-00000001")).unwrap();
    store.append_batch(&batch(1, 10, 10)).unwrap();
    store.seal(RunStatus::Ended).unwrap();
    read_own(&store).unwrap();
    read_others(store.current_path().unwrap()).unwrap();
}
