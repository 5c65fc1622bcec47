//! One pass over all entries of a run.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use serde::Serialize;
use tapelog::{Check, EntryView, EventStoreError, IndexKind, RunReader, ScanDirection};

use crate::exit::{Failure, Verdict};
use crate::info::busiest::Busiest;
use crate::output::{Histogram, Progress, tell};

/// How often the bar moves, in entries.
const REPORT_EVERY: u64 = 4096;

/// How many entries have something in common, and the bytes of their payloads.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Share {
    /// How many there are.
    pub entries: u64,
    /// The bytes of their payloads.
    pub payload_bytes: u64,
}

/// What the entries of a run come to.
#[derive(Debug, Default)]
pub struct Survey {
    /// All that could be read.
    pub all: Share,
    /// By topic.
    pub topics: BTreeMap<String, Share>,
    /// By payload type.
    pub payload_types: BTreeMap<String, Share>,
    /// How many entries brought a key of each kind, by the kind's code.
    pub keys: BTreeMap<&'static str, u64>,
    /// How they lie over time, by `ts_init`.
    pub histogram: Histogram,
    /// The second in which most came.
    pub busiest: Busiest,
    /// How often damage was told.
    pub damages: u64,
}

impl Survey {
    /// Goes through every entry of a run. Damage is told and passed over.
    pub fn of(reader: &RunReader) -> (Self, Verdict) {
        let mut survey = Self { keys: IndexKind::ALL.iter().map(|kind| (kind.as_str(), 0)).collect(), ..Self::default() };
        let mut verdict = Verdict::Done;
        let total = reader.segments().iter().map(|segment| segment.len).sum();
        let progress = Progress::new(Some(total));
        let last = reader.high_watermark().max(1);
        let mut seen = 0_u64;
        let mut tell_damage = |survey_damages: &mut u64, error: &EventStoreError| {
            *survey_damages += 1;
            verdict = verdict.max(Verdict::of(error));
            progress.aside(|| tell(Failure::at(&reader.folder(), error).message));
        };
        let mut damages = 0;
        let visited = reader.visit_intact(
            ..,
            ScanDirection::Forward,
            Check::Crc,
            |entry| {
                survey.add(&entry);
                seen += 1;
                if seen.is_multiple_of(REPORT_EVERY) {
                    let done = u128::from(total) * u128::from(entry.seq()) / u128::from(last);
                    progress.set(u64::try_from(done).unwrap_or(total), format!("{seen} entries"));
                }
                ControlFlow::<()>::Continue(())
            },
            |error| {
                tell_damage(&mut damages, error);
                ControlFlow::Continue(())
            },
        );
        if let Err(error) = visited {
            tell_damage(&mut damages, &error);
        }
        progress.finish();
        survey.damages = damages;
        (survey, verdict)
    }

    fn add(&mut self, entry: &EntryView<'_>) {
        let len = entry.payload().len() as u64;
        self.all.add(len);
        add_to(&mut self.topics, entry.topic(), len);
        add_to(&mut self.payload_types, entry.payload_type(), len);
        for (kind, _) in entry.keys() {
            *self.keys.entry(kind.as_str()).or_default() += 1;
        }
        self.histogram.add(entry.ts_init());
        self.busiest.add(entry.ts_init());
    }
}

impl Share {
    fn add(&mut self, payload_len: u64) {
        self.entries += 1;
        self.payload_bytes += payload_len;
    }
}

/// Adds to the share of a name. Names are few, and are copied the first time only.
fn add_to(shares: &mut BTreeMap<String, Share>, name: &str, payload_len: u64) {
    if let Some(share) = shares.get_mut(name) {
        share.add(payload_len);
    } else {
        shares.entry(name.to_owned()).or_default().add(payload_len);
    }
}

/// The shares, the largest first.
pub fn largest_first(shares: &BTreeMap<String, Share>) -> Vec<(&String, &Share)> {
    let mut sorted: Vec<_> = shares.iter().collect();
    sorted.sort_by(|(left_name, left), (right_name, right)| right.entries.cmp(&left.entries).then_with(|| left_name.cmp(right_name)));
    sorted
}
