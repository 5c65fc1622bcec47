//! Forgeries of single records.

use std::ops::Range;

use super::super::bytes::put;
use super::super::{BODY_LEN_MAX, BatchPlace, EntryPlace, FRAME_HEADER_LEN, RecordPlace, Salt, kind};
use super::repair::{repair_frame, repair_header};

/// Flips a bit of the byte at `nth` of an entry's key section (counted around its end), and repairs both checksums.
///
/// The entry's hash does not cover its keys, so that nothing of the entry itself shows it: the root of the batch must.
/// A walk must not accept the batch. A reader that comes to the entry without a walk may show it, since what it shows
/// is what was written, and must not find it by a key that it never had.
pub fn flip_key(bytes: &mut [u8], salt: Salt, record: &RecordPlace, nth: usize) -> Option<Range<usize>> {
    let keys = entry_of(bytes, record)?.keys;
    let byte = bytes.get_mut(keys.start + nth.checked_rem(keys.len())?)?;
    *byte ^= 1;
    repair_frame(bytes, salt, record.range.start)?;
    Some(record.range.clone())
}

/// Flips a bit of the byte at `nth` of an entry's payload (counted around its end), and repairs both checksums.
///
/// The root covers the stored hash and not the payload, so that a walk accepts the batch. A reader must compute the
/// hash and refuse the entry with `HashMismatch`.
pub fn flip_payload(bytes: &mut [u8], salt: Salt, record: &RecordPlace, nth: usize) -> Option<Range<usize>> {
    let payload = entry_of(bytes, record)?.payload;
    let byte = bytes.get_mut(payload.start + nth.checked_rem(payload.len())?)?;
    *byte ^= 1;
    repair_frame(bytes, salt, record.range.start)?;
    Some(record.range.clone())
}

/// Overwrites a whole record with zeros and shifts nothing. It applies to a record that has one of the same batch
/// before it and one behind it.
///
/// A walk must stop before the batch. A reader that looks for the entry must answer that it is missing, and must
/// still reach those before it and behind it.
pub fn drop_record(bytes: &mut [u8], batch: &BatchPlace, nth: usize) -> Option<Range<usize>> {
    let record = batch.records.get(nth).filter(|_| nth > 0 && nth + 1 < batch.records.len())?;
    bytes.get_mut(record.range.clone())?.fill(0);
    Some(record.range.clone())
}

/// What becomes of the numbers of two records that are exchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Numbers {
    /// Each record keeps its own, so that they are out of order.
    Carried,
    /// Each place keeps its own, so that they are in order and each record has another one's.
    Contiguous,
}

/// Exchanges the places of two records of a batch and restamps them, and what lies between them, for their places.
///
/// With the numbers carried along, a walk must stop at a number that is not the next one. With contiguous numbers, the
/// root of the batch must tell; and since the hash of an entry covers its number, a reader that comes there without a
/// walk must refuse both entries with `HashMismatch`. Call [`repair_roots`](super::repair_roots) behind it for a batch
/// whose root fits as well.
pub fn exchange_records(
    bytes: &mut [u8],
    salt: Salt,
    batch: &BatchPlace,
    first: usize,
    second: usize,
    numbers: Numbers,
) -> Option<Range<usize>> {
    let (upper, lower) = (batch.records.get(first.max(second))?, batch.records.get(first.min(second))?);
    if first == second || upper.kind != lower.kind {
        return None;
    }
    let between = batch.records.get(first.min(second) + 1..first.max(second))?;
    let order: Vec<&RecordPlace> = std::iter::once(upper).chain(between).chain(std::iter::once(lower)).collect();
    let seqs: Vec<u64> = match numbers {
        Numbers::Carried => order.iter().map(|record| record.seq).collect(),
        Numbers::Contiguous => std::iter::once(lower).chain(between).chain(std::iter::once(upper)).map(|record| record.seq).collect(),
    };
    let touched = lower.range.start..upper.range.end;
    let mut moved = Vec::with_capacity(touched.len());
    for record in &order {
        moved.extend_from_slice(bytes.get(record.range.clone())?);
    }
    put(bytes, touched.start, &moved)?;
    let mut at = touched.start;
    for (record, seq) in order.iter().zip(seqs) {
        put(bytes, at + 16, &seq.to_le_bytes())?;
        repair_frame(bytes, salt, at)?;
        at += record.range.len();
    }
    Some(touched)
}

/// States a body in the header at the record's place that goes past the end of the file, and repairs the header's
/// checksum. It applies where the limit of a body leads past the end.
///
/// The header is valid and the frame is not. A walk must stop before the batch, no reader may allocate or read what
/// is not there, and what follows in the file must not be taken for the body.
pub fn enlarge_body(bytes: &mut [u8], salt: Salt, record: &RecordPlace) -> Option<Range<usize>> {
    let body_len = bytes.len().checked_sub(record.body.start)?.checked_add(1)?;
    let stated = u32::try_from(body_len).ok().filter(|_| body_len <= BODY_LEN_MAX)?;
    put(bytes, record.range.start + 8, &stated.to_le_bytes())?;
    repair_header(bytes, salt, record.range.start)?;
    Some(record.range.start..record.range.start + FRAME_HEADER_LEN)
}

fn entry_of(bytes: &[u8], record: &RecordPlace) -> Option<EntryPlace> {
    EntryPlace::of_body(bytes, &record.body).filter(|_| record.kind == kind::ENTRY)
}
