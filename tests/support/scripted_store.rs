//! A store in memory that does what a test says: it waits at a gate, fails, panics, or acknowledges late.

use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use tapelog::{
    AppendEntry, EventStore, EventStoreEntry, EventStoreError, IndexKind, MemoryBackend, RunManifest, RunStatus, ScanDirection,
    SnapshotAnchor,
};

/// What an append does instead of appending.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    Disk,
    Corrupted,
    Backend,
    Panic,
}

#[derive(Debug, Default)]
#[allow(clippy::struct_excessive_bools, reason = "each is one thing that a test can say")]
struct State {
    gate_closed: bool,
    /// How many appends a closed gate lets through.
    passes: usize,
    at_gate: bool,
    failure: Option<Failure>,
    seal_fails: bool,
    anchor_fails: bool,
    /// The high-watermark stays where it was, until a sync.
    buffered: Option<u64>,
    sync_fails: bool,
    dropped: bool,
    batches: Vec<usize>,
}

/// The test's hand on a store.
#[derive(Debug, Clone, Default)]
pub struct Script {
    state: Arc<(Mutex<State>, Condvar)>,
    store: Arc<Mutex<MemoryBackend>>,
}

/// The store, with a run open.
#[derive(Debug)]
pub struct ScriptedStore {
    script: Script,
}

impl Script {
    /// A store with a run that was just begun.
    pub fn open(&self, manifest: RunManifest) -> Box<dyn EventStore + Send> {
        self.store.lock().unwrap().open_run(manifest).unwrap();
        Box::new(ScriptedStore { script: self.clone() })
    }

    /// A store in which no run is open.
    pub fn empty(&self) -> Box<dyn EventStore + Send> {
        Box::new(ScriptedStore { script: self.clone() })
    }

    fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let changed = change(&mut self.state.0.lock().unwrap());
        self.state.1.notify_all();
        changed
    }

    /// Appends wait from now on.
    pub fn close_gate(&self) {
        self.with(|state| state.gate_closed = true);
    }

    pub fn open_gate(&self) {
        self.with(|state| state.gate_closed = false);
    }

    /// One append passes the closed gate.
    pub fn let_one_through(&self) {
        self.with(|state| state.passes += 1);
    }

    /// Waits until an append waits at the gate.
    pub fn wait_until_at_gate(&self) {
        let begun = Instant::now();
        while !self.with(|state| state.at_gate) {
            assert!(begun.elapsed() < Duration::from_secs(30), "no append came to the gate");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Every append fails from now on; with `None` none does.
    pub fn fail_appends(&self, failure: impl Into<Option<Failure>>) {
        self.with(|state| state.failure = failure.into());
    }

    pub fn fail_seal(&self) {
        self.with(|state| state.seal_fails = true);
    }

    pub fn fail_anchor(&self) {
        self.with(|state| state.anchor_fails = true);
    }

    /// Nothing is acknowledged before a sync.
    pub fn buffer(&self) {
        self.with(|state| state.buffered = Some(0));
    }

    /// Everything so far is acknowledged, as if a background thread had synced it.
    pub fn sync_in_background(&self) {
        let last = self.store.lock().unwrap().high_watermark().unwrap();
        self.with(|state| state.buffered = Some(last));
    }

    pub fn fail_syncs(&self) {
        self.with(|state| state.sync_fails = true);
    }

    /// Whether the writer has let the store go.
    pub fn is_dropped(&self) -> bool {
        self.with(|state| state.dropped)
    }

    /// The entries of each batch.
    pub fn batches(&self) -> Vec<usize> {
        self.with(|state| state.batches.clone())
    }

    pub fn status(&self) -> RunStatus {
        self.store.lock().unwrap().manifest().unwrap().status
    }

    /// All entries, in their order.
    pub fn entries(&self) -> Vec<EventStoreEntry> {
        self.store.lock().unwrap().scan_range(1, u64::MAX, ScanDirection::Forward).unwrap()
    }

    pub fn lookup(&self, key: &str) -> Option<u64> {
        self.store.lock().unwrap().lookup(IndexKind::ClientOrderId, key).unwrap()
    }
}

impl Drop for ScriptedStore {
    fn drop(&mut self) {
        self.script.with(|state| state.dropped = true);
    }
}

fn refuse(failure: Failure) -> EventStoreError {
    match failure {
        Failure::Disk => EventStoreError::Disk("the test says the disk is full".to_owned()),
        Failure::Corrupted => {
            tapelog::Corruption::at(std::path::Path::new("file"), 8, "what was written", "what the test says".to_owned()).into()
        }
        Failure::Backend => EventStoreError::Backend("the test says no".to_owned()),
        Failure::Panic => panic!("the test says panic"),
    }
}

impl EventStore for ScriptedStore {
    fn open_run(&mut self, manifest: RunManifest) -> Result<(), EventStoreError> {
        self.script.store.lock().unwrap().open_run(manifest)
    }

    fn append_batch(&mut self, entries: &[AppendEntry]) -> Result<u64, EventStoreError> {
        let mut state = self.script.state.0.lock().unwrap();
        state.at_gate = true;
        while state.gate_closed && state.passes == 0 {
            state = self.script.state.1.wait(state).unwrap();
        }
        state.passes = state.passes.saturating_sub(1);
        state.at_gate = false;
        let failure = state.failure;
        state.batches.push(entries.len());
        drop(state);
        if let Some(failure) = failure {
            return Err(refuse(failure));
        }
        let appended = self.script.store.lock().unwrap().append_batch(entries)?;
        Ok(self.script.with(|state| state.buffered).unwrap_or(appended))
    }

    fn sync_appended(&mut self) -> Result<u64, EventStoreError> {
        if self.script.with(|state| state.sync_fails) {
            return Err(refuse(Failure::Disk));
        }
        let last = self.script.store.lock().unwrap().high_watermark()?;
        self.script.with(|state| state.buffered = state.buffered.map(|_| last));
        Ok(last)
    }

    fn acknowledged(&self) -> Result<u64, EventStoreError> {
        if self.script.with(|state| state.sync_fails) {
            return Err(refuse(Failure::Disk));
        }
        self.high_watermark()
    }

    fn scan_range(&self, from: u64, to: u64, direction: ScanDirection) -> Result<Vec<EventStoreEntry>, EventStoreError> {
        self.script.store.lock().unwrap().scan_range(from, to, direction)
    }

    fn scan_seq(&self, seq: u64) -> Result<Option<EventStoreEntry>, EventStoreError> {
        self.script.store.lock().unwrap().scan_seq(seq)
    }

    fn lookup(&self, kind: IndexKind, key: &str) -> Result<Option<u64>, EventStoreError> {
        self.script.store.lock().unwrap().lookup(kind, key)
    }

    fn iter_index_keys(&self, kind: IndexKind) -> Result<Vec<(String, u64)>, EventStoreError> {
        self.script.store.lock().unwrap().iter_index_keys(kind)
    }

    fn record_snapshot_anchor(&mut self, anchor: SnapshotAnchor) -> Result<(), EventStoreError> {
        if self.script.with(|state| state.anchor_fails) {
            return Err(refuse(Failure::Backend));
        }
        self.script.store.lock().unwrap().record_snapshot_anchor(anchor)
    }

    fn latest_snapshot_anchor(&self) -> Result<Option<SnapshotAnchor>, EventStoreError> {
        self.script.store.lock().unwrap().latest_snapshot_anchor()
    }

    fn seal(&mut self, status: RunStatus) -> Result<(), EventStoreError> {
        if self.script.with(|state| state.seal_fails) {
            return Err(refuse(Failure::Disk));
        }
        self.script.store.lock().unwrap().seal(status)
    }

    fn manifest(&self) -> Result<RunManifest, EventStoreError> {
        self.script.store.lock().unwrap().manifest()
    }

    fn high_watermark(&self) -> Result<u64, EventStoreError> {
        let last = self.script.store.lock().unwrap().high_watermark()?;
        Ok(self.script.with(|state| state.buffered).unwrap_or(last))
    }
}
