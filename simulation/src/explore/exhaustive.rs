//! Every history of up to four operations, and every crash in it.
//!
//! The operations are batches of three sizes, an anchor, a roll, a seal, a drop and a reopening, in
//! every order and every setting: whether an append waits for its sync, and when the background
//! steps are done. A crash in the first operations of a history is a crash in a shorter history, so
//! that only those in the last one are looked at.

use crate::crash::{Breadth, EXHAUSTIVE_MAX};
use crate::explore::history::{History, Step};
use crate::explore::play::{Coverage, Look, play};
use crate::oracle::Oracle;
use crate::setting::{Operation, Setting};

/// What the histories are made of.
pub const ALPHABET: [Operation; 8] = [
    Operation::Small,
    Operation::Medium,
    Operation::Large,
    Operation::Anchor,
    Operation::Roll,
    Operation::Seal,
    Operation::Drop,
    Operation::Reopen,
];
/// Most operations of a history.
pub const OPERATIONS_MAX: u32 = 4;

/// How many histories with exactly `len` operations there are.
#[must_use]
pub fn count(len: u32) -> usize {
    ALPHABET.len().pow(len) * Setting::all().count()
}

/// The history with a number below [`count`]: those of one setting and one last operation stand together.
#[must_use]
pub fn history(len: u32, number: usize) -> History {
    let per_setting = ALPHABET.len().pow(len);
    let setting = Setting::all().nth(number / per_setting).unwrap_or(Setting::DEFAULT);
    let mut rest = number % per_setting;
    let operations = (0..len).filter_map(|_| {
        let digit = rest % ALPHABET.len();
        rest /= ALPHABET.len();
        ALPHABET.get(digit).copied()
    });
    History {
        setting,
        seed: 1,
        steps: operations.zip(1..).map(|(operation, salt)| Step { salt, ..operation.into() }).collect(),
        fault: None,
    }
}

/// Explores the crashes in the last operation of a history.
///
/// # Errors
/// The promise that is broken.
pub fn explore_last(history: &History, oracle: &mut Oracle) -> Result<Coverage, String> {
    let look = Look { from: history.steps.len(), breadth: Breadth::Exhaustive(EXHAUSTIVE_MAX), moments_of: 1, nested_of: 64 };
    play(history, look, oracle)
}
