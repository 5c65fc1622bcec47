//! The sparse index of a full segment: about every 4 KiB the frame of an entry, to begin reading at.

use bytes::Bytes;

use super::FormatError;
use super::bytes::put_u64;
use super::field::{Field, covers};
use super::header_page::PAGE_LEN;
use super::index_header::{self, HEADER_LEN};

pub(crate) use super::index_header::IndexBinding;

const SEQ: Field = Field::first("seq", 8);
const OFFSET: Field = SEQ.then("offset", 8);
const MAX_TS_INIT: Field = OFFSET.then("max_ts_init", 8);

/// The fields of a record.
pub(crate) const FIELDS: &[Field] = &[SEQ, OFFSET, MAX_TS_INIT];

/// The length of a record.
pub(crate) const RECORD_LEN: usize = 24;

/// The first bytes of the file.
pub(crate) const MAGIC: &str = "TAPELOGI";

const _: () = assert!(covers(FIELDS, RECORD_LEN));

/// An entry at which reading can begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SparsePoint {
    /// The entry's number.
    pub(crate) seq: u64,
    /// Where its frame begins.
    pub(crate) offset: u64,
    /// The largest `ts_init` of the run up to and including the entry.
    pub(crate) max_ts_init: u64,
}

/// The bytes of an index with these points, which ascend.
pub(crate) fn encode(binding: &IndexBinding, points: &[SparsePoint]) -> Vec<u8> {
    let mut buf = index_header::begin(MAGIC, binding, points.len(), RECORD_LEN);
    for point in points {
        put_u64(&mut buf, point.seq);
        put_u64(&mut buf, point.offset);
        put_u64(&mut buf, point.max_ts_init);
    }
    index_header::finish(&mut buf);
    buf
}

/// A sparse index that is whole and belongs to its segment.
#[derive(Debug, Clone)]
pub(crate) struct SparseIndex {
    records: Bytes,
}

impl SparseIndex {
    /// Checks an index against its segment.
    pub(crate) fn decode(mut bytes: Bytes, binding: &IndexBinding) -> Result<Self, FormatError> {
        index_header::check(&bytes, MAGIC, binding, RECORD_LEN)?;
        let this = Self { records: bytes.split_off(HEADER_LEN) };
        let mut before: Option<SparsePoint> = None;
        for index in 0..this.len() {
            let Some(point) = this.point(index) else { break };
            let follows = before
                .is_none_or(|before| before.seq < point.seq && before.offset < point.offset && before.max_ts_init <= point.max_ts_init);
            let inside = point.offset >= PAGE_LEN as u64 && point.offset < binding.segment_end && point.offset.is_multiple_of(8);
            if !follows || !inside {
                return Err(FormatError::damaged(
                    HEADER_LEN + index * RECORD_LEN,
                    "a point of the segment behind the one before",
                    format!("{point:?}"),
                ));
            }
            before = Some(point);
        }
        Ok(this)
    }

    /// How many points there are.
    pub(crate) fn len(&self) -> usize {
        self.records.len() / RECORD_LEN
    }

    /// The point with this index, from 0.
    #[inline]
    pub(crate) fn point(&self, index: usize) -> Option<SparsePoint> {
        let start = index.checked_mul(RECORD_LEN)?;
        let record: &[u8; RECORD_LEN] = self.records.get(start..)?.first_chunk()?;
        Some(SparsePoint { seq: SEQ.u64(record).ok()?, offset: OFFSET.u64(record).ok()?, max_ts_init: MAX_TS_INIT.u64(record).ok()? })
    }

    /// The last point at or before `seq`.
    pub(crate) fn floor(&self, seq: u64) -> Option<SparsePoint> {
        let behind = self.partition_point(|point| point.seq <= seq);
        self.point(behind.checked_sub(1)?)
    }

    /// How many points satisfy `is_before`, which holds for points up to one of them and for none behind it.
    pub(crate) fn partition_point(&self, is_before: impl Fn(&SparsePoint) -> bool) -> usize {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low + (high - low) / 2;
            if self.point(middle).is_some_and(|point| is_before(&point)) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::format::salt::Stream;
    use crate::format::testing::{UID, for_each_bit_flip, for_each_truncation, hex_lines, is_damage, salt};

    fn binding() -> IndexBinding {
        IndexBinding { stream: Stream::Entries, uid: UID, ordinal: 1, salt: salt(), segment_end: 1 << 26, root: [0x33; 32] }
    }

    fn points() -> Vec<SparsePoint> {
        [(10, 4256, 100), (20, 8352, 100), (35, 12_448, 130)]
            .map(|(seq, offset, max_ts_init)| SparsePoint { seq, offset, max_ts_init })
            .to_vec()
    }

    fn decode(bytes: &[u8]) -> Result<SparseIndex, FormatError> {
        SparseIndex::decode(Bytes::copy_from_slice(bytes), &binding())
    }

    #[test]
    fn an_index_has_its_golden_bytes() {
        assert_eq!(
            hex_lines(&encode(&binding(), &points())[HEADER_LEN..]),
            [
                "0a00000000000000a01000000000000064000000000000001400000000000000",
                "a02000000000000064000000000000002300000000000000a030000000000000",
                "8200000000000000",
            ]
        );
        assert_eq!(
            hex_lines(&encode(&binding(), &points())[..HEADER_LEN]),
            [
                "544150454c4f47490100000001000000000102030405060708090a0b0c0d0e0f",
                "52154d173252780718e9bc385abdd1db00000004000000000300000000000000",
                "3333333333333333333333333333333333333333333333333333333333333333",
                "b3e542f0537b03904e2389b80bd8a43f9b254d33cb57fd9a5b5802b9fd5368af",
                "0100000000000000",
            ]
        );
    }

    #[test]
    fn the_floor_is_the_last_point_at_or_before() {
        let index = decode(&encode(&binding(), &points())).unwrap();
        let floor = |seq| index.floor(seq).map(|point| point.seq);
        assert_eq!(
            [0, 9, 10, 19, 20, 34, 35, u64::MAX].map(floor),
            [None, None, Some(10), Some(10), Some(20), Some(20), Some(35), Some(35)]
        );
        assert_eq!(index.len(), 3);
        assert_eq!(index.point(3), None);
        assert_eq!(index.point(usize::MAX), None);
    }

    #[test]
    fn an_empty_index_has_no_floor() {
        let index = decode(&encode(&binding(), &[])).unwrap();
        assert_eq!(index.len(), 0);
        assert_eq!(index.floor(u64::MAX), None);
    }

    #[test]
    fn every_bit_is_protected() {
        for_each_bit_flip(&encode(&binding(), &points()), |flipped, what| assert!(is_damage(&decode(flipped)), "{what} went unnoticed"));
    }

    #[test]
    fn an_index_cut_short_is_damage() {
        for_each_truncation(&encode(&binding(), &points()), |bytes| assert!(is_damage(&decode(bytes))));
    }

    #[test]
    fn points_that_do_not_ascend_or_lie_outside_are_refused_although_the_check_is_right() {
        let changes: [fn(&mut SparsePoint); 7] = [
            |point| point.seq = 10,
            |point| point.offset = 4256,
            |point| point.max_ts_init = 99,
            |point| point.offset += 4,
            |point| point.offset = 0,
            |point| point.offset = 1 << 26,
            |point| point.offset = 12_448,
        ];
        for change in changes {
            let mut points = points();
            change(&mut points[1]);
            assert!(is_damage(&decode(&encode(&binding(), &points))), "{points:?}");
        }
    }

    proptest! {
        #[test]
        fn an_index_is_read_back(steps in proptest::collection::vec((1_u64..1 << 40, 1_u64..1000, 0_u64..1 << 40), 0..200), probe: u64) {
            let mut points: Vec<SparsePoint> = Vec::new();
            let mut last = SparsePoint { seq: 0, offset: 4096, max_ts_init: 0 };
            for (seq, offset, ts) in steps {
                last = SparsePoint { seq: last.seq + seq, offset: last.offset + 8 * offset, max_ts_init: last.max_ts_init + ts };
                points.push(last);
            }
            let index = decode(&encode(&binding(), &points)).unwrap();
            let read: Vec<_> = (0..index.len()).filter_map(|at| index.point(at)).collect();
            prop_assert_eq!(&read, &points);
            for seq in points.iter().flat_map(|point| [point.seq - 1, point.seq]).chain([probe]) {
                prop_assert_eq!(index.floor(seq), points.iter().rev().find(|point| point.seq <= seq).copied());
            }
        }
    }
}
