//! The queue, acknowledgement, halts and the close under a scheduler that tries the ways in which threads meet.
//!
//! Run by `RUSTFLAGS="--cfg tapelog_shuttle" cargo test --lib writer::shuttle_tests`. A wait that has a time is up at
//! random, so that every race with a threshold is tried too.

use std::sync::Arc;

use shuttle::sync::Mutex;
use shuttle::sync::atomic::{AtomicUsize, Ordering};
use shuttle::thread;

use super::{EventStoreWriter, HaltReason, OnStall, SubmitError, WaitError, WriterConfig};
use crate::error::EventStoreError;
use crate::limits::WRITER_BATCH_LEN_MIN;
use crate::model::{
    AppendEntry, DraftRef, EntryDraft, EventStoreEntry, Headers, IndexKind, ManualClock, RunManifest, RunStatus, ScanDirection,
    SnapshotAnchor, UnixNanos,
};
use crate::store::{EventStore, MemoryBackend};

/// How many ways each test tries.
const WAYS: usize = 20_000;

/// What a store did, as the test sees it.
#[derive(Debug, Default)]
struct Seen {
    payloads: Mutex<Vec<Vec<u8>>>,
    anchors: Mutex<Vec<u64>>,
    seals: AtomicUsize,
}

/// A store in memory that fails from the append `fails_at` on.
#[derive(Debug)]
struct Scheduled {
    inner: MemoryBackend,
    seen: Arc<Seen>,
    appends: usize,
    fails_at: usize,
}

impl EventStore for Scheduled {
    fn open_run(&mut self, manifest: RunManifest) -> Result<(), EventStoreError> {
        self.inner.open_run(manifest)
    }

    fn append_batch(&mut self, entries: &[AppendEntry]) -> Result<u64, EventStoreError> {
        // Others run while the disk is written.
        thread::yield_now();
        if self.appends >= self.fails_at {
            return Err(EventStoreError::Disk("full".to_owned()));
        }
        self.appends += 1;
        let high_watermark = self.inner.append_batch(entries)?;
        self.seen.payloads.lock().unwrap().extend(entries.iter().map(|append| append.entry.payload.to_vec()));
        Ok(high_watermark)
    }

    fn scan_range(&self, from: u64, to: u64, direction: ScanDirection) -> Result<Vec<EventStoreEntry>, EventStoreError> {
        self.inner.scan_range(from, to, direction)
    }

    fn scan_seq(&self, seq: u64) -> Result<Option<EventStoreEntry>, EventStoreError> {
        self.inner.scan_seq(seq)
    }

    fn lookup(&self, kind: IndexKind, key: &str) -> Result<Option<u64>, EventStoreError> {
        self.inner.lookup(kind, key)
    }

    fn iter_index_keys(&self, kind: IndexKind) -> Result<Vec<(String, u64)>, EventStoreError> {
        self.inner.iter_index_keys(kind)
    }

    fn record_snapshot_anchor(&mut self, anchor: SnapshotAnchor) -> Result<(), EventStoreError> {
        self.seen.anchors.lock().unwrap().push(anchor.high_watermark);
        self.inner.record_snapshot_anchor(anchor)
    }

    fn latest_snapshot_anchor(&self) -> Result<Option<SnapshotAnchor>, EventStoreError> {
        self.inner.latest_snapshot_anchor()
    }

    fn seal(&mut self, status: RunStatus) -> Result<(), EventStoreError> {
        self.seen.seals.fetch_add(1, Ordering::SeqCst);
        self.inner.seal(status)
    }

    fn manifest(&self) -> Result<RunManifest, EventStoreError> {
        self.inner.manifest()
    }

    fn high_watermark(&self) -> Result<u64, EventStoreError> {
        self.inner.high_watermark()
    }
}

struct Trial {
    writer: Arc<EventStoreWriter>,
    seen: Arc<Seen>,
    halts: Arc<Mutex<Vec<HaltReason>>>,
}

fn store(seen: &Arc<Seen>, fails_at: usize, open: bool) -> Box<dyn EventStore + Send> {
    let mut inner = MemoryBackend::new();
    if open {
        inner.open_run(RunManifest::new("1-0000000a", "trader-001")).unwrap();
    }
    Box::new(Scheduled { inner, seen: seen.clone(), appends: 0, fails_at })
}

fn trial(config: WriterConfig, fails_at: usize) -> Trial {
    let (seen, halts) = (Arc::new(Seen::default()), Arc::new(Mutex::new(Vec::new())));
    let told = halts.clone();
    let callback = Arc::new(move |reason| told.lock().unwrap().push(reason));
    let clock = Arc::new(ManualClock::new(UnixNanos::new(1)));
    let writer = EventStoreWriter::spawn(store(&seen, fails_at, true), clock, callback, config).unwrap();
    Trial { writer: Arc::new(writer), seen, halts }
}

/// A small queue, so that it is often full, and little memory, for there are many trials.
fn small(on_stall: OnStall) -> WriterConfig {
    WriterConfig {
        channel_capacity: 2,
        channel_len_max: 64 << 10,
        max_batch_len: WRITER_BATCH_LEN_MIN,
        max_batch_entries: 2,
        on_stall,
        ..WriterConfig::default()
    }
}

fn submit(writer: &EventStoreWriter, thread: u8, number: u8) -> Result<super::Receipt, SubmitError> {
    writer.submit_tracked_ref(&DraftRef::new("t", "T", &[thread, number], UnixNanos::new(1)))
}

fn ended() -> EntryDraft {
    EntryDraft::without_indices(Headers::empty(), "end".into(), "End".into(), vec![255].into(), UnixNanos::new(1))
}

/// The numbers of each thread come in their order, each once.
fn assert_in_order(payloads: &[Vec<u8>]) {
    for thread in 0..4 {
        let numbers: Vec<_> =
            payloads.iter().filter(|payload| payload.len() == 2 && payload[0] == thread).map(|payload| payload[1]).collect();
        assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]), "{numbers:?}");
    }
}

#[test]
fn what_is_acknowledged_is_stored_and_everything_taken_in_is_written_before_the_end() {
    shuttle::check_random(
        || {
            let Trial { writer, seen, halts } = trial(small(OnStall::Block), usize::MAX);
            let threads: Vec<_> = (0..2)
                .map(|id| {
                    let (writer, seen) = (writer.clone(), seen.clone());
                    thread::spawn(move || {
                        let mut taken = 0;
                        for number in 0..3 {
                            let Ok(receipt) = submit(&writer, id, number) else { break };
                            taken += 1;
                            if number == 1 {
                                receipt.wait().unwrap();
                                assert!(seen.payloads.lock().unwrap().contains(&vec![id, number]), "acknowledged and not stored");
                            }
                        }
                        taken
                    })
                })
                .collect();
            let sealed = writer.shutdown(&ended(), std::time::Duration::MAX).unwrap();
            let taken: u64 = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
            assert_eq!(sealed, taken + 1);
            let payloads = seen.payloads.lock().unwrap();
            assert_eq!(payloads.len() as u64, sealed);
            assert_eq!(payloads.last(), Some(&vec![255]), "the end is the last");
            assert_in_order(&payloads);
            assert!(halts.lock().unwrap().is_empty() && seen.seals.load(Ordering::SeqCst) == 1);
        },
        WAYS,
    );
}

#[test]
fn a_failure_is_told_once_and_nothing_is_acknowledged_after_it() {
    shuttle::check_random(
        || {
            let Trial { writer, seen, halts } = trial(small(OnStall::Block), 1);
            let threads: Vec<_> = (0..2)
                .map(|id| {
                    let (writer, seen) = (writer.clone(), seen.clone());
                    thread::spawn(move || {
                        for number in 0..3 {
                            match submit(&writer, id, number) {
                                Ok(receipt) => match receipt.wait() {
                                    Ok(_) => assert!(seen.payloads.lock().unwrap().contains(&vec![id, number])),
                                    Err(WaitError::Halted(HaltReason::BackendDisk(_))) => {}
                                    Err(other) => panic!("{other:?}"),
                                },
                                Err(SubmitError::Closed) => {}
                                Err(other) => panic!("{other:?}"),
                            }
                        }
                    })
                })
                .collect();
            threads.into_iter().for_each(|thread| thread.join().unwrap());
            assert!(writer.shutdown(&ended(), std::time::Duration::MAX).is_err());
            assert!(writer.submit(ended()).is_err());
            drop(writer);
            assert_eq!(halts.lock().unwrap().len(), 1);
            assert_eq!(seen.seals.load(Ordering::SeqCst), 0);
        },
        WAYS,
    );
}

#[test]
fn a_stall_halts_once_and_freezes_what_is_acknowledged() {
    shuttle::check_random(
        || {
            let Trial { writer, seen, halts } = trial(small(OnStall::Halt), usize::MAX);
            let acknowledged = Arc::new(Mutex::new(Vec::new()));
            let threads: Vec<_> = (0..2)
                .map(|id| {
                    let (writer, acknowledged) = (writer.clone(), acknowledged.clone());
                    thread::spawn(move || {
                        for number in 0..4 {
                            match submit(&writer, id, number) {
                                Ok(receipt) => {
                                    if receipt.poll_durable() == Some(Ok(receipt.seq())) {
                                        acknowledged.lock().unwrap().push(vec![id, number]);
                                    }
                                }
                                Err(SubmitError::HaltSignaled { .. } | SubmitError::Closed) => {
                                    let before = writer.high_watermark();
                                    thread::yield_now();
                                    assert_eq!(writer.high_watermark(), before, "acknowledged after the halt");
                                    return;
                                }
                                Err(other) => panic!("{other:?}"),
                            }
                        }
                    })
                })
                .collect();
            threads.into_iter().for_each(|thread| thread.join().unwrap());
            let stalled = writer.halt_reason().is_some();
            let sealed = writer.shutdown(&ended(), std::time::Duration::MAX);
            assert_eq!(sealed.is_err(), stalled, "{sealed:?}");
            assert_eq!(halts.lock().unwrap().len(), usize::from(stalled));
            let payloads = seen.payloads.lock().unwrap();
            assert!(acknowledged.lock().unwrap().iter().all(|payload| payloads.contains(payload)));
            assert_in_order(&payloads);
        },
        WAYS,
    );
}

#[test]
fn anchors_and_flushes_are_answered_and_cover_what_was_submitted_before() {
    shuttle::check_random(
        || {
            let Trial { writer, seen, .. } = trial(small(OnStall::Block), usize::MAX);
            let submits = {
                let writer = writer.clone();
                thread::spawn(move || (0..3).for_each(|number| drop(submit(&writer, 0, number).unwrap())))
            };
            let anchors = {
                let writer = writer.clone();
                thread::spawn(move || {
                    let own = submit(&writer, 1, 0).unwrap().seq();
                    let anchor = writer.record_snapshot_anchor("blob", "hash").unwrap();
                    assert!(anchor.high_watermark >= own);
                    assert!(writer.high_watermark() >= own);
                })
            };
            let own = submit(&writer, 2, 0).unwrap();
            assert!(writer.flush(std::time::Duration::MAX).unwrap() >= own.seq());
            assert_eq!(own.poll_durable(), Some(Ok(own.seq())));
            submits.join().unwrap();
            anchors.join().unwrap();
            assert_eq!(writer.shutdown(&ended(), std::time::Duration::MAX), Ok(6));
            assert_eq!(seen.anchors.lock().unwrap().len(), 1);
        },
        WAYS,
    );
}

#[test]
fn nothing_is_lost_or_refused_while_the_runs_are_changed() {
    shuttle::check_random(
        || {
            let Trial { writer, seen, halts } = trial(small(OnStall::Halt), usize::MAX);
            let submits = {
                let writer = writer.clone();
                thread::spawn(move || {
                    let mut receipts = Vec::new();
                    for number in 0..3 {
                        match submit(&writer, 0, number) {
                            Ok(receipt) => receipts.push(receipt),
                            // A stall before or behind the rotation is one.
                            Err(SubmitError::HaltSignaled { .. }) => return,
                            Err(other) => panic!("{other:?}"),
                        }
                    }
                    receipts.into_iter().for_each(|receipt| drop(receipt.wait()));
                })
            };
            let next = Arc::new(Seen::default());
            let manifest = RunManifest { parent_run_id: Some("1-0000000a".to_owned()), ..RunManifest::new("2-0000000b", "trader-001") };
            let next_run = super::NextRun { store: store(&next, usize::MAX, false), manifest, run_started: ended() };
            let rotated = writer.rotate(&ended(), next_run);
            submits.join().unwrap();
            if rotated.is_ok() && writer.halt_reason().is_none() {
                writer.shutdown(&ended(), std::time::Duration::MAX).unwrap();
                let (old, new) = (seen.payloads.lock().unwrap(), next.payloads.lock().unwrap());
                assert_eq!(old.last(), Some(&vec![255]));
                assert_eq!((new.first(), new.last()), (Some(&vec![255]), Some(&vec![255])));
                let all: Vec<_> = old.iter().chain(new.iter()).filter(|payload| payload.len() == 2).map(|payload| payload[1]).collect();
                assert_eq!(all, [0, 1, 2]);
                assert_eq!((seen.seals.load(Ordering::SeqCst), next.seals.load(Ordering::SeqCst)), (1, 1));
            } else {
                assert_eq!(halts.lock().unwrap().len(), 1);
            }
        },
        WAYS,
    );
}

#[test]
fn a_writer_that_is_dropped_has_written_what_was_submitted() {
    shuttle::check_random(
        || {
            let Trial { writer, seen, .. } = trial(small(OnStall::Block), usize::MAX);
            let other = {
                let writer = writer.clone();
                thread::spawn(move || (0..2).for_each(|number| drop(submit(&writer, 1, number).unwrap())))
            };
            (0..2).for_each(|number| drop(submit(&writer, 0, number).unwrap()));
            drop(writer);
            other.join().unwrap();
            assert_eq!(seen.payloads.lock().unwrap().len(), 4);
            assert_eq!(seen.seals.load(Ordering::SeqCst), 0);
        },
        WAYS,
    );
}
