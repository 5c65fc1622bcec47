//! The one frame walker.
//!
//! [`frame_at`] judges a single frame; [`BatchWalk`] follows the chain batch by batch. A batch is
//! accepted only if every frame, its padding, the contiguous numbers, the count, the commit number
//! and the root fit: a checksum alone is not acceptance. A walk stops at the first batch that does
//! not fit and says why; it never skips.

use std::fmt;

use crate::error::EventStoreError;
use crate::format::bytes::align8;
use crate::format::chain::{ChainState, Position};
use crate::format::commit::Commit;
use crate::format::entry::EntryParts;
use crate::format::frame::{FrameHeader, HEADER_LEN, Kind};
use crate::format::open::Open;
use crate::format::root::RootHasher;
use crate::format::salt::{Salt, Stream};
use crate::limits::BATCH_LEN_MAX;
use crate::seeded_bug::SeededBug;
use crate::segment::tip::FIRST_FRAME;
use crate::segment::window::Window;

/// A frame whose header and body are valid where it stands.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Frame<'w> {
    pub(crate) offset: u64,
    pub(crate) header: FrameHeader,
    pub(crate) body: &'w [u8],
}

impl Frame<'_> {
    /// Where the next frame begins.
    pub(crate) fn end(&self) -> u64 {
        self.offset + self.header.frame_len()
    }
}

/// What stands at an offset.
pub(crate) enum FrameStep<'w> {
    /// A valid frame.
    Frame(Frame<'w>),
    /// A valid header whose body is damaged or cut off.
    BadBody(FrameHeader),
    /// No valid header: zeros, damage, or the end of the file.
    None(StopReason),
}

/// Why a walk ended where it did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StopReason {
    /// Zeros, or the end of the file: nothing was ever written here.
    Unwritten,
    /// Bytes that are no frame of this segment at this offset.
    Header,
    /// A frame whose body does not match its checksum.
    Body,
    /// A frame whose padding is not zero.
    Padding,
    /// A record whose number does not follow the one before.
    Seq,
    /// A frame that may not stand here.
    Kind,
    /// A record whose body cannot be decoded.
    Record,
    /// A commit that is damaged, or does not continue the numbers or the count.
    Commit,
    /// A commit whose root does not follow from the root before it and its records.
    Root,
    /// The first frame of the segment does not continue the chain.
    Open,
    /// More bytes without a commit than a batch may have.
    TooLong,
}

impl fmt::Display for StopReason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Unwritten => "nothing was written here",
            Self::Header => "no valid frame header",
            Self::Body => "a frame body that does not match its checksum",
            Self::Padding => "frame padding that is not zero",
            Self::Seq => "a record number that does not follow the one before",
            Self::Kind => "a frame that may not stand here",
            Self::Record => "a record that cannot be decoded",
            Self::Commit => "a commit that does not continue the log",
            Self::Root => "a root that does not follow from the records",
            Self::Open => "an opening frame that does not continue the log",
            Self::TooLong => "more bytes without a commit than a batch may have",
        })
    }
}

/// Judges the bytes at `offset` as a frame.
#[inline]
pub(crate) fn frame_at<'w>(window: &'w mut Window<'_>, salt: &Salt, offset: u64) -> Result<FrameStep<'w>, EventStoreError> {
    let Some(bytes) = window.get(offset, HEADER_LEN)? else {
        return Ok(FrameStep::None(StopReason::Unwritten));
    };
    let Some(header) = FrameHeader::decode(bytes, salt, offset) else {
        let unwritten = bytes.iter().all(|byte| *byte == 0);
        return Ok(FrameStep::None(if unwritten { StopReason::Unwritten } else { StopReason::Header }));
    };
    let body_len = header.body_len as usize;
    let Some(padded) = window.get(offset + HEADER_LEN as u64, align8(body_len))? else {
        return Ok(FrameStep::BadBody(header));
    };
    let (body, padding) = padded.split_at_checked(body_len).unwrap_or((padded, &[]));
    if !header.body_is_valid(body) {
        return Ok(FrameStep::BadBody(header));
    }
    if padding.iter().any(|byte| *byte != 0) && !SeededBug::PaddingUnchecked.is_on() {
        return Ok(FrameStep::None(StopReason::Padding));
    }
    Ok(FrameStep::Frame(Frame { offset, header, body }))
}

/// Sees every record on the way; what it saw counts once the batch is accepted.
pub(crate) trait RecordVisitor {
    /// A record of the batch that is being walked. For an entry, `parts` is its decoded body.
    fn record(&mut self, frame: &Frame<'_>, parts: Option<&EntryParts<'_>>);
    /// The batch is whole: all records since the last call count.
    fn accept(&mut self, batch: &Batch);
    /// The batch is not whole: the records since the last call do not exist.
    fn reject(&mut self);
}

/// A batch that was accepted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Batch {
    /// Where its commit frame begins.
    pub(crate) commit_offset: u64,
    /// Where the next batch begins.
    pub(crate) end: u64,
    pub(crate) commit: Commit,
    /// Records of a kind that this build does not know.
    pub(crate) unknown_records: u32,
}

/// One step of a walk.
pub(crate) enum Step {
    Batch(Batch),
    Stop { offset: u64, reason: StopReason },
}

/// Follows the chain through one segment.
pub(crate) struct BatchWalk<'a> {
    window: Window<'a>,
    salt: Salt,
    stream: Stream,
    ordinal: u32,
    state: ChainState,
    offset: u64,
}

impl<'a> BatchWalk<'a> {
    /// A walk that goes on behind a commit whose state is known.
    pub(crate) fn resume(window: Window<'a>, salt: Salt, stream: Stream, ordinal: u32, state: ChainState, offset: u64) -> Self {
        Self { window, salt, stream, ordinal, state, offset }
    }

    /// A walk from the first frame of a segment, whose OPEN must continue `state` and `previous`.
    ///
    /// In segment 1 the frame behind OPEN must be GENESIS with exactly the bytes of `genesis`.
    pub(crate) fn open(
        mut window: Window<'a>,
        salt: Salt,
        stream: Stream,
        ordinal: u32,
        mut state: ChainState,
        previous: Position,
        genesis: &[u8],
    ) -> Result<Result<Self, (u64, StopReason)>, EventStoreError> {
        let offset = match frame_at(&mut window, &salt, FIRST_FRAME)? {
            FrameStep::Frame(frame) if frame.header.kind == Kind::OPEN => {
                let expected = Open { base: state, previous };
                let fits = |open: &Open| *open == expected || SeededBug::OpenUnchecked.is_on();
                let Some(open) = Open::decode_body(frame.body).ok().filter(fits).filter(|open| open.base.seq == frame.header.seq) else {
                    return Ok(Err((FIRST_FRAME, StopReason::Open)));
                };
                state = open.base;
                frame.end()
            }
            FrameStep::Frame(_) => return Ok(Err((FIRST_FRAME, StopReason::Kind))),
            FrameStep::BadBody(_) => return Ok(Err((FIRST_FRAME, StopReason::Body))),
            FrameStep::None(reason) => return Ok(Err((FIRST_FRAME, reason))),
        };
        let offset = if ordinal == 1 {
            match frame_at(&mut window, &salt, offset)? {
                FrameStep::Frame(frame) if frame.header.kind == Kind::GENESIS && frame.header.seq == 0 && frame.body == genesis => {
                    frame.end()
                }
                FrameStep::Frame(_) => return Ok(Err((offset, StopReason::Open))),
                FrameStep::BadBody(_) => return Ok(Err((offset, StopReason::Body))),
                FrameStep::None(reason) => return Ok(Err((offset, reason))),
            }
        } else {
            offset
        };
        Ok(Ok(Self { window, salt, stream, ordinal, state, offset }))
    }

    /// The state of the chain behind the last accepted batch.
    pub(crate) fn state(&self) -> &ChainState {
        &self.state
    }

    /// Where the next batch would begin.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// The bytes that are walked.
    pub(crate) fn window(&mut self) -> &mut Window<'a> {
        &mut self.window
    }

    /// Judges the batch at the current offset.
    ///
    /// # Errors
    /// Only where the bytes cannot be read; bytes that do not fit are a [`Step::Stop`].
    pub(crate) fn next_batch<V: RecordVisitor>(&mut self, visitor: &mut V) -> Result<Step, EventStoreError> {
        let start = self.offset;
        let mut offset = start;
        let mut state = self.state;
        let mut hasher = RootHasher::new(&self.state.root);
        let mut count: u32 = 0;
        let mut unknown_records: u32 = 0;
        let stop = loop {
            if offset - start > BATCH_LEN_MAX {
                break StopReason::TooLong;
            }
            let frame = match frame_at(&mut self.window, &self.salt, offset)? {
                FrameStep::Frame(frame) => frame,
                FrameStep::BadBody(_) => break StopReason::Body,
                FrameStep::None(reason) => break reason,
            };
            let kind = frame.header.kind;
            if kind == Kind::COMMIT {
                let Ok(commit) = Commit::decode_body(frame.body, &self.salt, offset, frame.header.seq) else {
                    break StopReason::Commit;
                };
                let continues = (commit.commit_no == self.state.commit_no + 1 || SeededBug::CommitNumberUnchecked.is_on())
                    && commit.first_seq == self.state.seq + 1
                    && (commit.count == count || SeededBug::CountUnchecked.is_on())
                    && count > 0
                    && frame.header.seq == state.seq;
                if !continues {
                    break StopReason::Commit;
                }
                state.root = hasher.finish(commit.commit_no, commit.count);
                if state.root != commit.root && !SeededBug::RootUnchecked.is_on() {
                    break StopReason::Root;
                }
                (state.commit_no, state.root) = (commit.commit_no, commit.root);
                let batch = Batch { commit_offset: offset, end: frame.end(), commit, unknown_records };
                visitor.accept(&batch);
                self.state = state;
                self.offset = batch.end;
                return Ok(Step::Batch(batch));
            }
            let next_seq = if kind.takes_seq(self.stream) { state.seq.checked_add(1) } else { Some(state.seq) };
            let Some(next_seq) = next_seq.filter(|next| *next == frame.header.seq) else {
                break StopReason::Seq;
            };
            let parts = match record_parts(&frame, self.stream) {
                Ok(parts) => parts,
                Err(reason) => break reason,
            };
            if !hasher.record(kind, frame.header.seq, frame.body) {
                break StopReason::Record;
            }
            state.seq = next_seq;
            if let Some(parts) = &parts {
                state.max_ts_init = state.max_ts_init.max(parts.ts_init());
            }
            if kind == Kind::ANCHOR {
                state.anchor = Some(Position { ordinal: self.ordinal, offset });
            }
            if let Some(number) = marker_count_index(kind).and_then(|index| state.marker_counts.get_mut(index)) {
                *number += 1;
            }
            unknown_records += u32::from(!kind.is_known());
            visitor.record(&frame, parts.as_ref());
            count += 1;
            offset = frame.end();
        };
        visitor.reject();
        Ok(Step::Stop { offset, reason: stop })
    }
}

/// Which of the four marker counts a kind advances.
fn marker_count_index(kind: Kind) -> Option<usize> {
    [Kind::SNAPSHOT, Kind::HIFI, Kind::GAP, Kind::DICT].iter().position(|known| *known == kind)
}

/// Checks that a record may stand in this stream, and decodes it where it is an entry.
fn record_parts<'w>(frame: &Frame<'w>, stream: Stream) -> Result<Option<EntryParts<'w>>, StopReason> {
    let kind = frame.header.kind;
    if !kind.is_record() {
        return Err(StopReason::Kind);
    }
    if kind == Kind::ENTRY {
        if stream != Stream::Entries {
            return Err(StopReason::Kind);
        }
        return EntryParts::decode(frame.body).map(Some).map_err(|_| StopReason::Record);
    }
    let belongs = match kind {
        Kind::ANCHOR => stream == Stream::Entries,
        _ => marker_count_index(kind).is_none() || stream == Stream::Markers,
    };
    if belongs { Ok(None) } else { Err(StopReason::Kind) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::segment::testing::{GENESIS, Written, path, salt, start};

    #[derive(Default)]
    struct Seen {
        pending: Vec<(u64, bool)>,
        accepted: Vec<(u64, bool)>,
        rejected: u32,
    }

    impl RecordVisitor for Seen {
        fn record(&mut self, frame: &Frame<'_>, parts: Option<&EntryParts<'_>>) {
            self.pending.push((frame.header.seq, parts.is_some()));
        }
        fn accept(&mut self, _batch: &Batch) {
            self.accepted.append(&mut self.pending);
        }
        fn reject(&mut self) {
            self.pending.clear();
            self.rejected += 1;
        }
    }

    fn written() -> Written {
        let mut written = Written::new();
        written.entries(&[0, 1, 300]).entries(&[5_000]).batch(|buffer| buffer.push_record(Kind::ANCHOR, b"an anchor")).entries(&[7]);
        written
    }

    fn open(bytes: &[u8]) -> Result<BatchWalk<'_>, (u64, StopReason)> {
        let window = Window::over_slice(bytes, path());
        let Tip { state, position } = start();
        BatchWalk::open(window, salt(), Stream::Entries, 1, state, position, GENESIS).unwrap()
    }

    use crate::segment::tip::Tip;

    /// Walks to the end: what was seen, where it ended and why.
    fn walk(bytes: &[u8]) -> (Seen, ChainState, u64, StopReason) {
        let mut seen = Seen::default();
        let mut walk = open(bytes).unwrap();
        loop {
            match walk.next_batch(&mut seen).unwrap() {
                Step::Batch(_) => {}
                Step::Stop { reason, .. } => return (seen, *walk.state(), walk.offset(), reason),
            }
        }
    }

    #[test]
    fn a_walk_sees_every_record_and_ends_where_the_writer_did() {
        let written = written();
        let (seen, state, end, reason) = walk(&written.padded(16 << 10));
        assert_eq!(seen.accepted, [(1, true), (2, true), (3, true), (4, true), (4, false), (5, true)]);
        assert_eq!((state, end, reason), (written.tip.state, written.bytes.len() as u64, StopReason::Unwritten));
        assert_eq!(state.anchor, Some(Position { ordinal: 1, offset: written.batches[2].0 }));
        assert_eq!(state.max_ts_init, 999);
    }

    #[test]
    fn a_walk_over_a_file_sees_what_one_over_memory_sees() {
        let written = written();
        let base = tempfile::tempdir().unwrap();
        let file_path = base.path().join("00000001.seg");
        std::fs::write(&file_path, written.padded(16 << 10)).unwrap();
        let storage = crate::io::OsStorage;
        let file = crate::io::Storage::open(&storage, &file_path, crate::io::OpenMode::Read).unwrap();
        for chunk in [1, 24, 100, 4096, 1 << 20] {
            let window = Window::with_chunk(&*file, 16 << 10, &file_path, chunk);
            let Tip { state, position } = start();
            let mut walk = BatchWalk::open(window, salt(), Stream::Entries, 1, state, position, GENESIS).unwrap().unwrap();
            let mut seen = Seen::default();
            while let Step::Batch(_) = walk.next_batch(&mut seen).unwrap() {}
            assert_eq!(walk.state(), &written.tip.state);
            assert_eq!(seen.accepted.len(), 6);
        }
    }

    #[test]
    fn a_flipped_bit_ends_the_walk_before_its_batch() {
        let written = written();
        for (index, (from, to)) in written.batches.iter().enumerate() {
            for at in (*from..*to).step_by(5) {
                let mut bytes = written.padded(16 << 10);
                bytes[usize::try_from(at).unwrap()] ^= 0x10;
                let (seen, state, end, reason) = walk(&bytes);
                assert_eq!((state.commit_no, end), (index as u64, *from), "byte {at}: {reason}");
                assert_ne!(reason, StopReason::Unwritten, "byte {at}");
                assert_eq!(seen.rejected, 1);
            }
        }
    }

    #[test]
    fn a_batch_that_is_cut_off_anywhere_does_not_exist() {
        let written = written();
        let (from, to) = written.batches[1];
        for cut in (from..to).step_by(9) {
            let mut bytes = written.bytes.clone();
            bytes.truncate(usize::try_from(cut).unwrap());
            assert_eq!(walk(&bytes).1.commit_no, 1, "cut at {cut}");
            bytes.resize(16 << 10, 0);
            assert_eq!(walk(&bytes).1.commit_no, 1, "zeros from {cut}");
        }
    }

    #[test]
    fn a_batch_of_another_life_of_the_run_does_not_continue_the_chain() {
        // The same numbers, lengths and places, and one byte of a payload differs: only the root can tell.
        let mut one = Written::new();
        one.entries(&[8]).entries(&[8]);
        let mut other = Written::new();
        let mut append = crate::segment::testing::append(1, 8);
        append.entry.payload = bytes::Bytes::from_static(b"another!");
        append.entry.entry_hash = append.entry.recompute_hash();
        other.batch(|buffer| buffer.push_entry(&append));
        other.entries(&[8]);
        let (from, to) = one.batches[1];
        assert_eq!(other.batches[1], (from, to));
        let mut mixed = one.padded(16 << 10);
        let range = usize::try_from(from).unwrap()..usize::try_from(to).unwrap();
        mixed[range.clone()].copy_from_slice(&other.bytes[range]);
        let (_, state, _, reason) = walk(&mixed);
        assert_eq!((state.commit_no, reason), (1, StopReason::Root));
    }

    #[test]
    fn a_record_of_an_unknown_kind_is_kept_and_counted() {
        let mut written = Written::new();
        written.entries(&[1]).batch(|buffer| {
            buffer.push_entry(&crate::segment::testing::append(2, 3));
            buffer.push_record(Kind(77), b"from a later version");
        });
        let bytes = written.padded(16 << 10);
        let mut walk = open(&bytes).unwrap();
        let mut seen = Seen::default();
        assert!(matches!(walk.next_batch(&mut seen).unwrap(), Step::Batch(batch) if batch.unknown_records == 0));
        assert!(matches!(walk.next_batch(&mut seen).unwrap(), Step::Batch(batch) if batch.unknown_records == 1));
        assert_eq!(walk.state(), &written.tip.state);
        assert_eq!(seen.accepted, [(1, true), (2, true), (2, false)]);
    }

    #[test]
    fn an_opening_that_does_not_continue_the_log_is_refused() {
        let written = written();
        let bytes = written.padded(16 << 10);
        let Tip { state, position } = start();
        let attempt = |state, position, genesis: &[u8]| {
            let window = Window::over_slice(&bytes, path());
            BatchWalk::open(window, salt(), Stream::Entries, 1, state, position, genesis).unwrap().map(|_| ()).map_err(|(_, reason)| reason)
        };
        assert_eq!(attempt(state, position, GENESIS), Ok(()));
        assert_eq!(attempt(ChainState { seq: 1, ..state }, position, GENESIS), Err(StopReason::Open));
        assert_eq!(attempt(ChainState { root: [1; 32], ..state }, position, GENESIS), Err(StopReason::Open));
        assert_eq!(attempt(state, Position { ordinal: 1, offset: 5_000 }, GENESIS), Err(StopReason::Open));
        assert_eq!(attempt(state, position, b"another manifest!!!"), Err(StopReason::Open));
        let damaged = vec![0; 16 << 10];
        assert_eq!(open(&damaged).err(), Some((FIRST_FRAME, StopReason::Unwritten)));
    }
}
