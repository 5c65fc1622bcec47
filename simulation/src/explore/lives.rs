//! Long histories at random: several lives, with crashes, failing disks and kills in between.

use crate::crash::Breadth;
use crate::disk::faults::Fault;
use crate::explore::history::{End, History, Step, StepFault};
use crate::explore::play::{Coverage, Look, play};
use crate::oracle::Oracle;
use crate::setting::{Operation, Setting};

/// Most steps of a history.
const STEPS_MAX: usize = 24;

/// How often each operation is chosen.
const WEIGHTS: [(Operation, u32); 13] = [
    (Operation::Small, 12),
    (Operation::Medium, 10),
    (Operation::Large, 8),
    (Operation::Jumbo, 2),
    (Operation::Anchor, 6),
    (Operation::Roll, 7),
    (Operation::Seal, 2),
    (Operation::Drop, 2),
    (Operation::Reopen, 5),
    (Operation::Kill, 3),
    (Operation::Evict, 2),
    (Operation::Boot, 3),
    (Operation::Child, 2),
];

/// The history of a seed.
#[must_use]
pub fn history(seed: u64) -> History {
    let mut random = fastrand::Rng::with_seed(seed.wrapping_mul(0x2545_f491_4f6c_dd1d) ^ 0x11fe);
    let setting = random.choice(Setting::all().collect::<Vec<_>>()).unwrap_or(Setting::DEFAULT);
    let mut steps = Vec::new();
    for salt in 1..=random.u64(4..STEPS_MAX as u64) {
        let end = end_of(&mut random, 8);
        let fault = (random.u8(..12) == 0).then(|| StepFault {
            fault: random.choice(Fault::ALL).unwrap_or(Fault::Eio),
            at: random.u64(..24),
            for_ever: random.u8(..3) == 0,
        });
        let ends = end.is_some() || fault.is_some();
        steps.push(Step { operation: operation(&mut random), salt, end, fault });
        if ends {
            if fault.is_some() && random.bool() {
                steps.push(Step { salt: salt + 100, ..Operation::Evict.into() });
            }
            if random.u8(..4) > 0 {
                let end = end_of(&mut random, 5);
                steps.push(Step { end, salt: salt + 200, ..Operation::Reopen.into() });
            }
        }
    }
    History { setting, seed, steps, fault: None }
}

/// One step of so many is the last of its process.
fn end_of(random: &mut fastrand::Rng, steps: u8) -> Option<End> {
    (random.u8(..steps) == 0).then(|| if random.u8(..3) == 0 { End::Kill } else { End::PowerLoss })
}

fn operation(random: &mut fastrand::Rng) -> Operation {
    let total: u32 = WEIGHTS.iter().map(|(_, weight)| *weight).sum();
    let mut rest = random.u32(..total);
    for (operation, weight) in WEIGHTS {
        if rest < weight {
            return operation;
        }
        rest -= weight;
    }
    Operation::Small
}

/// Plays a history and samples its crashes.
///
/// # Errors
/// The promise that is broken.
pub fn explore(history: &History, oracle: &mut Oracle) -> Result<Coverage, String> {
    play(history, Look { from: 0, breadth: Breadth::Sample(8), moments_of: 4, nested_of: 40 }, oracle)
}
