//! One history, or one case of damage, played again.

use std::fmt::Write as _;

use serde::Serialize;

use crate::explore::damage::table::DamageTable;
use crate::explore::damage::{self, DamageCase};
use crate::explore::explorations::{Exhaustive, Faults, Lives};
use crate::explore::history::History;
use crate::oracle::{Counts, Oracle};
use crate::runner::{Exploration, guarded};

/// Every exploration by its name, set up for a single history.
fn explorations() -> [Box<dyn Exploration>; 3] {
    [Box::new(Exhaustive::new(0)), Box::new(Lives { seeds: 0..0 }), Box::new(Faults { one_of: 1 })]
}

/// What is played again.
pub enum Case {
    /// A history, and what explored it.
    History(Box<dyn Exploration>, History),
    /// A case of damage.
    Damage(DamageCase),
}

/// What came of it.
#[derive(Debug, Serialize)]
pub struct Replayed {
    /// What explored it.
    pub exploration: &'static str,
    /// The history or the case.
    pub case: String,
    /// Whether every promise is kept.
    pub is_clean: bool,
    /// The promise that is broken.
    pub broken: Option<String>,
    /// How many disks were judged until then.
    #[serde(flatten)]
    pub counts: Counts,
    /// Of damage: what whoever opened the disk was told.
    #[serde(skip_serializing_if = "DamageTable::is_empty")]
    pub damage: DamageTable,
}

impl Case {
    /// Reads what `replay` was given.
    ///
    /// # Errors
    /// What was expected instead.
    pub fn parse(exploration: &str, case: &str) -> Result<Self, String> {
        if exploration == damage::NAME {
            return Ok(Self::Damage(case.parse()?));
        }
        let known = explorations().into_iter().find(|known| known.name() == exploration);
        let names = || explorations().map(|known| known.name()).join(", ");
        let known = known.ok_or_else(|| format!("{exploration:?} is no exploration: expected one of {}, {}", names(), damage::NAME))?;
        Ok(Self::History(known, case.parse()?))
    }

    /// Plays it.
    ///
    /// # Errors
    /// Where there is nothing to play, because the damage does not apply to the disk that its history leaves.
    pub fn play(&self) -> Result<Replayed, String> {
        match self {
            Self::History(exploration, history) => {
                let mut oracle = Oracle::default();
                let explored = guarded(|| exploration.explore(history, &mut oracle));
                let (counts, damage) = (oracle.counts, DamageTable::default());
                Ok(replayed(exploration.name(), history.to_string(), explored.err(), counts, damage))
            }
            Self::Damage(case) => {
                let mut table = DamageTable::default();
                let applied = damage::replay(case, &mut table);
                if applied == Ok(false) {
                    return Err(format!("{case}: the damage changes nothing on the disk that its history leaves"));
                }
                let counts = Counts { disks: table.disks, opened: table.openings, ..Counts::default() };
                Ok(replayed(damage::NAME, case.to_string(), applied.err(), counts, table))
            }
        }
    }
}

fn replayed(exploration: &'static str, case: String, broken: Option<String>, counts: Counts, damage: DamageTable) -> Replayed {
    Replayed { exploration, case, is_clean: broken.is_none(), broken, counts, damage }
}

impl Replayed {
    /// In words.
    #[must_use]
    pub fn text(&self) -> String {
        let Self { case, counts, broken, .. } = self;
        let kept = "every promise is kept";
        let mut text = format!("{case}: {} disks, and {}", counts.disks, broken.as_deref().unwrap_or(kept));
        for (way, verdicts) in self.damage.verdicts() {
            let _ = write!(text, "\n{}: {verdicts}", way.name());
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(exploration: &str, case: &str) -> String {
        match Case::parse(exploration, case) {
            Ok(case) => case.play().unwrap_err(),
            Err(error) => error,
        }
    }

    #[test]
    fn what_cannot_be_played_is_refused_with_what_can() {
        for (exploration, case, expected) in [
            ("lifes", "synced:never/1/small", "exhaustive, lives, faults, damage"),
            ("lives", "synced:never/1/smal", "small, medium, large"),
            ("damage", "synced:never/1/small", "HISTORY % killed % DAMAGE"),
            ("damage", "synced:never/1/small % burnt % ", "power-lost SEED"),
            ("damage", "synced:never/1/small % killed % flop run-1/MANIFEST", "flip FILE BYTE BIT; zero FILE SECTOR COUNT"),
            ("damage", "synced:never/1/small % killed % flip run-1/MANIFEST 1 8", "a bit from 0 to 7"),
            ("damage", "synced:never/1/small % killed % forged run-1/00000001.seg keys 1 1", "key, payload, count"),
            ("damage", "synced:never/1/small % killed % garbage run-1/MANIFEST 0 18446744073709551615 3", "garbage ends at byte"),
            ("damage", "synced:never/1/small % killed % garbage run-1/MANIFEST 18446744073709551615 1 3", "garbage ends at byte"),
            ("damage", "synced:never/1/small % killed % gone run-9/MANIFEST", "changes nothing"),
        ] {
            let error = refused(exploration, case);
            assert!(error.contains(expected), "{exploration} {case}: {error}");
        }
    }

    #[test]
    fn numbers_past_every_file_and_every_operation_are_no_finding() {
        for (exploration, case) in [
            ("lives", "synced:never/18446744073709551615/small#18446744073709551615?eio@18446744073709551615+"),
            ("damage", "synced:never/1/small#1 % killed % zero run-1/00000001.seg 8 18446744073709551615"),
            ("damage", "synced:never/1/small#1 % killed % unreadable run-1/00000001.seg 8 18446744073709551615"),
        ] {
            let replayed = Case::parse(exploration, case).unwrap().play().unwrap();
            assert!(replayed.is_clean, "{}", replayed.text());
        }
    }

    #[test]
    fn what_was_played_is_told_in_words_and_in_json() {
        let case = "synced:never/1/small#1 % killed % gone run-1/MANIFEST";
        let replayed = Case::parse("damage", case).unwrap().play().unwrap();
        let text = replayed.text();
        assert!(text.starts_with(case) && text.contains("1 disks, and every promise is kept"), "{text}");
        assert!(text.contains("quick opening: reported at opening"), "{text}");
        let json = serde_json::to_value(&replayed).unwrap();
        assert_eq!((json["is_clean"].as_bool(), json["disks"].as_u64(), json["broken"].is_null()), (Some(true), Some(1), true));
        let replayed = Case::parse("lives", "synced:never/1/small#1!").unwrap().play().unwrap();
        let json = serde_json::to_value(&replayed).unwrap();
        assert!(json["disks"].as_u64() > Some(1) && json.get("damage").is_none(), "{json}");
    }
}
