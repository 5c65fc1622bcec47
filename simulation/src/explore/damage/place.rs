//! What was damaged, in words.

use crate::explore::damage::judge::Case;
use crate::second_reader::{Owner, Segment, ordinal_of, segment_name};

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
        None => "nothing".to_owned(),
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
        "idx" | "key" => "an index: it is made again".to_owned(),
        "LOCK" => "the lock: it is made again".to_owned(),
        "WATERMARK" => "WATERMARK: a slot that nothing needs, or the commits say the same".to_owned(),
        "MANIFEST" => "MANIFEST: what it says is the same, or the run is empty".to_owned(),
        _ => last.to_owned(),
    }
}

fn in_segment(case: &Case<'_>, name: &str, segment: &Segment) -> &'static str {
    let Some(now) = case.injured.files.get(name) else { return "a segment: a spare that is gone" };
    let before = case.image.files.get(name).map(Vec::as_slice).unwrap_or_default();
    let differs = before.iter().zip(now).position(|(before, now)| before != now);
    let lost = case.injured.unreadable.iter().find(|(file, _)| file == name).map(|(_, sectors)| sectors.start * 512);
    let Some(offset) = differs.or(lost).or_else(|| (now.len() != before.len()).then_some(now.len().min(before.len()))) else {
        return "nothing";
    };
    if segment.is_spare() {
        return "a spare";
    }
    match segment.owner(offset) {
        Some(Owner::HeaderCopy(_) | Owner::HeaderZeros) => "a header page, of which one copy is enough",
        Some(Owner::Open(_) | Owner::Genesis(_)) => "OPEN or GENESIS, and the entries are whole",
        Some(Owner::Record { .. }) => "a record",
        Some(Owner::Commit { .. }) => "a commit, and its entries are whole",
        Some(Owner::BehindEnd) | None => "bytes behind the end",
    }
}
