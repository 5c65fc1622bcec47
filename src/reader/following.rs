//! Reading a run that another process writes, batch by batch, up to what that process says is durable.
//!
//! The bound is sampled first: the newest slot of WATERMARK, which the writer keeps within a millisecond of what
//! it has synced, or what the commits claim where that is lost or the run was left running; of a sealed run, its seal,
//! whatever WATERMARK says beside it. Up to the bound every batch is judged as recovery judges it, and entries are shown
//! once their batch has passed. What lies behind the bound is not looked at, so that nothing is shown that is torn or
//! that a loss of power can take back. Nothing here waits: [`Follower`](super::Follower) does.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{Corruption, EventStoreError};
use crate::format::chain::Position;
use crate::format::commit::Commit;
use crate::format::entry::EntryParts;
use crate::format::file_name;
use crate::format::frame::Kind;
use crate::format::manifest::{Opening, SealSection, SealState};
use crate::format::salt::Uid;
use crate::io::{LockState, Storage};
use crate::model::RunManifest;
use crate::seeded_bug::SeededBug;
use crate::segment::point_read::hash_is_right;
use crate::segment::tip::Tip;
use crate::segment::walk::{Batch, BatchWalk, Frame, FrameStep, RecordVisitor, Step, StopReason, frame_at};
use crate::segment::window::Window;
use crate::store::recovery::judge::{Depth, judge};
use crate::store::recovery::watermark_file;
use crate::store::run_files::{FoundManifest, RunIdentity, SegmentFile, list_segments, open_segment, read_manifest, read_open};
use crate::store::segment::closed::{identify, sealed_manifest};
use crate::store::{Check, EntryView, Visibility};

/// A run that is followed, and how far that has come.
#[derive(Debug)]
pub(crate) struct Following {
    storage: Arc<dyn Storage>,
    folder: PathBuf,
    identity: RunIdentity,
    /// Whether MANIFEST was there and whole when the run was opened.
    has_manifest: bool,
    visibility: Visibility,
    /// Behind the last batch all of whose entries were shown.
    tip: Tip,
    /// The batch behind it, where a visitor broke off in it.
    begun: Option<Begun>,
    /// The next entry to show.
    next: u64,
    /// The segment that is being read.
    file: Option<(u32, SegmentFile)>,
    /// Where there is no WATERMARK: the highest commit that later ones say was durable, and how far was looked for that.
    claimed: u64,
    ahead: Tip,
    /// The commit behind which something was not as it should be, at the poll before.
    doubt: Option<u64>,
    /// What is proven durable of a run that was left running: its number and where it ends. Nobody adds to such a run.
    left: Option<(u64, Position)>,
    /// How many polls have learned nothing new.
    idle_polls: u32,
}

/// Every so many polls that learn nothing it is asked whether the writer is still there.
const POLLS_PER_LOOK: u32 = 16;

/// A batch that was judged whole, and not all of whose entries were shown.
#[derive(Debug)]
struct Begun {
    /// Where its first frame begins.
    start: u64,
    /// Where showing it goes on.
    offset: u64,
    /// Where its commit begins.
    commit_offset: u64,
    /// The tip behind it.
    tip: Tip,
}

/// What a poll came to.
#[derive(Debug, Default)]
pub(crate) struct Polled {
    /// How many entries were shown.
    pub(crate) shown: u64,
    /// The visitor broke off.
    pub(crate) broke: bool,
    /// The run is sealed, and everything was shown.
    pub(crate) sealed: Option<Box<RunManifest>>,
}

/// What is known to be durable.
struct Known {
    commit_no: u64,
    /// Where it ends.
    end: Position,
    sealed: Option<Box<RunManifest>>,
}

/// Of a bound whose place is not known: nothing is cut off.
const NO_END: Position = Position { ordinal: u32::MAX, offset: 0 };

/// Where a walk ended that did not come to the bound: the segment, the byte, and why; without a reason there is no such
/// segment.
type Stop = (u32, u64, Option<StopReason>);

/// A walk that only judges: the entries are read once their batch has passed.
struct Judging;

impl RecordVisitor for Judging {
    fn record(&mut self, _frame: &Frame<'_>, _parts: Option<&EntryParts<'_>>) {}
    fn accept(&mut self, _batch: &Batch) {}
    fn reject(&mut self) {}
}

impl Following {
    /// Begins to follow the run in a folder, at the entry `from`.
    ///
    /// # Errors
    /// Where there is no run, or it cannot be read.
    pub(crate) fn begin(storage: Arc<dyn Storage>, folder: PathBuf, from: u64, visibility: Visibility) -> Result<Self, EventStoreError> {
        let (identity, note) = identify(&*storage, &folder)?;
        let (tip, has_manifest) = (identity.start(), note.is_none());
        let mut following = Self {
            storage,
            folder,
            identity,
            has_manifest,
            visibility,
            tip,
            begun: None,
            next: from.max(1),
            file: None,
            claimed: 0,
            ahead: tip,
            doubt: None,
            left: None,
            idle_polls: 0,
        };
        following.pass_over()?;
        Ok(following)
    }

    pub(crate) fn next_seq(&self) -> u64 {
        self.next
    }

    pub(crate) fn manifest(&self) -> &RunManifest {
        &self.identity.manifest
    }

    pub(crate) fn folder(&self) -> &PathBuf {
        &self.folder
    }

    /// Whether a process holds the run's lock.
    pub(crate) fn is_live(&self) -> bool {
        matches!(self.storage.lock_state(&self.folder.join(file_name::LOCK)), Ok(LockState::Held))
    }

    /// Begins at the segment with the entry that is to be shown first: an OPEN says what stands before it.
    fn pass_over(&mut self) -> Result<(), EventStoreError> {
        if self.next == 1 {
            return Ok(());
        }
        let known = self.known()?;
        let (last, last_commit_no) = match self.visibility {
            Visibility::Written => (u32::MAX, u64::MAX),
            Visibility::Durable => (known.end.ordinal, known.commit_no),
        };
        for listed in list_segments(&*self.storage, &self.folder)?.iter().rev().filter(|listed| listed.ordinal <= last) {
            let Some(file) = open_segment(&*self.storage, &self.folder, listed.ordinal)? else { continue };
            let base = read_open(&mut file.look(), &self.identity, listed.ordinal)?;
            if let Some(base) = base.filter(|base| {
                base.state.seq < self.next
                    && base.position.ordinal.checked_add(1) == Some(listed.ordinal)
                    && base.state.commit_no <= last_commit_no
            }) {
                self.tip = base;
                return Ok(());
            }
        }
        Ok(())
    }

    /// Shows entries from an earlier one on once more.
    ///
    /// # Errors
    /// Where the files cannot be read.
    pub(crate) fn go_back_to(&mut self, seq: u64) -> Result<(), EventStoreError> {
        self.next = seq;
        if self.tip.state.seq >= seq {
            (self.tip, self.begun) = (self.identity.start(), None);
            self.pass_over()?;
        }
        if let Some(begun) = &mut self.begun {
            begun.offset = begun.start;
        }
        Ok(())
    }

    /// Shows every entry that has become visible.
    ///
    /// # Errors
    /// `Corrupted` where something proves a batch durable that is not whole, and was not at the poll before either;
    /// `HashMismatch` where an entry is not the one that was appended; `Backend` and `Disk` where a file cannot be read.
    pub(crate) fn poll<V>(&mut self, check: Check, visit: &mut V) -> Result<Polled, EventStoreError>
    where
        V: FnMut(EntryView<'_>) -> ControlFlow<()>,
    {
        let known = self.known()?;
        let mut polled = Polled::default();
        self.go_on(check, visit, &mut polled)?;
        let stop = if polled.broke { None } else { self.walk(&known, check, visit, &mut polled)? };
        if polled.broke {
            return Ok(polled);
        }
        if self.tip.state.commit_no < known.commit_no {
            // The writer may have been at work on these very blocks: what does not fit is read once more.
            let commit_no = self.tip.state.commit_no;
            if self.doubt.replace(commit_no) == Some(commit_no) {
                return Err(self.damage(stop));
            }
            self.file = None;
            return Ok(polled);
        }
        self.doubt = None;
        polled.sealed = known.sealed;
        Ok(polled)
    }

    /// What is durable, as the writer tells it.
    fn known(&mut self) -> Result<Known, EventStoreError> {
        let witnessed = watermark_file::read(&*self.storage, &self.folder, &self.identity)?;
        // The run may have been sealed, by which MANIFEST becomes longer. Beside a seal WATERMARK counts for nothing: that of
        // a damaged run stays, and names what cannot be reached.
        let path = self.folder.join(file_name::MANIFEST);
        let stat = self.storage.stat(&path).map_err(|error| EventStoreError::from_io("look at", &path, &error))?;
        let mut damage = None;
        match stat {
            None => self.check_still_there(&path)?,
            // Where WATERMARK tells nothing of this run, another run may have come into its place.
            Some(stat) if stat.len > self.identity.opening.len() as u64 || witnessed.tip.is_none() && self.has_manifest => {
                match read_manifest(&*self.storage, &self.folder)? {
                    FoundManifest::Present(found) => {
                        self.check_same_run(&path, &found.opening)?;
                        match &found.seal {
                            SealState::Present { section, .. } => return Ok(self.known_of_seal(section)),
                            SealState::Damaged(error) => {
                                let offset = self.identity.opening.len() as u64;
                                let corruption = Corruption::at(&path, offset, "a seal section", error.to_string());
                                damage = Some(corruption.advise("recover the run: it is judged again from its segments").into());
                            }
                            SealState::Absent => {}
                        }
                    }
                    FoundManifest::Damaged(error) => damage = Some(error),
                    FoundManifest::Missing => self.check_still_there(&path)?,
                }
            }
            Some(_) => {}
        }
        let witnessed = match witnessed.tip {
            Some(tip) => (tip.state.commit_no, tip.position),
            None => self.claimed_by_commits()?,
        };
        let known = self.claimed_by_left_run()?.filter(|claimed| claimed.0 > witnessed.0).unwrap_or(witnessed);
        match damage {
            // What is proven durable is shown first.
            Some(error) if known.0 <= self.tip.state.commit_no => Err(error),
            _ => Ok(Known { commit_no: known.0, end: known.1, sealed: None }),
        }
    }

    /// What the commits say where WATERMARK is lost: each says what was durable when it was written, so that the last
    /// batch waits for the next one, or for the seal.
    fn claimed_by_commits(&mut self) -> Result<(u64, Position), EventStoreError> {
        if self.visibility == Visibility::Durable {
            let shown = (self.tip, self.next);
            if self.ahead.state.commit_no > self.tip.state.commit_no {
                self.tip = self.ahead;
            }
            self.next = u64::MAX;
            let everything = Known { commit_no: u64::MAX, end: NO_END, sealed: None };
            let walked = self.walk(&everything, Check::Crc, &mut |_| ControlFlow::Continue(()), &mut Polled::default());
            self.ahead = self.tip;
            (self.tip, self.next) = shown;
            walked?;
        }
        Ok((self.claimed, NO_END))
    }

    /// What the commits of a run that was left running claim to be durable, as whoever opens the run finds it; none
    /// while somebody writes it, whose word is WATERMARK.
    fn claimed_by_left_run(&mut self) -> Result<Option<(u64, Position)>, EventStoreError> {
        let is_due = self.idle_polls.is_multiple_of(POLLS_PER_LOOK);
        self.idle_polls = self.idle_polls.wrapping_add(1);
        if self.left.is_none() && is_due && !self.is_live() {
            let judgement = judge(&*self.storage, &self.folder, &self.identity, None, Depth::Tail, &mut |_| {})?;
            let (proven, tip) = (judgement.proven.commit_no, judgement.proven_tip);
            // Where a claim ends that nothing whole reaches is not known.
            let end = if tip.state.commit_no == proven { tip.position } else { NO_END };
            self.left = Some((proven, end));
        }
        Ok(self.left)
    }

    /// MANIFEST was not found. A seal puts it in place by a rename, so that it is missing at no time.
    fn check_still_there(&self, path: &Path) -> Result<(), EventStoreError> {
        let folder = self.storage.stat(&self.folder).map_err(|error| EventStoreError::from_io("look at", &self.folder, &error))?;
        if folder.is_none() {
            let folder = self.folder.display();
            return Err(EventStoreError::Backend(format!("the run in {folder} is gone: it was moved or removed while it was followed")));
        }
        if self.has_manifest {
            let corruption = Corruption::at(path, 0, "the manifest of the run that is followed", "no such file");
            return Err(corruption.advise("the run was moved or removed while it was followed, or only its MANIFEST was").into());
        }
        Ok(())
    }

    /// The run in the folder has to be the one that was opened: another one of the same name may have come into its place.
    fn check_same_run(&self, path: &Path, opening: &Opening<RunManifest>) -> Result<(), EventStoreError> {
        if opening.uid == self.identity.uid && opening.bytes == self.identity.opening {
            return Ok(());
        }
        let uid = |uid: &Uid| u128::from_be_bytes(uid.0);
        let expected = format!("the manifest of the run that is followed, with the uid {:032x}", uid(&self.identity.uid));
        let found = format!("that of a run with the uid {:032x}", uid(&opening.uid));
        Err(Corruption::at(path, 0, expected, found).advise("another run came into the folder: follow that one anew").into())
    }

    fn known_of_seal(&self, section: &SealSection) -> Known {
        // Of a damaged run the batches up to the break are whole.
        let commit_no = section.damage.as_ref().map_or(section.last_commit_no, |damage| damage.end_commit_no);
        let last = section.segments.last();
        let end = last.map_or(NO_END, |last| Position { ordinal: last.ordinal, offset: last.len });
        Known { commit_no, end, sealed: Some(Box::new(sealed_manifest(&self.identity.manifest, section))) }
    }

    fn is_at_bound(&self, known: &Known) -> bool {
        let is_durable = self.visibility == Visibility::Durable && !SeededBug::FollowerPastTheBound.is_on();
        let is_bounded = is_durable || known.sealed.is_some();
        is_bounded && self.tip.state.commit_no >= known.commit_no
    }

    /// Walks as far as is allowed; answers where and why it ended before.
    fn walk<V>(&mut self, known: &Known, check: Check, visit: &mut V, polled: &mut Polled) -> Result<Option<Stop>, EventStoreError>
    where
        V: FnMut(EntryView<'_>) -> ControlFlow<()>,
    {
        let mut stop = None;
        let here = self.tip.position.ordinal;
        if here > 0 && !self.is_at_bound(known) {
            let Some(file) = self.take_file(here)? else { return Ok(Some((here, self.tip.position.offset, None))) };
            let Tip { state, position } = self.tip;
            let walk = BatchWalk::resume(
                self.window(&file, here, known),
                self.identity.salt(here),
                self.identity.stream,
                here,
                state,
                position.offset,
            );
            stop = self.batches(walk, here, known, check, visit, polled)?;
            self.file = Some((here, file));
        }
        while !polled.broke && !self.is_at_bound(known) {
            let ordinal = self.tip.position.ordinal + 1;
            let Some(file) = self.take_file(ordinal)? else { return Ok(Some(damaged_one(stop, (ordinal, 0, None), known))) };
            let Tip { state, position } = self.tip;
            let salt = self.identity.salt(ordinal);
            let opened = BatchWalk::open(
                self.window(&file, ordinal, known),
                salt,
                self.identity.stream,
                ordinal,
                state,
                position,
                &self.identity.opening,
            )?;
            let walk = match opened {
                Ok(walk) => walk,
                Err((offset, reason)) => return Ok(Some(damaged_one(stop, (ordinal, offset, Some(reason)), known))),
            };
            let stopped = self.batches(walk, ordinal, known, check, visit, polled)?;
            if self.tip.position.ordinal != ordinal {
                return Ok(stopped.map(|stopped| damaged_one(stop, stopped, known)).or(stop));
            }
            self.file = Some((ordinal, file));
            stop = stopped;
        }
        Ok(None)
    }

    /// A view of as much of a segment as may be read: a poll reads what is new, and little more.
    fn window<'f>(&self, file: &'f SegmentFile, ordinal: u32, known: &Known) -> Window<'f> {
        if (self.visibility == Visibility::Written || known.end == NO_END) && known.sealed.is_none() {
            return file.look();
        }
        let len = if ordinal == known.end.ordinal { file.len.min(known.end.offset) } else { file.len };
        Window::over_file(&*file.file, len, &file.path)
    }

    /// Follows the batches of one segment and shows their entries.
    fn batches<V>(
        &mut self,
        mut walk: BatchWalk<'_>,
        ordinal: u32,
        known: &Known,
        check: Check,
        visit: &mut V,
        polled: &mut Polled,
    ) -> Result<Option<Stop>, EventStoreError>
    where
        V: FnMut(EntryView<'_>) -> ControlFlow<()>,
    {
        while !self.is_at_bound(known) {
            let start = walk.offset();
            // What is judged is what is shown: it is not read a second time.
            walk.window().hold_from(Some(start));
            if SeededBug::FollowerShowsUnjudged.is_on() {
                let _ = self.show(walk.window(), ordinal, start, u64::MAX, check, visit, polled)?;
            }
            let batch = match walk.next_batch(&mut Judging)? {
                Step::Batch(batch) => batch,
                Step::Stop { offset, reason } => return Ok(Some((ordinal, offset, Some(reason)))),
            };
            self.claimed = self.claimed.max(batch.commit.durable_commit_no);
            let tip = Tip { state: *walk.state(), position: Position { ordinal, offset: batch.end } };
            if tip.state.seq >= self.next {
                let offset = self.show(walk.window(), ordinal, start, batch.commit_offset, check, visit, polled)?;
                if polled.broke && self.next <= tip.state.seq {
                    self.begun = Some(Begun { start, offset, commit_offset: batch.commit_offset, tip });
                    return Ok(None);
                }
            }
            self.tip = tip;
            if polled.broke {
                return Ok(None);
            }
        }
        Ok(None)
    }

    /// Goes on in a batch in which a visitor broke off, without judging it once more: it is the batch that was judged while
    /// its commit stands where it stood, with the same root, and each entry proves itself again. Where one does not, the
    /// whole batch is judged again, by the walk.
    fn go_on<V>(&mut self, check: Check, visit: &mut V, polled: &mut Polled) -> Result<(), EventStoreError>
    where
        V: FnMut(EntryView<'_>) -> ControlFlow<()>,
    {
        let Some(Begun { start, offset, commit_offset, tip }) = self.begun.take() else { return Ok(()) };
        let ordinal = tip.position.ordinal;
        let Some(file) = self.take_file(ordinal)? else { return Ok(()) };
        let (mut window, salt) = (file.look(), self.identity.salt(ordinal));
        let is_same = match frame_at(&mut window, &salt, commit_offset)? {
            FrameStep::Frame(frame) if frame.header.kind == Kind::COMMIT => {
                let commit = Commit::decode_body(frame.body, &salt, commit_offset, frame.header.seq);
                commit.is_ok_and(|commit| commit.root == tip.state.root)
            }
            _ => false,
        };
        if is_same {
            let offset = self.show(&mut window, ordinal, offset, commit_offset, check, visit, polled)?;
            if polled.broke && self.next <= tip.state.seq {
                self.begun = Some(Begun { start, offset, commit_offset, tip });
            } else if polled.broke || offset == commit_offset {
                self.tip = tip;
            }
        }
        self.file = Some((ordinal, file));
        Ok(())
    }

    /// Shows the entries of a batch that has passed; answers where it ended.
    #[expect(clippy::too_many_arguments, reason = "one step of a walk, cut out of it")]
    fn show<V>(
        &mut self,
        window: &mut Window<'_>,
        ordinal: u32,
        start: u64,
        end: u64,
        check: Check,
        visit: &mut V,
        polled: &mut Polled,
    ) -> Result<u64, EventStoreError>
    where
        V: FnMut(EntryView<'_>) -> ControlFlow<()>,
    {
        let salt = self.identity.salt(ordinal);
        let mut offset = start;
        while offset < end {
            let FrameStep::Frame(frame) = frame_at(window, &salt, offset)? else { return Ok(offset) };
            if frame.header.kind == Kind::COMMIT {
                // What lies behind it is another batch.
                return Ok(offset);
            }
            let frame_offset = offset;
            offset = frame.end();
            let seq = frame.header.seq;
            if frame.header.kind != Kind::ENTRY || seq < self.next {
                continue;
            }
            let Ok(parts) = EntryParts::decode(frame.body) else { return Ok(frame_offset) };
            if check == Check::Full && !hash_is_right(&parts, seq) {
                return Err(EventStoreError::HashMismatch { seq });
            }
            let flow = visit(EntryView::new(seq, parts, None, check == Check::Full));
            self.next = seq.saturating_add(1);
            polled.shown += 1;
            if flow.is_break() {
                polled.broke = true;
                return Ok(offset);
            }
        }
        Ok(offset)
    }

    fn take_file(&mut self, ordinal: u32) -> Result<Option<SegmentFile>, EventStoreError> {
        match self.file.take() {
            Some((open, file)) if open == ordinal => Ok(Some(file)),
            _ => open_segment(&*self.storage, &self.folder, ordinal),
        }
    }

    fn damage(&self, stop: Option<Stop>) -> EventStoreError {
        let Tip { state, position } = self.tip;
        let (ordinal, offset, found) = match stop {
            Some((ordinal, offset, Some(reason))) => (ordinal, offset, reason.to_string()),
            Some((ordinal, offset, None)) => (ordinal, offset, "no such segment".to_owned()),
            None => (position.ordinal.max(1), position.offset, StopReason::Unwritten.to_string()),
        };
        let path = self.folder.join(file_name::segment(ordinal));
        Corruption::at(&path, offset, format!("the batch behind commit {}, which is durable", state.commit_no), found)
            .with_seq(state.seq.saturating_add(1))
            .advise("verify the run to see the extent of the damage")
            .into()
    }
}

/// Which of two places is the damaged one: where the batches of a segment end, or where the segment behind it cannot be
/// begun. Zeros are the end of any full segment.
fn damaged_one(end: Option<Stop>, begin: Stop, known: &Known) -> Stop {
    let Some(end) = end else { return begin };
    let (ordinal, _, reason) = end;
    let is_cut = reason != Some(StopReason::Unwritten) || known.end.ordinal <= ordinal;
    // A whole opening frame that does not fit names another end of the segment before it.
    if is_cut || begin.2 == Some(StopReason::Open) { end } else { begin }
}
