//! An input of a fuzzer, read from its front, and the edits that it describes.
//!
//! The simulation takes this file in as well, so that it names nothing of either crate.

/// What is left of an input. Behind its end there are only zeros, so that every input means something.
#[derive(Debug, Clone)]
pub(crate) struct Input<'a> {
    rest: &'a [u8],
}

impl<'a> Input<'a> {
    /// The whole of an input.
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Whether everything was read.
    pub(crate) const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next `N` bytes.
    pub(crate) fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut array = [0; N];
        let taken = self.take(N);
        array[..taken.len()].copy_from_slice(taken);
        array
    }

    /// The next byte.
    pub(crate) fn byte(&mut self) -> u8 {
        let [byte] = self.array();
        byte
    }

    /// The next byte's lowest bit.
    pub(crate) fn bit(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    /// The next eight bytes.
    pub(crate) fn number(&mut self) -> u64 {
        u64::from_le_bytes(self.array())
    }

    /// A number below `bound`; 0 where there is none. Reads as few bytes as the bound allows.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        let number = match bound {
            0 | 1 => return 0,
            2..=0x100 => usize::from(self.byte()),
            0x101..=0x1_0000 => usize::from(u16::from_le_bytes(self.array())),
            _ => u32::from_le_bytes(self.array()) as usize,
        };
        number % bound
    }

    /// One of several values.
    pub(crate) fn pick<T: Copy>(&mut self, values: &[T]) -> T {
        values[self.below(values.len())]
    }

    /// The next `len` bytes, or what there is of them.
    pub(crate) fn take(&mut self, len: usize) -> &'a [u8] {
        let (taken, rest) = self.rest.split_at(len.min(self.rest.len()));
        self.rest = rest;
        taken
    }

    /// Everything that is left.
    pub(crate) fn take_rest(&mut self) -> &'a [u8] {
        self.take(self.rest.len())
    }
}

/// Most bytes that one edit adds.
const ADDED_LEN_MAX: usize = 512;

/// Changes bytes as the input says, in one place.
pub(crate) fn edit(bytes: &mut Vec<u8>, input: &mut Input<'_>) {
    let operation = input.below(9);
    let at = input.below(bytes.len());
    let len_left = bytes.len() - at;
    match operation {
        0 => overwrite(bytes, at, &input.array::<1>()),
        1 => overwrite(bytes, at, &input.array::<2>()),
        2 => overwrite(bytes, at, &input.array::<4>()),
        3 => overwrite(bytes, at, &input.array::<8>()),
        4 => {
            let bit = 1 << input.below(8);
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= bit;
            }
        }
        5 => {
            let len = input.below(ADDED_LEN_MAX).min(len_left);
            let value = input.byte();
            bytes[at..at + len].fill(value);
        }
        6 => {
            let from = input.below(bytes.len());
            let len = input.below(ADDED_LEN_MAX).min(len_left).min(bytes.len() - from);
            bytes.copy_within(from..from + len, at);
        }
        7 => bytes.truncate(at),
        _ => {
            let len = input.below(ADDED_LEN_MAX);
            let value = input.byte();
            bytes.resize(bytes.len() + len, value);
        }
    }
}

/// Changes bytes in up to `times` places.
pub(crate) fn edit_often(bytes: &mut Vec<u8>, input: &mut Input<'_>, times: usize) {
    for _ in 0..times {
        if input.is_empty() {
            return;
        }
        edit(bytes, input);
    }
}

fn overwrite(bytes: &mut [u8], at: usize, value: &[u8]) {
    for (byte, value) in bytes.iter_mut().skip(at).zip(value) {
        *byte = *value;
    }
}
