//! All ways of reading agree with each other, with what was given, and with the store in memory.

use std::time::Duration;

use proptest::prelude::*;
use tapelog::{
    BackgroundMode, BackgroundStep, Durability, EventStore, MemoryBackend, ReadPath, ReaderOptions, RunReader, RunStatus, SegmentBackend,
    SnapshotAnchor, Visibility,
};

use super::ways::Given;
use crate::support::entries::{entry_of, manifest};
use crate::support::folders::memory_dir;

const RUN: &str = "1-00000001";

#[derive(Debug, Clone)]
enum Operation {
    Append { count: u8, payload_len: u16 },
    Anchor,
    Background(u8),
}

fn operations() -> impl Strategy<Value = Vec<Operation>> {
    let payload_len = prop_oneof![Just(0_u16), 1..300_u16, Just(2_500), Just(9_000), Just(20_000)];
    let operation = prop_oneof![
        8 => (1..9_u8, payload_len).prop_map(|(count, payload_len)| Operation::Append { count, payload_len }),
        1 => Just(Operation::Anchor),
        3 => any::<u8>().prop_map(Operation::Background),
    ];
    proptest::collection::vec(operation, 0..24)
}

fn options(visibility: Visibility, read_path: ReadPath) -> ReaderOptions {
    ReaderOptions { visibility, read_path }
}

fn compare(operations: &[Operation], buffered: bool, indexes: bool) {
    let base = memory_dir();
    let durability = if buffered { Durability::Buffered { sync_every: Duration::from_millis(1) } } else { Durability::Synced };
    let builder = SegmentBackend::builder(base.path()).segment_len(16 << 10).index_spacing(512).indexes(indexes).durability(durability);
    let mut store = builder.background(BackgroundMode::Manual).build().unwrap();
    let mut model = MemoryBackend::new();
    store.open_run(manifest(RUN)).unwrap();
    model.open_run(manifest(RUN)).unwrap();
    // A reader that is there from the beginning sees everything that comes.
    let beside = store.reader().unwrap();
    let mut given = Given::default();
    for operation in operations {
        match operation {
            Operation::Append { count, payload_len } => {
                let from = given.last() + 1;
                let batch: Vec<_> = (from..from + u64::from(*count)).map(|seq| entry_of(seq, usize::from(*payload_len))).collect();
                store.append_batch(&batch).unwrap();
                model.append_batch(&batch).unwrap();
                given.entries.extend(batch);
            }
            Operation::Anchor => {
                let anchor = SnapshotAnchor::new(given.last(), "blob", format!("blake3:{}", given.anchors.len()));
                store.record_snapshot_anchor(anchor.clone()).unwrap();
                model.record_snapshot_anchor(anchor.clone()).unwrap();
                given.anchors.push(anchor);
            }
            Operation::Background(choice) => {
                let steps = store.background_steps();
                if !steps.is_empty() {
                    store.run_background_step(steps[usize::from(*choice) % steps.len()]).unwrap();
                }
            }
        }
    }
    let written = beside.clone().with_visibility(Visibility::Written);
    given.assert_read_by(&written);
    given.assert_tailed(&store, 1, Visibility::Written);
    store.sync().unwrap();
    given.assert_read_by(&beside);
    given.assert_tailed(&store, given.last() / 2 + 1, Visibility::Durable);
    let folder = store.current_path().unwrap().to_owned();
    let _ = store.run_background_step(BackgroundStep::WriteWatermark).unwrap();
    given.assert_read_by(&RunReader::open(&folder).unwrap());
    given.assert_read_by(&RunReader::open_with(&folder, options(Visibility::Written, ReadPath::Map)).unwrap());
    given.assert_followed(&folder, Visibility::Durable, false);
    given.assert_followed(&folder, Visibility::Written, false);
    store = given.assert_read_through(store);
    given.assert_read_through(model);

    store.seal(RunStatus::Ended).unwrap();
    given.assert_read_by(&beside);
    assert!(beside.manifest().is_sealed());
    for read_path in [ReadPath::Map, ReadPath::Positional] {
        given.assert_read_by(&RunReader::open_with(&folder, options(Visibility::Durable, read_path)).unwrap());
    }
    given.assert_followed(&folder, Visibility::Durable, true);
    given.assert_tailed(&store, 1, Visibility::Durable);
    given.assert_read_through(store);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn every_way_of_reading_gives_what_was_given(operations in operations(), buffered: bool, indexes: bool) {
        compare(&operations, buffered, indexes);
    }
}

#[test]
fn a_run_of_many_segments_is_read_alike_in_every_way() {
    let operations: Vec<_> = (0..60_u8)
        .flat_map(|number| {
            let append = Operation::Append { count: 1 + number % 7, payload_len: u16::from(number) * 37 % 2_000 };
            let other = if number % 10 == 9 { Operation::Anchor } else { Operation::Background(number) };
            [append, other, Operation::Background(number / 3)]
        })
        .collect();
    compare(&operations, false, true);
    compare(&operations, true, false);
}
