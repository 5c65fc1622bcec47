//! Damage to what was acknowledged: bits that flip, sectors that are zeros, stale, lost or in another place.
//!
//! A history is played without faults, and its engine stops. Then one thing is damaged, sometimes
//! two, and the run is opened in every way that there is. Whatever was damaged, nothing wrong is ever
//! answered, and nothing that an intact witness proves durable is left out without a word.
//!
//! A case is a text: `<history> % <how the engine stopped> % <damage> & <damage>`; see [`FORM`] and [`injury::FORMS`].

pub mod answers;
pub mod choose;
pub mod edited;
pub mod forged;
pub mod image;
pub mod injury;
pub mod judge;
mod openings;
pub mod place;
pub mod sweep;
pub mod table;
#[cfg(test)]
mod tests;

use std::fmt;
use std::str::FromStr;

use crate::explore::history::History;
use crate::runner::{Failure, guarded};
use choose::DamageClass;
use forged::Forgery;
use image::{Image, Stop};
use injury::{Damage, Injured};
use judge::{Case, Edited};
use table::DamageTable;

/// The name of this exploration.
pub const NAME: &str = "damage";
/// A case as text, in words.
pub const FORM: &str = "HISTORY % killed % DAMAGE & DAMAGE, or HISTORY % power-lost SEED % DAMAGE & DAMAGE";
/// How many other damages of the same class are tried on a history that is made shorter.
const SHRINK_ATTEMPTS: u64 = 30;

/// A history, how its engine stopped, and what was damaged then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DamageCase {
    /// What the engine did.
    pub history: History,
    /// How it stopped.
    pub stop: Stop,
    /// What was damaged, one after the other.
    pub damages: Vec<Damage>,
}

impl fmt::Display for DamageCase {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} % ", self.history)?;
        match self.stop {
            Stop::Killed => formatter.write_str("killed % ")?,
            Stop::PowerLost(seed) => write!(formatter, "power-lost {seed} % ")?,
        }
        for (index, damage) in self.damages.iter().enumerate() {
            write!(formatter, "{}{damage}", if index > 0 { " & " } else { "" })?;
        }
        Ok(())
    }
}

impl FromStr for DamageCase {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts: Vec<_> = text.split('%').map(str::trim).collect();
        let [history, stop, damages] = parts.as_slice() else {
            return Err(format!("{text:?} is no case of damage: expected {FORM}"));
        };
        let stop = match stop.split_once(' ') {
            None if *stop == "killed" => Stop::Killed,
            Some(("power-lost", seed)) => Stop::PowerLost(seed.parse().map_err(|error| format!("{seed:?}: {error}"))?),
            _ => return Err(format!("{stop:?} is no way to stop: expected killed, or power-lost SEED")),
        };
        let damages = damages.split('&').map(str::trim).filter(|damage| !damage.is_empty()).map(str::parse).collect::<Result<_, _>>()?;
        Ok(Self { history: history.parse()?, stop, damages })
    }
}

/// Damages a disk and judges what is left of it. A damage that does not apply is passed over; false
/// where none of them did.
///
/// # Errors
/// The promise that is broken.
pub fn examine(image: &Image, damages: &[Damage], class: &str, table: &mut DamageTable) -> Result<bool, String> {
    let mut injured = Injured::of(image);
    let applied = damages.iter().filter(|damage| damage.apply(image, &mut injured).is_some()).count();
    if applied == 0 && !damages.is_empty() {
        return Ok(false);
    }
    table.disks += 1;
    let forged = |forgeries: &[Forgery]| {
        damages.iter().any(|damage| matches!(damage, Damage::Forged { forgery, .. } if forgeries.contains(forgery)))
    };
    let edited = Edited {
        claims: forged(&[Forgery::Claim, Forgery::LowClaim]),
        keys: forged(&[Forgery::Key, Forgery::Exchanged, Forgery::Renumbered]),
    };
    for (index, run) in image.runs.iter().enumerate() {
        let folder = format!("{}/", run.manifest.run_id);
        let names = image.files.keys().chain(injured.files.keys());
        let is_touched = names.into_iter().any(|name| name.starts_with(&folder) && injured.touches_file(image, name));
        if !is_touched && applied > 0 {
            continue;
        }
        if let Some(case) = Case::new(image, &injured, index, edited)? {
            case.judge(class, table).map_err(|broken| format!("{}: {broken}", run.manifest.run_id))?;
        }
    }
    Ok(true)
}

/// Plays the history of a seed and damages its disk so many times, each time in another way.
///
/// # Errors
/// The first case that breaks a promise, as text, with the promise.
pub fn explore(seed: u64, damages_per_history: usize, table: &mut DamageTable) -> Result<(), String> {
    find(seed, damages_per_history, table).map_err(|(case, broken)| format!("{case}: {broken}"))
}

/// As [`explore`], with the case as a value.
///
/// # Errors
/// The first case that breaks a promise, and the promise.
pub fn find(seed: u64, damages_per_history: usize, table: &mut DamageTable) -> Result<(), (Box<DamageCase>, String)> {
    let mut random = fastrand::Rng::with_seed(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0xda3a);
    let history = image::history(&mut random);
    let stop = if random.bool() { Stop::Killed } else { Stop::PowerLost(random.u64(1..1_000_000)) };
    let case = |damages| Box::new(DamageCase { history: history.clone(), stop, damages });
    table.histories += 1;
    // A disk that nothing befell is judged by the same rules.
    let untouched = guarded(|| {
        let image = Image::of(&history, stop)?;
        examine(&image, &[], "none", table)?;
        Ok(image)
    });
    let image = untouched.map_err(|broken| {
        table.broken += 1;
        (case(Vec::new()), broken)
    })?;
    for _ in 0..damages_per_history {
        let class = DamageClass::at_random(&mut random);
        let damages = class.choose(&image, &mut random);
        if damages.is_empty() {
            continue;
        }
        if let Err(broken) = guarded(|| examine(&image, &damages, &class.name(), table)) {
            table.broken += 1;
            return Err((case(damages), broken));
        }
    }
    Ok(())
}

/// Plays one case again.
///
/// # Errors
/// The promise that is broken.
pub fn replay(case: &DamageCase, table: &mut DamageTable) -> Result<bool, String> {
    guarded(|| examine(&Image::of(&case.history, case.stop)?, &case.damages, "replayed", table))
}

/// Makes of a case that breaks a promise the smallest that is found to break one.
#[must_use]
pub fn shrink(case: &DamageCase, broken: String) -> Failure {
    let mut smallest = (case.clone(), broken.clone());
    loop {
        let smaller = simpler(&smallest.0).find_map(breaks);
        match smaller {
            Some(smaller) => smallest = smaller,
            None => break,
        }
    }
    Failure { exploration: NAME.to_owned(), history: case.to_string(), broken, shrunk: smallest.0.to_string(), shrunk_broken: smallest.1 }
}

/// The case itself, or one like it with the same sort of damage in another place, if it breaks a promise.
fn breaks(case: DamageCase) -> Option<(DamageCase, String)> {
    let mut table = DamageTable::default();
    if let Err(broken) = replay(&case, &mut table) {
        return Some((case, broken));
    }
    let image = guarded(|| Image::of(&case.history, case.stop)).ok()?;
    let mut random = fastrand::Rng::with_seed(1);
    let classes: Vec<_> = case.damages.iter().map(class_of).collect();
    (0..SHRINK_ATTEMPTS).find_map(|_| {
        let damages: Vec<_> = classes.iter().flat_map(|class| class.choose(&image, &mut random)).collect();
        let broken = guarded(|| examine(&image, &damages, "shrunk", &mut table)).err()?;
        Some((DamageCase { damages, ..case.clone() }, broken))
    })
}

fn class_of(damage: &Damage) -> DamageClass {
    match damage {
        Damage::Flip { .. } => DamageClass::BitFlip,
        Damage::Zero { count: 1, .. } => DamageClass::ZeroedSector,
        Damage::Zero { .. } => DamageClass::ZeroedBlock,
        Damage::Unreadable { .. } => DamageClass::UnreadableSector,
        Damage::Stale { .. } => DamageClass::StaleSector,
        Damage::Misplaced { .. } => DamageClass::MisplacedSector,
        Damage::Gone { .. } => DamageClass::LostFile,
        Damage::Exchanged { .. } | Damage::Copied { .. } => DamageClass::ExchangedFile,
        Damage::Cut { .. } => DamageClass::WrongLength,
        Damage::Garbage { .. } => DamageClass::GarbageBehind,
        Damage::Earlier { .. } => DamageClass::StaleFile,
        Damage::Forged { forgery, .. } => DamageClass::Forged(*forgery),
    }
}

/// Cases with one thing less, those that lack most first.
fn simpler(case: &DamageCase) -> impl Iterator<Item = DamageCase> {
    let steps = case.history.steps.len();
    let without_tail = (0..steps).map(|len| {
        let mut shorter = case.clone();
        shorter.history.steps.truncate(len);
        shorter
    });
    let without_step = (0..steps).map(|index| {
        let mut shorter = case.clone();
        shorter.history.steps.remove(index);
        shorter
    });
    let without_damage = (0..case.damages.len()).filter(|_| case.damages.len() > 1).map(|index| {
        let mut calmer = case.clone();
        calmer.damages.remove(index);
        calmer
    });
    let killed = (case.stop != Stop::Killed).then(|| DamageCase { stop: Stop::Killed, ..case.clone() });
    without_damage.chain(killed).chain(without_tail).chain(without_step)
}
