//! A fault at every operation of the disk, once and for ever, in histories that come past everything.
//!
//! After a fault the engine goes on as an engine does: it tries what comes next, and opens the run
//! again. A disk that fails for ever is replaced once the history is over, and whatever it holds
//! then is looked at as after any other crash.

use crate::crash::Breadth;
use crate::disk::faults::Fault;
use crate::engine::Engine;
use crate::explore::history::{History, StepFault};
use crate::explore::play::{Coverage, Look, play, random_of};
use crate::oracle::Oracle;
use crate::setting::Setting;

/// What the engines do whose disks fail.
pub const STEPS: [&str; 10] = [
    "small,medium,anchor,roll,small,seal,reopen,small",
    "large,roll,anchor,large,drop,reopen,seal,reopen",
    "jumbo,small,jumbo,evict,kill,reopen,seal",
    "roll,roll,medium,kill,evict,reopen,reopen,seal",
    "small,anchor,medium,evict,reopen,evict,reopen,seal,reopen,anchor,seal",
    "reopen,small,drop,evict,reopen,seal",
    "kill,reopen,reopen,small,evict,kill,reopen,seal",
    "small,roll,kill,boot,medium,boot,boot,seal",
    "medium,seal,kill,child,small,kill,boot,anchor,seal,child",
    "medium,roll,seal,evict,reopen,evict,roll,kill,reopen,evict,seal",
];

/// A history without its fault.
///
/// # Errors
/// Where the steps are no history.
pub fn whole(steps: &str, setting: Setting) -> Result<History, String> {
    let mut history: History = format!("{setting}/1/{steps}").parse()?;
    for (step, salt) in history.steps.iter_mut().zip(1..) {
        step.salt = salt;
    }
    Ok(history)
}

/// The kinds of operations that a history asks its disk for.
///
/// # Errors
/// Where the history itself breaks a promise.
pub fn operations(history: &History) -> Result<Vec<crate::disk::faults::OperationKind>, String> {
    let mut engine = Engine::new(history.setting, history.seed);
    engine.asks = false;
    engine.disk.keep_journal();
    engine.open()?;
    for step in &history.steps {
        engine.reseed(random_of(history.seed, *step).u64(..));
        engine.perform(step.operation)?;
    }
    Ok(engine.disk.take_journal())
}

/// Every history in which one operation of the disk of `history` fails.
///
/// # Errors
/// As [`operations`].
pub fn with_faults(history: &History) -> Result<Vec<History>, String> {
    let kinds = operations(history)?;
    let mut faulty = Vec::new();
    // All of one sort before the other, so that whoever takes one of so many takes some of both.
    for for_ever in [false, true] {
        for (at, kind) in (0..).zip(&kinds) {
            for fault in Fault::ALL.into_iter().filter(|fault| fault.befalls(*kind)) {
                faulty.push(History { fault: Some(StepFault { fault, at, for_ever }), ..history.clone() });
            }
        }
    }
    Ok(faulty)
}

/// Plays a history with a fault.
///
/// # Errors
/// The promise that is broken.
pub fn explore(history: &History, oracle: &mut Oracle) -> Result<Coverage, String> {
    play(history, Look { from: 0, breadth: Breadth::Sample(4), moments_of: 8, nested_of: 64 }, oracle)
}
