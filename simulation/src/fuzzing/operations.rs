//! Any sequence of operations on the segmented store, which answers as the store in memory does.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tapelog::{
    AppendEntry, BackgroundMode, BackgroundStep, Durability, EntryHash, EventStore, EventStoreError, IndexKey, IndexKind, MemoryBackend,
    ReadPath, RunStatus, ScanDirection, SegmentBackend, SnapshotAnchor, SyncPath, limits,
};

use super::base_runs::BASE;
use super::entries::{INSTANCE, entry_of, manifest};
use super::input::Input;
use crate::disk::SimulatedDisk;

/// Most operations of one input.
const OPERATIONS_MAX: usize = 64;

/// Does to both stores what the input says.
pub fn operations(data: &[u8]) {
    let mut input = Input::new(data);
    let disk = SimulatedDisk::new(1);
    disk.put(&Path::new(BASE).join("here"), b"");
    let setup = Setup::read(&mut input);
    let store = setup.open(&disk);
    let mut pair = Pair { setup, disk, model: MemoryBackend::new(), store, run: None, recovered: false, sealed: Vec::new() };
    pair.open(0);
    for _ in 0..OPERATIONS_MAX {
        if input.is_empty() {
            break;
        }
        pair.operate(&mut input);
    }
    pair.read();
    assert_eq!(pair.disk.violations(), [""; 0], "the store writes and syncs in an order that it must not");
}

#[derive(Debug, Clone, Copy)]
struct Setup {
    durability: Durability,
    read_path: ReadPath,
    sync_path: SyncPath,
    indexes: bool,
    spares: u32,
}

impl Setup {
    fn read(input: &mut Input<'_>) -> Self {
        let choice = input.byte();
        Self {
            durability: if choice & 3 == 3 { Durability::Buffered { sync_every: Duration::from_millis(1) } } else { Durability::Synced },
            read_path: if choice & 4 == 0 { ReadPath::Map } else { ReadPath::Positional },
            sync_path: SyncPath::default(),
            indexes: choice & 8 == 0,
            spares: 1 + u32::from(choice >> 4 & 1),
        }
    }

    fn open(self, disk: &SimulatedDisk) -> SegmentBackend {
        SegmentBackend::builder(BASE)
            .storage(Arc::new(disk.clone()))
            .segment_len(16 << 10)
            .index_spacing(512)
            .durability(self.durability)
            .read_path(self.read_path)
            .sync_path(self.sync_path)
            .indexes(self.indexes)
            .spares(self.spares)
            .background(BackgroundMode::Manual)
            .build()
            .unwrap()
    }
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
    disk: SimulatedDisk,
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

    fn operate(&mut self, input: &mut Input<'_>) {
        match input.below(16) {
            0 => self.open(input.byte() % 6),
            1..=7 => self.append(input),
            8 => self.anchor(input),
            9 => self.seal(input.pick(&RunStatus::ALL)),
            10 => self.reopen(),
            11..=13 => self.background(input.byte()),
            _ => self.read(),
        }
        self.settle();
        assert_eq!(outline(self.store.high_watermark()), outline(self.model.high_watermark()));
        assert_eq!(outline(self.store.manifest()), outline(self.model.manifest()));
    }

    /// The model knows no delay between written and durable.
    fn settle(&self) {
        if matches!(self.setup.durability, Durability::Buffered { .. }) && !self.recovered {
            let _ = self.store.run_background_step(BackgroundStep::SyncWritten);
        }
    }

    fn open(&mut self, number: u8) {
        let manifest = manifest(&format!("{number}-0000000a"));
        if !self.is_open() && self.sealed.contains(&number) {
            // In memory nothing is left of a sealed run; on disk it is still there.
            let answer = self.store.open_run(manifest);
            assert!(matches!(&answer, Err(EventStoreError::Backend(text)) if text.contains("already sealed")), "{answer:?}");
            return;
        }
        let was_open = self.is_open();
        assert_eq!(outline(self.store.open_run(manifest.clone())), outline(self.model.open_run(manifest)));
        if !was_open {
            self.run = Some(number);
            self.recovered = false;
        }
    }

    fn append(&mut self, input: &mut Input<'_>) {
        let beside = [0, 0, 0, 0, 0, 0, 1, -1][input.below(8)];
        let last = self.model.high_watermark().unwrap_or(0);
        let first = (last + 1).saturating_add_signed(beside);
        let count = input.below(6) as u64;
        let entries: Vec<_> = (first..first + count).map(|seq| entry(seq, input)).collect();
        if self.recovered && self.is_open() {
            assert_eq!(self.store.append_batch(&entries), Err(EventStoreError::CrashedPredecessor));
            return;
        }
        let answer = self.store.append_batch(&entries);
        let expected = self.model.append_batch(&entries);
        match self.setup.durability {
            Durability::Synced => assert_eq!(outline(answer), outline(expected)),
            // The answer is what is durable, which may lag behind what is written.
            Durability::Buffered { .. } => assert_eq!(outline(answer.map(|_| ())), outline(expected.map(|_| ()))),
        }
    }

    fn anchor(&mut self, input: &mut Input<'_>) {
        let last = self.model.high_watermark().unwrap_or(0);
        let back = input.below(5) as u64;
        let mut anchor = SnapshotAnchor::new((last + 1).saturating_sub(back), format!("blob-{back}"), "hash");
        if input.below(32) == 31 {
            anchor.content_hash = "h".repeat(limits::ANCHOR_TEXT_LEN_MAX + input.below(3) - 1);
        }
        if self.recovered && self.is_open() {
            assert_eq!(self.store.record_snapshot_anchor(anchor), Err(EventStoreError::CrashedPredecessor));
            return;
        }
        let answer = self.store.record_snapshot_anchor(anchor.clone());
        assert_eq!(outline(answer), outline(self.model.record_snapshot_anchor(anchor)));
    }

    fn seal(&mut self, status: RunStatus) {
        let open = self.is_open();
        assert_eq!(outline(self.store.seal(status)), outline(self.model.seal(status)));
        if open && status != RunStatus::Running {
            self.sealed.extend(self.run);
            self.recovered = false;
        }
    }

    fn background(&self, choice: u8) {
        let steps = self.store.background_steps();
        if let Some(step) = steps.get(usize::from(choice) % steps.len().max(1)) {
            assert_eq!(self.store.run_background_step(*step), Ok(true));
        }
    }

    /// Ends the store as a process would that ends, and opens the same run again.
    fn reopen(&mut self) {
        let Some(number) = self.run else { return };
        self.store = self.setup.open(&self.disk);
        let manifest = manifest(&format!("{number}-0000000a"));
        if self.is_open() {
            assert_eq!(self.store.open_run(manifest), Err(EventStoreError::CrashedPredecessor));
            self.recovered = true;
            return;
        }
        let folder = Path::new(BASE).join(INSTANCE).join(&manifest.run_id);
        self.store = self.setup.open(&self.disk).into_read_only(folder).unwrap();
        self.read();
        // A store that was opened on a sealed run opens nothing else, so the next life begins with a new one.
        self.store = self.setup.open(&self.disk);
        self.model = MemoryBackend::new();
        self.run = None;
        self.recovered = false;
    }

    fn read(&self) {
        let last = self.model.high_watermark().unwrap_or(0);
        let ranges =
            [(0, 5), (1, last), (1, u64::MAX), (last, last + 3), (last + 1, last + 2), (3, 2), (last / 2, last), (last / 3, last / 2)];
        for (from, to) in ranges {
            for direction in [ScanDirection::Forward, ScanDirection::Reverse] {
                let expected = outline(self.model.scan_range(from, to, direction));
                assert_eq!(outline(self.store.scan_range(from, to, direction)), expected);
            }
        }
        for seq in 0..=last + 1 {
            assert_eq!(outline(self.store.scan_seq(seq)), outline(self.model.scan_seq(seq)));
        }
        for kind in IndexKind::ALL {
            let keys = outline(self.model.iter_index_keys(kind));
            assert_eq!(outline(self.store.iter_index_keys(kind)), keys);
            for key in keys.iter().flatten().map(|(key, _)| key.as_str()).chain(["O-none", ""]) {
                assert_eq!(outline(self.store.lookup(kind, key)), outline(self.model.lookup(kind, key)));
            }
        }
        assert_eq!(outline(self.store.latest_snapshot_anchor()), outline(self.model.latest_snapshot_anchor()));
    }
}

/// An entry of a length that matters to a segment of 16 KiB; seldom one that is at a bound or over it, or whose hash is wrong.
fn entry(seq: u64, input: &mut Input<'_>) -> AppendEntry {
    let payload_len = match input.below(16) {
        0..=11 => input.below(200),
        12 => 3_000 + input.below(100),
        13 => 12_000 + input.below(256),
        _ => 20_000,
    };
    let mut append = entry_of(seq, payload_len);
    match input.below(64) {
        63 => append.entry.entry_hash = EntryHash([1; 32]),
        62 => {
            let count = limits::KEYS_PER_ENTRY_MAX + input.below(3) - 1;
            append.index_keys = (0..count).map(|number| IndexKey::new(IndexKind::VenueOrderId, format!("{number}"))).collect();
        }
        61 => append.index_keys.push(IndexKey::new(IndexKind::ClientOrderId, "k".repeat(limits::KEY_LEN_MAX + input.below(3) - 1))),
        60 => append.index_keys.clear(),
        59 => {
            append.entry.payload = Bytes::new();
            append.entry.entry_hash = append.entry.recompute_hash();
        }
        _ => {}
    }
    append
}
