//! The thread that reads and parses, while another makes durable what was read before.
//!
//! A batch goes out when it is full, and also when no more input waits: an event that a pipe has
//! delivered is never held back for one that may come hours later.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SendError, SyncSender};
use std::time::Duration;

use tapelog::UnixNanos;

use crate::input::{BadLine, Event, Line, Lines, Refusal, Source, parse_event};

/// A batch is full with this many bytes of lines too, so that waiting batches are bounded in memory.
const BATCH_LINES_LEN: usize = 1 << 20;
/// How often the reader looks whether it is to stop while no input comes.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What the reader hands over, in the order of the input.
#[derive(Debug)]
pub enum Message {
    /// Events to append together.
    Batch(Batch),
    /// A line that is no event. Under `stop` it is the last message.
    Bad(BadLine),
    /// The input could not be read any further. It is the last message.
    Failed(io::Error),
}

/// Events that become durable together.
#[derive(Debug, Default)]
pub struct Batch {
    /// The events.
    pub events: Vec<Event>,
    /// How many bytes of input have been read so far.
    pub bytes_read: u64,
}

/// What a reader takes, and how much of it at a time.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Longest line, in bytes.
    pub line_len_max: usize,
    /// Most events in a batch.
    pub batch_len: usize,
    /// Whether a bad line is the end.
    pub stops_at_bad_line: bool,
    /// The start of the run, before which no event may lie; without it that of the first event.
    pub start: Option<UnixNanos>,
}

/// Reads until the input ends, `stop` is set, or a bad line says so.
#[derive(Debug)]
pub struct Reader<S> {
    source: S,
    lines: Lines,
    options: Options,
    batch: Batch,
    batch_lines_len: usize,
    line_number: u64,
    bytes_read: u64,
}

/// The other side does not listen any more.
struct Gone;

impl<T> From<SendError<T>> for Gone {
    fn from(_: SendError<T>) -> Self {
        Self
    }
}

/// Whether reading goes on after a line.
#[derive(PartialEq, Eq)]
enum Next {
    GoesOn,
    Stops,
}

impl<S: Source> Reader<S> {
    /// A reader of `source`.
    pub fn new(source: S, options: Options) -> Self {
        Self {
            source,
            lines: Lines::new(options.line_len_max),
            options,
            batch: Batch::default(),
            batch_lines_len: 0,
            line_number: 0,
            bytes_read: 0,
        }
    }

    /// Reads everything into `sender`; how many bytes that was.
    pub fn run(mut self, stop: &AtomicBool, sender: &SyncSender<Message>) -> u64 {
        // Nobody listens any more when the store has failed; what was read is then of no use.
        let _: Result<(), Gone> = self.read_all(stop, sender);
        self.bytes_read
    }

    fn read_all(&mut self, stop: &AtomicBool, sender: &SyncSender<Message>) -> Result<(), Gone> {
        loop {
            if self.take_lines(sender)? == Next::Stops || self.lines.ended() || stop.load(Ordering::Relaxed) {
                return self.send_batch(sender);
            }
            if let Err(error) = self.fill(stop, sender)? {
                self.send_batch(sender)?;
                sender.send(Message::Failed(error))?;
                return Ok(());
            }
        }
    }

    /// Waits for input and reads once, or finds `stop` set.
    fn fill(&mut self, stop: &AtomicBool, sender: &SyncSender<Message>) -> Result<io::Result<()>, Gone> {
        let mut wait = Duration::ZERO;
        while !stop.load(Ordering::Relaxed) {
            match self.source.ready(wait) {
                Ok(true) => {
                    return Ok(self.lines.fill(&mut self.source).map(|read| self.bytes_read += read as u64));
                }
                Ok(false) => {
                    self.send_batch(sender)?;
                    wait = LOOK_EVERY;
                }
                Err(error) => return Ok(Err(error)),
            }
        }
        Ok(Ok(()))
    }

    fn take_lines(&mut self, sender: &SyncSender<Message>) -> Result<Next, Gone> {
        // What has been read is taken to its last whole line, whether or not reading is to stop.
        loop {
            let parsed = match self.lines.take() {
                None => return Ok(Next::GoesOn),
                Some(Line::Whole(line)) => {
                    self.batch_lines_len += line.len();
                    parse_event(line)
                }
                Some(Line::TooLong(len)) => Err(too_long(len, self.options.line_len_max)),
            };
            self.line_number += 1;
            match parsed.and_then(|event| check_start(&mut self.options.start, event)) {
                Ok(None) => {}
                Ok(Some(event)) => {
                    self.batch.events.push(event);
                    if self.batch.events.len() >= self.options.batch_len || self.batch_lines_len >= BATCH_LINES_LEN {
                        self.send_batch(sender)?;
                    }
                }
                Err(refusal) => {
                    let bad = Message::Bad(BadLine { number: self.line_number, refusal });
                    if self.options.stops_at_bad_line {
                        self.send_batch(sender)?;
                        sender.send(bad)?;
                        return Ok(Next::Stops);
                    }
                    sender.send(bad)?;
                }
            }
        }
    }

    fn send_batch(&mut self, sender: &SyncSender<Message>) -> Result<(), Gone> {
        if !self.batch.events.is_empty() {
            self.batch.bytes_read = self.bytes_read;
            self.batch_lines_len = 0;
            sender.send(Message::Batch(std::mem::take(&mut self.batch)))?;
        }
        Ok(())
    }
}

/// A run begins with its start: its manifest says so before the first entry is there.
fn check_start(start: &mut Option<UnixNanos>, event: Option<Event>) -> Result<Option<Event>, Refusal> {
    let Some(event) = event else { return Ok(None) };
    let start = *start.get_or_insert(event.ts_init);
    if event.ts_init < start {
        let reason = format!("{} lies before the run's start, {start}; say with --start when the run begins", event.ts_init);
        return Err(Refusal::of_field("ts_init", reason));
    }
    Ok(Some(event))
}

fn too_long(len: u64, len_max: usize) -> Refusal {
    Refusal::of_line(format!("{len} bytes, and the limit of a line is {len_max}"))
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::io::Read;
    use std::sync::mpsc::sync_channel;

    use super::*;

    enum Step {
        Bytes(Vec<u8>),
        Idle,
        Fails,
    }

    /// An input that arrives piece by piece, and sets `stop` when it has nothing more.
    struct Scripted<'a> {
        steps: VecDeque<Step>,
        stop: Option<&'a AtomicBool>,
    }

    impl Read for Scripted<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            match self.steps.pop_front() {
                Some(Step::Bytes(bytes)) => {
                    into[..bytes.len()].copy_from_slice(&bytes);
                    Ok(bytes.len())
                }
                Some(Step::Fails) => Err(io::ErrorKind::ConnectionReset.into()),
                Some(Step::Idle) => panic!("a read would have blocked"),
                None => Ok(0),
            }
        }
    }

    impl Source for Scripted<'_> {
        fn ready(&mut self, _: Duration) -> io::Result<bool> {
            if matches!(self.steps.front(), Some(Step::Idle)) {
                self.steps.pop_front();
                return Ok(false);
            }
            match (self.steps.is_empty(), self.stop) {
                (true, Some(stop)) => {
                    stop.store(true, Ordering::Relaxed);
                    Ok(false)
                }
                _ => Ok(true),
            }
        }
    }

    fn event(topic: &str) -> String {
        format!("{{\"topic\":\"{topic}\",\"payload_type\":\"p\",\"payload\":1,\"ts_init\":1}}\n")
    }

    fn options(batch_len: usize, stops_at_bad_line: bool) -> Options {
        Options { line_len_max: 1000, batch_len, stops_at_bad_line, start: None }
    }

    fn bytes(text: impl Into<Vec<u8>>) -> Step {
        Step::Bytes(text.into())
    }

    /// What the reader hands over, each batch as its topics and each other message as its text.
    fn messages(steps: Vec<Step>, batch_len: usize, ends_at_bad: bool, interrupted: bool) -> Vec<String> {
        let stop = AtomicBool::new(false);
        let source = Scripted { steps: steps.into(), stop: interrupted.then_some(&stop) };
        let (sender, receiver) = sync_channel(1000);
        Reader::new(source, options(batch_len, ends_at_bad)).run(&stop, &sender);
        drop(sender);
        receiver
            .iter()
            .map(|message| match message {
                Message::Batch(batch) => batch.events.iter().map(|event| event.topic.as_str()).collect(),
                Message::Bad(bad) => bad.to_string(),
                Message::Failed(error) => error.to_string(),
            })
            .collect()
    }

    #[test]
    fn a_batch_is_full_or_the_last() {
        let text: String = ["a", "b", "c", "d", "e"].map(event).concat();
        assert_eq!(messages(vec![bytes(text)], 2, true, false), ["ab", "cd", "e"]);
    }

    #[test]
    fn a_batch_waits_for_input_that_is_there_and_not_for_input_that_is_not() {
        let steps = vec![bytes(event("a")), bytes(event("b")), Step::Idle, bytes(event("c"))];
        assert_eq!(messages(steps, 10, true, false), ["ab", "c"]);
    }

    #[test]
    fn a_line_may_arrive_in_pieces() {
        let text = event("a");
        let (first, second) = text.split_at(20);
        assert_eq!(messages(vec![bytes(first), Step::Idle, bytes(second)], 10, true, false), ["a"]);
    }

    #[test]
    fn a_last_line_without_line_feed_counts() {
        assert_eq!(messages(vec![bytes(event("a").trim_end())], 10, true, false), ["a"]);
    }

    #[test]
    fn a_bad_line_stops_after_what_was_read_before_it() {
        let text = format!("{}\nnonsense\n{}", event("a"), event("b"));
        let found = messages(vec![bytes(text)], 10, true, false);
        assert_eq!(found, ["a", "line 3: expected a JSON object, found nonsense"]);
    }

    #[test]
    fn a_bad_line_can_be_skipped() {
        let text = format!("{}nonsense\n{}", event("a"), event("b"));
        let found = messages(vec![bytes(text)], 10, false, false);
        assert_eq!(found, ["line 2: expected a JSON object, found nonsense", "ab"]);
    }

    #[test]
    fn a_line_that_is_too_long_is_bad_and_the_next_one_is_not() {
        let text = format!("{}\n{}", "x".repeat(1001), event("b"));
        let found = messages(vec![bytes(text)], 10, false, false);
        assert!(found[0].starts_with("line 1: 1001 bytes"), "{}", found[0]);
        assert_eq!(found[1], "b");
    }

    #[test]
    fn an_input_that_fails_gives_what_was_read_before() {
        let found = messages(vec![bytes(event("a")), Step::Fails], 10, true, false);
        assert_eq!(found[0], "a");
        assert_eq!(found.len(), 2);
    }

    #[test]
    fn an_interrupted_reader_gives_what_it_has() {
        let text = event("a") + "{\"topic\":\"half";
        assert_eq!(messages(vec![bytes(text)], 10, true, true), ["a"]);
    }

    #[test]
    fn an_event_before_the_start_is_refused() {
        let at = |time: u64| event("a").replace("\"ts_init\":1", &format!("\"ts_init\":{time}"));
        let text = [at(5), at(7), at(5), at(4)].concat();
        let found = messages(vec![bytes(text)], 10, true, false);
        assert_eq!(found, ["aaa", "line 4: ts_init: 4 lies before the run's start, 5; say with --start when the run begins"]);
    }

    #[test]
    fn large_payloads_fill_a_batch_before_its_number_does() {
        let line = format!("{{\"topic\":\"a\",\"payload_type\":\"p\",\"payload\":\"{}\",\"ts_init\":1}}\n", "x".repeat(700 << 10));
        let stop = AtomicBool::new(false);
        let (sender, receiver) = sync_channel(1000);
        let source = Scripted { steps: line.repeat(4).into_bytes().chunks(1000).map(bytes).collect(), stop: None };
        Reader::new(source, Options { line_len_max: 1 << 20, ..options(1000, true) }).run(&stop, &sender);
        drop(sender);
        let sizes: Vec<usize> = receiver
            .iter()
            .map(|message| match message {
                Message::Batch(batch) => batch.events.len(),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(sizes, [2, 2]);
    }
}
