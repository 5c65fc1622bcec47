//! Runs that tapelog recorded, and what was given to it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tapelog::{
    AppendEntry, BackgroundMode, Durability, EventStore, EventStoreEntry, EventStoreError, Headers, IndexKey, IndexKind, RunManifest,
    RunStatus, SegmentBackend, SnapshotAnchor, compute_entry_hash,
};
use tempfile::TempDir;

use crate::second_reader::{Run, segment_name};

pub(super) const INSTANCE: &str = "trader-001";
pub(super) const RUN_ID: &str = "1700000000000000000-0badcafe";
pub(super) const BUFFERED: Durability = Durability::Buffered { sync_every: Duration::from_millis(1) };

/// A batch as it was given: entries by their numbers, or an anchor up to one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Given {
    Entries { first: u64, count: u32 },
    Anchor { up_to: u64 },
}

/// A run in a folder, and what was given for it.
pub(super) struct Recorded {
    _base: TempDir,
    pub(super) folder: PathBuf,
    pub(super) entries: Vec<EventStoreEntry>,
    pub(super) batches: Vec<Given>,
}

/// The entry with this number; its payload is as long as asked for.
pub(super) fn entry(seq: u64, payload_len: usize) -> AppendEntry {
    let payload: Vec<u8> = (0..payload_len).map(|at| u8::try_from((at as u64 * 7 + seq * 13) % 251).unwrap()).collect();
    let ts = (1_700_000_000_000_000_000 + seq * 1_000).into();
    let headers = Headers::empty();
    let hash = compute_entry_hash(seq, ts, ts, "exec.command", "SubmitOrder", &payload, &headers);
    let entry = EventStoreEntry::new(hash, seq, headers, "exec.command".into(), "SubmitOrder".into(), payload.into(), ts, ts);
    let keys = vec![
        IndexKey::new(IndexKind::ClientOrderId, format!("O-{seq}")),
        IndexKey::new(IndexKind::VenueOrderId, format!("V-{}", seq.div_ceil(3))),
    ];
    AppendEntry::new(entry, keys)
}

impl Recorded {
    /// Records several segments: small batches, anchors, and a batch that is larger than a segment of 16 KiB.
    fn record(durability: Durability) -> (Self, BTreeMap<String, Vec<u8>>) {
        let base = tempfile::tempdir().unwrap();
        let builder = SegmentBackend::builder(base.path()).segment_len(16 << 10).durability(durability);
        let mut store = builder.background(BackgroundMode::Manual).build().unwrap();
        store.open_run(RunManifest::new(RUN_ID, INSTANCE)).unwrap();
        let (mut entries, mut batches, mut seq) = (Vec::new(), Vec::new(), 0);
        for round in 0..24_u64 {
            let (count, payload_len) =
                if round == 9 { (5, 7_000) } else { (u32::try_from(round % 5 + 1).unwrap(), 200 + usize::try_from(round).unwrap() * 9) };
            let batch: Vec<AppendEntry> = (1..=u64::from(count)).map(|nth| entry(seq + nth, payload_len)).collect();
            store.append_batch(&batch).unwrap();
            batches.push(Given::Entries { first: seq + 1, count });
            entries.extend(batch.into_iter().map(|given| given.entry));
            seq += u64::from(count);
            if round % 6 == 2 {
                store.record_snapshot_anchor(SnapshotAnchor::new(seq, format!("cache/{seq}"), "blake3:00")).unwrap();
                batches.push(Given::Anchor { up_to: seq });
            }
            // In the middle of the run, what is left for the background is done; towards its end nothing is.
            let mut has_work = round < 20;
            while has_work {
                has_work = store.background_steps().into_iter().any(|step| store.run_background_step(step).unwrap());
            }
        }
        let folder = store.current_path().unwrap().to_owned();
        let killed = files(&folder);
        drop(store);
        (Self { _base: base, folder, entries, batches }, killed)
    }

    /// A run whose writer was killed: WATERMARK is behind its last batches.
    pub(super) fn new(durability: Durability) -> Self {
        let (recorded, killed) = Self::record(durability);
        restore(&recorded.folder, &killed);
        recorded
    }

    /// A run whose writer ended without a seal: WATERMARK names the last batch.
    pub(super) fn closed(durability: Durability) -> Self {
        Self::record(durability).0
    }

    /// The same run, sealed.
    pub(super) fn sealed(durability: Durability) -> Self {
        let recorded = Self::new(durability);
        let base = recorded.folder.parent().unwrap().parent().unwrap();
        let mut store = SegmentBackend::new(base);
        let opened = store.open_run(RunManifest::new(RUN_ID, INSTANCE));
        assert_eq!(opened, Err(EventStoreError::CrashedPredecessor));
        store.seal(RunStatus::CrashedRecovered).unwrap();
        recorded
    }

    pub(super) fn files(&self) -> BTreeMap<String, Vec<u8>> {
        files(&self.folder)
    }

    /// What a store shows of these files in the place of the recorded ones.
    pub(super) fn shown(&self, files: &BTreeMap<String, Vec<u8>>) -> Shown {
        restore(&self.folder, files);
        let store = SegmentBackend::open_read_only(&self.folder).unwrap();
        let high_watermark = store.high_watermark().unwrap();
        let reads = (1..=high_watermark).map(|seq| (seq, store.scan_seq(seq))).collect();
        Shown { high_watermark, reads, store }
    }
}

/// What a store shows of a run.
pub(super) struct Shown {
    pub(super) high_watermark: u64,
    pub(super) reads: BTreeMap<u64, Result<Option<EventStoreEntry>, EventStoreError>>,
    pub(super) store: SegmentBackend,
}

impl Shown {
    /// Every entry that is shown is the one that was given, and this is how many there are and which are refused.
    pub(super) fn refused(&self, given: &[EventStoreEntry]) -> Vec<(u64, EventStoreError)> {
        let mut refused = Vec::new();
        for (seq, read) in &self.reads {
            match read {
                Ok(Some(entry)) => assert_eq!(entry, &given[usize::try_from(*seq).unwrap() - 1], "a wrong entry is shown"),
                Ok(None) => panic!("entry {seq} is below the high-watermark and said not to be there"),
                Err(error) => refused.push((*seq, error.clone())),
            }
        }
        refused
    }
}

pub(super) fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let listed = fs::read_dir(folder).unwrap().map(Result::unwrap).filter(|item| item.file_type().unwrap().is_file());
    listed.map(|item| (item.file_name().into_string().unwrap(), fs::read(item.path()).unwrap())).collect()
}

fn restore(folder: &Path, files: &BTreeMap<String, Vec<u8>>) {
    for (name, bytes) in files {
        // Most files are as they were, and what is not written costs nothing.
        if fs::read(folder.join(name)).ok().as_ref() != Some(bytes) {
            fs::write(folder.join(name), bytes).unwrap();
        }
    }
    for name in self::files(folder).keys().filter(|name| !files.contains_key(*name)) {
        fs::remove_file(folder.join(name)).unwrap();
    }
}

pub(super) fn read(files: &BTreeMap<String, Vec<u8>>) -> Run {
    Run::read(files.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice()))).unwrap()
}

pub(super) fn segment_of(files: &mut BTreeMap<String, Vec<u8>>, ordinal: u32) -> &mut Vec<u8> {
    files.get_mut(&segment_name(ordinal)).unwrap()
}
