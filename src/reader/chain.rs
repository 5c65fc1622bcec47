//! A run with its ancestors, read as one history.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::error::{Corruption, EventStoreError};
use crate::format::file_name;
use crate::io::{OsStorage, Storage};
use crate::limits::CHAIN_RUNS_MAX;
use crate::model::{EventStoreEntry, IndexKind, RunId, ScanDirection, UnixNanos, validate_id};
use crate::reader::run_reader::{ReaderOptions, RunReader};
use crate::store::run_files::{FoundManifest, read_manifest};
use crate::store::segment::backend::run_folder;
use crate::store::{Check, EntryView};

/// One run of a chain.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ChainRun {
    /// The run's id.
    pub run_id: RunId,
    /// Its reader.
    pub reader: RunReader,
    /// Whether the run repeats the seal root of its parent, and the parent has it: then the parent is the very run that
    /// this one went on from. False for the first run of the chain, and where the parent was not sealed when this one began.
    pub is_bound_to_parent: bool,
}

/// A run and the runs that it went on from, as one history: the oldest run first. Numbers begin at 1 in each run, so that
/// an entry is named by its run and its number.
///
/// However long the chain is, the files of one run are open at a time, and of the run that a search found something in.
#[derive(Debug, Clone)]
pub struct RunChain {
    runs: Vec<ChainRun>,
    missing_parent: Option<RunId>,
    /// The run in which the last search found something, whose files stay open for who reads it then.
    found: Arc<AtomicUsize>,
}

/// What links a run to its parent, as its MANIFEST says.
struct Link {
    parent: Option<RunId>,
    parent_seal_root: [u8; 32],
    seal_root: Option<[u8; 32]>,
}

impl RunChain {
    /// Opens the run in a folder, and every ancestor that stands beside it.
    ///
    /// # Errors
    /// As [`RunReader::open`] for each run; `Corrupted` where a run went on from another state of its parent than the one
    /// that is there, or where a run is its own ancestor; `LimitExceeded` for more than 100,000 runs.
    pub fn open(path: impl AsRef<Path>, options: ReaderOptions) -> Result<Self, EventStoreError> {
        let folder = run_folder(&OsStorage, path.as_ref());
        let instance = folder.parent().map(Path::to_path_buf).unwrap_or_default();
        let (mut runs, mut seen) = (Vec::new(), HashSet::new());
        let mut missing_parent = None;
        let mut next = Some(folder);
        // What the run before, which is the child, says of the one that is opened now.
        let mut expected: Option<[u8; 32]> = None;
        while let Some(folder) = next.take() {
            let reader = RunReader::open_with(&folder, options)?;
            let run_id = reader.manifest().run_id;
            let link = link(&folder, &reader)?;
            check_link(&folder, expected, &link)?;
            if let Some(child) = runs.last_mut() {
                let child: &mut ChainRun = child;
                child.is_bound_to_parent = expected.is_some() && expected == link.seal_root;
            }
            if !seen.insert(run_id.clone()) {
                let corruption = Corruption::at(&folder.join(file_name::MANIFEST), 0, "a run that is not its own ancestor", run_id);
                return Err(corruption.advise("the folder was renamed or its files were mixed up").into());
            }
            if runs.len() >= CHAIN_RUNS_MAX {
                let what = "the number of runs in a chain";
                return Err(EventStoreError::LimitExceeded { what, maximum: CHAIN_RUNS_MAX as u64, found: runs.len() as u64 + 1 });
            }
            runs.push(ChainRun { run_id, reader, is_bound_to_parent: false });
            expected = Some(link.parent_seal_root).filter(|root| *root != [0; 32]);
            if let Some(parent) = link.parent {
                // An id that was read from a file becomes a path only if it is one.
                validate_id("parent run id", &parent)?;
                let path = instance.join(&parent);
                let stat = OsStorage.stat(&path).map_err(|error| EventStoreError::from_io("look at", &path, &error))?;
                if stat.is_some_and(|stat| stat.is_dir) {
                    next = Some(path);
                } else {
                    missing_parent = Some(parent);
                }
            }
        }
        runs.reverse();
        Ok(Self { runs, missing_parent, found: Arc::default() })
    }

    /// The runs, the oldest first.
    #[must_use]
    pub fn runs(&self) -> &[ChainRun] {
        &self.runs
    }

    /// The run that the oldest one went on from, where it is not there: removed by a retention policy, or not copied along.
    #[must_use]
    pub fn missing_parent(&self) -> Option<&RunId> {
        self.missing_parent.as_ref()
    }

    /// How many entries are shown of all runs together.
    #[must_use]
    pub fn entry_count(&self) -> u64 {
        self.runs.iter().map(|run| run.reader.high_watermark()).sum()
    }

    /// Lends every entry with its run to `visit`, until that breaks off; answers with what.
    ///
    /// # Errors
    /// As [`RunReader::visit`].
    pub fn visit<B>(
        &self,
        direction: ScanDirection,
        check: Check,
        mut visit: impl FnMut(&ChainRun, EntryView<'_>) -> ControlFlow<B>,
    ) -> Result<Option<B>, EventStoreError> {
        for run in self.in_order(direction) {
            if let Some(broken) = run.reader.visit(.., direction, check, |view| visit(run, view))? {
                return Ok(Some(broken));
            }
            run.reader.close_files();
        }
        Ok(None)
    }

    /// Every entry as a value, with its run. A damaged entry is an item that is an error, and the items behind it follow.
    pub fn entries(&self, direction: ScanDirection) -> impl Iterator<Item = Result<(&RunId, EventStoreEntry), EventStoreError>> {
        self.in_order(direction).flat_map(move |run| {
            let close = std::iter::from_fn(|| {
                run.reader.close_files();
                None
            });
            run.reader.entries(.., direction).map(|item| item.map(|entry| (&run.run_id, entry))).chain(close)
        })
    }

    /// The first entry of all runs that has a key, and its run.
    ///
    /// # Errors
    /// As [`RunReader::lookup`].
    pub fn lookup(&self, kind: IndexKind, key: &str) -> Result<Option<(&ChainRun, u64)>, EventStoreError> {
        self.search(|reader| reader.lookup(kind, key))
    }

    /// The first entry of all runs that came into being at `ts_init` or later, and its run.
    ///
    /// # Errors
    /// As [`RunReader::first_at_or_after`].
    pub fn first_at_or_after(&self, ts_init: UnixNanos) -> Result<Option<(&ChainRun, u64)>, EventStoreError> {
        self.search(|reader| reader.first_at_or_after(ts_init))
    }

    /// Asks one run after the other, the oldest first.
    fn search(
        &self,
        search: impl Fn(&RunReader) -> Result<Option<u64>, EventStoreError>,
    ) -> Result<Option<(&ChainRun, u64)>, EventStoreError> {
        for (index, run) in self.runs.iter().enumerate() {
            if let Some(seq) = search(&run.reader)? {
                let before = self.found.swap(index, Ordering::Relaxed);
                if let Some(before) = self.runs.get(before).filter(|_| before != index) {
                    before.reader.close_files();
                }
                return Ok(Some((run, seq)));
            }
            run.reader.close_files();
        }
        Ok(None)
    }

    fn in_order(&self, direction: ScanDirection) -> impl Iterator<Item = &ChainRun> {
        let (forward, reverse) = match direction {
            ScanDirection::Forward => (Some(self.runs.iter()), None),
            ScanDirection::Reverse => (None, Some(self.runs.iter().rev())),
        };
        forward.into_iter().flatten().chain(reverse.into_iter().flatten())
    }
}

fn link(folder: &Path, reader: &RunReader) -> Result<Link, EventStoreError> {
    Ok(match read_manifest(&OsStorage, folder)? {
        FoundManifest::Present(found) => Link {
            parent: found.opening.manifest.parent_run_id.clone(),
            parent_seal_root: found.opening.parent_seal_root,
            seal_root: found.seal_root(),
        },
        // The first segment has told what the run is; how it is linked is lost.
        FoundManifest::Missing | FoundManifest::Damaged(_) => {
            Link { parent: reader.manifest().parent_run_id, parent_seal_root: [0; 32], seal_root: None }
        }
    })
}

/// Checks that a run is in the state in which its child found it.
fn check_link(folder: &Path, expected: Option<[u8; 32]>, found: &Link) -> Result<(), EventStoreError> {
    let hex = |root: &[u8; 32]| blake3::Hash::from(*root).to_hex().to_string();
    match (expected, found.seal_root) {
        (Some(expected), found) if found != Some(expected) => {
            let found = found.map_or_else(|| "no seal".to_owned(), |root| hex(&root));
            let expected = format!("the seal root {}, which the child run repeats", hex(&expected));
            let advice = "the run is not in the state in which its child found it: copy it back if there is a copy";
            Err(Corruption::at(&folder.join(file_name::MANIFEST), 0, expected, found).advise(advice).into())
        }
        _ => Ok(()),
    }
}
