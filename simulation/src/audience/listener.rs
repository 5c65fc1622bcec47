//! A follower that lives on, and everything that it was shown.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use tapelog::{Check, FollowOptions, Follower, Progress, RunEnd, RunManifest, Visibility};

use crate::asking::is_given;
use crate::disk::observer::Observer;
use crate::engine::{Engine, store_on};
use crate::log::{Certainty, Expectation, RunLog};
use crate::setting::Mode;

/// A follower, and how it came out.
#[derive(Debug)]
pub struct Listener {
    follower: Follower,
    visibility: Visibility,
    shown: u64,
    end: Option<Box<RunManifest>>,
}

impl Listener {
    /// Begins to follow a run at an entry.
    ///
    /// # Errors
    /// Where that cannot be.
    pub fn begin(observer: &Observer, run: &RunLog, mode: Mode, visibility: Visibility, from: u64) -> Result<Self, String> {
        let options = FollowOptions { from, visibility, ..FollowOptions::default() };
        let store = store_on(Arc::new(observer.clone()), mode).map_err(|error| error.to_string())?;
        let follower = store.follow(Engine::folder(run), options).map_err(|error| format!("a run cannot be followed: {error}"))?;
        Ok(Self { follower, visibility, shown: from - 1, end: None })
    }

    /// The last entry that was shown.
    #[must_use]
    pub fn shown(&self) -> u64 {
        self.shown
    }

    /// The manifest with which the run ended for it.
    #[must_use]
    pub fn end(&self) -> Option<&RunManifest> {
        self.end.as_deref()
    }

    /// Reads on as far as it goes: whole batches of the entries that were given, in their order. Answers the last one.
    ///
    /// # Errors
    /// What is not so.
    pub fn listen(&mut self, run: &RunLog) -> Result<u64, String> {
        let who = match self.visibility {
            Visibility::Durable => "a follower",
            Visibility::Written => "a follower of what is written",
        };
        while self.end.is_none() {
            let (mut next, mut wrong) = (self.shown + 1, None);
            let progress = self.follower.visit(Duration::ZERO, Check::Full, |view| {
                if wrong.is_none() && (view.seq() != next || !run.entry(next).is_some_and(|entry| is_given(&view, entry))) {
                    wrong = Some(view.seq());
                }
                next = view.seq() + 1;
                ControlFlow::Continue(())
            });
            if let Some(wrong) = wrong {
                return Err(format!("{who} shows entry {wrong} behind entry {}, which is not what was given", self.shown));
            }
            self.shown = next - 1;
            match progress.map_err(|error| format!("{who} fails: {error}"))? {
                Progress::Shown(_) => {}
                Progress::Idle => break,
                Progress::Ended(RunEnd::Sealed(manifest)) => self.end = Some(manifest),
                Progress::Ended(end) => return Err(format!("{who} ends, and the run does not: {end:?}")),
            }
        }
        if run.last_seq_at(run.commits_up_to(self.shown)) != self.shown {
            return Err(format!("{who} has shown entry {} as the last one, which is no end of a batch", self.shown));
        }
        Ok(self.shown)
    }

    /// It came to the end of a run that was sealed, or was asked to be, and shows all of it.
    ///
    /// # Errors
    /// Where it did not.
    pub fn check_end(&self, run: &RunLog, expected: &Expectation) -> Result<(), String> {
        let (sealed, expected) = (expected.sealed.0, run.last_seq_at(expected.sealed_at));
        match &self.end {
            _ if sealed == Certainty::No => Err("a follower ends with a seal that was not asked for".to_owned()),
            None => Err(format!("a run is sealed up to entry {expected}, and its follower is not told: it shows {}", self.shown)),
            Some(manifest) if self.shown != expected || manifest.high_watermark != expected => Err(format!(
                "a follower ends with entry {} and the high-watermark {}, and the run is sealed up to entry {expected}",
                self.shown, manifest.high_watermark
            )),
            Some(_) => Ok(()),
        }
    }
}
