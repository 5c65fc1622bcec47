//! Everything that is told of a run, as one value for programs and as text for people.

use std::io::{self, Write};
use std::path::Path;

use indicatif::{HumanBytes, HumanCount};
use serde::Serialize;
use tapelog::{RunManifest, RunReader, SnapshotAnchor, UnixNanos};

use crate::info::busiest::Peak;
use crate::info::lineage::Lineage;
use crate::info::survey::{Share, Survey, largest_first};
use crate::output::{Table, TimeForm, escaped, human};

/// Parts of the time span that are told.
const BUCKETS: usize = 60;
/// How many topics, types, segments and anchors are shown to a person who does not ask for all.
const ROWS_MAX: usize = 12;
/// The lines of the histogram.
const HISTOGRAM_HEIGHT: usize = 6;

/// Entries with a topic or a payload type.
#[derive(Debug, Serialize)]
struct Named<'a> {
    name: &'a str,
    #[serde(flatten)]
    share: Share,
}

/// A segment.
#[derive(Debug, Serialize)]
struct Segment {
    ordinal: u32,
    first_seq: u64,
    last_seq: u64,
    len: u64,
}

/// How entries lie over time: `counts` of equal parts of the span.
#[derive(Debug, Serialize)]
struct OverTime {
    first_ts_init: Option<u64>,
    last_ts_init: Option<u64>,
    span_nanos: u64,
    peak: Option<Peak>,
    counts: Vec<u64>,
}

/// How many entries brought a key of a kind.
#[derive(Debug, Serialize)]
struct KeysOf<'a> {
    kind: &'a str,
    entries: u64,
}

/// What is told of a run.
#[derive(Debug, Serialize)]
pub struct Report<'a> {
    path: String,
    /// Whether a process is writing it.
    live: bool,
    /// The manifest as it stands.
    manifest: RunManifest,
    lineage: Lineage,
    entries: u64,
    /// How often damage was told.
    damages: u64,
    file_bytes: u64,
    segment_bytes: u64,
    payload_bytes: u64,
    bytes_per_entry: Option<u64>,
    topics: Vec<Named<'a>>,
    payload_types: Vec<Named<'a>>,
    keys: Vec<KeysOf<'a>>,
    over_time: OverTime,
    segments: Vec<Segment>,
    anchors: Vec<SnapshotAnchor>,
    /// What a person is shown beside it.
    #[serde(skip)]
    survey: &'a Survey,
}

impl<'a> Report<'a> {
    /// Puts together what is known of a run.
    pub fn new(path: &Path, live: bool, reader: &RunReader, survey: &'a Survey, lineage: Lineage, anchors: Vec<SnapshotAnchor>) -> Self {
        let manifest = reader.manifest();
        let segments: Vec<_> = reader.segments();
        let segment_bytes = segments.iter().map(|segment| segment.len).sum::<u64>();
        let (first, last) = survey.histogram.span().map_or((None, None), |(first, last)| (Some(first.as_u64()), Some(last.as_u64())));
        let named = |shares| largest_first(shares).into_iter().map(|(name, share)| Named { name, share: *share }).collect();
        Self {
            path: path.display().to_string(),
            live,
            lineage,
            entries: reader.high_watermark(),
            damages: survey.damages,
            file_bytes: bytes_in(path),
            segment_bytes,
            payload_bytes: survey.all.payload_bytes,
            bytes_per_entry: segment_bytes.checked_div(survey.all.entries),
            topics: named(&survey.topics),
            payload_types: named(&survey.payload_types),
            keys: survey.keys.iter().map(|(kind, entries)| KeysOf { kind, entries: *entries }).collect(),
            over_time: OverTime {
                first_ts_init: first,
                last_ts_init: last,
                span_nanos: last.unwrap_or_default() - first.unwrap_or_default(),
                peak: survey.busiest.peak(),
                counts: survey.histogram.buckets(BUCKETS),
            },
            segments: segments
                .iter()
                .map(|segment| Segment {
                    ordinal: segment.ordinal,
                    first_seq: segment.first_seq,
                    last_seq: segment.last_seq,
                    len: segment.len,
                })
                .collect(),
            anchors,
            manifest,
            survey,
        }
    }

    /// Writes it for people, with times in `form`; `all` leaves no row out.
    ///
    /// # Errors
    ///
    /// Those of `output`.
    pub fn write(&self, all: bool, form: TimeForm, output: &mut impl Write) -> io::Result<()> {
        let rows_max = if all { usize::MAX } else { ROWS_MAX };
        self.write_head(form, output)?;
        write_shares("TOPIC", &self.topics, rows_max, output)?;
        write_shares("TYPE", &self.payload_types, rows_max, output)?;
        self.write_segments(rows_max, output)?;
        self.write_anchors(rows_max, output)?;
        if self.entries > 0 {
            writeln!(output)?;
            self.survey.histogram.write(BUCKETS, HISTOGRAM_HEIGHT, form, output)?;
        }
        Ok(())
    }

    fn write_head(&self, form: TimeForm, output: &mut impl Write) -> io::Result<()> {
        let manifest = &self.manifest;
        let mut line = |name: &str, value: &str| writeln!(output, "{name:<12}{}", escaped(value));
        let time = |nanos: u64| form.of(UnixNanos::from(nanos));
        line("run", &manifest.run_id)?;
        line("instance", &manifest.instance_id)?;
        line("status", if self.live { "live" } else { manifest.status.as_str() })?;
        line("started", &form.of(manifest.start_ts_init))?;
        if let Some(parent) = &manifest.parent_run_id {
            line("parent", parent)?;
        }
        if !self.lineage.ancestors.is_empty() {
            let missing = self.lineage.missing_parent.as_ref().map(|parent| format!("; {parent} before them is not there"));
            line("ancestors", &format!("{}{}", self.lineage.ancestors.join(" "), missing.unwrap_or_default()))?;
        }
        if let Some(note) = &self.lineage.note {
            line("lineage", note)?;
        }
        if !self.lineage.children.is_empty() {
            line("children", &self.lineage.children.join(" "))?;
        }
        let texts = [("binary", &manifest.binary_hash), ("config", &manifest.config_hash)];
        texts.iter().filter(|(_, text)| !text.is_empty()).try_for_each(|(name, text)| line(name, text))?;
        line("entries", &HumanCount(self.entries).to_string())?;
        if let Some((first, last)) = self.over_time.first_ts_init.zip(self.over_time.last_ts_init) {
            let nanos = self.over_time.span_nanos;
            line("span", &format!("{} to {}, {}", time(first), time(last), human::span(nanos)))?;
            if let Some(mean) = human::rate(self.survey.all.entries, nanos) {
                line("rate", &format!("{mean} over the span"))?;
            }
        }
        if let Some(peak) = self.over_time.peak {
            let Peak { entries, from_ts_init, nanos } = peak;
            line("busiest", &format!("{} in the {} from {}", HumanCount(entries), human::span(nanos), time(from_ts_init)))?;
        }
        let each = self.bytes_per_entry.map(|bytes| format!(", {bytes} bytes an entry")).unwrap_or_default();
        let [files, segments, payloads] = [self.file_bytes, self.segment_bytes, self.payload_bytes].map(HumanBytes);
        line("bytes", &format!("{files} in files, {segments} in segments, {payloads} of payload{each}"))?;
        let keys: Vec<_> = self.keys.iter().map(|keys| format!("{} {}", HumanCount(keys.entries), keys.kind)).collect();
        line("keys", &keys.join(", "))
    }

    fn write_segments(&self, rows_max: usize, output: &mut impl Write) -> io::Result<()> {
        let mut table = Table::new(&["SEGMENT", "FIRST", "LAST", "BYTES"]);
        for segment in self.segments.iter().take(rows_max) {
            table.row([
                segment.ordinal.to_string(),
                segment.first_seq.to_string(),
                segment.last_seq.to_string(),
                HumanBytes(segment.len).to_string(),
            ]);
        }
        write_table(&table, self.segments.len(), rows_max, output)
    }

    fn write_anchors(&self, rows_max: usize, output: &mut impl Write) -> io::Result<()> {
        let mut table = Table::new(&["ANCHOR AT", "BLOB", "CONTENT"]);
        // The newest ones are what is restored from.
        for anchor in self.anchors.iter().rev().take(rows_max) {
            table.row([anchor.high_watermark.to_string(), anchor.blob_ref.clone(), anchor.content_hash.clone()]);
        }
        write_table(&table, self.anchors.len(), rows_max, output)
    }
}

fn write_shares(head: &'static str, shares: &[Named<'_>], rows_max: usize, output: &mut impl Write) -> io::Result<()> {
    let mut table = Table::new(&[head, "ENTRIES", "PAYLOAD"]);
    for named in shares.iter().take(rows_max) {
        let Share { entries, payload_bytes } = named.share;
        table.row([named.name.to_owned(), HumanCount(entries).to_string(), HumanBytes(payload_bytes).to_string()]);
    }
    write_table(&table, shares.len(), rows_max, output)
}

/// Writes a table that holds the first of `rows` rows, and says how many were left out.
fn write_table(table: &Table, rows: usize, rows_max: usize, output: &mut impl Write) -> io::Result<()> {
    if rows == 0 {
        return Ok(());
    }
    writeln!(output)?;
    table.write_columns(output)?;
    if rows > rows_max {
        writeln!(output, "... and {} more; --all shows them", rows - rows_max)?;
    }
    Ok(())
}

/// The bytes of all files in a folder, those of the sidecar too.
fn bytes_in(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let len = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(found) if found.is_dir() => bytes_in(&entry.path()),
        Ok(found) => found.len(),
        Err(_) => 0,
    };
    entries.map(len).sum()
}
