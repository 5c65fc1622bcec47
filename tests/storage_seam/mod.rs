//! The storage that all fault tests stand on must itself fail exactly what it is told to.

use std::io;
use std::path::Path;
use std::sync::Arc;

use rustix::io::Errno;
use tapelog::io::{File, LockState, OpenMode, OsStorage, Storage};
use tempfile::TempDir;

use crate::support::faulty_storage::{FaultyStorage, Operation, OperationKind, Repeat};

type Attempt<'a> = Box<dyn Fn() -> io::Result<()> + 'a>;

fn faulty() -> (TempDir, FaultyStorage) {
    (tempfile::tempdir().unwrap(), FaultyStorage::new(Arc::new(OsStorage)))
}

fn create(storage: &FaultyStorage, folder: &Path, name: &str) -> Arc<dyn File> {
    storage.open(&folder.join(name), OpenMode::CreateNew).unwrap()
}

#[test]
fn only_the_chosen_operation_fails_and_only_once() {
    let (folder, storage) = faulty();
    let file = create(&storage, folder.path(), "00000001.seg");
    storage.fail_nth(OperationKind::SyncData, ".seg", 2, Errno::IO, Repeat::Once);
    file.sync_data().unwrap();
    file.sync_all().unwrap();
    assert_eq!(file.sync_data().unwrap_err().raw_os_error(), Some(Errno::IO.raw_os_error()));
    file.sync_data().unwrap();
}

#[test]
fn a_lasting_fault_stays_until_it_is_cleared() {
    let (folder, storage) = faulty();
    let file = create(&storage, folder.path(), "00000001.seg");
    storage.fail_nth(OperationKind::Write, "", 2, io::ErrorKind::StorageFull, Repeat::FromThenOn);
    assert_eq!(file.write_at(b"a", 0).unwrap(), 1);
    for _ in 0..3 {
        assert_eq!(file.write_at(b"b", 0).unwrap_err().kind(), io::ErrorKind::StorageFull);
    }
    storage.clear_faults();
    assert_eq!(file.write_at(b"", 1).unwrap(), 0);
    let mut bytes = [0];
    file.read_at(&mut bytes, 0).unwrap();
    assert_eq!(&bytes, b"a", "a failed write wrote nothing");
}

#[test]
fn a_fault_is_for_paths_with_its_ending_and_for_nothing_else() {
    let (folder, storage) = faulty();
    storage.fail_nth(OperationKind::Create, "MANIFEST.tmp", 1, io::ErrorKind::StorageFull, Repeat::FromThenOn);
    create(&storage, folder.path(), "MANIFEST");
    let refused = storage.open(&folder.path().join("MANIFEST.tmp"), OpenMode::CreateNew).unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::StorageFull);
    assert_eq!(storage.stat(&folder.path().join("MANIFEST.tmp")).unwrap(), None, "it did not reach the disk");
}

#[test]
fn a_rename_can_be_failed_by_either_of_its_names() {
    for suffix in ["from", "to"] {
        let (folder, storage) = faulty();
        create(&storage, folder.path(), "from");
        storage.fail_nth(OperationKind::Rename, suffix, 1, Errno::IO, Repeat::Once);
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        storage.rename(&from, &to).unwrap_err();
        storage.rename(&from, &to).unwrap();
    }
}

#[test]
fn every_kind_of_operation_can_be_failed() {
    let (folder, storage) = faulty();
    let path = folder.path().join("file");
    let file = create(&storage, folder.path(), "file");
    let lock = folder.path().join("LOCK");
    let attempts: [(OperationKind, Attempt<'_>); 13] = [
        (OperationKind::Open, Box::new(|| storage.open(&path, OpenMode::Read).map(drop))),
        (OperationKind::Create, Box::new(|| storage.open(&folder.path().join("new"), OpenMode::CreateNew).map(drop))),
        (OperationKind::Create, Box::new(|| storage.create_dir(&folder.path().join("folder")))),
        (OperationKind::Read, Box::new(|| file.read_at(&mut [0; 1], 0).map(drop))),
        (OperationKind::Write, Box::new(|| file.write_at(b"a", 0).map(drop))),
        (OperationKind::SyncData, Box::new(|| file.sync_data())),
        (OperationKind::SyncAll, Box::new(|| file.sync_all())),
        (OperationKind::SyncDir, Box::new(|| storage.sync_dir(folder.path()))),
        (OperationKind::SetLen, Box::new(|| file.set_len(1))),
        (OperationKind::Map, Box::new(|| file.map(1).map(drop))),
        (OperationKind::Lock, Box::new(|| storage.lock(&lock).map(drop))),
        (OperationKind::Rename, Box::new(|| storage.rename(&path, &folder.path().join("renamed")))),
        (OperationKind::Remove, Box::new(|| storage.remove_file(&folder.path().join("renamed")))),
    ];
    for (kind, attempt) in &attempts {
        storage.clear_journal();
        storage.fail_nth(*kind, "", 1, Errno::NOSPC, Repeat::Once);
        assert_eq!(attempt().unwrap_err().kind(), io::ErrorKind::StorageFull, "{kind:?}");
        attempt().unwrap_or_else(|error| panic!("{kind:?} without a fault: {error}"));
        let journal: Vec<_> = storage.journal().into_iter().map(|done| (done.kind, done.failed)).collect();
        assert_eq!(journal, [(*kind, true), (*kind, false)]);
    }
}

#[test]
fn a_shortened_write_moves_its_first_bytes() {
    let (folder, storage) = faulty();
    let file = create(&storage, folder.path(), "00000001.seg");
    storage.shorten_writes(".seg", 3);
    assert_eq!(file.write_at(b"abcdef", 0).unwrap(), 3);
    assert_eq!(file.len().unwrap(), 3);
    assert_eq!(file.write_at(b"de", 3).unwrap(), 2);
    storage.clear_faults();
    assert_eq!(file.write_at(b"123456", 0).unwrap(), 6);
}

#[test]
fn the_journal_has_the_operations_in_order_with_their_places() {
    let (folder, storage) = faulty();
    let file = create(&storage, folder.path(), "a");
    file.set_len(4096).unwrap();
    file.write_at(b"abc", 7).unwrap();
    file.sync_data().unwrap();
    file.read_at(&mut [0; 10], 4090).unwrap();
    storage.rename(&folder.path().join("a"), &folder.path().join("b")).unwrap();
    storage.sync_dir(folder.path()).unwrap();
    let done = |kind, name: &str, offset, len| {
        let path = if name.is_empty() { folder.path().to_owned() } else { folder.path().join(name) };
        Operation { kind, path, offset, len, failed: false }
    };
    let expected = [
        done(OperationKind::Create, "a", 0, 0),
        done(OperationKind::SetLen, "a", 0, 4096),
        done(OperationKind::Write, "a", 7, 3),
        done(OperationKind::SyncData, "a", 0, 0),
        done(OperationKind::Read, "a", 4090, 6),
        done(OperationKind::Rename, "b", 0, 0),
        done(OperationKind::SyncDir, "", 0, 0),
    ];
    assert_eq!(storage.journal(), expected);
    assert_eq!(storage.count(OperationKind::SyncData, "a"), 1);
    storage.clear_journal();
    assert_eq!(storage.journal(), []);
}

#[test]
fn a_lock_is_the_one_of_the_storage_behind() {
    let (folder, storage) = faulty();
    let path = folder.path().join("LOCK");
    let held = storage.lock(&path).unwrap().unwrap();
    assert!(OsStorage.lock(&path).unwrap().is_none());
    assert_eq!(storage.lock_state(&path).unwrap(), LockState::Held);
    drop(held);
    assert_eq!(storage.lock_state(&path).unwrap(), LockState::Free);
}
