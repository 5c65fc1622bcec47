//! Everybody who reads beside the engine: other processes, whoever has a reader of its own run, and the engine itself.

use tapelog::{EventStore, SegmentBackend};

use super::{Engine, store_over};
use crate::asking::{check_entries, check_store};
use crate::audience::Surroundings;
use crate::log::Certainty;
use crate::setting::Schedule;

impl Engine {
    /// Whoever reads beside the engine does so.
    pub(super) fn ask_whoever_reads(&mut self) -> Result<(), String> {
        self.show_to_a_reader()?;
        if self.listens { self.show_to_the_audience() } else { Ok(()) }
    }

    /// As [`Engine::ask_whoever_reads`], and asks the store for everything.
    pub(super) fn ask_everybody(&mut self) -> Result<(), String> {
        self.ask_whoever_reads()?;
        self.check_followed()?;
        let disk = self.disk.clone();
        if disk.is_off() {
            return Ok(());
        }
        disk.quietly(|| self.insiders.listen(&mut self.runs, self.store.is_some(), disk.errors_met() > 0))?;
        if !self.asks {
            return Ok(());
        }
        self.show_what_is_written()?;
        self.audience.read(self.runs.last())?;
        let (Some(store), Some(run)) = (&self.store, self.runs.last_mut()) else { return Ok(()) };
        let shown = disk.quietly(|| check_store(store, run)).map_err(|broken| format!("the store is asked: {broken}"))?;
        run.expected.durable = run.expected.durable.max(shown);
        Ok(())
    }

    /// Another process reads the run, whether it is being written or was left. What it is shown must
    /// stay, whoever loses power then.
    fn show_to_a_reader(&mut self) -> Result<(), String> {
        let Some(run) = self.runs.last_mut().filter(|run| run.expected.sealed.0 == Certainty::No) else { return Ok(()) };
        let folder = Self::folder(run);
        let store = store_over(&self.disk.for_reader(), self.setting.mode).map_err(|error| error.to_string())?;
        let reader = match store.into_read_only(&folder) {
            Ok(reader) => reader,
            Err(error) if run.expected.created == Certainty::Yes && self.disk.faults_met() == 0 => {
                return Err(format!("another process cannot read the run: {error}"));
            }
            // Where there is no run yet, or what is left of one, there is nothing to show.
            Err(_) => return Ok(()),
        };
        if reader.recovery().is_some_and(|report| report.state == tapelog::RecoveredState::AcknowledgedDamage) {
            return Err("another process is given a false verdict of damage".to_owned());
        }
        let high_watermark = reader.high_watermark().map_err(|error| error.to_string())?;
        let shown = run.commits_up_to(high_watermark);
        if run.last_seq_at(shown) != high_watermark {
            return Err(format!("another process is shown entry {high_watermark}, which is no end of a batch"));
        }
        let anchor = reader.latest_snapshot_anchor().map_err(|error| format!("another process cannot read the newest anchor: {error}"))?;
        if anchor.as_ref().is_some_and(|anchor| !run.gave_anchor(anchor)) {
            return Err(format!("another process is shown an anchor that was never given: {anchor:?}"));
        }
        check_entries(&reader, run, high_watermark)?;
        let live = self.store.as_ref().map(|store| (store.stats(), store.recovery().is_some()));
        if let Some((stats, false)) = live
            && high_watermark > stats.durable
        {
            return Err(format!("another process is shown entry {high_watermark}, and {} is the last durable one", stats.durable));
        }
        let shown = shown.max(anchor.map_or(0, |anchor| run.commits_with(&anchor)));
        run.expected.durable = run.expected.durable.max(shown);
        Ok(())
    }

    /// Another process asks for everything that is written, whoever holds the lock.
    fn show_what_is_written(&self) -> Result<(), String> {
        let Some(run) = self.runs.last().filter(|run| run.expected.sealed.0 == Certainty::No && run.expected.created == Certainty::Yes)
        else {
            return Ok(());
        };
        let store = store_over(&self.disk.for_reader(), self.setting.mode).map_err(|error| error.to_string())?;
        let reader = store.into_written(Self::folder(run)).map_err(|error| format!("what is written cannot be read: {error}"))?;
        let shown = reader.high_watermark().map_err(|error| error.to_string())?;
        if run.last_seq_at(run.commits_up_to(shown)) != shown {
            return Err(format!("another process is shown entry {shown} as written, which is no end of a batch"));
        }
        check_entries(&reader, run, shown)?;
        let is_faultless = self.disk.errors_met() == 0;
        let expected = match &self.store {
            Some(store) if is_faultless => written_by(store)?,
            Some(_) | None if is_faultless => run.last_seq_at(run.expected.written).max(run.last_seq_at(run.expected.durable)),
            Some(_) | None => run.last_seq_at(run.expected.durable),
        };
        let is_exact = is_faultless && self.store.is_some();
        if shown < expected || is_exact && shown != expected {
            return Err(format!("another process is shown entry {shown} as the last that is written, and it should be {expected}"));
        }
        Ok(())
    }

    /// Those who live on between the operations read on. What they show must stay.
    pub(super) fn show_to_the_audience(&mut self) -> Result<(), String> {
        let is_faultless = self.disk.errors_met() == 0;
        let surroundings = Surroundings {
            durable: self.store.as_ref().map(|store| store.high_watermark().map_err(|error| error.to_string())).transpose()?,
            written: self.store.as_ref().map(written_by).transpose()?,
            is_recovered: self.is_recovered(),
            is_faultless,
        };
        let Some(run) = self.runs.last_mut() else { return Ok(()) };
        let (durable, written) = self.audience.listen(run, self.setting.mode, surroundings)?;
        run.expected.durable = run.expected.durable.max(run.commits_up_to(durable));
        if is_faultless {
            run.expected.written = run.expected.written.max(run.commits_up_to(written));
        }
        Ok(())
    }

    /// Once all background work is done, a follower is shown everything that is durable.
    fn check_followed(&self) -> Result<(), String> {
        let (Some(store), Some(run)) = (&self.store, self.runs.last()) else { return Ok(()) };
        let is_done = self.setting.schedule == Schedule::AtOnce && self.disk.errors_met() == 0 && self.listens;
        let high_watermark = store.high_watermark().map_err(|error| error.to_string())?;
        match self.audience.shown(run) {
            Some(shown) if is_done && shown < high_watermark => {
                Err(format!("all background work is done, and a follower is shown entry {shown} of {high_watermark}"))
            }
            _ => Ok(()),
        }
    }
}

/// The last entry that a store has written: of one that it does not write, the last that it shows.
fn written_by(store: &SegmentBackend) -> Result<u64, String> {
    if store.recovery().is_some() { store.high_watermark().map_err(|error| error.to_string()) } else { Ok(store.stats().written) }
}
