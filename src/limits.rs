//! Every bound and every default, with the relations between them asserted at compile time.
//!
//! A value over a bound is refused before anything is written. A length read from a file is checked
//! against its bound and against the bytes that are there before anything is allocated.

use std::time::Duration;

/// The unit in which a segment is sized and written, in bytes.
pub const BLOCK_LEN: u64 = 4096;
/// The alignment of every frame, in bytes.
pub const FRAME_ALIGN: u64 = 8;

/// Largest payload of one entry, in bytes.
pub const PAYLOAD_LEN_MAX: usize = 16 << 20;
/// Longest topic, in bytes.
pub const TOPIC_LEN_MAX: usize = 64 << 10;
/// Longest payload type, in bytes.
pub const PAYLOAD_TYPE_LEN_MAX: usize = 64 << 10;
/// Most index keys of one entry.
pub const KEYS_PER_ENTRY_MAX: usize = 64;
/// Longest index key, in bytes.
pub const KEY_LEN_MAX: usize = 1 << 10;
/// Largest batch, in bytes as it lies on disk, its commit included.
pub const BATCH_LEN_MAX: u64 = 256 << 20;
/// Largest body of any frame, in bytes: an entry with everything at its bound fits.
pub const FRAME_BODY_LEN_MAX: usize = 20 << 20;
/// Longest blob reference or content hash of a snapshot anchor, in bytes.
pub const ANCHOR_TEXT_LEN_MAX: usize = 64 << 10;
/// Longest identifier of a market-data stream, in bytes.
pub const STREAM_IDENTIFIER_LEN_MAX: usize = 64 << 10;
/// Most stream cursors in one cursor snapshot.
pub const SNAPSHOT_CURSORS_MAX: usize = 1 << 16;
/// Largest MANIFEST, in bytes.
pub const MANIFEST_LEN_MAX: usize = 16 << 20;
/// Largest opening manifest, in bytes: it is written once more into the first segment.
pub const OPENING_LEN_MAX: usize = 8 << 20;
/// Longest instance id or run id, in bytes.
pub const ID_LEN_MAX: usize = 64;

/// Smallest segment, in bytes.
pub const SEGMENT_LEN_MIN: u64 = 16 << 10;
/// Largest segment, in bytes.
pub const SEGMENT_LEN_MAX: u64 = 4 << 30;
/// Default segment, in bytes.
pub const SEGMENT_LEN_DEFAULT: u64 = 64 << 20;
/// Highest segment number: eight decimal digits name a file.
pub const ORDINAL_MAX: u32 = 99_999_999;
/// Fewest spares that are kept ready.
pub const SPARES_MIN: u32 = 1;
/// Most spares that are kept ready.
pub const SPARES_MAX: u32 = 16;
/// Default number of spares.
pub const SPARES_DEFAULT: u32 = 2;
/// Smallest distance between two points of a sparse index, in bytes.
pub const INDEX_SPACING_MIN: u64 = 512;
/// Largest distance between two points of a sparse index, in bytes.
pub const INDEX_SPACING_MAX: u64 = 1 << 20;
/// Default distance between two points of a sparse index, in bytes.
pub const INDEX_SPACING_DEFAULT: u64 = 4096;
/// Shortest time between two background syncs of a buffered run.
pub const SYNC_EVERY_MIN: Duration = Duration::from_micros(100);
/// Longest time between two background syncs of a buffered run.
pub const SYNC_EVERY_MAX: Duration = Duration::from_mins(1);
/// Smallest bound of the bytes of a buffered run that wait for a sync.
pub const UNSYNCED_LEN_MIN: u64 = 16 << 10;
/// Largest bound of the bytes of a buffered run that wait for a sync.
pub const UNSYNCED_LEN_MAX: u64 = 256 << 20;
/// Default bound of the bytes of a buffered run that wait for a sync.
pub const UNSYNCED_LEN_DEFAULT: u64 = 64 << 20;
/// Most messages that may wait for a writer.
pub const CHANNEL_CAPACITY_MAX: usize = 1 << 24;
/// Default number of messages that may wait for a writer.
pub const CHANNEL_CAPACITY_DEFAULT: usize = 1 << 16;
/// Smallest bound of the bytes of messages that wait for a writer.
pub const CHANNEL_LEN_MIN: u64 = 64 << 10;
/// Largest bound of the bytes of messages that wait for a writer.
pub const CHANNEL_LEN_MAX: u64 = 4 << 30;
/// Default bound of the bytes of messages that wait for a writer.
pub const CHANNEL_LEN_DEFAULT: u64 = 32 << 20;
/// Most entries that a writer puts into one batch.
pub const WRITER_BATCH_ENTRIES_MAX: usize = 1 << 20;
/// Default bound of the entries that a writer puts into one batch.
pub const WRITER_BATCH_ENTRIES_DEFAULT: usize = 1 << 12;
/// Smallest bound of the bytes that a writer puts into one batch.
pub const WRITER_BATCH_LEN_MIN: u64 = 4 << 10;
/// Largest bound of the bytes that a writer puts into one batch.
pub const WRITER_BATCH_LEN_MAX: u64 = 16 << 20;
/// Default bound of the bytes that a writer puts into one batch.
pub const WRITER_BATCH_LEN_DEFAULT: u64 = 512 << 10;
/// Most requests (anchors, flushes, rotations) that may wait for a writer.
pub const WRITER_REQUESTS_MAX: usize = 64;
/// Longest time that a batch waits for more entries.
pub const BATCH_LATENCY_MAX: Duration = Duration::from_mins(1);
/// Shortest time that a message may be made to wait for a writer.
pub const HALT_THRESHOLD_MIN: Duration = Duration::from_millis(1);
/// Longest time that a message may be made to wait for a writer.
pub const HALT_THRESHOLD_MAX: Duration = Duration::from_hours(24);
/// Default of the time that a message may wait for a writer.
pub const HALT_THRESHOLD_DEFAULT: Duration = Duration::from_millis(250);
/// Longest time that a writer looks for messages before it sleeps.
pub const SPIN_MAX: Duration = Duration::from_secs(1);
/// Least number of bytes after which a run is ended to go on in another.
pub const ROTATION_LEN_MIN: u64 = 64 << 10;
/// Least age at which a run is ended to go on in another.
pub const ROTATION_AGE_MIN: Duration = Duration::from_secs(1);
/// How long a session rests before it tries again to end a run that could not be ended.
pub const ROTATION_RETRY_AFTER: Duration = Duration::from_secs(1);
/// How long before a run began its first messages may have come into being, where it goes on from another.
pub const ROTATION_TIME_SLACK: Duration = Duration::from_mins(1);
/// How long messages may wait for room at most while a run is ended to go on in another.
pub const ROTATION_STALL_MAX: Duration = Duration::from_secs(10);
/// How often a session looks whether its run has come to its end.
pub const HOUSEKEEPING_EVERY: Duration = Duration::from_millis(50);
/// How often a session looks at the space that is left.
pub const SPACE_LOOK_EVERY: Duration = Duration::from_secs(1);
/// Default of the time in which the first entry of a run has to be durable.
pub const RUN_STARTED_TIMEOUT_DEFAULT: Duration = Duration::from_secs(5);
/// How long the end of a session waits for its run to be sealed.
pub const SEAL_TIMEOUT: Duration = Duration::from_mins(1);
/// How long at most a writer that has nothing to write goes without asking the store what became durable meanwhile.
pub const ACKNOWLEDGE_EVERY: Duration = Duration::from_millis(1);

/// Most segments that a store holds open for reading at one time.
pub const OPEN_SEGMENTS_MAX: usize = 64;
/// Most runs of one history that are opened together.
pub const CHAIN_RUNS_MAX: usize = 100_000;
/// Bytes read at a time by scans over positional reads.
pub const READ_CHUNK_LEN: usize = 256 << 10;

/// How long a writer idles before its watermark is synced.
pub const WATERMARK_IDLE: Duration = Duration::from_millis(50);
/// How long at most a writer under load goes without a synced watermark.
pub const WATERMARK_SYNC_EVERY: Duration = Duration::from_secs(1);
/// How long at most a durable batch is not in the watermark file.
pub const WATERMARK_WRITE_EVERY: Duration = Duration::from_millis(1);

const _: () = {
    assert!(BLOCK_LEN.is_multiple_of(FRAME_ALIGN));
    assert!(SEGMENT_LEN_MIN.is_multiple_of(BLOCK_LEN) && SEGMENT_LEN_MAX.is_multiple_of(BLOCK_LEN));
    assert!(SEGMENT_LEN_MIN <= SEGMENT_LEN_DEFAULT && SEGMENT_LEN_DEFAULT <= SEGMENT_LEN_MAX);
    assert!(UNSYNCED_LEN_MIN <= UNSYNCED_LEN_DEFAULT && UNSYNCED_LEN_DEFAULT <= UNSYNCED_LEN_MAX);
    assert!(SPARES_MIN <= SPARES_DEFAULT && SPARES_DEFAULT <= SPARES_MAX);
    assert!(INDEX_SPACING_MIN <= INDEX_SPACING_DEFAULT && INDEX_SPACING_DEFAULT <= INDEX_SPACING_MAX);
    // One entry with everything at its bound fits a frame, and one such frame fits a batch.
    assert!(256 + TOPIC_LEN_MAX + PAYLOAD_TYPE_LEN_MAX + KEYS_PER_ENTRY_MAX * (KEY_LEN_MAX + 8) + PAYLOAD_LEN_MAX <= FRAME_BODY_LEN_MAX);
    assert!((FRAME_BODY_LEN_MAX as u64) * 2 < BATCH_LEN_MAX);
    // The opening manifest is a frame, and MANIFEST holds it and the seal section.
    assert!(OPENING_LEN_MAX <= FRAME_BODY_LEN_MAX && OPENING_LEN_MAX < MANIFEST_LEN_MAX);
    // A batch fits the largest segment, and offsets in units of eight bytes fit 32 bits.
    assert!(BATCH_LEN_MAX + 2 * (FRAME_BODY_LEN_MAX as u64) < SEGMENT_LEN_MAX);
    assert!(SEGMENT_LEN_MAX / FRAME_ALIGN <= u32::MAX as u64);
    // A batch of a writer is one that a store takes, with room for an entry that is larger by itself.
    assert!(WRITER_BATCH_LEN_MAX + 2 * (FRAME_BODY_LEN_MAX as u64) < BATCH_LEN_MAX);
    assert!(WRITER_BATCH_LEN_MIN <= WRITER_BATCH_LEN_DEFAULT && WRITER_BATCH_LEN_DEFAULT <= WRITER_BATCH_LEN_MAX);
    assert!(CHANNEL_LEN_MIN <= CHANNEL_LEN_DEFAULT && CHANNEL_LEN_DEFAULT <= CHANNEL_LEN_MAX);
    assert!(CHANNEL_CAPACITY_DEFAULT <= CHANNEL_CAPACITY_MAX && WRITER_BATCH_ENTRIES_DEFAULT <= WRITER_BATCH_ENTRIES_MAX);
    assert!(24 * SNAPSHOT_CURSORS_MAX + 256 < FRAME_BODY_LEN_MAX);
};
