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
    if padding.iter().any(|byte| *byte != 0) {
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
    /// Where its first frame begins; for the first batch of a segment, the first record.
    pub(crate) start: u64,
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
        state: ChainState,
        previous: Position,
        genesis: &[u8],
    ) -> Result<Result<Self, (u64, StopReason)>, EventStoreError> {
        let offset = match frame_at(&mut window, &salt, FIRST_FRAME)? {
            FrameStep::Frame(frame) if frame.header.kind == Kind::OPEN => {
                let expected = Open { base: state, previous };
                let fits = frame.header.seq == state.seq && Open::decode_body(frame.body).is_ok_and(|open| open == expected);
                if !fits {
                    return Ok(Err((FIRST_FRAME, StopReason::Open)));
                }
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
                let continues = commit.commit_no == self.state.commit_no + 1
                    && commit.first_seq == self.state.seq + 1
                    && commit.count == count
                    && count > 0
                    && frame.header.seq == state.seq;
                if !continues {
                    break StopReason::Commit;
                }
                state.root = hasher.finish(commit.commit_no, commit.count);
                if state.root != commit.root {
                    break StopReason::Root;
                }
                state.commit_no = commit.commit_no;
                let batch = Batch { start, commit_offset: offset, end: frame.end(), commit, unknown_records };
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
                state.max_ts_init = state.max_ts_init.max(parts.ts_init);
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
    if kind == Kind::OPEN || kind == Kind::GENESIS {
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

/// Looks for frames behind a break, at every place where one could begin.
///
/// A valid header is stepped over with its body, whether that is valid or not: the length is
/// covered by the header's own checksum. `found` gets every valid header and, where the body is
/// valid too, the body.
pub(crate) fn look_ahead(
    window: &mut Window<'_>,
    salt: &Salt,
    from: u64,
    mut found: impl FnMut(u64, &FrameHeader, Option<&[u8]>),
) -> Result<(), EventStoreError> {
    let mut offset = from.next_multiple_of(8);
    while let Some(candidate) = next_candidate(window, offset)? {
        offset = match frame_at(window, salt, candidate)? {
            FrameStep::Frame(frame) => {
                found(candidate, &frame.header, Some(frame.body));
                frame.end()
            }
            FrameStep::BadBody(header) => {
                found(candidate, &header, None);
                candidate + header.frame_len()
            }
            FrameStep::None(_) => match padding_fault_end(window, salt, candidate)? {
                Some((header, end)) => {
                    found(candidate, &header, None);
                    end
                }
                None => candidate + 8,
            },
        };
    }
    Ok(())
}

/// A header that is valid although its frame was refused: only the padding is damaged.
fn padding_fault_end(window: &mut Window<'_>, salt: &Salt, offset: u64) -> Result<Option<(FrameHeader, u64)>, EventStoreError> {
    let header = window.get(offset, HEADER_LEN)?.and_then(|bytes| FrameHeader::decode(bytes, salt, offset));
    Ok(header.map(|header| (header, offset + header.frame_len())))
}

/// The next offset, a multiple of eight, whose bytes could be a header: a kind, and zeros where
/// flags and reserved bytes are. Passes over zeros at the speed of memory.
fn next_candidate(window: &mut Window<'_>, from: u64) -> Result<Option<u64>, EventStoreError> {
    let mut offset = from;
    loop {
        let chunk = window.chunk_at(offset)?;
        if chunk.len() < HEADER_LEN {
            return Ok(None);
        }
        let (words, _) = chunk.get(8..).unwrap_or_default().as_chunks::<8>();
        let hit = words.iter().position(|word| {
            let word = u64::from_le_bytes(*word);
            word >> 32 != 0 && word >> 40 == 0
        });
        if let Some(index) = hit {
            return Ok(Some(offset + index as u64 * 8));
        }
        // The last word of the chunk may be the first half of a header that ends in the next one.
        offset += words.len() as u64 * 8;
    }
}
