//! Following a run that another process writes.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crate::error::EventStoreError;
use crate::io::{OsStorage, Storage};
use crate::model::{EventStoreEntry, RunManifest};
use crate::reader::following::{Following, Polled};
use crate::reader::progress::{Progress, RunEnd};
use crate::store::segment::backend::run_folder;
use crate::store::{Check, EntryView, SegmentBackend, Visibility};

/// Most entries that are kept for [`Follower::next_entry`].
const KEPT_ENTRIES_MAX: usize = 1024;
/// Payload bytes after which no more entries are kept.
const KEPT_PAYLOAD_LEN: usize = 1 << 20;

/// How a run is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FollowOptions {
    /// The first entry to show. Default: 1.
    pub from: u64,
    /// Which entries are shown. Default: those that are durable, which nothing takes back.
    pub visibility: Visibility,
    /// How often the files are looked at while nothing comes; at least 100 microseconds. Default: 1 millisecond, which
    /// takes about one hundredth of a core.
    pub poll_every: Duration,
}

/// The shortest time between two looks at the files.
const POLL_EVERY_MIN: Duration = Duration::from_micros(100);

impl Default for FollowOptions {
    fn default() -> Self {
        Self { from: 1, visibility: Visibility::Durable, poll_every: Duration::from_millis(1) }
    }
}

/// Shows the entries of a run that another process writes, one after the other, across its segments and up to its seal.
///
/// Only whole batches are shown, each judged as recovery judges it, and by default only durable ones: none is torn, early,
/// or taken back. A writer that is killed and a run that is recovered and sealed by somebody else end nothing: the
/// follower goes on to the seal. Files are read by position and nothing is changed.
///
/// Where WATERMARK is lost, in which the writer tells what is durable, its commits tell it: each says what was durable when it
/// was written, so that the last batch is shown with the next one, or with the seal.
///
/// A run that is sealed as [`Quarantined`](crate::RunStatus::Quarantined) because of damage is shown up to the break, and
/// ends there. The manifest that the end tells has the high-watermark of the whole run: what is intact behind the break is not
/// followed, but read with [`RunReader`](crate::RunReader).
///
/// ```no_run
/// use std::time::Duration;
/// use tapelog::{FollowOptions, Follower, Progress, Check};
///
/// let mut follower = Follower::open("runs/trader-001/1700000000000000000-0badcafe", FollowOptions::default())?;
/// loop {
///     let progress = follower.visit(Duration::from_secs(1), Check::Full, |entry| {
///         println!("{} {}", entry.seq(), entry.topic());
///         std::ops::ControlFlow::Continue(())
///     })?;
///     if let Progress::Ended(end) = progress {
///         println!("{end:?}");
///         break;
///     }
/// }
/// # Ok::<(), tapelog::EventStoreError>(())
/// ```
#[derive(Debug)]
pub struct Follower {
    following: Following,
    poll_every: Duration,
    kept: VecDeque<EventStoreEntry>,
    /// How the run ended, once everything of it was read.
    ended: Option<RunEnd>,
}

impl Follower {
    /// Begins to follow the run in a folder, or beside a MANIFEST.
    ///
    /// # Errors
    /// `Backend` where there is no run, `Corrupted` where its manifest cannot be read, `UnsupportedVersion` where this
    /// build does not know its format.
    pub fn open(path: impl AsRef<Path>, options: FollowOptions) -> Result<Self, EventStoreError> {
        Self::over(Arc::new(OsStorage), run_folder(&OsStorage, path.as_ref()), options)
    }

    pub(crate) fn over(storage: Arc<dyn Storage>, folder: PathBuf, options: FollowOptions) -> Result<Self, EventStoreError> {
        let following = Following::begin(storage, folder, options.from, options.visibility)?;
        Ok(Self { following, poll_every: options.poll_every.max(POLL_EVERY_MIN), kept: VecDeque::new(), ended: None })
    }

    /// The run's manifest as it was opened.
    #[must_use]
    pub fn manifest(&self) -> &RunManifest {
        self.following.manifest()
    }

    /// The run's folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.following.folder()
    }

    /// The next entry that will be shown.
    #[must_use]
    pub fn next_seq(&self) -> u64 {
        self.kept.front().map_or(self.following.next_seq(), |entry| entry.seq)
    }

    /// Whether a process is writing the run. One that was left running goes on once it is recovered.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.following.is_live()
    }

    /// How the run ended, once everything of it was shown: nothing more will come.
    #[must_use]
    pub fn ended(&self) -> Option<&RunEnd> {
        self.ended.as_ref().filter(|_| self.kept.is_empty())
    }

    /// Lends `visit` every entry that is there, waiting up to `timeout` for the first one. If `visit` breaks off, the
    /// next visit begins behind the entry that it saw last.
    ///
    /// # Errors
    /// `Corrupted` where a batch that is durable is not whole or another run has come into the folder, `HashMismatch` where
    /// an entry is not the one that was appended, `Backend` where the folder was moved or removed, `Backend` and `Disk`
    /// where a file cannot be read. The next visit meets it again.
    pub fn visit(
        &mut self,
        timeout: Duration,
        check: Check,
        mut visit: impl FnMut(EntryView<'_>) -> ControlFlow<()>,
    ) -> Result<Progress, EventStoreError> {
        // Entries that were read ahead as values are read once more as views.
        if let Some(first) = self.kept.front().map(|entry| entry.seq) {
            self.following.go_back_to(first)?;
            self.kept.clear();
        }
        let deadline = Instant::now().checked_add(timeout);
        loop {
            let Polled { shown, sealed, .. } = self.following.poll(check, &mut visit)?;
            if shown > 0 {
                return Ok(Progress::Shown(shown));
            }
            if let Some(manifest) = sealed {
                let end = RunEnd::Sealed(manifest);
                self.ended = Some(end.clone());
                return Ok(Progress::Ended(end));
            }
            let left = deadline.map_or(self.poll_every, |deadline| deadline.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                return Ok(Progress::Idle);
            }
            thread::sleep(left.min(self.poll_every));
        }
    }

    /// The next entry, waiting up to `timeout` for it; none where none came in that time, or none will, as
    /// [`Follower::ended`] tells.
    ///
    /// # Errors
    /// As [`Follower::visit`].
    pub fn next_entry(&mut self, timeout: Duration) -> Result<Option<EventStoreEntry>, EventStoreError> {
        if self.kept.is_empty() {
            let (mut kept, mut payload_len, mut refused) = (VecDeque::new(), 0, None);
            let visited = self.visit(timeout, Check::Full, |view| {
                match view.to_entry() {
                    Ok(entry) => kept.push_back(entry),
                    Err(error) => refused = Some(error),
                }
                payload_len += view.payload().len();
                let is_enough = kept.len() >= KEPT_ENTRIES_MAX || payload_len >= KEPT_PAYLOAD_LEN || refused.is_some();
                if is_enough { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            });
            self.kept = kept;
            // What came before an error is given first: the next visit meets the error again.
            if self.kept.is_empty() {
                visited?;
                refused.map_or(Ok(()), Err)?;
            }
        }
        Ok(self.kept.pop_front())
    }
}

impl SegmentBackend {
    /// Begins to follow the run in a folder, or beside a MANIFEST, over this store's storage.
    ///
    /// # Errors
    /// As [`Follower::open`].
    pub fn follow(&self, path: impl AsRef<Path>, options: FollowOptions) -> Result<Follower, EventStoreError> {
        let folder = run_folder(&*self.storage(), path.as_ref());
        Follower::over(self.storage(), folder, options)
    }
}
