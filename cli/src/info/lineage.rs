//! The runs that a run goes on from, and those that go on from it.

use std::path::Path;

use serde::Serialize;
use tapelog::{ReaderOptions, RunChain, RunId, SegmentBackend};

use crate::exit::Verdict;

/// Where a run stands among the runs of its instance, as far as that can be told.
#[derive(Debug, Default, Serialize)]
pub struct Lineage {
    /// The runs before it that are there, the oldest first.
    pub ancestors: Vec<RunId>,
    /// The run that the oldest of these goes on from, and that is not there.
    pub missing_parent: Option<RunId>,
    /// The runs that go on from it.
    pub children: Vec<RunId>,
    /// Why the ancestors cannot be told.
    pub note: Option<String>,
    /// What that makes of the end.
    #[serde(skip)]
    pub verdict: Verdict,
}

impl Lineage {
    /// That of the run in a folder.
    pub fn of(folder: &Path, run_id: &str, instance_id: &str, options: ReaderOptions) -> Self {
        let mut lineage = Self::default();
        match RunChain::open(folder, options) {
            Ok(chain) => {
                lineage.ancestors = chain.runs().iter().map(|run| run.run_id.clone()).filter(|ancestor| ancestor != run_id).collect();
                lineage.missing_parent = chain.missing_parent().cloned();
            }
            Err(error) => {
                lineage.note = Some(error.to_string());
                lineage.verdict = Verdict::of(&error);
            }
        }
        let base = folder.parent().and_then(Path::parent).map(Path::to_path_buf).unwrap_or_default();
        // A folder that was copied out of its instance has no runs beside it.
        if let Ok(runs) = SegmentBackend::scan_runs(&base, instance_id) {
            let is_child = |parent: Option<&RunId>| parent.is_some_and(|parent| parent == run_id);
            let children =
                runs.into_iter().filter(|run| run.manifest.as_ref().is_ok_and(|manifest| is_child(manifest.parent_run_id.as_ref())));
            lineage.children = children.map(|run| run.run_id).collect();
        }
        lineage
    }
}
