//! Runs are ended when their time has come, and the disk is warned of before it is full.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tapelog::io::{DirEntry, File, Lock, LockState, OpenMode, OsStorage, Storage};
use tapelog::{LowSpace, RotationPolicy, RunStatus};

use super::bench::{Engine, draft, number_of, wait_until, what_runs};
use crate::support::faulty_storage::{FaultyStorage, OperationKind, Repeat};

#[test]
fn a_run_is_ended_at_its_length_again_and_again_and_nothing_is_lost() {
    let engine = Engine::new();
    let policy = RotationPolicy { len_max: Some(64 << 10), age_max: None };
    let session = engine.builder().rotation(policy).boot().unwrap().open(what_runs()).unwrap();
    let mut number = 0;
    let begun = std::time::Instant::now();
    while session.writer().stats().rotations < 3 {
        assert!(begun.elapsed() < Duration::from_mins(1), "waited too long for three rotations");
        for _ in 0..200 {
            session.writer().submit(draft(number)).unwrap();
            number += 1;
        }
        engine.clock.advance(1);
        std::thread::sleep(Duration::from_millis(1));
    }
    session.close().unwrap();
    let runs = engine.runs();
    assert!(runs.len() >= 4 && runs.iter().all(|run| run.status == RunStatus::Ended));
    let mut expected = 0;
    for run in &runs {
        let (_, entries) = engine.sealed(&run.run_id);
        for entry in entries.iter().filter(|entry| entry.payload_type.as_str() == "SubmitOrder") {
            assert_eq!(number_of(&entry.payload), expected);
            expected += 1;
        }
    }
    assert_eq!(expected, number);
    for pair in runs.windows(2) {
        assert_eq!(pair[1].parent_run_id.as_ref(), Some(&pair[0].run_id));
    }
}

#[test]
fn a_run_is_ended_at_its_age() {
    let engine = Engine::new();
    let policy = RotationPolicy { len_max: None, age_max: Some(Duration::from_secs(1)) };
    let session = engine.builder().rotation(policy).boot().unwrap().open(what_runs()).unwrap();
    let first = session.run_id();
    engine.clock.advance(10);
    wait_until("a rotation", || session.writer().stats().rotations == 1);
    wait_until("its run", || session.run_id() != first);
    assert_eq!(session.parent_run_id(), Some(first));
    session.close().unwrap();
}

#[test]
fn a_run_that_cannot_be_changed_is_written_on_and_changed_once_it_can() {
    let engine = Engine::new();
    let disk = FaultyStorage::new(Arc::new(OsStorage));
    let policy = RotationPolicy { len_max: Some(64 << 10), age_max: None };
    let session = engine.builder().storage(Arc::new(disk.clone())).rotation(policy).boot().unwrap().open(what_runs()).unwrap();
    disk.fail_nth(OperationKind::Create, "markers", 1, std::io::ErrorKind::StorageFull, Repeat::FromThenOn);
    (0..1_000).for_each(|number| session.writer().submit(draft(number)).unwrap());
    wait_until("a failed rotation", || session.last_rotation_error().is_some());
    assert_eq!(session.writer().submit_and_wait(draft(1_000)), Ok(1_002));
    assert!(!session.is_halted());
    disk.clear_faults();
    engine.clock.advance(10);
    wait_until("a rotation", || session.writer().stats().rotations == 1);
    wait_until("its success", || session.last_rotation_error().is_none());
    session.close().unwrap();
}

/// The operating system's files on a disk whose free space the test says.
#[derive(Debug)]
struct Filling(AtomicU64);

impl Storage for Filling {
    fn open(&self, path: &Path, mode: OpenMode) -> std::io::Result<Arc<dyn File>> {
        OsStorage.open(path, mode)
    }
    fn list(&self, folder: &Path) -> std::io::Result<Vec<DirEntry>> {
        OsStorage.list(folder)
    }
    fn stat(&self, path: &Path) -> std::io::Result<Option<DirEntry>> {
        OsStorage.stat(path)
    }
    fn create_dir(&self, path: &Path) -> std::io::Result<()> {
        OsStorage.create_dir(path)
    }
    fn remove_dir(&self, path: &Path) -> std::io::Result<()> {
        OsStorage.remove_dir(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> std::io::Result<()> {
        OsStorage.rename(from, to)
    }
    fn remove_file(&self, path: &Path) -> std::io::Result<()> {
        OsStorage.remove_file(path)
    }
    fn sync_dir(&self, folder: &Path) -> std::io::Result<()> {
        OsStorage.sync_dir(folder)
    }
    fn lock(&self, path: &Path) -> std::io::Result<Option<Lock>> {
        OsStorage.lock(path)
    }
    fn lock_state(&self, path: &Path) -> std::io::Result<LockState> {
        OsStorage.lock_state(path)
    }
    fn space_available(&self, _: &Path) -> std::io::Result<u64> {
        Ok(self.0.load(Ordering::SeqCst))
    }
}

#[test]
fn little_space_is_told_once_and_again_when_there_was_more_in_between() {
    let engine = Engine::new();
    let disk = Arc::new(Filling(AtomicU64::new(2_000)));
    let told: Arc<Mutex<Vec<LowSpace>>> = Arc::default();
    let note = told.clone();
    let builder = engine.builder().storage(disk.clone()).low_space(1_000, move |low| note.lock().unwrap().push(low));
    let session = builder.boot().unwrap().open(what_runs()).unwrap();
    std::thread::sleep(Duration::from_millis(200));
    assert!(told.lock().unwrap().is_empty());
    disk.0.store(999, Ordering::SeqCst);
    wait_until("the warning", || told.lock().unwrap().len() == 1);
    let first = told.lock().unwrap()[0].clone();
    assert_eq!((first.available, first.threshold, first.base_dir.as_path()), (999, 1_000, engine.base()));
    std::thread::sleep(Duration::from_millis(1_200));
    assert_eq!(told.lock().unwrap().len(), 1, "once");
    disk.0.store(5_000, Ordering::SeqCst);
    std::thread::sleep(Duration::from_millis(1_200));
    disk.0.store(5, Ordering::SeqCst);
    wait_until("the second warning", || told.lock().unwrap().len() == 2);
    session.close().unwrap();
}

#[test]
fn the_operating_system_tells_what_is_left() {
    let engine = Engine::new();
    let available = OsStorage.space_available(&engine.base().join("not").join("there")).unwrap();
    assert!(available > 0 && available < u64::MAX);
}

#[test]
fn callbacks_that_panic_or_end_the_session_keep_no_run_from_being_changed_or_ended() {
    let engine = Engine::new();
    let policy = RotationPolicy { len_max: None, age_max: Some(Duration::from_secs(1)) };
    let hook = tapelog::ThreadHook::new(|name: &str| assert!(name != "tapelog-keeper", "the hook says panic"));
    let config = tapelog::WriterConfig { thread_hook: hook, halt_threshold: super::bench::SOON, ..tapelog::WriterConfig::default() };
    let builder = engine.builder().writer(config).rotation(policy).low_space(u64::MAX, |_| panic!("the callback says panic"));
    let session = builder.boot().unwrap().open(what_runs()).unwrap();
    wait_until("a rotation", || session.writer().stats().rotations == 1);
    session.close().unwrap();

    let slot: Arc<Mutex<Option<tapelog::RunSession>>> = Arc::default();
    let taken = slot.clone();
    let ended = Arc::new(AtomicU64::new(0));
    let last = ended.clone();
    let builder = engine.builder().low_space(u64::MAX, move |_| {
        let begun = std::time::Instant::now();
        while begun.elapsed() < super::bench::SOON {
            if let Some(session) = taken.lock().unwrap().take() {
                last.store(session.close().unwrap(), Ordering::SeqCst);
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    });
    engine.clock.advance(10);
    let session = builder.boot().unwrap().open(what_runs()).unwrap();
    *slot.lock().unwrap() = Some(session);
    wait_until("the end", || ended.load(Ordering::SeqCst) == 2);
    assert!(engine.runs().iter().all(|run| run.status == RunStatus::Ended));
}

#[test]
fn attempts_to_change_the_run_that_fail_leave_one_folder_and_no_segments() {
    let engine = Engine::new();
    let disk = FaultyStorage::new(Arc::new(OsStorage));
    let builder = engine.builder().store(|builder| builder.segment_len(64 << 10).spares(2)).storage(Arc::new(disk.clone()));
    let session = builder.boot().unwrap().open(what_runs()).unwrap();
    let count = || std::fs::read_dir(engine.instance()).unwrap().count();
    for _ in 0..4 {
        engine.clock.advance(10);
        disk.clear_faults();
        disk.fail_nth(OperationKind::Create, "00000002.seg.tmp", 1, std::io::ErrorKind::StorageFull, Repeat::Once);
        assert!(matches!(session.rotate(), Err(tapelog::EventStoreError::Disk(_))));
        assert_eq!(count(), 2);
    }
    for run in std::fs::read_dir(engine.instance()).unwrap() {
        let folder = run.unwrap().path();
        if folder.file_name().is_some_and(|name| name.to_str() != Some(&session.run_id())) {
            assert!(!folder.join("00000001.seg").exists(), "{}", folder.display());
        }
    }
    disk.clear_faults();
    session.rotate().unwrap();
    assert_eq!(count(), 2, "the folder is the next run's");
    session.close().unwrap();
}
