//! WATERMARK as a witness: reading both slots, and writing them.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{Corruption, EventStoreError};
use crate::format::file_name;
use crate::format::salt::Uid;
use crate::format::watermark::{FILE_LEN, SLOT_LEN, SLOT_OFFSETS, Watermark};
use crate::io::{File, OpenMode, Storage, read_exact_at, write_all_at};
use crate::seeded_bug::SeededBug;
use crate::segment::tip::Tip;
use crate::store::run_files::RunIdentity;

/// What the two slots say.
#[derive(Debug, Default)]
pub(crate) struct WitnessedTip {
    /// The newest valid slot.
    pub(crate) tip: Option<Tip>,
    /// Every valid slot, by its number.
    pub(crate) slots: Vec<(usize, Tip)>,
    /// What is wrong with the file, without being a reason to doubt the entries.
    pub(crate) notes: Vec<String>,
}

/// Reads both slots as those of a run.
///
/// # Errors
/// Where the file cannot be read, or has a version that this build does not know.
pub(crate) fn read(storage: &dyn Storage, folder: &Path, identity: &RunIdentity) -> Result<WitnessedTip, EventStoreError> {
    let mut found = WitnessedTip::default();
    let Some((len, slots)) = read_slots(storage, folder)? else {
        found.notes.push("WATERMARK is missing".to_owned());
        return Ok(found);
    };
    if len != FILE_LEN {
        found.notes.push(format!("WATERMARK is {len} bytes long, and should be {FILE_LEN}"));
    }
    for (index, slot) in slots.into_iter().enumerate() {
        match slot {
            Ok(watermark) if is_of(&watermark, identity) || SeededBug::ForeignWatermarkBelieved.is_on() => {
                let tip = Tip { state: watermark.state, position: watermark.position };
                found.slots.push((index, tip));
                let is_newer = |best: Tip| best.state.commit_no <= tip.state.commit_no;
                if found.tip.is_none_or(|best| is_newer(best) != SeededBug::OlderSlotBelieved.is_on()) {
                    found.tip = Some(tip);
                }
            }
            Ok(_) => found.notes.push(format!("slot {index} of WATERMARK belongs to another run")),
            Err(damage) => found.notes.push(format!("slot {index} of WATERMARK is damaged ({damage})")),
        }
    }
    Ok(found)
}

fn is_of(watermark: &Watermark, identity: &RunIdentity) -> bool {
    watermark.uid == identity.uid && watermark.stream == identity.stream
}

/// Whether WATERMARK says, of whatever run it is, that something was committed.
///
/// # Errors
/// As [`read`].
pub(crate) fn tells_of_a_commit(storage: &dyn Storage, folder: &Path) -> Result<bool, EventStoreError> {
    let slots = read_slots(storage, folder)?.map(|(_, slots)| slots).unwrap_or_default();
    Ok(slots.iter().flatten().any(|watermark| watermark.state.commit_no > 0))
}

/// Whether there is a WATERMARK, and a slot of it is that of the run with this uid.
///
/// # Errors
/// As [`read`].
pub(crate) fn is_of_run(storage: &dyn Storage, folder: &Path, uid: &Uid) -> Result<bool, EventStoreError> {
    let slots = read_slots(storage, folder)?.map(|(_, slots)| slots).unwrap_or_default();
    Ok(slots.iter().flatten().any(|watermark| watermark.uid == *uid))
}

/// What stands in a slot, or what is wrong with it.
type Slot = Result<Watermark, EventStoreError>;

/// The length of the file, and what stands in its slots; `None` where it is missing.
fn read_slots(storage: &dyn Storage, folder: &Path) -> Result<Option<(u64, Vec<Slot>)>, EventStoreError> {
    let path = folder.join(file_name::WATERMARK);
    let file = match storage.open(&path, OpenMode::Read) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(EventStoreError::from_io("open", &path, &error)),
    };
    let len = file.len().map_err(|error| EventStoreError::from_io("look at", &path, &error))?;
    let mut slots = Vec::with_capacity(SLOT_OFFSETS.len());
    for offset in SLOT_OFFSETS {
        let mut bytes = vec![0; SLOT_LEN];
        let slot = match read_exact_at(&*file, &mut bytes, offset) {
            Ok(()) => Watermark::decode_slot(&bytes).map_err(|error| error.into_error(&path, offset)),
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
                Err(Corruption::at(&path, offset, "a slot", "the end of the file").into())
            }
            Err(error) => return Err(EventStoreError::from_io("read", &path, &error)),
        };
        match slot {
            Err(version @ EventStoreError::UnsupportedVersion { .. }) => return Err(version),
            other => slots.push(other),
        }
    }
    Ok(Some((len, slots)))
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
            Err(error) if error.kind() != ErrorKind::NotFound => {
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
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
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
