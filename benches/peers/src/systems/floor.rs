//! The floor: what the disk costs where nothing else is done.
//!
//! One positional write of bytes that are there already, and one data sync, into a file that was filled with
//! zeros and synced, from its beginning to its end and then from the beginning again.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use tapelog::AppendEntry;

use crate::Failure;
use crate::systems::System;

const FILE_LEN: u64 = 64 << 20;
const BLOCK_LEN: u64 = 4096;

/// What is written for a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// The bytes of the batch, right behind those of the one before.
    Exact,
    /// The whole blocks in which these bytes lie.
    Blocks,
}

/// A file that is written without any thought.
#[derive(Debug)]
pub struct Floor {
    file: File,
    extent: Extent,
    bytes: Vec<u8>,
    batch_len: u64,
    offset: u64,
}

impl Floor {
    /// A floor for batches that are `sample` on disk.
    ///
    /// # Errors
    /// What the file system reports.
    pub fn new(folder: &Path, extent: Extent, sample: &[u8]) -> Result<Self, Failure> {
        let name = match extent {
            Extent::Exact => "floor-exact",
            Extent::Blocks => "floor-blocks",
        };
        let file = File::options().read(true).write(true).create_new(true).open(folder.join(name))?;
        let zeros = vec![0; 1 << 20];
        for offset in (0..FILE_LEN).step_by(zeros.len()) {
            file.write_all_at(&zeros, offset)?;
        }
        file.sync_all()?;
        let batch_len = sample.len() as u64;
        let blocks = usize::try_from(batch_len.next_multiple_of(BLOCK_LEN) + BLOCK_LEN)?;
        let bytes = sample.iter().copied().cycle().take(blocks).collect();
        Ok(Self { file, extent, bytes, batch_len, offset: 0 })
    }
}

impl System for Floor {
    fn name(&self) -> &'static str {
        match self.extent {
            Extent::Exact => "floor, exact bytes",
            Extent::Blocks => "floor, 4 KiB blocks",
        }
    }

    fn commit(&mut self, _: &[AppendEntry]) -> Result<(), Failure> {
        if self.offset + self.batch_len > FILE_LEN {
            self.offset = 0;
        }
        let end = self.offset + self.batch_len;
        let (from, to) = match self.extent {
            Extent::Exact => (self.offset, end),
            Extent::Blocks => (self.offset - self.offset % BLOCK_LEN, end.next_multiple_of(BLOCK_LEN)),
        };
        let bytes = self.bytes.get(..usize::try_from(to - from)?).ok_or("the batch is larger than its sample")?;
        self.file.write_all_at(bytes, from)?;
        self.file.sync_data()?;
        self.offset = end;
        Ok(())
    }

    fn held(&self) -> Result<Option<u64>, Failure> {
        Ok(None)
    }
}
