//! The committed inputs of the fuzz targets, and some hundreds of random ones.

use std::fs;
use std::panic::catch_unwind;
use std::path::Path;

use super::{open_folder, operations};

/// Gives every committed input of a target to it.
fn replay(target: &str, body: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target);
    let mut files: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty(), "no input in {}", folder.display());
    let failed: Vec<_> = files.iter().filter(|file| catch_unwind(|| body(&fs::read(file).unwrap())).is_err()).collect();
    assert!(failed.is_empty(), "{failed:?}");
}

/// Gives random inputs to a target.
fn replay_random(count: u64, body: fn(&[u8])) {
    let mut random = fastrand::Rng::with_seed(1);
    for index in 0..count {
        let input: Vec<u8> = (0..random.usize(..160)).map(|_| random.u8(..)).collect();
        assert!(catch_unwind(|| body(&input)).is_ok(), "the random input {index} is a finding: {input:?}");
    }
}

#[test]
fn every_committed_folder_is_opened_or_refused() {
    replay("open_folder", open_folder);
}

#[test]
fn every_committed_sequence_of_operations_answers_as_the_store_in_memory() {
    replay("operations", operations);
}

#[test]
fn random_folders_are_opened_or_refused() {
    replay_random(300, open_folder);
}

#[test]
fn random_sequences_of_operations_answer_as_the_store_in_memory() {
    replay_random(300, operations);
}
