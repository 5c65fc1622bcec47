//! Files and folders as a process sees them, and what a loss of power may make of them.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::sector::{SECTOR_LEN, Sector};
use super::uncertain::Uncertain;

/// The place of a node in a disk.
pub type NodeId = usize;

/// A file: what the page cache shows, and where the disk may still hold something else.
#[derive(Debug, Clone, Default)]
pub struct FileNode {
    len: u64,
    /// Every sector up to the largest length that the file may have.
    sectors: Vec<Sector>,
    unsure_sectors: BTreeMap<usize, Uncertain<Sector>>,
    unsure_len: Option<Uncertain<u64>>,
    /// Sectors that the device cannot read any more.
    unreadable: BTreeSet<usize>,
}

/// A folder: the names in it, and those of which the disk may still hold something else.
#[derive(Debug, Clone, Default)]
pub struct FolderNode {
    names: BTreeMap<String, NodeId>,
    unsure: BTreeMap<String, Uncertain<Option<NodeId>>>,
}

/// What stands under a name.
#[derive(Debug, Clone)]
pub enum Node {
    /// A file.
    File(FileNode),
    /// A folder.
    Folder(FolderNode),
}

impl FileNode {
    /// The length in bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether there are no bytes in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The least length that the disk may hold.
    #[must_use]
    pub fn certain_len(&self) -> u64 {
        self.unsure_len.iter().flat_map(Uncertain::older).copied().fold(self.len, u64::min)
    }

    /// Reads from `offset`; answers how many bytes there were.
    pub fn read(&self, buffer: &mut [u8], offset: u64) -> usize {
        let left = usize::try_from(self.len.saturating_sub(offset)).unwrap_or(usize::MAX);
        let Some(buffer) = buffer.get_mut(..left.min(buffer.len())) else { return 0 };
        for (index, within, part) in parts_mut(buffer, offset) {
            match self.sectors.get(index).filter(|sector| !sector.is_zero()) {
                Some(sector) => part.copy_from_slice(sector.bytes().get(within..within + part.len()).unwrap_or_default()),
                None => part.fill(0),
            }
        }
        buffer.len()
    }

    /// All of it.
    #[must_use]
    pub fn contents(&self) -> Vec<u8> {
        let mut bytes = vec![0; usize::try_from(self.len).unwrap_or_default()];
        self.read(&mut bytes, 0);
        bytes
    }

    /// Writes at `offset`, and makes the file longer where that is needed.
    pub fn write(&mut self, bytes: &[u8], offset: u64) {
        for (index, within, part) in parts(bytes, offset) {
            let before = self.sectors.get(index).cloned().unwrap_or_default();
            let mut contents = *before.bytes();
            if let Some(target) = contents.get_mut(within..within + part.len()) {
                target.copy_from_slice(part);
            }
            self.put(index, &before, Sector::new(contents));
        }
        let end = offset + bytes.len() as u64;
        if end > self.len {
            self.change_len(end);
        }
    }

    /// The device can read these sectors no more, until they are written as a whole.
    pub fn lose_sectors(&mut self, sectors: Range<usize>) {
        self.unreadable.extend(sectors);
    }

    /// The sectors that the device cannot read.
    pub fn unreadable(&self) -> impl Iterator<Item = usize> {
        self.unreadable.iter().copied()
    }

    /// Whether the device can read all of `len` bytes at `offset`, as far as they lie within the file.
    #[must_use]
    pub fn is_readable(&self, offset: u64, len: usize) -> bool {
        let end = (offset + len as u64).min(self.len);
        offset >= end || self.unreadable.range(sector_of(offset)..=sector_of(end - 1)).next().is_none()
    }

    /// Whether a write of `len` bytes at `offset` leaves no part of an unreadable sector as it was.
    #[must_use]
    pub fn is_writable(&self, offset: u64, len: usize) -> bool {
        let end = (offset + len as u64).max(offset + 1);
        let ends = [(sector_of(offset), offset), (sector_of(end - 1), end)];
        ends.iter().all(|(sector, at)| !self.unreadable.contains(sector) || at.is_multiple_of(SECTOR_LEN as u64))
    }

    fn put(&mut self, index: usize, before: &Sector, now: Sector) {
        self.unreadable.remove(&index);
        match self.unsure_sectors.get_mut(&index) {
            Some(uncertain) => uncertain.change(before, &now),
            // The same bytes once more: whatever a loss of power leaves, it is these.
            None if *before == now => {}
            None => {
                self.unsure_sectors.insert(index, Uncertain::after(before.clone()));
            }
        }
        if index >= self.sectors.len() {
            self.sectors.resize(index + 1, Sector::ZEROS);
        }
        if let Some(sector) = self.sectors.get_mut(index) {
            *sector = now;
        }
    }

    /// Sets the length. What is cut off reads as zeros should the file grow again.
    pub fn set_len(&mut self, len: u64) {
        if len < self.len {
            let first = usize::try_from(len).unwrap_or(usize::MAX) / SECTOR_LEN;
            for index in first..self.sectors.len() {
                let before = self.sectors.get(index).cloned().unwrap_or_default();
                let mut contents = *before.bytes();
                let keep = if index == first { usize::try_from(len).unwrap_or(usize::MAX) % SECTOR_LEN } else { 0 };
                contents.iter_mut().skip(keep).for_each(|byte| *byte = 0);
                self.put(index, &before, Sector::new(contents));
            }
        }
        if len != self.len {
            self.change_len(len);
        }
    }

    fn change_len(&mut self, len: u64) {
        match &mut self.unsure_len {
            Some(uncertain) => uncertain.change(&self.len, &len),
            None => self.unsure_len = Some(Uncertain::after(self.len)),
        }
        self.len = len;
    }

    /// Whether a sync would make anything certain.
    #[must_use]
    pub fn has_dirt(&self) -> bool {
        self.unsure_len.as_ref().is_some_and(Uncertain::is_dirty) || self.unsure_sectors.values().any(Uncertain::is_dirty)
    }

    /// A good sync.
    pub fn sync(&mut self) {
        self.unsure_sectors.retain(|_, uncertain| !uncertain.is_dirty());
        self.unsure_len = self.unsure_len.take().filter(|uncertain| !uncertain.is_dirty());
        if self.unsure_len.is_none() {
            self.sectors.truncate(usize::try_from(self.len.div_ceil(SECTOR_LEN as u64)).unwrap_or(usize::MAX));
        }
    }

    /// A sync that failed.
    pub fn fail_sync(&mut self) {
        self.unsure_sectors.values_mut().for_each(Uncertain::drop_dirt);
        self.unsure_len.iter_mut().for_each(Uncertain::drop_dirt);
    }

    /// The pages leave the cache. What was clean is read from the disk the next time, which may hold
    /// another version: `pick` is given the number of versions and chooses one.
    pub fn evict(&mut self, mut pick: impl FnMut(usize) -> usize) {
        let Self { sectors, unsure_sectors, .. } = self;
        unsure_sectors.retain(|index, uncertain| {
            if uncertain.is_dirty() {
                return true;
            }
            if let (Some(version), Some(sector)) = (uncertain.version(pick(uncertain.versions())), sectors.get_mut(*index)) {
                *sector = version.clone();
            }
            false
        });
    }

    fn places(&self, mut see: impl FnMut(Place, usize)) {
        if let Some(uncertain) = &self.unsure_len {
            see(Place::Len, uncertain.versions());
        }
        for (index, uncertain) in &self.unsure_sectors {
            see(Place::Sector(*index), uncertain.versions());
        }
    }

    /// The file that a loss of power leaves, for the version that `pick` chooses in each place.
    fn after_power_loss(&self, mut pick: impl FnMut(usize) -> usize) -> Self {
        let mut after = Self { len: self.len, sectors: self.sectors.clone(), unreadable: self.unreadable.clone(), ..Self::default() };
        if let Some(uncertain) = &self.unsure_len {
            after.len = uncertain.version(pick(uncertain.versions())).copied().unwrap_or(self.len);
        }
        for (index, uncertain) in &self.unsure_sectors {
            if let (Some(version), Some(sector)) = (uncertain.version(pick(uncertain.versions())), after.sectors.get_mut(*index)) {
                *sector = version.clone();
            }
        }
        after.trim();
        after
    }

    /// Nothing stands behind the end.
    fn trim(&mut self) {
        let count = usize::try_from(self.len.div_ceil(SECTOR_LEN as u64)).unwrap_or(usize::MAX);
        self.sectors.truncate(count);
        let within = usize::try_from(self.len % SECTOR_LEN as u64).unwrap_or_default();
        if within > 0
            && self.sectors.len() == count
            && let Some(last) = self.sectors.last_mut()
            && last.bytes().iter().skip(within).any(|byte| *byte != 0)
        {
            let mut contents = *last.bytes();
            contents.iter_mut().skip(within).for_each(|byte| *byte = 0);
            *last = Sector::new(contents);
        }
    }

    /// The sectors, as a process sees them.
    #[must_use]
    pub fn sectors(&self) -> &[Sector] {
        &self.sectors
    }

    fn is_certain(&self) -> bool {
        self.unsure_len.is_none() && self.unsure_sectors.is_empty()
    }
}

/// A place whose contents a loss of power decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The length of a file.
    Len,
    /// A sector of a file.
    Sector(usize),
    /// A name in a folder.
    Name,
}

impl FolderNode {
    /// What stands under a name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<NodeId> {
        self.names.get(name).copied()
    }

    /// Every name.
    pub fn names(&self) -> impl Iterator<Item = (&str, NodeId)> {
        self.names.iter().map(|(name, node)| (name.as_str(), *node))
    }

    /// Puts a node under a name, or takes the name away.
    pub fn set(&mut self, name: &str, now: Option<NodeId>) {
        let before = self.get(name);
        match self.unsure.get_mut(name) {
            Some(uncertain) => uncertain.change(&before, &now),
            None if before == now => {}
            None => {
                self.unsure.insert(name.to_owned(), Uncertain::after(before));
            }
        }
        match now {
            Some(node) => self.names.insert(name.to_owned(), node),
            None => self.names.remove(name),
        };
    }

    /// Whether a sync would make anything certain.
    #[must_use]
    pub fn has_dirt(&self) -> bool {
        self.unsure.values().any(Uncertain::is_dirty)
    }

    /// A good sync.
    pub fn sync(&mut self) {
        self.unsure.retain(|_, uncertain| !uncertain.is_dirty());
    }

    /// A sync that failed.
    pub fn fail_sync(&mut self) {
        self.unsure.values_mut().for_each(Uncertain::drop_dirt);
    }

    /// Every node that may stand under a name after a loss of power.
    fn possible_nodes(&self) -> impl Iterator<Item = NodeId> {
        self.names.values().copied().chain(self.unsure.values().flat_map(Uncertain::older).filter_map(|node| *node))
    }

    fn after_power_loss(&self, mut pick: impl FnMut(usize) -> usize) -> Self {
        let mut after = Self { names: self.names.clone(), unsure: BTreeMap::new() };
        for (name, uncertain) in &self.unsure {
            match uncertain.version(pick(uncertain.versions())) {
                Some(Some(node)) => {
                    after.names.insert(name.clone(), *node);
                }
                Some(None) => {
                    after.names.remove(name);
                }
                None => {}
            }
        }
        after
    }
}

impl Node {
    /// Calls `see` for each place whose contents a loss of power decides, in a fixed order, with the
    /// number of versions.
    pub fn places(&self, mut see: impl FnMut(Place, usize)) {
        match self {
            Self::File(file) => file.places(see),
            Self::Folder(folder) => folder.unsure.values().for_each(|uncertain| see(Place::Name, uncertain.versions())),
        }
    }

    /// What a loss of power leaves; `pick` chooses a version for each place, in the order of [`Node::places`].
    #[must_use]
    pub fn after_power_loss(&self, pick: impl FnMut(usize) -> usize) -> Self {
        match self {
            Self::File(file) => Self::File(file.after_power_loss(pick)),
            Self::Folder(folder) => Self::Folder(folder.after_power_loss(pick)),
        }
    }

    /// Whether a loss of power leaves it as it is.
    #[must_use]
    pub fn is_certain(&self) -> bool {
        match self {
            Self::File(file) => file.is_certain(),
            Self::Folder(folder) => folder.unsure.is_empty(),
        }
    }

    /// Every node below it that there may be after a loss of power.
    #[must_use]
    pub fn possible_nodes(&self) -> Vec<NodeId> {
        match self {
            Self::File(_) => Vec::new(),
            Self::Folder(folder) => folder.possible_nodes().collect(),
        }
    }
}

fn sector_of(offset: u64) -> usize {
    usize::try_from(offset / SECTOR_LEN as u64).unwrap_or(usize::MAX)
}

/// The parts of `bytes` by the sectors on which they lie: index of the sector, place in it, part.
fn parts(bytes: &[u8], offset: u64) -> impl Iterator<Item = (usize, usize, &[u8])> {
    let mut rest = bytes;
    let mut at = usize::try_from(offset).unwrap_or(usize::MAX);
    std::iter::from_fn(move || {
        let len = rest.len().min(SECTOR_LEN - at % SECTOR_LEN);
        let (part, behind) = rest.split_at_checked(len).filter(|(part, _)| !part.is_empty())?;
        let place = (at / SECTOR_LEN, at % SECTOR_LEN, part);
        rest = behind;
        at += len;
        Some(place)
    })
}

/// As [`parts`], for bytes that are to be filled.
fn parts_mut(bytes: &mut [u8], offset: u64) -> impl Iterator<Item = (usize, usize, &mut [u8])> {
    let mut rest = bytes;
    let mut at = usize::try_from(offset).unwrap_or(usize::MAX);
    std::iter::from_fn(move || {
        let len = rest.len().min(SECTOR_LEN - at % SECTOR_LEN);
        let (part, behind) = std::mem::take(&mut rest).split_at_mut_checked(len).filter(|(part, _)| !part.is_empty())?;
        let place = (at / SECTOR_LEN, at % SECTOR_LEN, part);
        rest = behind;
        at += len;
        Some(place)
    })
}
