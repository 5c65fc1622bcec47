//! The committed inputs of the fuzz targets, and some thousands of random ones.

use std::fs;
use std::panic::catch_unwind;
use std::path::Path;

use super::{decode_files, decode_frames, samples, walk_segment};

const RANDOM_INPUTS: u64 = 3_000;

/// Gives every committed input of a target to it.
fn replay(target: &str, body: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut files: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty(), "no input in {}", folder.display());
    let failed: Vec<_> = files.iter().filter(|file| catch_unwind(|| body(&fs::read(file).unwrap())).is_err()).collect();
    assert!(failed.is_empty(), "{failed:?}");
}

/// Gives random inputs to a target.
fn replay_random(body: fn(&[u8])) {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = || {
        // SplitMix64: every seed gives other numbers, and none repeats within a test.
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    };
    for index in 0..RANDOM_INPUTS {
        let len = usize::try_from(random() % 160).unwrap();
        let input: Vec<u8> = (0..len).map(|_| random().to_le_bytes()[0]).collect();
        assert!(catch_unwind(|| body(&input)).is_ok(), "the random input {index} is a finding: {input:?}");
    }
}

#[test]
fn every_committed_input_passes_the_decoders_of_frames() {
    replay("decode_frames", decode_frames);
}

#[test]
fn every_committed_input_passes_the_decoders_of_files() {
    replay("decode_files", decode_files);
}

#[test]
fn every_committed_segment_is_walked() {
    replay("walk_segment", walk_segment);
}

#[test]
fn random_inputs_pass_the_decoders_of_frames() {
    replay_random(decode_frames);
}

#[test]
fn random_inputs_pass_the_decoders_of_files() {
    replay_random(decode_files);
}

#[test]
fn random_segments_are_walked() {
    replay_random(walk_segment);
}

#[test]
fn the_sample_segment_is_small_enough_to_be_walked_often() {
    assert!(samples::segment().len() < 8 << 10);
}
