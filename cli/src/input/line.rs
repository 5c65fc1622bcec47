//! Lines of bounded length, out of blocks of bytes.
//!
//! A line that is longer than the bound is passed over without being held: its bytes are counted and
//! dropped.

use std::io::{self, Read};

const READ_LEN: usize = 256 << 10;

/// A line without its line feed.
#[derive(Debug, PartialEq, Eq)]
pub enum Line<'a> {
    /// The line's bytes.
    Whole(&'a [u8]),
    /// The line has this many bytes, which is over the bound.
    TooLong(u64),
}

/// Lines of a reader. Taking a line never reads; filling reads once and never takes a line.
#[derive(Debug)]
pub struct Lines {
    buffer: Vec<u8>,
    start: usize,
    scanned: usize,
    end: usize,
    len_max: usize,
    dropped: u64,
    ended: bool,
}

impl Lines {
    /// Lines of at most `len_max` bytes each.
    pub fn new(len_max: usize) -> Self {
        Self { buffer: Vec::new(), start: 0, scanned: 0, end: 0, len_max, dropped: 0, ended: false }
    }

    /// The next line that has been read whole; none when more must be read, or nothing is left.
    pub fn take(&mut self) -> Option<Line<'_>> {
        let found = self.buffer.get(self.scanned..self.end).and_then(|bytes| memchr::memchr(b'\n', bytes));
        let (line_end, next) = match found {
            Some(position) => (self.scanned + position, self.scanned + position + 1),
            // What stands after the last line feed is a line too.
            None if self.ended && (self.start < self.end || self.dropped > 0) => (self.end, self.end),
            None => {
                self.scanned = self.end;
                self.drop_excess();
                return None;
            }
        };
        let line_start = std::mem::replace(&mut self.start, next);
        self.scanned = next;
        let len = self.dropped + (line_end - line_start) as u64;
        self.dropped = 0;
        if len > self.len_max as u64 {
            return Some(Line::TooLong(len));
        }
        self.buffer.get(line_start..line_end).map(Line::Whole)
    }

    /// Reads once from `reader`; how many bytes came, 0 at the end.
    ///
    /// # Errors
    ///
    /// What the reader says.
    pub fn fill(&mut self, reader: &mut impl Read) -> io::Result<usize> {
        self.make_room();
        let Some(room) = self.buffer.get_mut(self.end..) else { return Ok(0) };
        let read = loop {
            match reader.read(room) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => break result?,
            }
        };
        self.ended = read == 0;
        self.end += read;
        Ok(read)
    }

    /// Whether the reader has nothing more.
    pub fn ended(&self) -> bool {
        self.ended
    }

    /// The begun line is over the bound already: its bytes are not needed any more.
    fn drop_excess(&mut self) {
        let begun = self.end - self.start;
        if self.dropped > 0 || begun > self.len_max {
            self.dropped += begun as u64;
            self.start = self.end;
        }
    }

    fn make_room(&mut self) {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.scanned -= self.start;
            self.end -= self.start;
            self.start = 0;
        }
        if self.buffer.len() - self.end < READ_LEN / 2 {
            let doubled = (self.buffer.len() * 2).max(READ_LEN);
            self.buffer.resize(doubled, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owned(line: &Line<'_>) -> Result<String, u64> {
        match line {
            Line::Whole(bytes) => Ok(String::from_utf8(bytes.to_vec()).unwrap()),
            Line::TooLong(len) => Err(*len),
        }
    }

    /// Gives at most `step` bytes a read.
    struct Slow<'a>(&'a [u8], usize);

    impl Read for Slow<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let len = self.1.min(into.len()).min(self.0.len());
            into[..len].copy_from_slice(&self.0[..len]);
            self.0 = &self.0[len..];
            Ok(len)
        }
    }

    fn lines(text: &[u8], step: usize, len_max: usize) -> Vec<Result<String, u64>> {
        let mut reader = Slow(text, step);
        let mut lines = Lines::new(len_max);
        let mut found = Vec::new();
        loop {
            while let Some(line) = lines.take() {
                found.push(owned(&line));
            }
            if lines.ended() {
                return found;
            }
            lines.fill(&mut reader).unwrap();
        }
    }

    fn whole(list: &[&str]) -> Vec<Result<String, u64>> {
        list.iter().map(|line| Ok((*line).to_owned())).collect()
    }

    #[test]
    fn lines_are_the_same_however_the_bytes_arrive() {
        for step in [1, 2, 3, 7, 1000] {
            assert_eq!(lines(b"one\n\nthree\nlast", step, 100), whole(&["one", "", "three", "last"]));
        }
    }

    #[test]
    fn a_line_feed_at_the_end_begins_no_further_line() {
        assert_eq!(lines(b"one\n", 100, 100), whole(&["one"]));
        assert_eq!(lines(b"", 100, 100), whole(&[]));
        assert_eq!(lines(b"\n", 100, 100), whole(&[""]));
    }

    #[test]
    fn a_line_of_the_bound_is_whole_and_a_longer_one_is_counted() {
        for step in [1, 2, 1000] {
            assert_eq!(lines(b"12345\n123456\n1", step, 5), [Ok("12345".to_owned()), Err(6), Ok("1".to_owned())]);
            assert_eq!(lines(b"12345678", step, 5), [Err(8)]);
        }
    }

    #[test]
    fn a_line_without_end_is_not_held_in_memory() {
        let mut reader = io::repeat(b'x').take(64 << 20);
        let mut lines = Lines::new(1 << 20);
        while lines.fill(&mut reader).unwrap() > 0 {
            assert!(lines.take().is_none());
        }
        assert_eq!(lines.take().as_ref().map(owned), Some(Err(64 << 20)));
        assert!(lines.buffer.len() <= 4 << 20, "{} bytes are held", lines.buffer.len());
    }
}
