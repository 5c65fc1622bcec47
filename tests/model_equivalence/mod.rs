//! Any sequence of operations on the segmented store answers as the store in memory does.

use std::path::Path;

use proptest::prelude::*;
use tapelog::{
    BackgroundMode, BackgroundStep, Durability, EventStore, EventStoreError, IndexKind, MemoryBackend, ReadPath, RunStatus, ScanDirection,
    SegmentBackend, SnapshotAnchor,
};

use crate::support::entries::{INSTANCE, entry_of, manifest};

/// What can be done to a store.
#[derive(Debug, Clone)]
enum Operation {
    /// Open the run with this number; the current one may still be open.
    Open(u8),
    /// Append so many entries of this payload length, beginning at the right number or this far beside it.
    Append {
        count: u8,
        payload_len: u16,
        beside: i8,
    },
    Anchor {
        back: u8,
    },
    Seal(RunStatus),
    /// Drop the store as a process would that ends, and open the same run again.
    Reopen,
    /// Do a step of background work.
    Background(u8),
    /// Read everything in every way.
    Read,
}

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        1 => (0..6_u8).prop_map(Operation::Open),
        12 => (0..6_u8, prop_oneof![Just(0_u16), 1..200_u16, Just(3_000), Just(20_000)], prop_oneof![9 => Just(0_i8), 1 => -2..3_i8])
            .prop_map(|(count, payload_len, beside)| Operation::Append { count, payload_len, beside }),
        2 => (0..5_u8).prop_map(|back| Operation::Anchor { back }),
        1 => prop_oneof![
            Just(RunStatus::Ended),
            Just(RunStatus::CrashedRecovered),
            Just(RunStatus::Quarantined),
            Just(RunStatus::Running)
        ]
        .prop_map(Operation::Seal),
        2 => Just(Operation::Reopen),
        4 => any::<u8>().prop_map(Operation::Background),
        2 => Just(Operation::Read),
    ]
}

#[derive(Debug, Clone, Copy)]
struct Setup {
    durability: Durability,
    read_path: ReadPath,
    indexes: bool,
    spares: u32,
}

fn setup() -> impl Strategy<Value = Setup> {
    let durability = prop_oneof![
        3 => Just(Durability::Synced),
        1 => Just(Durability::Buffered { sync_every: std::time::Duration::from_millis(1) })
    ];
    let read_path = prop_oneof![Just(ReadPath::Map), Just(ReadPath::Positional)];
    (durability, read_path, any::<bool>(), 1..3_u32).prop_map(|(durability, read_path, indexes, spares)| Setup {
        durability,
        read_path,
        indexes,
        spares,
    })
}

fn open_store(base: &Path, setup: Setup) -> SegmentBackend {
    SegmentBackend::builder(base)
        .segment_len(16 << 10)
        .index_spacing(512)
        .durability(setup.durability)
        .read_path(setup.read_path)
        .indexes(setup.indexes)
        .spares(setup.spares)
        .background(BackgroundMode::Manual)
        .build()
        .unwrap()
}

/// Errors with numbers that both stores must agree on; texts may differ.
fn outline<T>(result: Result<T, EventStoreError>) -> Result<T, EventStoreError> {
    result.map_err(|error| match error {
        EventStoreError::Backend(_) => EventStoreError::Backend(String::new()),
        other => other,
    })
}

struct Pair {
    setup: Setup,
    base: tempfile::TempDir,
    model: MemoryBackend,
    store: SegmentBackend,
    run: Option<u8>,
    /// The run was left and loaded again: the segmented store takes nothing more for it.
    recovered: bool,
    sealed: Vec<u8>,
}

impl Pair {
    fn is_open(&self) -> bool {
        self.run.is_some() && !self.model.manifest().unwrap().is_sealed()
    }

    fn apply(&mut self, operation: &Operation) -> Result<(), TestCaseError> {
        match operation {
            Operation::Open(number) => self.open(*number)?,
            Operation::Append { count, payload_len, beside } => self.append(*count, *payload_len, *beside)?,
            Operation::Anchor { back } => {
                let last = self.model.high_watermark().unwrap_or(0);
                let anchor = SnapshotAnchor::new((last + 1).saturating_sub(u64::from(*back)), format!("blob-{back}"), "hash");
                if self.recovered && self.is_open() {
                    prop_assert_eq!(self.store.record_snapshot_anchor(anchor), Err(EventStoreError::CrashedPredecessor));
                } else {
                    prop_assert_eq!(
                        outline(self.store.record_snapshot_anchor(anchor.clone())),
                        outline(self.model.record_snapshot_anchor(anchor))
                    );
                }
            }
            Operation::Seal(status) => {
                let open = self.is_open();
                prop_assert_eq!(outline(self.store.seal(*status)), outline(self.model.seal(*status)));
                if open && *status != RunStatus::Running {
                    self.sealed.extend(self.run);
                    self.recovered = false;
                }
            }
            Operation::Reopen => self.reopen()?,
            Operation::Background(choice) => {
                let steps = self.store.background_steps();
                if let Some(step) = steps.get(usize::from(*choice) % steps.len().max(1)) {
                    prop_assert_eq!(self.store.run_background_step(*step), Ok(true));
                }
            }
            Operation::Read => self.read()?,
        }
        self.settle();
        prop_assert_eq!(outline(self.store.high_watermark()), outline(self.model.high_watermark()));
        prop_assert_eq!(outline(self.store.manifest()), outline(self.model.manifest()));
        Ok(())
    }

    /// The model knows no delay between written and durable.
    fn settle(&self) {
        if matches!(self.setup.durability, Durability::Buffered { .. }) && !self.recovered {
            let _ = self.store.run_background_step(BackgroundStep::SyncWritten);
        }
    }

    fn open(&mut self, number: u8) -> Result<(), TestCaseError> {
        let manifest = manifest(&format!("{number}-0000000a"));
        if !self.is_open() && self.sealed.contains(&number) {
            // In memory nothing is left of a sealed run; on disk it is still there.
            let answer = self.store.open_run(manifest);
            prop_assert!(matches!(&answer, Err(EventStoreError::Backend(text)) if text.contains("already sealed")), "{:?}", answer);
            return Ok(());
        }
        let was_open = self.is_open();
        prop_assert_eq!(outline(self.store.open_run(manifest.clone())), outline(self.model.open_run(manifest)));
        if !was_open {
            self.run = Some(number);
            self.recovered = false;
        }
        Ok(())
    }

    fn append(&mut self, count: u8, payload_len: u16, beside: i8) -> Result<(), TestCaseError> {
        let first = (self.model.high_watermark().unwrap_or(0) + 1).saturating_add_signed(i64::from(beside));
        let entries: Vec<_> = (first..first + u64::from(count)).map(|seq| entry_of(seq, usize::from(payload_len))).collect();
        if self.recovered && self.is_open() {
            prop_assert_eq!(self.store.append_batch(&entries), Err(EventStoreError::CrashedPredecessor));
            return Ok(());
        }
        let answer = self.store.append_batch(&entries);
        let expected = self.model.append_batch(&entries);
        match self.setup.durability {
            Durability::Synced => prop_assert_eq!(outline(answer), outline(expected)),
            // The answer is what is durable, which may lag behind what is written.
            Durability::Buffered { .. } => prop_assert_eq!(outline(answer.map(|_| ())), outline(expected.map(|_| ()))),
        }
        Ok(())
    }

    fn reopen(&mut self) -> Result<(), TestCaseError> {
        let Some(number) = self.run else { return Ok(()) };
        self.store = open_store(self.base.path(), self.setup);
        let manifest = manifest(&format!("{number}-0000000a"));
        if self.is_open() {
            prop_assert_eq!(self.store.open_run(manifest), Err(EventStoreError::CrashedPredecessor));
            self.recovered = true;
        } else {
            self.store = SegmentBackend::open_sealed(self.base.path(), INSTANCE, &manifest.run_id).unwrap();
            self.read()?;
            // A store that was opened on a sealed run opens nothing else, so the next life begins with a new one.
            self.store = open_store(self.base.path(), self.setup);
            self.model = MemoryBackend::new();
            self.run = None;
            self.recovered = false;
        }
        Ok(())
    }

    fn read(&self) -> Result<(), TestCaseError> {
        let last = self.model.high_watermark().unwrap_or(0);
        let ranges =
            [(0, 5), (1, last), (1, u64::MAX), (last, last + 3), (last + 1, last + 2), (3, 2), (last / 2, last), (last / 3, last / 2)];
        for (from, to) in ranges {
            for direction in [ScanDirection::Forward, ScanDirection::Reverse] {
                let expected = outline(self.model.scan_range(from, to, direction));
                prop_assert_eq!(outline(self.store.scan_range(from, to, direction)), expected);
            }
        }
        for seq in 0..=last + 1 {
            prop_assert_eq!(outline(self.store.scan_seq(seq)), outline(self.model.scan_seq(seq)));
        }
        for kind in IndexKind::ALL {
            let keys = outline(self.model.iter_index_keys(kind));
            prop_assert_eq!(outline(self.store.iter_index_keys(kind)), keys.clone());
            for key in keys.iter().flatten().map(|(key, _)| key.as_str()).chain(["O-none", ""]) {
                prop_assert_eq!(outline(self.store.lookup(kind, key)), outline(self.model.lookup(kind, key)));
            }
        }
        prop_assert_eq!(outline(self.store.latest_snapshot_anchor()), outline(self.model.latest_snapshot_anchor()));
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_sequence_of_operations_answers_as_the_store_in_memory(
        setup in setup(),
        operations in prop::collection::vec(operation(), 1..60)
    ) {
        let base = tempfile::tempdir().unwrap();
        let store = open_store(base.path(), setup);
        let mut pair = Pair { setup, base, model: MemoryBackend::new(), store, run: None, recovered: false, sealed: Vec::new() };
        pair.open(0)?;
        for operation in &operations {
            pair.apply(operation)?;
        }
        pair.read()?;
    }
}
