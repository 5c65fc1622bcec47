//! The trait through which the markers of a sidecar are written and read.

use std::fmt::Debug;

use crate::error::EventStoreError;
use crate::model::{DataCursorSnapshot, HiFiMarker, MarkerGap, MarkerManifest, RunStatus, StoredMarkerRecord, StreamDictEntry};

/// A store of the markers of one run at a time.
///
/// Rules that every store keeps:
///
/// - Before [`open_run`](Self::open_run) every other call is [`EventStoreError::Backend`] with a message
///   that contains `no run open`.
/// - Records are stored with the hash that is given. Their order and contents are not judged: a verifier does that.
/// - Scans return records in the order of their numbers, whatever the order in which they came.
/// - A sealed sidecar is read only: what would change it is [`EventStoreError::Closed`].
/// - A sidecar never keeps an engine from starting.
pub trait MarkerBackend: Debug + Send {
    /// Begins a sidecar, with status `Running` and counts of 0 whatever the manifest says of them.
    ///
    /// # Errors
    ///
    /// [`EventStoreError::InvalidId`] when the run id cannot name a folder, [`EventStoreError::Backend`] when the
    /// sidecar belongs to another run and for what no other variant names, [`EventStoreError::Disk`].
    fn open_run(&mut self, manifest: MarkerManifest) -> Result<(), EventStoreError>;

    /// Appends a cursor snapshot with its hash.
    ///
    /// # Errors
    ///
    /// [`EventStoreError::Closed`], [`EventStoreError::LimitExceeded`], [`EventStoreError::Disk`],
    /// [`EventStoreError::Backend`].
    fn append_snapshot(&mut self, snapshot: &DataCursorSnapshot, hash: [u8; 32]) -> Result<(), EventStoreError>;

    /// Appends a high-fidelity marker with its hash.
    ///
    /// # Errors
    ///
    /// Those of [`append_snapshot`](Self::append_snapshot).
    fn append_hifi(&mut self, marker: &HiFiMarker, hash: [u8; 32]) -> Result<(), EventStoreError>;

    /// Appends a gap with its hash.
    ///
    /// # Errors
    ///
    /// Those of [`append_snapshot`](Self::append_snapshot).
    fn append_gap(&mut self, gap: &MarkerGap, hash: [u8; 32]) -> Result<(), EventStoreError>;

    /// Says what a slot stands for. The first to say so is believed: a second time is ignored and not counted.
    ///
    /// # Errors
    ///
    /// Those of [`append_snapshot`](Self::append_snapshot).
    fn put_dict(&mut self, entry: &StreamDictEntry, hash: [u8; 32]) -> Result<(), EventStoreError>;

    /// All cursor snapshots by ascending `marker_seq`.
    ///
    /// # Errors
    ///
    /// [`EventStoreError::Backend`], [`EventStoreError::Disk`] and [`EventStoreError::Corrupted`].
    fn scan_snapshots(&self) -> Result<Vec<DataCursorSnapshot>, EventStoreError>;

    /// All high-fidelity markers by ascending `marker_seq`.
    ///
    /// # Errors
    ///
    /// Those of [`scan_snapshots`](Self::scan_snapshots).
    fn scan_hifi(&self) -> Result<Vec<HiFiMarker>, EventStoreError>;

    /// All gaps by ascending `from_marker_seq`.
    ///
    /// # Errors
    ///
    /// Those of [`scan_snapshots`](Self::scan_snapshots).
    fn scan_gaps(&self) -> Result<Vec<MarkerGap>, EventStoreError>;

    /// The whole dictionary by ascending slot.
    ///
    /// # Errors
    ///
    /// Those of [`scan_snapshots`](Self::scan_snapshots).
    fn scan_dict(&self) -> Result<Vec<StreamDictEntry>, EventStoreError>;

    /// [`scan_snapshots`](Self::scan_snapshots) with the stored hashes; none when the store does not give them away.
    ///
    /// # Errors
    ///
    /// Those of [`scan_snapshots`](Self::scan_snapshots).
    fn scan_snapshot_records(&self) -> Result<Option<Vec<StoredMarkerRecord<DataCursorSnapshot>>>, EventStoreError> {
        Ok(None)
    }

    /// [`scan_hifi`](Self::scan_hifi) with the stored hashes; none when the store does not give them away.
    ///
    /// # Errors
    ///
    /// Those of [`scan_snapshots`](Self::scan_snapshots).
    fn scan_hifi_records(&self) -> Result<Option<Vec<StoredMarkerRecord<HiFiMarker>>>, EventStoreError> {
        Ok(None)
    }

    /// [`scan_gaps`](Self::scan_gaps) with the stored hashes; none when the store does not give them away.
    ///
    /// # Errors
    ///
    /// Those of [`scan_snapshots`](Self::scan_snapshots).
    fn scan_gap_records(&self) -> Result<Option<Vec<StoredMarkerRecord<MarkerGap>>>, EventStoreError> {
        Ok(None)
    }

    /// [`scan_dict`](Self::scan_dict) with the stored hashes; none when the store does not give them away.
    ///
    /// # Errors
    ///
    /// Those of [`scan_snapshots`](Self::scan_snapshots).
    fn scan_dict_records(&self) -> Result<Option<Vec<StoredMarkerRecord<StreamDictEntry>>>, EventStoreError> {
        Ok(None)
    }

    /// Ends the sidecar for good. The manifest gets `status`.
    ///
    /// # Errors
    ///
    /// [`EventStoreError::Backend`] when `status` is `Running`, [`EventStoreError::Closed`] when the sidecar is
    /// sealed, [`EventStoreError::Disk`]. The sidecar is not sealed then.
    fn seal(&mut self, status: RunStatus) -> Result<(), EventStoreError>;

    /// The sidecar's manifest, whose counts follow what is appended.
    ///
    /// # Errors
    ///
    /// [`EventStoreError::Backend`] when no run is open.
    fn manifest(&self) -> Result<MarkerManifest, EventStoreError>;
}
