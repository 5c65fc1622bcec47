//! The markers of a run's sidecar: how far each stream of market data had come, and when.
//!
//! Market data itself is not in the log. Markers say which of it an engine had seen before each entry,
//! so that replay can join the two again. They are lossy, and say where they have lost something.

use std::fmt;
use std::str::FromStr;

use blake3::Hasher;
use serde::{Deserialize, Serialize};

use super::hash::update_with_len;
use super::{RunId, RunStatus, UnixNanos};

const SNAPSHOT_DOMAIN: &[u8] = b"nautilus-event-store/marker/v1";
const HIFI_DOMAIN: &[u8] = b"nautilus-event-store/hifi/v1";
const DICT_DOMAIN: &[u8] = b"nautilus-event-store/dict/v1";
const GAP_DOMAIN: &[u8] = b"nautilus-event-store/gap/v1";

/// A kind of market data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum DataClass {
    /// Changes of an order book.
    BookDeltas,
    /// The ten best levels of an order book.
    BookDepth10,
    /// Best bid and ask.
    Quote,
    /// Trades.
    Trade,
    /// Bars.
    Bar,
}

impl DataClass {
    /// Every class.
    pub const ALL: [Self; 5] = [Self::BookDeltas, Self::BookDepth10, Self::Quote, Self::Trade, Self::Bar];

    /// The class's name. It is part of [`compute_dict_hash`] and never changes.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BookDeltas => "BookDeltas",
            Self::BookDepth10 => "BookDepth10",
            Self::Quote => "Quote",
            Self::Trade => "Trade",
            Self::Bar => "Bar",
        }
    }
}

impl fmt::Display for DataClass {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

impl FromStr for DataClass {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|class| class.as_str() == name).ok_or_else(|| format!("{name:?} is not the name of a data class"))
    }
}

/// The number that stands for a stream of market data within one run.
pub type StreamSlot = u32;

/// How far one stream had come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct StreamCursor {
    /// The stream.
    pub slot: StreamSlot,
    /// The largest `ts_init` seen in the stream.
    pub ts_init_hi: UnixNanos,
    /// How many records were seen in the stream since the run began.
    pub count: u64,
}

/// How far the streams had come that moved since the snapshot before.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct DataCursorSnapshot {
    /// The marker's number in its run, shared by snapshots, high-fidelity markers and gaps.
    pub marker_seq: u64,
    /// The last entry before the marker; 0 when there was none.
    pub event_seq_before: u64,
    /// When the snapshot was taken.
    pub ts_init: UnixNanos,
    /// The streams that moved.
    pub advanced: Vec<StreamCursor>,
}

/// One record of market data, marked by itself.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct HiFiMarker {
    /// The marker's number in its run, shared by snapshots, high-fidelity markers and gaps.
    pub marker_seq: u64,
    /// The last entry before the marker; 0 when there was none.
    pub event_seq_before: u64,
    /// The record's stream.
    pub slot: StreamSlot,
    /// When the event happened at the venue.
    pub ts_event: UnixNanos,
    /// When the record came into being at the engine.
    pub ts_init: UnixNanos,
    /// The record's place among those of the same stream and `ts_init`, from 0.
    pub same_ts_ordinal: u32,
    /// A hash of the record, by which it is recognised in the catalogue.
    pub record_fingerprint: [u8; 32],
}

/// Why markers are missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum MarkerGapReason {
    /// The marker writer's queue was full.
    Overflow,
    /// The marker writer was closed before it came to them.
    WriterClosed,
}

/// A range of markers that were dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct MarkerGap {
    /// The first marker that was dropped.
    pub from_marker_seq: u64,
    /// The last marker that was dropped.
    pub to_marker_seq: u64,
    /// Why they were dropped.
    pub reason: MarkerGapReason,
}

/// What a slot stands for. Written once for each slot.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct StreamDictEntry {
    /// The slot.
    pub slot: StreamSlot,
    /// The stream's kind of data.
    pub data_cls: DataClass,
    /// What the stream is about: an instrument id or a bar type.
    pub identifier: String,
}

/// What a run's sidecar holds and, once it is sealed, how it ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MarkerManifest {
    /// The run that the sidecar belongs to.
    pub run_id: RunId,
    /// The kinds of data that are marked.
    pub enabled_classes: Vec<DataClass>,
    /// Whether each record gets a marker of its own.
    pub high_fidelity: bool,
    /// How many cursor snapshots there are.
    pub snapshot_count: u64,
    /// How many high-fidelity markers there are.
    pub hifi_count: u64,
    /// How many gaps there are.
    pub gap_count: u64,
    /// How many slots have a dictionary entry.
    pub dict_count: u64,
    /// Where the sidecar stands in its life.
    pub status: RunStatus,
}

impl MarkerManifest {
    /// Whether the sidecar is over: no record can be added to it any more.
    #[must_use]
    pub const fn is_sealed(&self) -> bool {
        !matches!(self.status, RunStatus::Running)
    }
}

/// A record of the sidecar with the hash that is stored beside it, for those who compare the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct StoredMarkerRecord<T> {
    /// The record.
    pub record: T,
    /// The hash as it is stored.
    pub hash: [u8; 32],
}

/// The hash of a cursor snapshot.
#[must_use]
pub fn compute_marker_hash(snapshot: &DataCursorSnapshot) -> [u8; 32] {
    let mut hasher = Hasher::new();
    hasher.update(SNAPSHOT_DOMAIN);
    hasher.update(&snapshot.marker_seq.to_be_bytes());
    hasher.update(&snapshot.event_seq_before.to_be_bytes());
    hasher.update(&snapshot.ts_init.as_u64().to_be_bytes());
    hasher.update(&(snapshot.advanced.len() as u64).to_be_bytes());
    for cursor in &snapshot.advanced {
        hasher.update(&cursor.slot.to_be_bytes());
        hasher.update(&cursor.ts_init_hi.as_u64().to_be_bytes());
        hasher.update(&cursor.count.to_be_bytes());
    }
    hasher.finalize().into()
}

/// The hash of a high-fidelity marker.
#[must_use]
pub fn compute_hifi_hash(marker: &HiFiMarker) -> [u8; 32] {
    let mut hasher = Hasher::new();
    hasher.update(HIFI_DOMAIN);
    hasher.update(&marker.marker_seq.to_be_bytes());
    hasher.update(&marker.event_seq_before.to_be_bytes());
    hasher.update(&marker.slot.to_be_bytes());
    hasher.update(&marker.ts_event.as_u64().to_be_bytes());
    hasher.update(&marker.ts_init.as_u64().to_be_bytes());
    hasher.update(&marker.same_ts_ordinal.to_be_bytes());
    hasher.update(&marker.record_fingerprint);
    hasher.finalize().into()
}

/// The hash of a dictionary entry.
#[must_use]
pub fn compute_dict_hash(entry: &StreamDictEntry) -> [u8; 32] {
    let mut hasher = Hasher::new();
    hasher.update(DICT_DOMAIN);
    hasher.update(&entry.slot.to_be_bytes());
    update_with_len(&mut hasher, entry.data_cls.as_str().as_bytes());
    update_with_len(&mut hasher, entry.identifier.as_bytes());
    hasher.finalize().into()
}

/// The hash of a gap.
#[must_use]
pub fn compute_gap_hash(gap: &MarkerGap) -> [u8; 32] {
    let mut hasher = Hasher::new();
    hasher.update(GAP_DOMAIN);
    hasher.update(&gap.from_marker_seq.to_be_bytes());
    hasher.update(&gap.to_marker_seq.to_be_bytes());
    hasher.update(&[match gap.reason {
        MarkerGapReason::Overflow => 0,
        MarkerGapReason::WriterClosed => 1,
    }]);
    hasher.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: u64 = 1_700_000_000_000_000_000;

    fn snapshot() -> DataCursorSnapshot {
        DataCursorSnapshot {
            marker_seq: 1,
            event_seq_before: 42,
            ts_init: UnixNanos::from(BASE),
            advanced: vec![
                StreamCursor { slot: 0, ts_init_hi: UnixNanos::from(BASE + 1), count: 7 },
                StreamCursor { slot: 1, ts_init_hi: UnixNanos::from(BASE + 2), count: 3 },
            ],
        }
    }

    fn hifi() -> HiFiMarker {
        HiFiMarker {
            marker_seq: 1,
            event_seq_before: 42,
            slot: 0,
            ts_event: UnixNanos::from(BASE),
            ts_init: UnixNanos::from(BASE + 1),
            same_ts_ordinal: 0,
            record_fingerprint: [0xAB; 32],
        }
    }

    fn dict() -> StreamDictEntry {
        StreamDictEntry { slot: 3, data_cls: DataClass::Quote, identifier: "ETHUSDT.BINANCE".to_owned() }
    }

    fn gap() -> MarkerGap {
        MarkerGap { from_marker_seq: 5, to_marker_seq: 9, reason: MarkerGapReason::Overflow }
    }

    fn hex(hash: [u8; 32]) -> String {
        blake3::Hash::from_bytes(hash).to_string()
    }

    fn assert_every_change_changes_the_hash<T: Clone>(value: &T, hash: impl Fn(&T) -> [u8; 32], changes: &[fn(&mut T)]) {
        let mut seen = vec![hash(value)];
        for (index, change) in changes.iter().enumerate() {
            let mut other = value.clone();
            change(&mut other);
            let other_hash = hash(&other);
            assert!(!seen.contains(&other_hash), "change {index} does not show in the hash");
            seen.push(other_hash);
        }
    }

    #[test]
    fn a_snapshot_has_the_golden_hash() {
        assert_eq!(hex(compute_marker_hash(&snapshot())), "898bc3efdaf0edd9167a38a1c3060c9b4dc051658ea2f6132004bed78a481c47");
    }

    #[test]
    fn a_high_fidelity_marker_has_the_golden_hash() {
        assert_eq!(hex(compute_hifi_hash(&hifi())), "06542408380d8815ef783b9dbde6b3e3ffdf05605bb17e83ad48474557457517");
    }

    #[test]
    fn a_dictionary_entry_has_the_golden_hash() {
        assert_eq!(hex(compute_dict_hash(&dict())), "24e702c5ae20b832ad6907676919fa18a89b79e97dde9df7e1de454191f42fda");
    }

    #[test]
    fn a_gap_has_the_golden_hash() {
        assert_eq!(hex(compute_gap_hash(&gap())), "ec1ae0ea813e9971155c6277e95c43de72da6f22ca1832f072aadd9b91f5a3ec");
    }

    #[test]
    fn every_field_of_a_snapshot_changes_its_hash() {
        assert_every_change_changes_the_hash(
            &snapshot(),
            compute_marker_hash,
            &[
                |value| value.marker_seq += 1,
                |value| value.event_seq_before += 1,
                |value| value.ts_init = UnixNanos::from(BASE + 9),
                |value| value.advanced[0].slot = 9,
                |value| value.advanced[0].ts_init_hi = UnixNanos::from(BASE + 9),
                |value| value.advanced[0].count += 1,
                |value| value.advanced.swap(0, 1),
                |value| value.advanced.truncate(1),
                |value| value.advanced.clear(),
            ],
        );
    }

    #[test]
    fn every_field_of_a_high_fidelity_marker_changes_its_hash() {
        assert_every_change_changes_the_hash(
            &hifi(),
            compute_hifi_hash,
            &[
                |value| value.marker_seq += 1,
                |value| value.event_seq_before += 1,
                |value| value.slot += 1,
                |value| value.ts_event = UnixNanos::from(BASE + 9),
                |value| value.ts_init = UnixNanos::from(BASE + 9),
                |value| value.same_ts_ordinal += 1,
                |value| value.record_fingerprint[31] ^= 1,
            ],
        );
    }

    #[test]
    fn every_field_of_a_dictionary_entry_changes_its_hash() {
        assert_every_change_changes_the_hash(
            &dict(),
            compute_dict_hash,
            &[|value| value.slot += 1, |value| value.data_cls = DataClass::Trade, |value| value.identifier.push('X')],
        );
    }

    #[test]
    fn every_field_of_a_gap_changes_its_hash() {
        assert_every_change_changes_the_hash(
            &gap(),
            compute_gap_hash,
            &[|value| value.from_marker_seq += 1, |value| value.to_marker_seq += 1, |value| value.reason = MarkerGapReason::WriterClosed],
        );
    }

    #[test]
    fn the_name_of_a_class_leads_back_to_it() {
        for class in DataClass::ALL {
            assert_eq!(class.to_string().parse(), Ok(class));
        }
        assert!("quote".parse::<DataClass>().unwrap_err().contains("quote"));
    }

    #[test]
    fn only_a_running_sidecar_is_not_sealed() {
        for status in RunStatus::ALL {
            let manifest = MarkerManifest {
                run_id: "1-00000000".to_owned(),
                enabled_classes: vec![DataClass::Quote],
                high_fidelity: false,
                snapshot_count: 0,
                hifi_count: 0,
                gap_count: 0,
                dict_count: 0,
                status,
            };
            assert_eq!(manifest.is_sealed(), status != RunStatus::Running);
        }
    }
}
