//! WATERMARK as a witness: reading both slots, and writing them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::EventStoreError;
use crate::format::file_name;
use crate::format::watermark::{FILE_LEN, SLOT_LEN, SLOT_OFFSETS, Watermark};
use crate::io::{File, OpenMode, Storage, read_exact_at, write_all_at};
use crate::segment::tip::Tip;
use crate::store::run_files::RunIdentity;

/// What the two slots say.
#[derive(Debug, Default)]
pub(crate) struct WitnessedTip {
    /// The newest valid slot.
    pub(crate) tip: Option<Tip>,
    /// What is wrong with the file, without being a reason to doubt the entries.
    pub(crate) notes: Vec<String>,
}

/// Reads both slots.
///
/// # Errors
/// Where the file cannot be read, or has a version that this build does not know.
pub(crate) fn read(storage: &dyn Storage, folder: &Path, identity: &RunIdentity) -> Result<WitnessedTip, EventStoreError> {
    let path = folder.join(file_name::WATERMARK);
    let mut found = WitnessedTip::default();
    let file = match storage.open(&path, OpenMode::Read) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            found.notes.push("WATERMARK is missing".to_owned());
            return Ok(found);
        }
        Err(error) => return Err(EventStoreError::from_io("open", &path, &error)),
    };
    let len = file.len().map_err(|error| EventStoreError::from_io("look at", &path, &error))?;
    if len != FILE_LEN {
        found.notes.push(format!("WATERMARK is {len} bytes long, and should be {FILE_LEN}"));
    }
    for (index, offset) in SLOT_OFFSETS.into_iter().enumerate() {
        let mut slot = vec![0; SLOT_LEN];
        match read_exact_at(&*file, &mut slot, offset) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                found.notes.push(format!("slot {index} of WATERMARK is cut off"));
                continue;
            }
            Err(error) => return Err(EventStoreError::from_io("read", &path, &error)),
        }
        match Watermark::decode_slot(&slot) {
            Ok(watermark) if watermark.uid == identity.uid && watermark.stream == identity.stream => {
                let tip = Tip { state: watermark.state, position: watermark.position };
                if found.tip.is_none_or(|best| best.state.commit_no <= tip.state.commit_no) {
                    found.tip = Some(tip);
                }
            }
            Ok(_) => found.notes.push(format!("slot {index} of WATERMARK belongs to another run")),
            Err(error) => match error.into_error(&path, offset) {
                version @ EventStoreError::UnsupportedVersion { .. } => return Err(version),
                damage => found.notes.push(format!("slot {index} of WATERMARK is damaged ({damage})")),
            },
        }
    }
    Ok(found)
}

/// The watermark file of a run that is being written or recovered.
#[derive(Debug)]
pub(crate) struct WatermarkFile {
    path: PathBuf,
    file: Arc<dyn File>,
    next_slot: usize,
}

impl WatermarkFile {
    /// Makes the file with both slots at `tip`: under another name, synced, renamed. The caller syncs the folder.
    pub(crate) fn create(storage: &dyn Storage, folder: &Path, identity: &RunIdentity, tip: &Tip) -> Result<Self, EventStoreError> {
        let path = folder.join(file_name::WATERMARK);
        let temporary = folder.join(file_name::temporary(file_name::WATERMARK));
        match storage.remove_file(&temporary) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(EventStoreError::from_io("remove the leftover", &temporary, &error));
            }
            _ => {}
        }
        let failed = |doing: &'static str| {
            let temporary = temporary.clone();
            move |error: std::io::Error| EventStoreError::from_io(doing, &temporary, &error)
        };
        let file = storage.open(&temporary, OpenMode::CreateNew).map_err(failed("create"))?;
        let slot = slot(identity, tip);
        for offset in SLOT_OFFSETS {
            write_all_at(&*file, &slot, offset).map_err(failed("write"))?;
        }
        file.sync_all().map_err(failed("sync"))?;
        storage.rename(&temporary, &path).map_err(failed("rename"))?;
        Ok(Self { path, file, next_slot: 0 })
    }

    /// Opens the file of a run that is being recovered; a missing file is `None`.
    pub(crate) fn open(storage: &dyn Storage, folder: &Path) -> Result<Option<Self>, EventStoreError> {
        let path = folder.join(file_name::WATERMARK);
        match storage.open(&path, OpenMode::ReadWrite) {
            Ok(file) => Ok(Some(Self { path, file, next_slot: 0 })),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(EventStoreError::from_io("open", &path, &error)),
        }
    }

    /// Writes the slot whose turn it is, without syncing it. The other slot stays as it was.
    pub(crate) fn write(&mut self, identity: &RunIdentity, tip: &Tip) -> Result<(), EventStoreError> {
        let offset = SLOT_OFFSETS.get(self.next_slot).copied().unwrap_or_default();
        write_all_at(&*self.file, &slot(identity, tip), offset).map_err(|error| EventStoreError::from_io("write", &self.path, &error))?;
        self.next_slot = (self.next_slot + 1) % SLOT_OFFSETS.len();
        Ok(())
    }

    /// Makes what was written durable.
    pub(crate) fn sync(&self) -> Result<(), EventStoreError> {
        self.file.sync_data().map_err(|error| EventStoreError::from_io("sync", &self.path, &error))
    }
}

fn slot(identity: &RunIdentity, tip: &Tip) -> Vec<u8> {
    Watermark { uid: identity.uid, stream: identity.stream, state: tip.state, position: tip.position }.encode_slot().to_vec()
}
