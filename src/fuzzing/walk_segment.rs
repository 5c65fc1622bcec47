//! A whole segment through the frame walker, and through everything that rests on it.

use std::io;
use std::path::Path;
use std::sync::OnceLock;

use bytes::Bytes;

use super::input::{Input, edit_often};
use super::{samples, stamps};
use crate::error::EventStoreError;
use crate::format::chain::{ChainState, Position};
use crate::format::commit::{self, Commit};
use crate::format::entry::{EntryParts, encode_entry_body};
use crate::format::frame::{self, FrameHeader, HEADER_LEN, Kind, append_frame};
use crate::format::key_index::{KeyIndex, key_hash};
use crate::format::root::RootHasher;
use crate::format::salt::{Salt, Stream};
use crate::format::sparse_index::{IndexBinding, SparseIndex};
use crate::io::File;
use crate::segment::batch::{COMMIT_FRAME_LEN, opening_frames};
use crate::segment::index_build::{IndexCollector, IndexLists, IndexMaterial, index_files};
use crate::segment::look_ahead::look_ahead;
use crate::segment::point_read::{hop_to_entry, read_entry};
use crate::segment::salvage::Salvage;
use crate::segment::tip::FIRST_FRAME;
use crate::segment::walk::{Batch, BatchWalk, Frame, FrameStep, RecordVisitor, Step, StopReason, frame_at};
use crate::segment::window::Window;

/// Most changes to the sample segment.
const EDITS_MAX: usize = 12;
/// Most frames that an input composes.
const FRAMES_MAX: usize = 64;
/// Of so many entries each is looked for, and no more: every search is another pass over the segment.
const SEARCHES_MAX: usize = 24;
const INDEX_SPACING: u64 = 512;

/// Made once: to hash it again for every input costs more than to walk it.
static SAMPLE: OnceLock<Vec<u8>> = OnceLock::new();

/// A segment, and how it is looked at.
struct Trial {
    bytes: Vec<u8>,
    salt: Salt,
    stream: Stream,
    /// The file is read so many bytes at a time,
    chunk: usize,
    /// and answers with so many at most.
    piece: usize,
    /// How much longer the file is said to be than it is.
    missing: u64,
    /// Whether what was read of a batch is kept.
    holds: bool,
    /// After how many batches a second walk goes on from the first.
    resumed_after: usize,
    /// Where single frames are looked for.
    probes: [u64; 3],
}

/// Walks the segment that the input describes.
pub fn walk_segment(data: &[u8]) {
    let mut input = Input::new(data);
    let trial = Trial {
        stream: if input.below(8) == 7 { Stream::Markers } else { Stream::Entries },
        chunk: input.pick(&[1, 24, 100, 300, 4_096, 256 << 10]),
        piece: input.pick(&[usize::MAX, 1, 7, 24, 1_000]),
        missing: input.pick(&[0, 0, 1, 8, 5_000]),
        holds: input.bit(),
        resumed_after: input.below(6),
        probes: [input.below(1 << 14) as u64, input.below(1 << 14) as u64 & !7, input.number()],
        salt: samples::salt(),
        bytes: segment(&mut input),
    };
    trial.run();
}

fn segment(input: &mut Input<'_>) -> Vec<u8> {
    let mode = input.byte();
    let mut bytes = match mode & 3 {
        0 => {
            let mut bytes = opened_segment();
            bytes.extend_from_slice(input.take_rest());
            bytes
        }
        1 => composed(input),
        _ => {
            let mut bytes = SAMPLE.get_or_init(samples::segment).clone();
            edit_often(&mut bytes, input, EDITS_MAX);
            bytes
        }
    };
    repair(&mut bytes, mode >> 2 & 3);
    bytes
}

fn opened_segment() -> Vec<u8> {
    static OPENED: OnceLock<Vec<u8>> = OnceLock::new();
    let made = || {
        let mut bytes = samples::header_page().encode().to_vec();
        bytes.extend(opening_frames(&samples::salt(), 1, &samples::start(), samples::GENESIS));
        bytes
    };
    OPENED.get_or_init(made).clone()
}

/// A segment of frames that the input chooses one by one: their kinds, and how far their numbers are beside the right ones.
fn composed(input: &mut Input<'_>) -> Vec<u8> {
    let (mut bytes, salt) = (opened_segment(), samples::salt());
    let (mut seq, mut commit_no, mut count, mut first_seq) = (0_u64, 0_u64, 0_u32, 1_u64);
    for _ in 0..FRAMES_MAX {
        if input.is_empty() {
            break;
        }
        let offset = bytes.len() as u64;
        let (kind, mut body) =
            (input.pick(&[Kind::ENTRY, Kind::ENTRY, Kind::COMMIT, Kind::ANCHOR, Kind(0x4d), Kind::OPEN, Kind::DICT]), Vec::new());
        let beside = u64::from(input.byte().saturating_sub(240));
        match kind {
            Kind::COMMIT => {
                commit_no += 1;
                let commit =
                    Commit { commit_no, first_seq, count, durable_commit_no: commit_no - 1, durable_seq: first_seq - 1, root: [0; 32] };
                commit.encode_body(&mut body, &salt, offset);
                (count, first_seq) = (0, seq + 1);
            }
            Kind::ENTRY => {
                seq += 1;
                let len = input.below(40);
                encode_entry_body(&mut body, &samples::append(seq, len));
            }
            _ => {
                let len = input.below(60);
                body.extend_from_slice(input.take(len));
            }
        }
        count += u32::from(kind != Kind::COMMIT);
        append_frame(&mut bytes, &salt, offset, kind, seq.wrapping_add(beside), &body);
    }
    let len = input.below(100);
    bytes.resize(bytes.len() + len, 0);
    bytes
}

/// Makes the checksums of consecutive frames right: those of the frames at level 1, the tags of commits at level 2, and
/// the roots at level 3.
fn repair(bytes: &mut [u8], level: u8) {
    if level == 0 {
        return;
    }
    let salt = samples::salt();
    let mut hasher = RootHasher::new(&samples::start().state.root);
    let mut start = as_len(FIRST_FRAME);
    loop {
        let Some(rest) = bytes.get_mut(start..) else { return };
        let Some(body_len) = stamps::body_len(rest) else { return };
        let end = HEADER_LEN.saturating_add(body_len);
        if rest[..HEADER_LEN].iter().all(|byte| *byte == 0) || end > rest.len() {
            return;
        }
        let kind = Kind(rest[stamps::field(frame::FIELDS, "kind").offset]);
        let seq = stamps::field(frame::FIELDS, "seq").u64(rest).unwrap();
        let body = &mut rest[HEADER_LEN..end];
        if kind == Kind::COMMIT && body.len() == commit::BODY_LEN {
            if level > 2 {
                let number = |name: &str| stamps::field(commit::FIELDS, name);
                let root = hasher.finish(number("commit_no").u64(body).unwrap(), number("count").u32(body).unwrap());
                let place = number("root");
                body[place.offset..place.end()].copy_from_slice(&root);
            }
            if level > 1 {
                stamps::commit_tag(body, &salt, start as u64);
            }
        } else if kind.is_record() {
            hasher.record(kind, seq, body);
        }
        stamps::frame_header(rest, &salt, start as u64);
        start = (start + end).next_multiple_of(8);
    }
}

/// A file that cannot be written, and that answers in pieces.
#[derive(Debug)]
struct Shown<'a> {
    bytes: &'a [u8],
    piece: usize,
}

impl File for Shown<'_> {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let rest = usize::try_from(offset).ok().and_then(|from| self.bytes.get(from..)).unwrap_or_default();
        let len = buffer.len().min(rest.len()).min(self.piece);
        buffer[..len].copy_from_slice(&rest[..len]);
        Ok(len)
    }

    fn write_at(&self, _: &[u8], _: u64) -> io::Result<usize> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn sync_data(&self) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn sync_all(&self) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn set_len(&self, _: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.bytes.len() as u64)
    }

    fn map(&self, _: u64) -> io::Result<Bytes> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// What a walk came to.
#[derive(Debug, Default, PartialEq)]
struct Walked {
    /// The batches that were accepted, with the records of each.
    batches: Vec<Accepted>,
    /// Where the walk stopped, and why.
    stop: Option<(u64, StopReason)>,
    state: Option<ChainState>,
    end: u64,
}

#[derive(Debug, PartialEq)]
struct Accepted {
    records: Vec<Record>,
    commit: Commit,
    commit_offset: u64,
    end: u64,
    unknown_records: u32,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Record {
    offset: u64,
    end: u64,
    kind: Kind,
    seq: u64,
}

/// Notes what a walk shows, and collects for the indexes.
struct Watcher {
    pending: Vec<Record>,
    walked: Walked,
    rejected: usize,
    index: IndexCollector,
}

impl Watcher {
    fn new(salt: Salt, max_ts_init: u64) -> Self {
        let index = IndexCollector::new(salt, INDEX_SPACING, max_ts_init);
        Self { pending: Vec::new(), walked: Walked::default(), rejected: 0, index }
    }
}

impl RecordVisitor for Watcher {
    fn record(&mut self, frame: &Frame<'_>, parts: Option<&EntryParts<'_>>) {
        assert_eq!(parts.is_some(), frame.header.kind == Kind::ENTRY);
        self.pending.push(Record { offset: frame.offset, end: frame.end(), kind: frame.header.kind, seq: frame.header.seq });
        self.index.record(frame, parts);
    }

    fn accept(&mut self, batch: &Batch) {
        let records = std::mem::take(&mut self.pending);
        let Batch { commit_offset, end, commit, unknown_records } = *batch;
        self.walked.batches.push(Accepted { records, commit, commit_offset, end, unknown_records });
        self.index.accept(batch);
    }

    fn reject(&mut self) {
        self.pending.clear();
        self.rejected += 1;
        self.index.reject();
    }
}

impl Trial {
    fn path() -> &'static Path {
        Path::new("00000001.seg")
    }

    fn run(&self) {
        let slice = || Window::over_slice(&self.bytes, Self::path());
        let file = Shown { bytes: &self.bytes, piece: self.piece };
        let by_position = || Window::with_chunk(&file, self.bytes.len() as u64 + self.missing, Self::path(), self.chunk);
        let (walked, lists) = self.walk(slice());
        assert_eq!(self.walk(by_position()).0, walked, "a file is walked otherwise than the same bytes in memory");
        self.check_chain(&walked);
        self.check_ahead(&walked, slice(), by_position());
        self.check_probes(&mut slice(), &mut by_position());
        if self.stream == Stream::Entries {
            self.check_salvage(&walked, slice(), by_position());
            self.check_entries(&walked, lists, by_position());
        }
    }

    fn walk(&self, window: Window<'_>) -> (Walked, IndexLists) {
        let tip = samples::start();
        let mut watcher = Watcher::new(self.salt, tip.state.max_ts_init);
        let opened = BatchWalk::open(window, self.salt, self.stream, 1, tip.state, tip.position, samples::GENESIS);
        let mut walk = match opened.expect("bytes that can be read") {
            Ok(walk) => walk,
            Err((offset, reason)) => {
                assert!(offset >= FIRST_FRAME);
                watcher.walked.stop = Some((offset, reason));
                return (watcher.walked, watcher.index.accepted);
            }
        };
        loop {
            if self.holds {
                let offset = walk.offset();
                walk.window().hold_from(Some(offset));
            }
            let before = walk.offset();
            match walk.next_batch(&mut watcher).expect("bytes that can be read") {
                Step::Batch(batch) => {
                    assert!(before < batch.commit_offset && batch.end == walk.offset() && batch.end <= self.bytes.len() as u64);
                    assert_eq!(walk.state().root, batch.commit.root);
                }
                Step::Stop { offset, reason } => {
                    assert!(walk.offset() == before && offset >= before && offset <= self.bytes.len() as u64);
                    watcher.walked.stop = Some((offset, reason));
                    break;
                }
            }
            if watcher.walked.batches.len() == self.resumed_after {
                let (state, offset) = (*walk.state(), walk.offset());
                let window = std::mem::replace(walk.window(), Window::over_slice(&[], Self::path()));
                walk = BatchWalk::resume(window, self.salt, self.stream, 1, state, offset);
            }
        }
        assert_eq!(watcher.rejected, 1);
        let stop = walk.next_batch(&mut watcher).expect("bytes that can be read");
        assert!(
            matches!(stop, Step::Stop { offset, reason } if Some((offset, reason)) == watcher.walked.stop),
            "a walk stops elsewhere when asked again"
        );
        watcher.walked.state = Some(*walk.state());
        watcher.walked.end = walk.offset();
        (watcher.walked, watcher.index.accepted)
    }

    /// What was accepted is one chain, without a gap and from the first frame on.
    fn check_chain(&self, walked: &Walked) {
        let Some(state) = walked.state else { return };
        let mut expected = samples::start().state;
        let mut hasher = RootHasher::new(&expected.root);
        let mut at = as_len(FIRST_FRAME) + opening_frames(&self.salt, 1, &samples::start(), samples::GENESIS).len();
        for batch in &walked.batches {
            assert_eq!((batch.commit.commit_no, batch.commit.first_seq), (expected.commit_no + 1, expected.seq + 1));
            assert!(!batch.records.is_empty() && batch.commit.count as usize == batch.records.len());
            assert_eq!(batch.unknown_records as usize, batch.records.iter().filter(|record| !record.kind.is_known()).count());
            for record in &batch.records {
                assert!(record.offset == at as u64 && record.kind.is_record());
                expected.seq += u64::from(record.kind.takes_seq(self.stream));
                assert_eq!(record.seq, expected.seq);
                let len = stamps::body_len(&self.bytes[at..]).unwrap();
                assert!(hasher.record(record.kind, record.seq, &self.bytes[at + HEADER_LEN..][..len]));
                at = as_len(record.end);
                if record.kind == Kind::ANCHOR {
                    expected.anchor = Some(Position { ordinal: 1, offset: record.offset });
                }
            }
            assert_eq!((batch.commit_offset, batch.end), (at as u64, at as u64 + COMMIT_FRAME_LEN));
            at = as_len(batch.end);
            expected.commit_no += 1;
            expected.root = hasher.finish(expected.commit_no, batch.commit.count);
            assert_eq!(batch.commit.root, expected.root);
        }
        assert_eq!(walked.end, at as u64);
        let ChainState { max_ts_init, marker_counts, .. } = state;
        assert_eq!(state, ChainState { max_ts_init, marker_counts, ..expected });
    }

    /// A look ahead finds what the walk finds, whatever it finds behind it.
    fn check_ahead(&self, walked: &Walked, slice: Window<'_>, by_position: Window<'_>) {
        let ahead = |mut window: Window<'_>| {
            let mut found = Vec::new();
            look_ahead(&mut window, &self.salt, FIRST_FRAME, |offset, header, body| {
                found.push((offset, header.kind, header.seq, body.is_some()));
            })
            .expect("bytes that can be read");
            found
        };
        let found = ahead(slice);
        assert_eq!(ahead(by_position), found, "looking ahead in a file finds other frames than in memory");
        assert!(found.is_sorted_by(|left, right| left.0 + (HEADER_LEN as u64) <= right.0));
        assert!(found.iter().all(|(offset, ..)| offset.is_multiple_of(8) && offset + HEADER_LEN as u64 <= self.bytes.len() as u64));
        if walked.state.is_none() {
            return;
        }
        let mut frames = found.iter().skip(2);
        for batch in &walked.batches {
            for record in &batch.records {
                assert_eq!(frames.next(), Some(&(record.offset, record.kind, record.seq, true)));
            }
            assert!(matches!(frames.next(), Some((offset, Kind::COMMIT, _, true)) if *offset == batch.commit_offset));
        }
    }

    fn check_probes(&self, slice: &mut Window<'_>, by_position: &mut Window<'_>) {
        for offset in self.probes {
            let seen = self.probe(slice, offset);
            assert_eq!(self.probe(by_position, offset), seen, "a frame is judged otherwise in a file than in memory");
            let _ = read_entry(by_position, &self.salt, offset, 1, true).map(|found| found.parts.entry_hash());
        }
    }

    /// What stands at an offset: a header, its body if that is whole, or why there is none.
    fn probe(&self, window: &mut Window<'_>, offset: u64) -> (Option<FrameHeader>, Option<Vec<u8>>, Option<StopReason>) {
        match frame_at(window, &self.salt, offset).expect("bytes that can be read") {
            FrameStep::Frame(frame) => {
                assert!(frame.offset == offset && frame.end() <= self.bytes.len() as u64);
                (Some(frame.header), Some(frame.body.to_vec()), None)
            }
            FrameStep::BadBody(header) => (Some(header), None, None),
            FrameStep::None(reason) => (None, None, Some(reason)),
        }
    }

    /// Whatever the walk accepted can be salvaged.
    fn check_salvage(&self, walked: &Walked, mut slice: Window<'_>, mut by_position: Window<'_>) {
        let salvage = Salvage::collect(&mut slice, &self.salt, u64::MAX).expect("bytes that can be read");
        assert_eq!(Salvage::collect(&mut by_position, &self.salt, u64::MAX).expect("bytes that can be read"), salvage);
        assert!(salvage.seqs().map(|found| found.seq).is_sorted_by(|left, right| left < right));
        let entries = walked.batches.iter().flat_map(|batch| &batch.records).filter(|record| record.kind == Kind::ENTRY);
        for entry in entries {
            assert_eq!(salvage.offset_of(entry.seq), Some(entry.offset));
            assert_eq!(salvage.next_seq(entry.seq), Some(entry.seq));
        }
        // An anchor without its commit right behind it does not count, and one behind the walk's end may.
        let is_known = walked.batches.iter().any(|batch| batch.records.last().is_some_and(|last| last.kind == Kind::ANCHOR));
        assert!(!is_known || walked.state.and_then(|state| salvage.newest_anchor(state.commit_no)).is_some());
    }

    /// Every entry is reached by its number and by its keys, and the indexes that the walk makes are taken.
    fn check_entries(&self, walked: &Walked, lists: IndexLists, mut window: Window<'_>) {
        let (Some(state), Some(first)) = (walked.state, walked.batches.first().and_then(|batch| batch.records.first())) else { return };
        let binding =
            IndexBinding { stream: self.stream, uid: samples::UID, ordinal: 1, salt: self.salt, segment_end: walked.end, root: state.root };
        let mut material = IndexMaterial { points: lists.points, keys: lists.keys };
        material.keys.sort_unstable();
        let (sparse, keys) = index_files(&binding, &material, &mut window).expect("an index of what was just walked");
        let sparse = SparseIndex::decode(sparse.into(), &binding).expect("a sparse index that was just made");
        let keys = KeyIndex::decode(keys.into(), &binding).expect("a key index that was just made");
        let mut seen: Vec<(u8, Vec<u8>)> = Vec::new();
        let entries = walked.batches.iter().flat_map(|batch| &batch.records).filter(|record| record.kind == Kind::ENTRY);
        for entry in entries.take(SEARCHES_MAX) {
            let from = sparse.floor(entry.seq).map_or(first.offset, |point| point.offset);
            assert_eq!(hop_to_entry(&mut window, &self.salt, from, walked.end, entry.seq), Ok(Some(entry.offset)));
            match read_entry(&mut window, &self.salt, entry.offset, entry.seq, true) {
                Ok(found) => assert!(found.frame_end == entry.end && found.payload_offset <= entry.end),
                Err(error) => assert_eq!(error, EventStoreError::HashMismatch { seq: entry.seq }),
            }
            let FrameStep::Frame(frame) = frame_at(&mut window, &self.salt, entry.offset).expect("bytes that can be read") else {
                panic!("an entry that was walked is no frame");
            };
            for (kind, key) in EntryParts::decode(frame.body).expect("an entry that was walked").key_bytes() {
                let found = keys.candidates(key_hash(&self.salt, kind, key)).any(|offset| offset == entry.offset);
                let is_first = !seen.iter().any(|(seen_kind, seen_key)| *seen_kind == kind && seen_key == key);
                assert!(found || !is_first, "the first entry with a key is not in the index");
                if is_first {
                    seen.push((kind, key.to_vec()));
                }
            }
        }
    }
}

fn as_len(len: u64) -> usize {
    usize::try_from(len).expect("a length within memory")
}
