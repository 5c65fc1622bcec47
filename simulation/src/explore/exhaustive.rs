//! Every history of up to four operations, and every crash in it; and every history of up to three, in which a process ends
//! and another one goes on.
//!
//! The operations are batches of three sizes, an anchor, a roll, a seal, a drop and a reopening, in
//! every order and every setting: whether an append waits for its sync, and when the background
//! steps are done. A crash in the first operations of a history is a crash in a shorter history, so
//! that only those in the last one are looked at.
//!
//! A further life is one of up to three operations in all, of which the first one or two were the end of a process: by a loss
//! of power, by a kill, or in order. The next process opens the run again, sweeps and goes on in a child, or goes on in a child
//! of what it finds sealed; then come the operations that are left, and the crashes in the last of them are looked at. What a
//! loss of power left is decided by a salt: each history is played with `SALTS` of them.

use crate::crash::{Breadth, EXHAUSTIVE_MAX};
use crate::explore::history::{End, History, Step};
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

fn operations_of(len: u32, number: usize) -> Vec<Operation> {
    let mut rest = number;
    let operations = (0..len).filter_map(|_| {
        let digit = rest % ALPHABET.len();
        rest /= ALPHABET.len();
        ALPHABET.get(digit).copied()
    });
    operations.collect()
}

/// The history with a number below [`count`]: those of one setting and one last operation stand together.
#[must_use]
pub fn history(len: u32, number: usize) -> History {
    let per_setting = ALPHABET.len().pow(len);
    let setting = Setting::all().nth(number / per_setting).unwrap_or(Setting::DEFAULT);
    History {
        setting,
        seed: 1,
        steps: operations_of(len, number % per_setting)
            .into_iter()
            .zip(1..)
            .map(|(operation, salt)| Step { salt, ..operation.into() })
            .collect(),
        fault: None,
    }
}

/// Most operations of a history with a further life, the beginning of that life not counted.
pub const FURTHER_MAX: u32 = 3;
/// With so many salts each history with a crash in it is played.
const SALTS: usize = 2;
/// How a process ends, and which of the salts decides what that leaves.
const ENDS: [(Option<End>, u64); 1 + 2 * SALTS] =
    [(None, 0), (Some(End::PowerLoss), 0), (Some(End::PowerLoss), 1), (Some(End::Kill), 0), (Some(End::Kill), 1)];
/// How the next process begins, and which operations mean anything then.
const BEGINNINGS: [(Operation, &[Operation]); 3] = [
    (Operation::Reopen, &[Operation::Seal, Operation::Reopen, Operation::Drop, Operation::Boot]),
    (Operation::Boot, &ALPHABET),
    (Operation::Child, &[Operation::Small, Operation::Boot]),
];

/// The operations of a second process, the first of them its beginning, with at most `rest` behind that.
fn second_lives(rest: u32) -> Vec<Vec<Operation>> {
    let mut lives = Vec::new();
    for (beginning, alphabet) in BEGINNINGS {
        let mut newest = vec![vec![beginning]];
        for len in 0..=rest {
            lives.extend(newest.iter().cloned());
            // Behind the first operation the run may be another one: everything means something then.
            let next: &[Operation] = if len == 0 { alphabet } else { &ALPHABET };
            let longer = |life: &Vec<Operation>| next.iter().map(|operation| [life.as_slice(), &[*operation]].concat()).collect::<Vec<_>>();
            newest = newest.iter().flat_map(longer).collect();
        }
    }
    lives
}

/// Every history with a further life and at most `operations` operations: those with one second life stand together.
#[must_use]
pub fn further(operations: u32) -> Vec<History> {
    let operations = operations.min(FURTHER_MAX);
    let mut histories = Vec::new();
    for len in 1..operations.max(1) {
        for life in second_lives(operations - len) {
            for setting in Setting::all() {
                // A process that ends in order is nothing new to whoever opens its run again.
                let ends = ENDS.into_iter().filter(|(end, _)| end.is_some() || life.first() == Some(&Operation::Boot));
                for (end, salt) in ends {
                    let first = (0..ALPHABET.len().pow(len)).map(|number| operations_of(len, number));
                    histories.extend(first.map(|first| two_lives(setting, &first, end, salt, &life)));
                }
            }
        }
    }
    histories
}

fn two_lives(setting: Setting, first: &[Operation], end: Option<End>, salt: u64, second: &[Operation]) -> History {
    let mut steps: Vec<Step> = first.iter().zip(1..).map(|(operation, number)| Step { salt: number, ..(*operation).into() }).collect();
    if let Some(last) = steps.last_mut() {
        last.end = end;
        last.salt += 10 * salt;
    }
    steps.extend(second.iter().zip(101..).map(|(operation, number)| Step { salt: number, ..(*operation).into() }));
    History { setting, seed: 1, steps, fault: None }
}

/// Explores the crashes in the last operation of a history.
///
/// # Errors
/// The promise that is broken.
pub fn explore_last(history: &History, oracle: &mut Oracle) -> Result<Coverage, String> {
    let look = Look { from: history.steps.len(), breadth: Breadth::Exhaustive(EXHAUSTIVE_MAX), moments_of: 1, nested_of: 64 };
    play(history, look, oracle)
}
