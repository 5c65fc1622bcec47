//! What a child records: batches and anchors that follow from a number, and how it stores them.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tapelog::{AppendEntry, Durability, ReadPath, SegmentBackend, SnapshotAnchor};

use crate::support::children::given;
use crate::support::entries::entry_of;

/// The run that the child records.
pub const RUN: &str = "1000-0000000a";

/// Small numbers that follow from a seed; good enough to vary sizes.
#[derive(Debug, Clone)]
pub struct Numbers(u64);

impl Numbers {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// Other numbers each time.
    pub fn by_chance() -> Self {
        Self::new(RandomState::new().build_hasher().finish())
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % bound
    }
}

/// How a child records.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    pub seed: u64,
    pub buffered: bool,
    pub indexes: bool,
}

/// The next thing that a child does.
#[derive(Debug, Clone)]
pub enum Step {
    Batch(Vec<AppendEntry>),
    Anchor(SnapshotAnchor),
}

impl Plan {
    /// Tells a child what to do, and where.
    pub fn give(&self, command: &mut Command, base: &Path) {
        command.env("TAPELOG_TEST_BASE", base).env("TAPELOG_TEST_SEED", self.seed.to_string());
        command.env("TAPELOG_TEST_BUFFERED", self.buffered.to_string()).env("TAPELOG_TEST_INDEXES", self.indexes.to_string());
    }

    /// What the parent told.
    pub fn given() -> Self {
        Self {
            seed: given("TAPELOG_TEST_SEED").parse().unwrap(),
            buffered: given("TAPELOG_TEST_BUFFERED").parse().unwrap(),
            indexes: given("TAPELOG_TEST_INDEXES").parse().unwrap(),
        }
    }

    pub fn store(&self, base: &Path) -> SegmentBackend {
        let mut numbers = Numbers::new(self.seed ^ 0x5eed);
        let durability = if self.buffered {
            Durability::Buffered { sync_every: Duration::from_millis(1 + numbers.below(8)) }
        } else {
            Durability::Synced
        };
        SegmentBackend::builder(base)
            .segment_len([16 << 10, 20 << 10, 64 << 10][usize::try_from(numbers.below(3)).unwrap()])
            .spares(u32::try_from(1 + numbers.below(3)).unwrap())
            .index_spacing(512)
            .indexes(self.indexes)
            .read_path(if numbers.below(2) == 0 { ReadPath::Map } else { ReadPath::Positional })
            .durability(durability)
            .build()
            .unwrap()
    }

    /// What the child does, without an end.
    pub fn steps(&self) -> impl Iterator<Item = Step> {
        let mut numbers = Numbers::new(self.seed);
        let mut last_seq = 0;
        let mut anchors = 0;
        std::iter::from_fn(move || {
            if last_seq > 0 && numbers.below(12) == 0 {
                anchors += 1;
                return Some(Step::Anchor(SnapshotAnchor::new(last_seq, format!("blob-{anchors}"), "hash")));
            }
            let count = if numbers.below(8) == 0 { 1 + numbers.below(60) } else { 1 + numbers.below(6) };
            let batch: Vec<_> = (last_seq + 1..=last_seq + count).map(|seq| entry_of(seq, payload_len(&mut numbers))).collect();
            last_seq += count;
            Some(Step::Batch(batch))
        })
    }
}

/// Mostly small, seldom larger than a small segment.
fn payload_len(numbers: &mut Numbers) -> usize {
    let len = match numbers.below(400) {
        0 => 15_000 + numbers.below(60_000),
        1..20 => numbers.below(4_000),
        _ => numbers.below(400),
    };
    usize::try_from(len).unwrap()
}
