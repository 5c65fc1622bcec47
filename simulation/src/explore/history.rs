//! A history as text: what an engine did, where its power failed, and which operation of its disk failed.
//!
//! `buffered:seeded/7/small#1,roll#2!,jumbo#3?eio@12+` is an engine whose appends do not wait, whose
//! background steps the seed 7 decides, and which appends a small batch, loses its power somewhere
//! in a roll, and meets an error at the twelfth operation of the disk in a jumbo batch and at every
//! one after it. The number behind `#` decides what is random in a step, so that a step stays what
//! it is when others are left out. A `~` in the place of the `!` is a killed process. `synced:never/1/small,seal/?eio@57` is an engine whose disk fails at
//! its operation number 57, counted from the very first.

use std::fmt;
use std::str::FromStr;

use crate::disk::faults::Fault;
use crate::setting::{Operation, Setting};

/// An operation of a disk that fails, counted from the beginning of a step or of a history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StepFault {
    /// How.
    pub fault: Fault,
    /// Which.
    pub at: u64,
    /// Whether everything behind it fails as well.
    pub for_ever: bool,
}

/// How a process ends in the middle of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The power fails.
    PowerLoss,
    /// It is killed: what it wrote stays in the page cache, and what was not synced stays uncertain.
    Kill,
}

/// One step of a history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// What the engine does.
    pub operation: Operation,
    /// Decides what is random in the step.
    pub salt: u64,
    /// How the process ends in it, if it does.
    pub end: Option<End>,
    /// Which operation of the disk fails.
    pub fault: Option<StepFault>,
}

/// What an engine did, from its first start on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct History {
    /// How it was set up.
    pub setting: Setting,
    /// Decides what is random.
    pub seed: u64,
    /// What it did once its first run was open.
    pub steps: Vec<Step>,
    /// Which operation of the disk fails, counted from the very first.
    pub fault: Option<StepFault>,
}

impl From<Operation> for Step {
    fn from(operation: Operation) -> Self {
        Self { operation, salt: 0, end: None, fault: None }
    }
}

/// A history as text, in words.
pub const FORM: &str = "SETTING/SEED/STEP,STEP,... with an optional /?FAULT@NUMBER behind it, as \
    buffered:seeded/7/small#1,roll#2!,jumbo#3?eio@12+";

/// The faults as text, in words.
pub const FAULT_FORM: &str =
    "?eio@NUMBER, ?enospc@NUMBER or ?short@NUMBER, with a + behind it for every operation of the disk from that one on";

const fn fault_name(fault: Fault) -> &'static str {
    match fault {
        Fault::Eio => "eio",
        Fault::Enospc => "enospc",
        Fault::Short => "short",
    }
}

impl fmt::Display for StepFault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "?{}@{}{}", fault_name(self.fault), self.at, if self.for_ever { "+" } else { "" })
    }
}

impl fmt::Display for Step {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.operation)?;
        if self.salt > 0 {
            write!(formatter, "#{}", self.salt)?;
        }
        if let Some(fault) = self.fault {
            write!(formatter, "{fault}")?;
        }
        formatter.write_str(match self.end {
            Some(End::PowerLoss) => "!",
            Some(End::Kill) => "~",
            None => "",
        })
    }
}

impl FromStr for Step {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let ends = [('!', End::PowerLoss), ('~', End::Kill)];
        let ended = ends.iter().find_map(|(mark, end)| text.strip_suffix(*mark).map(|rest| (rest, Some(*end))));
        let (rest, end) = ended.unwrap_or((text, None));
        let (rest, fault) = match rest.split_once('?') {
            Some((rest, fault)) => (rest, Some(parse_fault(fault).ok_or_else(|| is_no_fault(fault))?)),
            None => (rest, None),
        };
        let (name, salt) = rest.split_once('#').unwrap_or((rest, "0"));
        let salt = salt.parse().map_err(|error| format!("the number {salt:?} behind # in {text:?}: {error}"))?;
        Ok(Self { operation: name.parse()?, salt, end, fault })
    }
}

fn is_no_fault(text: &str) -> String {
    format!("{text:?} is no fault: expected {FAULT_FORM}")
}

fn parse_fault(text: &str) -> Option<StepFault> {
    let (text, for_ever) = text.strip_suffix('+').map_or((text, false), |rest| (rest, true));
    let (name, at) = text.split_once('@')?;
    let fault = Fault::ALL.into_iter().find(|fault| fault_name(*fault) == name)?;
    Some(StepFault { fault, at: at.parse().ok()?, for_ever })
}

impl fmt::Display for History {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}/", self.setting, self.seed)?;
        for (index, step) in self.steps.iter().enumerate() {
            write!(formatter, "{}{step}", if index > 0 { "," } else { "" })?;
        }
        self.fault.map_or(Ok(()), |fault| write!(formatter, "/{fault}"))
    }
}

impl FromStr for History {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.splitn(4, '/');
        let mut part = || parts.next().ok_or_else(|| format!("{text:?} is no history: expected {FORM}"));
        let setting = part()?.parse()?;
        let seed = part()?;
        let seed = seed.parse().map_err(|error| format!("the seed {seed:?}: {error}"))?;
        let steps = part()?.split(',').filter(|step| !step.is_empty()).map(str::parse).collect::<Result<_, _>>()?;
        let fault = parts.next().map(|fault| fault.strip_prefix('?').and_then(parse_fault).ok_or_else(|| is_no_fault(fault)));
        Ok(Self { setting, seed, steps, fault: fault.transpose()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_history_is_read_back_from_its_text() {
        let text = "buffered:seeded/7/small#1,roll#2!,jumbo#3?eio@12+,seal~,anchor#9?short@0!";
        let history: History = text.parse().unwrap();
        assert_eq!(history.to_string(), text);
        assert_eq!(history.steps.len(), 5);
        assert_eq!([1, 3, 4].map(|index: usize| history.steps[index].end), [Some(End::PowerLoss), Some(End::Kill), Some(End::PowerLoss)]);
        assert_eq!(history.steps[2].fault, Some(StepFault { fault: Fault::Eio, at: 12, for_ever: true }));
        let text = "synced:never/1/small,seal/?enospc@57+";
        assert_eq!(text.parse::<History>().unwrap().to_string(), text);
        let empty: History = "synced:never/1/".parse().unwrap();
        assert_eq!((empty.steps.len(), empty.to_string().as_str()), (0, "synced:never/1/"));
    }

    #[test]
    fn what_is_no_history_is_refused_with_what_was_expected() {
        for (text, expected) in [
            ("synced:never", "SETTING/SEED/STEP"),
            ("synced:often/1/", "synced:never, synced:at-once, synced:seeded, buffered:never"),
            ("synced:never/x/", "the seed"),
            ("synced:never/1/jump", "small, medium, large, jumbo, anchor, roll, seal, drop, reopen, kill, evict"),
            ("synced:never/1/small#x", "behind #"),
            ("synced:never/1/small?eio", "?enospc@NUMBER"),
            ("synced:never/1/small/eio@1", "?enospc@NUMBER"),
        ] {
            let error = text.parse::<History>().unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
