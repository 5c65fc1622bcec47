//! What a disk may hold in one place: the newest version, or one of those before it.
//!
//! The same three rules hold for a sector, for the length of a file and for a name in a folder.
//! A change makes the place uncertain. A good sync makes the newest version certain, if it was
//! written since the last failed sync. A failed sync leaves every version possible for ever: the
//! page counts as clean then, so that no later sync writes it, until it is changed once more.

/// The older versions that the disk may hold in a place instead of the newest.
#[derive(Debug, Clone)]
pub struct Uncertain<T> {
    older: Vec<T>,
    /// Whether the next good sync writes the newest version.
    dirty: bool,
}

impl<T: Clone + PartialEq> Uncertain<T> {
    /// The uncertainty of a place that was certain before it was changed for the first time.
    pub fn after(before: T) -> Self {
        Self { older: vec![before], dirty: true }
    }

    /// The place is written once more: what was the newest version is now an older one.
    pub fn change(&mut self, before: &T, now: &T) {
        self.dirty = true;
        if before != now {
            self.older.retain(|version| version != now);
            if !self.older.contains(before) {
                self.older.push(before.clone());
            }
        }
    }

    /// A sync failed: the page is clean now, whatever reached the disk.
    pub fn drop_dirt(&mut self) {
        self.dirty = false;
    }

    /// Whether a good sync makes the place certain.
    #[must_use]
    pub fn is_dirty(&self) -> bool {
        self.dirty
    }

    /// How many versions the disk may hold, the newest included.
    #[must_use]
    pub fn versions(&self) -> usize {
        self.older.len() + 1
    }

    /// One of the older versions, from the oldest on; `None` for the newest.
    #[must_use]
    pub fn version(&self, index: usize) -> Option<&T> {
        self.older.get(index)
    }

    /// Every older version.
    pub fn older(&self) -> impl Iterator<Item = &T> {
        self.older.iter()
    }
}
