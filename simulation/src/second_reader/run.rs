//! One stream of one run: its segments, the chain through them, and what its witnesses claim.

use std::collections::BTreeMap;
use std::ops::Range;

use super::watermark::SLOT_LEN;
use super::{BatchPlace, CommitPlace, Identity, Manifest, OpenPlace, Owner, Root, STREAM_ENTRIES, Segment, Watermark, kind, root_zero};

/// A witness: a commit that may testify, or a whole slot of WATERMARK.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WitnessPlace {
    /// The name of its file.
    pub file: String,
    /// The bytes that have to be as they were for it to be believed: the frame, or the whole slot.
    pub range: Range<u64>,
    /// The last commit that it claims to have been durable.
    pub commit_no: u64,
    /// The last number that it claims to have been durable.
    pub seq: u64,
}

/// The entries of a run, read from the files of its folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// The run.
    pub uid: [u8; 16],
    /// MANIFEST, where it can be read.
    pub manifest: Option<Manifest>,
    /// WATERMARK, where it is there.
    pub watermark: Option<Watermark>,
    /// Every segment by its ordinal, those in the chain and all others.
    pub segments: BTreeMap<u32, Segment>,
    /// The segments that the chain of accepted batches goes through.
    pub chain: Vec<u32>,
    /// The segments that hold frames and of whose header page no copy fits.
    pub pages_lost: Vec<u32>,
}

/// The name of the segment with this ordinal.
#[must_use]
pub fn segment_name(ordinal: u32) -> String {
    format!("{ordinal:08}.seg")
}

/// The ordinal of the segment with this name; none if it is no name of a segment.
#[must_use]
pub fn ordinal_of(name: &str) -> Option<u32> {
    let digits = name.strip_suffix(".seg")?;
    let strict = digits.len() == 8 && digits.bytes().all(|digit| digit.is_ascii_digit());
    digits.parse().ok().filter(|ordinal| strict && *ordinal > 0)
}

/// What a reader carries from segment to segment, which is what an OPEN has to say.
#[derive(Default)]
struct Carried {
    commit_no: u64,
    seq: u64,
    max_ts_init: u64,
    previous: (u32, u64),
    anchor: (u32, u64),
    root: Root,
}

impl Carried {
    fn fits(&self, open: &OpenPlace) -> bool {
        open.base_commit_no == self.commit_no
            && open.base_seq == self.seq
            && open.max_ts_init == self.max_ts_init
            && (open.previous_ordinal, open.previous_end) == self.previous
            && open.anchor == self.anchor
            && open.root == self.root
            && open.marker_counts == [0; 4]
    }

    fn pass(&mut self, ordinal: u32, batch: &BatchPlace) {
        (self.commit_no, self.seq, self.root) = (batch.commit_no, batch.last_seq, batch.root);
        self.max_ts_init = self.max_ts_init.max(batch.max_ts_init);
        self.previous = (ordinal, batch.end as u64);
        if let Some(anchor) = batch.records.iter().rfind(|record| record.kind == kind::ANCHOR) {
            self.anchor = (ordinal, anchor.range.start as u64);
        }
    }
}

impl Run {
    /// Reads the files of a run's folder, each with its name in the folder. Names of no meaning are ignored.
    ///
    /// None if nothing says which run it is: no MANIFEST, and no segment with a whole header page.
    #[must_use]
    pub fn read<'a>(files: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Option<Self> {
        let files: BTreeMap<&str, &[u8]> = files.into_iter().collect();
        let contents = || files.iter().filter_map(|(name, bytes)| Some((ordinal_of(name)?, *bytes)));
        let manifest = files.get("MANIFEST").and_then(|bytes| Manifest::read(bytes));
        let uid = match &manifest {
            Some(manifest) => manifest.uid,
            None => contents().find_map(|(_, bytes)| Identity::of_page(bytes))?.uid,
        };
        let identity = |ordinal| Identity { uid, stream: STREAM_ENTRIES, ordinal };
        let segments: BTreeMap<u32, Segment> =
            contents().filter_map(|(ordinal, bytes)| Some((ordinal, Segment::read(bytes, Some(identity(ordinal)))?))).collect();
        let watermark = files.get("WATERMARK").map(|bytes| Watermark::read(bytes));
        let pages_lost = segments
            .iter()
            .filter(|(ordinal, segment)| !segment.is_spare() && !segment.copies.contains(&Some(identity(**ordinal))))
            .map(|(ordinal, _)| *ordinal)
            .collect();
        let genesis = files.get(segment_name(1).as_str()).zip(segments.get(&1).and_then(|first| first.genesis.as_ref()));
        let genesis = genesis.and_then(|(bytes, frame)| bytes.get(frame.body.clone()));
        let opening = match &manifest {
            Some(manifest) => files.get("MANIFEST").and_then(|bytes| bytes.get(manifest.opening.clone())),
            // GENESIS takes the place of a lost MANIFEST, if it is a whole opening section of this run.
            None => genesis.filter(|bytes| Manifest::read(bytes).is_some_and(|section| section.uid == uid && !section.goes_on)),
        };
        let chain = match (opening, genesis) {
            (Some(opening), Some(genesis)) if opening == genesis => chain(&segments, root_zero(&uid, opening)),
            _ => Vec::new(),
        };
        Some(Self { uid, manifest, watermark, segments, chain, pages_lost })
    }

    /// All batches of the chain in their order, each with the ordinal of its segment.
    pub fn batches(&self) -> impl Iterator<Item = (u32, &BatchPlace)> {
        self.chain
            .iter()
            .filter_map(|ordinal| self.segments.get(ordinal))
            .flat_map(|segment| segment.batches.iter().map(|batch| (segment.identity.ordinal, batch)))
    }

    /// The batch of the chain with this commit number, and the ordinal of its segment.
    #[must_use]
    pub fn batch(&self, commit_no: u64) -> Option<(u32, &BatchPlace)> {
        let at = self.chain.partition_point(|ordinal| self.last_commit_in_segment(*ordinal).is_some_and(|last| last < commit_no));
        let ordinal = *self.chain.get(at)?;
        let batches = &self.segments.get(&ordinal)?.batches;
        let at = batches.partition_point(|batch| batch.commit_no < commit_no);
        batches.get(at).filter(|batch| batch.commit_no == commit_no).map(|batch| (ordinal, batch))
    }

    /// The last batch of the chain, and the ordinal of its segment.
    #[must_use]
    pub fn last_batch(&self) -> Option<(u32, &BatchPlace)> {
        let ordinal = *self.chain.last()?;
        self.segments.get(&ordinal)?.batches.last().map(|batch| (ordinal, batch))
    }

    /// The number of the last commit of the chain; 0 without one. Section 11 calls it E.
    #[must_use]
    pub fn last_commit(&self) -> u64 {
        self.last_batch().map_or(0, |(_, batch)| batch.commit_no)
    }

    /// The last commit in a segment of the chain.
    #[must_use]
    pub fn last_commit_in_segment(&self, ordinal: u32) -> Option<u64> {
        self.segments.get(&ordinal).filter(|_| self.chain.contains(&ordinal))?.last_commit()
    }

    /// Every witness: the whole slots of WATERMARK, the commits of the chain, and what may testify behind its end.
    #[must_use]
    pub fn witnesses(&self) -> Vec<WitnessPlace> {
        let slots = self.watermark.iter().flat_map(|watermark| watermark.slots.iter().flatten());
        let slots = slots.filter(|slot| slot.uid == self.uid && slot.stream == STREAM_ENTRIES).map(|slot| {
            let start = slot.fields.start as u64;
            WitnessPlace { file: "WATERMARK".to_owned(), range: start..start + SLOT_LEN as u64, commit_no: slot.commit_no, seq: slot.seq }
        });
        let end = self.chain.last().copied().unwrap_or(0);
        let commits = self.segments.iter().flat_map(|(ordinal, segment)| {
            let accepted = segment.batches.iter().map(|batch| (batch.commit.clone(), batch.claimed_commit_no, batch.claimed_seq));
            let testimony = |commit: &CommitPlace| (commit.range.clone(), commit.claimed_commit_no, commit.claimed_seq);
            // Behind the last batch of a segment that the chain has left, there is nothing that belongs to the log.
            let behind = segment.testimony_behind.iter().filter(move |_| *ordinal >= end).map(testimony);
            accepted.chain(behind).map(|(range, commit_no, seq)| WitnessPlace {
                file: segment_name(*ordinal),
                range: range.start as u64..range.end as u64,
                commit_no,
                seq,
            })
        });
        slots.chain(commits).collect()
    }

    /// The highest commit that an intact witness claims; 0 if none does. Section 11 calls it P.
    ///
    /// A witness is intact unless `damaged` says that the damage touches its bytes.
    #[must_use]
    pub fn proven_claims(&self, damaged: &dyn Fn(&str, Range<u64>) -> bool) -> u64 {
        let witnesses = self.witnesses().into_iter().filter(|witness| !damaged(&witness.file, witness.range.clone()));
        witnesses.map(|witness| witness.commit_no).max().unwrap_or(0)
    }

    /// What the byte at `offset` of a segment belongs to; none if the file is no segment or ends before it.
    #[must_use]
    pub fn owner(&self, file: &str, offset: u64) -> Option<Owner> {
        self.segments.get(&ordinal_of(file)?)?.owner(usize::try_from(offset).ok()?)
    }

    /// The first commit that a walk from segment 1 cannot accept when the byte at `offset` is another one.
    #[must_use]
    pub fn commit_of(&self, file: &str, offset: u64) -> Option<u64> {
        self.segments.get(&ordinal_of(file)?)?.commit_of(usize::try_from(offset).ok()?)
    }

    /// The first commit that a walk from segment 1 cannot accept when bytes of this range are other ones.
    #[must_use]
    pub fn first_commit_in(&self, file: &str, range: &Range<u64>) -> Option<u64> {
        let range = usize::try_from(range.start).ok()?..usize::try_from(range.end).ok()?;
        self.segments.get(&ordinal_of(file)?)?.first_commit_in(&range)
    }
}

/// The segments that the chain goes through, from segment 1 as long as each OPEN says what was carried there.
fn chain(segments: &BTreeMap<u32, Segment>, root: Root) -> Vec<u32> {
    let (mut carried, mut chain) = (Carried { root, ..Carried::default() }, Vec::new());
    for (ordinal, segment) in segments {
        // The segments in use have consecutive ordinals, from 1.
        if *ordinal != carried.previous.0 + 1 {
            break;
        }
        if segment.batches.is_empty() || !segment.open.as_ref().is_some_and(|open| carried.fits(open)) {
            break;
        }
        for batch in &segment.batches {
            carried.pass(*ordinal, batch);
        }
        chain.push(*ordinal);
    }
    chain
}
