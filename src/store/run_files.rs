//! The files of a run's folder, and who the run is.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{Corruption, EventStoreError};
use crate::format::FormatError;
use crate::format::file_name::{self, FileName};
use crate::format::frame::Kind;
use crate::format::genesis;
use crate::format::header_page::HeaderPage;
use crate::format::manifest::{self, ManifestFile, Opening, SealState};
use crate::format::open::Open;
use crate::format::root::root_zero;
use crate::format::salt::{Salt, Stream, Uid};
use crate::io::{File, OpenMode, Storage, read_whole};
use crate::limits::{BLOCK_LEN, MANIFEST_LEN_MAX};
use crate::model::RunManifest;
use crate::seeded_bug::SeededBug;
use crate::segment::tip::{FIRST_FRAME, Tip};
use crate::segment::walk::{FrameStep, frame_at};
use crate::segment::window::Window;

/// Bytes that a look at a segment's first frames reads at a time.
const LOOK_LEN: usize = 16 << 10;

/// Who a run is: everything that its frames are bound to.
#[derive(Debug, Clone)]
pub(crate) struct RunIdentity {
    pub(crate) uid: Uid,
    pub(crate) stream: Stream,
    /// The opening manifest's bytes, as they were first written.
    pub(crate) opening: Vec<u8>,
    pub(crate) manifest: RunManifest,
}

impl RunIdentity {
    pub(crate) fn from_opening(opening: Opening<RunManifest>) -> Self {
        Self { uid: opening.uid, stream: Stream::Entries, opening: opening.bytes, manifest: opening.manifest }
    }

    /// The header page of one of the run's segments.
    pub(crate) fn page(&self, ordinal: u32) -> HeaderPage {
        HeaderPage { stream: self.stream, uid: self.uid, ordinal }
    }

    pub(crate) fn salt(&self, ordinal: u32) -> Salt {
        self.page(ordinal).salt()
    }

    /// The tip of the run before its first commit.
    pub(crate) fn start(&self) -> Tip {
        Tip::start(root_zero(&self.uid, &self.opening))
    }
}

/// What was found under the name MANIFEST.
#[derive(Debug)]
pub(crate) enum FoundManifest {
    Missing,
    Present(Box<ManifestFile<RunManifest>>),
    Damaged(EventStoreError),
}

/// Reads MANIFEST.
///
/// # Errors
/// Where it cannot be read, or has a version that this build does not know: neither is damage.
pub(crate) fn read_manifest(storage: &dyn Storage, folder: &Path) -> Result<FoundManifest, EventStoreError> {
    let path = folder.join(file_name::MANIFEST);
    let bytes = match read_whole(storage, &path, MANIFEST_LEN_MAX) {
        Ok(Some(bytes)) => bytes,
        Ok(None) => return Ok(FoundManifest::Missing),
        Err(error) if error.kind() == std::io::ErrorKind::InvalidData => {
            let found = format!("more than {MANIFEST_LEN_MAX} bytes");
            return Ok(FoundManifest::Damaged(Corruption::at(&path, 0, "a manifest", found).into()));
        }
        Err(error) => return Err(EventStoreError::from_io("read", &path, &error)),
    };
    match manifest::decode_manifest::<RunManifest>(&bytes) {
        Ok(ManifestFile { seal: SealState::Damaged(version @ FormatError::UnknownVersion { .. }), .. }) => {
            Err(version.into_error(&path, 0))
        }
        Ok(found) => Ok(FoundManifest::Present(Box::new(found))),
        Err(error) => match error.into_error(&path, 0) {
            version @ EventStoreError::UnsupportedVersion { .. } => Err(version),
            damage => Ok(FoundManifest::Damaged(damage)),
        },
    }
}

/// One segment file as the folder lists it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ListedSegment {
    pub(crate) ordinal: u32,
    pub(crate) len: u64,
}

/// The segment files of a folder, ascending by ordinal.
pub(crate) fn list_segments(storage: &dyn Storage, folder: &Path) -> Result<Vec<ListedSegment>, EventStoreError> {
    let entries = storage.list(folder).map_err(|error| EventStoreError::from_io("list", folder, &error))?;
    let mut segments: Vec<_> = entries
        .iter()
        .filter(|entry| !entry.is_dir)
        .filter_map(|entry| match FileName::parse(&entry.name) {
            FileName::Segment(ordinal) => Some(ListedSegment { ordinal, len: entry.len }),
            _ => None,
        })
        .collect();
    segments.sort_by_key(|segment| segment.ordinal);
    Ok(segments)
}

/// A segment file that is open for reading.
#[derive(Debug)]
pub(crate) struct SegmentFile {
    pub(crate) path: PathBuf,
    pub(crate) file: Arc<dyn File>,
    pub(crate) len: u64,
}

impl SegmentFile {
    /// A window for reading the whole file from the front.
    pub(crate) fn scan(&self) -> Window<'_> {
        Window::over_file(&*self.file, self.len, &self.path)
    }

    /// A window for a look at the header page and the first frames.
    pub(crate) fn look(&self) -> Window<'_> {
        Window::with_chunk(&*self.file, self.len, &self.path, LOOK_LEN)
    }
}

/// Opens a segment for reading; a missing file is `None`.
pub(crate) fn open_segment(storage: &dyn Storage, folder: &Path, ordinal: u32) -> Result<Option<SegmentFile>, EventStoreError> {
    let path = folder.join(file_name::segment(ordinal));
    let file = match storage.open(&path, OpenMode::Read) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(EventStoreError::from_io("open", &path, &error)),
    };
    let len = file.len().map_err(|error| EventStoreError::from_io("look at", &path, &error))?;
    Ok(Some(SegmentFile { path, file, len }))
}

/// Whether a segment's header page says that it is `expected`: one copy that does is enough,
/// because in the place of the other one may lie another segment's.
///
/// # Errors
/// As [`read_page`].
pub(crate) fn page_fits(window: &mut Window<'_>, expected: &HeaderPage) -> Result<bool, EventStoreError> {
    if read_page(window)?.as_ref() == Some(expected) {
        return Ok(true);
    }
    let len = usize::try_from(window.len().min(BLOCK_LEN)).unwrap_or_default();
    Ok(window.get(0, len)?.is_some_and(|page| expected.stands_in(page)))
}

/// Reads a segment's header page.
///
/// # Errors
/// Where it cannot be read, or has a version that this build does not know. Damage is `Ok(None)`.
pub(crate) fn read_page(window: &mut Window<'_>) -> Result<Option<HeaderPage>, EventStoreError> {
    let path = window.path();
    let len = usize::try_from(window.len().min(BLOCK_LEN)).unwrap_or_default();
    let page = window.get(0, len)?.unwrap_or_default();
    match HeaderPage::decode(page) {
        Ok(page) => Ok(Some(page)),
        Err(error) => match error.into_error(path, 0) {
            version @ EventStoreError::UnsupportedVersion { .. } => Err(version),
            _ => Ok(None),
        },
    }
}

/// Everything that is wrong with a segment's header page, of which one whole copy is enough.
pub(crate) fn page_faults(window: &mut Window<'_>) -> Result<Vec<FormatError>, EventStoreError> {
    let len = usize::try_from(window.len().min(BLOCK_LEN)).unwrap_or_default();
    Ok(HeaderPage::check_whole(window.get(0, len)?.unwrap_or_default()))
}

/// The tip that a segment's OPEN says it continues; `None` where there is no valid OPEN.
///
/// In segment 1 the frame behind it must be GENESIS with the run's opening manifest.
pub(crate) fn read_open(window: &mut Window<'_>, identity: &RunIdentity, ordinal: u32) -> Result<Option<Tip>, EventStoreError> {
    let salt = identity.salt(ordinal);
    let (tip, end) = match frame_at(window, &salt, FIRST_FRAME)? {
        FrameStep::Frame(frame) if frame.header.kind == Kind::OPEN => match Open::decode_body(frame.body) {
            Ok(open) if open.base.seq == frame.header.seq => (Tip { state: open.base, position: open.previous }, frame.end()),
            _ => return Ok(None),
        },
        _ => return Ok(None),
    };
    if ordinal == 1 {
        let genesis = match frame_at(window, &salt, end)? {
            FrameStep::Frame(frame) => frame.header.kind == Kind::GENESIS && frame.body == identity.opening,
            _ => false,
        };
        if !genesis || tip != identity.start() {
            return Ok(None);
        }
    }
    Ok(Some(tip))
}

/// Who a run is by its first segment, where MANIFEST is lost.
pub(crate) fn identity_from_genesis(storage: &dyn Storage, folder: &Path) -> Result<Option<RunIdentity>, EventStoreError> {
    let Some(segment) = open_segment(storage, folder, 1)? else {
        return Ok(None);
    };
    let mut window = segment.look();
    let Some(page) = read_page(&mut window)?.filter(|page| page.ordinal == 1 && page.stream == Stream::Entries) else {
        return Ok(None);
    };
    let salt = page.salt();
    let end = match frame_at(&mut window, &salt, FIRST_FRAME)? {
        FrameStep::Frame(frame) if frame.header.kind == Kind::OPEN => frame.end(),
        _ => return Ok(None),
    };
    let FrameStep::Frame(frame) = frame_at(&mut window, &salt, end)? else {
        return Ok(None);
    };
    if frame.header.kind != Kind::GENESIS {
        return Ok(None);
    }
    let Ok(opening) = genesis::decode_body::<RunManifest>(frame.body) else {
        return Ok(None);
    };
    Ok((opening.uid == page.uid).then(|| RunIdentity::from_opening(opening)))
}

/// Checks that a run read from a folder is the run that the folder names.
///
/// An id that was read from a file never becomes a path; this keeps a moved folder from passing
/// for another run.
pub(crate) fn check_folder_name(folder: &Path, manifest: &RunManifest) -> Result<(), EventStoreError> {
    let name = folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    if name == manifest.run_id || SeededBug::FolderNameUnchecked.is_on() {
        return Ok(());
    }
    let found = format!("the manifest of the run {:?}", manifest.run_id);
    Err(Corruption::at(&folder.join(file_name::MANIFEST), 0, format!("the manifest of the run {name:?}"), found)
        .advise("the folder was renamed or its files were mixed up: give it back its name")
        .into())
}
