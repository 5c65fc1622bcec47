//! See `tapelog::fuzzing::walk_segment`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tapelog_fuzz::run(data, 2 << 20, 64, tapelog::fuzzing::walk_segment));
