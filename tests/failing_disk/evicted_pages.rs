//! After a failed sync the page cache shows what the disk never got, until the page is evicted: then a
//! second read shows other bytes than the first.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use tapelog::io::{DirEntry, File, Lock, LockState, OpenMode, OsStorage, Storage};
use tapelog::{BackgroundMode, EventStore, EventStoreError, ReadPath, RecoveredState, SegmentBackend};

use super::bench::{Bench, RUN};
use crate::support::entries::{batch, manifest};
use crate::support::folders::copy_folder;

/// The first byte behind the header page.
const BODY: u64 = 4_096;

/// A storage whose segments show each byte once: when it has been read it is evicted, and was never on
/// the disk. What is written from now on stays.
#[derive(Debug, Clone, Default)]
struct Forgetful {
    /// By file, the bytes that are only in the page cache.
    cached: Arc<Mutex<BTreeMap<PathBuf, Vec<bool>>>>,
}

#[derive(Debug)]
struct ForgetfulFile {
    inner: Arc<dyn File>,
    path: PathBuf,
    storage: Forgetful,
}

impl Storage for Forgetful {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        let inner = OsStorage.open(path, mode)?;
        if path.extension().is_none_or(|extension| extension != "seg") {
            return Ok(inner);
        }
        let len = usize::try_from(inner.len()?).unwrap();
        self.cached.lock().unwrap().entry(path.to_owned()).or_insert_with(|| vec![true; len]);
        Ok(Arc::new(ForgetfulFile { inner, path: path.to_owned(), storage: self.clone() }))
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<DirEntry>> {
        OsStorage.list(folder)
    }

    fn stat(&self, path: &Path) -> io::Result<Option<DirEntry>> {
        OsStorage.stat(path)
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        OsStorage.create_dir(path)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        OsStorage.remove_dir(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        OsStorage.rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        OsStorage.remove_file(path)
    }

    fn sync_dir(&self, folder: &Path) -> io::Result<()> {
        OsStorage.sync_dir(folder)
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Lock>> {
        OsStorage.lock(path)
    }

    fn lock_state(&self, path: &Path) -> io::Result<LockState> {
        OsStorage.lock_state(path)
    }
}

impl File for ForgetfulFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let len = self.inner.read_at(buffer, offset)?;
        let cached = self.storage.cached.lock().unwrap();
        let from = usize::try_from(offset).unwrap();
        let evicted: Vec<_> = (from..from + len).filter(|at| *at as u64 >= BODY && cached[&self.path].get(*at) == Some(&true)).collect();
        drop(cached);
        // The next reader finds zeros: nothing else ever reached the disk.
        for run in evicted.chunk_by(|left, right| left + 1 == *right) {
            let writer = OsStorage.open(&self.path, OpenMode::ReadWrite)?;
            writer.write_at(&vec![0; run.len()], run[0] as u64)?;
        }
        Ok(len)
    }

    fn write_at(&self, buffer: &[u8], offset: u64) -> io::Result<usize> {
        let len = self.inner.write_at(buffer, offset)?;
        let from = usize::try_from(offset).unwrap();
        let mut cached = self.storage.cached.lock().unwrap();
        cached.get_mut(&self.path).unwrap().iter_mut().skip(from).take(len).for_each(|is_cached| *is_cached = false);
        Ok(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.inner.sync_data()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.inner.sync_all()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.inner.set_len(len)
    }

    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }

    fn map(&self, len: u64) -> io::Result<Bytes> {
        self.inner.map(len)
    }
}

/// Nothing of the run was ever synced, and the pages are evicted while it is recovered. What the judge
/// saw is what must be on the disk afterwards, also where a batch is longer than what is read at a time.
#[test]
fn what_recovery_makes_durable_are_the_bytes_that_it_judged() {
    for payload_len in [100, 900, 20_000, 90_000] {
        let bench = Bench::new();
        let mut recorder = bench.buffered_recorder();
        recorder.append(&batch(1, 3, payload_len));
        recorder.append(&batch(4, 11, payload_len));
        recorder.append(&batch(12, 12, 30));
        let crashed = Bench::new();
        copy_folder(&bench.folder(), &crashed.folder());
        let storage = Arc::new(Forgetful::default());
        let builder = SegmentBackend::builder(crashed.base()).background(BackgroundMode::Manual).read_path(ReadPath::Positional);
        let mut store = builder.storage(storage).build().unwrap();
        assert_eq!(store.open_run(manifest(RUN)), Err(EventStoreError::CrashedPredecessor));
        assert_eq!(store.recovery().unwrap().state, RecoveredState::Clean);
        assert_eq!(store.high_watermark(), Ok(12));
        drop(store);
        crashed.assert_recovers(&recorder.log, 12, &format!("payloads of {payload_len} bytes"));
    }
}
