//! See `tapelog_simulation::fuzzing::operations`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tapelog_fuzz::run(data, 64 << 20, 64, tapelog_simulation::fuzzing::operations));
