//! Which damage befalls a disk: a class, and within it a place that matters.

use crate::disk::sector::SECTOR_LEN;
use crate::explore::damage::forged::Forgery;
use crate::explore::damage::image::Image;
use crate::explore::damage::injury::{Damage, Injured};
use crate::second_reader::{Segment, ordinal_of};

/// What kind of damage befalls a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DamageClass {
    /// A flipped bit.
    BitFlip,
    /// A sector of zeros.
    ZeroedSector,
    /// A sector that cannot be read.
    UnreadableSector,
    /// A sector as it was before.
    StaleSector,
    /// A sector from elsewhere.
    MisplacedSector,
    /// A block of zeros.
    ZeroedBlock,
    /// A file that is gone.
    LostFile,
    /// A file in the place of another one of its kind.
    ExchangedFile,
    /// A file that ends too early or goes on too long.
    WrongLength,
    /// Something behind the end of what was written.
    GarbageBehind,
    /// A file as it was before.
    StaleFile,
    /// A lost slot of WATERMARK, or both.
    LostSlot,
    /// Two damages of any classes but the forgeries.
    Two,
    /// An edit that repairs the checksums next to it.
    Forged(Forgery),
}

impl DamageClass {
    /// Every class.
    pub fn all() -> impl Iterator<Item = Self> {
        Self::ACCIDENTS.into_iter().chain([Self::Two]).chain(Forgery::ALL.into_iter().map(Self::Forged))
    }

    /// The classes that are accidents, one at a time.
    const ACCIDENTS: [Self; 12] = [
        Self::BitFlip,
        Self::ZeroedSector,
        Self::UnreadableSector,
        Self::StaleSector,
        Self::MisplacedSector,
        Self::ZeroedBlock,
        Self::LostFile,
        Self::ExchangedFile,
        Self::WrongLength,
        Self::GarbageBehind,
        Self::StaleFile,
        Self::LostSlot,
    ];

    /// Its name, as a table shows it.
    #[must_use]
    pub fn name(self) -> String {
        match self {
            Self::BitFlip => "bit flip".to_owned(),
            Self::ZeroedSector => "zeroed sector".to_owned(),
            Self::UnreadableSector => "unreadable sector".to_owned(),
            Self::StaleSector => "stale sector".to_owned(),
            Self::MisplacedSector => "misplaced sector".to_owned(),
            Self::ZeroedBlock => "zeroed sectors or block".to_owned(),
            Self::LostFile => "lost file".to_owned(),
            Self::ExchangedFile => "exchanged file".to_owned(),
            Self::WrongLength => "file cut or grown".to_owned(),
            Self::GarbageBehind => "garbage behind the end".to_owned(),
            Self::StaleFile => "stale file".to_owned(),
            Self::LostSlot => "lost WATERMARK slots".to_owned(),
            Self::Two => "two damages".to_owned(),
            Self::Forged(forgery) => format!("forged: {forgery}"),
        }
    }

    /// A class at random: accidents more often than forgeries.
    pub fn at_random(random: &mut fastrand::Rng) -> Self {
        match random.u8(..20) {
            0..=3 => Self::BitFlip,
            4..=6 => random.choice(Forgery::ALL).map_or(Self::BitFlip, Self::Forged),
            7..=8 => Self::Two,
            _ => random.choice(Self::ACCIDENTS).unwrap_or(Self::BitFlip),
        }
    }

    /// Damages of this class to a disk; empty where none was found that changes anything.
    #[must_use]
    pub fn choose(self, image: &Image, random: &mut fastrand::Rng) -> Vec<Damage> {
        (0..20).find_map(|_| self.attempt(image, random)).unwrap_or_default()
    }

    fn attempt(self, image: &Image, random: &mut fastrand::Rng) -> Option<Vec<Damage>> {
        let damages = if self == Self::Two {
            let mut both = random.choice(Self::ACCIDENTS)?.choose(image, random);
            both.extend(random.choice(Self::ACCIDENTS)?.choose(image, random));
            both
        } else {
            Chooser { image, random }.one(self)?
        };
        let mut injured = Injured::of(image);
        damages.iter().try_for_each(|damage| damage.apply(image, &mut injured))?;
        Some(damages)
    }
}

/// How often a kind of file is damaged.
const KINDS: [(&str, u32); 5] = [(".seg", 12), ("WATERMARK", 3), ("MANIFEST", 2), (".idx", 2), (".key", 2)];

struct Chooser<'a, 'b> {
    image: &'a Image,
    random: &'b mut fastrand::Rng,
}

impl Chooser<'_, '_> {
    fn one(&mut self, class: DamageClass) -> Option<Vec<Damage>> {
        let damage = match class {
            DamageClass::BitFlip => {
                let file = self.file()?;
                Damage::Flip { offset: self.offset(&file)?, file, bit: self.random.u8(..8) }
            }
            DamageClass::ZeroedSector => self.at_sector(|file, sector| Damage::Zero { file, sector, count: 1 })?,
            DamageClass::UnreadableSector => self.at_sector(|file, sector| Damage::Unreadable { file, sector, count: 1 })?,
            DamageClass::StaleSector => {
                let operation = self.random.usize(..self.image.earlier.len());
                self.at_sector(|file, sector| Damage::Stale { file, sector, operation })?
            }
            DamageClass::MisplacedSector => self.misplaced()?,
            DamageClass::ZeroedBlock => {
                let aligned = self.random.bool();
                let count = if aligned { 8 } else { self.random.usize(2..16) };
                let align = if aligned { 8 } else { 1 };
                self.at_sector(|file, sector| Damage::Zero { file, sector: sector - sector % align, count })?
            }
            DamageClass::LostFile => Damage::Gone { file: self.any_file()? },
            DamageClass::ExchangedFile => self.exchanged()?,
            DamageClass::WrongLength => self.wrong_length()?,
            DamageClass::GarbageBehind => self.garbage_behind()?,
            DamageClass::StaleFile => {
                let operation = self.random.usize(..self.image.earlier.len());
                Damage::Earlier { file: self.file()?, operation }
            }
            DamageClass::LostSlot => {
                let file = self.file_like("WATERMARK")?;
                let (sector, count) = *[(0, 1), (8, 1), (0, 16)].get(self.random.usize(..3))?;
                Damage::Zero { file, sector, count }
            }
            DamageClass::Forged(forgery) => self.forged(forgery)?,
            DamageClass::Two => return None,
        };
        Some(vec![damage])
    }

    fn file_like(&mut self, kind: &str) -> Option<String> {
        let names: Vec<_> = self.image.files.keys().filter(|name| name.ends_with(kind)).collect();
        self.random.choice(names).cloned()
    }

    fn file(&mut self) -> Option<String> {
        let mut rest = self.random.u32(..KINDS.iter().map(|(_, weight)| *weight).sum::<u32>());
        let mut kind = ".seg";
        for (name, weight) in KINDS {
            kind = name;
            if rest < weight {
                break;
            }
            rest -= weight;
        }
        self.file_like(kind)
    }

    /// Any file, the lock included.
    fn any_file(&mut self) -> Option<String> {
        if self.random.u8(..8) == 0 { self.file_like("LOCK") } else { self.file() }
    }

    fn segment(&self, file: &str) -> Option<&Segment> {
        let run = self.image.readings.get(self.image.run_of(file)?)?;
        run.segments.get(&ordinal_of(file.rsplit('/').next()?)?)
    }

    /// A place in a file: of a segment mostly where something was written, of WATERMARK mostly in a slot's fields.
    fn offset(&mut self, file: &str) -> Option<usize> {
        let len = self.image.files.get(file)?.len();
        let choice = self.random.u8(..16);
        if file.ends_with("WATERMARK") && choice < 12 {
            return Some(self.random.usize(..148) + if self.random.bool() { 4096 } else { 0 });
        }
        let range = match self.segment(file) {
            Some(segment) if !segment.is_spare() => {
                let first = segment.batches.first().map_or(4096, |batch| batch.start);
                match choice {
                    0 => 0..4096,
                    1 => 0..40,
                    2 => 2048..2088,
                    3..5 => 4096..first.max(4097),
                    5..7 => segment.end..len,
                    7..11 => {
                        let batches: Vec<_> = segment.batches.iter().rev().take(3).map(|batch| batch.start..batch.end).collect();
                        self.random.choice(batches)?
                    }
                    _ => first..segment.end,
                }
            }
            _ => 0..len,
        };
        (!range.is_empty() && range.start < len).then(|| self.random.usize(range.start..range.end.min(len)))
    }

    fn at_sector(&mut self, damage: impl FnOnce(String, usize) -> Damage) -> Option<Damage> {
        let file = self.file()?;
        let sector = self.offset(&file)? / SECTOR_LEN;
        Some(damage(file, sector))
    }

    fn misplaced(&mut self) -> Option<Damage> {
        let file = self.file()?;
        let sector = self.offset(&file)? / SECTOR_LEN;
        let kind = file.rsplit_once(['.', '/'])?.1.to_owned();
        let source = if self.random.bool() { file.clone() } else { self.file_like(&kind)? };
        // Half of them keep their place, because that is where another file's sector fits best.
        let from = if source != file && self.random.bool() { sector } else { self.offset(&source)? / SECTOR_LEN };
        Some(Damage::Misplaced { file, sector, source, from })
    }

    fn exchanged(&mut self) -> Option<Damage> {
        let file = self.file()?;
        let kind = file.rsplit_once(['.', '/'])?.1.to_owned();
        let other = self.file_like(&kind).filter(|other| *other != file)?;
        Some(if self.random.u8(..3) > 0 { Damage::Exchanged { file, other } } else { Damage::Copied { file, source: other } })
    }

    fn wrong_length(&mut self) -> Option<Damage> {
        let file = self.file()?;
        let len = self.image.files.get(&file)?.len();
        let salt = self.random.u64(1..1_000_000);
        Some(match self.random.u8(..4) {
            0 => Damage::Garbage { file, from: len, len: self.random.usize(1..6_000), salt },
            1 => Damage::Cut { file, len: self.random.usize(..len.max(1)) },
            2 => Damage::Cut { len: self.offset(&file)?, file },
            _ => Damage::Cut { len: self.offset(&file)? / SECTOR_LEN * SECTOR_LEN, file },
        })
    }

    fn garbage_behind(&mut self) -> Option<Damage> {
        let file = self.file_like(".seg")?;
        let len = self.image.files.get(&file)?.len();
        let end = self.segment(&file)?.end;
        let from = if self.random.bool() { end } else { self.random.usize(end..len.max(end + 1)) };
        let most = len.saturating_sub(from).clamp(1, 5_000);
        Some(Damage::Garbage { file, from, len: self.random.usize(1..=most), salt: self.random.u64(1..1_000_000) })
    }

    fn forged(&mut self, forgery: Forgery) -> Option<Damage> {
        let nth = self.random.usize(..64);
        if forgery == Forgery::SlotRoot {
            return Some(Damage::Forged { file: self.file_like("WATERMARK")?, forgery, commit_no: 0, nth });
        }
        let file = self.file_like(".seg")?;
        let commits: Vec<_> = self.segment(&file)?.batches.iter().map(|batch| batch.commit_no).collect();
        let commit_no = self.random.choice(commits)?;
        Some(Damage::Forged { file, forgery, commit_no, nth })
    }
}
