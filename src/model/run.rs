//! What identifies a run, what was running in it, and how it ended.

use std::fmt;
use std::str::FromStr;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::UnixNanos;

/// The id of a run. It names the run's folder, see [`validate_id`](super::validate_id).
pub type RunId = String;

/// A new id for a run that starts at `start_ts_init`: the time in nanoseconds, a hyphen and eight
/// random hexadecimal digits, so that two runs that start in the same nanosecond differ.
#[must_use]
pub fn build_run_id(start_ts_init: UnixNanos) -> RunId {
    let (random, ..) = Uuid::new_v4().as_fields();
    format!("{start_ts_init}-{random:08x}")
}

/// Where a run stands in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum RunStatus {
    /// The run takes entries, or the process that wrote it is gone without having sealed it.
    Running,
    /// The engine ended the run.
    Ended,
    /// The run broke off, and nothing proven durable is missing from it.
    CrashedRecovered,
    /// The run is damaged, and replaying it is not safe.
    Quarantined,
}

impl RunStatus {
    /// Every status.
    pub const ALL: [Self; 4] = [Self::Running, Self::Ended, Self::CrashedRecovered, Self::Quarantined];

    /// The status's name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "Running",
            Self::Ended => "Ended",
            Self::CrashedRecovered => "CrashedRecovered",
            Self::Quarantined => "Quarantined",
        }
    }
}

impl fmt::Display for RunStatus {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

impl FromStr for RunStatus {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|status| status.as_str() == name).ok_or_else(|| format!("{name:?} is not the name of a run status"))
    }
}

/// What was registered with the engine when the run started. Replay binds to it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RegisteredComponents {
    /// Actor ids, each with its configuration's hash.
    pub actors: IndexMap<String, String>,
    /// Strategy ids, each with its configuration's hash.
    pub strategies: IndexMap<String, String>,
    /// Execution algorithm ids, each with its configuration's hash.
    pub algorithms: IndexMap<String, String>,
    /// The subscriptions.
    pub subscriptions: Vec<String>,
    /// The endpoints.
    pub endpoints: Vec<String>,
}

/// What a run is and, once it is sealed, how it ended.
///
/// A run begins with status [`RunStatus::Running`], no `end_ts_init` and a `high_watermark` of 0. The last of
/// these follows the log while it grows; the seal sets all three for good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunManifest {
    /// The run's id.
    pub run_id: RunId,
    /// The run that this one goes on from.
    pub parent_run_id: Option<RunId>,
    /// The trading instance that the run belongs to.
    pub instance_id: String,
    /// The hash of the engine's binary.
    pub binary_hash: String,
    /// The version of the payloads' schema.
    pub schema_version: u32,
    /// The hash of the versions that the engine was built from.
    pub crate_versions: String,
    /// The features that the engine was built with, and marks of its configuration.
    pub feature_flags: Vec<String>,
    /// The version of each adapter, by the adapter's name.
    pub adapter_versions: IndexMap<String, String>,
    /// The hash of the engine's configuration.
    pub config_hash: String,
    /// What was registered when the run started.
    pub registered_components: RegisteredComponents,
    /// The seed of a deterministic run.
    pub seed: Option<u64>,
    /// When the run started: no entry's `ts_init` lies before it.
    pub start_ts_init: UnixNanos,
    /// The largest `ts_init` of any entry; none while the run is open, and when it has no entry.
    pub end_ts_init: Option<UnixNanos>,
    /// The last durable entry's `seq`; 0 when there is none.
    pub high_watermark: u64,
    /// Where the run stands in its life.
    pub status: RunStatus,
}

impl Default for RunManifest {
    /// The manifest of a run of which nothing is known, its ids neither.
    fn default() -> Self {
        Self::new("", "")
    }
}

impl RunManifest {
    /// The manifest of a run of which nothing is known but its two ids; fill in what applies.
    #[must_use]
    pub fn new(run_id: impl Into<RunId>, instance_id: impl Into<String>) -> Self {
        Self {
            run_id: run_id.into(),
            parent_run_id: None,
            instance_id: instance_id.into(),
            binary_hash: String::new(),
            schema_version: 1,
            crate_versions: String::new(),
            feature_flags: Vec::new(),
            adapter_versions: IndexMap::new(),
            config_hash: String::new(),
            registered_components: RegisteredComponents::default(),
            seed: None,
            start_ts_init: UnixNanos::default(),
            end_ts_init: None,
            high_watermark: 0,
            status: RunStatus::Running,
        }
    }

    /// Whether the run is over: no entry can be added to it any more.
    #[must_use]
    pub const fn is_sealed(&self) -> bool {
        !matches!(self.status, RunStatus::Running)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::validate_id;

    fn manifest(status: RunStatus) -> RunManifest {
        RunManifest {
            run_id: "1-00000000".to_owned(),
            parent_run_id: Some("0-ffffffff".to_owned()),
            instance_id: "trader".to_owned(),
            binary_hash: String::new(),
            schema_version: 3,
            crate_versions: String::new(),
            feature_flags: vec!["live".to_owned()],
            adapter_versions: IndexMap::from([("z".to_owned(), "1".to_owned()), ("a".to_owned(), "2".to_owned())]),
            config_hash: String::new(),
            registered_components: RegisteredComponents::default(),
            seed: Some(9),
            start_ts_init: UnixNanos::from(1),
            end_ts_init: None,
            high_watermark: 0,
            status,
        }
    }

    #[test]
    fn only_a_running_run_is_not_sealed() {
        for status in RunStatus::ALL {
            assert_eq!(manifest(status).is_sealed(), status != RunStatus::Running);
        }
    }

    #[test]
    fn the_name_of_a_status_leads_back_to_it() {
        for status in RunStatus::ALL {
            assert_eq!(status.to_string().parse(), Ok(status));
        }
        assert!("running".parse::<RunStatus>().unwrap_err().contains("running"));
    }

    #[test]
    fn a_manifest_survives_serialisation_with_the_order_of_its_maps() {
        let config = bincode::config::standard();
        let bytes = bincode::serde::encode_to_vec(manifest(RunStatus::Running), config).unwrap();
        let (read, _) = bincode::serde::decode_from_slice::<RunManifest, _>(&bytes, config).unwrap();
        assert_eq!(read, manifest(RunStatus::Running));
        assert_eq!(read.adapter_versions.keys().collect::<Vec<_>>(), ["z", "a"]);
    }

    #[test]
    fn a_run_id_is_the_start_time_and_eight_hexadecimal_digits() {
        let id = build_run_id(UnixNanos::from(1_700_000_000_000_000_000));
        let digits = id.strip_prefix("1700000000000000000-").unwrap();
        assert_eq!(digits.len(), 8);
        assert!(digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')), "{id}");
    }

    #[test]
    fn every_run_id_can_name_a_folder() {
        for time in [0, u64::MAX] {
            assert_eq!(validate_id("run id", &build_run_id(UnixNanos::from(time))), Ok(()));
        }
    }

    #[test]
    fn two_runs_of_the_same_nanosecond_have_different_ids() {
        assert_ne!(build_run_id(UnixNanos::from(1)), build_run_id(UnixNanos::from(1)));
    }
}
