//! What was damaged, in words.

use crate::explore::damage::judge::Case;
use crate::second_reader::{Owner, Segment, kind, ordinal_of, segment_name};

/// Everything that harmless damage lies in, with why it does no harm.
pub const PLACES: [&str; 14] =
    [NOTHING, SPARE_GONE, SPARE, BEYOND, HEADER_PAGE, OPENING, ENTRY, ANCHOR, COMMIT, BEHIND_END, INDEX, LOCK, WATERMARK, MANIFEST];

const NOTHING: &str = "nothing";
const SPARE_GONE: &str = "a segment: a spare that is gone";
const SPARE: &str = "a spare";
const BEYOND: &str = "a segment that the log does not reach";
const HEADER_PAGE: &str = "a header page, of which one copy is enough";
const OPENING: &str = "OPEN or GENESIS, and the entries are whole";
const ENTRY: &str = "an entry: behind what is shown, or edited in a key by which nobody comes to it";
const ANCHOR: &str = "an anchor: behind what is shown, or a newer one counts";
const COMMIT: &str = "a commit, and its entries are whole";
const BEHIND_END: &str = "bytes behind the end";
const INDEX: &str = "an index: it is made again";
const LOCK: &str = "the lock: it is made again";
const WATERMARK: &str = "WATERMARK: a slot that nothing needs, or the commits say the same";
const MANIFEST: &str = "MANIFEST: what it says is the same, or the run is empty";

/// What the first damaged byte of a run belongs to.
#[must_use]
pub fn of(case: &Case<'_>) -> String {
    let folder = case.name("");
    let names = case.image.files.keys().chain(case.injured.files.keys()).filter(|name| name.starts_with(&folder));
    let mut touched: Vec<_> = names.filter(|name| case.injured.touches_file(case.image, name)).collect();
    touched.sort_unstable();
    touched.dedup();
    // A segment says more than what stands beside it.
    touched.sort_by_key(|name| ordinal_of(name.rsplit('/').next().unwrap_or_default()).is_none());
    match touched.first() {
        None => NOTHING.to_owned(),
        Some(name) => in_file(case, name),
    }
}

fn in_file(case: &Case<'_>, name: &str) -> String {
    let segment = case.before.segments.iter().find(|(ordinal, _)| name.ends_with(&segment_name(**ordinal)));
    if let Some((_, segment)) = segment {
        return in_segment(case, name, segment).to_owned();
    }
    let last = name.rsplit(['/', '.']).next().unwrap_or(name);
    match last {
        "idx" | "key" => INDEX.to_owned(),
        "LOCK" => LOCK.to_owned(),
        "WATERMARK" => WATERMARK.to_owned(),
        "MANIFEST" => MANIFEST.to_owned(),
        _ => last.to_owned(),
    }
}

fn in_segment(case: &Case<'_>, name: &str, segment: &Segment) -> &'static str {
    let Some(now) = case.injured.files.get(name) else { return SPARE_GONE };
    let before = case.image.files.get(name).map(Vec::as_slice).unwrap_or_default();
    let differs = before.iter().zip(now).position(|(before, now)| before != now);
    let lost = case.injured.unreadable.iter().find(|(file, _)| file == name).map(|(_, sectors)| sectors.start * 512);
    let Some(offset) = differs.or(lost).or_else(|| (now.len() != before.len()).then_some(now.len().min(before.len()))) else {
        return NOTHING;
    };
    if segment.is_spare() {
        return SPARE;
    }
    if !case.before.chain.contains(&segment.identity.ordinal) {
        return BEYOND;
    }
    match segment.owner(offset) {
        Some(Owner::HeaderCopy(_) | Owner::HeaderZeros) => HEADER_PAGE,
        Some(Owner::Open(_) | Owner::Genesis(_)) => OPENING,
        Some(Owner::Record { kind: kind::ANCHOR, .. }) => ANCHOR,
        Some(Owner::Record { .. }) => ENTRY,
        Some(Owner::Commit { .. }) => COMMIT,
        Some(Owner::BehindEnd) | None => BEHIND_END,
    }
}
