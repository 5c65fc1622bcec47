//! An engine of small runs.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tapelog::{
    EventStore, EventStoreEntry, Lifecycle, LifecycleBuilder, ManualClock, RunManifest, ScanDirection, SegmentBackend, UnixNanos,
    WriterConfig,
};
use tempfile::TempDir;

use crate::support::entries::INSTANCE;
use crate::support::folders::memory_dir;

pub use crate::entry_writer::bench::{SOON, draft, number_of, wait_until};

pub struct Engine {
    base: TempDir,
    pub clock: Arc<ManualClock>,
}

impl Engine {
    pub fn new() -> Self {
        Self { base: memory_dir(), clock: Arc::new(ManualClock::new(UnixNanos::from(1_000))) }
    }

    pub fn base(&self) -> &Path {
        self.base.path()
    }

    pub fn instance(&self) -> PathBuf {
        self.base().join(INSTANCE)
    }

    pub fn builder<'a>(&self) -> LifecycleBuilder<'a> {
        builder_at(self.base()).clock(self.clock.clone())
    }

    /// Boots; every boot is later than the one before.
    pub fn boot(&self) -> Lifecycle {
        self.clock.advance(1_000);
        self.builder().boot().unwrap()
    }

    pub fn folder(&self, run_id: &str) -> PathBuf {
        self.instance().join(run_id)
    }

    /// A run that is sealed.
    pub fn sealed(&self, run_id: &str) -> (RunManifest, Vec<EventStoreEntry>) {
        let store = SegmentBackend::open_sealed(self.base(), INSTANCE, run_id).unwrap();
        (store.manifest().unwrap(), store.scan_range(1, u64::MAX, ScanDirection::Forward).unwrap())
    }

    /// The folders of all runs.
    pub fn runs(&self) -> Vec<RunManifest> {
        SegmentBackend::list_runs(self.base(), INSTANCE).unwrap()
    }
}

pub fn builder_at<'a>(base: &Path) -> LifecycleBuilder<'a> {
    let config = WriterConfig { halt_threshold: SOON, ..WriterConfig::default() };
    Lifecycle::builder(base, INSTANCE)
        .store(|builder| builder.segment_len(64 << 10).spares(1))
        .writer(config)
        .run_started_timeout(Duration::from_secs(30))
}

/// A manifest that says what runs.
pub fn what_runs() -> RunManifest {
    let mut manifest = RunManifest { config_hash: "c0ffee".to_owned(), seed: Some(7), ..RunManifest::default() };
    manifest.registered_components.strategies.insert("EMA-001".to_owned(), "blake3:00".to_owned());
    manifest
}
