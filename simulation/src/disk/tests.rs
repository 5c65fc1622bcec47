//! What the simulated disk promises to those who test with it.

use std::io;
use std::path::Path;

use tapelog::io::{File, OpenMode, Storage};

use super::faults::{Fault, FaultPlan};
use super::sector::SECTOR_LEN;
use super::*;
use crate::crash::{Breadth, PowerLoss};

const FILE: &str = "/file";

fn create(disk: &SimulatedDisk) -> Arc<dyn File> {
    disk.open(Path::new(FILE), OpenMode::CreateNew).unwrap()
}

fn filled(byte: u8) -> Vec<u8> {
    vec![byte; SECTOR_LEN]
}

/// A disk with a durable file of three sectors of ones.
fn durable() -> (SimulatedDisk, Arc<dyn File>) {
    let disk = SimulatedDisk::new(1);
    let file = create(&disk);
    file.write_at(&vec![1; 3 * SECTOR_LEN], 0).unwrap();
    file.sync_data().unwrap();
    disk.sync_dir(Path::new("/")).unwrap();
    (disk, file)
}

/// What every loss of power leaves of the file; nothing where it leaves no file.
fn left(disk: &SimulatedDisk) -> Vec<Option<Vec<u8>>> {
    let state = disk.state();
    let mut left = Vec::new();
    let all = PowerLoss::of(&state).for_each(Breadth::Exhaustive(1 << 10), &mut fastrand::Rng::with_seed(1), |choice| {
        left.push(SimulatedDisk::with_state(state.after_power_loss(choice), 1).contents(Path::new(FILE)));
        Ok::<_, ()>(())
    });
    assert_eq!(all, Ok(true));
    left.sort();
    left.dedup();
    left
}

#[expect(clippy::unnecessary_wraps, reason = "it is compared with what a disk holds, which may be nothing")]
fn sectors(bytes: [u8; 3]) -> Option<Vec<u8>> {
    Some(bytes.into_iter().flat_map(filled).collect())
}

#[test]
fn what_is_synced_with_its_name_survives() {
    let (disk, _) = durable();
    assert_eq!(left(&disk), [sectors([1, 1, 1])]);
}

#[test]
fn each_sector_holds_any_version_that_it_had_since_the_last_sync() {
    let (disk, file) = durable();
    file.write_at(&filled(2), 0).unwrap();
    file.write_at(&filled(3), 0).unwrap();
    file.write_at(&filled(4), 2 * SECTOR_LEN as u64).unwrap();
    let expected: Vec<_> = [1, 2, 3].into_iter().flat_map(|first| [1, 4].map(|last| sectors([first, 1, last]))).collect();
    assert_eq!(left(&disk), expected);
    file.sync_data().unwrap();
    assert_eq!(left(&disk), [sectors([3, 1, 4])]);
}

#[test]
fn a_write_does_not_damage_durable_bytes_beside_it() {
    let (disk, file) = durable();
    file.write_at(&[9; 10], SECTOR_LEN as u64 + 20).unwrap();
    for contents in left(&disk).into_iter().flatten() {
        let outside = contents.iter().enumerate().filter(|(index, _)| !(SECTOR_LEN + 20..SECTOR_LEN + 30).contains(index));
        assert!(outside.into_iter().all(|(_, byte)| *byte == 1));
    }
    assert_eq!(left(&disk).len(), 2);
}

#[test]
fn a_length_and_the_bytes_behind_it_persist_each_by_itself() {
    let (disk, file) = durable();
    file.write_at(&filled(5), 3 * SECTOR_LEN as u64).unwrap();
    let old = vec![1; 3 * SECTOR_LEN];
    let expected = [old.clone(), [old.clone(), filled(0)].concat(), [old, filled(5)].concat()].map(Some);
    assert_eq!(left(&disk), expected);
    file.set_len(SECTOR_LEN as u64).unwrap();
    file.sync_data().unwrap();
    assert_eq!(left(&disk), [Some(filled(1))]);
    file.set_len(3 * SECTOR_LEN as u64).unwrap();
    file.sync_all().unwrap();
    assert_eq!(left(&disk), [sectors([1, 0, 0])], "what was cut off does not come back");
}

#[test]
fn a_name_is_there_or_not_until_its_folder_is_synced() {
    let disk = SimulatedDisk::new(1);
    let file = create(&disk);
    file.write_at(b"abc", 0).unwrap();
    file.sync_all().unwrap();
    assert_eq!(left(&disk), [None, Some(b"abc".to_vec())]);
    disk.sync_dir(Path::new("/")).unwrap();
    assert_eq!(left(&disk), [Some(b"abc".to_vec())]);
}

#[test]
fn both_names_of_a_rename_persist_each_by_itself() {
    let (disk, _) = durable();
    let to = Path::new("/renamed");
    disk.rename(Path::new(FILE), to).unwrap();
    let state = disk.state();
    let mut seen = Vec::new();
    let see = |choice: &[usize]| {
        let after = SimulatedDisk::with_state(state.after_power_loss(choice), 1);
        seen.push((after.contents(Path::new(FILE)).is_some(), after.contents(to).is_some()));
        Ok::<_, ()>(())
    };
    PowerLoss::of(&state).for_each(Breadth::Exhaustive(16), &mut fastrand::Rng::with_seed(1), see).unwrap();
    seen.sort_unstable();
    assert_eq!(seen, [(false, false), (false, true), (true, false), (true, true)]);
}

#[test]
fn a_failed_sync_drops_its_pages_and_no_later_one_brings_them_back() {
    let (disk, file) = durable();
    file.write_at(&filled(2), 0).unwrap();
    disk.set_fault(Some(FaultPlan { at: disk.operations(), fault: Fault::Eio, for_ever: false }));
    assert!(file.sync_data().is_err());
    file.sync_data().unwrap();
    assert_eq!(left(&disk), [sectors([1, 1, 1]), sectors([2, 1, 1])], "the second sync said nothing");
    assert_eq!(disk.violations().len(), 1, "and whoever believes it is found out");
    file.write_at(&filled(2), 0).unwrap();
    file.sync_data().unwrap();
    assert_eq!(left(&disk), [sectors([2, 1, 1])], "what is written once more is");
}

#[test]
fn a_page_that_leaves_the_cache_shows_what_the_disk_holds_and_keeps_it() {
    let mut seen = Vec::new();
    for seed in 0..32 {
        let (disk, file) = durable();
        let disk = SimulatedDisk { inner: Arc::clone(&disk.inner) };
        disk.lock().random = fastrand::Rng::with_seed(seed);
        file.write_at(&filled(2), 0).unwrap();
        disk.set_fault(Some(FaultPlan { at: disk.operations(), fault: Fault::Eio, for_ever: false }));
        assert!(file.sync_data().is_err());
        assert_eq!(disk.contents(Path::new(FILE)), sectors([2, 1, 1]), "the cache still shows it");
        disk.evict();
        let shown = disk.contents(Path::new(FILE));
        assert_eq!(left(&disk), std::slice::from_ref(&shown));
        seen.push(shown);
    }
    seen.sort();
    seen.dedup();
    assert_eq!(seen, [sectors([1, 1, 1]), sectors([2, 1, 1])]);
}

#[test]
fn a_dirty_page_stays_in_the_cache() {
    let (disk, file) = durable();
    file.write_at(&filled(2), 0).unwrap();
    disk.evict();
    assert_eq!(disk.contents(Path::new(FILE)), sectors([2, 1, 1]));
    assert_eq!(left(&disk).len(), 2);
}

#[test]
fn faults_befall_the_operations_that_they_are_set_for() {
    let (disk, file) = durable();
    let now = disk.operations();
    disk.set_fault(Some(FaultPlan { at: now, fault: Fault::Short, for_ever: true }));
    let moved = file.write_at(&vec![7; 2 * SECTOR_LEN], 0).unwrap();
    assert!((1..2 * SECTOR_LEN).contains(&moved));
    assert!(file.read_at(&mut [0; 100], 0).unwrap() < 100);
    file.sync_data().unwrap();
    disk.set_fault(Some(FaultPlan { at: disk.operations() + 1, fault: Fault::Enospc, for_ever: false }));
    assert_eq!(file.read_at(&mut [0; 8], 0).unwrap(), 8);
    assert_eq!(file.write_at(b"x", 0).unwrap_err().kind(), io::ErrorKind::StorageFull);
    file.write_at(b"x", 0).unwrap();
    disk.set_fault(Some(FaultPlan { at: 0, fault: Fault::Enospc, for_ever: true }));
    assert!(file.read_at(&mut [0; 8], 0).is_ok(), "a full disk can be read");
    assert!(disk.open(Path::new("/new"), OpenMode::CreateNew).is_err());
}

#[test]
fn nothing_reaches_a_disk_without_power() {
    let (disk, file) = durable();
    disk.cut_power_at(disk.operations());
    assert!(file.write_at(b"x", 0).is_err());
    assert!(disk.remove_file(Path::new(FILE)).is_err());
    assert!(disk.is_off());
    assert_eq!(disk.contents(Path::new(FILE)), sectors([1, 1, 1]));
}

#[test]
fn a_lock_is_held_until_it_is_dropped_and_not_by_another_process_of_a_fork() {
    let disk = SimulatedDisk::new(1);
    let path = Path::new("/LOCK");
    let held = Storage::lock(&disk, path).unwrap();
    assert!(held.is_some() && Storage::lock(&disk, path).unwrap().is_none());
    assert!(Storage::lock(&disk.fork(), path).unwrap().is_some());
    assert!(Storage::lock(&disk.for_reader(), path).unwrap().is_none());
    drop(held);
    assert!(Storage::lock(&disk, path).unwrap().is_some());
}

#[test]
fn a_write_behind_the_durable_length_of_a_segment_is_a_violation() {
    let disk = SimulatedDisk::new(1);
    let file = disk.open(Path::new("/00000001.seg"), OpenMode::CreateNew).unwrap();
    file.write_at(&vec![0; 2 * SECTOR_LEN], 0).unwrap();
    assert_eq!(disk.violations(), [""; 0], "zeros may go anywhere");
    file.write_at(b"frame", 0).unwrap();
    assert_eq!(disk.violations().len(), 1);
    file.sync_all().unwrap();
    file.write_at(b"frame", 600).unwrap();
    assert_eq!(disk.violations().len(), 1);
}
