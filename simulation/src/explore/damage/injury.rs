//! One damage to a disk: as text, and done.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use crate::disk::SimulatedDisk;
use crate::disk::sector::SECTOR_LEN;
use crate::explore::damage::forged::{self, Forgery};
use crate::explore::damage::image::{Files, Image, contents, path_of};

/// How far garbage may go: many times as far as any file of a simulated run.
const GARBAGE_END_MAX: usize = 16 << 20;

/// Every damage as text. A file is named from the folder of the runs, as `run-1/00000001.seg`.
pub const FORMS: [&str; 12] = [
    "flip FILE BYTE BIT",
    "zero FILE SECTOR COUNT",
    "unreadable FILE SECTOR COUNT",
    "stale FILE SECTOR OPERATION",
    "misplaced FILE SECTOR SOURCE SECTOR",
    "gone FILE",
    "exchanged FILE FILE",
    "copied FILE SOURCE",
    "cut FILE LENGTH",
    "garbage FILE BYTE LENGTH SALT",
    "earlier FILE OPERATION",
    "forged FILE FORGERY COMMIT RECORD",
];

/// What happens to one file, or to one sector of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Damage {
    /// A bit of a byte is another one.
    Flip {
        /// The file.
        file: String,
        /// Which byte.
        offset: usize,
        /// Which bit of it.
        bit: u8,
    },
    /// Sectors are zeros.
    Zero {
        /// The file.
        file: String,
        /// The first sector.
        sector: usize,
        /// How many.
        count: usize,
    },
    /// Sectors cannot be read.
    Unreadable {
        /// The file.
        file: String,
        /// The first sector.
        sector: usize,
        /// How many.
        count: usize,
    },
    /// A sector is what it was behind an earlier operation.
    Stale {
        /// The file.
        file: String,
        /// Which sector.
        sector: usize,
        /// Which operation; 0 is the opening.
        operation: usize,
    },
    /// In the place of a sector lies one from elsewhere.
    Misplaced {
        /// The file.
        file: String,
        /// Which sector.
        sector: usize,
        /// Where the bytes are from.
        source: String,
        /// Which sector there.
        from: usize,
    },
    /// A file is gone.
    Gone {
        /// The file.
        file: String,
    },
    /// Two files have each other's names.
    Exchanged {
        /// The file.
        file: String,
        /// The other file.
        other: String,
    },
    /// In the place of a file lies a copy of another one.
    Copied {
        /// The file.
        file: String,
        /// Where the bytes are from.
        source: String,
    },
    /// A file ends too early.
    Cut {
        /// The file.
        file: String,
        /// How many bytes stay.
        len: usize,
    },
    /// Behind the end of a file stands something, in the file or past its length.
    Garbage {
        /// The file.
        file: String,
        /// The first byte.
        from: usize,
        /// How many bytes.
        len: usize,
        /// What they are made of.
        salt: u64,
    },
    /// A file is what it was behind an earlier operation.
    Earlier {
        /// The file.
        file: String,
        /// Which operation; 0 is the opening.
        operation: usize,
    },
    /// Something is edited, and the checksums next to it are repaired.
    Forged {
        /// The file.
        file: String,
        /// What is edited.
        forgery: Forgery,
        /// The batch.
        commit_no: u64,
        /// Which of its records.
        nth: usize,
    },
}

/// The files of a disk with what was done to them.
#[derive(Debug, Clone)]
pub struct Injured {
    /// The files.
    pub files: Files,
    /// Sectors that cannot be read.
    pub unreadable: Vec<(String, Range<usize>)>,
}

impl Damage {
    /// The file that it befalls.
    #[must_use]
    pub fn file(&self) -> &str {
        match self {
            Self::Flip { file, .. }
            | Self::Zero { file, .. }
            | Self::Unreadable { file, .. }
            | Self::Stale { file, .. }
            | Self::Misplaced { file, .. }
            | Self::Gone { file }
            | Self::Exchanged { file, .. }
            | Self::Copied { file, .. }
            | Self::Cut { file, .. }
            | Self::Garbage { file, .. }
            | Self::Earlier { file, .. }
            | Self::Forged { file, .. } => file,
        }
    }

    /// Does it; none where it does not apply to this disk or changes nothing.
    #[must_use]
    pub fn apply(&self, image: &Image, injured: &mut Injured) -> Option<()> {
        let before = injured.files.clone();
        self.inflict(image, injured)?;
        let is_unreadable = matches!(self, Self::Unreadable { .. });
        (is_unreadable || injured.files != before).then_some(())
    }

    fn inflict(&self, image: &Image, injured: &mut Injured) -> Option<()> {
        let files = &mut injured.files;
        match self {
            Self::Flip { file, offset, bit } => *files.get_mut(file)?.get_mut(*offset)? ^= 1_u8.checked_shl(u32::from(*bit))?,
            Self::Zero { file, sector, count } => {
                let bytes = files.get_mut(file)?;
                let range = sectors(*sector, *count, bytes.len());
                bytes.get_mut(range).filter(|part| !part.is_empty())?.fill(0);
            }
            Self::Unreadable { file, sector, count } => {
                let len = files.get(file)?.len();
                let range = *sector..sector.saturating_add(*count).min(len.div_ceil(SECTOR_LEN));
                injured.unreadable.push((file.clone(), Some(range).filter(|range| !range.is_empty())?));
            }
            Self::Stale { file, sector, operation } => {
                let stale = contents(image.earlier.get(*operation)?, file)?;
                put_sector(files.get_mut(file)?, *sector, &stale, *sector)?;
            }
            Self::Misplaced { file, sector, source, from } => {
                let source = image.files.get(source)?;
                put_sector(files.get_mut(file)?, *sector, source, *from)?;
            }
            Self::Gone { file } => {
                files.remove(file)?;
            }
            Self::Exchanged { file, other } => {
                let (one, two) = (files.get(file)?.clone(), files.get(other)?.clone());
                files.insert(file.clone(), two);
                files.insert(other.clone(), one);
            }
            Self::Copied { file, source } => {
                let copy = files.get(source)?.clone();
                *files.get_mut(file)? = copy;
            }
            Self::Cut { file, len } => files.get_mut(file)?.truncate(*len),
            Self::Garbage { file, from, len, salt } => {
                let bytes = files.get_mut(file)?;
                let end = from.checked_add(*len).filter(|end| *end <= GARBAGE_END_MAX)?;
                bytes.resize(bytes.len().max(end), 0);
                let mut random = fastrand::Rng::with_seed(*salt);
                random.fill(bytes.get_mut(*from..end)?);
            }
            Self::Earlier { file, operation } => {
                let earlier = contents(image.earlier.get(*operation)?, file)?;
                files.insert(file.clone(), earlier);
            }
            Self::Forged { file, forgery, commit_no, nth } => {
                let run = image.readings.get(image.run_of(file)?)?;
                forged::forge(*forgery, run, files, file, *commit_no, *nth)?;
            }
        }
        Some(())
    }
}

fn sectors(first: usize, count: usize, len: usize) -> Range<usize> {
    let place = |sector: usize| sector.saturating_mul(SECTOR_LEN).min(len);
    place(first)..place(first.saturating_add(count))
}

/// Puts one sector of `source` into the place of a sector of `bytes`.
fn put_sector(bytes: &mut [u8], sector: usize, source: &[u8], from: usize) -> Option<()> {
    let (to, from) = (sectors(sector, 1, bytes.len()), sectors(from, 1, source.len()));
    let len = to.len().min(from.len());
    let part = source.get(from.start..from.start + len)?;
    bytes.get_mut(to.start..to.start + len).filter(|place| !place.is_empty())?.copy_from_slice(part);
    Some(())
}

impl Injured {
    /// The files of an image, still whole.
    #[must_use]
    pub fn of(image: &Image) -> Self {
        Self { files: image.files.clone(), unreadable: Vec::new() }
    }

    /// Whether bytes of this range of a file are not what they were.
    #[must_use]
    pub fn touches(&self, image: &Image, file: &str, range: &Range<usize>) -> bool {
        let sectors = range.start / SECTOR_LEN..range.end.div_ceil(SECTOR_LEN);
        let lost = |(name, lost): &(String, Range<usize>)| name == file && lost.start < sectors.end && sectors.start < lost.end;
        let now = self.files.get(file).and_then(|bytes| bytes.get(range.clone()));
        now != image.files.get(file).and_then(|bytes| bytes.get(range.clone())) || self.unreadable.iter().any(lost)
    }

    /// Whether anything of a file is not what it was.
    #[must_use]
    pub fn touches_file(&self, image: &Image, file: &str) -> bool {
        self.files.get(file) != image.files.get(file) || self.unreadable.iter().any(|(name, _)| name == file)
    }

    /// A disk that holds these files.
    #[must_use]
    pub fn disk(&self, image: &Image) -> SimulatedDisk {
        let disk = SimulatedDisk::with_state(image.state.clone(), 1);
        for (name, bytes) in self.files.iter().filter(|(name, bytes)| image.files.get(*name) != Some(*bytes)) {
            disk.put(&path_of(name), bytes);
        }
        for name in image.files.keys().filter(|name| !self.files.contains_key(*name)) {
            disk.take_away(&path_of(name));
        }
        for (name, sectors) in &self.unreadable {
            disk.set_unreadable(&path_of(name), sectors.clone());
        }
        disk
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flip { file, offset, bit } => write!(formatter, "flip {file} {offset} {bit}"),
            Self::Zero { file, sector, count } => write!(formatter, "zero {file} {sector} {count}"),
            Self::Unreadable { file, sector, count } => write!(formatter, "unreadable {file} {sector} {count}"),
            Self::Stale { file, sector, operation } => write!(formatter, "stale {file} {sector} {operation}"),
            Self::Misplaced { file, sector, source, from } => write!(formatter, "misplaced {file} {sector} {source} {from}"),
            Self::Gone { file } => write!(formatter, "gone {file}"),
            Self::Exchanged { file, other } => write!(formatter, "exchanged {file} {other}"),
            Self::Copied { file, source } => write!(formatter, "copied {file} {source}"),
            Self::Cut { file, len } => write!(formatter, "cut {file} {len}"),
            Self::Garbage { file, from, len, salt } => write!(formatter, "garbage {file} {from} {len} {salt}"),
            Self::Earlier { file, operation } => write!(formatter, "earlier {file} {operation}"),
            Self::Forged { file, forgery, commit_no, nth } => write!(formatter, "forged {file} {forgery} {commit_no} {nth}"),
        }
    }
}

impl FromStr for Damage {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let is_no_damage = || format!("{text:?} is no damage: expected one of {}", FORMS.join("; "));
        let number = |word: &str| word.parse::<usize>().map_err(|error| format!("{word:?} in {text:?}: {error}"));
        let long = |word: &str| word.parse::<u64>().map_err(|error| format!("{word:?} in {text:?}: {error}"));
        let [kind, file, rest @ ..] = words.as_slice() else { return Err(is_no_damage()) };
        let file = (*file).to_owned();
        Ok(match (*kind, rest) {
            ("flip", [offset, bit]) => {
                let of_a_byte = |bit: &u8| *bit < 8;
                let bit = bit.parse().ok().filter(of_a_byte).ok_or_else(|| format!("{bit:?} in {text:?}: expected a bit from 0 to 7"))?;
                Self::Flip { file, offset: number(offset)?, bit }
            }
            ("zero", [sector, count]) => Self::Zero { file, sector: number(sector)?, count: number(count)? },
            ("unreadable", [sector, count]) => Self::Unreadable { file, sector: number(sector)?, count: number(count)? },
            ("stale", [sector, operation]) => Self::Stale { file, sector: number(sector)?, operation: number(operation)? },
            ("misplaced", [sector, source, from]) => {
                Self::Misplaced { file, sector: number(sector)?, source: (*source).to_owned(), from: number(from)? }
            }
            ("gone", []) => Self::Gone { file },
            ("exchanged", [other]) => Self::Exchanged { file, other: (*other).to_owned() },
            ("copied", [source]) => Self::Copied { file, source: (*source).to_owned() },
            ("cut", [len]) => Self::Cut { file, len: number(len)? },
            ("garbage", [from, len, salt]) => {
                let (from, len) = (number(from)?, number(len)?);
                if from.checked_add(len).is_none_or(|end| end > GARBAGE_END_MAX) {
                    return Err(format!("{text:?}: garbage ends at byte {GARBAGE_END_MAX} at most"));
                }
                Self::Garbage { file, from, len, salt: long(salt)? }
            }
            ("earlier", [operation]) => Self::Earlier { file, operation: number(operation)? },
            ("forged", [forgery, commit_no, nth]) => {
                Self::Forged { file, forgery: forgery.parse()?, commit_no: long(commit_no)?, nth: number(nth)? }
            }
            _ => return Err(is_no_damage()),
        })
    }
}
