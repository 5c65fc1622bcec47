//! The judgement over a run that was left running: where its chain of whole batches ends, what is
//! proven to have been durable, and whether the first reaches the second.
//!
//! With **E** the end of the valid chain from the start and **P** the highest claim found anywhere:
//! E >= P is a torn tail, and nothing proven durable is touched by discarding it; E < P means that
//! acknowledged data is damaged. "Valid data follows" and "it is not the last segment" prove
//! nothing, because pages written since the last sync reach the disk in any order.
//!
//! Everything here reads by position and changes nothing.

use std::path::Path;

use crate::error::EventStoreError;
use crate::format::commit::Commit;
use crate::format::entry::EntryParts;
use crate::format::file_name;
use crate::format::frame::Kind;
use crate::format::salt::Salt;
use crate::seeded_bug::SeededBug;
use crate::segment::batch::{COMMIT_FRAME_LEN, Claim};
use crate::segment::look_ahead::look_ahead;
use crate::segment::tip::{FIRST_FRAME, Tip};
use crate::segment::walk::{Batch, BatchWalk, Frame, FrameStep, RecordVisitor, Step, StopReason, frame_at};
use crate::segment::window::Window;
use crate::store::recovery::outcome::{BreakPoint, Discarded, LogPoint, RecoveredState, RecoveryReport, Witness};
use crate::store::recovery::watermark_file;
use crate::store::run_files::{ListedSegment, RunIdentity, list_segments, open_segment, page_faults, page_fits, read_open};

/// How much of a run is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Depth {
    /// What was written since the newest witness, and one look at each segment before it.
    Tail,
    /// Everything.
    Full,
    /// Everything, and every entry's hash is computed again.
    FullWithHashes,
    /// Only up to the newest witness: for a run that somebody is writing.
    Live,
    /// Up to the end of what is whole, and nothing behind it: for a run that somebody is writing,
    /// whose later commits may claim what was not there yet when the walk passed.
    LiveWritten,
}

/// A segment of the chain.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ChainSegment {
    pub(crate) ordinal: u32,
    /// The end of the log before it.
    pub(crate) base: Tip,
    /// The end of the log in it.
    pub(crate) end: Tip,
}

/// Bytes of a whole batch that nothing proves durable: recovery writes them once more.
#[derive(Debug)]
pub(crate) struct Kept {
    commit_no: u64,
    pub(crate) ordinal: u32,
    pub(crate) offset: u64,
    pub(crate) bytes: Vec<u8>,
}

/// Bytes behind E that are not zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Leftover {
    pub(crate) ordinal: u32,
    pub(crate) from: u64,
    pub(crate) to: u64,
}

/// What was found out about a run.
#[derive(Debug)]
pub(crate) struct Judgement {
    pub(crate) identity: RunIdentity,
    /// E.
    pub(crate) end: Tip,
    /// P.
    pub(crate) proven: Claim,
    /// The last whole batch that is proven durable.
    pub(crate) proven_tip: Tip,
    /// The segments up to E, without a gap from 1 on.
    pub(crate) chain: Vec<ChainSegment>,
    /// Every segment file of the folder.
    pub(crate) listed: Vec<ListedSegment>,
    pub(crate) kept: Vec<Kept>,
    pub(crate) leftovers: Vec<Leftover>,
    pub(crate) damaged: bool,
    report: RecoveryReport,
}

impl Judgement {
    /// The last commit that was acknowledged, as far as anything proves it.
    pub(crate) fn acknowledged(&self) -> Claim {
        let end = Claim { commit_no: self.end.state.commit_no, seq: self.end.state.seq };
        if self.proven.commit_no > end.commit_no { self.proven } else { end }
    }

    /// The judgement as a value for the caller.
    pub(crate) fn report(&self) -> &RecoveryReport {
        &self.report
    }
}

/// The highest claim so far.
struct Proof {
    claim: Claim,
    witness: Witness,
}

impl Proof {
    fn raise(&mut self, commit: &Commit, ordinal: u32, offset: u64) {
        if commit.durable_commit_no > self.claim.commit_no {
            self.claim = Claim { commit_no: commit.durable_commit_no, seq: commit.durable_seq };
            self.witness = Witness::Commit { ordinal, offset };
        }
    }
}

/// Computes every entry's hash again on the way.
#[derive(Default)]
struct HashCheck {
    enabled: bool,
    pending: Option<u64>,
    first_mismatch: Option<u64>,
}

impl RecordVisitor for HashCheck {
    fn record(&mut self, frame: &Frame<'_>, parts: Option<&EntryParts<'_>>) {
        if self.enabled
            && self.pending.is_none()
            && let Some(parts) = parts
            && parts.hash(frame.header.seq) != parts.entry_hash()
        {
            self.pending = Some(frame.header.seq);
        }
    }

    fn accept(&mut self, _batch: &Batch) {
        self.first_mismatch = self.first_mismatch.or(self.pending.take());
    }

    fn reject(&mut self) {
        self.pending = None;
    }
}

/// One judgement while it is being made.
struct Judge<'a> {
    storage: &'a dyn crate::io::Storage,
    folder: &'a Path,
    identity: &'a RunIdentity,
    depth: Depth,
    proof: Proof,
    tip: Tip,
    /// Tips behind P, so that the tip at P can be told.
    recent: Vec<Tip>,
    proven_tip: Tip,
    chain: Vec<ChainSegment>,
    kept: Vec<Kept>,
    leftovers: Vec<Leftover>,
    first_break: Option<(u32, u64, StopReason)>,
    hashes: HashCheck,
    unknown_records: u64,
    notes: Vec<String>,
    /// The slots of WATERMARK whose commit was not passed yet.
    slots: Vec<(usize, Tip)>,
    damaged: bool,
    bytes_walked: u64,
    progress: &'a mut dyn FnMut(u64),
}

/// Judges a run. `progress` is told how many bytes were walked so far.
///
/// # Errors
/// Only where something cannot be read; whatever is read leads to a judgement.
pub(crate) fn judge(
    storage: &dyn crate::io::Storage,
    folder: &Path,
    identity: &RunIdentity,
    manifest_note: Option<String>,
    depth: Depth,
    progress: &mut dyn FnMut(u64),
) -> Result<Judgement, EventStoreError> {
    // The bound is sampled before anything else is looked at: a writer may be ahead of us.
    let witnessed = watermark_file::read(storage, folder, identity)?;
    let listed = list_segments(storage, folder)?;
    let start = identity.start();
    let mut proof = Proof { claim: Claim { commit_no: 0, seq: 0 }, witness: Witness::None };
    if let Some(tip) = witnessed.tip.filter(|tip| tip.state.commit_no > 0) {
        proof = Proof { claim: Claim { commit_no: tip.state.commit_no, seq: tip.state.seq }, witness: Witness::Watermark };
    }
    let mut notes = witnessed.notes;
    let damaged = manifest_note.is_some();
    notes.extend(manifest_note);
    let mut judge = Judge {
        storage,
        folder,
        identity,
        depth,
        proof,
        tip: start,
        recent: Vec::new(),
        proven_tip: start,
        chain: Vec::new(),
        kept: Vec::new(),
        leftovers: Vec::new(),
        first_break: None,
        hashes: HashCheck { enabled: depth == Depth::FullWithHashes, ..HashCheck::default() },
        unknown_records: 0,
        notes,
        slots: witnessed.slots,
        damaged,
        bytes_walked: 0,
        progress,
    };
    if matches!(depth, Depth::Tail | Depth::Live | Depth::LiveWritten)
        && let Some(tip) = witnessed.tip
    {
        judge.begin_at(&listed, tip)?;
    }
    let walked_from = judge.tip.position.ordinal.max(1);
    judge.walk_chain()?;
    if !matches!(depth, Depth::Live | Depth::LiveWritten) {
        judge.look_behind(&listed)?;
    }
    Ok(judge.conclude(listed, walked_from))
}

impl Judge<'_> {
    /// Begins at the newest witness, if one look at every segment up to it finds them in order, and
    /// the commit that it names right before the place that it names. Otherwise the walk begins at
    /// the start and finds out what is wrong.
    fn begin_at(&mut self, listed: &[ListedSegment], tip: Tip) -> Result<(), EventStoreError> {
        if tip.state.commit_no == 0 || tip.position.ordinal == 0 {
            return Ok(());
        }
        let mut bases: Vec<Tip> = Vec::new();
        let mut len_before = 0;
        for ordinal in 1..=tip.position.ordinal {
            if !listed.iter().any(|segment| segment.ordinal == ordinal) {
                return Ok(());
            }
            let Some(file) = open_segment(self.storage, self.folder, ordinal)? else {
                return Ok(());
            };
            let mut window = file.look();
            if !page_fits(&mut window, &self.identity.page(ordinal))? {
                return Ok(());
            }
            let Some(base) = read_open(&mut window, self.identity, ordinal)? else {
                return Ok(());
            };
            let continues = base.position.ordinal == ordinal - 1
                && bases.last().is_none_or(|before| before.state.commit_no < base.state.commit_no && before.state.seq <= base.state.seq);
            let reaches = base.state.commit_no < tip.state.commit_no && base.state.seq <= tip.state.seq;
            let cut_short = base.position.offset > len_before && !SeededBug::LengthUnchecked.is_on();
            if !continues || !reaches || cut_short {
                return Ok(());
            }
            let believed = ordinal < tip.position.ordinal || SeededBug::QuickOpeningBelievesTheSlot.is_on();
            if !believed && !ends_with(&mut window, &self.identity.salt(ordinal), &tip)? {
                return Ok(());
            }
            bases.push(base);
            len_before = file.len;
        }
        let ends = bases.iter().skip(1).chain(std::iter::once(&tip));
        self.chain =
            (1..).zip(bases.iter().zip(ends)).map(|(ordinal, (base, end))| ChainSegment { ordinal, base: *base, end: *end }).collect();
        self.tip = tip;
        self.proven_tip = tip;
        Ok(())
    }

    fn at_bound(&self) -> bool {
        self.depth == Depth::Live && self.tip.state.commit_no >= self.proof.claim.commit_no
    }

    /// Follows the chain from the tip to its end, which becomes the tip.
    fn walk_chain(&mut self) -> Result<(), EventStoreError> {
        let mut broken = None;
        if self.tip.position.ordinal > 0 && !self.at_bound() {
            let ordinal = self.tip.position.ordinal;
            if let Some(file) = open_segment(self.storage, self.folder, ordinal)? {
                let window = file.scan();
                let Tip { state, position } = self.tip;
                let walk = BatchWalk::resume(window, self.identity.salt(ordinal), self.identity.stream, ordinal, state, position.offset);
                broken = self.walk_segment(walk, ordinal, None)?;
            }
        }
        while !self.at_bound() {
            let ordinal = self.tip.position.ordinal + 1;
            let Some(file) = open_segment(self.storage, self.folder, ordinal)? else {
                break;
            };
            let mut window = file.scan();
            window.hold_from(Some(FIRST_FRAME));
            let page_fits = page_fits(&mut window, &self.identity.page(ordinal))?;
            let faults = page_faults(&mut window)?;
            let salt = self.identity.salt(ordinal);
            let base = self.tip;
            let opened = BatchWalk::open(window, salt, self.identity.stream, ordinal, base.state, base.position, &self.identity.opening)?;
            let walk = match opened {
                Ok(walk) => walk,
                Err((offset, reason)) => {
                    if reason != StopReason::Unwritten {
                        broken = broken.or(Some((ordinal, offset, reason)));
                    }
                    break;
                }
            };
            let stopped = self.walk_segment(walk, ordinal, Some(base))?;
            if self.tip.position.ordinal != ordinal {
                broken = broken.or(stopped);
                break;
            }
            if let Some((before, offset, reason)) = broken {
                self.notes.push(format!("behind the end of segment {before}, at byte {offset}: {reason}"));
            }
            if page_fits {
                self.notes.extend(faults.iter().map(|fault| format!("the header page of segment {ordinal} is damaged ({fault})")));
            } else {
                self.damaged |= !SeededBug::LostHeaderPageIgnored.is_on();
                self.notes.push(format!("segment {ordinal} has lost its header page; its frames are whole"));
            }
            broken = stopped;
        }
        self.first_break = broken;
        Ok(())
    }

    /// Walks one segment to where its chain ends; answers why it ends there, if not in zeros.
    fn walk_segment(
        &mut self,
        mut walk: BatchWalk<'_>,
        ordinal: u32,
        base: Option<Tip>,
    ) -> Result<Option<(u32, u64, StopReason)>, EventStoreError> {
        let mut base = base;
        while !self.at_bound() {
            let from = base.map_or(walk.offset(), |_| FIRST_FRAME);
            // Only what nothing proves durable is written once more, from the bytes that are judged now.
            let is_proven = self.tip.state.commit_no < self.proof.claim.commit_no;
            walk.window().hold_from((!is_proven).then_some(from));
            let batch = match walk.next_batch(&mut self.hashes)? {
                Step::Batch(batch) => batch,
                Step::Stop { offset, reason } => return Ok((reason != StopReason::Unwritten).then_some((ordinal, offset, reason))),
            };
            self.proof.raise(&batch.commit, ordinal, batch.commit_offset);
            self.unknown_records += u64::from(batch.unknown_records);
            self.tip = Tip { state: *walk.state(), position: crate::format::chain::Position { ordinal, offset: batch.end } };
            self.compare_slots();
            if let Some(base) = base.take() {
                self.chain.push(ChainSegment { ordinal, base, end: self.tip });
            } else if let Some(segment) = self.chain.last_mut() {
                segment.end = self.tip;
            }
            self.keep(&mut walk, ordinal, from, batch.end)?;
            self.bytes_walked += batch.end - from;
            (self.progress)(self.bytes_walked);
        }
        Ok(None)
    }

    /// Notes where a slot of WATERMARK tells the tip otherwise than the walk that has come there.
    fn compare_slots(&mut self) {
        let (tip, notes) = (self.tip, &mut self.notes);
        self.slots.retain(|(index, slot)| {
            let passed = slot.state.commit_no == tip.state.commit_no;
            if passed && *slot != tip {
                notes.push(format!("slot {index} of WATERMARK contradicts the log at commit {}", tip.state.commit_no));
            }
            !passed
        });
    }

    /// Keeps the bytes of a batch that nothing proves durable, and lets go of those that something now does.
    fn keep(&mut self, walk: &mut BatchWalk<'_>, ordinal: u32, from: u64, to: u64) -> Result<(), EventStoreError> {
        let proven = self.proof.claim.commit_no;
        self.recent.push(self.tip);
        self.pass_proven();
        self.kept.retain(|kept| kept.commit_no > proven);
        if self.tip.state.commit_no > proven {
            let len = usize::try_from(to - from).unwrap_or(usize::MAX);
            let bytes = walk.window().get(from, len)?.unwrap_or_default().to_vec();
            self.kept.push(Kept { commit_no: self.tip.state.commit_no, ordinal, offset: from, bytes });
        }
        Ok(())
    }

    /// Lets go of the tips that something proves durable; the last of them is the proven one.
    fn pass_proven(&mut self) {
        let proven = self.proof.claim.commit_no;
        let passed = self.recent.partition_point(|tip| tip.state.commit_no <= proven);
        if let Some(tip) = self.recent.drain(..passed).next_back() {
            self.proven_tip = tip;
        }
    }

    /// Looks through everything behind E: for claims, and for bytes that are not zero.
    fn look_behind(&mut self, listed: &[ListedSegment]) -> Result<(), EventStoreError> {
        let end = self.tip.position;
        let mut headerless = Vec::new();
        for segment in listed.iter().filter(|segment| segment.ordinal >= end.ordinal.max(1)) {
            let ordinal = segment.ordinal;
            let Some(file) = open_segment(self.storage, self.folder, ordinal)? else {
                continue;
            };
            let mut window = file.scan();
            let page_fits = ordinal == end.ordinal || page_fits(&mut window, &self.identity.page(ordinal))?;
            let from = if ordinal == end.ordinal { end.offset } else { FIRST_FRAME };
            let dirty = nonzero_extent(&mut window, from)?;
            if !page_fits {
                headerless.push((ordinal, dirty.is_some()));
            }
            let Some((first, last)) = dirty else {
                continue;
            };
            self.leftovers.push(Leftover { ordinal, from: first, to: last });
            let salt = self.identity.salt(ordinal);
            let is_elsewhere = ordinal > end.ordinal.max(1) && SeededBug::ClaimsOnlyOfThisSegment.is_on();
            let may_testify = !is_elsewhere && !SeededBug::CommitsBehindUnseen.is_on();
            let proof = &mut self.proof;
            look_ahead(&mut window, &salt, first - first % 8, |offset, header, body| {
                if header.kind == Kind::COMMIT
                    && may_testify
                    && let Some(Ok(commit)) = body.map(|body| Commit::decode_body(body, &salt, offset, header.seq))
                {
                    proof.raise(&commit, ordinal, offset);
                }
            })?;
            // A frame may begin in zeros that a lost sector left: its end is among what was found.
        }
        // What a commit behind E claims is no less proven than what one before it claims.
        self.pass_proven();
        for (ordinal, written) in headerless {
            if written {
                self.damaged |= !SeededBug::LostHeaderPageIgnored.is_on();
                self.notes.push(format!("segment {ordinal} has no valid header page, and frames were written to it"));
            } else {
                self.notes.push(format!("segment {ordinal} is a spare whose header page is damaged"));
            }
        }
        Ok(())
    }

    fn conclude(mut self, listed: Vec<ListedSegment>, walked_from: u32) -> Judgement {
        let end = self.tip;
        let proven = self.proof.claim;
        let by_entries = SeededBug::AnchorIgnoredByJudge.is_on();
        let is_short = if by_entries { end.state.seq < proven.seq } else { end.state.commit_no < proven.commit_no };
        self.damaged |= is_short && !SeededBug::DamageCutAway.is_on();
        if self.unknown_records > 0 {
            self.notes.push(format!("{} records are of a kind that this build does not know; they are kept", self.unknown_records));
        }
        let path_of = |ordinal: u32| self.folder.join(file_name::segment(ordinal.max(1)));
        let mut first_break = self.first_break;
        if first_break.is_none() && self.damaged {
            let offset = if end.position.ordinal == 0 { FIRST_FRAME } else { end.position.offset };
            first_break = Some((end.position.ordinal.max(1), offset, StopReason::Unwritten));
        }
        let discarded = self.leftovers.first().filter(|_| !self.damaged).map(|first| Discarded {
            file: path_of(first.ordinal),
            offset: first.from,
            bytes: self.leftovers.iter().map(|leftover| leftover.to - leftover.from).sum(),
            files: u32::try_from(self.leftovers.len()).unwrap_or(u32::MAX),
        });
        let state = match (self.damaged, self.leftovers.is_empty()) {
            (true, _) => RecoveredState::AcknowledgedDamage,
            (false, true) => RecoveredState::Clean,
            (false, false) => RecoveredState::TornTail,
        };
        let mut proven_point = LogPoint { commit_no: proven.commit_no, seq: proven.seq, ordinal: 0, offset: 0 };
        if self.proven_tip.state.commit_no == proven.commit_no {
            proven_point = point(&self.proven_tip);
        }
        let report = RecoveryReport {
            state,
            end: point(&end),
            proven: proven_point,
            witness: self.proof.witness,
            discarded,
            first_break: first_break.map(|(ordinal, offset, reason)| BreakPoint {
                file: path_of(ordinal),
                ordinal,
                offset,
                reason: reason.to_string(),
            }),
            walked_from,
            hash_mismatch: self.hashes.first_mismatch,
            notes: self.notes,
        };
        Judgement {
            identity: self.identity.clone(),
            end,
            proven,
            proven_tip: self.proven_tip,
            chain: self.chain,
            listed,
            kept: if self.damaged { Vec::new() } else { self.kept },
            leftovers: self.leftovers,
            damaged: self.damaged,
            report,
        }
    }
}

/// Whether the commit of a tip stands right before the tip's place.
fn ends_with(window: &mut Window<'_>, salt: &Salt, tip: &Tip) -> Result<bool, EventStoreError> {
    let Some(offset) = tip.position.offset.checked_sub(COMMIT_FRAME_LEN) else {
        return Ok(false);
    };
    let FrameStep::Frame(frame) = frame_at(window, salt, offset)? else {
        return Ok(false);
    };
    let commit = Commit::decode_body(frame.body, salt, offset, frame.header.seq);
    Ok(frame.header.kind == Kind::COMMIT
        && frame.header.seq == tip.state.seq
        && commit.is_ok_and(|commit| commit.commit_no == tip.state.commit_no && commit.root == tip.state.root))
}

/// A tip as a value for the caller.
pub(crate) fn point(tip: &Tip) -> LogPoint {
    LogPoint { commit_no: tip.state.commit_no, seq: tip.state.seq, ordinal: tip.position.ordinal, offset: tip.position.offset }
}

/// The first and the end of the last byte from `from` on that are not zero.
fn nonzero_extent(window: &mut Window<'_>, from: u64) -> Result<Option<(u64, u64)>, EventStoreError> {
    let mut offset = from;
    let mut extent: Option<(u64, u64)> = None;
    loop {
        let chunk = window.chunk_at(offset)?;
        if chunk.is_empty() {
            return Ok(extent);
        }
        // Whole words first: a tail of zeros is passed over at the speed of memory.
        let (words, rest) = chunk.as_chunks::<32>();
        let dirty = words.iter().any(|word| *word != [0; 32]) || rest.iter().any(|byte| *byte != 0);
        if dirty {
            let first = chunk.iter().position(|byte| *byte != 0).unwrap_or_default() as u64;
            let last = chunk.iter().rposition(|byte| *byte != 0).unwrap_or_default() as u64 + 1;
            extent = Some((extent.map_or(offset + first, |(begin, _)| begin), offset + last));
        }
        offset += chunk.len() as u64;
    }
}
