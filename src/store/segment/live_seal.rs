//! The seal of a run by the store that wrote it.

use crate::error::EventStoreError;
use crate::format::manifest::SealSection;
use crate::model::RunStatus;
use crate::seeded_bug::{SeededBug, unless};
use crate::store::segment::background::BackgroundStep;
use crate::store::segment::live::{LiveRun, end_ts_init};
use crate::store::segment::seal;

/// The section that seals a run which this store wrote.
fn live_section(run: &LiveRun, status: RunStatus) -> SealSection {
    let tip = run.written();
    SealSection {
        status,
        high_watermark: tip.state.seq,
        end_ts_init: end_ts_init(tip).map(|nanos| nanos.as_u64()),
        last_commit_no: tip.state.commit_no,
        walked_from_ordinal: 0,
        segments: seal::segment_table(&run.set.full(), tip),
        final_root: tip.state.root,
        anchor: tip.state.anchor.map(|position| (position.ordinal, position.offset)),
        damage: None,
    }
}

impl LiveRun {
    /// Seals the run. After a failure on the way nothing is written any more, and the run is
    /// recovered when it is opened again.
    pub(crate) fn seal(&mut self, status: RunStatus) -> Result<SealSection, EventStoreError> {
        let shared = self.shared.clone();
        shared.latch.check()?;
        unless(SeededBug::SealBeforeSync, || self.sync_all())?;
        if let Some(mut threads) = self.threads.take() {
            threads.stop();
        }
        shared.latch.check()?;
        let latched = |error| shared.latch.close(error);
        let tip = *self.written();
        drop(shared.shelf.drain());
        let last = self.active.clone();
        if SeededBug::SealManifestFirst.is_on() {
            self.take_last_segment();
            seal::write_manifest(&*shared.storage, &shared.folder, &shared.identity, &live_section(self, status)).map_err(latched)?;
        }
        seal::remove_spares(&*shared.storage, &shared.folder, tip.position.ordinal).map_err(latched)?;
        if let Some(active) = last {
            seal::cut(&**active.file(), active.path(), tip.position.offset).map_err(latched)?;
        }
        self.take_last_segment();
        while shared.run(BackgroundStep::BuildIndex)? {}
        if shared.options.indexes {
            seal::make_absent_indexes(&*shared.storage, &self.set).map_err(latched)?;
        }
        let section = live_section(self, status);
        seal::write_manifest(&*shared.storage, &shared.folder, &shared.identity, &section).map_err(latched)?;
        // The run is sealed: a WATERMARK that stays is ignored, and removing it can be left to anybody.
        let _ = seal::remove_watermark(&*shared.storage, &shared.folder);
        Ok(section)
    }
}
