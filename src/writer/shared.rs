//! What the writer thread shares with those who submit, and the one way in which everything ends early.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::config::WriterConfig;
use super::figures::Figures;
use super::halt::{HaltCallback, HaltReason};
use super::intake::Intake;
use super::progress::{End, Progress};
use crate::error::EventStoreError;
use crate::model::Clock;
use crate::observe;

pub(super) struct Shared {
    pub(super) config: WriterConfig,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) intake: Intake,
    pub(super) progress: Progress,
    pub(super) figures: Figures,
    /// The last ticket that was given before the writer began.
    pub(super) first_ticket: u64,
    pub(super) halt_callback: HaltCallback,
}

impl Shared {
    /// Stops for good. The first reason is told, once; then nothing is acknowledged any more, and nothing is taken in.
    pub(super) fn halt(&self, reason: HaltReason) {
        if !self.progress.end(End::Halted(reason.clone())) {
            return;
        }
        // Whatever the embedder's code does, in a store that is given up, in an observer or in the callback, the next of these
        // is done, and the writer's threads go on to their end.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(self.intake.abandon())));
        let _ = catch_unwind(AssertUnwindSafe(|| observe::halted(&reason)));
        let _ = catch_unwind(AssertUnwindSafe(|| (self.halt_callback)(reason)));
    }

    /// The error of a request that is made, or was waiting, when everything has ended.
    pub(super) fn ended_error(&self) -> EventStoreError {
        match self.progress.ended() {
            Some(End::Halted(reason)) => reason.to_error(),
            Some(End::Closed) | None => EventStoreError::Closed,
        }
    }
}
