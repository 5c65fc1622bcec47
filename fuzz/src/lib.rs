//! What the fuzz targets share: a bound on the memory that one input may take.

#![deny(missing_docs)]

use std::alloc::System;
use std::panic;
use std::sync::Once;

use cap::Cap;

#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, usize::MAX);

static PREPARED: Once = Once::new();

/// Gives an input to a target, which may take `base` bytes of memory, and `factor` bytes for each byte of the input.
///
/// Memory beyond that is refused, which ends the process, and so is a finding.
pub fn run(data: &[u8], base: usize, factor: usize, body: fn(&[u8])) {
    PREPARED.call_once(prepare);
    let bound = ALLOCATOR.allocated() + base + factor * data.len();
    ALLOCATOR.set_limit(bound).expect("a bound above what is taken");
    body(data);
    ALLOCATOR.set_limit(usize::MAX).expect("the largest bound");
}

fn prepare() {
    // The table of topics takes its memory with the first of them, and keeps it.
    let _ = tapelog::Topic::from("exec");
    // To say where a panic comes from takes more memory than the input may.
    let report = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        ALLOCATOR.set_limit(usize::MAX).expect("the largest bound");
        report(info);
    }));
}
