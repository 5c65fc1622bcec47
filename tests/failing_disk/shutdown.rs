//! Threads that wait for each other end when one of them cannot go on: nobody waits for ever.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use tapelog::io::{DirEntry, File, Lock, LockState, OpenMode, Storage};
use tapelog::{Durability, EventStore, EventStoreError};

use super::bench::{Bench, FIRST_SEGMENT, RUN, THIRD_SEGMENT, WATERMARK, assert_refused};
use crate::support::entries::{batch, manifest};
use crate::support::faulty_storage::{FaultyStorage, OperationKind, Repeat};
use crate::support::log::Recorder;

/// A storage that does something before it creates files of a name: waits, or panics.
#[derive(Debug)]
struct Guarded {
    inner: FaultyStorage,
    name: &'static str,
    gate: Arc<Gate>,
}

#[derive(Debug, Default)]
struct Gate {
    is_open: Mutex<bool>,
    changed: Condvar,
    panics: bool,
}

impl Gate {
    fn pass(&self) {
        assert!(!self.panics, "this disk's driver is broken");
        let mut is_open = self.is_open.lock().unwrap();
        while !*is_open {
            is_open = self.changed.wait(is_open).unwrap();
        }
    }

    fn open(&self) {
        *self.is_open.lock().unwrap() = true;
        self.changed.notify_all();
    }
}

impl Storage for Guarded {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        if mode == OpenMode::CreateNew && path.ends_with(self.name) {
            self.gate.pass();
        }
        self.inner.open(path, mode)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<DirEntry>> {
        self.inner.list(folder)
    }

    fn stat(&self, path: &Path) -> io::Result<Option<DirEntry>> {
        self.inner.stat(path)
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.inner.create_dir(path)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.inner.remove_dir(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.inner.rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.inner.remove_file(path)
    }

    fn sync_dir(&self, folder: &Path) -> io::Result<()> {
        self.inner.sync_dir(folder)
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Lock>> {
        self.inner.lock(path)
    }

    fn lock_state(&self, path: &Path) -> io::Result<LockState> {
        self.inner.lock_state(path)
    }
}

/// Does something on a thread of its own, so that waiting for ever is a failure and not a test that hangs.
fn in_time<T: Send + 'static>(what: &str, act: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, receiver) = channel();
    thread::spawn(move || sender.send(catch_unwind(AssertUnwindSafe(act))));
    received(&receiver, what).unwrap_or_else(|_| panic!("{what}: panicked"))
}

fn received<T>(receiver: &Receiver<T>, what: &str) -> T {
    receiver.recv_timeout(Duration::from_secs(20)).unwrap_or_else(|_| panic!("{what}: waits for ever"))
}

#[test]
fn an_append_that_waits_for_a_spare_ends_when_the_witness_fails() {
    let bench = Bench::new();
    let gate = Arc::new(Gate::default());
    let storage = Guarded { inner: bench.disk.clone(), name: THIRD_SEGMENT, gate: gate.clone() };
    let mut recorder = Recorder::open(bench.builder().storage(Arc::new(storage)).build().unwrap(), manifest(RUN));
    recorder.append(&batch(1, 10, 900));
    let deadline = Instant::now() + Duration::from_secs(20);
    while bench.disk.count(OperationKind::SyncData, WATERMARK) == 0 {
        assert!(Instant::now() < deadline, "an idle writer is witnessed");
        thread::sleep(Duration::from_millis(5));
    }
    bench.disk.fail_nth(OperationKind::SyncData, WATERMARK, 1, Errno::IO, Repeat::FromThenOn);
    // A new segment is begun, which asks for a synced witness: that fails while the next spare is being made.
    recorder.append(&batch(11, 20, 900));
    let (sender, receiver) = channel();
    let writer = thread::spawn(move || {
        // It may be that the latch closes before this begins to wait; then it is refused at once.
        let refused = recorder.store.append_batch(&batch(21, 30, 900));
        sender.send(refused).unwrap();
        recorder
    });
    let refused = receiver.recv_timeout(Duration::from_secs(20));
    gate.open();
    assert_refused(refused.expect("the append waits for a spare that nobody makes"), "an append that waits for a spare");
    let recorder = writer.join().unwrap();
    assert_eq!(recorder.store.high_watermark(), Ok(20));
    let Recorder { store, log } = recorder;
    in_time("a latched store is dropped", move || drop(store));
    bench.assert_recovers(&log, 20, "the witness failed");
}

#[test]
fn a_background_thread_that_panics_ends_all_writing_and_nobody_waits_for_it() {
    let bench = Bench::new();
    let gate = Arc::new(Gate { panics: true, ..Gate::default() });
    let storage = Guarded { inner: bench.disk.clone(), name: THIRD_SEGMENT, gate };
    let mut recorder = Recorder::open(bench.builder().storage(Arc::new(storage)).build().unwrap(), manifest(RUN));
    recorder.append(&batch(1, 10, 900));
    let (recorder, refused) = in_time("an append whose spare nobody makes", move || {
        let mut refused = Ok(0);
        while refused.is_ok() {
            let next = recorder.log.last_seq() + 1;
            let entries = batch(next, next + 9, 900);
            refused = recorder.store.append_batch(&entries);
            if refused.is_ok() {
                recorder.log.push_batch(&entries);
            }
        }
        (recorder, refused)
    });
    assert!(matches!(&refused, Err(EventStoreError::Backend(text)) if text.contains("panicked")), "{refused:?}");
    let Recorder { mut store, log } = recorder;
    let last = log.last_seq();
    let refused = in_time("a seal after a panic", move || (store.seal(tapelog::RunStatus::Ended), drop(store)).0);
    assert_refused(refused, "a seal after a panic");
    bench.assert_recovers(&log, last, "a thread panicked");
}

#[test]
fn whoever_waits_for_a_background_sync_is_told_that_it_failed() {
    let bench = Bench::new();
    let durability = Durability::Buffered { sync_every: Duration::from_mins(1) };
    let mut recorder = Recorder::open(bench.builder().durability(durability).build().unwrap(), manifest(RUN));
    recorder.append(&batch(1, 3, 50));
    assert_eq!(recorder.store.sync(), Ok(3));
    recorder.append(&batch(4, 6, 50));
    bench.disk.fail_nth(OperationKind::SyncData, FIRST_SEGMENT, 1, Errno::IO, Repeat::Once);
    let (recorder, refused) = in_time("a sync that fails", move || {
        let refused = recorder.store.sync();
        (recorder, refused)
    });
    assert!(matches!(refused, Err(EventStoreError::Disk(_))), "{refused:?}");
    assert_eq!(recorder.store.high_watermark(), Ok(3));
    let Recorder { mut store, log } = recorder;
    let refused = in_time("a seal after a failed sync", move || (store.seal(tapelog::RunStatus::Ended), drop(store)).0);
    assert_refused(refused, "a seal after a failed sync");
    bench.assert_recovers(&log, 3, "a background sync failed");
}

/// The threads are told to end while there is still work: a spare under way, indexes, a witness.
#[test]
fn a_store_can_be_dropped_or_sealed_at_any_moment() {
    for round in 0..40_u64 {
        let bench = Bench::new();
        let durability = if round.is_multiple_of(2) {
            Durability::Synced
        } else {
            Durability::Buffered { sync_every: Duration::from_micros(200 + round * 50) }
        };
        let mut recorder = Recorder::open(bench.builder().durability(durability).build().unwrap(), manifest(RUN));
        for _ in 0..round % 9 {
            let next = recorder.log.last_seq() + 1;
            recorder.append(&batch(next, next + 6, 700));
        }
        let Recorder { mut store, log } = recorder;
        let last = log.last_seq();
        if round.is_multiple_of(3) {
            in_time("a seal", move || store.seal(tapelog::RunStatus::Ended)).unwrap();
            let store = tapelog::SegmentBackend::open_sealed(bench.base(), crate::support::entries::INSTANCE, RUN).unwrap();
            log.assert_whole(&store, last, &format!("round {round}, sealed"));
        } else {
            in_time("a drop", move || drop(store));
            bench.assert_recovers(&log, last, &format!("round {round}, dropped"));
        }
    }
}
